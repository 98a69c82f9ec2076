package devicetest

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"align/internal/device"
)

// trial is one use of a kernel and what must come of it.
type trial struct {
	name       string
	kernel     string
	attr       any
	in, out    []tensor
	placed     int  // the input that is a frozen weight; -1: none
	same       int  // an input that is the same view as input 0; 0: none
	accumulate bool // the kernel's contract knows Accumulate
	optional   bool // each output may be unwanted
	byRows     []int
	before     []tensor // values of outputs that the kernel reads
	unchecked  bool     // the values are the backend's own choice
	rounding   float64  // tolerance for inputs that the backend rounds
	// aliases lists outputs that may overwrite an input.
	aliases [][2]int
	// readsOutput: the kernel reads output 0, so the trial passes input 0 there.
	readsOutput bool
	// want is the oracle: the outputs' values; nil where anything goes.
	want func() [][]float64
}

// options vary how a trial is run.
type options struct {
	before []tensor // values of the outputs before, and Accumulate
	skip   int      // output that is not wanted; -1: none
	alias  *[2]int
}

// guard is the number of bytes around every view; all bits set read as NaN.
const guard = 256

// layout places tensors in one reservation, guards between them.
type layout struct {
	offsets []int64
	size    int64
}

func (l *layout) add(bytes int64) int {
	l.size += guard
	l.offsets = append(l.offsets, l.size)
	l.size += (bytes + guard - 1) / guard * guard
	return len(l.offsets) - 1
}

// run does the trial once and returns the outputs' bytes (nil if skipped).
func (r *trial) run(t *testing.T, b device.Backend, o options) [][]byte {
	t.Helper()
	if r.readsOutput {
		o.alias = &[2]int{0, 0}
	}
	kernel, err := b.Bind(r.kernel, r.attr)
	if err != nil {
		t.Fatalf("%s: bind: %v", r.name, err)
	}
	l := r.layout()
	mem, err := b.Alloc(l.size)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Free(mem)
	call, host := r.call(mem, l, o)
	if r.placed >= 0 {
		v := place(t, b, r.in[r.placed])
		defer b.Free(device.Memory{Addr: v.Addr})
		call.In[r.placed] = v
	}
	whole := mem.At(0, device.I32, int(l.size/4), 1)
	if err := b.Upload(whole, host); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(kernel(call), b.Sync()); err != nil {
		t.Fatalf("%s: %v", r.name, err)
	}
	after := make([]byte, len(host))
	if err := b.Download(after, whole); err != nil {
		t.Fatal(err)
	}
	return r.collect(t, l, host, after, o)
}

// layout finds a place for all inputs, then all outputs.
func (r *trial) layout() *layout {
	l := &layout{}
	for _, x := range r.in {
		l.add(int64(len(x.raw)))
	}
	for _, x := range r.out {
		l.add(int64(x.rows * x.cols * x.typ.Size()))
	}
	l.size += guard
	return l
}

// call is the kernel's arguments in mem, and the bytes that mem must hold.
func (r *trial) call(mem device.Memory, l *layout, o options) (*device.Call, []byte) {
	host := bytes.Repeat([]byte{0xff}, int(l.size))
	c := &device.Call{Accumulate: o.before != nil}
	for i, x := range r.in {
		copy(host[l.offsets[i]:], x.raw)
		c.In = append(c.In, mem.At(l.offsets[i], x.typ, x.rows, x.cols))
	}
	before := r.before
	if o.before != nil {
		before = o.before
	}
	for i, x := range r.out {
		at := l.offsets[len(r.in)+i]
		if before != nil {
			copy(host[at:], before[i].raw)
		}
		c.Out = append(c.Out, mem.At(at, x.typ, x.rows, x.cols))
	}
	if o.skip >= 0 {
		c.Out[o.skip].Addr = 0
	}
	if r.same > 0 {
		c.In[r.same] = c.In[0]
	}
	if o.alias != nil {
		c.Out[o.alias[0]] = c.In[o.alias[1]]
	}
	return c, host
}

// collect takes the outputs out of the reservation and checks that nothing
// else in it changed.
func (r *trial) collect(t *testing.T, l *layout, before, after []byte, o options) [][]byte {
	t.Helper()
	outputs := make([][]byte, len(r.out))
	for i, x := range r.out {
		if i == o.skip {
			continue
		}
		at := l.offsets[len(r.in)+i]
		if o.alias != nil && o.alias[0] == i {
			at = l.offsets[o.alias[1]]
		}
		size := int64(x.rows * x.cols * x.typ.Size())
		outputs[i] = bytes.Clone(after[at : at+size])
		copy(after[at:at+size], before[at:at+size])
	}
	if !bytes.Equal(before, after) {
		t.Errorf("%s: wrote outside its outputs", r.name)
	}
	return outputs
}

func place(t *testing.T, b device.Backend, x tensor) device.View {
	t.Helper()
	width := int(x.typ.RowBytes(x.cols))
	v, err := b.Place(device.Weight{
		Name: "weight", Type: x.typ, Rows: x.rows, Cols: x.cols,
		Read: func(dst []byte, row, n int) error {
			copy(dst, x.raw[row*width:(row+n)*width])
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Tolerances, of the largest magnitude that an oracle's output has: some ten
// roundings of the type, times the root of the longest sum in the suite (600).
const (
	tolerance32 = 2e-5
	tolerance64 = 2e-13
	// toleranceBF16 is the one rounding of a result to BF16.
	toleranceBF16 = 1.0/256 + tolerance32
)

// compare holds outputs to the oracle.
func (r *trial) compare(t *testing.T, got [][]byte, want [][]float64, what string) {
	t.Helper()
	if r.unchecked {
		return
	}
	for i, x := range r.out {
		if got[i] == nil || want[i] == nil {
			continue
		}
		tol := tolerance64
		switch {
		case x.typ == device.BF16:
			tol = toleranceBF16 + r.rounding
		case x.typ == device.F32 || r.usesNarrow():
			tol = tolerance32 + r.rounding
		}
		scale := 1.0
		for _, w := range want[i] {
			if !math.IsInf(w, 0) {
				scale = max(scale, math.Abs(w))
			}
		}
		for j, g := range decode(x.typ, got[i]) {
			if w := want[i][j]; g != w && !(math.Abs(g-w) <= tol*scale) {
				t.Errorf("%s%s: output %d[%d] is %v, want %v", r.name, what, i, j, g, w)
				break
			}
		}
	}
}

// usesNarrow says whether a float64 result was computed from narrower values by
// more than conversion.
func (r *trial) usesNarrow() bool {
	for _, x := range r.in {
		if x.typ == device.F32 || x.typ == device.BF16 {
			return true
		}
	}
	return false
}
