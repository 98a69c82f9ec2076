// Package hub fetches a model from a Hugging Face hub into the local cache, in
// huggingface_hub's layout (models--OWNER--NAME with blobs, snapshots, refs).
//
// Only weights and what describes them are fetched: safetensors, GGUF, JSON and
// tokenizer files of the top folder. Pickled files never are. Every file is held
// to the hash of the hub's listing before it gets its name; what was cut short
// goes on where it stopped. Where the cache, the token and the hub are is what the
// user's environment says, as huggingface_hub reads it.
package hub

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"align/internal/atomicfile"
)

// Client speaks to one hub.
type Client struct {
	// Base is the hub's address, "https://huggingface.co".
	Base string
	// Token, if not "", is sent to Base's host and to no other.
	Token string
	// Tries is how often a request is made at most; Pause is the wait after the
	// first of them and doubles; Idle is how long a server may send nothing.
	Tries       int
	Pause, Idle time.Duration
	// Progress, if not nil, is told the bytes of a file that are there.
	Progress func(file string, done, total int64)
	// Waiting, if not nil, is told what failed and how long it is until the next try.
	Waiting func(failed error, wait time.Duration)
}

// NewClient is a client with the usual patience.
func NewClient(base, token string) *Client {
	return &Client{Base: strings.TrimSuffix(base, "/"), Token: token, Tries: 6, Pause: time.Second, Idle: time.Minute}
}

var (
	repoName = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$`)
	revName  = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*$`)
	// commitID is what refs/main holds, too: the name of a snapshot.
	commitID = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// Snapshot is a model in the cache.
type Snapshot struct {
	Path, Commit string
	Files        []string
	// Bytes is the size of the files, Fetched what of it came over the network.
	Bytes, Fetched int64
}

// Pull fetches a revision (a branch, tag or commit) of the model repo,
// "OWNER/NAME", into the cache.
func (c *Client) Pull(ctx context.Context, cache, repo, revision string) (Snapshot, error) {
	if err := c.check(repo, revision); err != nil {
		return Snapshot{}, err
	}
	l, err := c.list(ctx, repo, revision)
	if err != nil {
		return Snapshot{}, err
	}
	root := repoFolder(cache, repo)
	s := Snapshot{Path: filepath.Join(root, "snapshots", l.commit), Commit: l.commit}
	for _, dir := range []string{filepath.Join(root, "blobs"), s.Path} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return s, fmt.Errorf("hub: %w", err)
		}
	}
	for _, f := range l.files {
		blob := filepath.Join(root, "blobs", f.hash)
		fetched, err := c.fetch(ctx, c.Base+"/"+repo+"/resolve/"+l.commit+"/"+url.PathEscape(f.name), f, blob)
		s.Fetched += fetched
		if err != nil {
			return s, fmt.Errorf("hub: %s: %s: %w", repo, f.name, err)
		}
		if err := link(blob, filepath.Join(s.Path, f.name)); err != nil {
			return s, fmt.Errorf("hub: %w", err)
		}
		s.Files, s.Bytes = append(s.Files, f.name), s.Bytes+f.size
	}
	return s, writeRef(root, revision, l.commit)
}

// nameIn is a hint at the name in the address of a model's page.
func nameIn(address string) string {
	_, path, ok := strings.Cut(address, "://")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if !ok || len(parts) < 3 || !repoName.MatchString(parts[1]+"/"+parts[2]) {
		return ""
	}
	return fmt.Sprintf(" (%s/%s?)", parts[1], parts[2])
}

func (c *Client) check(repo, revision string) error {
	if !repoName.MatchString(repo) || strings.Contains(repo, "..") {
		return fmt.Errorf("hub: %q is no name of a model: want OWNER/NAME%s", repo, nameIn(repo))
	}
	if !revName.MatchString(revision) || strings.Contains(revision, "..") {
		return fmt.Errorf("hub: %q is no revision: want a branch, a tag or a commit", revision)
	}
	u, err := url.Parse(c.Base)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("hub: %q is no address of a hub (HF_ENDPOINT): want https://HOST", c.Base)
	}
	return nil
}

// link gives a blob its name in a snapshot.
func link(blob, name string) error {
	target := path.Join("..", "..", "blobs", filepath.Base(blob))
	if old, err := os.Readlink(name); err == nil && filepath.ToSlash(old) == target {
		return nil
	}
	if err := os.RemoveAll(name); err != nil {
		return err
	}
	if err := os.Symlink(filepath.FromSlash(target), name); err != nil {
		return os.Link(blob, name) // where symbolic links need a privilege
	}
	return nil
}

// writeRef says which commit a branch or tag is at; a commit needs none.
func writeRef(root, revision, commit string) error {
	if commitID.MatchString(revision) {
		return nil
	}
	ref := filepath.Join(root, "refs", filepath.FromSlash(revision))
	if err := os.MkdirAll(filepath.Dir(ref), 0o755); err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	return atomicfile.WriteFile(ref, atomicfile.Bytes([]byte(commit)))
}

// client sends the token nowhere but to the host that it is for.
func (c *Client) client() *http.Client {
	return &http.Client{CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return fmt.Errorf("more than %d redirects", len(via))
		}
		if via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
			return fmt.Errorf("a redirect from https to %s", r.URL.Scheme)
		}
		if r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme {
			r.Header.Del("Authorization")
		}
		return nil
	}}
}
