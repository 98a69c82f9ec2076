package align

import (
	"slices"

	"align/internal/device"
	"align/internal/exec"
	"align/internal/graph"
	"align/internal/runfolder"
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

// trained is what a run trains, without buffers: an adapter or all weights.
type trained struct {
	adapter *model.Adapter
	full    *model.Full
}

// trained reads or lays out what the settings ask for.
func (s *stage) trained() (t trained, err error) {
	if s.settings.Full {
		t.full = model.NewFull(s.config)
		return t, nil
	}
	if s.settings.Adapter == "" {
		t.adapter, err = s.newAdapter()
	} else {
		t.adapter, err = s.startLayout()
	}
	if err == nil && s.head != "" && t.adapter.Head.Len == 0 {
		t.adapter.AddHead(s.config)
	}
	return t, err
}

// startLayout is the adapter to start from, without buffers.
func (s *stage) startLayout() (a *model.Adapter, err error) {
	folder, err := runfolder.AdapterFolder(s.settings.Adapter)
	if err != nil {
		return nil, err
	}
	scored, err := s.scored(folder)
	if err != nil {
		return nil, err
	}
	if scored {
		a, _, err = model.ReadScored(folder, s.head, s.config)
	} else {
		a, _, err = model.ReadAdapter(folder, s.config)
	}
	return a, misfit(folder, err)
}

// elements is the length of the flat buffer, parameters the values in it.
func (t trained) elements() int {
	if t.full != nil {
		return t.full.Len
	}
	return t.adapter.Len
}

func (t trained) parameters() int {
	if t.full != nil {
		return t.full.Parameters()
	}
	return t.adapter.Parameters()
}

// footprint sizes everything but the activations.
func (s *stage) footprint(t trained, w *workload) (*footprint, error) {
	var weights int64
	if t.full == nil && s.model == nil { // else in the flat buffer, or there already
		var err error
		if weights, err = model.WeightBytes(s.base, s.settings.Quantize, s.act, s.matrixType, s.reserved()); err != nil {
			return nil, err
		}
	}
	flat := int64(t.elements()) * int64(s.act.Wide().Size())
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
func (s *stage) sessionSize(t trained, c model.Capacity, save exec.SavePolicy, training bool) (model.SessionSize, error) {
	o := model.DecoderOptions{Capacity: c, Adapter: t.adapter, Full: t.full, Train: training, Save: save, Device: s.backend, AllRows: s.allRows, Noise: s.noise}
	if s.head != "" {
		d, err := model.NewScorer(s.config, s.act, o)
		if err != nil {
			return model.SessionSize{}, err
		}
		return d.SessionSize(d.Dot(d.Scores, d.Vector("weights", device.F64, graph.Targets)))
	}
	d, err := model.NewDecoder(s.config, s.act, o)
	if err != nil {
		return model.SessionSize{}, err
	}
	loss := d.Dot(d.SequenceLogProbs, d.Vector("weights", device.F64, graph.Sequences))
	return d.SessionSize(loss, d.SequenceLogProbs, d.Prediction.Entropy, d.Prediction.Hit)
}

// session is the memory of the training session, computed once.
func (s *stage) session(f *footprint, t trained, c model.Capacity, save exec.SavePolicy) (sessionBytes, error) {
	if b, ok := f.sessions[save]; ok {
		return b, nil
	}
	size, err := s.sessionSize(t, c, save, true)
	if err != nil {
		return sessionBytes{}, err
	}
	var critic model.SessionSize
	if f.critic != nil {
		if critic, err = s.scoring().sessionSize(trained{adapter: f.critic}, c, save, true); err != nil {
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
