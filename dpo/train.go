// Package dpo is direct preference optimisation: a policy learns from pairs of
// a chosen and a rejected answer, against a reference
// (https://arxiv.org/abs/2305.18290).
//
// loss.go has the loss of the paper, loss_*.go its relatives, losses.go the table of
// them; train.go is the step on pairs, train_unpaired.go that on single labelled
// answers, reference.go the reference's log-probabilities, config.go the settings.
// Pairs share their prompt's tokens; the reference is computed once per pair and cached.
package dpo

import (
	"context"

	"align/datasets"
	"align/internal/device"
	"align/internal/exec"
	"align/internal/graph"
	"align/internal/train"
	"align/model"
)

// Trainer is the step of a DPO run: forward, loss and backward over the pairs
// of a micro-batch.
type Trainer struct {
	Config  Config
	Model   *model.Model
	Adapter *model.Adapter
	// Full are the model's weights where they are trained instead of an adapter.
	Full *model.Full
	Save exec.SavePolicy
	// Loss is Config.Loss, parsed.
	Loss Weighted
	// Pairs are trained on, Held evaluated; References and HeldReferences are
	// the reference's log-probabilities of each.
	Pairs, Held                []datasets.Pair
	References, HeldReferences []Reference

	step, evaluation *program
	turns            *model.Shared // memory of step and evaluation
	pack             datasets.Pack
	values           []float64
	heldLosses       []train.Loss
}

// Reference is log ref(y|x) of both answers of a pair.
type Reference struct{ Chosen, Rejected float64 }

var (
	_ train.Method[[]int] = (*Trainer)(nil)
	_ train.Comparer      = (*Trainer)(nil)
)

// program is a compiled decoder with the loss on it, for packs up to its
// session's capacity.
type program struct {
	session                            *model.Session
	decoder                            *model.Decoder
	chosen, rejected                   *graph.Node // int32 [P]: the pairs' sequences
	referenceChosen, referenceRejected *graph.Node // [P]
	chosenLength, rejectedLength       *graph.Node // [P]
	weights, perPairLoss, loss         *graph.Node
	// With format tokens masked: their sequence, and the whole chosen length.
	format, likelihoodLength *graph.Node
}

// Held is the program's session.
func (g *program) Held() *model.Session { return g.session }

// Weigh is the weight of a step, in pairs, and its tokens.
func (t *Trainer) Weigh(indices []int) (weight float64, tokens int64) {
	return train.Weigh(t.Pairs, indices)
}

// Micro runs one micro-batch of pairs; weight is the number of pairs of the
// whole step.
func (t *Trainer) Micro(step int, indices []int, weight float64) (float64, train.Metrics, error) {
	var loss float64
	var metrics train.Metrics
	err := train.InPacks(t.Config.Packing, indices, func(part []int) error {
		l, err := t.run(&t.step, true, step, t.Pairs, t.References, part, weight, &metrics, "")
		loss += l
		return err
	})
	return loss, metrics, err
}

// Evaluate is the loss and the metrics on the held-out pairs.
func (t *Trainer) Evaluate(ctx context.Context) (train.Metrics, error) {
	var metrics train.Metrics
	t.heldLosses = t.heldLosses[:0]
	err := train.EvaluateInPacks(ctx, len(t.Held), t.Config.Batch, t.Config.Packing, func(part []int) error {
		weight := float64(len(part))
		loss, err := t.run(&t.evaluation, false, 0, t.Held, t.HeldReferences, part, weight, &metrics, "eval_")
		if err != nil {
			return err
		}
		metrics.Add("eval_loss", loss*weight, weight)
		t.values, err = t.evaluation.session.Float64s(t.values, t.evaluation.perPairLoss)
		for k := range part {
			t.heldLosses = append(t.heldLosses, train.Loss{Sum: t.values[k], Weight: 1})
		}
		return err
	})
	return metrics, err
}

// HeldLosses are the pairs' losses of the last evaluation.
func (t *Trainer) HeldLosses() []train.Loss { return t.heldLosses }

// run lays the pairs into a pack, runs the program and collects the metrics.
func (t *Trainer) run(p **program, training bool, step int, pairs []datasets.Pair, refs []Reference, indices []int, weight float64, m *train.Metrics, prefix string) (float64, error) {
	t.pack.Reset()
	for _, i := range indices {
		t.lay(pairs[i])
	}
	build := func(size model.Capacity) (*program, error) { return t.build(training, size) }
	if err := model.Grow(p, model.SizeOf(&t.pack, len(indices)), build); err != nil {
		return 0, err
	}
	g := *p
	if err := g.load(&t.pack, t.perPair(), refs, indices, weight); err != nil {
		return 0, err
	}
	loss, err := g.session.Loss(g.loss, t.Config.Seed, step)
	if err != nil {
		return 0, err
	}
	return loss, t.measure(g, refs, indices, m, prefix)
}

// lay appends a pair to the pack.
func (t *Trainer) lay(pair datasets.Pair) {
	key := datasets.DropoutKey(pair.Hash())
	if t.Config.MaskFormat {
		t.pack.AddPairWithoutFormat(pair, key)
		return
	}
	t.pack.AddPair(pair, key)
}

// perPair is the number of sequences of a pair in the pack.
func (t *Trainer) perPair() int {
	if t.Config.MaskFormat {
		return 3
	}
	return 2
}

// build is the graph of a step: the decoder, and the loss on its sequences'
// log-probabilities.
func (t *Trainer) build(training bool, size model.Capacity) (*program, error) {
	d, err := t.Model.NewDecoder(model.DecoderOptions{
		Capacity: size, Adapter: t.Adapter, Full: t.Full, Train: training, Save: t.Save, Shared: t.Model.Turns(&t.turns),
	})
	if err != nil {
		return nil, err
	}
	g := &program{decoder: d}
	perPair := func(name string) *graph.Node { return d.Vector(name, device.F64, graph.Pairs) }
	g.chosen, g.rejected = d.Vector("chosen", device.I32, graph.Pairs), d.Vector("rejected", device.I32, graph.Pairs)
	g.referenceChosen, g.referenceRejected = perPair("reference chosen"), perPair("reference rejected")
	g.chosenLength, g.rejectedLength = perPair("chosen length"), perPair("rejected length")
	g.weights = perPair("weights")
	in := Inputs{
		PolicyChosen: d.Pick(d.SequenceLogProbs, g.chosen), PolicyRejected: d.Pick(d.SequenceLogProbs, g.rejected),
		ReferenceChosen: g.referenceChosen, ReferenceRejected: g.referenceRejected,
		ChosenLength: g.chosenLength, RejectedLength: g.rejectedLength,
	}
	if t.Config.MaskFormat {
		g.format = d.Vector("format", device.I32, graph.Pairs)
		g.likelihoodLength = perPair("likelihood length")
		in.LikelihoodChosen, in.LikelihoodLength = d.Add(in.PolicyChosen, d.Pick(d.SequenceLogProbs, g.format)), g.likelihoodLength
	}
	g.perPairLoss = t.Loss.PerPair(d.Builder, in, t.Config.Params())
	if t.Config.NLL > 0 {
		g.perPairLoss = d.Add(g.perPairLoss, d.Scale(nll(d.Builder, in), t.Config.NLL))
	}
	g.loss = d.Dot(g.perPairLoss, g.weights)
	if err := d.Err(); err != nil {
		return nil, err
	}
	g.session, err = d.Compile(t.Model, g.loss, g.perPairLoss, d.SequenceLogProbs, d.Prediction.Entropy, d.Prediction.Hit)
	return g, err
}

// load uploads the pack and the pairs' constants; a pair has perPair sequences.
func (g *program) load(pack *datasets.Pack, perPair int, refs []Reference, indices []int, weight float64) error {
	n := len(indices)
	if err := g.session.Load(pack, n); err != nil {
		return err
	}
	at := func(k, i int) int32 { return int32(perPair*k + i) }
	for i, node := range []*graph.Node{g.chosen, g.rejected, g.format} {
		if node == nil {
			continue
		}
		if err := g.session.SetInt32s(node, each(n, func(k int) int32 { return at(k, i) })); err != nil {
			return err
		}
	}
	tokens := func(k, i int) float64 { return float64(pack.Tokens[at(k, i)]) }
	for _, v := range []struct {
		node  *graph.Node
		value func(k int) float64
	}{
		{g.referenceChosen, func(k int) float64 { return refs[indices[k]].Chosen }},
		{g.referenceRejected, func(k int) float64 { return refs[indices[k]].Rejected }},
		{g.chosenLength, func(k int) float64 { return tokens(k, 0) }},
		{g.rejectedLength, func(k int) float64 { return tokens(k, 1) }},
		{g.weights, func(int) float64 { return 1 / weight }},
		{g.likelihoodLength, func(k int) float64 { return tokens(k, 0) + tokens(k, 2) }},
	} {
		if v.node == nil {
			continue
		}
		if err := g.session.SetFloat64s(v.node, each(n, v.value)); err != nil {
			return err
		}
	}
	return nil
}

func each[T any](n int, f func(int) T) []T {
	values := make([]T, n)
	for k := range values {
		values[k] = f(k)
	}
	return values
}

// measure adds the metrics of the pairs just run.
func (t *Trainer) measure(g *program, refs []Reference, indices []int, m *train.Metrics, prefix string) (err error) {
	if t.values, err = g.session.Float64s(t.values, g.decoder.SequenceLogProbs); err != nil {
		return err
	}
	var l LogProbs
	perPair := t.perPair()
	policy := func(sequence int) float64 {
		if t.Loss.PerToken() {
			return t.values[sequence] / float64(t.pack.Tokens[sequence])
		}
		return t.values[sequence]
	}
	for k, i := range indices {
		l.PolicyChosen, l.PolicyRejected = append(l.PolicyChosen, policy(perPair*k)), append(l.PolicyRejected, policy(perPair*k+1))
		l.ReferenceChosen, l.ReferenceRejected = append(l.ReferenceChosen, refs[i].Chosen), append(l.ReferenceRejected, refs[i].Rejected)
	}
	l.AddMetrics(m, prefix, t.Config.Beta)
	t.measureLikelihood(len(indices), m, prefix)
	isChosen := func(sequence int32) bool { return int(sequence)%perPair == 0 }
	return train.AddTokenMetrics(g.session, g.decoder, t.pack.Sequence, isChosen, m, prefix)
}
