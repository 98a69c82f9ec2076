package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// maxListing bounds the listing in bytes; that of a large model has a few 100 KiB.
const maxListing = 16 << 20

// file is one to fetch. Its hash is SHA-256 where the hub keeps it as a large
// file, else git's SHA-1 of a blob.
type file struct {
	name, hash string
	size       int64
}

type listing struct {
	commit string
	files  []file
}

var hexHash = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// list asks for the files of a revision
// (https://huggingface.co/docs/hub/api, /api/models/{repo}/revision/{revision}).
func (c *Client) list(ctx context.Context, repo, revision string) (listing, error) {
	var data []byte
	address := c.Base + "/api/models/" + repo + "/revision/" + url.PathEscape(revision) + "?blobs=true"
	err := c.retry(ctx, func() (bool, time.Duration, error) {
		wait, err := c.once(ctx, address, 0, func(r response) (err error) {
			data, err = io.ReadAll(io.LimitReader(r.body, maxListing+1))
			if err == nil && len(data) > maxListing {
				return &final{fmt.Errorf("the listing is longer than %d bytes", maxListing)}
			}
			return err
		})
		return false, wait, err
	})
	if err != nil {
		return listing{}, fmt.Errorf("hub: %s at %s: %w", repo, revision, err)
	}
	l, err := parseListing(data)
	if err != nil {
		return l, fmt.Errorf("hub: %s at %s: the listing: %w", repo, revision, err)
	}
	if len(l.files) == 0 {
		return l, fmt.Errorf("hub: %s at %s has no safetensors, GGUF, JSON or tokenizer file", repo, revision)
	}
	return l, nil
}

// parseListing keeps the files that are wanted. A name that leaves the
// snapshot's folder makes the whole listing suspect.
func parseListing(data []byte) (listing, error) {
	var answer struct {
		Commit string `json:"sha"`
		Files  []struct {
			Name string `json:"rfilename"`
			Size int64  `json:"size"`
			Blob string `json:"blobId"`
			LFS  *struct {
				Hash string `json:"sha256"`
				Size int64  `json:"size"`
			} `json:"lfs"`
		} `json:"siblings"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return listing{}, err
	}
	if !commitID.MatchString(answer.Commit) {
		return listing{}, fmt.Errorf("sha is %.60q: want the 40 digits of a commit", answer.Commit)
	}
	l := listing{commit: answer.Commit}
	for _, f := range answer.Files {
		if err := checkName(f.Name); err != nil {
			return listing{}, err
		}
		if !wanted(f.Name) {
			continue
		}
		entry := file{name: f.Name, hash: f.Blob, size: f.Size}
		if f.LFS != nil {
			entry.hash, entry.size = f.LFS.Hash, f.LFS.Size
		}
		if !hexHash.MatchString(entry.hash) || entry.size < 0 {
			return listing{}, fmt.Errorf("%s has the hash %.80q and the size %d: want 40 or 64 digits and a size", f.Name, entry.hash, entry.size)
		}
		l.files = append(l.files, entry)
	}
	return l, nil
}

func checkName(name string) error {
	control := strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '\\' || r == ':' })
	if control || name == "" || path.Clean(name) != name || !filepath.IsLocal(filepath.FromSlash(name)) {
		return errors.New(fmt.Sprintf("%.100q", name) + " is no name of a file inside a model")
	}
	return nil
}

// wanted says whether a file is of a kind that is fetched.
func wanted(name string) bool {
	if strings.Contains(name, "/") {
		return false
	}
	return name == "tokenizer.model" || slices.Contains([]string{".safetensors", ".gguf", ".json", ".jinja"}, path.Ext(name))
}
