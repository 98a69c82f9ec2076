package ptxsim

func flowOps() map[string]func(c *compiler) {
	return map[string]func(c *compiler){
		"bra":       buildBranch,
		"ret":       func(c *compiler) { c.in.kind = exit },
		"exit":      func(c *compiler) { c.in.kind = exit },
		"trap":      buildTrap,
		"bar":       buildBarrier,
		"barrier":   buildBarrier,
		"membar":    buildFence,
		"fence":     buildFence,
		"nanosleep": func(*compiler) {},
		"pragma":    func(*compiler) {},
	}
}

func buildBranch(c *compiler) {
	c.only("uni")
	c.in.kind = branch
	target, found := c.raw.scope.label(c.operand(0))
	if !found {
		c.fail("label %q is not in the kernel", c.operand(0))
	}
	c.in.target = target
}

func buildTrap(c *compiler) {
	c.in.run = func(w *warp, lanes uint32) { w.fault(Trap, firstLane(lanes), "the kernel stops itself") }
}

// buildFence makes membar and fence: memory is in order here, so only the race
// checker and the proxies take note.
func buildFence(c *compiler) {
	switch {
	case c.has("mbarrier_init"):
		c.only("mbarrier_init", "release", "cluster")
		c.kernel.proxies = true
		c.in.run = func(w *warp, lanes uint32) { w.showObjects(lanes) }
		return
	case c.has("tensormap::generic"):
		buildMapFence(c)
		return
	case c.has("proxy"):
		c.only("proxy", "async", "async::generic", "shared::cta", "shared", "global", "cta", "gpu")
		c.in.run = func(w *warp, lanes uint32) {
			if w.block.kernel.proxies {
				w.proxyFence(lanes)
			}
		}
		return
	}
	c.in.run = func(w *warp, _ uint32) {
		w.block.fenced = true
	}
}

// arrival is what a warp does at a barrier.
type arrival struct {
	id    uint32
	count uint32 // threads that must arrive, 0 for the block's
	waits bool
}

// buildBarrier makes bar.sync, bar.arrive and bar.warp.sync.
func buildBarrier(c *compiler) {
	if c.has("warp") {
		c.only("warp", "sync")
		mask := c.source(0, typ{'b', 32, false})
		c.in.kind = collective
		c.in.need = needMask(mask)
		c.in.run = func(w *warp, _ uint32) { w.tick() }
		return
	}
	c.only("sync", "arrive", "cta", "aligned")
	if !c.has("sync") && !c.has("arrive") || !c.count(1, 2) {
		c.fail("this barrier is not simulated")
		return
	}
	c.in.kind = barrier
	id, waits, count := c.source(0, typ{'u', 32, false}), c.has("sync"), -1
	if len(c.raw.operands) > 1 {
		count = c.source(1, typ{'u', 32, false})
	}
	c.in.arrive = func(w *warp) arrival {
		lane := firstLane(w.live)
		a := arrival{id: w.r32[id][lane], waits: waits}
		if count >= 0 {
			a.count = w.r32[count][lane]
		}
		return a
	}
}

// needMask asks for the lanes that a register names.
func needMask(mask int) func(w *warp, lanes uint32) uint32 {
	return func(w *warp, lanes uint32) uint32 {
		m := w.r32[mask][firstLane(lanes)]
		if m&lanes != lanes {
			w.fault(BarrierFault, firstLane(lanes&^m), "a lane is not in the mask %#x of its own instruction", m)
		}
		return m
	}
}
