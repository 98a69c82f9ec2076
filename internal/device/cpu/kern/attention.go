package kern

import (
	"math"
	"unsafe"
)

const (
	// FlashRows is the rows of queries of an item of Flash, FlashKeys the keys that
	// it has at most and FlashGroup those that they are counted in.
	FlashRows, FlashKeys, FlashGroup = 32, 64, 32
	// FlashSums is the columns behind those of an item's O that hold the sum of
	// the weights, all of them the same.
	FlashSums = 16
	// FlashUnit is what a weight of 1 counts.
	FlashUnit = 1.0 / (1 << 32)
)

// FlashItem is 32 rows of queries against 64 keys.
type FlashItem struct {
	// Q is a panel of A of 32 rows, K panels of B of 32 keys each in the order of
	// FlashKey, V panels of B of 32 columns and 64 keys.
	Q, K, V unsafe.Pointer
	// O is [32][D+FlashSums] float32 that FlashUnit times the weights times values
	// are added to, the weights relative to the row's Reference [32]: -Inf before,
	// then the q k' of the first key that it sees, or of a later one that is far larger.
	O, Reference unsafe.Pointer
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
	finish func(o, reference, out, lse unsafe.Pointer, rows, cols, stride, sum int, scale float32)
}

// flashWork is what the kernels keep of the items that are at work.
const flashWork = 2*FlashRows*FlashKeys*(4+2) + 2*4*FlashRows

// WorkBytes is the size of a workspace of Run.
func (f *Flash) WorkBytes() int {
	return flashWork + 256*f.D + 4*FlashRows*(f.D+FlashSums) + 4*FlashRows
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
	n := len(items) - 2
	if n <= 2 {
		return
	}
	// Whatever is there: nobody reads what becomes of it.
	idle := at(work, flashWork)
	out := at(idle, 256*f.D)
	nothing := FlashItem{Q: idle, K: idle, V: idle, O: out, Reference: at(out, 4*FlashRows*(f.D+FlashSums))}
	items[0], items[1], items[n], items[n+1] = nothing, nothing, nothing, nothing
	f.stages(f.config, unsafe.Pointer(&items[0]), n, work, float32(flashLog*float64(scale)))
}

// FlashLogs is the length of Finish's lse: those of its rows and room behind them.
const FlashLogs = FlashRows + 16

// Finish divides the first rows of 32 rows of O by the sums of their weights and
// writes their first cols columns to the addresses that out lists, if it is not
// nil. lse becomes the logarithms of the sums of exp(scale q k'). A row that sees
// no key gets 0, and -Inf for lse.
func (f *Flash) Finish(o, reference unsafe.Pointer, rows, cols int, out *[MaxRows]unsafe.Pointer, lse *[FlashLogs]float32, scale float32) {
	const half = 16
	stride := 4 * (f.D + FlashSums)
	for from := 0; from < rows; from += half {
		var to unsafe.Pointer
		if out != nil {
			to = unsafe.Pointer(&out[from])
		}
		f.finish(at(o, from*stride), at(reference, 4*from), to, unsafe.Pointer(&lse[from]), min(half, rows-from), cols, stride, 4*f.D, scale)
	}
}

// GradQueries is how many queries GradWeights takes at most, and GradStride the
// bytes from key to key of its scores.
const (
	GradQueries = 256
	GradStride  = 4*GradQueries + 64
)

// GradPanel is what the weights of 32 queries need, in the order of FlashKey.
type GradPanel struct {
	shift [Cols]float32
	// Delta is -scale times a query's sum of do*o, Seen the keys that it sees, of
	// those that there are.
	Delta [Cols]float32
	Seen  [Cols]int32
}

// flashLog makes the words of weights, which count in 1/512 of a power of two.
const flashLog = 512 * math.Log2E

// Shift sets the logarithm of the sum of query i's weights; +Inf makes them 0.
func (p *GradPanel) Shift(i int, lse float64) {
	const one = 127*512 + 2.25 // the word of weight 1, and its rounding
	p.shift[i] = float32(one - flashLog*lse)
}

// GradWeights is the operands of a call: keys down, queries across.
type GradWeights struct {
	// S is q k' and DP do v', a row of GradStride bytes for each key.
	S, DP unsafe.Pointer
	// P and DS are the weights and ds, a panel of A [queries/32][keys][32].
	P, DS unsafe.Pointer
	// Pairs is ds as panels of B whose columns are 32 queries, PairsStep bytes
	// apart.
	Pairs     unsafe.Pointer
	Rows      *GradPanel // of each panel
	Panels    int
	Keys      int // at most 32; an odd one gets a neighbour of zeros
	PairsStep int
	Key       int // the first key, as Seen counts
}

// GradStrip is c = a b, or c += a b if Add is not 0, for 32 rows and panels of 32
// columns, those of b BStep bytes apart.
type GradStrip struct {
	Steps            int // tiles of K, of 16 words
	A, B             unsafe.Pointer
	BStep            int
	C                unsafe.Pointer
	LDC, Panels, Add int
}

// GradStrips does the strips in their order; a sum has the bits of Strip's.
func (s *Set) GradStrips(list []GradStrip) {
	if len(list) > 0 {
		s.gradStrips(unsafe.Pointer(&list[0]), len(list))
	}
}

// GradScores is operands of GradWeights that has 32 keys, with those of S = k q' and
// DP = v do': panels of A of k and v, and panels of B of q and do that follow each other.
type GradScores struct {
	GradWeights
	K, V, Q, DO unsafe.Pointer
	// Work is GradWork bytes at the start of a line of the caches, instead of S and DP.
	Work unsafe.Pointer
}

type gradScores func(config, list unsafe.Pointer, n int, k, v, q, do, work, p, ds, pairs, rows unsafe.Pointer, panels, pairsStep, key int, log, scale float32)

// GradWork is the bytes of a GradScores' workspace.
const GradWork = 2 * 2 * 4 * Cols * Cols

// HasGradScores says whether the level has GradScores for heads of so many columns.
func (s *Set) HasGradScores(d int) bool { return s.gradScores[d] != nil }

// GradScores is p and ds for heads of d columns, with the bits of GradStrips and GradWeights.
// Before all it does the strips of a list, under the same configuration of the tiles.
func (s *Set) GradScores(d int, list []GradStrip, w *GradScores, scale float32) {
	s.gradScores[d](s.gradConfig, unsafe.Pointer(unsafe.SliceData(list)), len(list), w.K, w.V, w.Q, w.DO, w.Work, w.P, w.DS, w.Pairs, unsafe.Pointer(w.Rows), w.Panels, w.PairsStep, w.Key,
		float32(flashLog*float64(scale)), scale)
}

// HasGradWeights says whether the level has GradWeights.
func (s *Set) HasGradWeights() bool { return s.gradWeights != nil }

// GradWeights is p = exp(scale s - lse) and ds = p (dp - delta) scale, in
// bfloat16. It may write 64 bytes behind P and DS.
func (s *Set) GradWeights(w *GradWeights, scale float32) {
	s.gradWeights(w.S, w.DP, w.P, w.DS, w.Pairs, unsafe.Pointer(w.Rows), w.Panels, (w.Keys+1)/2, 64*w.Keys, w.PairsStep, w.Key,
		float32(flashLog*float64(scale)), scale)
}
