package gemm

import (
	"math"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/feature"
	"align/internal/device/cpu/kern"
)

// A row's bits depend on neither the number of rows, nor its place, nor the
// number of threads.
func TestRowsArePlaceInvariant(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		for _, k := range kinds {
			if k.packed == device.F32 && typ != device.F32 || k.accumulate || k.xAcross {
				continue
			}
			const m, n, depth = 45, 330, 1100
			all := newTrial(t, set, k, m, n, depth)
			run1(t, engine(t, set, typ, 1), &all.p)
			for _, part := range []struct{ from, rows, threads int }{{0, m, 2}, {0, m, 5}, {0, 1, 1}, {7, 1, 2}, {7, 14, 3}, {20, 25, 2}} {
				p := all.p
				p.M = part.rows
				p.X.Data = p.X.Data[part.from*p.X.Stride:]
				p.Y.Data = make([]float32, part.rows*p.Y.Stride)
				if k.rank > 0 && !k.down {
					p.LowRank.U.Data = p.LowRank.U.Data[part.from*p.LowRank.U.Stride:]
					if m := &p.LowRank.Kept; len(m.Bits) > 0 {
						m.Bits = m.Bits[part.from*m.Stride:]
					}
				} else if k.rank > 0 {
					p.LowRank.U.Data = make([]float32, part.rows*p.LowRank.U.Stride)
				}
				run1(t, engine(t, set, typ, part.threads), &p)
				for i := range part.rows {
					want := all.p.Y.Data[(part.from+i)*p.Y.Stride:][:n]
					if !slices.Equal(p.Y.Data[i*p.Y.Stride:][:n], want) {
						t.Fatalf("%s: row %d of %+v has other bits", k.name, i, part)
					}
				}
			}
		}
	})
}

// A product whose x is packed already has the same bits.
func TestXPacked(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		e := engine(t, set, typ, 2)
		first := newTrial(t, set, kind{packed: device.BF16}, 30, 70, 65)
		second := newTrial(t, set, kind{packed: device.BF16, rank: 5, down: true}, 30, 200, 65)
		second.p.X = first.p.X
		run1(t, e, &second.p)
		want := slices.Clone(second.p.Y.Data)
		where := space(e, &second.p)
		if err := e.Run(&first.p, where); err != nil {
			t.Fatal(err)
		}
		second.p.XPacked, second.p.X.Data = true, make([]float32, len(first.p.X.Data))
		if err := e.Run(&second.p, where); err != nil {
			t.Fatal(err)
		}
		for i := range second.p.M {
			row := i * second.p.Y.Stride
			if !slices.Equal(second.p.Y.Data[row:row+200], want[row:row+200]) {
				t.Fatalf("row %d differs", i)
			}
		}
	})
}

// A window of a packed weight's rows equals that part of the whole product.
func TestWindow(t *testing.T) {
	set := kern.New(feature.Detect())
	e := engine(t, set, device.F32, 2)
	all := newTrial(t, set, kind{packed: device.BF16}, 9, 200, 70)
	run1(t, e, &all.p)
	for _, part := range [][2]int{{0, 32}, {64, 100}, {192, 8}} {
		p := all.p
		w, err := p.W.Packed.Rows(part[0], part[1])
		if err != nil {
			t.Fatal(err)
		}
		p.N, p.W.Packed = part[1], w
		p.Y = Matrix{Data: make([]float32, p.M*part[1]), Stride: part[1]}
		run1(t, e, &p)
		for i := range p.M {
			want := all.p.Y.Data[i*all.p.Y.Stride+part[0]:][:part[1]]
			if !slices.Equal(p.Y.Data[i*part[1]:][:part[1]], want) {
				t.Errorf("rows %v: row %d differs", part, i)
			}
		}
	}
	for _, bad := range [][2]int{{16, 8}, {192, 9}, {-32, 32}, {0, -1}} {
		if _, err := all.p.W.Packed.Rows(bad[0], bad[1]); err == nil {
			t.Errorf("rows %v: no error", bad)
		}
	}
}

func TestPackedRows(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		for _, n := range []int{1, 31, 70} {
			for _, k := range []int{1, 16, 33} {
				m := randomMatrix(newRand(n), n, k, 0)
				w, want := pack(t, set, typ, m, n, k), rounded(m, typ)
				row := make([]float32, k)
				for i := range n {
					if w.Row(row, i); !slices.Equal(row, want.Data[i*k:][:k]) {
						t.Fatalf("%dx%d: row %d is %v, want %v", n, k, i, row, want.Data[i*k:][:k])
					}
				}
			}
		}
	})
}

func TestPackConverts(t *testing.T) {
	set := kern.New(feature.Detect())
	const n, k = 3, 5
	half := []uint16{0x3c00, 0xc000, 0x0001, 0x7c00, 0x3555} // 1, -2, 2^-24, Inf, 0.33325195
	wide := []float32{1, -2, 0x1p-24, float32(math.Inf(1)), 0.33325195}
	for _, to := range []device.Type{device.F32, device.BF16} {
		w := Packed{Data: memory(PackedBytes(to, n, k)), Type: to, N: n, K: k}
		err := Pack(set, w, device.F16, func(dst []byte, _, rows int) error {
			for i := range rows {
				copy(elements[uint16](dst)[i*k:], half)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		got, want := make([]float32, k), rounded(Matrix{Data: wide, Stride: k}, to).Data
		if w.Row(got, 2); !slices.Equal(got, want) {
			t.Errorf("f16 to %s: got %v, want %v", to, got, want)
		}
	}
}

func TestRunAllocatesNothing(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		e := engine(t, set, typ, 1)
		for _, k := range kinds {
			if k.packed == device.F32 && typ != device.F32 {
				continue
			}
			for _, shape := range [][3]int{{20, 70, 40}, {40, 64, 64}} {
				tr := newTrial(t, set, k, shape[0], shape[1], shape[2])
				tr.p.Alpha = 1
				s := space(e, &tr.p)
				if got := testing.AllocsPerRun(3, func() { _ = e.Run(&tr.p, s) }); got != 0 {
					t.Errorf("%s %v: %v allocations", k.name, shape, got)
				}
			}
		}
	})
}

func TestCheckNamesEveryFault(t *testing.T) {
	set := kern.New(feature.Generic)
	e := engine(t, set, device.F32, 1)
	tr := newTrial(t, set, kind{packed: device.BF16, bias: true, rank: 4, down: true}, 3, 40, 8)
	s := space(e, &tr.p)
	cases := map[string]func(p *Product){
		"y has":       func(p *Product) { p.Y.Data = p.Y.Data[:5] },
		"x has":       func(p *Product) { p.X.Stride = 2 },
		"u has":       func(p *Product) { p.LowRank.U.Data = nil },
		"v has":       func(p *Product) { p.LowRank.V.Data = nil },
		"down has":    func(p *Product) { p.LowRank.Down.Data = p.LowRank.Down.Data[:3] },
		"bias has":    func(p *Product) { p.Bias = p.Bias[:1] },
		"want 41x8":   func(p *Product) { p.N = 41 },
		"at least 1":  func(p *Product) { p.K = 0 },
		"w has":       func(p *Product) { p.W = Weight{} },
		"weight is i": func(p *Product) { p.W.Packed.Type = device.I32 },
	}
	for want, spoil := range cases {
		p := tr.p
		spoil(&p)
		if err := e.Run(&p, s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	if err := e.Run(&tr.p, Space{}); err == nil {
		t.Error("no workspace: no error")
	}
	p := tr.p
	p.M = 0
	if err := e.Run(&p, Space{}); err != nil {
		t.Errorf("no rows: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(kern.New(feature.Generic), device.I32, goPool(1)); err == nil {
		t.Error("products of i32: no error")
	}
	if feature.Has(feature.AVX2) {
		if _, err := New(kern.New(feature.AVX2), device.BF16, goPool(1)); err == nil {
			t.Error("bf16 with avx2: no error")
		}
	}
}

func TestPackRefuses(t *testing.T) {
	set := kern.New(feature.Generic)
	none := func([]byte, int, int) error { return nil }
	var word uint32
	for _, w := range []Packed{{Type: device.F32, N: 1, K: 1}, {Data: unsafe.Pointer(&word), Type: device.I32, N: 1, K: 1}, {Data: unsafe.Pointer(&word), Type: device.F32}} {
		if err := Pack(set, w, device.F32, none); err == nil {
			t.Errorf("%+v: no error", w)
		}
	}
}
