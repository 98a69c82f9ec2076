package ptxsim

// Stats count what a card would spend time on.
type Stats struct {
	Launches     int64
	Instructions int64 // of warps

	Branches          int64 // by warps, without those that do not depend on a lane
	DivergentBranches int64 // branches that part a warp's lanes

	// SharedRequests are the wavefronts that accesses to shared memory need at
	// least, SharedWavefronts what bank conflicts make of them.
	SharedRequests, SharedWavefronts int64
	// GlobalRequests are loads, stores and copies of global memory,
	// GlobalSectors the sectors of 32 bytes they touch and GlobalBytes what
	// the lanes asked for.
	GlobalRequests, GlobalSectors, GlobalBytes int64

	Products int64 // mma and wgmma instructions
	Barriers int64 // of blocks, by warps
	Local    int64 // accesses to local memory: registers that did not fit
	Atomics  int64
}

// Add adds the counts of another launch.
func (s *Stats) Add(o Stats) {
	s.Launches += o.Launches
	s.Instructions += o.Instructions
	s.Branches += o.Branches
	s.DivergentBranches += o.DivergentBranches
	s.SharedRequests += o.SharedRequests
	s.SharedWavefronts += o.SharedWavefronts
	s.GlobalRequests += o.GlobalRequests
	s.GlobalSectors += o.GlobalSectors
	s.GlobalBytes += o.GlobalBytes
	s.Products += o.Products
	s.Barriers += o.Barriers
	s.Local += o.Local
	s.Atomics += o.Atomics
}

// Conflicts is wavefronts per needed wavefront: 1 without bank conflicts.
func (s Stats) Conflicts() float64 { return ratio(s.SharedWavefronts, s.SharedRequests) }

// SectorUse is the share of the sectors' bytes that lanes asked for: 1 when
// neighbours read neighbours, above where lanes share bytes.
func (s Stats) SectorUse() float64 { return ratio(s.GlobalBytes, 32*s.GlobalSectors) }

// PerProduct is instructions per matrix instruction.
func (s Stats) PerProduct() float64 { return ratio(s.Instructions, s.Products) }

func ratio(a, b int64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

func (w *warp) countSectors(lanes uint32, bytes int) {
	st := &w.block.stats
	st.GlobalRequests++
	var seen [width]uint64
	n := 0
next:
	for lane := range width {
		if lanes>>lane&1 == 0 {
			continue
		}
		st.GlobalBytes += int64(bytes)
		sector := w.addresses[lane] >> 5
		for i := n - 1; i >= 0; i-- {
			if seen[i] == sector {
				continue next
			}
		}
		seen[n] = sector
		n++
	}
	st.GlobalSectors += int64(n)
}

// countWavefronts counts by the manual's rule: 32 lanes at once for up to 4
// bytes, 16 for 8, 8 for 16; a wavefront serves one word of every bank.
func (w *warp) countWavefronts(lanes uint32, bytes int) {
	phase := min(width, 128/max(bytes, 4))
	for first := 0; first < width; first += phase {
		part := lanes >> first & (1<<phase - 1)
		if part == 0 {
			continue
		}
		w.block.stats.SharedRequests++
		w.block.stats.SharedWavefronts += int64(w.block.banks.wavefronts(&w.addresses, first, phase, part, max(bytes/4, 1)))
	}
}

// banks are the words that a request wants of each of the 32 banks.
type banks struct {
	count [32]uint8
	words [32][width]uint32
}

func (b *banks) wavefronts(addresses *[width]uint64, first, phase int, lanes uint32, words int) int {
	b.count = [32]uint8{}
	most := uint8(0)
	for i := range phase {
		if lanes>>i&1 == 0 {
			continue
		}
		word := uint32(addresses[first+i] >> 2)
	next:
		for k := range uint32(words) {
			bank := (word + k) & 31
			n := b.count[bank]
			for _, seen := range b.words[bank][:n] {
				if seen == word+k {
					continue next
				}
			}
			b.words[bank][n] = word + k
			b.count[bank]++
			most = max(most, b.count[bank])
		}
	}
	return int(most)
}
