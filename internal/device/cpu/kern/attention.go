package kern

import "unsafe"

const (
	// FlashRows is the rows of queries of an item of Flash, FlashKeys the keys that
	// it has at most and FlashGroup those that they are counted in.
	FlashRows, FlashKeys, FlashGroup = 32, 64, 32
	// FlashSums is the columns behind those of an item's O that hold the sum of
	// the weights, all of them the same.
	FlashSums = 16
)

// FlashItem is 32 rows of queries against 64 keys.
type FlashItem struct {
	// Q is a panel of A of 32 rows, K panels of B of 32 keys each in the order of
	// FlashKey, V panels of B of 32 columns and 64 keys.
	Q, K, V unsafe.Pointer
	// O is [32][D+FlashSums] float32 that the weights times values are added to,
	// relative to the row's Largest [32]: the largest q k' so far, -Inf before.
	O, Largest unsafe.Pointer
	// Seen is how many of the item's keys each row sees, [32] int32; nil: all.
	Seen unsafe.Pointer
}

// FlashKey is the key of a group that stands in a column of its panel.
func FlashKey(column int) int {
	half, column := column/16, column%16
	return column/4*8 + half*4 + column%4
}

// Flash is attention on the tiles (https://arxiv.org/abs/2205.14135, algorithm 1).
type Flash struct {
	// D is the columns that those of a head are filled up to with zeros.
	D      int
	stages func(config, items unsafe.Pointer, stages int, work unsafe.Pointer, scale float32)
	config unsafe.Pointer
}

// flashHalf is what the kernels keep of an item, of which two are at work.
const flashHalf = FlashRows*FlashKeys*6 + 2*4*FlashRows + 64

// WorkBytes is the size of a workspace of Run.
func (f *Flash) WorkBytes() int {
	return 2*flashHalf + 256*f.D + 4*FlashRows*(f.D+FlashSums) + 4*FlashRows
}

// Flash is attention for heads of d columns, where the level has it.
func (s *Set) Flash(d int) (Flash, bool) {
	for _, f := range s.flash {
		if d <= f.D {
			return f, true
		}
	}
	return Flash{}, false
}

// Run adds weights times values for items, of which it sets the first two and the
// last two itself. Work is WorkBytes at the start of a line of the caches. Scale is
// that of the scores and not negative.
func (f *Flash) Run(items []FlashItem, work unsafe.Pointer, scale float32) {
	const log2e = 1.4426950408889634
	n := len(items) - 2
	if n <= 2 {
		return
	}
	// Whatever is there: nobody reads what becomes of it.
	idle := at(work, 2*flashHalf)
	out := at(idle, 256*f.D)
	nothing := FlashItem{Q: idle, K: idle, V: idle, O: out, Largest: at(out, 4*FlashRows*(f.D+FlashSums))}
	items[0], items[1], items[n], items[n+1] = nothing, nothing, nothing, nothing
	f.stages(f.config, unsafe.Pointer(&items[0]), n, work, float32(512*log2e*float64(scale)))
}
