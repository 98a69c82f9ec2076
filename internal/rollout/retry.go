package rollout

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	// maxWait bounds what a server may ask to be waited for.
	maxWait = time.Minute
	// maxReply bounds what is read of a reply, in bytes.
	maxReply = 64 << 20
)

// statusError is a reply that is no answer.
type statusError struct {
	code int
	text string
	// wait is what the server asks for.
	wait time.Duration
}

func (e *statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s: %s", e.code, http.StatusText(e.code), e.text))
}

// isMissing says whether the server does not know the address.
func isMissing(err error) bool {
	var e *statusError
	return errors.As(err, &e) && (e.code == http.StatusNotFound || e.code == http.StatusMethodNotAllowed)
}

// passes says whether a fault may be gone the next time: too many requests, a
// fault of the server, a connection or a body that broke off, a hang.
func passes(err error) bool {
	var e *statusError
	if !errors.As(err, &e) {
		return true
	}
	return e.code == http.StatusTooManyRequests || e.code == http.StatusRequestTimeout ||
		e.code >= 500 && e.code != http.StatusNotImplemented
}

// call asks until there is an answer, the fault is one that stays, or the
// attempts are used up.
func (s *Server) call(ctx context.Context, method, path string, request, answer any) error {
	wait, attempts := s.Wait, cmp.Or(s.Attempts, 8)
	if wait == 0 {
		wait = time.Second / 2
	}
	for attempt := 1; ; attempt++ {
		err := s.once(ctx, method, path, request, answer)
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if !passes(err) || attempt == attempts {
			return fmt.Errorf("rollout: generator %s%s: %w%s", s.address, path, err, tried(attempt))
		}
		s.note(fmt.Sprintf("generator: %s%s: %v, trying again", s.address, path, err))
		pause := wait
		var e *statusError
		if errors.As(err, &e) && e.wait > pause {
			pause = e.wait
		}
		if err := sleep(ctx, min(pause, maxWait)); err != nil {
			return err
		}
		wait *= 2
	}
}

func tried(n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf(" (%d attempts)", n)
}

func (s *Server) note(text string) {
	s.noting.Lock()
	defer s.noting.Unlock()
	if s.Notes != nil {
		s.Notes(text)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// once asks once.
func (s *Server) once(ctx context.Context, method, path string, request, answer any) error {
	limit := s.Timeout
	if limit == 0 {
		limit = 10 * time.Minute
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var body io.Reader
	if request != nil {
		data, err := json.Marshal(request)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	q, err := http.NewRequestWithContext(limited, method, s.address+path, body)
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	if s.Key != "" {
		q.Header.Set("Authorization", "Bearer "+s.Key)
	}
	r, err := s.client.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	data, err := io.ReadAll(io.LimitReader(r.Body, maxReply))
	if err != nil {
		return fmt.Errorf("the reply broke off: %w", err)
	}
	if r.StatusCode/100 != 2 {
		seconds, _ := strconv.Atoi(r.Header.Get("Retry-After")) // not a number: no wish
		return &statusError{r.StatusCode, firstLine(data), time.Duration(seconds) * time.Second}
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("the reply is no JSON of the form that was expected: %w", err)
	}
	return nil
}

// firstLine is what a server says of a fault, short enough for an error.
func firstLine(data []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(strings.ToValidUTF8(string(data), "\uFFFD")), "\n")
	return line[:min(len(line), 300)]
}
