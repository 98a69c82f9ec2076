package main

import "fmt"

// Sums over the rows of a matrix, in float64: a block of columns has its sums
// in registers while the rows pass by. Products and sums are rounded one by one,
// as the loops in Go do, so that results have their bits.
//
// Registers: 0 to 7 the sums, 8 and 9 a row's elements, 10 its scale.
const (
	columnSumRegisters = 8
	columnScale        = 10
)

// columnsAhead is how many rows ahead the sums read: rows lie too far apart for
// the machine's own prefetch.
const columnsAhead = 8

func emitColumnSums(f *file, s isa) {
	columnLoop(f, s, "columnSums", "is sums += the sum of rows rows of x, stride bytes apart", []string{"x"}, nil, func(i int) {
		f.op("VCVTPS2PD %d(SI), %s", i*s.bytes()/2, s.r(8))
		f.op("VADDPD %s, %s, %s", s.r(8), s.r(i), s.r(i))
	})
	columnLoop(f, s, "normColumns", "is sums += the sum of dy*x*scale over rows rows, stride bytes apart, each with a scale", []string{"x", "dy"}, []string{"scales"}, func(i int) {
		f.op("VCVTPS2PD %d(SI), %s", i*s.bytes()/2, s.r(8))
		f.op("VCVTPS2PD %d(DX), %s", i*s.bytes()/2, s.r(9))
		f.op("VMULPD %s, %s, %s", s.r(8), s.r(9), s.r(8))
		f.op("VMULPD %s, %s, %s", s.r(columnScale), s.r(8), s.r(8))
		f.op("VADDPD %s, %s, %s", s.r(8), s.r(i), s.r(i))
	})
}

// columnLoop passes over the rows of some arrays, and one float64 a row of
// another; body adds to sums i.
func columnLoop(f *file, s isa, name, doc string, arrays, perRow []string, body func(i int)) {
	args := []arg{{"sums", "unsafe.Pointer"}}
	for _, a := range append(append([]string(nil), arrays...), perRow...) {
		args = append(args, arg{a, "unsafe.Pointer"})
	}
	args = append(args, arg{"rows", "int"}, arg{"stride", "int"})
	columns := columnSumRegisters * s.width / 2
	fr := f.function(name+s.name, fmt.Sprintf("%s, of %d columns in float64.", doc, columns), args, nil)
	f.op("MOVQ %s, DI", fr.slot("sums"))
	base := []string{"SI", "DX"}[:len(arrays)]
	for i, a := range arrays {
		f.op("MOVQ %s, %s", fr.slot(a), base[i])
	}
	for _, a := range perRow {
		f.op("MOVQ %s, R8", fr.slot(a))
	}
	f.op("MOVQ %s, CX", fr.slot("rows"))
	f.op("MOVQ %s, R10", fr.slot("stride"))
	for i := range columnSumRegisters {
		f.op("VMOVUPS %d(DI), %s", i*s.bytes(), s.r(i))
	}
	loop, done := f.label("row"), f.label("done")
	f.op("TESTQ CX, CX")
	f.op("JEQ %s", done)
	f.mark(loop)
	for range perRow {
		f.op("VBROADCASTSD (R8), %s", s.r(columnScale))
		f.op("ADDQ $8, R8")
	}
	for at := 0; at < 4*columns; at += 64 {
		for _, b := range base {
			f.op("PREFETCHT0 %d(%s)(R10*%d)", at, b, columnsAhead)
		}
	}
	for i := range columnSumRegisters {
		body(i)
	}
	for _, b := range base {
		f.op("ADDQ R10, %s", b)
	}
	f.op("DECQ CX")
	f.op("JNZ %s", loop)
	f.mark(done)
	for i := range columnSumRegisters {
		f.op("VMOVUPS %s, %d(DI)", s.r(i), i*s.bytes())
	}
	f.ret()
}
