package rollout_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"align/internal/rollout"
)

// fakeServer answers as vLLM or llama.cpp would: with ids that hang on prompt
// and seed alone, ended by the stop id 2 or by the limit.
type fakeServer struct {
	owner string
	// fault may answer in the place of the n-th completion, counted from 1.
	fault func(n int, w http.ResponseWriter, r *http.Request) bool
	// change may turn a completion into another.
	change func(map[string]any)

	mu       sync.Mutex
	n        int
	adapters []string
	models   []string // of the completions
	none     []string // paths that are not there
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if slices.Contains(f.none, r.URL.Path) {
		http.NotFound(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	var q map[string]any
	_ = json.Unmarshal(body, &q) // GET has no body
	switch r.URL.Path {
	case "/v1/models":
		fmt.Fprintf(w, `{"data":[{"id":"first","owned_by":%q},{"id":"second","owned_by":%q}]}`, f.owner, f.owner)
	case "/tokenize":
		fmt.Fprint(w, `{"tokens":[2,7,9]}`)
	case "/v1/load_lora_adapter", "/v1/unload_lora_adapter":
		f.mu.Lock()
		defer f.mu.Unlock()
		f.adapters = append(f.adapters, fmt.Sprint(strings.TrimPrefix(r.URL.Path, "/v1/"), " ", q["lora_name"], " ", q["lora_path"]))
	case "/v1/completions", "/completion":
		f.complete(w, r, q)
	default:
		http.NotFound(w, r)
	}
}

func (f *fakeServer) complete(w http.ResponseWriter, r *http.Request, q map[string]any) {
	f.mu.Lock()
	f.n++
	n := f.n
	f.models = append(f.models, fmt.Sprint(q["model"]))
	f.mu.Unlock()
	if f.fault != nil && f.fault(n, w, r) {
		return
	}
	prompt := q["prompt"].([]any)
	limit, _ := q["max_tokens"].(float64)
	if f.owner == "llamacpp" {
		limit = q["n_predict"].(float64)
		if last, _ := q["repeat_last_n"].(float64); last < 0 { // as its server does since it checks what it is given
			http.Error(w, `{"error":"repeat_last_n must be 0 or more"}`, http.StatusBadRequest)
			return
		}
	}
	ids, reason := fakeAnswer(len(prompt), uint64(q["seed"].(float64)), int(limit))
	reply := map[string]any{"tokens": ids, "tokens_evaluated": len(prompt), "stop_type": reason, "truncated": false}
	if f.owner != "llamacpp" {
		reply = map[string]any{"choices": []any{map[string]any{"index": 0, "token_ids": ids, "prompt_token_ids": prompt, "finish_reason": reason}}}
	}
	if f.change != nil {
		f.change(reply)
	}
	_ = json.NewEncoder(w).Encode(reply)
}

// fakeAnswer has 1 to 6 tokens and the stop id, or as many as the limit lets.
func fakeAnswer(prompt int, seed uint64, limit int) ([]int, string) {
	var ids []int
	for i := range 1 + int(seed%6) {
		ids = append(ids, 10+(prompt+int(seed%97)+i)%50)
	}
	ids = append(ids, 2)
	if len(ids) > limit {
		return ids[:limit], "length"
	}
	return ids, "stop"
}

func serverOptions() rollout.Options {
	return rollout.Options{
		Sampling: rollout.Sampling{Temperature: 1, TopP: 1, RepetitionPenalty: 1}, MaxNew: 5, Samples: 3, Seed: 5, Stop: []int32{2, 411},
	}
}

// open starts the fake and a Server on it.
func (f *fakeServer) open(t *testing.T) *rollout.Server {
	t.Helper()
	h := httptest.NewServer(f)
	t.Cleanup(h.Close)
	s := &rollout.Server{Vocab: 512, Concurrent: 4, Timeout: 200 * time.Millisecond, Wait: time.Millisecond, Attempts: 4}
	if err := s.Open(context.Background(), h.URL+"/v1"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// drawn are all samples by prompt and index, and how it ended.
func drawn(g rollout.Generator, o rollout.Options) (map[[2]int]rollout.Sample, error) {
	all := map[[2]int]rollout.Sample{}
	err := g.Generate(context.Background(), prompts(), o, func(s rollout.Sample) error {
		all[[2]int{s.Prompt, s.Index}] = s
		return nil
	})
	return all, err
}

func TestAServersSamples(t *testing.T) {
	for _, owner := range []string{"vllm", "llamacpp"} {
		f := &fakeServer{owner: owner}
		s := f.open(t)
		all, err := drawn(s, serverOptions())
		if err != nil || len(all) != 12 {
			t.Fatalf("%s: %d samples, %v", owner, len(all), err)
		}
		finish := map[string]int{}
		for at, x := range all {
			if x.Prompt != at[0] || x.Index != at[1] || len(x.IDs) == 0 || len(x.IDs) > 5 {
				t.Errorf("%s: sample %v is %+v", owner, at, x)
			}
			if stopped := x.IDs[len(x.IDs)-1] == 2; stopped != (x.Finish == rollout.FinishStop) {
				t.Errorf("%s: %v ends with %s", owner, x.IDs, x.Finish)
			}
			finish[x.Finish]++
		}
		if finish[rollout.FinishStop] == 0 || finish[rollout.FinishLength] == 0 {
			t.Errorf("%s: the samples end as %v, want both ways", owner, finish)
		}
		if again, err := drawn(s, serverOptions()); err != nil || fmt.Sprint(again) != fmt.Sprint(all) {
			t.Errorf("%s: the same seed gives other samples, %v", owner, err)
		}
	}
}

func TestTheContextEndsAServersAnswer(t *testing.T) {
	for _, owner := range []string{"vllm", "llamacpp"} {
		s := (&fakeServer{owner: owner}).open(t)
		o := serverOptions()
		o.Context = 72 // 2 tokens beside the prompt of 70
		all, err := drawn(s, o)
		if err != nil {
			t.Fatalf("%s: %v", owner, err)
		}
		longest := map[int]int{}
		for at, x := range all {
			longest[at[0]] = max(longest[at[0]], len(x.IDs))
		}
		if longest[1] != 2 || longest[0] <= 2 {
			t.Errorf("%s: the longest answers have %v tokens, want 2 to the second prompt and more to the first", owner, longest)
		}
		o.Context = 70
		if _, err := drawn(s, o); err == nil {
			t.Errorf("%s: a prompt as long as the context: no error", owner)
		}
	}
}

func TestFaultsOfAServerDoNotShow(t *testing.T) {
	want, err := drawn((&fakeServer{owner: "vllm"}).open(t), serverOptions())
	if err != nil {
		t.Fatal(err)
	}
	every := func(k int, fault func(http.ResponseWriter, *http.Request)) func(int, http.ResponseWriter, *http.Request) bool {
		return func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n%k != 0 {
				return false
			}
			fault(w, r)
			return true
		}
	}
	for name, f := range map[string]*fakeServer{
		"429": {fault: every(3, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
		})},
		"500":  {fault: every(3, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })},
		"hang": {fault: every(5, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })},
		"cut body": {fault: every(3, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"choices":[{"index":0,"token_i`)
		})},
		"reordered choices": {change: func(r map[string]any) {
			other := map[string]any{"index": 1, "token_ids": []int{3, 2}, "prompt_token_ids": []int{1}, "finish_reason": "stop"}
			r["choices"] = append([]any{other}, r["choices"].([]any)...)
		}},
		"late replies": {fault: func(n int, _ http.ResponseWriter, _ *http.Request) bool {
			time.Sleep(time.Duration(n%3) * 5 * time.Millisecond)
			return false
		}},
		"stop id told apart": {change: func(r map[string]any) {
			c := r["choices"].([]any)[0].(map[string]any)
			if ids := c["token_ids"].([]int); c["finish_reason"] == "stop" {
				c["token_ids"], c["stop_reason"] = ids[:len(ids)-1], 2
			}
		}},
	} {
		f.owner = "vllm"
		got, err := drawn(f.open(t), serverOptions())
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %d samples, %v: want those of a server without faults", name, len(got), err)
		}
	}
}

func TestWhatCannotBeTrustedIsRefused(t *testing.T) {
	choice := func(key string, value any) func(map[string]any) {
		return func(r map[string]any) { r["choices"].([]any)[0].(map[string]any)[key] = value }
	}
	top := func(key string, value any) func(map[string]any) { return func(r map[string]any) { r[key] = value } }
	for _, c := range []struct {
		name, owner string
		change      func(map[string]any)
		want        string
	}{
		{"no ids", "vllm", choice("token_ids", nil), "cannot be trusted with special tokens"},
		{"another prompt", "vllm", choice("prompt_token_ids", []int{128000, 1, 2}), "answered another prompt"},
		{"no choice", "vllm", top("choices", []any{}), "0 choices"},
		{"an id outside", "vllm", choice("token_ids", []int{512, 2}), "outside the policy's 512"},
		{"too many", "vllm", choice("token_ids", []int{5, 5, 5, 5, 5, 5}), "6 tokens came for max_new 5"},
		{"another end", "vllm", choice("token_ids", []int{5, 77}), "no stop id of the policy"},
		{"empty", "vllm", choice("token_ids", []int{}), "has no tokens"},
		{"no ids", "llamacpp", top("tokens", []int{}), "cannot be trusted with special tokens"},
		{"a BOS more", "llamacpp", top("tokens_evaluated", 99), "answered a prompt of 99 tokens"},
		{"truncated", "llamacpp", top("truncated", true), "exceed the server's context"},
	} {
		f := &fakeServer{owner: c.owner, change: c.change}
		o := serverOptions()
		if _, err := drawn(f.open(t), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %s: error %v, want %q", c.owner, c.name, err, c.want)
		}
	}
	// A fault that stays is not tried again.
	f := &fakeServer{owner: "vllm", fault: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "max_tokens is too large\nand more", http.StatusBadRequest)
		return true
	}}
	o := serverOptions()
	o.Samples = 1
	err := f.open(t).Generate(context.Background(), prompts()[:1], o, func(rollout.Sample) error { return nil })
	if err == nil || !strings.HasSuffix(err.Error(), "400 Bad Request: max_tokens is too large") || f.n != 1 {
		t.Errorf("400: error %v after %d requests", err, f.n)
	}
}

func TestNothingDrawnIsLostWhenAServerDies(t *testing.T) {
	f := &fakeServer{owner: "vllm", fault: func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n > 6 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return n > 6
	}}
	s := f.open(t)
	part, err := drawn(s, serverOptions())
	if err == nil || !strings.Contains(err.Error(), "503 Service Unavailable") || !strings.Contains(err.Error(), "(4 attempts)") || len(part) != 6 {
		t.Fatalf("%d samples, want the 6 that were answered; error %v", len(part), err)
	}
	f.fault = nil
	var have [4][]int
	for at := range part {
		have[at[0]] = append(have[at[0]], at[1])
	}
	list := prompts()
	for i := range list {
		list[i].Have = have[i]
	}
	before := f.n
	err = s.Generate(context.Background(), list, serverOptions(), func(x rollout.Sample) error {
		part[[2]int{x.Prompt, x.Index}] = x
		return nil
	})
	whole, _ := drawn((&fakeServer{owner: "vllm"}).open(t), serverOptions())
	if err != nil || f.n-before != 6 || fmt.Sprint(part) != fmt.Sprint(whole) {
		t.Errorf("after %d more requests, %v: the samples differ from those of one go", f.n-before, err)
	}
}

func TestServersAreToldApart(t *testing.T) {
	f := &fakeServer{owner: "vllm"}
	h := httptest.NewServer(f)
	defer h.Close()
	ctx := context.Background()
	for _, c := range []struct{ address, want string }{
		{"localhost:8000", "want http://HOST:PORT"},
		{"ftp://host", "want http://HOST:PORT"},
		{h.URL + "#third", `no model "third": it lists first, second`},
		{"http://127.0.0.1:1", "connect"},
	} {
		s := &rollout.Server{Wait: time.Millisecond, Attempts: 2}
		if err := s.Open(ctx, c.address); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.address, err, c.want)
		}
	}
	s := &rollout.Server{Vocab: 512}
	if err := s.Open(ctx, h.URL+"#second"); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckTokens(ctx, "<|x|>y", []int32{2, 7, 9}); err != nil {
		t.Error(err)
	}
	if err := s.CheckTokens(ctx, "<|x|>y", []int32{1, 2, 7, 9}); err == nil || !strings.Contains(err.Error(), "another tokenizer") {
		t.Errorf("other ids: %v", err)
	}
	f.none = []string{"/tokenize"}
	if err := s.CheckTokens(ctx, "y", nil); err == nil || !strings.Contains(err.Error(), "has no /tokenize") {
		t.Errorf("no /tokenize: %v", err)
	}
}

func TestAServerIsGivenAdapters(t *testing.T) {
	f := &fakeServer{owner: "vllm"}
	s := f.open(t)
	ctx := context.Background()
	for _, name := range []string{"a", "a", "b"} {
		if err := s.LoadAdapter(ctx, name, "/run/"+name); err != nil {
			t.Fatal(err)
		}
		if _, err := drawn(s, serverOptions()); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	want := "[load_lora_adapter a /run/a load_lora_adapter b /run/b unload_lora_adapter a <nil> unload_lora_adapter b <nil>]"
	if got := fmt.Sprint(f.adapters); got != want {
		t.Errorf("calls %s, want %s", got, want)
	}
	if got := slices.Compact(f.models); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("sampled from %v, want the adapters", got)
	}
	for name, f := range map[string]*fakeServer{"llama.cpp": {owner: "llamacpp"}, "without the switch": {owner: "vllm", none: []string{"/v1/load_lora_adapter"}}} {
		if err := f.open(t).LoadAdapter(ctx, "a", "/run/a"); err == nil || !strings.Contains(err.Error(), rollout.ErrNoAdapters.Error()) {
			t.Errorf("%s: error %v, want %v", name, err, rollout.ErrNoAdapters)
		}
	}
}

// cutting is the engine with another temperature than the one that is said.
type cutting struct{ *rollout.Engine }

func (c cutting) Generate(ctx context.Context, p []rollout.Prompt, o rollout.Options, emit func(rollout.Sample) error) error {
	o.Temperature = 0.7
	return c.Engine.Generate(ctx, p, o, emit)
}

func TestRecomputedEqualsTheEngine(t *testing.T) {
	m := stories(t)
	o := options()
	o.Samples = 40
	want := generate(t, newEngine(t, m, 16), prompts(), o)
	r := &rollout.Recomputed{Generator: newEngine(t, m, 16), Model: m}
	got, err := drawn(r, o)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d samples, %v", len(got), err)
	}
	for at, w := range want {
		for i, l := range got[at].LogProbs {
			if math.Abs(l-w.LogProbs[i]) > 1e-4 {
				t.Fatalf("sample %v, token %d: %v recomputed, %v drawn", at, i, l, w.LogProbs[i])
			}
		}
	}
	if err := r.Surprise.Check(); err != nil || r.Surprise.Answers != 160 {
		t.Errorf("the policy's own answers: %v (%d)", err, r.Surprise.Answers)
	}
	other := &rollout.Recomputed{Generator: cutting{newEngine(t, m, 16)}, Model: m}
	if _, err := drawn(other, o); err != nil {
		t.Fatal(err)
	}
	if err := other.Surprise.Check(); err == nil || !strings.Contains(err.Error(), "not the policy's") {
		t.Errorf("answers at another temperature: %v, off by %v", err, other.Surprise.PerToken())
	}
}
