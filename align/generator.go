package align

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"align/internal/atomicfile"
	"align/internal/rollout"
	"align/internal/tokenizer"
	"align/internal/train"
	"align/model"
)

// generatorKey is the environment variable of the token that a generator is
// shown.
const generatorKey = "ALIGN_GENERATOR_KEY"

// openServer is the server at the address, held to the policy's tokens.
func openServer(ctx context.Context, address string, tok *tokenizer.Tokenizer, vocab int, stop []int32, sequences int, env Environment) (*rollout.Server, error) {
	s := &rollout.Server{Vocab: vocab, Concurrent: sequences, Key: os.Getenv(generatorKey), Notes: env.note}
	if err := s.Open(ctx, address); err != nil {
		return nil, err
	}
	var text strings.Builder
	for _, id := range stop {
		text.WriteString(tok.Text(id))
	}
	text.WriteString("Once there were 1234 plums, weren't there?\n\n")
	if err := s.CheckTokens(ctx, text.String(), tok.Encode(text.String(), false, true)); err != nil {
		return nil, err
	}
	env.note("generator: " + s.Name())
	return s, nil
}

// adapterServer has a server sample with an adapter in a folder, and says
// whether it took it.
func adapterServer(ctx context.Context, s *rollout.Server, m *model.Model, a *model.Adapter, folder string, env Environment) (taken bool, err error) {
	name, err := adapterName(m, a)
	if err != nil {
		return false, err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return false, err
	}
	err = s.LoadAdapter(ctx, name, folder)
	if errors.Is(err, rollout.ErrNoAdapters) {
		env.note(fmt.Sprintf("generator: it takes no adapter and must serve %s by itself; its answers are held to that", folder))
		return false, nil
	}
	return true, err
}

// adapterName tells an adapter from others by its values.
func adapterName(m *model.Model, a *model.Adapter) (string, error) {
	values, err := model.ReadFloat32s(m.Backend(), a.Value)
	return "align-" + hashFloats(values), err
}

// policyServer is a server that is given the policy, as it is at the time,
// before each rollout.
type policyServer struct {
	*rollout.Recomputed
	server *rollout.Server
	policy *train.LoRA
	// folder is where the policy is laid for the server to find.
	folder func() string
}

// openPolicyServer is the generator of ppo at an address.
func (s *stage) openPolicyServer(ctx context.Context, address, base string, stop []int32, sequences int) (*policyServer, error) {
	server, err := openServer(ctx, address, s.tokenizer, s.config.VocabSize, stop, sequences, s.env)
	if err != nil {
		return nil, err
	}
	if !server.TakesAdapters() {
		server.Close()
		return nil, fmt.Errorf("generator: %s cannot be given the policy as it learns, and answers of another policy are none of ppo's: take vLLM, or leave generator out", server.Name())
	}
	return &policyServer{
		Recomputed: &rollout.Recomputed{Generator: server, Model: s.model, Adapter: s.adapter, Hold: true},
		server:     server, policy: &train.LoRA{Model: s.model, Adapter: s.adapter, Base: base},
		folder: func() string { return filepath.Join(s.run, "generator") },
	}, nil
}

// Generate gives the server the policy and has it answer.
func (g *policyServer) Generate(ctx context.Context, prompts []rollout.Prompt, o rollout.Options, emit func(rollout.Sample) error) error {
	name, err := adapterName(g.policy.Model, g.policy.Adapter)
	if err != nil {
		return err
	}
	folder, err := filepath.Abs(filepath.Join(g.folder(), name))
	if err != nil {
		return err
	}
	if err := g.publish(folder); err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := g.server.LoadAdapter(ctx, name, folder); err != nil {
		return err
	}
	return g.Recomputed.Generate(ctx, prompts, o, emit)
}

// publish writes the policy as PEFT has it.
func (g *policyServer) publish(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	parts, err := g.policy.Parts()
	if err != nil {
		return err
	}
	for _, p := range parts {
		if err := atomicfile.WriteFile(filepath.Join(folder, p.Name), func(w io.Writer) error { return p.Write(w) }); err != nil {
			return err
		}
	}
	return nil
}
