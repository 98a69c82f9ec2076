package gemm

import (
	"unsafe"

	"align/internal/device/cpu/kern"
)

// What a sum is added to joins it in registers where sweeps take all of a product, or where
// whole tiles of spans go to y: a pass that reads both and writes a third is a hundredth of
// a step of a small model.

// AddsBehind says whether the engine takes p's Behind.
func (e *Engine) AddsBehind(p *Product) bool {
	var r run
	r.plan(e, p)
	return (r.bySweeps() || r.bySpans()) && p.W.Source == nil && p.N%kern.Cols == 0 && p.Y.Half == nil
}

// bySweeps says whether all of the product goes by sweeps.
func (r *run) bySweeps() bool { return r.sweeping && r.isUsual() }

// bySpans says whether it goes by spans.
func (r *run) bySpans() bool {
	_, last := r.rowsOf(r.panels - 1)
	return r.spans() && r.isUsual() && r.panels > eagerPanels && last >= r.e.tiles.SpanRows
}

// isUsual says whether tasks take no order of their own.
func (r *run) isUsual() bool {
	return !r.making && !r.few && !r.thin && !r.eager && !r.inBlocks && !r.pieces && !r.wide && !r.turns()
}

// behind is how many bytes Behind lies after y, 0 where there is none.
func (r *run) behind() int {
	if len(r.Behind.Data) == 0 {
		return 0
	}
	return int(uintptr(unsafe.Pointer(&r.Behind.Data[0])) - uintptr(unsafe.Pointer(&r.Y.Data[0])))
}
