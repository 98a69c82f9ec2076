package align

import (
	"context"
	"fmt"
	"math"

	"align/datasets"
	"align/internal/basemodel"
	"align/internal/compute"
	"align/model"
)

// Scored is the score of one example: the log-probability of each target in
// nats, their sum and their number.
type Scored struct {
	LogProbs []float64 `json:"logprobs"`
	Sum      float64   `json:"sum"`
	Count    int       `json:"count"`
}

// scorer runs examples in packs and deals the targets' log-probabilities back
// to them.
type scorer struct {
	model   *model.Model
	adapter *model.Adapter
	forward *forward
	pack    datasets.Pack
	emit    func(Scored) error
}

// scoreTokens is about how many tokens a pack of the scorer holds.
const scoreTokens = 2048

// run scores the examples in their order.
func (s *scorer) run(ctx context.Context, examples []datasets.Example) error {
	defer s.close()
	for from := 0; from < len(examples); {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.pack.Reset()
		to := from
		for to < len(examples) && (to == from || len(s.pack.IDs)+len(examples[to].IDs) <= scoreTokens) {
			s.pack.AddExample(examples[to], 0)
			to++
		}
		if err := s.scorePack(examples[from:to]); err != nil {
			return err
		}
		from = to
	}
	return nil
}

func (s *scorer) close() {
	if s.forward != nil {
		s.forward.session.Close()
	}
}

// scorePack scores the pack, which holds the examples.
func (s *scorer) scorePack(examples []datasets.Example) error {
	var logProbs []float64
	if len(s.pack.Rows) > 0 {
		var err error
		if logProbs, err = s.logProbs(); err != nil {
			return fmt.Errorf("%s: %d tokens: %w", examples[0].Place, len(s.pack.IDs), err)
		}
	}
	at := 0
	for i, n := range s.pack.Tokens {
		one := Scored{LogProbs: logProbs[at : at+int(n)], Count: int(n)}
		for _, x := range one.LogProbs {
			one.Sum += x
		}
		at += int(n)
		if err := checkLogProb(examples[i].Place, one.Sum); err != nil {
			return err
		}
		if err := s.emit(one); err != nil {
			return err
		}
	}
	return nil
}

// checkLogProb refuses what a model gives whose numbers are none.
func checkLogProb(place string, logProb float64) error {
	if math.IsNaN(logProb) || math.IsInf(logProb, 0) {
		return fmt.Errorf("%s: the log-probability is %v, from weights that are no numbers or activations too large for the precision", place, logProb)
	}
	return nil
}

// logProbs runs the pack.
func (s *scorer) logProbs() ([]float64, error) {
	if err := model.Grow(&s.forward, model.SizeOf(&s.pack, 0), s.open); err != nil {
		return nil, err
	}
	f := s.forward
	if err := f.session.Load(&s.pack, 0); err != nil {
		return nil, err
	}
	if err := f.session.Run(); err != nil {
		return nil, err
	}
	return f.session.Float64s(nil, f.decoder.Prediction.LogProb)
}

// forward is a compiled forward pass.
type forward struct {
	session *model.Session
	decoder *model.Decoder
}

// Held is the session.
func (f *forward) Held() *model.Session { return f.session }

func (s *scorer) open(size model.Capacity) (*forward, error) {
	d, err := s.model.NewDecoder(model.DecoderOptions{Capacity: size, Adapter: s.adapter})
	if err != nil {
		return nil, err
	}
	session, err := d.Compile(s.model, nil, d.Prediction.LogProb)
	return &forward{session, d}, err
}

// ScoreOptions say what to score.
type ScoreOptions struct {
	// Model is the base model, held as Quantize says; Adapter is a run,
	// checkpoint or adapter on it.
	Model, Quantize, Adapter string
	// Data is a file of examples in any format of sft.
	Data          string
	Template, Map string
	Compute       compute.Settings
}

// Score hands the log-probabilities of every example's targets to emit, in the
// order of the file; examples that could not be read stop it.
func Score(ctx context.Context, o ScoreOptions, env Environment, emit func(Scored) error) error {
	if err := checkNamed(ctx, o.Adapter, "", ""); err != nil {
		return err
	}
	path, err := basemodel.ResolveUntil(ctx, o.Model)
	if err != nil {
		return err
	}
	examples, err := readScored(ctx, path, o, env)
	if err != nil {
		return err
	}
	b, act, err := openDevice(o.Compute, path, env)
	if err != nil {
		return err
	}
	defer b.Close()
	m, a, err := openModel(path, o.Quantize, o.Adapter, b, act, env)
	if err != nil {
		return err
	}
	noteBeyond(examples, exampleTokens, m, env)
	s := &scorer{model: m, adapter: a, emit: emit}
	return s.run(ctx, examples)
}

// noteBeyond tells of what is longer than the model has learnt to read: it is scored
// whole, and what it gives behind its context means little. A reward model refuses it.
func noteBeyond[T any](list []T, tokens func(T) int, m *model.Model, env Environment) {
	context, beyond, longest := m.Config.ContextLength, 0, 0
	for _, x := range list {
		if n := tokens(x); n > context {
			beyond, longest = beyond+1, max(longest, n)
		}
	}
	if beyond > 0 {
		env.note(fmt.Sprintf("context: %d of %d records are longer than the model's context of %d tokens, up to %d", beyond, len(list), context, longest))
	}
}

func exampleTokens(e datasets.Example) int { return len(e.IDs) }

func pairTokens(p datasets.Pair) int { return len(p.Prompt) + max(len(p.Chosen), len(p.Rejected)) }
