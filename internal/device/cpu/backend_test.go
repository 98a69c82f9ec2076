package cpu

import (
	"os"
	"slices"
	"strings"
	"testing"

	"align/internal/device"
	"align/internal/device/contract"
	"align/internal/device/cpu/feature"
	"align/internal/device/devicetest"
)

func open(t testing.TB, threads int, activations device.Type) *Backend {
	t.Helper()
	return start(t, Options{Threads: threads, Activations: activations})
}

func start(t testing.TB, o Options) *Backend {
	t.Helper()
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// forEachKind runs a test for F64 and, in F32, for every level of the machine
// and both precisions. A level that ALIGN_REQUIRE_KERNEL lists must not be
// missing. With -short, which is for the race detector, F64 is left out: its code
// is the portable one of F32 in another type.
func forEachKind(t *testing.T, run func(t *testing.T, o Options)) {
	if !testing.Short() {
		t.Run("f64", func(t *testing.T) { run(t, Options{Activations: device.F64}) })
	}
	required := strings.Split(os.Getenv("ALIGN_REQUIRE_KERNEL"), ",")
	for level := feature.Generic; level <= feature.Highest; level++ {
		t.Run(level.String(), func(t *testing.T) {
			if !feature.Has(level) {
				if slices.Contains(required, level.String()) {
					t.Fatalf("the machine has %s at most, and ALIGN_REQUIRE_KERNEL asks for %s", feature.Detect(), level)
				}
				t.Skipf("the machine has %s at most", feature.Detect())
			}
			t.Run("f32", func(t *testing.T) { run(t, Options{Activations: device.F32, Level: new(level)}) })
			if level > feature.Generic {
				t.Run("bf16", func(t *testing.T) {
					run(t, Options{Activations: device.F32, Level: new(level), Precision: device.BF16})
				})
			}
		})
	}
}

// with is the options for a number of threads.
func (o Options) with(threads int) Options {
	o.Threads = threads
	return o
}

// bf16Rounding is a unit in bfloat16's last place: twice the 2^-9 that rounding
// one input of a product can make, which leaves room for terms that cancel.
const bf16Rounding = 0x1p-8

func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("slow with the race detector, which has TestThreadsMoveNoBit: every kernel on more threads")
	}
	forEachKind(t, func(t *testing.T, o Options) {
		b := start(t, o.with(2))
		if o.Precision == device.BF16 {
			devicetest.CheckRounded(t, b, device.F32, bf16Rounding)
		} else {
			devicetest.Check(t, b, o.Activations)
		}
	})
}

// TestThreadsMoveNoBit compares every kernel on 1, 2 and 5 threads, with -short on 1
// and 5.
func TestThreadsMoveNoBit(t *testing.T) {
	forEachKind(t, func(t *testing.T, o Options) {
		if testing.Short() {
			devicetest.Same(t, o.Activations, start(t, o.with(1)), start(t, o.with(5)))
			return
		}
		devicetest.Same(t, o.Activations, start(t, o.with(1)), start(t, o.with(2)), start(t, o.with(5)))
	})
}

// TestKernelsAllocateNothing runs every kernel of the suite again and again.
func TestKernelsAllocateNothing(t *testing.T) {
	forEachKind(t, func(t *testing.T, o Options) {
		devicetest.Calls(t, start(t, o.with(2)), o.Activations, func(name string, k device.Kernel, c *device.Call) {
			var err error
			// A worker that waits on a channel for the first time since AllocsPerRun has
			// set the number of processors takes a record from the heap, once; a kernel
			// that allocates does so in every run.
			if got := testing.AllocsPerRun(4, func() { err = k(c) }); got != 0 || err != nil {
				t.Errorf("%s: %v allocations per run (error %v)", name, got, err)
			}
		})
	})
}

// TestBadIndicesAreErrors: indices come from data, so they must not pass.
func TestBadIndicesAreErrors(t *testing.T) {
	b := open(t, 1, device.F32)
	view := func(typ device.Type, rows, cols int) device.View {
		v := device.View{Rows: rows, Cols: cols, Type: typ}
		mem, err := b.Alloc(v.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		v.Addr = mem.Addr
		return v
	}
	ids := view(device.I32, 3, 1)
	mask := []device.View{ids, view(device.I32, 3, 1), view(device.I32, 3, 1)}
	x, w := view(device.F32, 3, 4), view(device.BF16, 5, 4)
	vector := func() device.View { return view(device.F32, 3, 1) }
	heads := device.Attention{Heads: 1, KVHeads: 1, HeadDim: 4}
	for _, c := range []struct {
		kernel  string
		attr    any
		id      int32
		out, in []device.View
		want    string
	}{
		{"embed", nil, 5, []device.View{view(device.F32, 3, 4)}, []device.View{w, ids}, "cpu: embed: ids[1] is 5, want 0 to 4"},
		{"embed_dw", nil, -1, []device.View{view(device.F32, 5, 4)}, []device.View{x, ids}, "cpu: embed_dw: ids[1] is -1, want 0 to 4"},
		{"gather", nil, 3, []device.View{view(device.F32, 3, 4)}, []device.View{x, ids}, "cpu: gather: rows[1] is 3, want 0 to 2"},
		{"logprob", device.LogProb{}, 5, []device.View{vector(), vector(), vector(), vector()}, []device.View{x, w, ids},
			"cpu: logprob: targets[1] is 5, want less than 5"},
		{"attention", heads, 7, []device.View{view(device.F32, 3, 4), vector()}, append([]device.View{x, x, x}, mask...),
			"cpu: attention: row 1: prefix [7,0) and segment start 0 do not fit 3 rows"},
	} {
		device.Slice[int32](ids)[1] = c.id
		k, err := b.Bind(c.kernel, c.attr)
		if err != nil {
			t.Fatal(err)
		}
		if err := k(&device.Call{Out: c.out, In: c.in}); err == nil || err.Error() != c.want {
			t.Errorf("%s: got error %v, want %q", c.kernel, err, c.want)
		}
	}
}

// TestOverlapIsAnError: a key that a row sees twice would count twice.
func TestOverlapIsAnError(t *testing.T) {
	k := contract.Of("cpu", "attention")
	a := attend[float32]{tokens: 2, prefixStart: []int32{0, 0}, prefixEnd: []int32{0, 2}, start: []int32{0, 0}}
	if a.divide(&k); k.Err == nil {
		t.Error("a prefix that overlaps its segment passed")
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{Threads: -1, Activations: device.F32}, {Activations: device.BF16}, {},
		{Activations: device.F32, Precision: device.F16}, {Activations: device.F64, Precision: device.BF16},
		{Activations: device.F32, Level: new(feature.Level(-1))}, {Activations: device.F32, Level: new(feature.Level(99))},
	} {
		if b, err := New(o); err == nil {
			b.Close()
			t.Errorf("%+v: made a backend", o)
		}
	}
	b := open(t, 0, device.F32)
	b.Close()
	b.Close() // twice does no harm
}

func TestDoRA(t *testing.T) {
	for _, act := range []device.Type{device.F32, device.F64} {
		t.Run(act.String(), func(t *testing.T) { devicetest.CheckDoRA(t, open(t, 2, act), act) })
	}
}
