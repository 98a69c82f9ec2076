package rollout

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"testing"
)

// saying is a server that gives one answer to everything.
type saying []byte

func (s saying) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(s)), Header: http.Header{}}, nil
}

// A reply that is taken has tokens of the vocabulary, no more than were asked for, and
// ends with a stop id or where it was cut.
func FuzzReply(f *testing.F) {
	for _, s := range []string{
		`{"choices":[{"index":0,"token_ids":[5,6,2],"prompt_token_ids":[1,3],"finish_reason":"stop","stop_reason":2}]}`,
		`{"choices":[{"index":0,"token_ids":[],"prompt_token_ids":[1,3],"finish_reason":"stop","stop_reason":1e300}]}`,
		`{"choices":[{"index":1,"token_ids":[5]}]}`,
		`{"tokens":[5,6,7,8],"tokens_evaluated":2,"truncated":false,"stop_type":"limit"}`,
		`{"tokens":[-1],"tokens_evaluated":2}`, `{"tokens":[2147483647]}`, `{}`, `[]`,
	} {
		f.Add([]byte(s))
	}
	o := Options{Sampling: Sampling{Temperature: 1, TopP: 1, RepetitionPenalty: 1}, MaxNew: 4, Samples: 1, Stop: []int32{2}}
	a := ask{ids: []int32{1, 3}, maxNew: 4}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, w := range []wire{vllm{}, llamaCPP{}} {
			s := &Server{Vocab: 10, Attempts: 1, wire: w, address: "http://fake", client: http.Client{Transport: saying(data)}}
			got, err := s.draw(t.Context(), a, o)
			if err != nil {
				continue
			}
			last := len(got.IDs) - 1
			if last < 0 || last >= a.maxNew || slices.Min(got.IDs) < 0 || slices.Max(got.IDs) >= 10 {
				t.Errorf("%s: ids %v", w.name(), got.IDs)
			}
			if at := slices.Index(got.IDs, 2); at >= 0 && at != last || (at >= 0) != (got.Finish == FinishStop) {
				t.Errorf("%s: ids %v end by %s", w.name(), got.IDs, got.Finish)
			}
		}
	})
}

// FuzzModels: whatever a server says that it has, it is opened or refused.
func FuzzModels(f *testing.F) {
	f.Add([]byte(`{"data":[{"id":"m","owned_by":"vllm"}]}`))
	f.Add([]byte(`{"data":[{"id":"m","owned_by":"llamacpp"}],"meta":null}`))
	f.Add([]byte(`{"data":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &Server{Vocab: 10, Attempts: 1, client: http.Client{Transport: saying(data)}}
		if err := s.Open(t.Context(), "http://fake"); err == nil && s.wire == nil {
			t.Error("opened without a wire")
		}
	})
}
