package plan

import (
	"errors"
	"fmt"
	"slices"

	"align/internal/compute"
	"align/internal/exec"
	"align/internal/host"
)

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

// SavePolicy sizes the run before its weights are read, and tells the policy
// that fitPolicy gives.
func (s *Stage) SavePolicy(t Trained, train, held []Extent, steps int) (exec.SavePolicy, error) {
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
	s.Note(fmt.Sprintf("memory: about %s, %s of them activations (save_policy %s)", host.FormatSize(f.process+f.fixed()+need.total()), host.FormatSize(need.activations), policy))
	return policy, err
}

// fitPolicy is the save policy of the run: the one that was asked for, or the
// one that keeps most of those that fit the memory. What does not fit is an
// error that names the largest setting that does.
func (s *Stage) fitPolicy(t Trained, f *footprint, w *workload, train []Extent) (exec.SavePolicy, error) {
	asked := exec.SaveAll
	if s.Settings.SavePolicy != "auto" {
		var err error
		if asked, err = exec.ParseSavePolicy(s.Settings.SavePolicy); err != nil {
			return "", err
		}
	}
	memory, err := compute.Available(s.Backend)
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
	case err != nil || s.Settings.SavePolicy == "auto":
		return policy, err
	}
	need, err := s.session(f, t, w.largest, asked)
	if err == nil && need.total() > left {
		err = fmt.Errorf("memory: save_policy %s needs %s, %s are available: use %s or auto", asked, host.FormatSize(f.fixed()+need.total()), host.FormatSize(memory), policy)
	}
	return asked, err
}

// tooLarge says what would fit: a smaller batch, then a shorter length, each
// with the policy that keeps least.
func (s *Stage) tooLarge(t Trained, f *footprint, w *workload, train []Extent, available int64) error {
	need := f.fixed() + f.sessions[exec.SaveTiled].total()
	say := func(advice string) error {
		return fmt.Errorf("memory: %s needed with batch %d and save_policy tiled, %s available: %s", host.FormatSize(need), s.Settings.Batch, host.FormatSize(available), advice)
	}
	left := int64(headroom*float64(available)) - f.weights - f.adapter - f.optimizer - f.sampled()
	if left <= 0 {
		return say(fmt.Sprintf("the weights alone take %s: use a smaller model or --quantize nf4", host.FormatSize(f.weights)))
	}
	for batch := s.Settings.Batch / 2; batch >= 1; batch /= 2 {
		if s.fits(t, train, batch, w.longest, left) {
			return say(fmt.Sprintf("--batch %d --accumulate %d fits", batch, s.Settings.Accumulate*s.Settings.Batch/batch))
		}
	}
	for length := w.longest / 2; length >= 16; length /= 2 {
		if s.fits(t, train, 1, length, left) {
			return say(fmt.Sprintf("--batch 1 --accumulate %d --max-length %d fits", s.Settings.Accumulate*s.Settings.Batch, length))
		}
	}
	return say("use a smaller model or --quantize nf4")
}

// fits says whether the largest examples together would.
func (s *Stage) fits(t Trained, train []Extent, batch, length int, left int64) bool {
	list := slices.Clone(train)
	for i := range list {
		list[i] = list[i].cut(length)
	}
	slices.SortFunc(list, func(x, y Extent) int { return y.Tokens - x.Tokens })
	var pack Extent
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
