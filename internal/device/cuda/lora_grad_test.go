//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
)

// An adapter's gradients from one reading of dy have the bits of the two products.
func TestLoRAGradHasTheBitsOfTwoProducts(t *testing.T) {
	attr := device.LoRA{Scale: 2}
	for _, s := range [][3]int{{600, 1030, 16}, {1030, 520, 5}, {512, 520, 8}} {
		for _, act := range []device.Type{device.BF16, device.F32} {
			if act == device.F32 && s[2] != 5 {
				continue // the kernel has both sides rounded
			}
			b := openRacing(t, s[0] == 512)
			r := &trial{t, b, random(uint64(s[1]))}
			rows, cols, rank := s[0], s[1], s[2]
			dy, up, u := r.typed(act, rows, cols), r.typed(device.F32, cols, rank), r.typed(act, rows, rank)
			for _, accumulate := range []bool{false, true} {
				name := fmt.Sprintf("%v, %s, accumulate %v", s, act, accumulate)
				dB, wantB := r.filled(cols, rank), r.filled(cols, rank)
				du, wantU := r.room(act, rows, rank), r.room(act, rows, rank)
				r.add("lora_du", attr, accumulate, []device.View{dB, du}, []device.View{dy, up, u})
				r.add("matmul_nn", device.MatMul{Alpha: attr.Scale}, false, []device.View{wantU}, []device.View{dy, up})
				r.add("matmul_tn", device.MatMul{Alpha: 1}, accumulate, []device.View{wantB}, []device.View{dy, u})
				if got, want := r.read(du), r.read(wantU); !slices.Equal(got, want) {
					t.Errorf("%s: du is off by %g", name, distance(widened(got), widened(want)))
				}
				if got, want := r.read(dB), r.read(wantB); !slices.Equal(got, want) {
					t.Errorf("%s: dB is off by %g", name, distance(widened(got), widened(want)))
				}
				if n, simulated := cudatest.Launches("lora_grad"); simulated && n == 0 {
					t.Errorf("%s: dy was read twice", name)
				}
			}
		}
	}
}

// typed is random values in a type of activations or masters.
func (t *trial) typed(typ device.Type, rows, cols int) device.View {
	t.Helper()
	a := t.array(rows, cols, 1)
	if typ == device.BF16 {
		return a.view
	}
	return upload(t.T, t.b, rows, cols, a.values)
}

// filled is what gradients are added to: the same each time.
func (t *trial) filled(rows, cols int) device.View {
	t.Helper()
	values := make([]float32, rows*cols)
	for i := range values {
		values[i] = float32(i%7) - 3
	}
	return upload(t.T, t.b, rows, cols, values)
}

// add is run of a call that may add to what is there.
func (t *trial) add(kernel string, attr any, accumulate bool, out, in []device.View) {
	t.Helper()
	k, err := t.b.Bind(kernel, attr)
	if err == nil {
		err = k(&device.Call{Out: out, In: in, Accumulate: accumulate})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Shapes whose blocks would leave most of a card idle, and adapters of a higher rank, go
// as two products.
func TestLoRAGradIsForShapesThatKeepACardBusy(t *testing.T) {
	for _, c := range []struct {
		units, rows, cols, rank int
		once                    bool
	}{
		{132, 4096, 14336, 16, true}, {132, 4096, 4096, 16, true}, {132, 2048, 4096, 16, false}, {132, 4096, 1024, 16, false},
		{108, 2560, 4096, 16, true}, {132, 4096, 14336, 17, false}, {132, 4096, 14336, 0, false}, {1, 511, 14336, 16, false}, {1, 512, 511, 16, false},
	} {
		b := cuda.Planner(driver.Info{Units: c.units, Major: 9}, 0)
		if got := b.ReadsOnce(c.rows, c.cols, c.rank); got != c.once {
			t.Errorf("%+v: once %v", c, got)
		}
	}
}

// loraGradOnce runs a text of lora_grad.cu by itself, with parts of so many rows.
func loraGradOnce(t *testing.T, c *cudatest.Card, text string, rows, cols, terms int) error {
	t.Helper()
	const rank, shared = 16, 2 * (4*64*128 + (64+512)*16)
	rng := random(3)
	side := func(rows, cols int) driver.Arg {
		return driver.Ptr(cudatest.Upload(t, c, newMatrix(rng, rows, cols).raw))
	}
	du, db := cudatest.Alloc[float32](t, c, ceil(cols, 512)*rows*rank), cudatest.Alloc[float32](t, c, ceil(rows, terms)*cols*rank)
	return c.TryRun(text, "lora_grad", driver.Dim{X: ceil(cols, 512), Y: ceil(rows, terms), Z: 1}, line(256), shared, driver.Ptr(du), driver.Ptr(db),
		side(rows, cols), side(cols, rank), side(rows, rank), integer(ceil(cols, 8)*8), integer(rank), integer(rank), integer(rows), integer(cols), integer(rank), integer(terms))
}

// dy is read once, and the matrix units are fed without bank conflicts.
func TestLoRAGradCounters(t *testing.T) {
	const rows, cols, terms = 1024, 1024, 512
	c := cudatest.Open(t)
	if err := loraGradOnce(t, c, ptxOf(t, "lora_grad"), rows, cols, terms); err != nil {
		t.Fatal(errors.Join(err, c.Fault()))
	}
	limits{1, 5.6}.holds(t, c, "lora_grad")
	if s, simulated := c.Stats("lora_grad"); simulated {
		moved := float64(32*s.GlobalSectors) / (2 * rows * cols)
		t.Logf("%.2f instructions for a matrix instruction, conflicts %.2f; %.2f times dy's bytes are moved", s.PerProduct(), s.Conflicts(), moved)
		// The parts of either gradient are written, and B and u read by each block.
		if moved > 1.35 {
			t.Errorf("%.2f times dy's bytes are moved: want at most 1.35", moved)
		}
	}
}

// A barrier or wait that is missing is found.
func TestLoRAGradMutantsAreFound(t *testing.T) {
	if c := cudatest.Open(t); c.Sim == nil {
		t.Skip("a real card does not look for races")
	}
	for name, text := range mutants(t, "lora_grad", "lora_grad") {
		c := cudatest.Open(t)
		if err := loraGradOnce(t, c, text, 260, 520, 130); err == nil || c.Fault() == nil {
			t.Errorf("%s was not found", name)
		}
	}
}
