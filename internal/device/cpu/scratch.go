package cpu

import (
	"strings"

	"align/internal/device"
	"align/internal/device/cpu/gemm"
)

var _ device.Sizer = (*Backend)(nil)

// scratch is what kernels take beside the values of their programs, in bytes.
// Each part is the largest that any of them needs: they run one at a time.
type scratch struct {
	b      *Backend
	worker int64 // of each worker
	common int64
	kept   int64 // panels of a left side that stays packed
	passed int64 // and of one that does not
	narrow int64 // results of products with few columns
	wide   int64 // rows of a y that is rounded
}

// ScratchBytes is what the kernels of the steps keep: the workspaces, and the
// packed left sides of products (kept), of which each place comes to hold the
// largest one. Kernels of portable Go take some tiles, which are not counted.
func (b *Backend) ScratchBytes(steps []device.Step) int64 {
	if b.fast == nil {
		return 0
	}
	s := scratch{b: b}
	for i := range steps {
		s.step(&steps[i])
	}
	return int64(b.pool.threads)*s.worker + s.common + numKept*s.kept + s.passed + s.narrow + s.wide
}

func (s *scratch) step(p *device.Step) {
	in := p.Call.In
	switch strings.TrimSuffix(p.Kernel, "_add") {
	case "linear":
		s.writes(p.Call.Out[0], in[0], in[1], false, 0)
	case "swiglu", "swiglu_grad":
		s.worker = max(s.worker, 8*int64(len(in)+len(p.Call.Out))*int64(in[0].Cols))
	case "rmsnorm", "dropout", "rope":
		if y := p.Call.Out[0]; y.Type == device.BF16 {
			s.worker = max(s.worker, 8*int64(y.Cols))
		}
	case "linear_dx":
		s.writes(p.Call.Out[0], in[0], in[1], true, 0)
	case "lora_linear":
		s.adapted(p.Call)
	case "lora_dx":
		s.writes(p.Call.Out[0], in[0], in[1], true, in[2].Cols)
	case "lora_dropped_dx":
		s.dropped(p.Call.Out[0], in)
	case "lora_du":
		s.product(in[0], in[1], false, true, 0)
		s.gradient(p.Call.Out[0], in[0], in[2])
	case "matmul_tn":
		s.masked(p.Call)
		s.across(p.Call.Out[0], in[0], in[1])
	case "matmul_nt", "matmul_nn":
		s.product(in[0], in[1], false, p.Kernel != "matmul_nt", 0)
	case "logprob", "logprob_dx", "logprob_dw":
		s.head(in[0], in[1], p.Kernel == "logprob_dw")
		if len(p.Call.Out) == 5 && p.Call.Out[4].Addr != 0 {
			s.shared(8 * int64(min(in[0].Rows, headRows)) * int64(headCols+in[0].Cols))
		}
	case "attention", "attention_grad", "attention_cached":
		s.attention(p)
	}
}

func (s *scratch) shared(bytes int64) { s.common = max(s.common, bytes) }

// product is y = x w, or the like, with a low-rank part of rank r.
func (s *scratch) product(x, w device.View, xAcross, wAcross bool, r int) {
	m, k := dims(x, xAcross)
	n, _ := dims(w, wAcross)
	s.productOf(w, gemm.Product{M: m, N: n, K: k, XAcross: xAcross, WAcross: wAcross, LowRank: gemm.LowRank{R: r}})
}

// productOf is product as the engine sees it, but for the weight.
func (s *scratch) productOf(w device.View, p gemm.Product) {
	if p.M == 0 || p.N == 0 || p.K == 0 {
		return
	}
	if w.Type.IsBlock() {
		p.W.Source = &viewSource{}
	}
	if p.LowRank.R > 0 && !p.WAcross { // u from x, as bindLoRA does where nothing is dropped
		p.LowRank.Down.Data = make([]float32, 1)
	}
	sizes := s.b.fast.engine.Sizes(&p)
	s.worker = max(s.worker, sizes.Worker)
	if p.XAcross {
		s.passed = max(s.passed, sizes.Shared)
	} else {
		s.kept = max(s.kept, sizes.Shared)
	}
}

// adapted is a layer and its adapter, whose input may be dropped in part.
func (s *scratch) adapted(c device.Call) {
	x, xd, w, a := c.In[0], c.In[1], c.In[2], c.In[3]
	low := int64(lowWords(&c))
	switch {
	case isMask(xd) && s.b.fast.engine.KeepsX(x.Cols):
		p := gemm.Product{M: x.Rows, N: w.Rows, K: x.Cols, LowRank: gemm.LowRank{R: a.Rows, Down: gemm.Matrix{Data: make([]float32, 1)}, XKept: gemm.Mask{Bits: make([]uint32, 1)}}}
		s.worker = max(s.worker, s.b.fast.engine.Sizes(&p).Worker)
	case isMask(xd):
		low += x.Bytes() / 8
	}
	s.shared(8 * low)
	s.product(x, a, false, false, 0)
	s.writes(c.Out[0], x, w, false, a.Rows)
}

// writes is product with a y, which may be of bfloat16.
func (s *scratch) writes(y, x, w device.View, wAcross bool, r int) {
	n, _ := dims(w, wAcross)
	s.rounded(y, w, gemm.Product{M: x.Rows, N: n, K: x.Cols, WAcross: wAcross, LowRank: gemm.LowRank{R: r}})
}

// rounded is p with a y, which the engine rounds or, some rows at a time, the kernel.
func (s *scratch) rounded(y, w device.View, p gemm.Product) {
	if y.Type == device.BF16 && p.M > 0 {
		p.Alpha, p.Y = 1, gemm.Matrix{Half: make([]uint16, 1), Stride: p.N}
		if !s.b.fast.engine.RoundsY(&p) {
			p.M, p.Y = min(p.M, roundingRows), gemm.Matrix{}
			s.wide = max(s.wide, 4*int64(p.M)*int64(p.N))
		}
	}
	s.productOf(w, p)
}

// masked is the copy of w that a product takes which takes no mask.
func (s *scratch) masked(c device.Call) {
	q := product[float32]{y: c.Out[0], x: c.In[0], w: c.In[1]}
	if len(c.In) == 3 && !s.b.fast.keeps(&q) {
		s.shared(q.w.Bytes())
	}
}

// dropped is dx of a layer whose adapter's input was dropped in part.
func (s *scratch) dropped(dx device.View, in []device.View) {
	dy, w, du := in[0], in[1], in[2]
	kept := gemm.Mask{Bits: make([]uint32, 1), Stride: in[4].Cols} // a plan's views have no memory
	s.rounded(dx, w, gemm.Product{M: dy.Rows, N: w.Cols, K: dy.Cols, WAcross: true, Alpha: 1, LowRank: gemm.LowRank{R: du.Cols, Kept: kept}})
}

// gradient is y = x' u, beside a product down to as many columns or by itself.
func (s *scratch) gradient(y, x, u device.View) {
	p := gemm.Product{M: x.Rows, N: u.Cols, K: x.Cols, WAcross: true}
	if !s.b.fast.engine.TakesGradient(&p, u.Cols) {
		s.across(y, x, u)
		return
	}
	sizes := s.b.fast.engine.GradientSizes(&p)
	s.worker, s.passed = max(s.worker, sizes.Worker), max(s.passed, sizes.Shared)
}

// across is y = x' w.
func (s *scratch) across(y, x, w device.View) {
	if s.b.fast.isNarrow(&product[float32]{y: y, x: x, w: w}) {
		s.narrow = max(s.narrow, 8*int64(y.Len())) // as rows, and upright
		x, w = w, x
	}
	s.product(x, w, true, true, 0)
}

// head is a tile of logits and the products that make it and read it.
func (s *scratch) head(h, w device.View, weights bool) {
	h.Rows, w.Rows = min(h.Rows, headRows), min(w.Rows, headCols)
	s.shared(8 * int64(h.Rows) * headCols)
	s.product(h, w, false, false, 0)
	logits := device.View{Rows: h.Rows, Cols: w.Rows, Type: device.F32}
	if weights {
		s.product(logits, h, true, true, 0)
		return
	}
	// The tile lies in the workspace, so that its panels are not kept.
	m, k := dims(logits, false)
	p := gemm.Product{M: m, N: w.Cols, K: k, WAcross: true}
	s.passed = max(s.passed, s.b.fast.engine.Sizes(&p).Shared)
}

// attention is a worker's blocks of keys and rows.
func (s *scratch) attention(p *device.Step) {
	attr, ok := p.Attr.(device.Attention)
	if !ok {
		return
	}
	f := s.b.fast
	shared, err := newAttend[float32](s.b, p.Kernel, attr)
	if err != nil {
		return
	}
	if p.Kernel != "attention_grad" {
		flash, positions := f.newCachedFlash(&shared), attentionBlock
		if p.Kernel == "attention" {
			flash = newFlash(f, &shared)
			positions = flash.positions(p.Call.In[0].Rows)
		}
		s.worker = max(s.worker, int64(flash.of[0].size(positions)))
		return
	}
	shared.tokens = p.Call.In[0].Rows
	g := f.newFlashGrad(shared)
	w := g.workspace()
	waves := 0
	if g.waves.shares() {
		waves = g.waves.sharedBytes()
	}
	s.shared(8*int64(g.sharedWords()) + int64(waves))
	s.worker = max(s.worker, int64(w.size))
}
