package cpu

import (
	"unsafe"

	"align/internal/device"
)

// deltas is the sums of do*o of all rows, head by head as they lie: heads of a task are
// far apart, and would come into the caches one by one.
type deltas struct {
	*flashGrad
	work
}

// run makes the first n deltas.
func (s *deltas) run(n int) error {
	grain := rowGrain(s.attr.HeadDim)
	return s.b.pool.run(&s.work, (n+grain-1)/grain)
}

func (s *deltas) do(task, worker int) {
	w := parts{base: pointer(s.b.spaces.of[worker].Addr)}
	grain := rowGrain(s.attr.HeadDim)
	from := task * grain
	s.deltaRow(&w).sums(s.flashGrad, s.delta[from:min(from+grain, len(s.delta))], from)
}

// deltaRow is room for a row of a head of o and of do, rounded and widened again, where
// they are held in float32.
type deltaRow struct {
	half []uint16
	wide [2][]float32
}

func (g *flashGrad) deltaRow(w *parts) (r deltaRow) {
	d := g.attr.HeadDim
	half, o, do := w.take(2*d), w.take(4*d), w.take(4*d)
	if w.base != nil {
		r = deltaRow{unsafe.Slice((*uint16)(half), d), [2][]float32{floats(o, d), floats(do, d)}}
	}
	return r
}

// sums is do*o of rows of heads from one on, summed. Both are rounded as products round
// them, whether they are held so or not.
func (r deltaRow) sums(g *flashGrad, sums []float32, from int) {
	d := g.attr.HeadDim
	o, do := g.out.from(from*d), g.grad.from(from*d)
	if o.half != nil && do.half != nil {
		g.set.DotRows(sums, o.half, do.half, d)
		return
	}
	for i := range sums {
		o, do := o.from(i*d), do.from(i*d)
		if g.b.Rounded() != device.BF16 {
			sums[i] = g.set.Dot(o.wide[:d], do.wide)
			continue
		}
		r.round(g, r.wide[0], o)
		r.round(g, r.wide[1], do)
		sums[i] = g.set.Dot(r.wide[0], r.wide[1])
	}
}

// round is the first elements of x as products round them.
func (r deltaRow) round(g *flashGrad, wide []float32, x heads) {
	half := x.half
	if half == nil {
		half = r.half
		g.set.ToBF16(half, x.wide[:len(half)])
	}
	g.set.FromBF16(wide, half)
}
