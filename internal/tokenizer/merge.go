package tokenizer

// Byte-pair merging: of all adjacent pairs the one of lowest rank is merged,
// the leftmost of equals, until none has a merge. Two forms give the same
// ids: a scan for short pieces, and a heap over a linked list, which takes
// n log n steps, for long ones.

// scanLimit is the length in bytes up to which the scan is used; there its
// quadratic number of cheap steps still beats the heap.
const scanLimit = 48

// merger is the scratch memory of merging, reused from piece to piece.
type merger struct {
	scan  [scanLimit]scanPart
	parts []part
	heap  []candidate
}

// scanPart is a token of the piece and its merge with the next one.
type scanPart struct {
	id, rank, merged int32
}

// mergeScan appends the ids of piece, of at most scanLimit bytes.
func (t *Tokenizer) mergeScan(dst []int32, m *merger, piece string) []int32 {
	parts := m.scan[:len(piece)]
	for i := range len(piece) {
		parts[i].id = t.byteIDs[piece[i]]
	}
	for i := range parts {
		t.rankScan(parts, i)
	}
	for {
		best := 0
		for i := range parts {
			if parts[i].rank < parts[best].rank {
				best = i
			}
		}
		if parts[best].rank == noRank {
			break
		}
		parts[best].id = parts[best].merged
		parts = append(parts[:best+1], parts[best+2:]...)
		t.rankScan(parts, best)
		if best > 0 {
			t.rankScan(parts, best-1)
		}
	}
	for i := range parts {
		dst = append(dst, parts[i].id)
	}
	return dst
}

// rankScan looks up the merge of part i with the next.
func (t *Tokenizer) rankScan(parts []scanPart, i int) {
	p := &parts[i]
	p.rank = noRank
	if i+1 < len(parts) {
		p.rank, p.merged = t.pairs.find(p.id, parts[i+1].id)
	}
}

// part is a token in the linked list; prev and next are places in the list,
// -1 at the ends, and id is -1 once the part is merged into its left one.
type part struct {
	id, prev, next int32
}

// candidate is a merge of the part at left with the one at right. It is
// stale where either has changed since.
type candidate struct {
	rank, left, right       int32
	leftID, rightID, merged int32
}

// before orders candidates by rank, then from left to right.
func (c *candidate) before(d *candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.left < d.left
}

// mergeHeap appends the ids of piece, of any length above 0.
func (t *Tokenizer) mergeHeap(dst []int32, m *merger, piece string) []int32 {
	m.parts, m.heap = m.parts[:0], m.heap[:0]
	for i := range len(piece) {
		m.parts = append(m.parts, part{id: t.byteIDs[piece[i]], prev: int32(i) - 1, next: int32(i) + 1})
	}
	m.parts[len(piece)-1].next = -1
	for i := range len(piece) - 1 {
		t.propose(m, int32(i), int32(i)+1)
	}
	for len(m.heap) > 0 {
		t.apply(m, m.pop())
	}
	for i := int32(0); i >= 0; i = m.parts[i].next {
		dst = append(dst, m.parts[i].id)
	}
	return dst
}

// apply merges the parts of c, unless c is stale, and proposes the merges
// with its new neighbours.
func (t *Tokenizer) apply(m *merger, c candidate) {
	left, right := &m.parts[c.left], &m.parts[c.right]
	if left.id != c.leftID || right.id != c.rightID || left.next != c.right {
		return
	}
	left.id, left.next = c.merged, right.next
	right.id = -1
	if left.next >= 0 {
		m.parts[left.next].prev = c.left
		t.propose(m, c.left, left.next)
	}
	if left.prev >= 0 {
		t.propose(m, left.prev, c.left)
	}
}

// propose pushes the merge of two adjacent parts, if there is one.
func (t *Tokenizer) propose(m *merger, left, right int32) {
	leftID, rightID := m.parts[left].id, m.parts[right].id
	rank, merged := t.pairs.find(leftID, rightID)
	if rank != noRank {
		m.push(candidate{rank, left, right, leftID, rightID, merged})
	}
}

// push and pop keep a binary heap. container/heap would box each candidate.
func (m *merger) push(c candidate) {
	h := append(m.heap, c)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
	m.heap = h
}

func (m *merger) pop() candidate {
	h := m.heap
	top := h[0]
	n := len(h) - 1
	h[0] = h[n]
	h = h[:n]
	for i := 0; ; {
		down := 2*i + 1
		if down >= n {
			break
		}
		if down+1 < n && h[down+1].before(&h[down]) {
			down++
		}
		if !h[down].before(&h[i]) {
			break
		}
		h[i], h[down] = h[down], h[i]
		i = down
	}
	m.heap = h
	return top
}
