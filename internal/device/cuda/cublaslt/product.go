package cublaslt

import (
	"errors"
	"unsafe"
)

// Numbers of cublasLt.h, cublas_api.h and library_types.h.
const (
	typeF32    = 0  // CUDA_R_32F
	typeBF16   = 14 // CUDA_R_16BF
	computeF32 = 68 // CUBLAS_COMPUTE_32F

	descTransA = 3 // CUBLASLT_MATMUL_DESC_TRANSA
	descTransB = 4

	preferWorkspace = 1 // CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
	preferReduction = 3 // CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK
	preferAlignment = 5 // CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, then B, C and D

	across = 1 // CUBLAS_OP_T
)

// Workspace is the size in bytes of the memory that a product may use: what
// NVIDIA advises for Hopper.
const Workspace = 32 << 20

// Alignment is what the addresses and rows of a product's matrices are multiples
// of, in bytes. The library takes 256 for granted where nothing is said, and then
// chooses algorithms that fault on less.
const Alignment = 16

// Shape is a product of row-major bf16 matrices into float32 or, if BF16, into
// bf16, with float32 sums:
//
//	y[M,N] = alpha x w + beta y
//
// x is [M,K], or [K,M] if XAcross; w is [N,K], or [K,N] if WAcross. Lds are
// elements from one row to the next.
type Shape struct {
	M, N, K          int
	XAcross, WAcross bool
	LdX, LdW, LdY    int
	BF16             bool
}

// result is cublasLtMatmulHeuristicResult_t, 96 bytes.
type result struct {
	algorithm [8]uint64
	workspace uint64
	state     int32
	waves     float32
	_         [4]int32
}

// Product is a shape with its algorithm. Enqueueing it allocates nothing.
type Product struct {
	handle        *Handle
	desc, w, x, y uintptr
	chosen        result
	alpha, beta   float32
	call          [16]uintptr
}

// Product lets the library choose an algorithm. Sums that are split over
// blocks are not among them: they would be added in another order for another
// number of rows. [ErrNoAlgorithm] is for shapes that it refuses.
func (h *Handle) Product(s Shape) (*Product, error) {
	// The library counts columns first: to it our matrices are turned, and
	// y' [N,M] = w x' is what it computes, with w on its left side.
	p, result := &Product{handle: h}, uintptr(typeF32)
	if s.BF16 {
		result = typeBF16
	}
	err := errors.Join(
		p.describe(!s.WAcross, s.XAcross),
		p.layout(&p.w, typeBF16, s.K, s.N, s.LdW, s.WAcross),
		p.layout(&p.x, typeBF16, s.K, s.M, s.LdX, s.XAcross),
		p.layout(&p.y, result, s.N, s.M, s.LdY, false),
	)
	if err == nil {
		err = p.choose()
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Product) describe(transA, transB bool) error {
	t := &p.handle.library.table
	if err := check("cublasLtMatmulDescCreate", invoke(t.descCreate, uintptr(unsafe.Pointer(&p.desc)), computeF32, typeF32)); err != nil {
		return err
	}
	for attribute, turned := range map[uintptr]bool{descTransA: transA, descTransB: transB} {
		operation := int32(0)
		if turned {
			operation = across
		}
		err := check("cublasLtMatmulDescSetAttribute", invoke(t.descSet, p.desc, attribute, uintptr(unsafe.Pointer(&operation)), unsafe.Sizeof(operation)))
		if err != nil {
			return err
		}
	}
	return nil
}

// layout makes a matrix of rows x cols in the library's order; turned swaps them.
func (p *Product) layout(to *uintptr, typ uintptr, rows, cols, ld int, turned bool) error {
	if turned {
		rows, cols = cols, rows
	}
	return check("cublasLtMatrixLayoutCreate", invoke(p.handle.library.table.layoutCreate, uintptr(unsafe.Pointer(to)), typ,
		uintptr(rows), uintptr(cols), uintptr(ld)))
}

// preference makes what algorithms must keep to.
func (l *Library) preference() (at uintptr, err error) {
	t := &l.table
	if err := check("cublasLtMatmulPreferenceCreate", invoke(t.preferCreate, uintptr(unsafe.Pointer(&at)))); err != nil {
		return 0, err
	}
	set := func(attribute uintptr, value unsafe.Pointer, size uintptr) error {
		return check("cublasLtMatmulPreferenceSetAttribute", invoke(t.preferSet, at, attribute, uintptr(value), size))
	}
	workspace, reduction, alignment := uint64(Workspace), uint32(0), uint32(Alignment) // no split sums: CUBLASLT_REDUCTION_SCHEME_NONE
	errs := []error{set(preferWorkspace, unsafe.Pointer(&workspace), 8), set(preferReduction, unsafe.Pointer(&reduction), 4)}
	for matrix := range uintptr(4) {
		errs = append(errs, set(preferAlignment+matrix, unsafe.Pointer(&alignment), 4))
	}
	return at, errors.Join(errs...)
}

func (p *Product) choose() error {
	l := p.handle.library
	preference, err := l.preference()
	if preference != 0 {
		defer invoke(l.table.preferDestroy, preference)
	}
	if err != nil {
		return err
	}
	var count int32
	err = check("cublasLtMatmulAlgoGetHeuristic", invoke(l.table.heuristic, p.handle.handle, p.desc, p.w, p.x, p.y, p.y, preference, 1,
		uintptr(unsafe.Pointer(&p.chosen)), uintptr(unsafe.Pointer(&count))))
	var refused *Error
	const notSupported = 15
	if errors.As(err, &refused) && refused.Status == notSupported {
		return ErrNoAlgorithm
	}
	if err != nil {
		return err
	}
	if count < 1 || p.chosen.state != 0 {
		return ErrNoAlgorithm
	}
	return nil
}

// On enqueues the product on a stream of the driver. Addresses are on the card,
// workspace that of [Workspace] bytes.
func (p *Product) On(stream uintptr, y, x, w uint64, alpha, beta float32, workspace uint64) error {
	p.alpha, p.beta = alpha, beta
	p.call = [16]uintptr{
		p.handle.handle, p.desc, uintptr(unsafe.Pointer(&p.alpha)), uintptr(w), p.w, uintptr(x), p.x,
		uintptr(unsafe.Pointer(&p.beta)), uintptr(y), p.y, uintptr(y), p.y,
		uintptr(unsafe.Pointer(&p.chosen.algorithm)), uintptr(workspace), Workspace, stream,
	}
	return check("cublasLtMatmul", invoke(p.handle.library.table.matmul, p.call[:]...))
}

// Close gives back what describes the product.
func (p *Product) Close() error {
	t := &p.handle.library.table
	var errs []error
	for _, layout := range []*uintptr{&p.w, &p.x, &p.y} {
		if *layout != 0 {
			errs = append(errs, check("cublasLtMatrixLayoutDestroy", invoke(t.layoutDestroy, *layout)))
			*layout = 0
		}
	}
	if p.desc != 0 {
		errs = append(errs, check("cublasLtMatmulDescDestroy", invoke(t.descDestroy, p.desc)))
		p.desc = 0
	}
	return errors.Join(errs...)
}
