package cpu

import (
	"fmt"
	"math"

	"align/internal/device"
	"align/internal/device/contract"
)

// The head's tile of logits: the only part of [N,V] that ever exists. Each block of
// rows reads all of W, which is turned around for the slopes.
const (
	headRows = 1024
	headCols = 1024
)

// head is what the logprob kernels share: the logits of a tile, row by row.
type head[E float] struct {
	kernel   string
	b        *Backend
	products products[E]
	forward  product[E]
	rows     rowJob // work on the rows of a tile
	inverse  E      // 1/temperature

	h, w    device.View
	targets []int32
	logits  []E
	behind  []E // more of the shared workspace
	row     int // first row of the tile
	col     int // first vocabulary entry of the tile
	width   int // vocabulary entries of the tile
}

func (d *head[E]) init(b *Backend, p products[E], kernel string, attr device.LogProb, perRow func(lo, hi int)) error {
	if !(attr.Temperature >= 0) || math.IsInf(attr.Temperature, 1) {
		return fmt.Errorf("cpu: %s: temperature %g: want 0 or more", kernel, attr.Temperature)
	}
	d.kernel, d.b, d.products, d.inverse = kernel, b, p, 1
	if attr.Temperature > 0 {
		d.inverse = E(1 / attr.Temperature)
	}
	d.forward.alpha = d.inverse
	d.rows.kernel, d.rows.job = phase(perRow), &d.rows
	return nil
}

// check takes the inputs that every kernel of the head begins with.
func (d *head[E]) check(k *contract.Check, c *device.Call) {
	h, w, targets := c.In[0], c.In[1], c.In[2]
	k.Matrix("h", h, typeOf[E](), h.Rows, w.Cols)
	checkWeight(k, "W", w, w.Rows, h.Cols)
	k.Vector("targets", targets, device.I32, h.Rows)
	d.h, d.w, d.targets = h, w, device.Slice[int32](targets)
	checkIndices(k, "targets", d.targets, math.MinInt32, w.Rows)
}

// reserve makes room for a tile of logits, and more elements behind it.
func (d *head[E]) reserve(more int) error {
	tile := d.blockRows() * headCols
	if err := d.b.spaces.reserve(0, tile+more); err != nil {
		return err
	}
	space := d.b.spaces.carveShared()
	d.logits, d.behind = take[E](&space, tile), take[E](&space, more)
	return nil
}

// blockRows is the rows of a block, of all rows if they are fewer.
func (d *head[E]) blockRows() int { return min(headRows, d.h.Rows) }

// tileAt computes the logits of n rows from row and of the vocabulary from
// col, and runs the per-row work on them.
func (d *head[E]) tileAt(row, n, col int) error {
	d.row, d.col, d.width = row, col, min(headCols, d.w.Rows-col)
	p := &d.forward
	p.y, p.x, p.w = d.view(n), d.h.Row(row, n), d.w
	p.windowStart, p.windowRows = col, d.width
	if err := d.products.nt(p); err != nil {
		return err
	}
	return d.b.runRows(&d.rows, n, rowGrain(expensive*d.width))
}

// view is the tile of logits as a matrix of n rows.
func (d *head[E]) view(n int) device.View {
	return device.View{Addr: d.b.spaces.common.Addr, Rows: n, Cols: d.width, Type: typeOf[E]()}
}

// line is row i of the tile.
func (d *head[E]) line(i int) []E { return d.logits[i*d.width:][:d.width] }

// softmaxRow is the state of a softmax whose logits come chunk by chunk, in
// float64: with m the largest so far, sum is the sum of e^(z-m) and moment the
// sum of e^(z-m)*(z-m), which gives the entropy without cancellation.
type softmaxRow struct {
	largest, sum, moment float64
	best                 int // the lowest id of the largest logit
	target               float64
}

// addChunk takes the logits z of the vocabulary from col.
func addChunk[E float](s *softmaxRow, z []E, col int) {
	top, at := z[0], 0
	for j, x := range z {
		if x > top {
			top, at = x, j
		}
	}
	if m := float64(top); m > s.largest {
		s.raise(m, col+at)
	}
	m := E(s.largest)
	var sum, moment float64
	for _, x := range z {
		e := float64(exp(x - m))
		sum += e
		moment += e * float64(x-m)
	}
	s.sum += sum
	s.moment += moment
}

// raise makes m, at the given id, the largest logit.
func (s *softmaxRow) raise(m float64, id int) {
	if s.sum > 0 {
		shift := s.largest - m
		c := math.Exp(shift)
		s.moment = c * (s.moment + s.sum*shift)
		s.sum *= c
	}
	s.largest, s.best = m, id
}

func (s *softmaxRow) logSumExp() float64 { return s.largest + math.Log(s.sum) }

func (s *softmaxRow) entropy() float64 { return math.Log(s.sum) - s.moment/s.sum }

// logProb computes, for each row, the target's log-probability, the log-sum-exp
// of the logits, the softmax's entropy, whether the target is on top, and the slope
// where it is wanted.
type logProb[E float] struct {
	head[E]
	chunks[E]
	state                 []softmaxRow
	lp, lse, entropy, hit []E
	slope                 slope[E]
}

// chunks is what logprob does with a chunk of a row's logits and with a row of W.
type chunks[E float] struct {
	add  func(s *softmaxRow, z []E, col int)
	exp  func(z []E, top E)
	read func(dst []E, w device.View, row int)
	// keep is add that keeps the softmax's weights as products round them, n of them where
	// keeps says so; both nil where there is no such function.
	keep  func(s *softmaxRow, y []uint16, z []E, col int)
	keeps func(n int) bool
}

func bindLogProb[E float](b *Backend, p products[E], of chunks[E]) func(string, device.LogProb) (device.Kernel, error) {
	return func(kernel string, attr device.LogProb) (device.Kernel, error) {
		l := &logProb[E]{state: make([]softmaxRow, headRows), chunks: of}
		l.slope.finish.kernel, l.slope.finish.job = phase(l.finishSlopes), &l.slope.finish
		if err := l.init(b, p, kernel, attr, l.addRows); err != nil {
			return nil, err
		}
		return l.run, nil
	}
}

func (l *logProb[E]) run(c *device.Call) error {
	k := contract.Of("cpu", l.kernel)
	if k.Arity(c, 4+count(len(c.Out) == 5), 3) {
		k.Overwrites(c)
		l.check(&k, c)
		for i, name := range [...]string{"lp", "lse", "entropy", "hit"} {
			k.OutputVector(name, c.Out[i], typeOf[E](), c.In[0].Rows)
		}
		l.lp, l.lse = device.Slice[E](c.Out[0]), device.Slice[E](c.Out[1])
		l.entropy, l.hit = device.Slice[E](c.Out[2]), device.Slice[E](c.Out[3])
		if len(c.Out) == 5 {
			k.Output("slope", c.Out[4], typeOf[E](), c.In[0].Rows, c.In[0].Cols)
		}
	}
	if k.Err != nil {
		return k.Err
	}
	if err := l.begin(c); err != nil {
		return err
	}
	for row := 0; row < l.h.Rows; row += headRows {
		n := min(headRows, l.h.Rows-row)
		for i := range l.state {
			l.state[i] = softmaxRow{largest: math.Inf(-1), best: -1}
		}
		for col := 0; col < l.w.Rows; col += headCols {
			l.placeWeights(n, col)
			if err := l.tileAt(row, n, col); err != nil {
				return err
			}
			if l.slope.out == nil {
				continue
			}
			if err := l.addSums(n); err != nil {
				return err
			}
		}
		l.finish(row, n)
		if l.slope.out == nil {
			continue
		}
		if err := l.b.runRows(&l.slope.finish, n, rowGrain(l.h.Cols)); err != nil {
			return err
		}
	}
	return nil
}

func (l *logProb[E]) addRows(lo, hi int) {
	for i := lo; i < hi; i++ {
		z, s := l.line(i), &l.state[i]
		before := s.largest
		if l.slope.half != nil {
			l.keep(s, l.slope.half[i*l.width:][:l.width], z, l.col)
		} else {
			l.add(s, z, l.col)
		}
		if t := int(l.targets[l.row+i]) - l.col; t >= 0 && t < len(z) {
			s.target = float64(z[t])
		}
		if l.slope.out != nil {
			l.weigh(z, i, before)
		}
	}
}

// finish writes the results of n rows; a row without a target gives 0 for lp
// and hit.
func (l *logProb[E]) finish(row, n int) {
	for i := range n {
		s, target := &l.state[i], int(l.targets[row+i])
		if l.lp != nil {
			l.lp[row+i] = 0
			if target >= 0 {
				l.lp[row+i] = E(s.target - s.logSumExp())
			}
		}
		if l.lse != nil {
			l.lse[row+i] = E(s.logSumExp())
		}
		if l.entropy != nil {
			l.entropy[row+i] = E(s.entropy())
		}
		if l.hit != nil {
			l.hit[row+i] = E(indicator(target >= 0 && s.best == target))
		}
	}
}
