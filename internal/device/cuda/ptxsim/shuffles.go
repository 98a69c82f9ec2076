package ptxsim

import (
	"math/bits"
	"strings"
)

func warpOps() map[string]func(c *compiler) {
	return map[string]func(c *compiler){
		"shfl": buildShfl, "vote": buildVote, "activemask": buildActiveMask, "match": buildMatch, "redux": buildRedux, "elect": buildElect,
	}
}

// buildShfl makes shfl.sync.mode.b32 d[|p], a, b, c, mask.
func buildShfl(c *compiler) {
	c.only("sync", "up", "down", "bfly", "idx")
	if !c.has("sync") || !c.count(5, 5) {
		c.fail("want shfl.sync")
		return
	}
	u := typ{'u', 32, false}
	a, b, e, mask := c.source(1, u), c.source(2, u), c.source(3, u), c.source(4, u)
	first, second, both := strings.Cut(c.operand(0), "|")
	d, p := c.resultText(first, u), -1
	if both {
		p = c.resultText(second, typ{'p', 1, false})
	}
	mode := c.raw.mods[1][0]
	c.in.kind, c.in.need = collective, needMask(mask)
	c.in.run = func(w *warp, lanes uint32) {
		values := w.r32[a]
		var inside, unknown uint32
		for lane := range width {
			if lanes>>lane&1 == 0 {
				continue
			}
			from, ok := shuffle(mode, uint32(lane), w.r32[b][lane], w.r32[e][lane])
			if ok {
				inside |= 1 << lane
			}
			if lanes>>from&1 == 0 {
				unknown |= 1 << lane
			}
			w.r32[d][lane] = values[from]
		}
		// What an absent lane yields is undefined.
		w.written[word32][d] &^= unknown
		if p >= 0 {
			w.setPredicate(p, lanes, inside)
		}
	}
}

// shuffle is the lane that a lane reads in the mode of a letter, and whether it is in
// range; the manual's pseudocode.
func shuffle(mode byte, lane, b, c uint32) (from uint32, inside bool) {
	b &= 31
	clamp, segment := c&31, c>>8&31
	most := lane&segment | clamp&^segment
	least := lane & segment
	switch mode {
	case 'u': // up
		from = lane - b
		inside = int32(from) >= int32(most)
	case 'd': // down
		from = lane + b
		inside = from <= most
	case 'b': // bfly
		from = lane ^ b
		inside = from <= most
	default:
		from = least | b&^segment
		inside = from <= most
	}
	if !inside {
		return lane, false
	}
	return from, true
}

// buildVote makes vote.sync.{all,any,uni,ballot} d, p, mask.
func buildVote(c *compiler) {
	c.only("sync", "all", "any", "uni", "ballot")
	if !c.has("sync") || !c.count(3, 3) {
		c.fail("want vote.sync")
		return
	}
	p, mask := c.truth(1), c.source(2, typ{'u', 32, false})
	c.in.kind, c.in.need = collective, needMask(mask)
	if c.has("ballot") {
		d := c.result(0, typ{'b', 32, false})
		c.in.run = func(w *warp, lanes uint32) { put(&w.r32[d], lanes, p(w)&lanes) }
		return
	}
	d := c.result(0, typ{'p', 1, false})
	all, any := c.has("all"), c.has("any")
	c.in.run = func(w *warp, lanes uint32) {
		yes := p(w) & lanes
		holds := yes == lanes && all || yes != 0 && any || !all && !any && (yes == 0 || yes == lanes)
		w.setPredicate(d, lanes, -one(holds))
	}
}

func put(d *[width]uint32, lanes, v uint32) {
	for m := lanes; m != 0; m &= m - 1 {
		d[bits.TrailingZeros32(m)&31] = v
	}
}

func buildActiveMask(c *compiler) {
	d := c.result(0, typ{'b', 32, false})
	c.in.run = func(w *warp, lanes uint32) { put(&w.r32[d], lanes, lanes) }
}

// buildMatch makes match.any.sync.b32 d, a, mask.
func buildMatch(c *compiler) {
	c.only("any", "sync")
	t := c.last()
	if !c.count(3, 3) || t.bits != 32 {
		c.fail("this form is not simulated")
		return
	}
	a, mask, d := c.source(1, t), c.source(2, t), c.result(0, t)
	c.in.kind, c.in.need = collective, needMask(mask)
	c.in.run = func(w *warp, lanes uint32) {
		values := w.r32[a]
		for i := range width {
			if lanes>>i&1 == 0 {
				continue
			}
			same := uint32(0)
			for j := range width {
				if lanes>>j&1 != 0 && values[i] == values[j] {
					same |= 1 << j
				}
			}
			w.r32[d][i] = same
		}
	}
}

// buildRedux makes redux.sync.op.type d, a, mask.
func buildRedux(c *compiler) {
	c.only("sync", "add", "min", "max", "and", "or", "xor")
	t := c.last()
	if !c.count(3, 3) {
		return
	}
	f := c.atomicOp(c.raw.mods[1], t)
	if f == nil || t.bits != 32 || t.float() {
		c.fail("this operation is not simulated")
		return
	}
	a, mask, d := c.source(1, t), c.source(2, typ{'b', 32, false}), c.result(0, t)
	c.in.kind, c.in.need = collective, needMask(mask)
	c.in.run = func(w *warp, lanes uint32) {
		sum := uint64(w.r32[a][firstLane(lanes)])
		for m := lanes & (lanes - 1); m != 0; m &= m - 1 {
			sum = f(sum, uint64(w.r32[a][bits.TrailingZeros32(m)&31]), 0)
		}
		put(&w.r32[d], lanes, uint32(sum))
	}
}

// buildElect makes elect.sync d|p, mask: the lowest lane is the one.
func buildElect(c *compiler) {
	first, second, both := strings.Cut(c.operand(0), "|")
	if !both || !c.count(2, 2) {
		c.fail("want a register and a predicate")
		return
	}
	u := typ{'b', 32, false}
	mask, d, p := c.source(1, u), c.resultText(first, u), c.resultText(second, typ{'p', 1, false})
	c.in.kind, c.in.need = collective, needMask(mask)
	c.in.run = func(w *warp, lanes uint32) {
		put(&w.r32[d], lanes, uint32(firstLane(lanes)))
		w.setPredicate(p, lanes, 1<<firstLane(lanes))
	}
}
