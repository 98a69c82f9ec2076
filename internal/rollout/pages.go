package rollout

import (
	"slices"

	"align/internal/device"
	"align/model"
)

func pagesOf(positions int) int { return (positions + device.PageRows - 1) / device.PageRows }

func (e *Engine) take(n int) []int32 {
	pages := slices.Clone(e.free[len(e.free)-n:])
	e.free = e.free[:len(e.free)-n]
	return pages
}

func (e *Engine) freeSlot() int { return slices.Index(e.slots, nil) }

// setTable writes a sequence's pages: its prefix's, then its own.
func (e *Engine) setTable(slot int, prefixPages, own []int32, prefix int) {
	row := e.batch.Pages[slot*e.limits.PagesPerSequence:][:e.limits.PagesPerSequence]
	clear(row)
	copy(row, prefixPages)
	copy(row[len(prefixPages):], own)
	e.batch.Prefix[slot] = int32(prefix)
}

func (e *Engine) emptyBatch() *model.DecodeBatch {
	b := &e.batch
	b.IDs, b.Position, b.Slot, b.Sequence, b.Own, b.Rows = b.IDs[:0], b.Position[:0], b.Slot[:0], b.Sequence[:0], b.Own[:0], b.Rows[:0]
	return b
}

// addRow adds a token to the batch: position is its place in the text, at its
// place among the sequence's own positions.
func (e *Engine) addRow(slot int, id int32, position int, pages []int32, at int) {
	b := &e.batch
	b.IDs = append(b.IDs, id)
	b.Position = append(b.Position, int32(position))
	b.Slot = append(b.Slot, pages[at/device.PageRows]*device.PageRows+int32(at%device.PageRows))
	b.Sequence = append(b.Sequence, int32(slot))
	b.Own = append(b.Own, int32(at+1))
}

// reset makes the engine ready again after an end of any kind.
func (e *Engine) reset() {
	e.active = e.active[:0]
	clear(e.slots)
	e.free = e.free[:0]
	for i := range e.limits.Pages {
		e.free = append(e.free, int32(i))
	}
}
