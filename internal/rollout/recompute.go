package rollout

import (
	"context"
	"errors"
	"fmt"
	"math"

	"align/datasets"
	"align/model"
)

// Recomputed is a Generator whose answers have the log-probabilities of a model
// of this process, whatever drew them. What drew them is held to the model by
// its Surprise.
type Recomputed struct {
	Generator Generator
	Model     *model.Model
	Adapter   *model.Adapter // nil is the base
	// Surprise is of all answers so far. With Hold they must be the model's:
	// others are an error as soon as that is sure.
	Surprise Surprise
	Hold     bool

	temperature float64
	program     *logProbs
	pack        datasets.Pack
	held        []Sample
	tokens      int
}

// recomputeTokens is about how many tokens a pack holds.
const recomputeTokens = 2048

// Generate draws by the other generator and hands the answers on a pack at a
// time. Those that were drawn before an error are handed on as well.
func (r *Recomputed) Generate(ctx context.Context, prompts []Prompt, o Options, emit func(Sample) error) error {
	r.held, r.tokens = nil, 0
	temperature := o.Temperature
	if temperature == 0 {
		temperature = 1
	}
	if temperature != r.temperature {
		r.close()
		r.temperature = temperature
	}
	err := r.Generator.Generate(ctx, prompts, o, func(s Sample) error {
		r.held = append(r.held, s)
		if r.tokens += len(prompts[s.Prompt].IDs) + len(s.IDs); r.tokens < recomputeTokens {
			return nil
		}
		return r.flush(prompts, emit)
	})
	return errors.Join(err, r.flush(prompts, emit), r.check(1))
}

// check holds the answers to the model once there are so many.
func (r *Recomputed) check(least int) error {
	if !r.Hold || r.Surprise.Answers < least {
		return nil
	}
	return r.Surprise.Check()
}

// sureAnswers is how many answers tell another policy early.
const sureAnswers = 32

// flush computes what is held and hands it on.
func (r *Recomputed) flush(prompts []Prompt, emit func(Sample) error) error {
	held := r.held
	r.held, r.tokens = nil, 0
	if len(held) == 0 {
		return nil
	}
	r.pack.Reset()
	for _, s := range held {
		r.pack.AddGroup(prompts[s.Prompt].IDs, 0, datasets.Answer{IDs: s.IDs})
	}
	if err := model.Grow(&r.program, model.SizeOf(&r.pack, 0), r.build); err != nil {
		return err
	}
	if err := r.program.run(&r.pack); err != nil {
		return err
	}
	at := 0
	for _, s := range held {
		to := at + len(s.IDs)
		s.LogProbs = append([]float64(nil), r.program.logProbs[at:to]...)
		r.Surprise.add(s.LogProbs, r.program.entropies[at:to])
		at = to
		if err := emit(s); err != nil {
			return err
		}
	}
	return r.check(sureAnswers)
}

// Close ends the program and the other generator.
func (r *Recomputed) Close() {
	r.close()
	r.Generator.Close()
}

func (r *Recomputed) close() {
	if r.program != nil {
		r.program.session.Close()
		r.program = nil
	}
}

// logProbs is a compiled model that says how likely given answers are.
type logProbs struct {
	session             *model.Session
	decoder             *model.Decoder
	logProbs, entropies []float64
}

// Held is the program's session.
func (p *logProbs) Held() *model.Session { return p.session }

func (r *Recomputed) build(size model.Capacity) (*logProbs, error) {
	d, err := r.Model.NewDecoder(model.DecoderOptions{
		Capacity: size.Rounded(), Adapter: r.Adapter, Temperature: r.temperature,
	})
	if err != nil {
		return nil, err
	}
	p := &logProbs{decoder: d}
	p.session, err = d.Compile(r.Model, nil, d.Prediction.LogProb, d.Prediction.Entropy)
	return p, err
}

func (p *logProbs) run(pack *datasets.Pack) (err error) {
	if err := p.session.Load(pack, 0); err != nil {
		return err
	}
	if err := p.session.Run(); err != nil {
		return err
	}
	if p.logProbs, err = p.session.Float64s(p.logProbs, p.decoder.Prediction.LogProb); err != nil {
		return err
	}
	p.entropies, err = p.session.Float64s(p.entropies, p.decoder.Prediction.Entropy)
	return err
}

// Surprise holds answers to the policy that is said to have drawn them. At each
// token of an answer drawn from the policy, -log π(y_t) has the mean H(π_t), so
// that the sums of their differences over answers have the mean 0:
//
//	D = Σ_t ( -log π(y_t) - H(π_t) )
//
// whatever the answers' lengths. Another policy, another temperature or a cut
// of the distribution moves it.
type Surprise struct {
	Answers, Tokens int
	sum, squares    float64
}

func (s *Surprise) add(logProbs, entropies []float64) {
	d := 0.0
	for i, l := range logProbs {
		d -= l + entropies[i]
	}
	s.Answers++
	s.Tokens += len(logProbs)
	s.sum += d
	s.squares += d * d
}

// PerToken is the mean difference in nats.
func (s *Surprise) PerToken() float64 { return s.sum / float64(max(s.Tokens, 1)) }

// deviations is the sum in its own standard deviations.
func (s *Surprise) deviations() float64 {
	return s.sum / math.Sqrt(max(s.squares, math.SmallestNonzeroFloat64))
}

const (
	// maxSurprise in nats per token is what rounding, or weights held in other
	// numbers, may make of it.
	maxSurprise = 0.05
	// sureDeviations is when chance is out of the question.
	sureDeviations = 5
)

// Check is an error where the answers are not the policy's.
func (s *Surprise) Check() error {
	if z := s.deviations(); math.Abs(s.PerToken()) > maxSurprise && math.Abs(z) > sureDeviations || math.IsNaN(z) {
		return fmt.Errorf("rollout: the answers are not the policy's: their surprise is off by %.3f nats per token (%.0f standard deviations, %d answers): the generator samples from other weights, or cuts the distribution", s.PerToken(), z, s.Answers)
	}
	return nil
}
