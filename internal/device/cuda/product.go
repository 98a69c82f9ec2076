package cuda

import (
	"align/internal/device"
	"align/internal/device/cuda/driver"
)

// product is one matrix product with what may follow it; sums run along rows or
// across them as in cpu's:
//
//	nt:  y[M,N] = alpha (x[M,K] w[N,K]' + u[M,R] v[N,R]') + bias[N]  (+ y)
//	nn:  y[M,N] = alpha (x[M,K] w[K,N]  + u[M,R] v[R,N] ) + bias[N]  (+ y)
//	tn:  y[M,N] = alpha  x[K,M]' w[K,N]                   + bias[N]  (+ y)
//
// Both sides are bf16, or rounded to it, the sums are float32, and y is one or
// the other: the numbers of the CPU's bf16 precision but for the order of sums
// and the rounding of y. An element of nt and nn is summed
// over K in ascending order and then over R, whatever M is.
type product struct {
	y          uint64
	typ        device.Type // of y
	ldy        int         // from one row of y to the next
	m, n, k, r int
	x, w, u, v side
	bias       uint64 // 0: none
	alpha      float32
	accumulate bool
}

// kind says where the sums of a product run.
type kind int

const (
	kindNT kind = iota
	kindNN
	kindTN
)

// shape is a tile of the entries of gemm.cu or gemm_sm90.cu.
type shape struct {
	file, instruction string
	entries           [3]string // by kind
	m, n, size        int       // rows and columns of the tile, threads
	shared            int       // bytes
}

// Terms of a stage and stages of each file, and what gemm_sm90.cu may lose where
// its tiles begin at a multiple of 1024 bytes.
const (
	gemmStep, gemmStages     = 32, 3
	slimStages               = 8
	hopperStep, hopperStages = 64, 4
	hopperLost               = 1024
	hopperFile               = "gemm_sm90"
)

func entriesNamed(prefix, name string) [3]string {
	return [3]string{prefix + "_nt_" + name, prefix + "_nn_" + name, prefix + "_tn_" + name}
}

func shapeNamed(name string, m, n, size, stages int) shape {
	return shape{"gemm", "mma.sync", entriesNamed("gemm", name), m, n, size, stages * gemmStep * 2 * (m + n)}
}

func hopperShape(name string, n int) shape {
	const m = 128
	return shape{hopperFile, "wgmma", entriesNamed("wgmma", name), m, n, 256, hopperStages*hopperStep*2*(m+n) + hopperLost}
}

var (
	shapeLarge  = shapeNamed("large", 128, 128, 256, gemmStages)
	shapeSmall  = shapeNamed("small", 64, 64, 128, gemmStages)
	shapeSlim   = shapeNamed("slim", 64, 32, 128, slimStages) // for few rows
	shapeNarrow = shapeNamed("narrow", 64, 16, 128, gemmStages)
	shapeOdd    = shapeNamed("odd", 64, 64, 128, gemmStages) // writes columns one by one
	shapeWide   = hopperShape("wide", 256)
	shapeSquare = hopperShape("square", 128)
)

// shapeOf chooses by the size of the result; wgmma says that gemm_sm90.cu runs
// on the card and y begins at a multiple of 16 bytes. In the simulator the bits
// do not depend on it; whether a card's do not is to be seen on one.
func shapeOf(wgmma bool, m, n, ldy, units int) *shape {
	switch {
	case ldy%2 != 0 || n%2 != 0: // pairs of columns would not be aligned
		return &shapeOdd
	case n <= shapeNarrow.n:
		return &shapeNarrow
	case m <= shapeSlim.m && over(n, shapeSmall.n) <= units:
		return &shapeSlim
	case m <= 64 || n <= 64 || 2*over(m, shapeLarge.m)*over(n, shapeLarge.n) <= units:
		return &shapeSmall
	case !wgmma || n%eight != 0 || ldy%eight != 0:
		return &shapeLarge
	}
	// A block has a multiprocessor to itself: the time is that of its rounds, and
	// the wide tile reads less for its work.
	rounds := func(s *shape) int { return over(over(m, s.m)*over(n, s.n), units) * s.n }
	if rounds(&shapeWide) <= rounds(&shapeSquare) {
		return &shapeWide
	}
	return &shapeSquare
}

// splitTerms is how many terms a part of a split sum has at least, maxParts how
// many parts a sum across both sides has at most; splitColumns are the columns up
// to which rows alone give the card too little work.
const (
	splitTerms   = 512
	maxParts     = 16
	splitColumns = 64
)

// splitOf divides a sum over k where the result is small, so that all of the
// card has work: adapters and their gradients. It hangs on the shape alone,
// never on the card, and but for tn not on m: a row's bits are its own.
func splitOf(of kind, m, n, k int) (terms int) {
	switch {
	case k <= splitTerms:
	case of != kindTN && n <= splitColumns:
		return splitTerms
	case of == kindTN && over(m, 64)*over(n, 64) <= 256:
		return max(splitTerms, over(over(k, maxParts), gemmStep)*gemmStep)
	}
	return max(k, 1)
}

// gemm runs a product whole.
func (l *launcher) gemm(of kind, p *product) error {
	return l.gemmParts(of, p, max(p.k, 1))
}

// gemmParts runs a product in parts of `terms` terms of the sum; those of
// several parts stand behind one another in y.
func (l *launcher) gemmParts(of kind, p *product, terms int) error {
	if p.m == 0 || p.n == 0 {
		return nil
	}
	if terms >= p.k && l.b.vendor.takes(p) {
		if done, err := l.vendorProduct(of, p); done || err != nil {
			return err
		}
	}
	s := shapeOf(l.b.means.Wgmma && p.y%16 == 0, p.m, p.n, p.ldy, l.b.units)
	grid := driver.Dim{X: over(p.m, s.m) * over(p.n, s.n), Y: 1, Z: max(1, over(p.k, terms))}
	if l.b.means.feeds(s, p.k, terms) {
		if done, err := l.bulk(of, p, s, terms, grid); done || err != nil {
			return err
		}
	}
	return l.run(s.file, s.entries[of], s.shared, grid, driver.Dim{X: s.size, Y: 1, Z: 1},
		driver.U64(p.x.at), driver.U64(p.w.at), driver.U64(p.u.at), driver.U64(p.v.at), driver.U64(p.y), driver.U64(p.bias),
		num(p.x.ld), num(p.w.ld), num(p.u.ld), num(p.v.ld), num(p.ldy), num(p.m), num(p.n), num(p.k), num(p.r),
		driver.F32(p.alpha), driver.I32(count(p.accumulate)), num(terms), code(p.typ))
}

// sumEntries are those of gemm.cu that add parts, by the type of the result.
var sumEntries = entriesOf("gemm_gather_", device.F32, device.BF16)

// gemmSplit is gemm for a product without u and bias whose sum may be split.
func (l *launcher) gemmSplit(of kind, p *product) error {
	terms := splitOf(of, p.m, p.n, p.k)
	parts := over(p.k, terms)
	if parts <= 1 || p.m*p.n == 0 {
		return l.gemm(of, p)
	}
	sums, err := l.parts(of, p, terms, parts)
	if err != nil {
		return err
	}
	return l.each("gemm", sumEntries[p.typ], p.m*p.n, driver.U64(p.y), driver.U64(sums), num(p.m*p.n), num(parts),
		driver.F32(p.alpha), driver.I32(count(p.accumulate)))
}

func (l *launcher) parts(of kind, p *product, terms, parts int) (uint64, error) {
	at, err := l.room(slotParts, 4*int64(parts)*int64(p.m)*int64(p.n))
	if err != nil {
		return 0, err
	}
	q := *p
	q.y, q.typ, q.ldy, q.alpha, q.accumulate = at, device.F32, p.n, 1, false
	return at, l.gemmParts(of, &q, terms)
}

// low is u = scale x a' of an adapter as a side: x [m,k], a [r,k]. Its sum is
// split by k alone, so that a row's bits do not hang on the others, and a single
// row keeps many units busy.
func (l *launcher) low(x, a side, m, r, k int, scale float32) (side, error) {
	u := side{ld: padded(r)}
	var err error
	if u.at, err = l.room(slotLow, 2*int64(m)*int64(u.ld)); err != nil || m*r == 0 {
		return u, err
	}
	p := product{typ: device.F32, ldy: r, m: m, n: r, k: k, x: x, w: a}
	parts := max(1, over(k, splitTerms))
	if p.y, err = l.room(slotParts, 4*int64(parts)*int64(m)*int64(r)); err != nil {
		return u, err
	}
	p.alpha = 1
	if m <= gemvRows {
		err = l.gemv(device.BF16, &p, uint64(2*a.ld), splitTerms)
	} else {
		err = l.gemmParts(kindNT, &p, splitTerms)
	}
	if err != nil {
		return u, err
	}
	return u, l.each("gemm", "gemm_gather_round", m*u.ld/2, driver.U64(u.at), driver.U64(p.y), num(m), num(r), num(u.ld),
		num(parts), driver.F32(scale))
}

const (
	gemvRows    = 16 // rows that gemv takes at most
	gemvFewest  = 8  // and those of gemv.cu; gemv16.cu has the others
	gemvColumns = 8  // columns of a warp, or of a block of gemv_narrow.cu
	gemvWarps   = 4
	gemvShared  = 4 * 128 // terms that the warps of such a block have at a time
)

// The entries of gemv.cu, gemv16.cu and gemv_narrow.cu, by the type of the weight.
var (
	narrowEntries = entriesOf("gemv_narrow_", append(device.BlockTypes(), device.BF16)...)
	gemvEntries   = entriesOf("gemv_", append(device.BlockTypes(), device.BF16)...)
	gemv16Entries = entriesOf("gemv16_", append(device.BlockTypes(), device.BF16)...)
)

// gemv runs an nt product of few rows on a weight of any type that lies at p.w.at
// in rows of stride bytes. Its bits are gemm's.
func (l *launcher) gemv(t device.Type, p *product, stride uint64, terms int) error {
	if p.m == 0 || p.n == 0 {
		return nil
	}
	if l.narrow(p, terms) {
		return l.run("gemv_narrow", narrowEntries[t], 0, driver.Dim{X: over(p.n, gemvColumns), Y: 1, Z: 1}, driver.Dim{X: 32 * gemvWarps, Y: 1, Z: 1},
			driver.U64(p.y), driver.U64(p.x.at), driver.U64(p.w.at), driver.U64(p.u.at), driver.U64(p.v.at), driver.U64(p.bias),
			num(p.x.ld), driver.U64(stride), num(p.u.ld), num(p.ldy), num(p.m), num(p.n), num(p.k), num(p.r),
			driver.F32(p.alpha), driver.I32(count(p.accumulate)), code(p.typ))
	}
	grid := driver.Dim{X: over(p.n, gemvColumns*gemvWarps), Y: max(1, over(p.k, terms)), Z: 1}
	file, entry := "gemv", gemvEntries[t]
	if p.m > gemvFewest {
		file, entry = "gemv16", gemv16Entries[t]
	}
	return l.run(file, entry, 0, grid, driver.Dim{X: 32 * gemvWarps, Y: 1, Z: 1},
		driver.U64(p.y), driver.U64(p.x.at), driver.U64(p.w.at), driver.U64(p.u.at), driver.U64(p.v.at), driver.U64(p.bias),
		num(p.x.ld), driver.U64(stride), num(p.u.ld), num(p.ldy), num(p.m), num(p.n), num(p.k), num(p.r),
		driver.F32(p.alpha), driver.I32(count(p.accumulate)), num(terms), code(p.typ))
}

// narrow says whether the columns are too few for a warp each: four blocks of
// gemv_narrow.cu stand on a multiprocessor, so that none has to wait.
func (l *launcher) narrow(p *product, terms int) bool {
	return p.m <= gemvFewest && p.k > gemvShared && terms >= p.k && over(p.n, gemvColumns*gemvWarps) <= l.b.units
}

// times is an nt product with a frozen weight: gemv for few rows, which reads
// the weight as it is stored, gemm otherwise.
func (l *launcher) times(w device.View, p *product) (err error) {
	if p.m <= gemvRows && (w.Type.IsBlock() || direct(w)) && p.k > 0 {
		p.w.at = uint64(w.Addr)
		return l.gemv(w.Type, p, uint64(w.Type.RowBytes(w.Cols)), p.k)
	}
	if p.w, err = l.weightOf(w); err != nil {
		return err
	}
	return l.gemm(kindNT, p)
}
