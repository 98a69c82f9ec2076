package align_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"align/align"
	"align/internal/basemodel"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/rollout"
	"align/internal/runfolder"
	"align/internal/tokenizer"
	"align/internal/train"
	"align/model"
	"align/ppo"
	"align/rejection"
)

// policyHost is a vLLM server in little: it samples from the model inside the
// program with the adapter that it was given last.
type policyHost struct {
	t         *testing.T
	mu        sync.Mutex
	model     *model.Model
	tokenizer *tokenizer.Tokenizer
	adapter   *model.Adapter
	engine    *rollout.Engine // with the adapter
	// stale hosts say yes to an adapter and sample without it; llama is
	// llama.cpp's server, dies after so many answers (0: never).
	stale, llama bool
	dies         int
	loads, drawn int
}

// host starts one.
func host(t *testing.T, h *policyHost) string {
	t.Helper()
	t.Setenv("ALIGN_CACHE", t.TempDir())
	path, err := basemodel.Resolve("builtin:tiny")
	if err != nil {
		t.Fatal(err)
	}
	if h.tokenizer, err = basemodel.OpenTokenizer(path); err != nil {
		t.Fatal(err)
	}
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if h.model, err = model.Load(path, b, device.F32, nil); err != nil {
		t.Fatal(err)
	}
	h.t = t
	h.serve()
	t.Cleanup(func() { h.engine.Close() })
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func (h *policyHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var q struct {
		Prompt      json.RawMessage `json:"prompt"`
		Content     string          `json:"content"`
		Path        string          `json:"lora_path"`
		MaxTokens   int             `json:"max_tokens"`
		Predict     int             `json:"n_predict"`
		Temperature float64         `json:"temperature"`
		Stop        []int32         `json:"stop_token_ids"`
		Seed        uint64          `json:"seed"`
	}
	_ = json.NewDecoder(r.Body).Decode(&q) // GET has no body
	owner := "vllm"
	if h.llama {
		owner = "llamacpp"
	}
	var answer any
	switch r.URL.Path {
	case "/v1/models":
		answer = map[string]any{"data": []any{map[string]string{"id": "tiny", "owned_by": owner}}}
	case "/tokenize":
		text := q.Content
		_ = json.Unmarshal(q.Prompt, &text) // llama.cpp's has none
		answer = map[string]any{"tokens": h.tokenizer.Encode(text, false, true)}
	case "/v1/load_lora_adapter":
		h.loads++
		if !h.stale {
			h.load(q.Path)
		}
	case "/v1/completions", "/completion":
		if h.dies > 0 && h.drawn >= h.dies {
			http.Error(w, "gone", http.StatusNotImplemented)
			return
		}
		var ids []int32
		if err := json.Unmarshal(q.Prompt, &ids); err != nil {
			h.t.Error(err)
		}
		s := h.draw(ids, rollout.Options{
			Sampling: rollout.Sampling{Temperature: q.Temperature, TopP: 1, RepetitionPenalty: 1},
			MaxNew:   q.MaxTokens + q.Predict, Samples: 1, Seed: q.Seed, Stop: append(q.Stop, h.model.Config.EOS...),
		})
		answer = map[string]any{"choices": []any{map[string]any{"index": 0, "token_ids": s.IDs, "prompt_token_ids": ids, "finish_reason": s.Finish}}}
		if h.llama {
			answer = map[string]any{"tokens": s.IDs, "tokens_evaluated": len(ids), "stop_type": s.Finish}
		}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (h *policyHost) load(folder string) {
	a, values, err := model.ReadAdapter(folder, h.model.Config)
	if err == nil {
		err = h.model.AllocAdapter(a, values)
	}
	if err != nil {
		h.t.Error(err)
	}
	h.adapter = a
	h.engine.Close()
	h.serve()
}

// serve makes the engine.
func (h *policyHost) serve() {
	e, err := rollout.New(h.model, h.adapter, rollout.Limits{Prompt: 64, Answer: 64, Sequences: 1})
	if err != nil {
		h.t.Fatal(err)
	}
	h.engine = e
}

func (h *policyHost) draw(ids []int32, o rollout.Options) (s rollout.Sample) {
	err := h.engine.Generate(context.Background(), []rollout.Prompt{{IDs: ids}}, o, func(x rollout.Sample) error { s = x; return nil })
	if err != nil {
		h.t.Error(err)
	}
	h.drawn++
	return s
}

func sumPrompts(t *testing.T, n int) string {
	var list []map[string]string
	for i := range n {
		list = append(list, map[string]string{"prompt": "What is " + string(rune('1'+i%9)) + " + " + string(rune('1'+i/9)) + "?", "reference": "3"})
	}
	return writeLines(t, "prompts.jsonl", list)
}

func serverPPO(t *testing.T, address string) ppo.Config {
	c := ppo.DefaultConfig()
	c.Model, c.Prompts, c.Scorer, c.Generator = "builtin:tiny", sumPrompts(t, 24), "length:30", address
	c.Rollout, c.K, c.Batch, c.MaxNew, c.Steps, c.PPOEpochs, c.LearningRate = 24, 2, 48, 24, 4, 2, 3e-3
	c.Out, c.Precision, c.Seed = filepath.Join(t.TempDir(), "run"), "f32", 7
	return c
}

func TestPPOByAServerThatIsGivenThePolicy(t *testing.T) {
	h := &policyHost{}
	c := serverPPO(t, host(t, h))
	r := &recorder{}
	if _, err := align.PPO(context.Background(), c, nil, r.environment(t)); err != nil {
		t.Fatal(err)
	}
	if h.loads != 2 || h.drawn != 96 {
		t.Errorf("the server was given %d policies and drew %d answers, want one per rollout and 96", h.loads, h.drawn)
	}
	if left, _ := os.ReadDir(filepath.Join(c.Out, "generator")); len(left) > 0 {
		t.Errorf("%v are left of the policies that were handed over", left)
	}
}

// A server that dies in the second rollout loses no more than that rollout: the
// run goes on from its checkpoint, to the bytes of one that was not interrupted.
func TestPPOByAServerThatDies(t *testing.T) {
	notUnderRaces(t)
	explicit := []string{"learning_rate"} // not derived for the model inside the program
	whole := serverPPO(t, host(t, &policyHost{}))
	if _, err := align.PPO(context.Background(), whole, explicit, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	h := &policyHost{dies: 60}
	c := serverPPO(t, host(t, h))
	c.SaveEvery = train.EverySteps(2)
	if _, err := align.PPO(context.Background(), c, explicit, (&recorder{}).environment(t)); err == nil || !strings.Contains(err.Error(), "501 Not Implemented: gone") {
		t.Fatalf("a dead server: %v", err)
	}
	h.dies = 0
	c.Resume = true
	if _, err := align.PPO(context.Background(), c, explicit, (&recorder{}).environment(t)); err != nil {
		t.Fatal(err)
	}
	if h.drawn != 60+48 {
		t.Errorf("%d answers were drawn in all, want the second rollout's 48 after the 60", h.drawn)
	}
	const last = "checkpoints/step-000004/adapter_model.safetensors"
	if !bytes.Equal(readFile(t, c.Out, last), readFile(t, whole.Out, last)) {
		t.Error("the adapter differs from an uninterrupted run's")
	}
}

func TestPPOWantsThePolicysOwnAnswers(t *testing.T) {
	notUnderRaces(t)
	stale := serverPPO(t, host(t, &policyHost{stale: true}))
	stale.Steps, stale.PPOEpochs, stale.LearningRate, stale.KLCoef = 24, 4, 3e-2, 0
	if _, err := align.PPO(context.Background(), stale, nil, (&recorder{}).environment(t)); err == nil || !strings.Contains(err.Error(), "the answers are not the policy's") {
		t.Errorf("a server that keeps its weights: %v", err)
	}
	fixed := serverPPO(t, host(t, &policyHost{llama: true}))
	if _, err := align.PPO(context.Background(), fixed, nil, (&recorder{}).environment(t)); err == nil || !strings.Contains(err.Error(), "cannot be given the policy as it learns") {
		t.Errorf("llama.cpp's server: %v", err)
	}
	if _, err := os.Stat(fixed.Out); err == nil {
		t.Error("a run was begun")
	}
}

func serverRejection(t *testing.T, address string) rejection.Config {
	c := rejection.DefaultConfig()
	c.Model, c.Prompts, c.Scorer, c.Generator = "builtin:tiny", sumPrompts(t, 12), "length:30", address
	c.K, c.MaxNew, c.Out, c.Precision = 4, 24, filepath.Join(t.TempDir(), "job"), "f32"
	return c
}

// A server that dies half-way loses nothing: the job goes on with what is
// missing, to the files of one that was not interrupted.
func TestRejectionByAServerThatDies(t *testing.T) {
	for _, llama := range []bool{false, true} {
		whole := serverRejection(t, host(t, &policyHost{llama: llama}))
		if _, err := align.Rejection(context.Background(), whole, (&recorder{}).environment(t)); err != nil {
			t.Fatal(err)
		}
		h := &policyHost{llama: llama, dies: 20}
		c := serverRejection(t, host(t, h))
		_, err := align.Rejection(context.Background(), c, (&recorder{}).environment(t))
		if err == nil || !strings.Contains(err.Error(), "501 Not Implemented: gone") {
			t.Fatalf("a dead server: %v", err)
		}
		if n := bytes.Count(readFile(t, c.Out, "journal.jsonl"), []byte(`"ids"`)); n != 20 {
			t.Errorf("%d samples are kept, want the 20 that were drawn", n)
		}
		h.dies = 0
		c.Resume = true
		if _, err := align.Rejection(context.Background(), c, (&recorder{}).environment(t)); err != nil || h.drawn != 48 {
			t.Fatalf("resumed: %v, %d drawn in all, want 48", err, h.drawn)
		}
		for _, name := range []string{"samples.jsonl", "sft.jsonl", "pairs.jsonl"} {
			if !bytes.Equal(readFile(t, c.Out, name), readFile(t, whole.Out, name)) {
				t.Errorf("llama.cpp %v: %s differs from an uninterrupted job's", llama, name)
			}
		}
	}
}

// Where a server cannot be given the adapter, its answers must be the adapter's.
func TestRejectionHoldsAServerToTheAdapter(t *testing.T) {
	notUnderRaces(t)
	h := &policyHost{llama: true}
	address := host(t, h)
	learner := serverPPO(t, "")
	learner.Steps, learner.LearningRate, learner.KLCoef = 8, 3e-2, 0
	run, err := align.PPO(context.Background(), learner, nil, (&recorder{}).environment(t))
	if err != nil || run.Ended != train.Continue {
		t.Fatal(err)
	}
	c := serverRejection(t, address)
	c.Adapter, c.K = run.Run, 16
	if _, err := align.Rejection(context.Background(), c, (&recorder{}).environment(t)); err == nil || !strings.Contains(err.Error(), "the answers are not the policy's") {
		t.Errorf("a server without the adapter: %v", err)
	}
	folder, err := runfolder.AdapterFolder(run.Run)
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock() // a request of the run that stopped may still be answered
	h.load(folder)
	h.mu.Unlock()
	c.Out = filepath.Join(t.TempDir(), "job")
	if _, err := align.Rejection(context.Background(), c, (&recorder{}).environment(t)); err != nil {
		t.Errorf("a server with it: %v", err)
	}
}
