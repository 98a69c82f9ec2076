package rollout

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
)

// wire is what a kind of server understands.
type wire interface {
	name() string
	complete(ctx context.Context, s *Server, a ask, o Options) (reply, error)
	tokenize(ctx context.Context, s *Server, text string) ([]int32, error)
	load(ctx context.Context, s *Server, name, folder string) error
	unload(ctx context.Context, s *Server, name string)
}

// reply is one answer as it came.
type reply struct {
	ids    []int32
	reason string // as the server has it
}

// errNoIDs is why a server is refused.
var errNoIDs = errors.New("the server gives no token ids back, and text cannot be trusted with special tokens: want vLLM 0.10.2 or later (return_token_ids), or llama.cpp's server (return_tokens)")

// vllm is vLLM's /v1/completions with its additions: prompt as ids,
// return_token_ids, stop_token_ids.
type vllm struct{}

func (vllm) name() string { return "OpenAI-compatible" }

type vllmRequest struct {
	Model             string  `json:"model"`
	Prompt            []int32 `json:"prompt"`
	N                 int     `json:"n"`
	MaxTokens         int     `json:"max_tokens"`
	Temperature       float64 `json:"temperature"`
	TopP              float64 `json:"top_p"`
	TopK              int     `json:"top_k"`
	MinP              float64 `json:"min_p"`
	RepetitionPenalty float64 `json:"repetition_penalty"`
	PresencePenalty   float64 `json:"presence_penalty"`
	FrequencyPenalty  float64 `json:"frequency_penalty"`
	Seed              int64   `json:"seed"`
	StopTokenIDs      []int32 `json:"stop_token_ids"`
	ReturnTokenIDs    bool    `json:"return_token_ids"`
	SkipSpecialTokens bool    `json:"skip_special_tokens"`
	Stream            bool    `json:"stream"`
}

type vllmReply struct {
	Choices []struct {
		Index          int     `json:"index"`
		TokenIDs       []int32 `json:"token_ids"`
		PromptTokenIDs []int32 `json:"prompt_token_ids"`
		FinishReason   string  `json:"finish_reason"`
		StopReason     any     `json:"stop_reason"`
	} `json:"choices"`
}

func (vllm) complete(ctx context.Context, s *Server, a ask, o Options) (reply, error) {
	q := vllmRequest{
		Model: s.model, Prompt: a.ids, N: 1, MaxTokens: a.maxNew, Temperature: o.Temperature, TopP: o.TopP, TopK: o.TopK, MinP: o.MinP,
		RepetitionPenalty: o.RepetitionPenalty, Seed: int64(a.seed >> 1), StopTokenIDs: o.Stop, ReturnTokenIDs: true,
	}
	if q.TopK == 0 {
		q.TopK = -1 // off
	}
	var r vllmReply
	if err := s.call(ctx, http.MethodPost, "/v1/completions", q, &r); err != nil {
		return reply{}, err
	}
	for _, c := range r.Choices {
		if c.Index != 0 { // choices come in any order, and one was asked for
			continue
		}
		if c.TokenIDs == nil || c.PromptTokenIDs == nil {
			return reply{}, fmt.Errorf("rollout: generator %s: %w", s.address, errNoIDs)
		}
		if !slices.Equal(c.PromptTokenIDs, a.ids) {
			return reply{}, fmt.Errorf("rollout: generator %s answered another prompt than the one of %d tokens that it was given (%d tokens)", s.address, len(a.ids), len(c.PromptTokenIDs))
		}
		ids := c.TokenIDs
		// A stop id may be told apart from the tokens.
		if id, ok := c.StopReason.(float64); ok && c.FinishReason == "stop" && (len(ids) == 0 || float64(ids[len(ids)-1]) != id) {
			ids = append(ids, int32(id))
		}
		return reply{ids, c.FinishReason}, nil
	}
	return reply{}, fmt.Errorf("rollout: generator %s: %d choices came and none has the index 0", s.address, len(r.Choices))
}

func (vllm) tokenize(ctx context.Context, s *Server, text string) ([]int32, error) {
	q := struct {
		Model            string `json:"model"`
		Prompt           string `json:"prompt"`
		AddSpecialTokens bool   `json:"add_special_tokens"`
	}{s.model, text, false}
	return s.tokenize(ctx, q)
}

func (vllm) load(ctx context.Context, s *Server, name, folder string) error {
	q := struct {
		Name string `json:"lora_name"`
		Path string `json:"lora_path"`
	}{name, folder}
	err := s.call(ctx, http.MethodPost, "/v1/load_lora_adapter", q, nil)
	if isMissing(err) {
		return fmt.Errorf("rollout: generator %s: %w: start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=true", s.address, ErrNoAdapters)
	}
	return err
}

func (vllm) unload(ctx context.Context, s *Server, name string) {
	q := struct {
		Name string `json:"lora_name"`
	}{name}
	// An adapter that stays costs the server a place, not the run its result.
	_ = s.once(ctx, http.MethodPost, "/v1/unload_lora_adapter", q, nil)
}

// llamaCPP is llama.cpp's own /completion: its OpenAI form gives no ids back.
type llamaCPP struct{}

func (llamaCPP) name() string { return "llama.cpp" }

type llamaRequest struct {
	Prompt          []int32  `json:"prompt"`
	Predict         int      `json:"n_predict"`
	Temperature     float64  `json:"temperature"`
	TopK            int      `json:"top_k"`
	TopP            float64  `json:"top_p"`
	MinP            float64  `json:"min_p"`
	TypicalP        float64  `json:"typical_p"`
	RepeatPenalty   float64  `json:"repeat_penalty"`
	PresencePenalty float64  `json:"presence_penalty"`
	Frequency       float64  `json:"frequency_penalty"`
	RepeatLast      int      `json:"repeat_last_n"`
	DryMultiplier   float64  `json:"dry_multiplier"`
	XTCProbability  float64  `json:"xtc_probability"`
	Mirostat        int      `json:"mirostat"`
	Samplers        []string `json:"samplers"`
	Seed            uint32   `json:"seed"`
	CachePrompt     bool     `json:"cache_prompt"`
	ReturnTokens    bool     `json:"return_tokens"`
	Stream          bool     `json:"stream"`
}

type llamaReply struct {
	Tokens    []int32 `json:"tokens"`
	Evaluated *int    `json:"tokens_evaluated"`
	Truncated bool    `json:"truncated"`
	StopType  string  `json:"stop_type"`
}

func (llamaCPP) complete(ctx context.Context, s *Server, a ask, o Options) (reply, error) {
	q := llamaRequest{
		Prompt: a.ids, Predict: a.maxNew, Temperature: o.Temperature, TopK: o.TopK, TopP: o.TopP, MinP: o.MinP,
		TypicalP: 1, RepeatPenalty: o.RepetitionPenalty, RepeatLast: len(a.ids) + a.maxNew, // all of it
		// The engine's order: the cuts see what the temperature leaves.
		Samplers: []string{"penalties", "temperature", "top_k", "min_p", "top_p"},
		Seed:     uint32(a.seed % math.MaxUint32), // the largest means a random one
		// One prompt's answers share its keys and values.
		CachePrompt: true, ReturnTokens: true,
	}
	var r llamaReply
	if err := s.call(ctx, http.MethodPost, "/completion", q, &r); err != nil {
		return reply{}, err
	}
	switch {
	case len(r.Tokens) == 0:
		return reply{}, fmt.Errorf("rollout: generator %s: %w", s.address, errNoIDs)
	case r.Truncated:
		return reply{}, fmt.Errorf("rollout: generator %s: prompt and answer of %d tokens exceed the server's context", s.address, len(a.ids)+a.maxNew)
	case r.Evaluated != nil && *r.Evaluated != len(a.ids):
		return reply{}, fmt.Errorf("rollout: generator %s answered a prompt of %d tokens, it was given %d", s.address, *r.Evaluated, len(a.ids))
	}
	return reply{r.Tokens, r.StopType}, nil
}

func (llamaCPP) tokenize(ctx context.Context, s *Server, text string) ([]int32, error) {
	q := struct {
		Content      string `json:"content"`
		AddSpecial   bool   `json:"add_special"`
		ParseSpecial bool   `json:"parse_special"`
	}{text, false, true}
	return s.tokenize(ctx, q)
}

func (llamaCPP) load(_ context.Context, s *Server, _, _ string) error {
	return fmt.Errorf("rollout: generator %s: %w: llama.cpp's server has those that it was started with", s.address, ErrNoAdapters)
}

func (llamaCPP) unload(context.Context, *Server, string) {}

// tokenize asks /tokenize, which both kinds have.
func (s *Server) tokenize(ctx context.Context, request any) ([]int32, error) {
	var r struct {
		Tokens []int32 `json:"tokens"`
	}
	err := s.call(ctx, http.MethodPost, "/tokenize", request, &r)
	if isMissing(err) {
		return nil, fmt.Errorf("rollout: generator %s has no /tokenize, so that its special tokens cannot be held to the policy's: want vLLM's or llama.cpp's server", s.address)
	}
	return r.Tokens, err
}
