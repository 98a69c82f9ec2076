package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// fake is a hub with one model. fault, if it answers, takes the place of the
// n-th answer for a path.
type fake struct {
	files map[string]string
	names []string // in place of the files' own
	hash  string   // of weights, in place of the true one
	fault func(n int, w http.ResponseWriter, r *http.Request) bool

	sync.Mutex
	asked  map[string]int
	ranges []string
	auth   []string
}

func sha256Of(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.Lock()
	if f.asked == nil {
		f.asked = map[string]int{}
	}
	f.asked[r.URL.Path]++
	n := f.asked[r.URL.Path]
	f.auth = append(f.auth, r.Header.Get("Authorization"))
	if b := r.Header.Get("Range"); b != "" {
		f.ranges = append(f.ranges, b)
	}
	f.Unlock()
	if f.fault != nil && f.fault(n, w, r) {
		return
	}
	if r.URL.Path == "/api/models/org/name/revision/main" {
		f.list(w)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/org/name/resolve/"+commit+"/")
	if text, there := f.files[name]; ok && there {
		http.ServeContent(w, r, name, time.Time{}, strings.NewReader(text))
		return
	}
	http.NotFound(w, r)
}

func (f *fake) list(w http.ResponseWriter) {
	var parts []string
	for _, name := range f.names {
		parts = append(parts, fmt.Sprintf(`{"rfilename":%q,"size":1,"blobId":"%s"}`, name, strings.Repeat("a", 40)))
	}
	for name, text := range f.files {
		git := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(text), text))
		entry := fmt.Sprintf(`{"rfilename":%q,"size":%d,"blobId":"%x"}`, name, len(text), git)
		if strings.HasSuffix(name, ".safetensors") {
			hash := sha256Of(text)
			if f.hash != "" {
				hash = f.hash
			}
			entry = fmt.Sprintf(`{"rfilename":%q,"size":%d,"blobId":"%x","lfs":{"sha256":"%s","size":%d}}`, name, len(text), git, hash, len(text))
		}
		parts = append(parts, entry)
	}
	fmt.Fprintf(w, `{"sha":%q,"siblings":[%s]}`, commit, strings.Join(parts, ","))
}

func model() map[string]string {
	return map[string]string{
		"config.json": `{"model_type":"llama"}`, "model.safetensors": strings.Repeat("weights ", 5000),
		"pytorch_model.bin": "pickle", "README.md": "card", "original/params.json": "{}",
	}
}

func start(t *testing.T, f *fake) *Client {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	c := NewClient(s.URL, "secret")
	c.Pause, c.Idle, c.Tries = time.Millisecond, 300*time.Millisecond, 3
	return c
}

func weights(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, ".safetensors") }

func checkSnapshot(t *testing.T, s Snapshot) {
	t.Helper()
	for name, text := range model() {
		data, err := os.ReadFile(filepath.Join(s.Path, filepath.FromSlash(name)))
		if !wanted(name) {
			if err == nil {
				t.Errorf("%s was fetched", name)
			}
		} else if err != nil || string(data) != text {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
}

func TestPullWritesTheCachesLayout(t *testing.T) {
	f, cache := &fake{files: model()}, t.TempDir()
	c := start(t, f)
	s, err := c.Pull(context.Background(), cache, "org/name", "main")
	if err != nil {
		t.Fatal(err)
	}
	checkSnapshot(t, s)
	root := filepath.Join(cache, "models--org--name")
	ref, err := os.ReadFile(filepath.Join(root, "refs", "main"))
	if err != nil || string(ref) != commit || s.Path != filepath.Join(root, "snapshots", commit) {
		t.Errorf("ref %q, %v, snapshot %s", ref, err, s.Path)
	}
	if _, err := os.Stat(filepath.Join(root, "blobs", sha256Of(model()["model.safetensors"]))); err != nil {
		t.Error(err)
	}
	again, err := c.Pull(context.Background(), cache, "org/name", "main")
	if err != nil || again.Fetched != 0 || again.Bytes != s.Bytes {
		t.Errorf("again: %+v, %v", again, err)
	}
}

// Faults that pass: the pull ends well, and goes on where it was cut.
func TestFaultsThatPass(t *testing.T) {
	for name, fault := range map[string]func(n int, w http.ResponseWriter, r *http.Request) bool{
		"429": func(n int, w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Retry-After", "1")
			if n == 1 && weights(r) {
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			}
			w.Header().Del("Retry-After")
			return false
		},
		"500 for each first": func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n == 1 {
				w.WriteHeader(http.StatusInternalServerError)
			}
			return n == 1
		},
		"hang": func(n int, _ http.ResponseWriter, r *http.Request) bool {
			if n == 1 && weights(r) {
				<-r.Context().Done()
				return true
			}
			return false
		},
		"cut": func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n == 1 && weights(r) {
				w.Header().Set("Content-Length", "40000")
				_, _ = w.Write([]byte(model()["model.safetensors"][:1000]))
				return true
			}
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{files: model(), fault: fault}
			began := time.Now()
			c := start(t, f)
			told := 0
			c.Waiting = func(failed error, wait time.Duration) {
				if told++; failed == nil || wait < time.Millisecond {
					t.Errorf("told of %v and %v", failed, wait)
				}
			}
			s, err := c.Pull(context.Background(), t.TempDir(), "org/name", "main")
			if err != nil {
				t.Fatal(err)
			}
			if told == 0 {
				t.Error("nobody was told of the wait")
			}
			checkSnapshot(t, s)
			if name == "429" && time.Since(began) < time.Second {
				t.Error("Retry-After was not kept to")
			}
			if name == "cut" && (len(f.ranges) != 1 || f.ranges[0] != "bytes=1000-") {
				t.Errorf("ranges %q, want the rest from 1000", f.ranges)
			}
		})
	}
}

// Faults that stay are errors, and leave nothing under a file's name.
func TestFaultsThatStay(t *testing.T) {
	always := func(code int) func(int, http.ResponseWriter, *http.Request) bool {
		return func(_ int, w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(code); return true }
	}
	for _, c := range []struct {
		name string
		f    *fake
		want string
	}{
		{"gated", &fake{fault: always(403)}, "gated or private"},
		{"token unknown", &fake{fault: always(401)}, "does not know the token"},
		{"not there", &fake{fault: always(404)}, "no such model"},
		{"500", &fake{fault: always(500)}, "500"},
		{"wrong hash", &fake{files: model(), hash: strings.Repeat("0", 64)}, "its hash is"},
		{"hostile hash", &fake{files: model(), hash: "../../../x"}, "has the hash"},
		{"climbing", &fake{names: []string{"../x.json"}}, "is no name of a file inside a model"},
		{"rooted", &fake{names: []string{"/etc/x.json"}}, "is no name of a file inside a model"},
		{"inside", &fake{names: []string{"a/../../x.json"}}, "is no name of a file inside a model"},
		{"backslash", &fake{names: []string{`..\x.json`}}, "is no name of a file inside a model"},
		{"nothing wanted", &fake{files: map[string]string{"x.bin": "x"}}, "has no safetensors"},
		{"no listing", &fake{fault: func(_ int, w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, "{"); return true }}, "the listing"},
	} {
		cache := t.TempDir()
		s, err := start(t, c.f).Pull(context.Background(), cache, "org/name", "main")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if _, err := os.Stat(filepath.Join(s.Path, "model.safetensors")); err == nil {
			t.Errorf("%s: the file stands in the snapshot", c.name)
		}
		if _, err := os.Stat(filepath.Join(cache, "models--org--name", "refs", "main")); err == nil {
			t.Errorf("%s: the ref was written", c.name)
		}
	}
}

func TestTheTokenStaysWithItsHost(t *testing.T) {
	other := &fake{files: model()}
	elsewhere := httptest.NewServer(other)
	t.Cleanup(elsewhere.Close)
	f := &fake{files: model(), fault: func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if weights(r) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusFound)
		}
		return weights(r)
	}}
	s, err := start(t, f).Pull(context.Background(), t.TempDir(), "org/name", "main")
	if err != nil {
		t.Fatal(err)
	}
	checkSnapshot(t, s)
	if len(other.auth) != 1 || other.auth[0] != "" {
		t.Errorf("the other host got %q", other.auth)
	}
	if f.auth[0] != "Bearer secret" {
		t.Errorf("the hub got %q", f.auth[0])
	}
}

func TestNamesAreChecked(t *testing.T) {
	c := NewClient("https://hub.example", "")
	for _, x := range [][2]string{{"name", "main"}, {"../x", "main"}, {"a/b/c", "main"}, {"a/b..c", "main"}, {"a/b", ""}, {"a/b", "../x"}, {"a/b", "a..b"}} {
		if _, err := c.Pull(context.Background(), t.TempDir(), x[0], x[1]); err == nil {
			t.Errorf("%q is taken", x)
		}
	}
}

func FuzzListing(f *testing.F) {
	f.Add([]byte(`{"sha":"` + commit + `","siblings":[{"rfilename":"config.json","size":1,"blobId":"` + commit + `"}]}`))
	f.Add([]byte(`{"siblings":[{"rfilename":"../x.json"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := parseListing(data)
		for _, x := range l.files {
			if err == nil && (!filepath.IsLocal(x.name) || !hexHash.MatchString(x.hash)) {
				t.Fatalf("%+v", x)
			}
		}
	})
}
