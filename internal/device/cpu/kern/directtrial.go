package kern

import (
	"math"
	"unsafe"
)

// directTrial is a direct product on small operands.
type directTrial struct {
	name            string
	elements, bytes int // of a block
	InBlocks
	decoder func(d *Decoders) Decode
}

// directTrials is those of the level's functions.
func (s *Set) directTrials() []directTrial {
	if s.NF4.Pack == nil && s.NF4.PackFloat == nil && s.NF4.DirectFloat == nil {
		return nil
	}
	return []directTrial{
		{"Q8_0", 32, q8Bytes, s.Q8_0, func(d *Decoders) Decode { return d.Q8_0 }},
		{"Q4_0", 32, q4Bytes, s.Q4_0, func(d *Decoders) Decode { return d.Q4_0 }},
		{"NF4", 64, nf4Bytes, s.NF4, func(d *Decoders) Decode { return d.NF4 }},
		{"Q4_K", 256, q4KBytes, s.Q4_K, func(d *Decoders) Decode { return d.Q4_K }},
		{"Q6_K", 256, q6KBytes, s.Q6_K, func(d *Decoders) Decode { return d.Q6_K }},
		{"Int8", int8Group, int8Group, s.Int8, func(d *Decoders) Decode { return d.Int8 }},
	}
}

// run is the level's sums, in bfloat16 or float32, and those of twin's decoder in
// float64.
func (d *directTrial) run(twin *Set, half bool) (got, want []float32) {
	const rows, header, n = 5, 4, 2
	k, step := n*d.elements, header+n*d.bytes
	src := make([]byte, DirectRows*step)
	for i := range src {
		src[i] = byte(i*37)&^0x40 | 0x20 // scales are finite and of no more than a few units
	}
	first := unsafe.Pointer(&src[header])
	w, x := make([]float32, DirectRows*k), wave(k*rows, 1) // x is [k][rows]
	d.decoder(&twin.Floats)(unsafe.Pointer(&w[0]), first, n, DirectRows, 4*k, step, 0, header)
	panel := unsafe.Pointer(&x[0])
	if half {
		for _, s := range [][]float32{w, x} {
			for i, v := range s {
				s[i] = math.Float32frombits(uint32(round(v)) << 16)
			}
		}
		words := make([]uint32, k/2*rows)
		for i := range words {
			word, row := i/rows, i%rows
			words[i] = pair([]float32{x[2*word*rows+row], x[(2*word+1)*rows+row]})
		}
		panel = unsafe.Pointer(&words[0])
	}
	var work DirectWork
	for i := range work.Scales {
		work.Scales[i] = *(*float32)(at(unsafe.Pointer(&src[0]), i*step)) / 127
	}
	got, want = make([]float32, rows*Cols), make([]float32, rows*Cols)
	d.multiply(twin, half, unsafe.Pointer(&got[0]), panel, first, n, step, rows, &work)
	for i := range want {
		row, col := i/Cols, i%Cols
		var sum, size float64
		for j := range k {
			term := float64(w[col*k+j]) * float64(x[j*rows+row])
			sum, size = sum+term, size+math.Abs(term)
		}
		got[i], want[i] = float32(float64(got[i])/size), float32(sum/size) // the tolerance is of terms of size 1
	}
	return got, want
}

// runFew is few rows of blocks, and those that are packed by the tile of one row.
func (d *directTrial) runFew(twin *Set) (got, want []float32) {
	const n = 3
	words, step := n*d.elements/2, n*d.bytes
	src, work := make([]byte, DirectRows*step), DirectWork{}
	for i := range src {
		src[i] = byte(i*37)&^0x40 | 0x20
	}
	for i := range work.Scales {
		work.Scales[i] = 0.01
	}
	x, panel := pairWave(words, 1), make([]uint32, words*Cols)
	space := make([]float32, FewSpace/4)
	got, want = make([]float32, DirectRows), make([]float32, DirectRows)
	first := unsafe.Pointer(&src[0])
	d.Few(unsafe.Pointer(&got[0]), unsafe.Pointer(&x[0]), first, n, step, FewGroup*step, 2, 1, 0, &work, unsafe.Pointer(&space[0]))
	d.Pack(unsafe.Pointer(&panel[0]), first, n, step, &work)
	twin.BF16.Tile[1](words, unsafe.Pointer(&x[0]), unsafe.Pointer(&panel[0]), unsafe.Pointer(&want[0]), Stride, 1, 0, nil)
	var size float32
	for _, w := range want {
		size = max(size, w, -w)
	}
	for i := range got {
		got[i], want[i] = got[i]/size, want[i]/size
	}
	return got, want
}

// takes says whether the direct product in float32 takes so many rows.
func (d *InBlocks) takes(m int) bool {
	return d.DirectFloat != nil && (d.FloatRows == 0 || m <= d.FloatRows)
}

// multiply is the level's direct product, or its panel times x by twin's tile.
func (d *directTrial) multiply(twin *Set, half bool, c, x, src unsafe.Pointer, n, step, m int, work *DirectWork) {
	p, words, direct, pack := &twin.F32, n*d.elements, d.DirectFloat, d.PackFloat
	if half {
		p, words, direct, pack = &twin.BF16, words/2, d.Direct, d.Pack
	}
	if direct != nil && (half || d.takes(m)) {
		direct(c, x, src, n, step, m, work)
		return
	}
	panel := make([]uint32, words*Cols)
	pack(unsafe.Pointer(&panel[0]), src, n, step, work)
	p.Tile[m](words, x, unsafe.Pointer(&panel[0]), c, Stride, 1, 0, x)
}

// runSpan is a span that makes half a panel, and that half; and a span, and the
// half of a panel that is packed.
func (d *directTrial) runSpan(p *Products) (got, want []float32) {
	const elements, tileWords = 256, MakingPanels * MaxRows * Cols
	n, step := elements/d.elements, elements/d.elements*d.bytes
	src, work := make([]byte, DirectRows*step), DirectWork{}
	for i := range src {
		src[i] = byte(i*37)&^0x40 | 0x20
	}
	for i := range work.Scales {
		work.Scales[i] = 0.01
	}
	a, b := pairWave(MakingRows*MakingWords, 1), pairWave(MakingWords*Cols, 2)
	got, want = make([]float32, tileWords), make([]float32, tileWords)
	span := Span{Rows: MakingRows, K: MakingWords, A: unsafe.Pointer(&a[0]), B: unsafe.Pointer(&b[0]), C: unsafe.Pointer(&got[0]), Panels: MakingPanels}
	var made, packed [elements / 2 * Cols]uint32
	first := unsafe.Pointer(&src[0])
	d.Span(&span, &Making{Dst: unsafe.Pointer(&made), DstStep: MakingUnit * Stride, Src: first, SrcStep: step, Work: &work, Next: span.A})
	span.C = unsafe.Pointer(&want[0])
	p.Span(&span)
	d.Pack(unsafe.Pointer(&packed), first, n, step, &work)
	for i := range packed {
		if i%Cols < Cols/2 {
			got, want = append(got, math.Float32frombits(made[i]&^0xffff)), append(want, math.Float32frombits(packed[i]&^0xffff))
		}
	}
	return got, want
}
