package main

import "fmt"

// Offsets in a Draw.
const (
	drawLimit = 8 * philoxRounds
	drawScale = drawLimit + 4
)

const philoxRounds = 10

// dropWords is the registers of a block of draws: one word of each in the low half
// of 64 bits, for the four words of a counter and two that are made of them. Behind
// the registers of the blocks, two with AVX-512 and else one, lie those that stay.
const dropWords = 6

const (
	dropCounter = iota // and the counters' other three words
	dropLimit   = iota + 3
	dropScale
	dropTemporary
	dropMultiplier // of AVX-512, two: AVX2 reads them
)

// dropOdd is the mask of the high halves of 64 bits.
const dropOdd = "K2"

// drop writes the dropout of an instruction set into elements of size bytes: with 2
// they are rounded to bfloat16, with 0 a bit of each says whether it is kept.
type drop struct {
	f    *file
	s    isa
	size int
}

// emitDropout writes dropout: Philox4x32, each of whose multiplications gives a word
// of as many draws as a register has 64 bits. Only their low halves are multiplied, so
// that the high ones may hold anything until the words are joined at the end.
func emitDropout(f *file, s isa) {
	drop{f, s, 4}.function("dropout" + s.name)
	drop{f, s, 0}.function("dropoutMask" + s.name)
	if s == avx512 {
		drop{f, s, 2}.function("dropoutHalf")
	}
}

// blocks is how many blocks of draws are on the way at once.
func (d drop) blocks() int {
	switch {
	case d.s == avx512:
		return 3
	case d.size == 0:
		return 2
	}
	return 1
}

// packed says whether two blocks leave three registers: of a counter's words only the
// first stays then, and no scale.
func (d drop) packed() bool { return d.s != avx512 && d.size == 0 }

// elements is those of a block: two of a word.
func (d drop) elements() int { return 4 * d.s.width }

// fixed is a register that stays.
func (d drop) fixed(register int) string {
	if d.packed() {
		register = map[int]int{dropCounter: 0, dropLimit: 1, dropTemporary: 2}[register]
	}
	return d.s.r(dropWords*d.blocks() + register)
}

func (d drop) function(name string) {
	f, does := d.f, "y = x*scale where a draw is kept, else 0"
	args := []arg{{"y", "unsafe.Pointer"}, {"x", "unsafe.Pointer"}, {"n", "int"}, {"draw", "unsafe.Pointer"}}
	switch d.size {
	case 0:
		does, args = "a bit for each of n elements, 1 where its draw is kept", append(args[:1:1], args[2:]...)
	case 2:
		does += ", rounded to bfloat16"
	}
	registers := map[string]string{"y": "DI", "x": "SI", "n": "CX", "draw": "DX"}
	fr := f.function(name, fmt.Sprintf("is %s; n is a multiple of %d.", does, d.elements()),
		append(args[:len(args):len(args)], arg{"c0", "uint32"}, arg{"c1", "uint32"}, arg{"c2", "uint32"}, arg{"c3", "uint32"}), nil)
	for _, a := range args {
		f.op("MOVQ %s, %s", fr.slot(a.name), registers[a.name])
	}
	d.constants(fr)
	for n := d.blocks(); n > 0; n-- {
		next, loop := f.label("next"), f.label("loop")
		f.op("SUBQ $%d, CX", n*d.elements())
		f.op("JLT %s", next)
		f.mark(loop)
		d.body(fr, n)
		f.op("SUBQ $%d, CX", n*d.elements())
		f.op("JGE %s", loop)
		f.mark(next)
		f.op("ADDQ $%d, CX", n*d.elements())
	}
	f.ret()
}

// constants fills the registers that stay. The draws of a block stand in the order
// that joining their words takes back.
func (d drop) constants(fr frame) {
	f, width := d.f, d.s.width
	for i := range 4 {
		if d.packed() && i > 0 {
			break
		}
		to := d.fixed(dropCounter + i)
		f.op("MOVL %s, AX", fr.slot(fmt.Sprintf("c%d", i)))
		f.op("VMOVD AX, X%d", d.number(to))
		f.op("VPBROADCASTD X%d, %s", d.number(to), to)
	}
	order := f.dwords(fmt.Sprintf("draws%d", width), func(i int) uint32 { return uint32(i/4 + i/2%2*width/4) })
	f.op("VPADDD %s, %[2]s, %[2]s", order, d.fixed(dropCounter))
	f.op("VPBROADCASTW %d(DX), %s", drawLimit, d.fixed(dropLimit))
	if !d.packed() {
		f.op("VBROADCASTSS %d(DX), %s", drawScale, d.fixed(dropScale))
	}
	if d.s == avx512 {
		for i := range 2 {
			f.op("VMOVUPS %s, %s", d.multiplier(i), d.fixed(dropMultiplier+i))
		}
		f.op("MOVL $0xaaaa, AX")
		f.op("KMOVW AX, %s", dropOdd)
	}
}

// multiplier is where one of the two lies.
func (d drop) multiplier(i int) string {
	return d.f.dwords(fmt.Sprintf("philox%d", i), func(int) uint32 { return []uint32{0xD2511F53, 0xCD9E8D57}[i] })
}

// draws is a block of draws as its words go from register to register.
type draws struct {
	words [4]string
	free  []string
}

// body draws for and writes n blocks.
func (d drop) body(fr frame, n int) {
	blocks := make([]draws, n)
	for u := range blocks {
		for i := range dropWords {
			blocks[u].free = append(blocks[u].free, d.s.r(dropWords*u+i))
		}
	}
	step := d.f.dwords(fmt.Sprintf("step%d", d.s.width), func(int) uint32 { return uint32(d.s.width / 2) })
	for round := range philoxRounds {
		for u := range blocks {
			if round == 0 {
				d.first(fr, &blocks[u])
				d.f.op("VPADDD %s, %[2]s, %[2]s", step, d.fixed(dropCounter))
				continue
			}
			d.round(&blocks[u], round)
		}
	}
	for u := range blocks {
		d.join(&blocks[u])
	}
	for u := range blocks {
		if d.size == 0 {
			d.bits(&blocks[u], u*d.elements()/8)
			continue
		}
		d.write(&blocks[u], u*d.elements())
	}
	if d.size == 0 {
		d.f.op("ADDQ $%d, DI", n*d.elements()/8)
		return
	}
	d.f.op("ADDQ $%d, SI", 4*n*d.elements())
	d.f.op("ADDQ $%d, DI", d.size*n*d.elements())
}

// first is round 0, on the counters themselves.
func (d drop) first(fr frame, b *draws) {
	if d.packed() {
		d.firstPacked(fr, b)
		return
	}
	for i := range b.words {
		b.words[i] = d.fixed(dropCounter + i)
	}
	x0, x2 := b.free[4], b.free[5]
	d.products(b, b.free[0], b.free[1], x0, x2, 0)
	b.words, b.free = [4]string{x0, b.free[1], x2, b.free[0]}, b.free[2:4]
}

// firstPacked is first where the counters' other words are read from the arguments.
func (d drop) firstPacked(fr frame, b *draws) {
	first, third, x0, x2 := b.free[0], b.free[1], b.free[4], b.free[5]
	b.words = [4]string{d.fixed(dropCounter), b.free[2], third, b.free[3]}
	for i := 1; i < len(b.words); i++ {
		d.f.op("VBROADCASTSS %s, %s", fr.slot(fmt.Sprintf("c%d", i)), b.words[i])
	}
	d.products(b, first, third, x0, x2, 0)
	b.words, b.free = [4]string{x0, third, x2, first}, b.free[2:4]
}

func (d drop) round(b *draws, round int) {
	x, first, third := b.words, b.free[0], b.free[1]
	d.products(b, first, third, x[0], x[2], round)
	b.words, b.free = [4]string{x[0], third, x[2], first}, []string{x[1], x[3]}
}

// products makes the two products of a round, whose low halves are two of the next
// words as they are, and the other two words, in x0 and x2.
func (d drop) products(b *draws, first, third, x0, x2 string, round int) {
	for i, to := range []string{first, third} {
		by := d.multiplier(i)
		if d.s == avx512 {
			by = d.fixed(dropMultiplier + i)
		}
		d.f.op("VPMULUDQ %s, %s, %s", by, b.words[2*i], to)
	}
	d.high(third, b.words[1], 8*round, x0)
	d.high(first, b.words[3], 8*round+4, x2)
}

// high is the high half of a product, with a word and a key.
func (d drop) high(product, word string, key int, to string) {
	d.f.op("VPSRLQ $32, %s, %s", product, to)
	if d.s == avx512 {
		d.f.op("VPTERNLOGD.BCST $0x96, %d(DX), %s, %s", key, word, to)
		return
	}
	d.f.op("VPXOR %s, %[2]s, %[2]s", word, to)
	d.f.op("VPBROADCASTD %d(DX), %s", key, d.fixed(dropTemporary))
	d.f.op("VPXOR %s, %[2]s, %[2]s", d.fixed(dropTemporary), to)
}

// join brings the words of the draws into the order of their elements, in the free
// registers.
func (d drop) join(b *draws) {
	for i := 0; i < 4; i += 2 {
		even, odd := b.words[i], b.words[i+1]
		if d.s == avx512 {
			d.f.op("VMOVSLDUP %s, %s, %s", odd, dropOdd, even)
			continue
		}
		d.f.op("VMOVSLDUP %[1]s, %[1]s", odd)
		d.f.op("VPBLENDD $0xaa, %s, %[2]s, %[2]s", odd, even)
	}
	d.f.op("VPUNPCKLQDQ %s, %s, %s", b.words[2], b.words[0], b.free[0])
	d.f.op("VPUNPCKHQDQ %s, %s, %s", b.words[2], b.words[0], b.free[1])
}

// bits writes the bits of a joined block.
func (d drop) bits(b *draws, at int) {
	f, limit, low, high := d.f, d.fixed(dropLimit), b.free[0], b.free[1]
	if d.s == avx512 {
		for i, halves := range b.free {
			f.op("VPCMPUW $5, %s, %s, K1", limit, halves) // not less
			f.op("KMOVD K1, %d(DI)", at+4*i)
		}
		return
	}
	for _, halves := range b.free {
		f.op("VPMAXUW %s, %s, %s", limit, halves, d.fixed(dropTemporary))
		f.op("VPCMPEQW %s, %[2]s, %[2]s", d.fixed(dropTemporary), halves)
	}
	f.op("VPACKSSWB %s, %s, %[2]s", high, low)
	f.op("VPERMQ $0xd8, %s, %[1]s", low) // quarters 0, 2, 1, 3
	f.op("VPMOVMSKB %s, AX", low)
	f.op("MOVL AX, %d(DI)", at)
}

// write writes the elements of a joined block, which begins at element at.
func (d drop) write(b *draws, at int) {
	for i, halves := range b.free {
		to := b.words[2*i : 2*i+2]
		for j, y := range to {
			d.f.op("VMULPS %d(SI), %s, %s", 4*(at+j*d.s.width), d.fixed(dropScale), y)
		}
		d.drop(halves, to)
		if d.size == 2 {
			low, high := d.number(to[0]), d.number(to[1])
			d.f.convertTwo(low, high, low)
			d.f.op("VMOVUPS %s, %d(DI)", to[0], 2*at)
		} else {
			for j, y := range to {
				d.f.op("VMOVUPS %s, %d(DI)", y, 4*(at+j*d.s.width))
			}
		}
		at += 2 * d.s.width
	}
}

// drop sets 0 where an element's half of a word is below the limit.
func (d drop) drop(halves string, y []string) {
	f, limit, t := d.f, d.fixed(dropLimit), d.fixed(dropTemporary)
	if d.s == avx512 {
		f.op("VPCMPUW $5, %s, %s, K1", limit, halves)
		f.op("VMOVAPS.Z %s, K1, %[1]s", y[0])
		f.op("KSHIFTRD $16, K1, K1")
		f.op("VMOVAPS.Z %s, K1, %[1]s", y[1])
		return
	}
	f.op("VPMAXUW %s, %s, %s", limit, halves, t)
	f.op("VPCMPEQW %s, %[2]s, %[2]s", t, halves)
	f.op("VPMOVSXWD X%d, %s", d.number(halves), t)
	f.op("VANDPS %s, %s, %[2]s", t, y[0])
	f.op("VEXTRACTI128 $1, %s, X%d", halves, d.number(halves))
	f.op("VPMOVSXWD X%d, %s", d.number(halves), t)
	f.op("VANDPS %s, %s, %[2]s", t, y[1])
}

// number is that of a register.
func (d drop) number(register string) (n int) {
	fmt.Sscanf(register[1:], "%d", &n)
	return n
}
