package main

import (
	"bytes"
	"fmt"
	"slices"
)

// A vector function walks over arrays of n elements: whole registers, several
// at a time where it sums, then one masked register. One description serves
// AVX2 and AVX-512.
//
// Registers: 0 to 6 are the body's, 7 to 10 accumulators, 11 to 13 those of
// exp, 14 a scalar argument, 15 AVX2's mask; AVX-512 keeps constants and
// scalar arguments in 16 to 31. The index of the current element is in AX.
type vector struct {
	name, doc string
	arrays    []string // pointer arguments
	half      []string // those of them whose elements are bfloat16, where whole
	scalars   []string // float32 arguments
	results   []string
	double    bool    // results are float64
	start     float64 // of the accumulators
	join      string  // instruction that joins accumulators: add or max
	unroll    int     // 1 if 0
	whole     bool    // n is a multiple of the width: no masked rest
	rows      bool    // arrays are rows of n elements, one behind the other, the result an array too
	body      func(e *emitter, u int)
}

const (
	firstAccumulator = 7
	firstExp         = 11
	scalarRegister   = 14
	firstHeld        = 16
)

var arrayRegisters = []string{"DI", "SI", "DX", "R8", "R9", "R10"}

// emitter writes one vector function for one isa.
type emitter struct {
	f     *file
	isa   isa
	v     vector
	frame frame
	held  []string // what is in registers from firstHeld on, as loads
	base  map[string]string
	ahead int    // words from the index to this register
	tail  bool   // the masked rest
	to    string // where the result goes, if not to its slot
}

func emitVector(f *file, v vector, s isa) {
	e := &emitter{f: f, isa: s, v: v, base: map[string]string{}}
	e.frame = f.function(v.name+s.name, v.doc, v.args(), v.outs())
	for i, a := range v.arrays {
		e.base[a] = arrayRegisters[i]
		f.op("MOVQ %s, %s", e.frame.slot(a), arrayRegisters[i])
	}
	f.op("MOVQ %s, CX", e.frame.slot("n"))
	f.op("XORQ AX, AX")
	loop := e.render(e.loops)
	for i, load := range e.held {
		f.op(load, firstHeld+i)
	}
	if v.rows {
		e.overRows(loop)
		return
	}
	e.clearAccumulators()
	f.text.Write(loop)
	e.finish()
	f.ret()
}

// overRows runs the loop for each row. R12 is where its result goes.
func (e *emitter) overRows(loop []byte) {
	f, row := e.f, e.f.label("row")
	e.to = "(R12)"
	f.op("MOVQ %s, R12", e.frame.slot(e.v.results[0]))
	f.op("MOVQ %s, R13", e.frame.slot("rows"))
	f.mark(row)
	e.clearAccumulators()
	f.text.Write(loop)
	e.finish()
	f.op("ADDQ $4, R12")
	for _, a := range e.v.arrays {
		f.op("LEAQ (%s)(AX*%d), %s", e.base[a], e.size(a), e.base[a])
	}
	f.op("MOVQ AX, CX")
	f.op("XORQ AX, AX")
	f.op("DECQ R13")
	f.op("JNZ %s", row)
	f.ret()
}

func (v vector) args() []arg {
	var args []arg
	for _, a := range v.arrays {
		args = append(args, arg{a, "unsafe.Pointer"})
	}
	args = append(args, arg{"n", "int"})
	if v.rows {
		args = append(args, arg{v.results[0], "unsafe.Pointer"}, arg{"rows", "int"})
	}
	for _, s := range v.scalars {
		args = append(args, arg{s, "float32"})
	}
	return args
}

func (v vector) outs() []arg {
	var outs []arg
	if v.rows {
		return nil
	}
	for _, r := range v.results {
		typ := "float32"
		if v.double {
			typ = "float64"
		}
		outs = append(outs, arg{r, typ})
	}
	return outs
}

// render is the text that write emits; what it needs held is known afterwards.
func (e *emitter) render(write func()) []byte {
	saved := e.f.text
	e.f.text = bytes.Buffer{}
	write()
	text := e.f.text.Bytes()
	e.f.text = saved
	return text
}

func (e *emitter) loops() {
	f, w := e.f, e.isa.width
	done := f.label("done")
	steps := []int{max(1, e.v.unroll), 1}
	if steps[0] == 1 {
		steps = steps[:1]
	}
	for _, unroll := range steps {
		next, loop := f.label("next"), f.label("loop")
		f.op("SUBQ $%d, CX", unroll*w)
		f.op("JLT %s", next)
		f.mark(loop)
		for u := range unroll {
			e.ahead = u * w
			e.v.body(e, u)
		}
		f.op("ADDQ $%d, AX", unroll*w)
		f.op("SUBQ $%d, CX", unroll*w)
		f.op("JGE %s", loop)
		f.mark(next)
		f.op("ADDQ $%d, CX", unroll*w)
	}
	if !e.v.whole {
		f.op("JEQ %s", done)
		e.tail, e.ahead = true, 0
		f.tailMask(e.isa, "CX", w, 1)
		e.v.body(e, 0)
		f.mark(done)
	}
}

// accumulators is how many there are: one for each result and unrolled step.
func (e *emitter) accumulators() int { return len(e.v.results) * max(1, e.v.unroll) }

// accumulator is the register of result i in step u.
func (e *emitter) accumulator(i, u int) string {
	return e.r(firstAccumulator + i*max(1, e.v.unroll) + u)
}

func (e *emitter) clearAccumulators() {
	for i := range e.accumulators() {
		r := e.r(firstAccumulator + i)
		if e.v.start == 0 {
			e.f.op("VXORPS %s, %s, %s", r, r, r)
		} else {
			e.f.op("VMOVUPS %s, %s", e.f.wide(e.v.start), r)
		}
	}
}

// finish joins the accumulators of each result and writes it.
func (e *emitter) finish() {
	for i, result := range e.v.results {
		e.join(i)
		move, to := "VMOVSS", e.to
		if e.v.double {
			move = "VMOVSD"
		}
		if to == "" {
			to = e.frame.slot(result)
		}
		e.f.op("%s X%d, %s", move, firstAccumulator+i*max(1, e.v.unroll), to)
	}
}

// join joins the accumulators of a result, then the elements of the last.
func (e *emitter) join(result int) {
	unroll := max(1, e.v.unroll)
	for step := unroll / 2; step > 0; step /= 2 {
		for u := range step {
			e.f.op("%s %s, %s, %s", e.v.join, e.accumulator(result, u+step), e.accumulator(result, u), e.accumulator(result, u))
		}
	}
	e.across(firstAccumulator + result*unroll)
}

// across joins the elements of a register into its first.
func (e *emitter) across(r int) {
	if e.isa == avx512 {
		e.f.op("VEXTRACTF64X4 $1, Z%d, Y0", r)
		e.f.op("%s Y0, Y%d, Y%d", e.v.join, r, r)
	}
	e.f.op("VEXTRACTF128 $1, Y%d, X0", r)
	e.f.op("%s X0, X%d, X%d", e.v.join, r, r)
	e.f.op("VSHUFPS $0x4e, X%d, X%d, X0", r, r)
	e.f.op("%s X0, X%d, X%d", e.v.join, r, r)
	if !e.v.double {
		e.f.op("VSHUFPS $0xb1, X%d, X%d, X0", r, r)
		e.f.op("%s X0, X%d, X%d", e.v.join, r, r)
	}
}

func (e *emitter) r(i int) string { return e.isa.r(i) }

// op writes an instruction whose operands are register numbers or text.
func (e *emitter) op(name string, operands ...any) {
	text := name
	for i, o := range operands {
		sep := ","
		if i == 0 {
			sep = ""
		}
		if n, ok := o.(int); ok {
			o = e.r(n)
		}
		text += fmt.Sprintf("%s %v", sep, o)
	}
	e.f.op("%s", text)
}

// at is the address of the current element of an array.
func (e *emitter) at(array string, size int) string {
	return fmt.Sprintf("%d(%s)(AX*%d)", size*e.ahead, e.base[array], size)
}

// size is the bytes of an element of an array.
func (e *emitter) size(array string) int {
	if slices.Contains(e.v.half, array) {
		return 2
	}
	return 4
}

// load reads the current elements; the rest of a masked register is 0.
func (e *emitter) load(array string, reg int) {
	if slices.Contains(e.v.half, array) {
		e.op("VPMOVZXWD", e.at(array, 2), reg)
		e.op("VPSLLD", "$16", reg, reg)
		return
	}
	if e.tail {
		e.f.maskedLoad(e.isa, e.at(array, 4), reg, 1)
		return
	}
	e.op("VMOVUPS", e.at(array, 4), reg)
}

func (e *emitter) store(reg int, array string) {
	if slices.Contains(e.v.half, array) {
		e.f.convertOne(reg, reg)
		e.f.op("VMOVUPS Y%d, %s", reg, e.at(array, 2))
		return
	}
	if e.tail {
		e.f.maskedStore(e.isa, reg, e.at(array, 4), 1)
		return
	}
	e.op("VMOVUPS", reg, e.at(array, 4))
}

// zeroRest clears the elements that lie past the end.
func (e *emitter) zeroRest(reg int) {
	switch {
	case !e.tail:
	case e.isa == avx2:
		e.op("VANDPS", maskRegister, reg, reg)
	default:
		e.f.op("VMOVAPS.Z Z%d, K1, Z%d", reg, reg)
	}
}

// fillRest sets the elements that lie past the end to x; tmp is lost.
func (e *emitter) fillRest(reg int, x float64, tmp int) {
	if !e.tail {
		return
	}
	e.op("VMOVUPS", e.f.wide(x), tmp)
	if e.isa == avx2 {
		e.op("VBLENDVPS", maskRegister, reg, tmp, reg)
		return
	}
	e.f.op("VBLENDMPS Z%d, Z%d, K1, Z%d", reg, tmp, reg)
}

// constant is an operand with x in every element: a register of AVX-512, else
// memory, which an instruction takes as its first operand only.
func (e *emitter) constant(x float64) string {
	sym := e.f.wide(x)
	if e.isa == avx2 {
		return sym
	}
	return e.hold("VMOVUPS " + sym + ", Z%d")
}

// constantIn is the constant in a register; tmp is lost.
func (e *emitter) constantIn(x float64, tmp int) string {
	c := e.constant(x)
	if e.isa == avx512 {
		return c
	}
	e.op("VMOVUPS", c, tmp)
	return e.r(tmp)
}

// scalar is a register with a scalar argument in every element. With AVX2 it
// holds until the next call.
func (e *emitter) scalar(name string) string {
	if e.isa == avx2 {
		e.op("VBROADCASTSS", e.frame.slot(name), scalarRegister)
		return e.r(scalarRegister)
	}
	return e.hold("VBROADCASTSS " + e.frame.slot(name) + ", Z%d")
}

// hold is the register that a load before the loop fills.
func (e *emitter) hold(load string) string {
	for i, l := range e.held {
		if l == load {
			return e.r(firstHeld + i)
		}
	}
	e.held = append(e.held, load)
	if firstHeld+len(e.held) > 32 {
		panic("gen: " + e.v.name + ": no register left for a constant")
	}
	return e.r(firstHeld + len(e.held) - 1)
}
