package gemm

import (
	"fmt"
	"testing"
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// What the tiles of a block bring in begins in the packed x or in the weight.
func TestTilesBringInPartsOfTheOperands(t *testing.T) {
	shapes := [][3]int{{1, 32, 2}, {15, 300, 65}, {40, 512, 1100}, {300, 800, 2100}, {64, 100, 3000}}
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		for _, across := range []bool{false, true} {
			for _, s := range shapes {
				k := kind{packed: device.BF16, across: across}
				p := &newTrial(t, set, k, s[0], s[1], s[2]).p
				name := fmt.Sprintf("across=%t %v", across, s)
				e := engine(t, set, typ, 1)
				e.run.plan(e, p)
				e.run.carve(space(e, p))
				checkAhead(t, name, &e.run)
			}
		}
	})
}

func checkAhead(t *testing.T, name string, r *run) {
	t.Helper()
	w := &r.W.Packed
	within := func(at, from unsafe.Pointer, bytes int) bool {
		return uintptr(at) >= uintptr(from) && uintptr(at) < uintptr(from)+uintptr(bytes)
	}
	for col := 0; col < r.colPanels; col += r.taskPanels {
		s := span{rowTo: r.panels, colFrom: col, colTo: min(col+r.taskPanels, r.colPanels)}
		for k := 0; k < r.words; k += blockWords {
			next := r.ahead(s, k, min(blockWords, r.words-k))
			for i := range r.panels {
				for j := range s.colTo - s.colFrom {
					at := next.piece(i, j)
					if !within(at, r.x, r.panels*r.xStride) && !within(at, w.Data, int(PackedBytes(w.Type, w.N, w.K))) {
						t.Fatalf("%s: the tile at %d, %d of block %d brings in what is no operand", name, i, j, k)
					}
				}
			}
		}
	}
}

// The tiles of a block bring in all of the next panel of x and of the weight's
// next panels, where there are enough of them.
func TestTilesBringInAllOfThem(t *testing.T) {
	forEachEngine(t, func(t *testing.T, set *kern.Set, typ device.Type) {
		if typ == device.BF16 {
			t.Skip("the weight is read in place")
		}
		p := &newTrial(t, set, kind{packed: device.BF16}, 400, 2048, 2048).p
		e := engine(t, set, typ, 1)
		r := &e.run
		r.plan(e, p)
		r.carve(space(e, p))
		s := span{rowTo: r.panels, colTo: r.taskPanels}
		next, found := r.ahead(s, 0, blockWords), map[unsafe.Pointer]bool{}
		if next.ofX >= r.taskPanels {
			t.Skip("a panel of x takes all pieces")
		}
		for i := range r.panels {
			for j := range r.taskPanels {
				found[next.piece(i, j)] = true
			}
		}
		for at := 0; at < 4*r.tall*blockWords; at += next.bytes {
			if !found[unsafe.Add(r.xPanel(1, r.tall, 0), at)] {
				t.Errorf("byte %d of the next panel of x is not brought in", at)
			}
		}
		for j := range r.taskPanels {
			for at := 0; at < blockWords/2*kern.Stride; at += next.bytes {
				if !found[unsafe.Add(r.W.Packed.panel(j, blockWords/2), at)] {
					t.Errorf("byte %d of panel %d of w is not brought in", at, j)
				}
			}
		}
	})
}
