package cuda

import (
	"errors"
	"fmt"
	"slices"

	"align/internal/device"
	"align/internal/device/cuda/cublaslt"
	"align/internal/device/cuda/driver"
	"align/internal/device/cuda/kernels"
	"align/internal/device/proof"
)

// ProofVariable names the environment's variable that leaves the proofs out where it
// is "off", to find a fault.
const ProofVariable = "ALIGN_CUDA_PROOF"

// Prover runs trials of a file of kernels on a backend and says what of them comes out
// wrong.
type Prover func(b device.Backend, file string) error

// proofs are the files of kernels that have run their trials on the card.
type proofs struct {
	with  Prover
	ended map[string]error // nil: proven, or under way
}

// ErrWrong is what kernels come to that fail their proof: nothing may be computed by
// them.
var ErrWrong = errors.New("cuda: kernels fail their proof")

// WrongError is an [ErrWrong] with the card and what came out wrong.
type WrongError struct {
	File    string // of kernels
	Card    string // with its number
	Version driver.Version
	Cause   error
}

// Error tells the card, the driver, what came out wrong and what to do.
func (e *WrongError) Error() string {
	return fmt.Sprintf("%s, driver for CUDA %v: %v: nothing was computed by them (run with --device cpu or try another driver, and report this line)", e.Card, e.Version, e.Cause)
}

// Is reports whether target is [ErrWrong].
func (e *WrongError) Is(target error) bool { return target == ErrWrong }

// Unwrap returns what came out wrong.
func (e *WrongError) Unwrap() error { return e.Cause }

// Prove lets every file of kernels prove itself when it is translated, before its
// kernels do anything else; one that fails is a [WrongError] of the call that wanted it.
// Those on wgmma prove themselves at once, since the name of the numerics hangs on
// them: where they fail, mma.sync stands in, and instead says why. So do those that the
// copy engine feeds, where they are asked for: gemm_sm90 stands in for them. NVIDIA's
// library does it, too, where it is asked for. It is for a backend that has run no kernel
// yet.
func (b *Backend) Prove(with Prover) (instead string, err error) {
	b.proofs = &proofs{with: with, ended: map[string]error{}}
	if b.vendor != nil && pick(b.device.Major) {
		if err := b.Within(func() error { return b.prove(vendorFile) }); err != nil {
			return "", fmt.Errorf("%w, or without %s", err, cublaslt.Variable)
		}
	}
	if !b.means.Wgmma {
		return "", nil
	}
	fault, err := b.replaceable(func(name string) bool { return kernels.Hopper(name) && !kernels.Bulk(name) }, "mma", b.means.asked)
	switch {
	case err != nil:
		return "", err
	case fault != nil:
		b.means.Wgmma, b.means.TMA, b.means.Reason = false, false, "wgmma failed its proof on this card"
		return fmt.Sprintf("mma.sync stands in for wgmma, which failed its proof (please report this): %v", cause(fault)), nil
	case !b.means.TMA:
		return "", nil
	}
	if fault, err = b.replaceable(kernels.Bulk, "wgmma", false); fault != nil && err == nil {
		b.means.TMA, b.means.Reason = false, "capability 9.0 has wgmma; its copy engine (TMA) failed its proof on this card"
		instead = fmt.Sprintf("wgmma fed by threads stands in for the copy engine (TMA), which failed its proof (please report this): %v", cause(fault))
	}
	return instead, err
}

// replaceable proves files that others can stand in for and returns the first fault; an
// error is what nothing stands in for: a lost or full card, what is wrong of other files,
// or everything, where the files are asked for. Better is what to ask for on a lost card.
func (b *Backend) replaceable(want func(name string) bool, better string, asked bool) (fault, err error) {
	faults := b.proveFiles(want)
	for _, err := range faults {
		var wrong *WrongError
		base := errors.As(err, &wrong) && !want(wrong.File) // what stands in is no better
		switch {
		case errors.Is(err, driver.ErrLost): // by a fault, which a process does not get over
			return nil, fmt.Errorf("%w, or with %s=%s", err, Variable, better)
		case base || asked || errors.Is(err, driver.ErrOutOfMemory):
			return nil, err
		}
	}
	if len(faults) > 0 {
		return faults[0], nil
	}
	return nil, nil
}

// cause is what came out wrong, without what to do about it.
func cause(err error) error {
	var wrong *WrongError
	if errors.As(err, &wrong) {
		return wrong.Cause
	}
	return err
}

// vendorFile stands for NVIDIA's library among the files that have trials.
const vendorFile = "cublaslt"

// ProveAll proves all files that the card can run, as far as they are not proven yet,
// and returns what is wrong, file by file.
func (b *Backend) ProveAll() []error {
	return b.proveFiles(func(name string) bool {
		return !kernels.Hopper(name) || b.means.Wgmma && (b.means.TMA || !kernels.Bulk(name))
	})
}

// Proven lists the files of kernels that have proven themselves, in alphabetical order.
func (b *Backend) Proven() (files []string) {
	for file, err := range b.proofs.ended {
		if err == nil {
			files = append(files, file)
		}
	}
	slices.Sort(files)
	return files
}

func (b *Backend) proveFiles(want func(name string) bool) (wrong []error) {
	for _, name := range kernels.Names() {
		if !want(name) {
			continue
		}
		err := b.Within(func() error {
			_, err := b.module(name)
			return err
		})
		if err != nil {
			wrong = append(wrong, err)
		}
		if errors.Is(err, driver.ErrLost) { // all others would say the same
			break
		}
	}
	return wrong
}

// prove runs the trials of a file, once, inside Do. They have memory of their own, some
// hundred KiB that go back to the driver, because a kernel may be in the midst of its
// launches.
func (b *Backend) prove(file string) error {
	p := b.proofs
	if p == nil {
		return nil
	}
	if err, ended := p.ended[file]; ended {
		return err
	}
	p.ended[file] = nil // the trials' own calls go on
	s := b.aside(file)
	err := p.with(s, file)
	if failed := s.pool.close(); err == nil {
		err = failed
	}
	err = b.verdict(file, err)
	if p.ended[file] = err; errors.Is(err, driver.ErrOutOfMemory) {
		delete(p.ended, file) // says nothing about the kernels
	}
	return err
}

// verdict is what a failed proof is to who wanted the file: the fault of one of its own
// kernels, of another file's that it needs, or of a full card.
func (b *Backend) verdict(file string, err error) error {
	var wrong *proof.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrWrong) || errors.Is(err, driver.ErrOutOfMemory):
		return fmt.Errorf("proof of kernels %q: %w", file, err)
	case !errors.As(err, &wrong):
		err = fmt.Errorf("proof of kernels %q: %w", file, err)
	}
	return &WrongError{File: file, Card: fmt.Sprintf("%s (%s)", b.Name(), b.device.Name), Version: b.device.Version(), Cause: err}
}

// aside is a backend on the same card, thread and stream with memory of its own, that
// chooses for a file as on the card that the trials are made for.
func (b *Backend) aside(file string) *Backend {
	s := &Backend{
		device: b.device, stream: b.stream, staging: b.staging, modules: b.modules, proofs: b.proofs,
		entries: map[string]*driver.Kernel{}, units: proof.Units, inside: true,
		pool: pool{device: b.device, stream: b.stream, passing: true},
	}
	if kernels.Hopper(file) {
		s.units, s.means.Wgmma, s.means.TMA = proof.UnitsWgmma, true, kernels.Bulk(file)
	}
	if file == vendorFile {
		s.vendor = b.vendor
	}
	s.scratch.pool = &s.pool
	return s
}
