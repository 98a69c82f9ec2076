package cuda

import (
	"fmt"

	"align/internal/device/cuda/driver"
)

// Choice says what multiplies x[M,K] by a weight of N rows on a card, and why.
type Choice struct {
	M, N, K        int
	Kernel, Reason string
}

// Choose picks for a product with a frozen weight as a run does: few rows by
// gemv, then the first of cuBLASLt, which may still refuse a shape, our own wgmma
// and our own mma.sync that takes the shape on the card.
func Choose(card driver.Info, means Means, m, n, k int) Choice {
	c := Choice{M: m, N: n, K: k}
	s := shapeOf(means.Wgmma, m, n, n, card.Units)
	c.Kernel = s.name()
	if means.feeds(s, k, k) {
		c.Kernel = s.fed().name()
	}
	switch {
	case m <= gemvRows:
		c.Kernel, c.Reason = "gemv", fmt.Sprintf("up to %d rows: the weight is read once, in the type that it is stored in", gemvRows)
	case means.Vendor && pick(card.Major) && forVendor(m, n, k):
		c.Kernel, c.Reason = "cublaslt", "NVIDIA's library is asked for and goes before our own kernels"
	case s == &shapeSlim:
		c.Reason = fmt.Sprintf("our own; up to %d rows: tiles of %d columns, so that more of the card reads the weight", s.m, s.n)
	case means.Wgmma && s == &shapeLarge:
		c.Reason = fmt.Sprintf("our own; wgmma's kernel wants a multiple of %d columns of the result", eight)
	case means.Wgmma && s.file != hopperFile:
		c.Reason = "our own; the result is too small for wgmma's tiles to keep the card busy"
	default:
		c.Reason = "our own; " + means.Reason
	}
	if pick(card.Major) && !means.Vendor && m >= vendorRows {
		c.Reason += "; ALIGN_CUBLASLT=auto takes NVIDIA's library where it is found"
	}
	return c
}

// name is the instruction and the tile.
func (s *shape) name() string { return fmt.Sprintf("%s %dx%d", s.instruction, s.m, s.n) }
