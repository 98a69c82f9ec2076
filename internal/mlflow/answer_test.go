package mlflow

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"
)

// saying is a server that gives one answer to everything.
type saying struct {
	status int
	body   []byte
}

func (s saying) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: s.status, Body: io.NopCloser(bytes.NewReader(s.body)), Header: http.Header{}}, nil
}

// Whatever a server answers, a run's id comes of it or an error.
func FuzzAnswers(f *testing.F) {
	f.Add(200, []byte(`{"experiment":{"experiment_id":"1"},"experiment_id":"1","run":{"info":{"run_id":"r"}}}`))
	f.Add(404, []byte(`{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"a\nb"}`))
	f.Add(500, []byte(`<html>`))
	f.Add(200, []byte(`{"run":{"info":[]}}`))
	f.Fuzz(func(t *testing.T, status int, data []byte) {
		c := &client{url: "http://fake", http: &http.Client{Transport: saying{status, data}}}
		var no *refusal
		if _, err := c.experiment(t.Context(), "align"); err != nil && errors.As(err, &no) && no.text == "" {
			t.Error("a refusal without a reason")
		}
		if id, err := c.createRun(t.Context(), "1", "run", time.Time{}); err == nil && id == "" {
			t.Error("a run without an id")
		}
	})
}
