package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

const (
	// float32Unit bounds one rounding of a sum: 2^-24 of its magnitudes.
	float32Unit = 0x1p-24
)

// kind is one form of a product.
type kind struct {
	name            string
	xAcross, across bool
	packed          device.Type // 0: plain
	source          bool        // read through a Source
	rank            int
	down            bool
	bias            bool
	accumulate      bool
	drops           bool // u v joins where kept
}

var kinds = []kind{
	{name: "nt"},
	{name: "nn", across: true},
	{name: "tn", xAcross: true, across: true, accumulate: true},
	{name: "nt_packed_f32", packed: device.F32},
	{name: "nt_packed_bf16", packed: device.BF16, bias: true},
	{name: "nn_packed_f32", packed: device.F32, across: true},
	{name: "nn_packed_bf16", packed: device.BF16, across: true, accumulate: true},
	{name: "nt_source", source: true},
	{name: "nn_source", source: true, across: true, rank: 3},
	{name: "lora", packed: device.BF16, rank: 16, down: true},
	{name: "lora_bias", packed: device.BF16, rank: 5, down: true, bias: true, accumulate: true},
	{name: "lora_dx", packed: device.BF16, across: true, rank: 33},
	{name: "lora_dropped_dx", packed: device.BF16, across: true, rank: 16, drops: true, accumulate: true},
	{name: "lora_dropped_source", source: true, across: true, rank: 3, drops: true},
	{name: "lora_dx_down", packed: device.BF16, across: true, rank: 40, down: true},
}

// trial is a product with what its oracle needs.
type trial struct {
	p       Product
	w       Matrix // the weight, plain
	packed  bool
	initial []float32 // y before
}

func newTrial(t testing.TB, set *kern.Set, k kind, m, n, depth int) *trial {
	r := newRand(m*1000 + n*10 + depth)
	oriented := func(rows, cols, gap int, across bool) Matrix {
		if across {
			rows, cols = cols, rows
		}
		return randomMatrix(r, rows, cols, gap)
	}
	tr := &trial{p: Product{M: m, N: n, K: depth, Alpha: 0.5, XAcross: k.xAcross, WAcross: k.across, Accumulate: k.accumulate}}
	p := &tr.p
	p.X, p.Y = oriented(m, depth, 3, k.xAcross), randomMatrix(r, m, n, 2)
	tr.initial = slices.Clone(p.Y.Data)
	tr.w = oriented(n, depth, 1, k.across)
	switch {
	case k.source:
		p.W.Source = &matrixSource{tr.w, set}
	case k.packed == 0:
		p.W.Plain = tr.w
	default:
		rows, cols := n, depth
		if k.across {
			rows, cols = cols, rows
		}
		p.W.Packed, tr.packed = pack(t, set, k.packed, tr.w, rows, cols), true
	}
	if k.bias {
		p.Bias = randomMatrix(r, 1, n, 0).Data
	}
	if k.rank > 0 {
		p.LowRank = LowRank{R: k.rank, U: randomMatrix(r, m, k.rank, 1), V: oriented(n, k.rank, 1, k.across)}
		if k.drops {
			p.Alpha, p.LowRank.KeptScale, p.LowRank.Kept = 1, 1.25, randomMask(r, m, n)
		}
		if k.down {
			p.LowRank.Down, p.LowRank.Scale = oriented(k.rank, depth, 2, k.across), 0.25
		}
	}
	return tr
}

// matrixSource reads a plain matrix.
type matrixSource struct {
	m   Matrix
	set *kern.Set
}

func (s *matrixSource) Block() int { return 32 }

func (s *matrixSource) row(p Piece, i int) []float32 {
	return s.m.Data[(p.Row+i)*s.m.Stride+p.Col:][:p.Cols]
}

func (s *matrixSource) Read(dst []float32, p Piece) {
	for i := range p.Rows {
		copy(dst[i*p.Stride:], s.row(p, i))
	}
}

func (s *matrixSource) ReadHalf(dst []uint16, p Piece, wide []float32) {
	for i := range p.Rows {
		copy(wide, s.row(p, i))
		s.set.ToBF16(dst[i*p.Stride:][:p.Cols], wide[:p.Cols])
	}
}

// entry is element (i, j) of m, or (j, i) if across.
func entry(m Matrix, i, j int, across bool) float64 {
	if across {
		i, j = j, i
	}
	return float64(m.Data[i*m.Stride+j])
}

// verify compares y (and u) with sums in float64 of the rounded sides.
func (tr *trial) verify(t *testing.T, typ device.Type) {
	t.Helper()
	p, l := &tr.p, &tr.p.LowRank
	weight := typ
	if tr.packed {
		weight = p.W.Packed.Type
	}
	x, w := rounded(p.X, typ), rounded(tr.w, weight)
	u, v := rounded(l.U, typ), rounded(l.V, typ)
	if l.computesU() {
		tr.verifyU(t, x, rounded(l.Down, typ))
	}
	for i := range p.M {
		for j := range p.Y.Stride {
			got := float64(p.Y.Data[i*p.Y.Stride+j])
			if j >= p.N {
				if got == got {
					t.Fatalf("a write behind row %d", i)
				}
				continue
			}
			var sum, size float64
			add := func(term float64) { sum, size = sum+term, size+math.Abs(term) }
			for k := range p.K {
				add(float64(p.Alpha) * entry(x, i, k, p.XAcross) * entry(w, j, k, p.WAcross))
			}
			for r := range l.R {
				add(tr.lowScale(i, j) * entry(u, i, r, false) * entry(v, j, r, p.WAcross))
			}
			if p.Accumulate {
				add(float64(tr.initial[i*p.Y.Stride+j]))
			}
			if len(p.Bias) > 0 {
				add(float64(p.Bias[j]))
			}
			if tolerance := float64(p.K+l.R+4) * float32Unit * size; !(math.Abs(got-sum) <= tolerance) {
				t.Fatalf("y[%d,%d] = %g, want %g within %g", i, j, got, sum, tolerance)
			}
		}
	}
}

// randomMask is a mask of rows x cols, its rows apart.
func randomMask(r *rand.Rand, rows, cols int) Mask {
	m := Mask{Stride: kern.MaskWords(cols) + 1}
	for range rows * m.Stride {
		m.Bits = append(m.Bits, r.Uint32()|r.Uint32())
	}
	return m
}

func (m Mask) has(i, j int) bool { return m.Bits[i*m.Stride+j/32]>>(j%32)&1 == 1 }

// lowScale is what a term of u v counts for y[i,j].
func (tr *trial) lowScale(i, j int) float64 {
	l := &tr.p.LowRank
	if !l.drops() {
		return float64(tr.p.Alpha)
	}
	if !l.Kept.has(i, j) {
		return 0
	}
	return float64(l.KeptScale)
}

func (tr *trial) verifyU(t *testing.T, x, down Matrix) {
	t.Helper()
	p, l := &tr.p, &tr.p.LowRank
	for i := range p.M {
		for r := range l.R {
			var sum, size float64
			for k := range p.K {
				term := entry(x, i, k, false) * entry(down, r, k, p.WAcross) * float64(l.Scale)
				sum, size = sum+term, size+math.Abs(term)
			}
			got := entry(l.U, i, r, false)
			if !(math.Abs(got-sum) <= float64(p.K+4)*float32Unit*size) {
				t.Fatalf("u[%d,%d] = %g, want %g", i, r, got, sum)
			}
		}
	}
}

func TestProducts(t *testing.T) {
	shapes := [][3]int{{1, 1, 1}, {1, 32, 2}, {2, 33, 7}, {7, 8, 9}, {13, 31, 16}, {14, 64, 33}, {15, 65, 64}, {29, 100, 31}, {5, 17, 1100}, {33, 40, 65}, {3, 40, 2100}, {170, 70, 40}}
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		for _, k := range kinds {
			if k.packed == device.F32 && typ != device.F32 {
				continue
			}
			for _, s := range shapes {
				t.Run(fmt.Sprintf("%s/m=%d/n=%d/k=%d", k.name, s[0], s[1], s[2]), func(t *testing.T) {
					tr := newTrial(t, set, k, s[0], s[1], s[2])
					run1(t, engine(t, set, typ, 2), &tr.p)
					tr.verify(t, typ)
				})
			}
		}
	})
}
