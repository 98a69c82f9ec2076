package train_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"align/internal/checkpoint"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/optim"
	"align/internal/train"
)

// toy fits y = w x by least squares, one point per element of a batch.
type toy struct {
	backend     device.Backend
	value, grad device.View
	poison      int // step whose loss or gradient is NaN
	what        string
	bad         float64
	onStep      func(step int)
}

const toySize = 4

func newToy(t *testing.T) *toy {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F64})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	mem, err := b.Alloc(1024)
	if err != nil {
		t.Fatal(err)
	}
	y := &toy{backend: b, value: mem.At(0, device.F64, toySize, 1), grad: mem.At(512, device.F64, toySize, 1)}
	y.upload(y.value, []float64{1, -1, 2, 0.5})
	return y
}

func (y *toy) upload(v device.View, x []float64) {
	if err := y.backend.Upload(v, unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 8*len(x))); err != nil {
		panic(err)
	}
}

func (y *toy) download(v device.View) []float64 {
	x := make([]float64, v.Len())
	if err := y.backend.Download(unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 8*len(x)), v); err != nil {
		panic(err)
	}
	return x
}

func (y *toy) Buffers() (value, grad device.View) { return y.value, y.grad }

func (y *toy) Parts() ([]checkpoint.Part, error) {
	return []checkpoint.Part{{Name: "weights.json", Write: func(w io.Writer) error {
		bits := make([]uint64, toySize)
		for i, x := range y.download(y.value) {
			bits[i] = math.Float64bits(x)
		}
		return json.NewEncoder(w).Encode(bits)
	}}}, nil
}

func (y *toy) Restore(_ context.Context, c *checkpoint.Checkpoint) error {
	data, err := c.ReadFile("weights.json")
	if err != nil {
		return err
	}
	var bits []uint64
	if err := json.Unmarshal(data, &bits); err != nil {
		return err
	}
	x := make([]float64, toySize)
	for i, b := range bits {
		x[i] = math.Float64frombits(b)
	}
	y.upload(y.value, x)
	return nil
}

func (y *toy) Micro(step int, batch []float64, weight float64) (float64, train.Metrics, error) {
	w, g := y.download(y.value), y.download(y.grad)
	loss := 0.0
	for _, x := range batch {
		for i := range w {
			d := w[i]*x - float64(i)
			loss += d * d / weight
			g[i] += 2 * d * x / weight
		}
	}
	if step == y.poison && y.what == "gradient" {
		g[2] = y.bad
	}
	if step == y.poison && y.what == "loss" {
		loss = y.bad
	}
	y.upload(y.grad, g)
	if y.onStep != nil {
		y.onStep(step)
	}
	var m train.Metrics
	m.Add("points", float64(len(batch)), 1)
	return loss, m, nil
}

func (y *toy) Evaluate(context.Context) (train.Metrics, error) {
	var m train.Metrics
	m.Add("eval_w0", y.download(y.value)[0], 1)
	return m, nil
}

// points yields the same numbers for any division into micro-steps.
type points struct {
	Micros int `json:"-"`
	At     int `json:"at"`
}

func (p *points) Next() (train.Work[[]float64], error) {
	w := train.Work[[]float64]{Weight: 8, Tokens: 8, Epoch: float64(p.At) / 10}
	per := 8 / p.Micros
	for range p.Micros {
		var micro []float64
		for range per {
			p.At++
			micro = append(micro, math.Sin(float64(p.At)))
		}
		w.Micro = append(w.Micro, micro)
	}
	return w, nil
}

func (p *points) State() ([]byte, error)    { return json.Marshal(p) }
func (p *points) Restore(data []byte) error { return json.Unmarshal(data, p) }

// recorder keeps what a run reports.
type recorder struct {
	events []train.Event
	saved  []int
}

func (r *recorder) Stepped(e train.Event)    { r.events = append(r.events, e) }
func (r *recorder) Saved(_ string, step int) { r.saved = append(r.saved, step) }

func options(run string) train.Options {
	return train.Options{
		Method: "toy", Run: run, Steps: 20, SaveEvery: 5, Keep: 2, EvaluateEvery: 7,
		Schedule: optim.Schedule{Kind: "cosine", LearningRate: 0.05, Warmup: 3, Steps: 20},
		AdamW:    optim.Config{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.01, Clip: 1},
		Lineage:  map[string]string{"data": "abc"},
	}
}

func run(t *testing.T, o train.Options, y *toy, micros int, stop *train.Stop) (train.Result, *recorder, error) {
	t.Helper()
	r := &recorder{}
	result, err := train.Run(context.Background(), o, y.backend, y, &points{Micros: micros}, y, r, stop)
	return result, r, err
}

func mustRun(t *testing.T, o train.Options, y *toy, micros int, stop *train.Stop) (train.Result, *recorder) {
	t.Helper()
	result, r, err := run(t, o, y, micros, stop)
	if err != nil {
		t.Fatal(err)
	}
	return result, r
}

func readFile(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAResumedRunEqualsAnUninterruptedOne(t *testing.T) {
	whole, y := t.TempDir(), newToy(t)
	mustRun(t, options(whole), y, 2, nil)
	for at := 1; at < 20; at++ {
		part, first := t.TempDir(), newToy(t)
		stop := &train.Stop{}
		first.onStep = func(step int) {
			if step == at {
				stop.Ask(train.Interrupt)
			}
		}
		result, _ := mustRun(t, options(part), first, 2, stop)
		if result.Ended != train.Interrupt || result.Step != at {
			t.Fatalf("stopped at step %d by %v, want %d", result.Step, result.Ended, at)
		}
		o := options(part)
		o.Resume = true
		second := newToy(t)
		mustRun(t, o, second, 2, nil)
		if got, want := second.download(second.value), y.download(y.value); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("stopped at %d: values are %v, want %v", at, got, want)
		}
		if readFile(t, part, train.MetricsFile) != readFile(t, whole, train.MetricsFile) {
			t.Errorf("stopped at %d: the logs differ", at)
		}
		for _, name := range []string{train.OptimizerFile, train.StateFile} {
			path := filepath.Join("checkpoints", "step-000020", name)
			if readFile(t, part, path) != readFile(t, whole, path) {
				t.Errorf("stopped at %d: %s differs", at, name)
			}
		}
	}
}

func TestAResumeAfterACrashCutsTheLogBack(t *testing.T) {
	whole, part := t.TempDir(), t.TempDir()
	mustRun(t, options(whole), newToy(t), 2, nil)
	y := newToy(t)
	y.poison, y.what, y.bad = 13, "loss", math.NaN() // the newest checkpoint is of step 10
	if _, _, err := run(t, options(part), y, 2, nil); err == nil {
		t.Fatal("no error")
	}
	o := options(part)
	o.Resume = true
	mustRun(t, o, newToy(t), 2, nil)
	if readFile(t, part, train.MetricsFile) != readFile(t, whole, train.MetricsFile) {
		t.Error("the logs differ")
	}
}

// accumulationTolerance: the sums are the same numbers in another order.
const accumulationTolerance = 1e-12

func TestAccumulationDoesNotShow(t *testing.T) {
	one, eight := newToy(t), newToy(t)
	_, r1 := mustRun(t, options(t.TempDir()), one, 1, nil)
	_, r8 := mustRun(t, options(t.TempDir()), eight, 8, nil)
	for i, e := range r1.events {
		if math.Abs(e.Loss-r8.events[i].Loss) > accumulationTolerance {
			t.Errorf("event %d: loss %v and %v", i, e.Loss, r8.events[i].Loss)
		}
	}
}

func TestANumberThatIsNotFiniteStopsBeforeTheUpdate(t *testing.T) {
	whole := newToy(t)
	o := options(t.TempDir())
	o.Steps = 7 // the last good step; the schedule keeps its 20
	mustRun(t, o, whole, 2, nil)
	for _, what := range []string{"loss", "gradient"} {
		for _, number := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			dir, y := t.TempDir(), newToy(t)
			y.poison, y.what, y.bad = 8, what, number
			_, _, err := run(t, options(dir), y, 2, nil)
			var bad *train.ErrNotFinite
			if !errors.As(err, &bad) || bad.Step != 8 || !strings.Contains(bad.What, what) {
				t.Fatalf("%s %v: error is %v", what, number, err)
			}
			if got, want := y.download(y.value), whole.download(whole.value); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s %v: values are %v, want those of step 7: %v", what, number, got, want)
			}
			if c, err := checkpoint.Open(dir); err != nil || c.Step != 5 {
				t.Errorf("%s %v: newest checkpoint: %v, %v", what, number, c, err)
			}
		}
	}
}

func TestOldCheckpointsGo(t *testing.T) {
	dir := t.TempDir()
	_, r := mustRun(t, options(dir), newToy(t), 2, nil)
	if fmt.Sprint(r.saved) != "[5 10 15 20]" {
		t.Errorf("saved at %v", r.saved)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "checkpoints"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if fmt.Sprint(names) != "[step-000015 step-000020]" {
		t.Errorf("kept %v", names)
	}
}

func TestSaveNowGoesOn(t *testing.T) {
	stop, y := &train.Stop{}, newToy(t)
	y.onStep = func(step int) {
		if step == 3 {
			stop.Ask(train.SaveNow)
		}
	}
	result, r := mustRun(t, options(t.TempDir()), y, 2, stop)
	if result.Step != 20 || result.Ended != train.Continue || r.saved[0] != 3 {
		t.Errorf("ended %v at step %d, saved at %v", result.Ended, result.Step, r.saved)
	}
}

func TestResumingAnotherRunIsRefused(t *testing.T) {
	dir := t.TempDir()
	mustRun(t, options(dir), newToy(t), 2, nil)
	o := options(dir)
	o.Resume, o.Lineage = true, map[string]string{"data": "other"}
	if _, _, err := run(t, o, newToy(t), 2, nil); err == nil || !strings.Contains(err.Error(), "data") {
		t.Errorf("error is %v", err)
	}
}

// A run that began under draws of another name goes on, and says that its masks differ.
func TestResumingUnderOtherDrawsIsTold(t *testing.T) {
	for began, told := range map[string]int{"": 1, "new": 0} {
		dir, y := t.TempDir(), newToy(t)
		o := options(dir)
		if began != "" {
			o.Lineage[train.Draws] = began
		}
		o.Steps = 5
		mustRun(t, o, y, 2, nil)
		var notes []string
		o.Resume, o.Steps, o.Notes = true, 6, func(s string) { notes = append(notes, s) }
		o.Lineage = map[string]string{"data": "abc", train.Draws: "new"}
		mustRun(t, o, newToy(t), 2, nil)
		if got := strings.Count(strings.Join(notes, "\n"), "draws are new, they were philox4x32-10, 32 bits"); got != told {
			t.Errorf("began under %q: told %d times in %q", began, got, notes)
		}
	}
}

// A run goes on with other kernels, or in another precision, and says so; one of an
// earlier version, whose checkpoints do not name them, goes on in silence.
func TestResumingWithOtherKernelsIsTold(t *testing.T) {
	for _, c := range []struct{ began, now, want string }{
		{"", "avx2-f32", ""},
		{"avx2-f32", "avx2-f32", ""},
		{"avx512-f32", "avx2-f32", "the run began with avx512-f32 kernels: with avx2-f32 kernels its numbers may differ in the last bits"},
		{"avx2-f32", "avx2-bf16", "the run began with avx2-f32 kernels: with avx2-bf16 kernels its numbers may differ by rounding to bf16"},
	} {
		dir, y := t.TempDir(), newToy(t)
		o := options(dir)
		if c.began != "" {
			o.Lineage[train.Kernels] = c.began
		}
		o.Steps = 5
		mustRun(t, o, y, 2, nil)
		var notes []string
		o.Resume, o.Steps, o.Notes = true, 6, func(s string) { notes = append(notes, s) }
		o.Lineage = map[string]string{"data": "abc", train.Kernels: c.now}
		mustRun(t, o, newToy(t), 2, nil)
		if told := strings.Join(notes, "\n"); !strings.Contains(told, c.want) || c.want == "" && strings.Contains(told, "kernels") {
			t.Errorf("%q, then %q: told %q", c.began, c.now, told)
		}
	}
}

func TestEventsAreVersionedJSON(t *testing.T) {
	e := train.Event{Step: 3, Loss: 0.1, GradNorm: 2, LearningRate: 5e-6, NumTokens: 100, Epoch: 0.5}
	e.Metrics.Add("rewards/margins", 1, 4)
	want := `{"v":1,"step":3,"loss":0.1,"grad_norm":2,"learning_rate":5e-06,"num_tokens":100,"epoch":0.5,"rewards/margins":0.25}`
	if got := string(e.AppendJSON(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
