package cpu

import (
	"align/internal/device"
	"align/internal/device/contract"
)

// vectorised is how many cheap operations an exponential costs in kern.
const vectorised = 2

// fastSwiGLU is swiglu and swiglu_grad by rows, each of whose views is of float32 or of
// what products round to. Where all are of bfloat16 one function does a row, else its views
// become float32 and are rounded in the first cache.
type fastSwiGLU struct {
	work
	f       *fast
	kernel  string
	cost    int
	row     func(out, in *[3][]float32)
	out, in [3]device.View
	outs    int
	ins     int
	grain   int
	halves  bool
	floats  bool
	own     []swiGLURow
}

// swiGLURow is a worker's row of each view.
type swiGLURow struct{ out, in [3][]float32 }

func (f *fast) newSwiGLU(kernel string) device.Kernel {
	return f.swiGLUKernel(kernel, 1, 2, vectorised, func(out, in *[3][]float32) { f.set.SwiGLU(out[0], in[0], in[1]) })
}

func (f *fast) newSwiGLUGrad(kernel string) device.Kernel {
	return f.swiGLUKernel(kernel, 3, 3, 2*vectorised, func(out, in *[3][]float32) {
		f.set.SwiGLU(out[2], in[0], in[1]) // before dg, which may be g
		f.set.SwiGLUGrad(out[0], out[1], in[0], in[1], in[2])
	})
}

func (f *fast) swiGLUKernel(kernel string, outs, ins, cost int, row func(out, in *[3][]float32)) device.Kernel {
	s := &fastSwiGLU{f: f, kernel: kernel, outs: outs, ins: ins, cost: cost, row: row, own: make([]swiGLURow, f.b.pool.threads)}
	s.job = s
	return s.run
}

// swiGLUViews names the outputs and inputs of swiglu and of its gradient.
var swiGLUViews = map[int][2][3]string{1: {{"y"}, {"g", "u"}}, 3: {{"dg", "du", "y"}, {"g", "u", "dy"}}}

func (s *fastSwiGLU) run(c *device.Call) error {
	k := contract.Of("cpu", s.kernel)
	if !k.Arity(c, s.outs, s.ins) {
		return k.Err
	}
	k.Overwrites(c)
	g, names := c.In[0], swiGLUViews[s.outs]
	wanted := false
	for i, v := range c.In {
		k.Matrix(names[1][i], v, sideType(products[float32](s.f), v), g.Rows, g.Cols)
		s.in[i] = v
	}
	for i, v := range c.Out {
		k.Output(names[0][i], v, sideType(products[float32](s.f), v), g.Rows, g.Cols)
		s.out[i], wanted = v, wanted || v.Addr != 0
	}
	if k.Err != nil || !wanted || g.Len() == 0 {
		return k.Err
	}
	if err := s.f.b.spaces.reserve((s.outs+s.ins)*g.Cols, 0); err != nil {
		return err
	}
	s.grain, s.halves, s.floats = rowGrain(s.cost*g.Cols), s.isHalf(), s.isFloat()
	return s.f.b.pool.run(&s.work, (g.Rows+s.grain-1)/s.grain)
}

func (s *fastSwiGLU) do(task, worker int) {
	own := &s.own[worker]
	if s.halves {
		s.doHalf(task)
		return
	}
	if s.floats {
		s.doFloat(own, task)
		return
	}
	for i := task * s.grain; i < min((task+1)*s.grain, s.in[0].Rows); i++ {
		space := s.f.b.spaces.carve(worker)
		for j := range s.ins {
			own.in[j] = s.f.wideRow(s.in[j], i, &space)
		}
		for j := range s.outs {
			own.out[j] = s.place(s.out[j], i, &space)
		}
		if s.outs == 3 && s.out[2].Addr == 0 {
			own.out[2] = own.out[2][:0]
		}
		s.row(&own.out, &own.in)
		for j := range s.outs {
			if v := s.out[j]; v.Addr != 0 && v.Type != device.F32 {
				s.f.set.ToBF16(device.Slice[uint16](v.Row(i, 1)), own.out[j])
			}
		}
	}
}

// isFloat says whether rows follow each other as the functions take them.
func (s *fastSwiGLU) isFloat() bool {
	float := true
	for i, v := range s.out[:s.outs] {
		float = float && (v.Type == device.F32 && v.Addr != 0 || i == 2 && v.Addr == 0)
	}
	for _, v := range s.in[:s.ins] {
		float = float && v.Type == device.F32
	}
	return float
}

// doFloat is do for all of a task's rows at once.
func (s *fastSwiGLU) doFloat(own *swiGLURow, task int) {
	from := task * s.grain
	n := min(s.grain, s.in[0].Rows-from)
	for j := range s.ins {
		own.in[j] = device.Slice[float32](s.in[j].Row(from, n))
	}
	for j := range s.outs {
		own.out[j] = nil
		if v := s.out[j]; v.Addr != 0 {
			own.out[j] = device.Slice[float32](v.Row(from, n))
		}
	}
	s.row(&own.out, &own.in)
}

// isHalf says whether the level's function for bfloat16 takes the call.
func (s *fastSwiGLU) isHalf() bool {
	half := s.f.set.HasHalfGates(s.in[0].Cols)
	for i, v := range s.out[:s.outs] {
		half = half && (v.Type == device.BF16 && v.Addr != 0 || i == 2 && v.Addr == 0)
	}
	for _, v := range s.in[:s.ins] {
		half = half && v.Type == device.BF16
	}
	return half
}

// doHalf is doFloat in bfloat16.
func (s *fastSwiGLU) doHalf(task int) {
	from := task * s.grain
	n := min(s.grain, s.in[0].Rows-from)
	rows := func(v device.View) []uint16 { return device.Slice[uint16](v.Row(from, n)) }
	out, g, u := rows(s.out[0]), rows(s.in[0]), rows(s.in[1])
	if s.outs == 1 {
		s.f.set.SwiGLUHalf(out, g, u)
		return
	}
	var y []uint16
	if s.out[2].Addr != 0 {
		y = rows(s.out[2])
	}
	s.f.set.SwiGLUGradHalf(out, rows(s.out[1]), y, g, u, rows(s.in[2]))
}

// place is where a row of an output is computed: in a place of its own where it is not
// wanted, or is rounded from there.
func (s *fastSwiGLU) place(v device.View, i int, space *carver) []float32 {
	if v.Addr == 0 || v.Type != device.F32 {
		return take[float32](space, s.in[0].Cols)
	}
	return device.Slice[float32](v.Row(i, 1))
}

// wideRow is row i of v in float32: itself, or a copy.
func (f *fast) wideRow(v device.View, i int, space *carver) []float32 {
	if v.Type == device.F32 {
		return device.Slice[float32](v.Row(i, 1))
	}
	wide := take[float32](space, v.Cols)
	f.set.FromBF16(wide, device.Slice[uint16](v.Row(i, 1)))
	return wide
}
