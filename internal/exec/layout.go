package exec

import (
	"fmt"
	"slices"
)

// layout decides which values share memory and gives every value its offset in
// the arena: a value's place is free again after its last reader.
func (p *Plan) layout(keep []int) error {
	last := p.lastUse(keep)
	p.resolveSharing(last)
	for _, s := range p.steps {
		if s.base >= 0 && p.slots[s.out[0]].root != p.slots[s.base].root {
			return fmt.Errorf("exec: %s cannot add in place", s.name)
		}
	}
	p.place(p.rootLastUse(last))
	return nil
}

// forever is the last use of a value that the caller reads after the run.
const forever = int(^uint(0) >> 1)

// lastUse is the index of the last step that reads or writes each slot.
func (p *Plan) lastUse(keep []int) []int {
	last := make([]int, len(p.slots))
	for i, s := range p.steps {
		for _, id := range s.in {
			last[id] = i
		}
		if s.base >= 0 {
			last[s.base] = i
		}
		for _, id := range s.out {
			if id >= 0 {
				last[id] = max(last[id], i)
			}
		}
	}
	for _, id := range keep {
		last[id] = forever
	}
	return last
}

// resolveSharing keeps an output over the input it may overwrite only where
// that input dies in this very step, is ours and has the same size.
func (p *Plan) resolveSharing(last []int) {
	dead := slices.Clone(last)
	for i, s := range p.steps {
		var taken []int
		for _, id := range s.out {
			if id < 0 || p.slots[id].root == id {
				continue
			}
			over := p.overwritten(s, id, i, dead, taken)
			p.slots[id].root = id
			if over >= 0 {
				p.slots[id].root = p.slots[over].root
				taken = append(taken, p.slots[over].root)
				dead[p.slots[id].root] = max(dead[p.slots[id].root], last[id])
			}
		}
	}
}

// overwritten is the input of step i that output id may replace, or -1.
func (p *Plan) overwritten(s step, id, i int, dead, taken []int) int {
	candidates, want := []int{p.slots[id].root}, 1
	if s.base >= 0 {
		want = 0 // the step reads the base through its output alone
	}
	if s.kernel == "add" {
		candidates = append(candidates, s.in...)
	}
	for _, in := range candidates {
		root := p.slots[in].root
		free := !p.slots[in].external && !p.slots[id].external && dead[root] == i && dead[in] <= i
		sameSize := p.slots[in].info.Bytes() == p.slots[root].info.Bytes() && p.slots[in].info.Bytes() == p.slots[id].info.Bytes()
		if free && sameSize && !slices.Contains(taken, root) && p.reads(s, root) == want {
			return in
		}
	}
	return -1
}

// reads is the number of the step's inputs that lie in the root's memory.
func (p *Plan) reads(s step, root int) int {
	n := 0
	for _, in := range s.in {
		if p.slots[in].root == root {
			n++
		}
	}
	return n
}

// rootLastUse is the last use of each root over all slots that share it.
func (p *Plan) rootLastUse(last []int) []int {
	roots := slices.Clone(last)
	for id, s := range p.slots {
		roots[s.root] = max(roots[s.root], last[id])
	}
	return roots
}

// gap is a free stretch of the arena.
type gap struct{ offset, size int64 }

// place walks the steps, gives each new root the tightest gap that holds it and
// returns the memory of roots after their last use.
func (p *Plan) place(last []int) {
	dying := make([][]int, len(p.steps))
	for id, s := range p.slots {
		if s.root == id && !s.external && last[id] < len(p.steps) {
			dying[last[id]] = append(dying[last[id]], id)
		}
	}
	var free []gap
	placed := make([]bool, len(p.slots))
	for i, s := range p.steps {
		for _, id := range s.out {
			if id < 0 || p.slots[id].external || p.slots[id].root != id || placed[id] {
				continue
			}
			placed[id] = true
			p.slots[id].offset = p.take(&free, align(p.slots[id].info.Bytes()))
		}
		for _, id := range dying[i] {
			if placed[id] {
				free = release(free, gap{p.slots[id].offset, align(p.slots[id].info.Bytes())})
			}
		}
	}
	for id := range p.slots {
		p.slots[id].offset = p.slots[p.slots[id].root].offset
	}
}

// take returns the offset of the smallest gap that is large enough, or grows
// the arena, from its last gap where that is free.
func (p *Plan) take(free *[]gap, size int64) int64 {
	best := -1
	for i, g := range *free {
		if g.size >= size && (best < 0 || g.size < (*free)[best].size) {
			best = i
		}
	}
	if best < 0 {
		return p.grow(free, size)
	}
	g := &(*free)[best]
	offset := g.offset
	g.offset, g.size = g.offset+size, g.size-size
	if g.size == 0 {
		*free = slices.Delete(*free, best, best+1)
	}
	return offset
}

func (p *Plan) grow(free *[]gap, size int64) int64 {
	offset := p.arena
	if n := len(*free); n > 0 && (*free)[n-1].offset+(*free)[n-1].size == p.arena {
		offset = (*free)[n-1].offset
		*free = (*free)[:n-1]
	}
	p.arena = offset + size
	return offset
}

// release puts a stretch back, in order, joined with its neighbours.
func release(free []gap, g gap) []gap {
	i, _ := slices.BinarySearchFunc(free, g, func(a, b gap) int {
		switch {
		case a.offset < b.offset:
			return -1
		case a.offset > b.offset:
			return 1
		}
		return 0
	})
	free = slices.Insert(free, i, g)
	if i+1 < len(free) && free[i].offset+free[i].size == free[i+1].offset {
		free[i].size += free[i+1].size
		free = slices.Delete(free, i+1, i+2)
	}
	if i > 0 && free[i-1].offset+free[i-1].size == free[i].offset {
		free[i-1].size += free[i].size
		free = slices.Delete(free, i, i+1)
	}
	return free
}
