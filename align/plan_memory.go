package align

import (
	"errors"
	"fmt"
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
	// evaluation is the session of held-out data, workspace what kernels keep
	// beside the sessions and the copies of what is trained that starting and
	// saving make, process what is resident already: program and data.
	evaluation, workspace, process int64
	// activations is the training session by save policy, as far as computed.
	activations map[exec.SavePolicy]int64
}

// fixed is what every save policy takes besides.
func (f *footprint) fixed() int64 {
	return f.weights + f.adapter + f.optimizer + f.evaluation + f.workspace
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
		if weights, err = model.WeightBytes(s.base, s.settings.Quantize, s.act, s.matrixType); err != nil {
			return nil, err
		}
	}
	flat := int64(t.elements()) * int64(s.act.Wide().Size())
	f := &footprint{
		weights: weights, adapter: 2 * flat, optimizer: 2 * flat, // value and gradient; two moments
		workspace: s.workspaceBytes(w.largest) + 2*flat, process: host.ResidentMemory(), activations: map[exec.SavePolicy]int64{},
	}
	if w.held > 0 {
		var err error
		if f.evaluation, err = s.sessionBytes(t, w.heldLargest, exec.SaveAll, false); err != nil {
			return nil, err
		}
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
	if s.compute().onCard() {
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

// workspaceBytes is about what the CPU's kernels keep beside the arena: rows of
// the widest product, packed for products of both kinds, a tile of logits, and
// some tiles for each thread. The factor is measured.
func (s *stage) workspaceBytes(c model.Capacity) int64 {
	widest := max(s.config.IntermediateSize, s.config.HiddenSize, s.config.NumHeads*s.config.HeadDim)
	return 3*int64(c.Tokens)*int64(widest)*int64(s.act.Size()) + kernelTiles
}

// kernelTiles is the CPU kernels' tiles, and what building the graphs leaves on
// the heap, together and about.
const kernelTiles = 12 << 20

// sessionBytes is the memory of a session with a loss on its sequences.
func (s *stage) sessionBytes(t trained, c model.Capacity, save exec.SavePolicy, training bool) (int64, error) {
	o := model.DecoderOptions{Capacity: c, Adapter: t.adapter, Full: t.full, Train: training, Save: save}
	if s.head != "" {
		d, err := model.NewScorer(s.config, s.act, o)
		if err != nil {
			return 0, err
		}
		return d.SessionBytes(d.Dot(d.Scores, d.Vector("weights", device.F64, graph.Targets)))
	}
	d, err := model.NewDecoder(s.config, s.act, o)
	if err != nil {
		return 0, err
	}
	loss := d.Dot(d.SequenceLogProbs, d.Vector("weights", device.F64, graph.Sequences))
	return d.SessionBytes(loss, d.SequenceLogProbs, d.Prediction.Entropy, d.Prediction.Hit)
}

// activations is sessionBytes of training, computed once.
func (s *stage) activations(f *footprint, t trained, c model.Capacity, save exec.SavePolicy) (int64, error) {
	if n, ok := f.activations[save]; ok {
		return n, nil
	}
	n, err := s.sessionBytes(t, c, save, true)
	f.activations[save] = n
	return n, err
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
	need, err := s.activations(f, t, w.largest, policy)
	s.env.note(fmt.Sprintf("memory: about %s, %s of them activations (save_policy %s)", gib(f.process+f.fixed()+need), gib(need), policy))
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
	policy, err := choosePolicy(left, func(p exec.SavePolicy) (int64, error) { return s.activations(f, t, w.largest, p) })
	switch {
	case errors.Is(err, errNoRoom):
		return "", s.tooLarge(t, f, w, train, memory)
	case err != nil || s.settings.SavePolicy == "auto":
		return policy, err
	}
	need, err := s.activations(f, t, w.largest, asked)
	if err == nil && need > left {
		err = fmt.Errorf("memory: save_policy %s needs %s, %s are available: use %s or auto", asked, gib(f.fixed()+need), gib(memory), policy)
	}
	return asked, err
}

// tooLarge says what would fit: a smaller batch, then a shorter length, each
// with the policy that keeps least.
func (s *stage) tooLarge(t trained, f *footprint, w *workload, train []extent, available int64) error {
	need := f.fixed() + f.activations[exec.SaveTiled]
	say := func(advice string) error {
		return fmt.Errorf("memory: %s needed with batch %d and save_policy tiled, %s available: %s", gib(need), s.settings.Batch, gib(available), advice)
	}
	left := int64(headroom*float64(available)) - f.weights - f.adapter - f.optimizer
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
	step, err := s.sessionBytes(t, pack.Capacity, exec.SaveTiled, true)
	if err != nil {
		return false
	}
	evaluation, err := s.sessionBytes(t, pack.Capacity, exec.SaveTiled, false)
	return err == nil && step+evaluation+s.workspaceBytes(pack.Capacity) <= left
}

// gib is a size for eyes.
func gib(n int64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
}
