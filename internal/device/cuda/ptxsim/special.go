package ptxsim

import "strings"

// specials are the read-only registers, by name, with what they hold.
var specials = map[string]func(w *warp, lane int) uint64{
	"%laneid":            func(_ *warp, lane int) uint64 { return uint64(lane) },
	"%warpid":            func(w *warp, _ int) uint64 { return uint64(w.id) },
	"%nwarpid":           func(w *warp, _ int) uint64 { return uint64(len(w.block.warps)) },
	"%lanemask_eq":       func(_ *warp, lane int) uint64 { return 1 << lane },
	"%lanemask_lt":       func(_ *warp, lane int) uint64 { return 1<<lane - 1 },
	"%lanemask_le":       func(_ *warp, lane int) uint64 { return 2<<lane - 1 },
	"%lanemask_gt":       func(_ *warp, lane int) uint64 { return everyLane &^ (2<<lane - 1) },
	"%lanemask_ge":       func(_ *warp, lane int) uint64 { return everyLane &^ (1<<lane - 1) },
	"%smid":              func(*warp, int) uint64 { return 0 },
	"%nsmid":             func(*warp, int) uint64 { return 1 },
	"%gridid":            func(*warp, int) uint64 { return 0 },
	"%clock":             func(w *warp, _ int) uint64 { return uint64(w.block.stats.Instructions) },
	"%clock64":           func(w *warp, _ int) uint64 { return uint64(w.block.stats.Instructions) },
	"%globaltimer":       func(w *warp, _ int) uint64 { return uint64(w.block.stats.Instructions) },
	"%dynamic_smem_size": func(w *warp, _ int) uint64 { return uint64(w.block.grid.dynamic) },
	"%total_smem_size":   func(w *warp, _ int) uint64 { return uint64(len(w.block.shared) - reserved) },
	"%cluster_ctarank":   func(*warp, int) uint64 { return 0 },
	"%cluster_nctarank":  func(*warp, int) uint64 { return 1 },
}

func init() {
	for axis, name := range []string{"x", "y", "z"} {
		specials["%tid."+name] = func(w *warp, lane int) uint64 { return uint64(w.thread(lane)[axis]) }
		specials["%ntid."+name] = func(w *warp, _ int) uint64 { return uint64(w.block.grid.block[axis]) }
		specials["%ctaid."+name] = func(w *warp, _ int) uint64 { return uint64(w.block.at[axis]) }
		specials["%nctaid."+name] = func(w *warp, _ int) uint64 { return uint64(w.block.grid.grid[axis]) }
	}
}

// thread is a lane's place in the block.
func (w *warp) thread(lane int) [3]int {
	n := w.id*width + lane
	d := w.block.grid.block
	return [3]int{n % d[0], n / d[0] % d[1], n / d[0] / d[1]}
}

func special(name string) (class, bool) {
	if specials[name] == nil {
		return 0, false
	}
	if strings.HasSuffix(name, "64") || name == "%globaltimer" {
		return word64, true
	}
	return word32, true
}

func (c *compiler) special(name string, of class) int {
	at, known := c.specials[name]
	if !known {
		at = c.size[of]
		c.size[of]++
		c.specials[name] = at
	}
	return at
}

func (w *warp) setSpecial(name string, at int) {
	value := specials[name]
	if c, _ := special(name); c == word64 {
		for lane := range width {
			w.r64[at][lane] = value(w, lane)
		}
		return
	}
	for lane := range width {
		w.r32[at][lane] = uint32(value(w, lane))
	}
}
