package ppo

import (
	"align/datasets"
	"align/internal/device"
	"align/internal/graph"
	"align/model"
)

// policyProgram is the graph of a policy: log-probabilities of a pack's targets
// and, in training, the loss on them.
type policyProgram struct {
	session                      *model.Session
	logProb, entropy             *graph.Node // float64 [N]
	oldLogProb, advantage        *graph.Node // inputs [N]
	referenceLogProb, weight     *graph.Node // inputs [N]
	klCoef                       *graph.Node // input [1]
	answers                      answerNodes // of the ratio of whole answers
	loss                         *graph.Node
	logProbs, entropies, lossOut []float64
}

// answerNodes are what the ratio of whole answers is computed from.
type answerNodes struct {
	logProb            *graph.Node // float64 [S]
	oldLogProb, length *graph.Node // inputs [S]
	sequence           *graph.Node // of each token, int32 [N]
}

// newPolicy builds the program; a nil adapter is the base model.
func (t *Trainer) newPolicy(size model.Capacity, adapter *model.Adapter, training bool) (*policyProgram, error) {
	d, err := t.Model.NewDecoder(model.DecoderOptions{
		Capacity: size, Adapter: adapter, Train: training, Save: t.Save, Shared: t.Shared, Temperature: t.Config.Temperature,
	})
	if err != nil {
		return nil, err
	}
	p := &policyProgram{logProb: d.Convert(d.Prediction.LogProb)}
	if !training {
		p.session, err = d.Compile(t.Model, nil, p.logProb)
		return p, err
	}
	perToken := func(name string) *graph.Node { return d.Vector(name, device.F64, graph.Targets) }
	p.oldLogProb, p.advantage, p.weight = perToken("old logprob"), perToken("advantage"), perToken("weight")
	p.entropy = d.Convert(d.Prediction.Entropy)
	if t.Config.KLIn != "reward" {
		p.referenceLogProb, p.klCoef = perToken("reference logprob"), d.Vector("kl coefficient", device.F64, graph.Fixed)
	}
	if t.Config.ImportanceSamplingLevel != TokenLevel {
		perAnswer := func(name string) *graph.Node { return d.Vector(name, device.F64, graph.Sequences) }
		p.answers = answerNodes{d.SequenceLogProbs, perAnswer("old answer logprob"), perAnswer("answer length"), d.Sequence}
	}
	p.loss = d.Dot(t.tokenLoss(d.Builder, p), p.weight)
	if err := d.Err(); err != nil {
		return nil, err
	}
	p.session, err = d.Compile(t.Model, p.loss, p.logProb, p.entropy)
	return p, err
}

// tokenLoss is the loss of each token, from the program's inputs.
func (t *Trainer) tokenLoss(b *graph.Builder, p *policyProgram) *graph.Node {
	c := t.Config
	r := p.ratio(b, c.ImportanceSamplingLevel)
	loss := policyLoss(b, r, p.advantage, c.clipRange(), c.DualClip)
	if c.ImportanceSamplingLevel == SequenceSumLevel && c.LossMean != MeanSequence { // an answer is one action, whose loss its tokens share
		loss = b.Div(loss, b.Pick(p.answers.length, p.answers.sequence))
	}
	if c.EntropyCoef > 0 { // its derivative is of the token's own ratio
		own := ratio(b, p.logProb, p.oldLogProb)
		loss = b.Add(loss, entropyBonus(b, own, p.logProb, p.entropy, c.EntropyCoef))
	}
	if c.KLIn == "reward" {
		return loss
	}
	kl := klLoss(b, p.logProb, p.referenceLogProb)
	if c.KLIn == "ratio-loss" {
		kl = b.Mul(kl, r)
	}
	return b.Add(loss, b.Mul(kl, p.klCoef))
}

// ratio is the ratio that counts at each token, [N].
func (p *policyProgram) ratio(b *graph.Builder, level string) *graph.Node {
	switch a := p.answers; level {
	case SequenceLevel:
		return sequenceRatio(b, a.logProb, a.oldLogProb, a.length, a.sequence)
	case SequenceSumLevel:
		return sequenceRatio(b, a.logProb, a.oldLogProb, nil, a.sequence)
	}
	return ratio(b, p.logProb, p.oldLogProb)
}

// run runs the program on a pack whose inputs are set, and reads the
// log-probabilities.
func (p *policyProgram) run() (err error) {
	if err := p.session.Run(); err != nil {
		return err
	}
	p.logProbs, err = p.session.Float64s(p.logProbs, p.logProb)
	return err
}

// step sets the inputs of a training step, runs it and reads what it says.
func (p *policyProgram) step(pack *datasets.Pack, b *tokens, klCoef float64) (float64, error) {
	if err := p.session.Load(pack, 0); err != nil {
		return 0, err
	}
	inputs := []input{{p.oldLogProb, b.logProbs}, {p.advantage, b.advantages}, {p.weight, b.weights}}
	if p.klCoef != nil {
		inputs = append(inputs, input{p.referenceLogProb, b.reference}, input{p.klCoef, []float64{klCoef}})
	}
	if p.answers.length != nil {
		inputs = append(inputs, input{p.answers.oldLogProb, b.sums(b.logProbs)}, input{p.answers.length, b.lengths})
	}
	if err := set(p.session, inputs); err != nil {
		return 0, err
	}
	if err := p.run(); err != nil {
		return 0, err
	}
	var err error
	if p.entropies, err = p.session.Float64s(p.entropies, p.entropy); err != nil {
		return 0, err
	}
	p.lossOut, err = p.session.Float64s(p.lossOut, p.loss)
	return p.lossOut[0], err
}

// input is a float64 vector for a node.
type input struct {
	node   *graph.Node
	values []float64
}

func set(s *model.Session, inputs []input) error {
	for _, in := range inputs {
		if err := s.SetFloat64s(in.node, in.values); err != nil {
			return err
		}
	}
	return nil
}

// Held is the program's session.
func (p *policyProgram) Held() *model.Session { return p.session }
