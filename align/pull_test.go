package align_test

import (
	"context"
	"crypto/sha1"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/align"
	"align/internal/basemodel"
	"align/internal/fixture"
)

// A pulled model is found by its name; the token comes from a file that is its
// owner's alone.
func TestPullPutsAModelWhereItIsFound(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	const config = "{}"
	var got string
	var gated bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if gated {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if got = r.Header.Get("Authorization"); strings.HasPrefix(r.URL.Path, "/api/") {
			fmt.Fprintf(w, `{"sha":%q,"siblings":[{"rfilename":"config.json","size":2,"blobId":"%x"}]}`, commit, sha1.Sum([]byte("blob 2\x00"+config)))
			return
		}
		fmt.Fprint(w, config)
	}))
	defer s.Close()
	dir := t.TempDir()
	token := fixture.Write(t, "hf_x\n", dir, "token")
	for key, value := range map[string]string{"HF_ENDPOINT": s.URL, "HF_HUB_CACHE": dir, "HF_TOKEN": "", "HF_TOKEN_PATH": token} {
		t.Setenv(key, value)
	}
	gated = true
	if _, err := align.Pull(context.Background(), align.PullOptions{Name: "org/pulled"}, align.Environment{}); err == nil ||
		!strings.Contains(err.Error(), "gated or private") || !strings.HasSuffix(err.Error(), "; no token was sent, "+token+" can be read by others (mode 0644): chmod 600 it, or set HF_TOKEN") {
		t.Errorf("a gated model and a token that others can read: %v", err)
	}
	gated = false
	var noted []string
	env := align.Environment{Note: func(s string) { noted = append(noted, s) }}
	if _, err := align.Pull(context.Background(), align.PullOptions{Name: "org/pulled"}, env); err != nil || got != "" || len(noted) != 2 || !strings.Contains(noted[0], "none is sent, "+token+" can be read by others") {
		t.Errorf("a public model and a token that others can read: %v, sent %q, notes %q", err, got, noted)
	}
	if err := os.Chmod(token, 0o600); err != nil {
		t.Fatal(err)
	}
	done, err := align.Pull(context.Background(), align.PullOptions{Name: "org/pulled"}, align.Environment{})
	if err != nil || got != "Bearer hf_x" {
		t.Fatalf("%v, token %q", err, got)
	}
	if path, err := basemodel.Resolve("org/pulled"); err != nil || path != done.Path {
		t.Errorf("found %q, %v, want %q", path, err, done.Path)
	}
	t.Setenv("HF_HUB_OFFLINE", "True")
	if _, err := align.Pull(context.Background(), align.PullOptions{Name: "org/pulled"}, align.Environment{}); err == nil || !strings.Contains(err.Error(), "org/pulled is in the cache, at "+done.Path) {
		t.Errorf("offline: %v", err)
	}
}

// The cache and the token lie where huggingface_hub has them, whichever
// variable says so, with a ~ that no shell has replaced.
func TestPullFindsTheUsersFolders(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		if strings.HasPrefix(r.URL.Path, "/api/") {
			fmt.Fprintf(w, `{"sha":%q,"siblings":[{"rfilename":"config.json","size":2,"blobId":"%x"}]}`, commit, sha1.Sum([]byte("blob 2\x00{}")))
			return
		}
		fmt.Fprint(w, "{}")
	}))
	defer s.Close()
	for _, tt := range []struct{ variable, value, folder string }{
		{"HF_HOME", "~/hf", "hf"},
		{"XDG_CACHE_HOME", "~/cache", "cache/huggingface"},
		{"", "", ".cache/huggingface"},
	} {
		home := t.TempDir()
		for _, name := range []string{"HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"} {
			t.Setenv(name, "")
		}
		t.Setenv("HOME", home)
		t.Setenv("USERPROFILE", home)
		t.Setenv("HF_ENDPOINT", s.URL+"/")
		t.Setenv("HF_TOKEN", " ")
		if tt.variable != "" {
			t.Setenv(tt.variable, tt.value)
		}
		folder := filepath.Join(home, filepath.FromSlash(tt.folder))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "token"), []byte("hf_x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		done, err := align.Pull(context.Background(), align.PullOptions{Name: "org/pulled"}, align.Environment{})
		if err != nil || !strings.HasPrefix(done.Path, filepath.Join(folder, "hub")) || got != "Bearer hf_x" {
			t.Errorf("%s: %q, token %q, %v", tt.variable, done.Path, got, err)
		}
	}
}
