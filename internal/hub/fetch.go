package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// final is an error that another try does not mend.
type final struct{ error }

// Unwrap gives the cause.
func (f *final) Unwrap() error { return f.error }

// ErrDenied is returned where the hub gives a model only to those whom it knows.
var ErrDenied = errors.New("the model is gated or private: accept its licence on the hub and set HF_TOKEN")

// errToken is returned where the hub does not know the token: it refuses that for
// public models too.
var errToken = errors.New("the hub does not know the token: make a new one, or pull a public model without one")

// response is an answer: its body, and the byte of the file that it begins at.
type response struct {
	body  io.Reader
	start int64
}

// fetch makes the blob of a file and returns the bytes that it took.
func (c *Client) fetch(ctx context.Context, address string, f file, blob string) (int64, error) {
	if info, err := os.Stat(blob); err == nil && info.Size() == f.size && verify(blob, f) == nil {
		return 0, nil
	}
	part, err := os.OpenFile(blob+".incomplete", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return 0, err
	}
	defer part.Close()
	have, err := part.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if have > f.size {
		have = 0
	}
	var fetched int64
	err = c.retry(ctx, func() (bool, time.Duration, error) {
		before := have
		if have == f.size {
			return false, 0, nil
		}
		wait, err := c.once(ctx, address, have, func(r response) error {
			n, err := c.write(part, r, f)
			have, fetched = r.start+n, fetched+n
			return err
		})
		return have > before, wait, err
	})
	if err != nil {
		return fetched, err
	}
	if err := errors.Join(part.Truncate(have), part.Sync(), part.Close()); err != nil {
		return fetched, err
	}
	if err := verify(part.Name(), f); err != nil {
		return fetched, errors.Join(err, os.Remove(part.Name()))
	}
	return fetched, os.Rename(part.Name(), blob)
}

// write puts an answer at its place. One that is cut is an error; one that is
// too long too.
func (c *Client) write(part *os.File, r response, f file) (int64, error) {
	if _, err := part.Seek(r.start, io.SeekStart); err != nil {
		return 0, &final{err}
	}
	done := r.start
	n, err := io.Copy(part, io.TeeReader(io.LimitReader(r.body, f.size-r.start+1), counter(func(n int) {
		if done += int64(n); c.Progress != nil {
			c.Progress(f.name, done, f.size)
		}
	})))
	switch {
	case r.start+n > f.size:
		return n, &final{fmt.Errorf("more than the %d bytes that the listing says", f.size)}
	case err == nil && r.start+n < f.size:
		return n, fmt.Errorf("cut after %d of %d bytes: %w", r.start+n, f.size, io.ErrUnexpectedEOF)
	}
	return n, err
}

type counter func(n int)

// Write implements io.Writer.
func (c counter) Write(p []byte) (int, error) { c(len(p)); return len(p), nil }

// verify holds a file to its hash.
func verify(path string, f file) error {
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	var h hash.Hash = sha256.New()
	if len(f.hash) == 2*sha1.Size { // git: the type and size stand before the content
		h = sha1.New()
		fmt.Fprintf(h, "blob %d\x00", f.size)
	}
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != f.hash {
		return fmt.Errorf("its hash is %s, the listing says %s: fetch it again", got, f.hash)
	}
	return nil
}

// retry repeats a request until it succeeds or an error is final. One that got
// further begins the count anew.
func (c *Client) retry(ctx context.Context, request func() (further bool, wait time.Duration, err error)) error {
	for n, pause := 1, c.Pause; ; n, pause = n+1, 2*pause {
		further, wait, err := request()
		if err == nil || errors.As(err, new(*final)) || ctx.Err() != nil {
			return err
		}
		if further {
			n, pause = 1, c.Pause
		}
		if n >= c.Tries {
			return err
		}
		if wait = max(wait, pause); c.Waiting != nil {
			c.Waiting(err, wait)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// once makes one request; wait is what the server asks for before the next.
func (c *Client) once(ctx context.Context, address string, from int64, use func(response) error) (wait time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(c.Idle, func() { cancel(fmt.Errorf("nothing came for %v", c.Idle)) })
	defer idle.Stop()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, &final{err}
	}
	if c.Token != "" {
		q.Header.Set("Authorization", "Bearer "+c.Token)
	}
	q.Header.Set("Accept-Encoding", "identity")
	if from > 0 {
		q.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	r, err := c.client().Do(q)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	if wait, err = status(r, c.Token != ""); err != nil {
		return wait, err
	}
	start := int64(0)
	if r.StatusCode == http.StatusPartialContent {
		if _, err := fmt.Sscanf(r.Header.Get("Content-Range"), "bytes %d-", &start); err != nil || start != from {
			return 0, &final{fmt.Errorf("asked for the bytes from %d, got %q", from, r.Header.Get("Content-Range"))}
		}
	}
	alive := io.TeeReader(r.Body, counter(func(int) { idle.Reset(c.Idle) }))
	return 0, use(response{alive, start})
}

// maxWait bounds what a server may ask us to wait.
const maxWait = 5 * time.Minute

// status turns an answer that is no file into an error; token: one was sent.
func status(r *http.Response, token bool) (wait time.Duration, err error) {
	switch code := r.StatusCode; {
	case code == http.StatusOK || code == http.StatusPartialContent:
		return 0, nil
	case code == http.StatusUnauthorized && token:
		return 0, &final{fmt.Errorf("%s: %w", r.Status, errToken)}
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return 0, &final{fmt.Errorf("%s: %w", r.Status, ErrDenied)}
	case code == http.StatusNotFound:
		return 0, &final{fmt.Errorf("%s: no such model, revision or file", r.Status)}
	case code == http.StatusTooManyRequests || code >= 500:
		if n, err := strconv.Atoi(r.Header.Get("Retry-After")); err == nil && n > 0 {
			wait = min(time.Duration(n)*time.Second, maxWait)
		}
		return wait, errors.New(r.Status)
	}
	return 0, &final{errors.New(r.Status)}
}
