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

// UnpairedTrainer is the step of a run on single labelled answers: the baseline
// of the whole step first, then forward, loss and backward of each micro-batch.
type UnpairedTrainer struct {
	Config  Config
	Model   *model.Model
	Adapter *model.Adapter
	Full    *model.Full
	Save    exec.SavePolicy
	// Loss is Config.Loss, parsed: unpaired losses only.
	Loss Weighted
	// Answers are trained on, Held evaluated. Chosen of a reference is of the
	// answer, Rejected of the answer to another prompt.
	Answers, Held              []Answer
	References, HeldReferences []Reference

	step, evaluation *answerProgram
	turns            *model.Shared  // memory of the three
	mismatched       *answerProgram // forward only, of the answers to other prompts
	now              baseline       // of the step under way
	pack             datasets.Pack
	values           []float64
	heldLosses       []train.Loss
}

var (
	_ train.Method[[]int]   = (*UnpairedTrainer)(nil)
	_ train.Preparer[[]int] = (*UnpairedTrainer)(nil)
	_ train.Comparer        = (*UnpairedTrainer)(nil)
)

// answerProgram is a compiled decoder with the loss of single answers on it.
type answerProgram struct {
	session                       *model.Session
	decoder                       *model.Decoder
	answer                        *graph.Node // int32 [P]: the answers' sequences
	reference, desirable, weights *graph.Node // [P]
	baseline                      *graph.Node // [1]
	perAnswerLoss, loss           *graph.Node
}

// Held is the program's session.
func (g *answerProgram) Held() *model.Session { return g.session }

// Weigh is the weight of a step, in answers, and its tokens.
func (t *UnpairedTrainer) Weigh(indices []int) (weight float64, tokens int64) {
	return train.Weigh(t.Answers, indices)
}

// Prepare finds the baseline of a step: of all its answers, however they are
// dealt to micro-batches.
func (t *UnpairedTrainer) Prepare(_ int, micro [][]int) (err error) {
	var all []int
	for _, indices := range micro {
		all = append(all, indices...)
	}
	t.now, err = t.baselineOf(context.Background(), t.Answers, t.References, all)
	return err
}

// Micro runs one micro-batch of answers; weight is their number in the whole
// step.
func (t *UnpairedTrainer) Micro(step int, indices []int, weight float64) (float64, train.Metrics, error) {
	var loss float64
	var metrics train.Metrics
	err := train.InPacks(t.Config.Packing, indices, func(part []int) error {
		l, err := t.run(&t.step, true, step, t.Answers, t.References, part, weight, t.now)
		if err != nil {
			return err
		}
		loss += l
		return t.measure(t.step, t.Answers, t.References, part, t.now, &metrics, "")
	})
	return loss, metrics, err
}

// Evaluate is the loss and the metrics on the held-out answers, with one
// baseline for all of them.
func (t *UnpairedTrainer) Evaluate(ctx context.Context) (train.Metrics, error) {
	var metrics train.Metrics
	t.heldLosses = t.heldLosses[:0]
	if len(t.Held) == 0 {
		return nil, nil
	}
	all := each(len(t.Held), func(i int) int { return i })
	z, err := t.baselineOf(ctx, t.Held, t.HeldReferences, all)
	if err != nil {
		return nil, err
	}
	err = train.EvaluateInPacks(ctx, len(t.Held), t.Config.Batch, t.Config.Packing, func(part []int) error {
		weight := float64(len(part))
		loss, err := t.run(&t.evaluation, false, 0, t.Held, t.HeldReferences, part, weight, z)
		if err != nil {
			return err
		}
		metrics.Add("eval_loss", loss*weight, weight)
		if t.values, err = t.evaluation.session.Float64s(t.values, t.evaluation.perAnswerLoss); err != nil {
			return err
		}
		for k := range part {
			t.heldLosses = append(t.heldLosses, train.Loss{Sum: t.values[k], Weight: 1})
		}
		return t.measure(t.evaluation, t.Held, t.HeldReferences, part, z, &metrics, "eval_")
	})
	return metrics, err
}

// HeldLosses are the answers' losses of the last evaluation.
func (t *UnpairedTrainer) HeldLosses() []train.Loss { return t.heldLosses }

// counted is an answer with the tokens that are in the loss.
func (t *UnpairedTrainer) counted(ids []int32, format []bool) datasets.Answer {
	if !t.Config.MaskFormat {
		format = nil
	}
	return datasets.Answer{IDs: ids, Skip: format}
}

// run lays the answers into a pack and runs the program.
func (t *UnpairedTrainer) run(p **answerProgram, training bool, step int, answers []Answer, refs []Reference, part []int, weight float64, z baseline) (float64, error) {
	t.pack.Reset()
	for _, i := range part {
		a := answers[i]
		t.pack.AddGroup(a.Prompt, datasets.DropoutKey(a.Hash()), t.counted(a.Response, a.Format))
	}
	build := func(size model.Capacity) (*answerProgram, error) { return t.build(training, size) }
	if err := model.Grow(p, model.SizeOf(&t.pack, len(part)), build); err != nil {
		return 0, err
	}
	g := *p
	if err := g.load(&t.pack, answers, refs, part, weight, z); err != nil {
		return 0, err
	}
	return g.session.Loss(g.loss, t.Config.Seed, step)
}

// build is the graph of a step: the decoder, and the loss on its answers.
func (t *UnpairedTrainer) build(training bool, size model.Capacity) (*answerProgram, error) {
	d, err := t.Model.NewDecoder(model.DecoderOptions{
		Capacity: size, Adapter: t.Adapter, Full: t.Full, Train: training, Save: t.Save, Shared: t.Model.Turns(&t.turns),
	})
	if err != nil {
		return nil, err
	}
	perAnswer := func(name string) *graph.Node { return d.Vector(name, device.F64, graph.Pairs) }
	g := &answerProgram{
		decoder: d, answer: d.Vector("answer", device.I32, graph.Pairs),
		reference: perAnswer("reference"), desirable: perAnswer("desirable"), weights: perAnswer("weights"),
		baseline: d.Vector("baseline", device.F64, graph.Fixed),
	}
	g.perAnswerLoss = t.Loss.PerAnswer(d.Builder, UnpairedInputs{
		Policy: d.Pick(d.SequenceLogProbs, g.answer), Reference: g.reference, Desirable: g.desirable, Baseline: g.baseline,
	}, t.Config.Params())
	g.loss = d.Dot(g.perAnswerLoss, g.weights)
	if err := d.Err(); err != nil {
		return nil, err
	}
	g.session, err = d.Compile(t.Model, g.loss, g.perAnswerLoss, d.SequenceLogProbs, d.Prediction.Entropy, d.Prediction.Hit)
	return g, err
}

// load uploads the pack and the answers' constants.
func (g *answerProgram) load(pack *datasets.Pack, answers []Answer, refs []Reference, part []int, weight float64, z baseline) error {
	n := len(part)
	if err := g.session.Load(pack, n); err != nil {
		return err
	}
	if err := g.session.SetInt32s(g.answer, each(n, func(k int) int32 { return int32(k) })); err != nil {
		return err
	}
	label := func(k int) float64 {
		if answers[part[k]].Desirable {
			return 1
		}
		return 0
	}
	for _, v := range []struct {
		node   *graph.Node
		values []float64
	}{
		{g.reference, each(n, func(k int) float64 { return refs[part[k]].Chosen })},
		{g.desirable, each(n, label)},
		{g.weights, each(n, func(int) float64 { return 1 / weight })},
		{g.baseline, []float64{z.kl}},
	} {
		if err := g.session.SetFloat64s(v.node, v.values); err != nil {
			return err
		}
	}
	return nil
}

// measure adds the metrics of the answers just run.
func (t *UnpairedTrainer) measure(g *answerProgram, answers []Answer, refs []Reference, part []int, z baseline, m *train.Metrics, prefix string) (err error) {
	if t.values, err = g.session.Float64s(t.values, g.decoder.SequenceLogProbs); err != nil {
		return err
	}
	for _, desirable := range []bool{true, false} { // in one order, whatever the data's
		for k, i := range part {
			if answers[i].Desirable == desirable {
				z.add(m, prefix, t.Config.Beta, t.values[k], refs[i].Chosen, desirable)
			}
		}
	}
	isDesirable := func(sequence int32) bool { return answers[part[sequence]].Desirable }
	return train.AddTokenMetrics(g.session, g.decoder, t.pack.Sequence, isDesirable, m, prefix)
}
