package tokenizer

// pairTable finds the merge of two adjacent tokens: an open-addressing hash
// table with linear probing, built once and read by many goroutines.
type pairTable struct {
	slots []pairSlot
	shift uint
}

// pairSlot is free where rank is noRank.
type pairSlot struct {
	key    uint64 // left id << 32 | right id
	rank   int32  // place in the list of merges; lower is merged first
	merged int32  // id of the concatenation
}

// noRank ranks behind every merge.
const noRank = int32(1<<31 - 1)

// hashFactor is 2^64 divided by the golden ratio (Fibonacci hashing, Knuth,
// The Art of Computer Programming, volume 3, 6.4).
const hashFactor = 0x9E3779B97F4A7C15

// newPairTable makes a table for n pairs, at most two thirds full.
func newPairTable(n int) pairTable {
	bits := uint(1)
	for 2<<bits < 3*n+2 {
		bits++
	}
	t := pairTable{slots: make([]pairSlot, 1<<bits), shift: 64 - bits}
	for i := range t.slots {
		t.slots[i].rank = noRank
	}
	return t
}

func pairKey(left, right int32) uint64 {
	return uint64(uint32(left))<<32 | uint64(uint32(right))
}

// slot is the place of the pair, or the free place where it belongs.
func (t *pairTable) slot(key uint64) *pairSlot {
	mask := len(t.slots) - 1
	for i := int(key * hashFactor >> t.shift); ; i++ {
		s := &t.slots[i&mask]
		if s.key == key || s.rank == noRank {
			return s
		}
	}
}

// add enters a merge; false where the pair has one.
func (t *pairTable) add(left, right, rank, merged int32) bool {
	key := pairKey(left, right)
	s := t.slot(key)
	if s.rank != noRank {
		return false
	}
	*s = pairSlot{key: key, rank: rank, merged: merged}
	return true
}

// find is the rank of the pair's merge and the merged id; noRank where it
// has none.
func (t *pairTable) find(left, right int32) (rank, merged int32) {
	s := t.slot(pairKey(left, right))
	return s.rank, s.merged
}
