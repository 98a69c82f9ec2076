package ptxsim

// group are lanes at the same place of the program.
type group struct {
	pc    int
	lanes uint32
}

// branch moves a group; true when it has split or may meet another.
func (w *warp) branch(i int, in *instruction, taken uint32) bool {
	g := &w.groups[i]
	w.block.stats.Branches++
	if taken == g.lanes {
		g.pc = in.target
	} else if taken == 0 {
		g.pc++
	} else {
		w.block.stats.DivergentBranches++
		g.lanes &^= taken
		g.pc++
		w.groups = append(w.groups, group{in.target, taken})
	}
	if len(w.groups) > 1 {
		w.settle()
		return true
	}
	return false
}

// exit ends lanes; true when the group is gone or others are there.
func (w *warp) exit(i int, lanes uint32) bool {
	w.live &^= lanes
	g := &w.groups[i]
	g.lanes &^= lanes
	g.pc++
	if g.lanes == 0 {
		w.groups = append(w.groups[:i], w.groups[i+1:]...)
	}
	w.settle()
	return true
}

// settle sorts groups by place and joins those that have met.
func (w *warp) settle() {
	g := w.groups
	for i := 1; i < len(g); i++ {
		for j := i; j > 0 && g[j].pc < g[j-1].pc; j-- {
			g[j], g[j-1] = g[j-1], g[j]
		}
	}
	kept := 0
	for i := range g {
		if kept > 0 && g[kept-1].pc == g[i].pc {
			g[kept-1].lanes |= g[i].lanes
			continue
		}
		g[kept] = g[i]
		kept++
	}
	w.groups = g[:kept]
}
