package cuda

import (
	"align/internal/device"
	"align/internal/device/cuda/driver"
)

// side is one side of a product: rows of ld bf16, a multiple of 8 that begins
// at a multiple of 16 bytes, 0 past the last column.
type side struct {
	at uint64
	ld int
}

// slot names a working buffer: each holds one operand at a time.
type slot int

const (
	slotLeft    slot = iota               // and the next ones: left sides of products, see kept
	slotWeight  slot = iota + numKept - 1 // a frozen weight in bf16
	slotLow                               // u, the adapter's left side
	slotUp                                // v, the adapter's right side
	slotParts                             // parts of split sums
	slotLogits                            // a chunk of logits
	slotWeighed                           // its gradient in bf16
	slotSums                              // sums over chunks of the vocabulary
	slotState                             // softmax states
	slotQuery
	slotKey
	slotValue
	slotGrad
	slotDelta
	slotSpans
	slotDraws   // weights of tokens
	slotDropped // the gradient through a dropout
	slotVendor  // cuBLASLt's workspace
	slotMaps    // tensor maps
	slots
)

// slotCarried is the o so far of attention over several parts of the keys: no
// kernel widens a weight and carries one.
const slotCarried = slotWeight

// eight is the number of elements in 16 bytes of bf16: what one copy moves.
const eight = 8

func padded(n int) int { return over(n, eight) * eight }

// launcher is a bound kernel's way to the entries that it needs, prepared when
// they are first asked for.
type launcher struct {
	b       *Backend
	entries map[string]*launch
}

func newLauncher(b *Backend) *launcher { return &launcher{b: b, entries: map[string]*launch{}} }

// run enqueues an entry of kernels/FILE.cu.
func (l *launcher) run(file, entry string, sharedMemory int, grid, block driver.Dim, args ...driver.Arg) error {
	k, err := l.prepared(file, entry, sharedMemory)
	if err != nil {
		return err
	}
	return k.over(grid, block, args...)
}

// prepared is an entry, made ready when it is first asked for.
func (l *launcher) prepared(file, entry string, sharedMemory int) (*launch, error) {
	k := l.entries[entry]
	if k == nil {
		var err error
		if k, err = l.b.launch(file, entry, sharedMemory); err != nil {
			return nil, err
		}
		l.entries[entry] = k
	}
	return k, nil
}

// each runs an entry with a thread for each of n elements.
func (l *launcher) each(file, entry string, n int, args ...driver.Arg) error {
	return l.run(file, entry, 0, driver.Dim{X: over(n, blockThreads), Y: 1, Z: 1}, driver.Dim{X: blockThreads, Y: 1, Z: 1}, args...)
}

// room is at least so many bytes of a slot.
func (l *launcher) room(s slot, bytes int64) (uint64, error) {
	work := &l.b.work[s]
	work.pool = &l.b.pool
	return work.at(bytes)
}

// entriesOf are the entries that stand for types.
func entriesOf(prefix string, types ...device.Type) map[device.Type]string {
	m := map[device.Type]string{}
	for _, t := range types {
		m[t] = prefix + t.String()
	}
	return m
}

// The entries of weights.cu.
var (
	roundEntries = entriesOf("round_", device.F32, device.BF16)
	widenEntries = entriesOf("widen_", device.BlockTypes()...)
)

// rounded is rows of cols elements of a view in bf16, ld elements apart, in a
// slot.
func (l *launcher) rounded(s slot, v device.View, rows, cols, ld int) (side, error) {
	to, err := l.room(s, 2*int64(rows)*int64(ld))
	if err != nil {
		return side{}, err
	}
	return side{to, ld}, l.each("weights", roundEntries[v.Type], rows*ld/eight, driver.U64(to), at(v), num(rows), num(cols), num(ld))
}

// sideOf is a plain view of activations or masters as a side: as it lies, or
// rounded in a slot.
func (l *launcher) sideOf(s slot, v device.View) (side, error) {
	if direct(v) {
		return side{uint64(v.Addr), v.Cols}, nil
	}
	return l.rounded(s, v, v.Rows, v.Cols, padded(v.Cols))
}

// direct says whether a view is a side as it lies.
func direct(v device.View) bool {
	return v.Type == device.BF16 && v.Cols%eight == 0 && v.Addr%16 == 0
}

// weightOf is a frozen weight as a side: as it lies, or rounded or widened to
// bf16 in its slot, which costs reading and writing it once.
func (l *launcher) weightOf(w device.View) (side, error) {
	if !w.Type.IsBlock() {
		return l.sideOf(slotWeight, w)
	}
	ld := padded(w.Cols)
	to, err := l.room(slotWeight, 2*int64(w.Rows)*int64(ld))
	if err != nil {
		return side{}, err
	}
	return side{to, ld}, l.each("weights", widenEntries[w.Type], w.Rows*ld/eight, driver.U64(to), at(w),
		num(w.Rows), num(w.Cols), num(ld), driver.U64(uint64(w.Type.RowBytes(w.Cols))))
}

// num is a count as kernels take it. Views are smaller than 2^31 rows and
// columns; addresses are computed in 64 bits.
func num(n int) driver.Arg { return driver.I32(int32(n)) }
