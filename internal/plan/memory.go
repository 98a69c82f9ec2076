package plan

import (
	"slices"

	"align/internal/device"
	"align/internal/exec"
	"align/internal/graph"
	"align/model"
)

// footprint is the memory of a run in bytes, by what takes it.
type footprint struct {
	weights, adapter, optimizer int64
	// evaluation is the session of held-out data, which has the space of a step in
	// turns with it; process is what is resident already: program and data.
	evaluation model.SessionSize
	process    int64
	// Of a run that samples: the session that does, its keys and values, the
	// reward model and a reference, and their sessions.
	rollout, cache, scorer, reference int64
	passes                            []int64
	// turns says that all sessions share one space, which they use in turns.
	turns bool
	// critic is trained beside the policy; nil for none.
	critic *model.Adapter
	// kernels are those of all sessions but the training one.
	kernels []device.Step
	// sessions are the training session's by save policy, as far as computed.
	sessions map[exec.SavePolicy]sessionBytes
}

// sessionBytes is the memory of the training session: the activations, and what
// the kernels of all sessions take besides.
type sessionBytes struct{ activations, workspace int64 }

func (b sessionBytes) total() int64 { return b.activations + b.workspace }

// fixed is what every save policy takes besides.
func (f *footprint) fixed() int64 {
	return f.weights + f.adapter + f.optimizer + f.sampled()
}

// Trained is what a run trains, without buffers: an adapter or all weights.
type Trained struct {
	Adapter *model.Adapter
	Full    *model.Full
}

// elements is the length of the flat buffer, parameters the values in it.
func (t Trained) elements() int {
	if t.Full != nil {
		return t.Full.Len
	}
	return t.Adapter.Len
}

func (t Trained) parameters() int {
	if t.Full != nil {
		return t.Full.Parameters()
	}
	return t.Adapter.Parameters()
}

// footprint sizes everything but the activations.
func (s *Stage) footprint(t Trained, w *workload) (*footprint, error) {
	var weights int64
	if t.Full == nil { // else in the flat buffer
		var err error
		if weights, err = model.WeightBytes(s.Base, s.Settings.Quantize, s.Act, s.matrixType, s.reserved()); err != nil {
			return nil, err
		}
	}
	flat := int64(t.elements()) * int64(s.Act.Wide().Size())
	f := &footprint{
		weights: weights, adapter: 2 * flat, optimizer: 2 * flat, // value and gradient; two moments
		process: s.process(trainingBytes), sessions: map[exec.SavePolicy]sessionBytes{},
	}
	if w.held > 0 {
		var err error
		if f.evaluation, err = s.sessionSize(t, w.heldLargest, exec.SaveAll, false); err != nil {
			return nil, err
		}
		f.kernels = f.evaluation.Kernels
	}
	return f, nil
}

// sessionSize is that of a session with a loss on its sequences.
func (s *Stage) sessionSize(t Trained, c model.Capacity, save exec.SavePolicy, training bool) (model.SessionSize, error) {
	o := model.DecoderOptions{Capacity: c, Adapter: t.Adapter, Full: t.Full, Train: training, Save: save, Device: s.Backend, AllRows: s.allRows, Noise: s.Noise}
	if s.Head != "" {
		d, err := model.NewScorer(s.Config, s.Act, o)
		if err != nil {
			return model.SessionSize{}, err
		}
		return d.SessionSize(d.Dot(d.Scores, d.Vector("weights", device.F64, graph.Targets)))
	}
	d, err := model.NewDecoder(s.Config, s.Act, o)
	if err != nil {
		return model.SessionSize{}, err
	}
	loss := d.Dot(d.SequenceLogProbs, d.Vector("weights", device.F64, graph.Sequences))
	return d.SessionSize(loss, d.SequenceLogProbs, d.Prediction.Entropy, d.Prediction.Hit)
}

// session is the memory of the training session, computed once.
func (s *Stage) session(f *footprint, t Trained, c model.Capacity, save exec.SavePolicy) (sessionBytes, error) {
	if b, ok := f.sessions[save]; ok {
		return b, nil
	}
	size, err := s.sessionSize(t, c, save, true)
	if err != nil {
		return sessionBytes{}, err
	}
	var critic model.SessionSize
	if f.critic != nil {
		if critic, err = s.scoring().sessionSize(Trained{Adapter: f.critic}, c, save, true); err != nil {
			return sessionBytes{}, err
		}
	}
	b := sessionBytes{inTurns(size, f.evaluation), s.scratch(size.Kernels, critic.Kernels, f.kernels, s.normSteps(t))}
	if f.turns {
		b.activations = max(size.Bytes, critic.Bytes, f.rollout+f.cache, slices.Max(append(f.passes, 0)))
	}
	f.sessions[save] = b
	return b, nil
}

// inTurns is the memory of sessions that use one space.
func inTurns(sizes ...model.SessionSize) (bytes int64) {
	var shared int64
	for _, n := range sizes {
		shared, bytes = max(shared, n.Bytes-n.Own), bytes+n.Own
	}
	return shared + bytes
}
