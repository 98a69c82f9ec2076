package mlflow

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is MLflow as far as we use it; fault may answer in its place.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	calls   int
	fault   func(call int, w http.ResponseWriter) bool
	metrics []Metric
	params  map[string]string
	status  string
	auth    string
	made    string // experiment
}

func newServer(t *testing.T, fault func(call int, w http.ResponseWriter) bool) *server {
	s := &server{fault: fault, params: map[string]string{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Server.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.auth = r.Header.Get("Authorization")
	if s.fault != nil && s.fault(s.calls, w) {
		return
	}
	data, _ := io.ReadAll(r.Body)
	var in struct {
		Name    string   `json:"name"`
		Metrics []Metric `json:"metrics"`
		Params  []Param  `json:"params"`
		Status  string   `json:"status"`
	}
	if len(data) > 0 && json.Unmarshal(data, &in) != nil || len(in.Metrics) > maxMetrics || len(in.Params) > maxParams {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	switch strings.TrimPrefix(r.URL.Path, "/api/2.0/mlflow/") {
	case "experiments/get-by-name":
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"none"}`)
	case "experiments/create":
		s.made = in.Name
		fmt.Fprint(w, `{"experiment_id":"7"}`)
	case "runs/create":
		fmt.Fprint(w, `{"run":{"info":{"run_id":"abc"}}}`)
	case "runs/log-batch":
		s.metrics = append(s.metrics, in.Metrics...)
		for _, p := range in.Params {
			s.params[p.Key] = p.Value
		}
		fmt.Fprint(w, `{}`)
	case "runs/update":
		s.status = in.Status
		fmt.Fprint(w, `{}`)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

var quick = Options{Wait: time.Millisecond, MaxWait: 4 * time.Millisecond, Timeout: time.Second, Flush: 2 * time.Second}

// log posts n steps of two metrics and returns the notes.
func log(t *testing.T, url string, o Options, n int) string {
	t.Helper()
	target, err := ParseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var notes []string
	r := Open(target, "first", []Param{{"beta", "0.1"}, {"long", strings.Repeat("ä", 900)}}, o, func(s string) {
		mu.Lock()
		defer mu.Unlock()
		notes = append(notes, s)
	})
	for step := range n {
		r.Add(step+1, []string{"loss", "rewards/margins", "bad"}, []float64{1 / float64(step+1), float64(step), math.NaN()})
	}
	r.Close(Finished)
	return strings.Join(notes, "\n")
}

func TestARunIsPosted(t *testing.T) {
	t.Setenv(EnvUser, "tim")
	t.Setenv(EnvPassword, "secret")
	s := newServer(t, nil)
	notes := log(t, s.URL+"#mine", quick, 1200)
	if len(s.metrics) != 2400 || s.status != Finished || s.made != "mine" || s.params["beta"] != "0.1" {
		t.Errorf("%d metrics, status %q, experiment %q, params %v", len(s.metrics), s.status, s.made, s.params)
	}
	if n := len([]rune(s.params["long"])); n != maxValue {
		t.Errorf("a long value has %d characters", n)
	}
	if m := s.metrics[2399]; m.Key != "rewards/margins" || m.Step != 1200 || m.Value != 1199 || m.Timestamp == 0 {
		t.Errorf("the last metric is %+v", m)
	}
	if !strings.HasPrefix(s.auth, "Basic ") || strings.Contains(notes, "secret") || !strings.Contains(notes, "run abc of experiment mine") {
		t.Errorf("authorization %q, notes %s", s.auth, notes)
	}
	t.Setenv(EnvToken, "tok")
	log(t, s.URL, quick, 1)
	if s.auth != "Bearer tok" || s.made != DefaultExperiment {
		t.Errorf("authorization %q, experiment %q", s.auth, s.made)
	}
}

// A server that fails now and then, or does not answer, gets everything once.
func TestFaultsThatPass(t *testing.T) {
	for name, fault := range map[string]func(int, http.ResponseWriter) bool{
		"503":       func(call int, w http.ResponseWriter) bool { return call%2 == 1 && status(w, 503) },
		"429":       func(call int, w http.ResponseWriter) bool { return call < 4 && status(w, 429) },
		"cut short": func(call int, w http.ResponseWriter) bool { return call == 3 && hangUp(w) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, fault)
			notes := log(t, s.URL, quick, 10)
			if len(s.metrics) != 20 || s.status != Finished {
				t.Errorf("%d metrics, status %q: %s", len(s.metrics), s.status, notes)
			}
		})
	}
}

func status(w http.ResponseWriter, code int) bool {
	w.WriteHeader(code)
	return true
}

func hangUp(w http.ResponseWriter) bool {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// A server that refuses, is not there, or hangs costs a note and no more.
func TestFaultsThatStay(t *testing.T) {
	refusing := newServer(t, func(_ int, w http.ResponseWriter) bool { return status(w, 401) })
	other := newServer(t, func(_ int, w http.ResponseWriter) bool { fmt.Fprint(w, "<html>"); return true })
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hanging.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	// Who hangs or is gone is asked again until Close waits no longer: long enough for a
	// slow machine's first try, and well below the ten seconds that it waits by itself.
	unanswered := quick
	unanswered.Flush, unanswered.Timeout = 500*time.Millisecond, 10*time.Millisecond
	const most = 5 * time.Second
	for url, c := range map[string]struct {
		options Options
		want    string
	}{
		refusing.URL: {quick, "401 Unauthorized: nothing more is sent"},
		other.URL:    {quick, "the answer is not MLflow's"},
		hanging.URL:  {unanswered, "Client.Timeout exceeded"},
		gone.URL:     {unanswered, "is not reached, trying again"},
	} {
		began := time.Now()
		notes := log(t, url, c.options, 3)
		if !strings.Contains(notes, c.want) || !strings.Contains(notes, "6 metrics were not sent to "+url+" (") {
			t.Errorf("%s: notes are %s, want %s", url, notes, c.want)
		}
		if took := time.Since(began); took > most {
			t.Errorf("%s: took %v", url, took)
		}
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	o := quick
	o.Flush = 20 * time.Millisecond
	notes := log(t, gone.URL, o, maxQueued)
	if !strings.Contains(notes, fmt.Sprintf("%d metrics were not sent", 2*maxQueued)) {
		t.Error(notes)
	}
}

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]string{
		"http://h:5000/": "http://h:5000 align", "https://h/ml/flow#a b": "https://h/ml/flow a b",
	} {
		got, err := ParseTarget(text)
		if err != nil || got.URL+" "+got.Experiment != want {
			t.Errorf("%s is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "h:5000", "ftp://h", "http://", "http://a:b@h", "http://h?x=1", "http://%zz"} {
		if _, err := ParseTarget(text); err == nil || strings.Contains(err.Error(), "a:b") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
