package main

import "fmt"

// Offsets in a Draw.
const (
	drawLimit = 16 * philoxRounds
	drawScale = drawLimit + 4
)

const (
	philoxRounds = 10
	dropUnroll   = 4
)

// Registers: 0 to 3 the counters of dropUnroll steps, 4 to 7 their products; 8
// the round's key of AVX2, AVX-512 keeps all from 16 on.
const (
	dropKey        = 8
	dropZero       = 9
	dropMark       = 15
	dropMultiplier = 7 + iota
	dropLimit
	dropScale
	dropCounter
	dropStep
)

// emitDropout writes dropout: a lane of 128 bits holds the four words of one
// draw of Philox4x32. One multiplication of the even words gives (l0, h0, l1,
// h1), which reversed are a round's new words but for what they are to be
// exclusive-ored with: the odd words in the place of the even, and the key.
func emitDropout(f *file, s isa) {
	f.dropout(s, "dropout"+s.name, 4)
	if s == avx512 {
		f.dropout(s, "dropoutHalf", 2)
	}
}

// dropout is the function for a y of elements of so many bytes: with 2 it is rounded
// to bfloat16.
func (f *file) dropout(s isa, name string, size int) {
	form := ""
	if size == 2 {
		form = " Each is rounded to bfloat16."
	}
	fr := f.function(name, fmt.Sprintf("is y = x*scale where a draw is kept, else -0; a kept 0 is +0, n is a multiple of %d.%s", s.width, form),
		[]arg{{"y", "unsafe.Pointer"}, {"x", "unsafe.Pointer"}, {"n", "int"}, {"draw", "unsafe.Pointer"},
			{"c0", "uint32"}, {"c1", "uint32"}, {"c2", "uint32"}, {"c3", "uint32"}}, nil)
	for i, name := range []string{"y", "x", "n", "draw"} {
		f.op("MOVQ %s, %s", fr.slot(name), []string{"DI", "SI", "CX", "DX"}[i])
	}
	f.op("VMOVUPS %s, %s", f.dwords("philox", func(i int) uint32 { return [4]uint32{0xD2511F53, 0, 0xCD9E8D57, 0}[i%4] }), s.r(dropMultiplier))
	f.op("VPBROADCASTD %d(DX), %s", drawLimit, s.r(dropLimit))
	f.op("VBROADCASTSS %d(DX), %s", drawScale, s.r(dropScale))
	f.op("VMOVUPS %s, %s", f.dwords("dropped", func(int) uint32 { return 1 << 31 }), s.r(dropMark))
	f.op("VPXOR %s, %s, %s", fmt.Sprintf("Y%d", dropZero), fmt.Sprintf("Y%d", dropZero), fmt.Sprintf("Y%d", dropZero))
	f.op("%s %s, %s", s.lanes(), fr.slot("c0"), s.r(dropCounter)) // and the three that follow it
	f.op("VPADDD %s, %s, %s", f.dwords("lanes", func(i int) uint32 { return firstWord(i, uint32(i/4)) }), s.r(dropCounter), s.r(dropCounter))
	f.op("VMOVUPS %s, %s", f.dwords(fmt.Sprintf("step%d", s.width), func(i int) uint32 { return firstWord(i, uint32(s.width/4)) }), s.r(dropStep))
	if s == avx512 {
		for i := range philoxRounds {
			f.op("%s %d(DX), %s", s.lanes(), 16*i, s.r(firstHeld+i))
		}
	}
	for _, unroll := range []int{dropUnroll, 1} {
		next, loop := f.label("next"), f.label("loop")
		f.op("SUBQ $%d, CX", unroll*s.width)
		f.op("JLT %s", next)
		f.mark(loop)
		dropBody(f, s, unroll, size)
		f.op("SUBQ $%d, CX", unroll*s.width)
		f.op("JGE %s", loop)
		f.mark(next)
		f.op("ADDQ $%d, CX", unroll*s.width)
	}
	f.ret()
}

// firstWord is x as a lane's first word, and 0 as the others.
func firstWord(i int, x uint32) uint32 {
	if i%4 == 0 {
		return x
	}
	return 0
}

// lanes is the instruction that brings 16 bytes into every lane.
func (s isa) lanes() string {
	if s == avx2 {
		return "VBROADCASTI128"
	}
	return "VBROADCASTI32X4"
}

// dropBody draws for and writes unroll registers of elements.
func dropBody(f *file, s isa, unroll, size int) {
	for u := range unroll {
		f.op("VMOVUPS %s, %s", s.r(dropCounter), s.r(u))
		f.op("VPADDD %s, %s, %s", s.r(dropStep), s.r(dropCounter), s.r(dropCounter))
	}
	for i := range philoxRounds {
		if s == avx2 {
			f.op("%s %d(DX), %s", s.lanes(), 16*i, s.r(dropKey))
		}
		for u := range unroll {
			philoxRound(f, s, i, s.r(u), s.r(dropUnroll+u))
		}
	}
	for u := range unroll {
		dropWrite(f, s, u, size)
	}
	f.op("ADDQ $%d, SI", 4*unroll*s.width)
	f.op("ADDQ $%d, DI", size*unroll*s.width)
}

// philoxRound is round i on the counters x; t is free.
func philoxRound(f *file, s isa, i int, x, t string) {
	f.op("VPMULUDQ %s, %s, %s", s.r(dropMultiplier), x, t)
	f.op("VPSRLQ $32, %s, %s", x, x)
	f.op("VPSHUFD $0x1b, %s, %s", t, t)
	if s == avx512 {
		f.op("VPTERNLOGD $0x96, %s, %s, %s", s.r(firstHeld+i), t, x)
		return
	}
	f.op("VPXOR %s, %s, %s", t, x, x)
	f.op("VPXOR %s, %s, %s", s.r(dropKey), x, x)
}

// dropWrite writes the elements whose words are in register u.
func dropWrite(f *file, s isa, u, size int) {
	at, word, y := 4*s.width*u, s.r(u), s.r(dropUnroll+u)
	f.op("VMOVUPS %d(SI), %s", at, y)
	f.op("VFMADD213PS %s, %s, %s", s.r(dropZero), s.r(dropScale), y)
	if s == avx512 {
		f.op("VPCMPUD $1, %s, %s, K1", s.r(dropLimit), word)
		f.op("VMOVAPS %s, K1, %s", s.r(dropMark), y)
	} else {
		f.op("VPMAXUD %s, %s, %s", s.r(dropLimit), word, s.r(dropKey))
		f.op("VPCMPEQD %s, %s, %s", word, s.r(dropKey), word)
		f.op("VBLENDVPS %s, %s, %s, %s", word, y, s.r(dropMark), y)
	}
	if size == 2 {
		f.convertOne(dropUnroll+u, dropUnroll+u)
		f.op("VMOVUPS Y%d, %d(DI)", dropUnroll+u, at/2)
		return
	}
	f.op("VMOVUPS %s, %d(DI)", y, at)
}
