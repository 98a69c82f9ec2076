package cpu

import (
	"unsafe"

	"align/internal/device"
	"align/internal/device/cpu/kern"
)

// page is how a page of a cache holds keys or values of its heads, one head
// after the other: as the panels of B that attention multiplies with, so that
// nothing is packed when they are read. Keys are columns of two panels of 32 and
// their elements run along K; of values the elements are the columns and the
// page's positions run along K. What no position wrote yet is 0 in a page whose
// first one was written.
type page struct {
	headDim, perWord int
	column           [kern.Cols]uint8 // of a key in its panel
}

// pageOf is the layout that a level's attention reads in place; nil where pages
// hold rows, because the panels would not fit them or need more than a head has.
func (f *fast) pageOf(headDim int) *page {
	p := &page{headDim: headDim, perWord: f.tiles().PerWord}
	tiles, onTiles := f.set.Flash(headDim)
	onTiles = onTiles && f.tiles() == &f.set.BF16
	if headDim%kern.Cols != 0 || onTiles && tiles.D != headDim || !onTiles && f.tiles().Depth != 1 {
		return nil
	}
	for i := range kern.Cols {
		key := i
		if onTiles {
			key = kern.FlashKey(i)
		}
		p.column[key] = uint8(i)
	}
	return p
}

// headBytes is the size of a head's part of a page, panelBytes of a panel of
// keys, and valueBytes of one of values.
func (p *page) headBytes() int  { return 4 * device.PageRows * p.headDim / p.perWord }
func (p *page) panelBytes() int { return p.headDim / p.perWord * kern.Stride }
func (p *page) valueBytes() int { return device.PageRows / p.perWord * kern.Stride }

// at is a head's part of a page of a cache of cols columns.
func (p *page) at(cache []float32, cols, page, head int) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(&cache[page*device.PageRows*cols]), head*p.headBytes())
}

// pageWrite is cacheWrite where pages hold panels: a task is some heads, so that
// positions come in their order and no two tasks write to a word.
type pageWrite struct {
	cacheWrite[float32]
	*page
	set   *kern.Set
	round []uint16 // a row of x in bfloat16
}

func (f *fast) bindCacheWrite(kernel string, attr device.Cache) (device.Kernel, error) {
	plain, err := newCacheWrite[float32](kernel, attr)
	if err != nil {
		return nil, err
	}
	if p := f.pageOf(attr.HeadDim); p != nil {
		return f.b.overRows(&pageWrite{cacheWrite: *plain, page: p, set: f.set}), nil
	}
	return f.b.overRows(plain), nil
}

func (w *pageWrite) prepare(c *device.Call) (rows, grain int, err error) {
	n, _, err := w.cacheWrite.prepare(c)
	if n == 0 || err != nil {
		return 0, 1, err
	}
	if len(w.round) < w.cols {
		w.round = make([]uint16, w.cols)
	}
	const scattered = 8 // times what elements cost that stay in a row
	return w.cols / w.headDim, rowGrain(scattered * n * w.headDim), err
}

// compute writes heads lo to hi-1.
func (w *pageWrite) compute(lo, hi int) {
	for t, slot := range w.slot {
		number, position := int(slot)/device.PageRows, int(slot)%device.PageRows
		for head := lo; head < hi; head++ {
			to := w.at(w.cache, w.cols, number, head)
			if position == 0 {
				clear(floats(to, w.headBytes()/4))
			}
			w.write(to, head*w.headDim, t*w.cols+head*w.headDim, position)
		}
	}
}

// write brings a head's elements, which begin at column col and at x[at], to its
// part of a page.
func (w *pageWrite) write(to unsafe.Pointer, col, at, position int) {
	x := w.x[at:][:w.headDim]
	if w.perWord == 2 {
		round := w.round[col:][:w.headDim]
		w.set.ToBF16(round, x)
		w.pairs(to, round, position)
		return
	}
	if w.attr.Values {
		for col := 0; col < len(x); col += kern.Cols {
			copy(floats(unsafe.Add(to, col/kern.Cols*w.valueBytes()+position*kern.Stride), kern.Cols), x[col:])
		}
		return
	}
	words := w.keyAt(to, position)
	for i, v := range x {
		*(*float32)(unsafe.Add(words, i*kern.Stride)) = v
	}
}

// keyAt is where the first word of a key stands.
func (w *pageWrite) keyAt(to unsafe.Pointer, position int) unsafe.Pointer {
	return unsafe.Add(to, position/kern.Cols*w.panelBytes()+4*int(w.column[position%kern.Cols]))
}

// pairs is write of bfloat16.
func (w *pageWrite) pairs(to unsafe.Pointer, x []uint16, position int) {
	if w.attr.Values {
		words := unsafe.Add(to, position/2*kern.Stride+position%2*2)
		for i, v := range x {
			*(*uint16)(unsafe.Add(words, i/kern.Cols*w.valueBytes()+i%kern.Cols*4)) = v
		}
		return
	}
	words := w.keyAt(to, position)
	for i := 0; i < len(x); i += 2 {
		*(*uint32)(unsafe.Add(words, i/2*kern.Stride)) = uint32(x[i]) | uint32(x[i+1])<<16
	}
}
