package reward

import (
	"context"
	"errors"

	"align/datasets"
	"align/internal/device"
	"align/internal/exec"
	"align/internal/graph"
	"align/internal/train"
	"align/model"
)

// Trainer is the step of a run: forward, loss and backward over the groups of a
// micro-batch. Its adapter has a head.
type Trainer struct {
	Config  Config
	Model   *model.Model
	Adapter *model.Adapter
	Save    exec.SavePolicy
	// Groups are trained on, Held evaluated; all are valid.
	Groups, Held []Group

	step, evaluation *program
	turns            *model.Shared // memory of step and evaluation
	pack             datasets.Pack
	values           []float64
	heldLosses       []train.Loss
	columns          int // longest's
}

var (
	_ train.Method[[]int] = (*Trainer)(nil)
	_ train.Comparer      = (*Trainer)(nil)
)

// program is a compiled scorer with the loss on it, for packs up to its
// session's capacity.
type program struct {
	session          *model.Session
	decoder          *model.Decoder
	chosen, rejected *graph.Node // int32 [P]: the pairs' answers
	margin, weights  *graph.Node // [P]
	lists            listInputs  // in place of the four, for plackett-luce
	perPairLoss      *graph.Node // [P]; of each list, for plackett-luce
	loss             *graph.Node
}

// Held is the program's session.
func (g *program) Held() *model.Session { return g.session }

// Weigh is the weight of a step, in groups, and its tokens.
func (t *Trainer) Weigh(indices []int) (weight float64, tokens int64) {
	return train.Weigh(t.Groups, indices)
}

// Micro runs one micro-batch of groups; weight is the number of groups of the
// whole step.
func (t *Trainer) Micro(step int, indices []int, weight float64) (float64, train.Metrics, error) {
	var loss float64
	var metrics train.Metrics
	err := train.InPacks(t.Config.Packing, indices, func(part []int) error {
		b := t.lay(t.Groups, part, weight)
		l, err := t.run(&t.step, true, step, b)
		loss += l
		b.measure(t.values, &metrics, "")
		return err
	})
	return loss, metrics, err
}

// Evaluate is the loss and the metrics on the held-out groups.
func (t *Trainer) Evaluate(ctx context.Context) (train.Metrics, error) {
	var metrics train.Metrics
	var bins calibration
	t.heldLosses = t.heldLosses[:0]
	err := train.EvaluateInPacks(ctx, len(t.Held), t.Config.Batch, t.Config.Packing, func(part []int) error {
		weight := float64(len(part))
		b := t.lay(t.Held, part, weight)
		loss, err := t.run(&t.evaluation, false, 0, b)
		if err != nil {
			return err
		}
		metrics.Add("eval_loss", loss*weight, weight)
		b.measure(t.values, &metrics, "eval_")
		bins.add(b, t.values)
		return t.keepLosses(b, len(part))
	})
	if err != nil {
		return nil, err
	}
	bins.report(&metrics)
	return metrics, nil
}

// batch are the pairs of a pack by their answers' places in it, with the margin
// and the weight of each.
type batch struct {
	chosen, rejected []int32
	margin, weights  []float64
	group            []int // of each pair, counted from 0
	// With plackett-luce the losses are the lists' and lists is set; the pairs
	// are for the metrics.
	lists *listColumns
}

// losses is the number of losses, and which group each is of.
func (b batch) losses() []int {
	if b.lists == nil {
		return b.group
	}
	groups := make([]int, len(b.weights))
	for i := range groups {
		groups[i] = i
	}
	return groups
}

// lay puts the groups into the pack. Every group weighs the same, whatever the
// number of its pairs.
func (t *Trainer) lay(groups []Group, indices []int, weight float64) batch {
	t.pack.Reset()
	var b batch
	if t.Config.Ranking == RankingPlackettLuce {
		l := newListColumns(t.longest())
		b.lists = &l
	}
	for k, i := range indices {
		g, first := groups[i], int32(t.pack.Sequences)
		t.pack.AddScored(g.Prompt, datasets.DropoutKey(g.Hash()), g.Answers...)
		pairs := rankedPairs(g.Ranks)
		for _, p := range pairs {
			b.chosen, b.rejected = append(b.chosen, first+int32(p.Chosen)), append(b.rejected, first+int32(p.Rejected))
			b.margin = append(b.margin, t.Config.Margin*g.Margin)
			b.group = append(b.group, k)
			if b.lists == nil {
				b.weights = append(b.weights, 1/(float64(len(pairs))*weight))
			}
		}
		if b.lists != nil {
			b.lists.add(g.Ranks, first)
			b.weights = append(b.weights, 1/weight)
		}
	}
	return b
}

// longest is the number of answers of the longest list.
func (t *Trainer) longest() int {
	if t.columns == 0 {
		for _, groups := range [][]Group{t.Groups, t.Held} {
			for _, g := range groups {
				t.columns = max(t.columns, len(g.Answers))
			}
		}
	}
	return t.columns
}

// run scores the pack and returns the loss; the answers' scores are in values.
func (t *Trainer) run(p **program, training bool, step int, b batch) (float64, error) {
	build := func(size model.Capacity) (*program, error) { return t.build(training, size) }
	if err := model.Grow(p, model.SizeOf(&t.pack, len(b.losses())), build); err != nil {
		return 0, err
	}
	g := *p
	if err := g.load(&t.pack, b); err != nil {
		return 0, err
	}
	loss, err := g.session.Loss(g.loss, t.Config.Seed, step)
	if err != nil {
		return 0, err
	}
	t.values, err = g.session.Float64s(t.values, g.decoder.Scores)
	return loss, err
}

func (g *program) load(pack *datasets.Pack, b batch) error {
	if err := g.session.Load(pack, len(b.losses())); err != nil {
		return err
	}
	if b.lists != nil {
		return errors.Join(g.lists.load(g.session, *b.lists), g.session.SetFloat64s(g.weights, b.weights))
	}
	if err := g.session.SetInt32s(g.chosen, b.chosen); err != nil {
		return err
	}
	if err := g.session.SetInt32s(g.rejected, b.rejected); err != nil {
		return err
	}
	if err := g.session.SetFloat64s(g.margin, b.margin); err != nil {
		return err
	}
	return g.session.SetFloat64s(g.weights, b.weights)
}

// HeldLosses are the groups' losses of the last evaluation.
func (t *Trainer) HeldLosses() []train.Loss { return t.heldLosses }

// keepLosses takes over the losses of the n held-out groups just run.
func (t *Trainer) keepLosses(b batch, n int) error {
	perPair, err := t.evaluation.session.Float64s(nil, t.evaluation.perPairLoss)
	if err != nil {
		return err
	}
	losses := make([]train.Loss, n)
	for i, k := range b.losses() {
		losses[k].Sum += perPair[i] * b.weights[i] * float64(n)
		losses[k].Weight = 1
	}
	t.heldLosses = append(t.heldLosses, losses...)
	return nil
}

// build is the graph of a step: the scorer, and the loss on its pairs.
func (t *Trainer) build(training bool, size model.Capacity) (*program, error) {
	d, err := t.Model.NewScorer(model.DecoderOptions{
		Capacity: size, Adapter: t.Adapter, Train: training, Save: t.Save, Shared: t.Model.Turns(&t.turns),
	})
	if err != nil {
		return nil, err
	}
	g := &program{decoder: d, weights: d.Vector("weights", device.F64, graph.Pairs)}
	if t.Config.Ranking == RankingPlackettLuce {
		g.perPairLoss = t.listLoss(g)
	} else {
		g.perPairLoss = t.pairLoss(g)
	}
	g.loss = d.Dot(g.perPairLoss, g.weights)
	if err := d.Err(); err != nil {
		return nil, err
	}
	g.session, err = d.Compile(t.Model, g.loss, g.perPairLoss, d.Scores)
	return g, err
}

// pairLoss is the loss of each pair.
func (t *Trainer) pairLoss(g *program) *graph.Node {
	d := g.decoder
	g.chosen, g.rejected = d.Vector("chosen", device.I32, graph.Pairs), d.Vector("rejected", device.I32, graph.Pairs)
	g.margin = d.Vector("margin", device.F64, graph.Pairs)
	in := inputs{Chosen: d.Pick(d.Scores, g.chosen), Rejected: d.Pick(d.Scores, g.rejected), Margin: g.margin}
	return bradleyTerry(d.Builder, in, t.Config.Centering)
}

// listLoss is the loss of each list.
func (t *Trainer) listLoss(g *program) *graph.Node {
	d := g.decoder
	g.lists = newListInputs(d, t.longest(), t.Config.Centering != 0)
	ranked := make(graph.Nodes, t.longest())
	for c := range ranked {
		ranked[c] = d.Pick(d.Scores, g.lists.answer[c])
	}
	loss := plackettLuce(d.Builder, ranked, g.lists)
	if t.Config.Centering == 0 {
		return loss
	}
	return d.Add(loss, centre(d.Builder, ranked, g.lists.share, t.Config.Centering))
}

// measure adds the metrics of the pairs just scored, under TRL's names: the
// share of pairs in the right order (a tie is wrong), the mean difference, and
// the scores' mean and extremes.
func (b batch) measure(scores []float64, m *train.Metrics, prefix string) {
	if len(scores) == 0 {
		return
	}
	for i := range b.chosen {
		difference := scores[b.chosen[i]] - scores[b.rejected[i]]
		right := 0.0
		if difference > 0 {
			right = 1
		}
		m.Add(prefix+"accuracy", right, 1)
		m.Add(prefix+"margin", difference, 1)
	}
	low, high := scores[0], scores[0]
	for _, s := range scores {
		low, high = min(low, s), max(high, s)
		m.Add(prefix+"mean_reward", s, 1)
	}
	m.Add(prefix+"min_reward", low, 1)
	m.Add(prefix+"max_reward", high, 1)
}
