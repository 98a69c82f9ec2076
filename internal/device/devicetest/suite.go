package devicetest

import (
	"bytes"
	"testing"

	"align/internal/device"
)

// Check holds a backend with activations of one type to the contract: every
// kernel, in place and accumulating where the contract allows it, with outputs
// that are not wanted, and with rows cut out of a larger call.
func Check(t *testing.T, b device.Backend, act device.Type) { checkAll(t, b, act, 0) }

// CheckRounded is Check for a backend that rounds the inputs of products:
// rounding bounds what a product's relative error gains by one input, 2^-8 for
// BF16. Activations of BF16 are rounded already, but weights beside them are not.
func CheckRounded(t *testing.T, b device.Backend, act device.Type, rounding float64) {
	checkAll(t, b, act, rounding)
}

// CheckLarge is CheckRounded of products alone whose results have more than 64
// rows and columns, and of attention with heads wider than 32: for a backend that
// has another way to make those. Bits says whether rows cut out of a large call have its
// bits in a small one as well.
func CheckLarge(t *testing.T, b device.Backend, act device.Type, rounding float64, bits bool) {
	trials := trialsFor(b, act)
	for i := range trials {
		r := &trials[i]
		r.rounding = rounding * roundedInputs(r)
		if !bits {
			r.byRows = nil
		}
		if r.large() {
			t.Run(r.name, func(t *testing.T) { r.check(t, b, act) })
		}
	}
	t.Run("packs", func(t *testing.T) { checkPacks(t, b, act, 40, 77) })
}

func (r *trial) large() bool {
	if attr, is := r.attr.(device.Attention); is {
		return attr.HeadDim > 32
	}
	return roundedInputs(r) > 1 && r.out[0].rows > 64 && r.out[0].cols > 64
}

// roundedInputs is the number of inputs of products in a row that lead to a
// kernel's output: those of a product, of LoRA's second product, and of the
// scores, weights and gradients of attention. In the head's gradient the logits,
// which reach about 8 here, stand in an exponential: the relative error of two
// inputs comes out 8 times as large.
func roundedInputs(r *trial) float64 {
	if r.kernel == "logprob" && len(r.out) == 5 {
		return 16
	}
	switch r.kernel {
	case "embed":
		return 1
	case "linear", "linear_dx", "matmul_nt", "matmul_nn", "matmul_tn", "lora_du", "logprob":
		return 2
	case "lora_linear", "lora_dx", "lora_dropped_dx", "attention":
		return 4
	case "logprob_dx", "logprob_dw":
		return 16
	case "attention_grad":
		return 6
	}
	return 0
}

func checkAll(t *testing.T, b device.Backend, act device.Type, rounding float64) {
	trials := trialsFor(b, act)
	for i := range trials {
		r := &trials[i]
		r.rounding = rounding * roundedInputs(r)
		t.Run(r.name, func(t *testing.T) { r.check(t, b, act) })
	}
	t.Run("memory", func(t *testing.T) { checkMemory(t, b) })
	t.Run("refusals", func(t *testing.T) { checkRefusals(t, b) })
	t.Run("dropout/draws", func(t *testing.T) { checkDropout(t, b, act) })
	t.Run("cache", func(t *testing.T) { checkCache(t, b, act) })
	t.Run("packs", func(t *testing.T) { checkPacks(t, b, act, 8, 1, 13, 64, 129) })
	t.Run("joined", func(t *testing.T) { checkJoined(t, b, act) })
}

// Same runs every kernel on backends of one kind, adding to its outputs too where its
// contract knows that, and demands the first one's bits of the others: for thread counts
// and for restarts.
func Same(t *testing.T, act device.Type, first device.Backend, others ...device.Backend) {
	trials := trialsFor(first, act)
	for i := range trials {
		r := &trials[i]
		r.equalOn(t, options{skip: -1}, first, others)
		if r.accumulate {
			r.equalOn(t, options{skip: -1, before: r.someBefore(act)}, first, others)
		}
	}
}

func (r *trial) equalOn(t *testing.T, o options, first device.Backend, others []device.Backend) {
	t.Helper()
	want := r.run(t, first, o)
	for k, b := range others {
		for j, got := range r.run(t, b, o) {
			if !bytes.Equal(got, want[j]) {
				t.Errorf("%s: output %d differs on backend %d (accumulate: %v)", r.name, j, k+2, o.before != nil)
			}
		}
	}
}

// Calls prepares every kernel on the backend and hands each, with the views of
// one call, to use: for allocation counts and benchmarks.
func Calls(t *testing.T, b device.Backend, act device.Type, use func(name string, k device.Kernel, c *device.Call)) {
	trials := trialsFor(b, act)
	for i := range trials {
		r := &trials[i]
		kernel, err := b.Bind(r.kernel, r.attr)
		if err != nil {
			t.Fatal(err)
		}
		call := &device.Call{}
		for j, x := range r.in {
			v := upload(t, b, x)
			if j == r.placed {
				v = place(t, b, x)
			}
			call.In = append(call.In, v)
		}
		for _, x := range r.out {
			call.Out = append(call.Out, upload(t, b, newTensor(x.typ, x.rows, x.cols, make([]float64, x.rows*x.cols))))
		}
		use(r.name, kernel, call)
	}
}

func upload(t *testing.T, b device.Backend, x tensor) device.View {
	t.Helper()
	mem, err := b.Alloc(int64(len(x.raw)))
	if err != nil {
		t.Fatal(err)
	}
	v := mem.At(0, x.typ, x.rows, x.cols)
	if err := b.Upload(v, x.raw); err != nil {
		t.Fatal(err)
	}
	return v
}

func (r *trial) check(t *testing.T, b device.Backend, act device.Type) {
	want := r.want()
	plain := r.run(t, b, options{skip: -1})
	r.compare(t, plain, want, "")
	if r.accumulate {
		r.checkAccumulate(t, b, act, want)
	}
	for _, pair := range r.aliases {
		r.equalBits(t, plain, r.run(t, b, options{skip: -1, alias: &pair}), -1, "in place")
	}
	for i := range r.out {
		if r.optional {
			r.equalBits(t, plain, r.run(t, b, options{skip: i}), i, "with an output unwanted")
		}
	}
	if r.byRows != nil {
		r.checkRows(t, b, plain)
	}
}

// equalBits demands equal bits in all outputs but one.
func (r *trial) equalBits(t *testing.T, want, got [][]byte, but int, what string) {
	t.Helper()
	for i := range want {
		if i != but && !bytes.Equal(want[i], got[i]) {
			t.Errorf("%s: output %d differs %s", r.name, i, what)
		}
	}
}

func (r *trial) checkAccumulate(t *testing.T, b device.Backend, act device.Type, want [][]float64) {
	t.Helper()
	before := r.someBefore(act)
	sum := make([]float64, len(want[0]))
	for i := range sum {
		sum[i] = before[0].f[i] + want[0][i]
	}
	got := r.run(t, b, options{skip: -1, before: before})
	r.compare(t, got, append([][]float64{sum}, want[1:]...), " (accumulate)")
}

// someBefore is what an accumulating call adds to.
func (r *trial) someBefore(act device.Type) (before []tensor) {
	for _, x := range r.out {
		before = append(before, newGen(act).normal(x.typ, x.rows, x.cols, 1))
	}
	return before
}

// checkRows runs the kernel on some of the rows alone: their bits must be
// those of the larger call.
func (r *trial) checkRows(t *testing.T, b device.Backend, plain [][]byte) {
	t.Helper()
	rows := r.out[0].rows
	for _, part := range [][2]int{{0, 1}, {1, rows}, {rows / 3, rows/3 + rows/2}, {rows - 1, rows}} {
		lo, hi := max(0, part[0]), min(rows, part[1])
		if lo >= hi {
			continue
		}
		cut := *r
		cut.in, cut.out = append([]tensor(nil), r.in...), nil
		for _, i := range r.byRows {
			cut.in[i] = r.in[i].cut(lo, hi)
		}
		want := make([][]byte, len(plain))
		for i, x := range r.out {
			width := x.cols * x.typ.Size()
			want[i] = plain[i][lo*width : hi*width]
			cut.out = append(cut.out, empty(x.typ, hi-lo, x.cols))
		}
		r.equalBits(t, want, cut.run(t, b, options{skip: -1}), -1, "when its rows stand alone")
	}
}
