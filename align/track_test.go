package align_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"align/align"
	"align/dpo"
	"align/internal/train"
)

// A run posts its settings and metrics to the server that --track names, has
// the same bytes as one that posts nothing, and outlives a server that refuses.
func TestARunIsTracked(t *testing.T) {
	var mu sync.Mutex
	var posted strings.Builder
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&posted, "%s %s\n", r.URL.Path, data)
		switch {
		case strings.HasSuffix(r.URL.Path, "get-by-name"):
			fmt.Fprint(w, `{"experiment":{"experiment_id":"3"}}`)
		case strings.HasSuffix(r.URL.Path, "runs/create"):
			fmt.Fprint(w, `{"run":{"info":{"run_id":"r1"}}}`)
		default:
			fmt.Fprint(w, `{}`)
		}
	}))
	defer server.Close()
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	c := dpo.DefaultConfig()
	c.Loss, c.Pairs = "kto", writeLines(t, "labelled.jsonl", labelledLines(8))
	c.Steps, c.Batch, c.EvalFraction, c.Rank = 2, 2, 0, 2
	var logs [][]byte
	for _, track := range []string{"", "mlflow:" + server.URL, "mlflow:" + refusing.URL} {
		c.Track, c.Out = track, t.TempDir()
		r := &recorder{}
		if _, err := align.DPO(context.Background(), c, nil, r.environment(t)); err != nil {
			t.Fatal(err)
		}
		logs = append(logs, readFile(t, c.Out, train.MetricsFile))
		if told := strings.Contains(strings.Join(r.notes, "\n"), "nothing more is sent"); told != (track == "mlflow:"+refusing.URL) {
			t.Errorf("%s: notes %s", track, r.notes)
		}
	}
	if !bytes.Equal(logs[0], logs[1]) || !bytes.Equal(logs[0], logs[2]) {
		t.Error("tracking changes the run")
	}
	for _, want := range []string{`"key":"beta","value":"0.1"`, `"key":"rewards/accuracies"`, `"step":2`, `"status":"FINISHED"`} {
		if !strings.Contains(posted.String(), want) {
			t.Errorf("%s was not posted", want)
		}
	}
}
