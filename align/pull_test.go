package align_test

import (
	"context"
	"crypto/sha1"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"align/align"
)

// A pulled model is found by its name; the token comes from a file that is its
// owner's alone.
func TestPullPutsAModelWhereItIsFound(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	const config = "{}"
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got = r.Header.Get("Authorization"); strings.HasPrefix(r.URL.Path, "/api/") {
			fmt.Fprintf(w, `{"sha":%q,"siblings":[{"rfilename":"config.json","size":2,"blobId":"%x"}]}`, commit, sha1.Sum([]byte("blob 2\x00"+config)))
			return
		}
		fmt.Fprint(w, config)
	}))
	defer s.Close()
	dir := t.TempDir()
	token := write(t, "hf_x\n", dir, "token")
	for key, value := range map[string]string{"HF_ENDPOINT": s.URL, "HF_HUB_CACHE": dir, "HF_TOKEN": "", "HF_TOKEN_PATH": token} {
		t.Setenv(key, value)
	}
	if _, err := align.Pull(context.Background(), align.PullOptions{Name: "org/pulled"}, align.Environment{}); err == nil || !strings.Contains(err.Error(), "can be read by others") {
		t.Errorf("a token that others can read: %v", err)
	}
	if err := os.Chmod(token, 0o600); err != nil {
		t.Fatal(err)
	}
	done, err := align.Pull(context.Background(), align.PullOptions{Name: "org/pulled"}, align.Environment{})
	if err != nil || got != "Bearer hf_x" {
		t.Fatalf("%v, token %q", err, got)
	}
	if path, err := align.ResolveModel("org/pulled"); err != nil || path != done.Path {
		t.Errorf("found %q, %v, want %q", path, err, done.Path)
	}
}
