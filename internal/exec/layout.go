package exec

import (
	"cmp"
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
		free := (!p.slots[in].external || p.slots[in].spent) && !p.slots[id].external && dead[root] == i && dead[in] <= i
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

// life is a root's size and the steps from the one that makes it to the one that
// reads it last.
type life struct {
	root     int
	size     int64
	from, to int
	offset   int64
}

func (l *life) meets(o *life) bool { return l.from <= o.to && o.from <= l.to }

// place gives every root its offset, the large ones first, each the lowest that
// is free as long as it lives (greedy by size, https://arxiv.org/abs/2001.03288,
// section 5). The workspace of inner programs begins the arena: a value that
// lives while none of them runs may lie over it.
func (p *Plan) place(last []int) {
	lives := p.lives(last)
	slices.SortFunc(lives, func(a, b *life) int {
		return cmp.Or(cmp.Compare(b.size, a.size), cmp.Compare(a.from, b.from), cmp.Compare(a.root, b.root))
	})
	var placed []*life // by offset
	p.arena = p.workspace
	for _, l := range lives {
		l.offset = p.lowest(l, placed)
		i, _ := slices.BinarySearchFunc(placed, l.offset, func(o *life, offset int64) int { return cmp.Compare(o.offset, offset) })
		placed = slices.Insert(placed, i, l)
		p.arena = max(p.arena, l.offset+l.size)
		p.slots[l.root].offset = l.offset
	}
	for id := range p.slots {
		p.slots[id].offset = p.slots[p.slots[id].root].offset
	}
}

// lowest is the lowest offset at which nothing that is placed, in order of its
// offset, lies as long as l lives.
func (p *Plan) lowest(l *life, placed []*life) (offset int64) {
	if p.runsInside(l) {
		offset = p.workspace
	}
	for _, o := range placed {
		if !l.meets(o) {
			continue
		}
		if o.offset >= offset+l.size {
			return offset
		}
		offset = max(offset, o.offset+o.size)
	}
	return offset
}

// lives are those of the roots that lie in the arena.
func (p *Plan) lives(last []int) (lives []*life) {
	born := make([]bool, len(p.slots))
	for i, s := range p.steps {
		for _, id := range s.out {
			if id < 0 || p.slots[id].external {
				continue
			}
			if root := p.slots[id].root; !born[root] && !p.slots[root].external {
				born[root] = true
				lives = append(lives, &life{root: root, size: align(p.slots[root].info.Bytes()), from: i, to: max(last[root], i)})
			}
		}
	}
	return lives
}

// runsInside says whether an inner program runs while the value lives.
func (p *Plan) runsInside(l *life) bool {
	for i := l.from; i <= min(l.to, len(p.steps)-1); i++ {
		if p.steps[i].runner != nil {
			return true
		}
	}
	return false
}
