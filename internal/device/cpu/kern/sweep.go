package kern

import "unsafe"

// Sweep is c = alpha (a b + lowA lowB) for a panel of A and panels of B side by side, or
// c += that if Add is not 0: what two tiles give each, the second of which adds to c. K
// and LowK are words; BStep and LowStep are the bytes from a panel of B to the next, and
// rows of C are LDC bytes apart; Half, with Add 0, rounds them to bfloat16. With a Behind
// what lies so many bytes behind C is added to all of that, in float32. Work is a tile
// for the low-rank sums. On its way it brings NextBytes for each word from Next on into
// the second cache, for NextPanels panels, and then from Then on; neither need be memory
// of the program. ARow, if not 0, says that A is plain rows so many bytes apart.
type Sweep struct {
	K, LowK          int
	A, B, LowA, LowB unsafe.Pointer
	BStep, LowStep   int
	C, Work          unsafe.Pointer
	LDC, Panels, Add int
	ARow             int
	Half             bool
	Behind           int
	Alpha            float32
	Next, Then       unsafe.Pointer
	NextPanels       int
}

type sweep func(k int, a, b unsafe.Pointer, bStep, lowK int, lowA, lowB unsafe.Pointer, lowStep int, c unsafe.Pointer, ldc, panels int, alpha float32, add, half, behind int, work unsafe.Pointer, every int, next unsafe.Pointer, nextLeft int, then unsafe.Pointer)

type sweepRows func(k int, a, b unsafe.Pointer, bStep, lowK int, lowA, lowB unsafe.Pointer, lowStep int, c unsafe.Pointer, ldc, panels int, alpha float32, add, half, behind int, work unsafe.Pointer, every int, next unsafe.Pointer, nextLeft int, then unsafe.Pointer, aRow int)

// HasSweep says whether the level sweeps with panels of so many rows.
func (p *Products) HasSweep(rows int) bool { return p.sweep[rows] != nil }

// HasSweepRows says whether the level sweeps with so many plain rows.
func (p *Products) HasSweepRows(rows int) bool { return p.sweepRows[rows] != nil }

// SweepsHalf says whether the level's sweeps round.
func (p *Products) SweepsHalf() bool { return p.PerWord == 2 && p.HasSweep(p.Rows) }

// Sweep runs s for a panel of so many rows, or so many plain rows.
func (p *Products) Sweep(rows int, s *Sweep) {
	half := 0
	if s.Half {
		half = 1
	}
	every := rowsEvery(rows, s.K) - sweepRound
	if s.ARow > 0 {
		p.sweepRows[rows](s.K, s.A, s.B, s.BStep, s.LowK, s.LowA, s.LowB, s.LowStep, s.C, s.LDC, s.Panels, s.Alpha, s.Add, half, s.Behind, s.Work, every, s.Next, s.NextPanels, s.Then, s.ARow)
		return
	}
	p.sweep[rows](s.K, s.A, s.B, s.BStep, s.LowK, s.LowA, s.LowB, s.LowStep, s.C, s.LDC, s.Panels, s.Alpha, s.Add, half, s.Behind, s.Work, every, s.Next, s.NextPanels, s.Then)
}

// sweepRound is the words of a round of a sweep's loop.
const sweepRound = 4

// rowsEvery is how many words lie between the rows of c that are brought in, a power of
// two, so that all of them are while words pass by.
func rowsEvery(rows, words int) int {
	every := sweepRound
	for 2*every*rows <= min(words, 512) {
		every *= 2
	}
	return every
}
