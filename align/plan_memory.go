package align

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"align/internal/device"
	"align/internal/device/cpu/feature"
	"align/internal/device/cuda"
	"align/internal/exec"
	"align/internal/graph"
	"align/internal/host"
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

// headroom is the share of the available memory that a run may plan with: the
// estimate is good to some percent, and other programs grow too.
const headroom = 0.92

// errNoRoom tells that no save policy fits.
var errNoRoom = errors.New("no save policy fits")

// choosePolicy is the first of the policies, those that keep more before those
// that keep less, whose session fits the bytes that are left.
func choosePolicy(left int64, bytes func(exec.SavePolicy) (int64, error)) (exec.SavePolicy, error) {
	for _, p := range slices.Backward(exec.SavePolicies) {
		need, err := bytes(p)
		if err != nil {
			return "", err
		}
		if need <= left {
			return p, nil
		}
	}
	return "", errNoRoom
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
		var folder string
		if folder, err = AdapterFolder(s.settings.Adapter); err == nil {
			t.adapter, _, err = model.ReadAdapter(folder, s.config)
		}
	}
	if err == nil && s.head != "" {
		t.adapter.AddHead(s.config)
	}
	return t, err
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

// compute is what the settings ask for, with the precision settled.
func (s *stage) compute() Compute {
	return computeOf(s.settings).For(s.config)
}

// matrixType is the type that the device holds a matrix in which is stored in
// the given one.
func (s *stage) matrixType(stored device.Type) device.Type {
	if s.compute().OnCard() {
		return cuda.HeldType(stored)
	}
	level, err := feature.Select()
	packed := err == nil && level != feature.Generic
	switch {
	case !packed || stored != device.F32 && stored != device.F16 && stored != device.BF16:
		return stored
	case s.compute().Precision == "bf16" || stored == device.BF16:
		return device.BF16
	}
	return device.F32
}

// reserved is what the device takes for a model's matrices and vectors; nil: for
// what they are.
func (s *stage) reserved() func(matrices, vectors []int64) int64 {
	if s.compute().OnCard() {
		return cuda.Reserved
	}
	return nil
}

// What a run adds to the program, about: pages of its code that were not used
// yet, graphs, log and report. It was the same in all of scripts/plan-accuracy.sh.
const (
	trainingBytes = 9 << 20
	samplingBytes = 3 << 20
)

// process is what the program takes of the device's memory: nothing of a card's.
func (s *stage) process(adds int64) int64 {
	if s.compute().OnCard() {
		return 0
	}
	return residentMemory(adds)
}

// residentMemory is what the program and its data take, without what is left of
// reading them, and what running adds.
func residentMemory(adds int64) int64 {
	debug.FreeOSMemory()
	n := host.ResidentMemory()
	if n > 0 {
		n += adds
	}
	return n
}

// cardless says that the run is planned for a card that is not here: it has sizes
// and no time.
func (s *stage) cardless() bool {
	b, is := s.backend.(interface{ Counts() bool })
	return is && b.Counts()
}

// scratch is what the kernels take beside their sessions, where the device tells.
func (s *stage) scratch(kernels ...[]device.Step) int64 {
	if sizer, is := s.backend.(device.Sizer); is {
		return sizer.ScratchBytes(slices.Concat(kernels...))
	}
	return 0
}

// normSteps are the optimizer's kernels that take memory of their own.
func (s *stage) normSteps(t trained) []device.Step {
	x := device.View{Addr: 1, Rows: 1, Cols: t.elements(), Type: s.act.Wide()}
	sum := device.View{Addr: 1, Rows: 1, Cols: 1, Type: device.F64}
	return []device.Step{{Kernel: "sum_squares", Call: device.Call{In: []device.View{x}, Out: []device.View{sum}}}}
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

// savePolicy sizes the run before its weights are read, and tells the policy
// that fitPolicy gives.
func (s *stage) savePolicy(train, held []extent, steps int) (exec.SavePolicy, error) {
	t, err := s.trained()
	if err != nil {
		return "", err
	}
	w, err := s.walk(train, held, steps)
	if err != nil {
		return "", err
	}
	f, err := s.footprint(t, w)
	if err != nil {
		return "", err
	}
	policy, err := s.fitPolicy(t, f, w, train)
	if err != nil {
		return "", err
	}
	need, err := s.session(f, t, w.largest, policy)
	s.env.note(fmt.Sprintf("memory: about %s, %s of them activations (save_policy %s)", gib(f.process+f.fixed()+need.total()), gib(need.activations), policy))
	return policy, err
}

// fitPolicy is the save policy of the run: the one that was asked for, or the
// one that keeps most of those that fit the memory. What does not fit is an
// error that names the largest setting that does.
func (s *stage) fitPolicy(t trained, f *footprint, w *workload, train []extent) (exec.SavePolicy, error) {
	asked := exec.SaveAll
	if s.settings.SavePolicy != "auto" {
		var err error
		if asked, err = exec.ParseSavePolicy(s.settings.SavePolicy); err != nil {
			return "", err
		}
	}
	memory, err := available(s.backend)
	if errors.Is(err, host.ErrUnknown) {
		return asked, nil
	}
	if err != nil {
		return "", err
	}
	left := int64(headroom*float64(memory)) - f.fixed()
	policy, err := choosePolicy(left, func(p exec.SavePolicy) (int64, error) {
		b, err := s.session(f, t, w.largest, p)
		return b.total(), err
	})
	switch {
	case errors.Is(err, errNoRoom):
		return "", s.tooLarge(t, f, w, train, memory)
	case err != nil || s.settings.SavePolicy == "auto":
		return policy, err
	}
	need, err := s.session(f, t, w.largest, asked)
	if err == nil && need.total() > left {
		err = fmt.Errorf("memory: save_policy %s needs %s, %s are available: use %s or auto", asked, gib(f.fixed()+need.total()), gib(memory), policy)
	}
	return asked, err
}

// tooLarge says what would fit: a smaller batch, then a shorter length, each
// with the policy that keeps least.
func (s *stage) tooLarge(t trained, f *footprint, w *workload, train []extent, available int64) error {
	need := f.fixed() + f.sessions[exec.SaveTiled].total()
	say := func(advice string) error {
		return fmt.Errorf("memory: %s needed with batch %d and save_policy tiled, %s available: %s", gib(need), s.settings.Batch, gib(available), advice)
	}
	left := int64(headroom*float64(available)) - f.weights - f.adapter - f.optimizer - f.sampled()
	if left <= 0 {
		return say(fmt.Sprintf("the weights alone take %s: use a smaller model or --quantize nf4", gib(f.weights)))
	}
	for batch := s.settings.Batch / 2; batch >= 1; batch /= 2 {
		if s.fits(t, train, batch, w.longest, left) {
			return say(fmt.Sprintf("--batch %d --accumulate %d fits", batch, s.settings.Accumulate*s.settings.Batch/batch))
		}
	}
	for length := w.longest / 2; length >= 16; length /= 2 {
		if s.fits(t, train, 1, length, left) {
			return say(fmt.Sprintf("--batch 1 --accumulate %d --max-length %d fits", s.settings.Accumulate*s.settings.Batch, length))
		}
	}
	return say("use a smaller model or --quantize nf4")
}

// fits says whether the largest examples together would.
func (s *stage) fits(t trained, train []extent, batch, length int, left int64) bool {
	list := slices.Clone(train)
	for i := range list {
		list[i] = list[i].cut(length)
	}
	slices.SortFunc(list, func(x, y extent) int { return y.Tokens - x.Tokens })
	var pack extent
	for _, e := range list[:min(batch, len(list))] {
		pack = pack.join(e)
	}
	step, err := s.sessionSize(t, pack.Capacity, exec.SaveTiled, true)
	if err != nil {
		return false
	}
	evaluation, err := s.sessionSize(t, pack.Capacity, exec.SaveTiled, false)
	return err == nil && inTurns(step, evaluation)+s.scratch(step.Kernels, evaluation.Kernels) <= left
}

// gib is a size for eyes.
func gib(n int64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
}
