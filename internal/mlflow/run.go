package mlflow

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"
)

// Param is a setting of the run.
type Param struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Metric is a number at a step.
type Metric struct {
	Key       string  `json:"key"`
	Value     float64 `json:"value"`
	Timestamp int64   `json:"timestamp"` // ms since 1970
	Step      int     `json:"step"`
}

// How a run ended, in MLflow's words.
const (
	Finished = "FINISHED"
	Failed   = "FAILED"
	Killed   = "KILLED"
)

// Limits of the server's API, and ours.
const (
	maxMetrics = 1000 // of a log-batch
	maxParams  = 100  // of a log-batch
	maxValue   = 500  // characters of a param
	maxQueued  = 20000
)

// Options are the times of a Run; zero values are the usual ones.
type Options struct {
	// Wait is between two posts and before the first retry, which doubles up to
	// MaxWait; Timeout is of one request; Flush is how long Close waits.
	Wait, MaxWait, Timeout, Flush time.Duration
}

func (o *Options) fill() {
	for _, d := range []struct {
		of    *time.Duration
		usual time.Duration
	}{{&o.Wait, time.Second}, {&o.MaxWait, 30 * time.Second}, {&o.Timeout, 10 * time.Second}, {&o.Flush, 10 * time.Second}} {
		if *d.of == 0 {
			*d.of = d.usual
		}
	}
}

// Run posts in a goroutine of its own.
type Run struct {
	target  Target
	name    string
	client  client
	options Options
	note    func(string)
	started time.Time
	params  []Param

	mu      sync.Mutex
	queue   []Metric
	dropped int
	status  string // of the end, once Close is called

	wake, done chan struct{}
	cancel     context.CancelFunc

	// Of the goroutine alone.
	id     string
	failed bool // the last try did
	last   error
}

// Open starts a run of the name. It does not wait for the server.
func Open(t Target, name string, params []Param, o Options, note func(string)) *Run {
	o.fill()
	ctx, cancel := context.WithCancel(context.Background())
	r := &Run{
		target: t, name: name, client: client{t.URL, &http.Client{Timeout: o.Timeout}, o.Wait}, options: o, note: note,
		started: time.Now(), params: params, wake: make(chan struct{}, 1), done: make(chan struct{}), cancel: cancel,
	}
	go r.post(ctx)
	return r
}

// Add queues metrics of a step; those that are not finite are left out, for
// JSON has no such numbers.
func (r *Run) Add(step int, names []string, values []float64) {
	now := time.Now().UnixMilli()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, name := range names {
		if v := values[i]; !math.IsNaN(v) && !math.IsInf(v, 0) {
			r.queue = append(r.queue, Metric{name, v, now, step})
		}
	}
	if over := len(r.queue) - maxQueued; over > 0 {
		r.queue, r.dropped = append(r.queue[:0], r.queue[over:]...), r.dropped+over
	}
}

// Close sends what is left, ends the run with the status and gives up after the
// time of the options.
func (r *Run) Close(status string) {
	r.mu.Lock()
	r.status = status
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
	giveUp := time.AfterFunc(r.options.Flush, r.cancel)
	<-r.done
	giveUp.Stop()
	r.cancel()
	if n := len(r.queue) + r.dropped; n > 0 {
		why := ""
		if r.last != nil {
			why = fmt.Sprintf(" (%v)", r.last)
		}
		r.note(fmt.Sprintf("mlflow: %d metrics were not sent to %s%s; metrics.jsonl has all of them", n, r.target.URL, why))
	}
}

// post sends until the end, or until the server refuses.
func (r *Run) post(ctx context.Context) {
	defer close(r.done)
	wait := r.options.Wait
	for {
		ended, err := r.turn(ctx)
		var no *refusal
		r.last = err
		switch {
		case errors.As(err, &no):
			r.note(fmt.Sprintf("mlflow: %v: nothing more is sent to %s, the run goes on", err, r.target.URL))
			return
		case err != nil && ctx.Err() != nil:
			return
		case err != nil:
			if !r.failed {
				r.note(fmt.Sprintf("mlflow: %s is not reached, trying again: %v", r.target.URL, err))
			}
			r.failed = true
			wait = min(2*wait, r.options.MaxWait)
		case ended:
			return
		default:
			r.failed, wait = false, r.options.Wait
		}
		select {
		case <-time.After(wait):
		case <-r.wake:
			wait = r.options.Wait
		case <-ctx.Done():
			return
		}
	}
}

// turn makes the run where that is still to do, and sends what is queued;
// ended says that the run was ended too.
func (r *Run) turn(ctx context.Context) (ended bool, err error) {
	if r.id == "" {
		if err := r.create(ctx); err != nil {
			return false, err
		}
	}
	for len(r.params) > 0 {
		n := min(len(r.params), maxParams)
		if err := r.batch(ctx, map[string]any{"run_id": r.id, "params": r.params[:n]}); err != nil {
			return false, err
		}
		r.params = r.params[n:]
	}
	for {
		r.mu.Lock()
		part := append([]Metric(nil), r.queue[:min(len(r.queue), maxMetrics)]...)
		dropped, status := r.dropped, r.status
		r.mu.Unlock()
		if len(part) == 0 {
			if status == "" {
				return false, nil
			}
			return true, r.end(ctx, status)
		}
		if err := r.batch(ctx, map[string]any{"run_id": r.id, "metrics": part}); err != nil {
			return false, err
		}
		r.mu.Lock()
		gone := r.dropped - dropped // meanwhile, from the front
		r.queue = append(r.queue[:0], r.queue[max(0, len(part)-gone):]...)
		r.dropped -= min(gone, len(part)) // they were sent
		r.mu.Unlock()
	}
}

func (r *Run) create(ctx context.Context) error {
	experiment, err := r.client.experiment(ctx, r.target.Experiment)
	if err != nil {
		return err
	}
	if r.id, err = r.client.createRun(ctx, experiment, r.name, r.started); err != nil {
		return err
	}
	for i := range r.params {
		r.params[i].Value = cut(r.params[i].Value)
	}
	r.note(fmt.Sprintf("mlflow: run %s of experiment %s at %s", r.id, r.target.Experiment, r.target.URL))
	return nil
}

func (r *Run) batch(ctx context.Context, body map[string]any) error {
	return r.client.call(ctx, http.MethodPost, "runs/log-batch", body, nil)
}

func (r *Run) end(ctx context.Context, status string) error {
	return r.client.call(ctx, http.MethodPost, "runs/update", map[string]any{
		"run_id": r.id, "status": status, "end_time": time.Now().UnixMilli(),
	}, nil)
}

// cut bounds a value in characters.
func cut(value string) string {
	runes := []rune(value)
	return string(runes[:min(len(runes), maxValue)])
}
