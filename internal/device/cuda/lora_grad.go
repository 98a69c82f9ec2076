package cuda

import (
	"align/internal/device"
	"align/internal/device/cuda/driver"
)

// The adapters that lora_grad.cu takes, and its tiles: a block's columns are one part of
// the sums of du.
const (
	onceRank    = 16
	onceColumns = splitTerms
	onceThreads = 256
	onceStages  = 4
	onceRows    = 64
	onceAlong   = 128 // columns of a tile
	onceShared  = 2 * (onceStages*onceRows*onceAlong + (onceRows+onceColumns)*onceRank)
)

// slotRowParts are the parts of dB while slotParts has those of du: no kernel makes logits
// and either.
const slotRowParts = slotLogits

// readsOnce says whether du and dB of an adapter come from one reading of dy[t,n]: where
// its blocks, each with 48 KiB of dy on the way, are a third of the card's multiprocessors
// or more: fewer would take longer than the second reading. The bits are the same.
func (l *launcher) readsOnce(t, n, r int) bool {
	blocks := over(n, onceColumns) * over(t, splitOf(kindTN, n, r, t))
	return r > 0 && r <= onceRank && min(t, n) >= splitTerms && 3*blocks >= l.b.units
}

// loraGrad is lora_du by one reading of dy.
func (l *launcher) loraGrad(c *device.Call, scale float32) error {
	dy, up := c.In[0], c.In[1]
	t, n, r := dy.Rows, dy.Cols, up.Cols
	terms := splitOf(kindTN, n, r, t)
	across, along := over(n, onceColumns), over(t, terms)
	x, err := l.left(dy)
	if err != nil {
		return err
	}
	b, err := l.sideOf(slotUp, up)
	if err != nil {
		return err
	}
	u, err := l.sideOf(slotLow, c.In[2])
	if err != nil {
		return err
	}
	du, err := l.room(slotParts, 4*int64(across)*int64(t)*int64(r))
	if err != nil {
		return err
	}
	db, err := l.room(slotRowParts, 4*int64(along)*int64(n)*int64(r))
	if err != nil {
		return err
	}
	err = l.run("lora_grad", "lora_grad", onceShared, driver.Dim{X: across, Y: along, Z: 1}, driver.Dim{X: onceThreads, Y: 1, Z: 1},
		driver.U64(du), driver.U64(db), driver.U64(x.at), driver.U64(b.at), driver.U64(u.at), num(x.ld), num(b.ld), num(u.ld), num(t), num(n), num(r), num(terms))
	if err != nil {
		return err
	}
	err = l.each("gemm", sumEntries[c.Out[1].Type], t*r, at(c.Out[1]), driver.U64(du), num(t*r), num(across), driver.F32(scale), num(0))
	if err != nil {
		return err
	}
	return l.each("gemm", sumEntries[device.F32], n*r, at(c.Out[0]), driver.U64(db), num(n*r), num(along), driver.F32(1), driver.I32(count(c.Accumulate)))
}
