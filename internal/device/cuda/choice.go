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

// Choose picks for a product with a frozen weight as a run does. asked says that
// cuBLASLt is to be used where it is quicker; it may still refuse a shape.
func Choose(card driver.Info, asked bool, m, n, k int) Choice {
	c := Choice{M: m, N: n, K: k}
	switch s := shapeOf(m, n, n, card.Units); {
	case m <= gemvRows:
		c.Kernel, c.Reason = "gemv", fmt.Sprintf("up to %d rows: the weight is read once, in the type that it is stored in", gemvRows)
	case asked && pick(card.Major) && forVendor(m, n, k):
		c.Kernel, c.Reason = "cublaslt", fmt.Sprintf("capability %d.%d is quicker with instructions that our kernels have not", card.Major, card.Minor)
	case pick(card.Major):
		c.Kernel, c.Reason = s.name(), "our own, without wgmma: ALIGN_CUBLASLT=auto takes NVIDIA's library where it is found"
	default:
		c.Kernel, c.Reason = s.name(), fmt.Sprintf("our own, made for capability %d.%d", card.Major, card.Minor)
	}
	return c
}

// name is the instruction and the tile.
func (s *shape) name() string { return fmt.Sprintf("mma.sync %dx%d", s.m, s.n) }
