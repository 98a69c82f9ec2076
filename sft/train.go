// Package sft is supervised fine-tuning: maximum likelihood of the answers'
// tokens. loss.go holds the loss, train.go the step, config.go the settings.
package sft

import (
	"context"

	"align/datasets"
	"align/internal/device"
	"align/internal/exec"
	"align/internal/graph"
	"align/internal/train"
	"align/model"
)

// Trainer is the step of a run: forward, loss and backward over the examples of
// a micro-batch.
type Trainer struct {
	Config  Config
	Model   *model.Model
	Adapter *model.Adapter
	// Full are the model's weights where they are trained instead of an adapter.
	Full *model.Full
	Save exec.SavePolicy
	// Examples are trained on, Held evaluated.
	Examples, Held []datasets.Example

	step, evaluation *program
	turns            *model.Shared // memory of step and evaluation
	pack             datasets.Pack
	values           []float64
	heldLosses       []train.Loss
}

var (
	_ train.Method[[]int] = (*Trainer)(nil)
	_ train.Comparer      = (*Trainer)(nil)
)

// program is a compiled decoder with the loss on it.
type program struct {
	session       *model.Session
	decoder       *model.Decoder
	weights, loss *graph.Node // weights[S], or [N] where the loss is of tokens
	perToken      bool
}

// Held is the program's session.
func (g *program) Held() *model.Session { return g.session }

// Weigh is the weight of a step, in target tokens or in examples, and its
// tokens.
func (t *Trainer) Weigh(indices []int) (weight float64, tokens int64) {
	for _, i := range indices {
		tokens += int64(len(t.Examples[i].IDs))
	}
	return t.weight(t.Examples, indices), tokens
}

func (t *Trainer) weight(examples []datasets.Example, indices []int) float64 {
	if t.Config.LossMean == MeanSequence {
		return float64(len(indices))
	}
	n := 0
	for _, i := range indices {
		n += examples[i].Targets()
	}
	return float64(n)
}

// Micro runs one micro-batch; weight is the whole step's.
func (t *Trainer) Micro(step int, indices []int, weight float64) (float64, train.Metrics, error) {
	var loss float64
	var metrics train.Metrics
	err := train.InPacks(t.Config.Packing, indices, func(part []int) error {
		l, err := t.run(&t.step, true, step, t.Examples, part, weight, &metrics, "")
		loss += l
		return err
	})
	return loss, metrics, err
}

// Evaluate is the loss and the metrics on the held-out examples.
func (t *Trainer) Evaluate(ctx context.Context) (train.Metrics, error) {
	var metrics train.Metrics
	t.heldLosses = t.heldLosses[:0]
	err := train.EvaluateInPacks(ctx, len(t.Held), t.Config.Batch, t.Config.Packing, func(part []int) error {
		weight := t.weight(t.Held, part)
		loss, err := t.run(&t.evaluation, false, 0, t.Held, part, weight, &metrics, "eval_")
		if err != nil {
			return err
		}
		metrics.Add("eval_loss", loss*weight, weight)
		return t.keepLosses(part)
	})
	return metrics, err
}

// HeldLosses are the examples' parts of the last evaluation's loss.
func (t *Trainer) HeldLosses() []train.Loss { return t.heldLosses }

// keepLosses takes over the losses of the held-out examples just run.
func (t *Trainer) keepLosses(part []int) (err error) {
	if t.values, err = t.evaluation.session.Float64s(t.values, t.evaluation.decoder.SequenceLogProbs); err != nil {
		return err
	}
	for k, i := range part {
		tokens, weight := float64(t.Held[i].Targets()), t.weight(t.Held, part[k:k+1])
		t.heldLosses = append(t.heldLosses, train.Loss{Sum: -t.values[k] * weight / max(tokens, 1), Weight: weight})
	}
	return nil
}

func (t *Trainer) run(p **program, training bool, step int, examples []datasets.Example, indices []int, weight float64, m *train.Metrics, prefix string) (float64, error) {
	t.pack.Reset()
	for _, i := range indices {
		t.pack.AddExample(examples[i], datasets.DropoutKey(examples[i].Hash()))
	}
	build := func(size model.Capacity) (*program, error) { return t.build(training, size) }
	if err := model.Grow(p, model.SizeOf(&t.pack, 0), build); err != nil {
		return 0, err
	}
	g := *p
	if err := g.session.Load(&t.pack, 0); err != nil {
		return 0, err
	}
	weights := sequenceWeights(t.Config.LossMean, t.pack.Tokens, weight)
	if g.perToken {
		weights = tokenWeights(weights, t.pack.Sequence)
	}
	if err := g.session.SetFloat64s(g.weights, weights); err != nil {
		return 0, err
	}
	loss, err := g.session.Loss(g.loss, t.Config.Seed, step)
	if err != nil {
		return 0, err
	}
	return loss, train.AddTokenMetrics(g.session, g.decoder, t.pack.Sequence, func(int32) bool { return true }, m, prefix)
}

// allRows is settled by the data, so that no pack's size moves a bit.
func (t *Trainer) allRows() bool {
	var all model.Capacity
	for _, e := range t.Examples {
		all.Tokens, all.Targets = all.Tokens+len(e.IDs), all.Targets+e.Targets()
	}
	return all.AllRows()
}

func (t *Trainer) build(training bool, size model.Capacity) (*program, error) {
	d, err := t.Model.NewDecoder(model.DecoderOptions{
		Capacity: size, Adapter: t.Adapter, Full: t.Full, Train: training, Save: t.Save, Shared: t.Model.Turns(&t.turns), AllRows: t.allRows(),
		Noise: t.Config.NEFTuneNoiseAlpha,
	})
	if err != nil {
		return nil, err
	}
	g := &program{decoder: d}
	// An evaluation measures the likelihood whichever loss trains: -p log p is small
	// where p is small too, and would rank a worse model first.
	if g.perToken = training && t.Config.Loss == LossDFT; g.perToken {
		g.weights = d.Vector("weights", device.F64, graph.Targets)
		g.loss = loss(d.Builder, rectified(d.Builder, d.Convert(d.Prediction.LogProb)), g.weights)
	} else {
		g.weights = d.Vector("weights", device.F64, graph.Sequences)
		g.loss = loss(d.Builder, d.SequenceLogProbs, g.weights)
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	g.session, err = d.Compile(t.Model, g.loss, d.SequenceLogProbs, d.Prediction.Entropy, d.Prediction.Hit)
	return g, err
}
