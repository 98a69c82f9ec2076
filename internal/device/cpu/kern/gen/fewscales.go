package main

// A block of Q8_0 or Q4_0 begins with its scale. Of 16 rows' blocks those are copied,
// two units before they are needed, to where one load takes them all: a load of what
// several stores wrote must wait until they have left the store buffer. They lie
// behind the ring of rows, a place for each of its buffers.

const fewScalesAt = fewBuffers * fewBuffer

// fewScales makes the unit's scales float32, where the decoding finds them.
func (d direct) fewScales() {
	d.f.op("VCVTPH2PS %d(R15), Z0", fewScalesAt)
	d.op("VMOVUPS", 0, work(0))
}

// fewFirstScales copies those of the first units, of a row's blocks or of one alone.
func (d direct) fewFirstScales(fr frame, b inBlocks) {
	for unit := range fewBehind {
		d.fewLimit(fr, unit)
		d.fewCopyScales(b, "R15", unit*fewBuffer)
	}
}

// fewNextScales copies those of the unit fewBehind units on. Its lines stand between
// those of a unit, which leaves AX, CX, DX and SI alone.
func (d direct) fewNextScales(fr frame, b inBlocks) {
	d.f.op("MOVQ R15, CX")
	d.f.op("XORQ $%d, CX", fewBehind*fewBuffer)
	d.fewLimit(fr, fewBehind)
	d.fewCopyScales(b, "CX", 0)
}

// fewLimit is units in AX, or as many as the row has behind this one.
func (d direct) fewLimit(fr frame, units int) {
	f := d.f
	f.op("MOVQ %s, AX", fr.slot("left"))
	f.op("DECQ AX")
	f.op("MOVQ $%d, DX", units)
	f.op("CMPQ AX, DX")
	f.op("CMOVQGT DX, AX")
}

// fewCopyScales copies the scales of blocks AX blocks on.
func (d direct) fewCopyScales(b inBlocks, to string, at int) {
	f := d.f
	f.op("IMUL3Q $%d, AX, AX", b.bytes)
	for quarter := range d.isa.width / 4 {
		f.op("LEAQ (R1%d)(AX*1), SI", quarter)
		for i, row := range fourRows {
			f.op("MOVWLZX (SI)%s, DX", row)
			f.op("MOVW DX, %d(%s)", fewScalesAt+at+2*(4*quarter+i), to)
		}
	}
}
