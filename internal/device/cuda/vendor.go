package cuda

import (
	"errors"
	"fmt"
	"os"

	"align/internal/device"
	"align/internal/device/cuda/cublaslt"
	"align/internal/device/cuda/driver"
)

// vendor is NVIDIA's library for products, used where it is asked for: it has
// not run on a card yet, and whether a row's bits hang on the number of rows is
// the library's choice of algorithm.
type vendor struct {
	handle   *cublaslt.Handle
	products map[cublaslt.Shape]*cublaslt.Product // nil for shapes that it refuses
}

// UseCUBLASLt lets the library multiply from now on where [pick] says so, on
// cards that it is quicker on. It is for a backend that has run no kernel yet.
func (b *Backend) UseCUBLASLt(l *cublaslt.Library) error {
	return b.Within(func() error {
		h, err := l.Handle()
		if err != nil {
			return err
		}
		b.vendor = &vendor{h, map[cublaslt.Shape]*cublaslt.Product{}}
		return nil
	})
}

// askVendor takes the library that the environment asks for.
func (b *Backend) askVendor(l *driver.Library) error {
	if os.Getenv(cublaslt.Variable) == "" {
		return nil
	}
	library, err := cublaslt.Open(int(l.Version()) / 1000)
	if err != nil {
		return fmt.Errorf("%s is set: %w", cublaslt.Variable, err)
	}
	return b.UseCUBLASLt(library)
}

// Products names what multiplies matrices of many rows: "own", "wgmma" or
// "cublaslt".
func (b *Backend) Products() string {
	switch {
	case b.vendor != nil && pick(b.device.Major):
		return "cublaslt"
	case b.means.Wgmma:
		return "wgmma"
	}
	return "own"
}

// pick says whether the library goes before our own kernels on a card of the
// given compute capability: those with instructions (wgmma and its successor)
// that mma.sync does not reach. On others it would have to be measured quicker.
func pick(major int) bool { return major == 9 || major == 10 }

// vendorRows is the least rows of a product that the library gets: fewer leave
// the card waiting for memory, and must have the bits of gemv.
const vendorRows = 128

// takes says whether a product is for the library; no receiver takes none.
func (v *vendor) takes(p *product) bool {
	return v != nil && forVendor(p.m, p.n, p.k) && p.y%cublaslt.Alignment == 0
}

// forVendor says whether a shape is for the library.
func forVendor(m, n, k int) bool {
	return m >= vendorRows && n >= vendorRows && k >= gemmStep && n%eight == 0
}

// vendorProduct enqueues a product by the library; what it cannot do in one, the
// adapter's part and the bias, our own kernel adds. It is not done where the
// library refuses the shape.
func (l *launcher) vendorProduct(of kind, p *product) (done bool, err error) {
	if !pick(l.b.device.Major) {
		return false, nil
	}
	if l.b.counts {
		_, err := l.room(slotVendor, cublaslt.Workspace)
		return true, err
	}
	v := l.b.vendor
	s := cublaslt.Shape{M: p.m, N: p.n, K: p.k, XAcross: of == kindTN, WAcross: of != kindNT, LdX: p.x.ld, LdW: p.w.ld, LdY: p.ldy, BF16: p.typ == device.BF16}
	chosen, known := v.products[s]
	if !known {
		chosen, err = v.handle.Product(s)
		if err != nil && !errors.Is(err, cublaslt.ErrNoAlgorithm) {
			return false, err
		}
		v.products[s] = chosen
	}
	if chosen == nil {
		return false, nil
	}
	room, err := l.room(slotVendor, cublaslt.Workspace)
	if err != nil {
		return false, err
	}
	if err := chosen.On(l.b.stream.Handle(), p.y, p.x.at, p.w.at, p.alpha, float32(count(p.accumulate)), room); err != nil {
		return false, err
	}
	if p.r == 0 && p.bias == 0 {
		return true, nil
	}
	rest := *p
	rest.k, rest.accumulate = 0, true
	return true, l.gemm(of, &rest)
}

func (v *vendor) close() error {
	if v == nil {
		return nil
	}
	var errs []error
	for _, p := range v.products {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(append(errs, v.handle.Close())...)
}
