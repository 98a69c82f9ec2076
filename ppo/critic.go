package ppo

import (
	"align/datasets"
	"align/internal/device"
	"align/internal/graph"
	"align/model"
)

// criticProgram is the graph of the critic: the value at the row that predicts
// each target, and, in training, the loss on it.
type criticProgram struct {
	session                    *model.Session
	value                      *graph.Node // float64 [N]
	oldValue, returned, weight *graph.Node // inputs [N]
	loss                       *graph.Node
	values, lossOut            []float64
}

func (t *Trainer) newCritic(size model.Capacity, training bool) (*criticProgram, error) {
	d, err := t.Model.NewScorer(model.DecoderOptions{
		Capacity: size, Adapter: t.Critic, Train: training, Save: t.Save, Shared: t.Shared,
	})
	if err != nil {
		return nil, err
	}
	p := &criticProgram{value: d.Scores}
	if !training {
		p.session, err = d.Compile(t.Model, nil, p.value)
		return p, err
	}
	perToken := func(name string) *graph.Node { return d.Vector(name, device.F64, graph.Targets) }
	p.oldValue, p.returned, p.weight = perToken("old value"), perToken("return"), perToken("weight")
	loss := valueLoss(d.Builder, p.value, p.oldValue, p.returned, t.Config.ValueClipRange)
	p.loss = d.Scale(d.Dot(loss, p.weight), t.Config.VFCoef)
	if err := d.Err(); err != nil {
		return nil, err
	}
	p.session, err = d.Compile(t.Model, p.loss, p.value)
	return p, err
}

// run runs the program on a pack whose inputs are set, and reads the values.
func (p *criticProgram) run() (err error) {
	if err := p.session.Run(); err != nil {
		return err
	}
	p.values, err = p.session.Float64s(p.values, p.value)
	return err
}

// step sets the inputs of a training step and runs it. The loss is weighed by
// VFCoef.
func (p *criticProgram) step(pack *datasets.Pack, b *tokens) (float64, error) {
	if err := p.session.Load(pack, 0); err != nil {
		return 0, err
	}
	if err := set(p.session, []input{{p.oldValue, b.values}, {p.returned, b.returns}, {p.weight, b.weights}}); err != nil {
		return 0, err
	}
	if err := p.run(); err != nil {
		return 0, err
	}
	var err error
	p.lossOut, err = p.session.Float64s(p.lossOut, p.loss)
	return p.lossOut[0], err
}

// Held is the program's session.
func (p *criticProgram) Held() *model.Session { return p.session }
