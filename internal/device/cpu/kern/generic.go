package kern

import (
	"math"
	"unsafe"

	"align/internal/device/cpu/feature"
)

// generic is the level of portable Go. Its bfloat16 products are there as an
// oracle: they round like the machine's, at the speed of Go.
func generic() *Set {
	return &Set{
		Level: feature.Generic,
		F32: Products{
			Rows: MaxRows, PerWord: 1, Depth: 1, Lanes: MaxLanes,
			Tile:     tilesOf(multiplyF32),
			PackRows: transposeGeneric, PackColumns: columnsGeneric, Flip: flipGeneric,
			Peak: peakGeneric, PeakFlops: 8,
		},
		BF16: Products{
			Rows: MaxRows, PerWord: 2, Depth: 1, SideCols: Cols, Lanes: MaxLanes,
			Tile:     tilesOf(multiplyBF16),
			PackRows: transposeBF16Generic, PackColumns: columnsBF16Generic, Flip: flipPairsGeneric,
			Peak: peakGeneric, PeakFlops: 8,
		},
		Words: transposeGeneric, Widen: widenGeneric, FlipWiden: flipWidenGeneric,
		Floats: genericDecoders(false), Halves: genericDecoders(true), Join: joinGeneric,
		vectors: genericVectors(),
	}
}

// at is the address some bytes behind p.
func at(p unsafe.Pointer, bytes int) unsafe.Pointer { return unsafe.Add(p, bytes) }

func floats(p unsafe.Pointer, n int) []float32 { return unsafe.Slice((*float32)(p), n) }

func words(p unsafe.Pointer, n int) []uint32 { return unsafe.Slice((*uint32)(p), n) }

func multiplyF32(a, b uint32) float32 {
	return math.Float32frombits(a) * math.Float32frombits(b)
}

func multiplyBF16(a, b uint32) float32 {
	return multiplyF32(a<<16, b<<16) + multiplyF32(a&0xffff0000, b&0xffff0000)
}

func tilesOf(multiply func(a, b uint32) float32) (tiles [MaxRows + 1]Tile) {
	for rows := 1; rows <= MaxRows; rows++ {
		tiles[rows] = func(k int, a, b, c unsafe.Pointer, ldc int, alpha float32, add int, _ unsafe.Pointer) {
			for i := range rows {
				var sums [Cols]float32
				if add == Onward {
					copy(sums[:], floats(at(c, i*ldc), Cols))
				}
				for k := range k {
					x := words(at(a, 4*(k*rows+i)), 1)[0]
					for j, y := range words(at(b, k*Stride), Cols) {
						sums[j] += multiply(x, y)
					}
				}
				store(floats(at(c, i*ldc), Cols), &sums, alpha, add)
			}
		}
	}
	return tiles
}

func store(c []float32, sums *[Cols]float32, alpha float32, add int) {
	for j, s := range sums {
		if add > 0 {
			c[j] += alpha * s
		} else {
			c[j] = alpha * s
		}
	}
}

// round is x as bfloat16, to nearest, ties to even; NaN stays NaN.
func round(x float32) uint16 {
	u := math.Float32bits(x)
	if x != x {
		return uint16(u>>16) | 0x40
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

// pair is the word of two elements; a missing second one is 0.
func pair(x []float32) uint32 {
	if len(x) == 1 {
		return uint32(round(x[0]))
	}
	return uint32(round(x[0])) | uint32(round(x[1]))<<16
}

func transposeGeneric(dst, rows unsafe.Pointer, n, stride int) {
	interleave(dst, rows, n, stride, func(row unsafe.Pointer, k int) uint32 { return words(row, n)[k] })
}

func transposeBF16Generic(dst, rows unsafe.Pointer, n, stride int) {
	word := func(row unsafe.Pointer, k int) uint32 { return pair(floats(row, n)[2*k : min(2*k+2, n)]) }
	interleave(dst, rows, (n+1)/2, stride, word)
}

// interleave writes word k of all rows before word k+1 of any: where the stride is
// less than all lanes, later words overwrite the lanes that are not wanted.
func interleave(dst, rows unsafe.Pointer, n, stride int, word func(row unsafe.Pointer, k int) uint32) {
	table := unsafe.Slice((*unsafe.Pointer)(rows), MaxLanes)
	for k := range n {
		to := words(at(dst, k*stride), MaxLanes)
		for i, row := range table {
			to[i] = word(row, k)
		}
	}
}

func columnsGeneric(dst, src unsafe.Pointer, n, srcStride, cols, dstStride int) {
	for k := range n {
		to := words(at(dst, k*dstStride), MaxLanes)
		copy(to, words(at(src, k*srcStride), cols))
		clear(to[cols:])
	}
}

func columnsBF16Generic(dst, src unsafe.Pointer, n, srcStride, cols, dstStride int) {
	for k := 0; k < n; k += 2 {
		to := words(at(dst, k/2*dstStride), MaxLanes)
		clear(to)
		for j, x := range floats(at(src, k*srcStride), cols) {
			to[j] = uint32(round(x))
		}
		if k+1 == n {
			break
		}
		for j, x := range floats(at(src, (k+1)*srcStride), cols) {
			to[j] |= uint32(round(x)) << 16
		}
	}
}

func widenGeneric(dst, src unsafe.Pointer, n int) {
	for k := range n {
		first, second := words(at(dst, 2*k*Stride), Cols), words(at(dst, (2*k+1)*Stride), Cols)
		for j, x := range words(at(src, k*Stride), Cols) {
			first[j], second[j] = x<<16, x&0xffff0000
		}
	}
}

func flipGeneric(dst, src unsafe.Pointer, n, dstStep, _ int) {
	for b := range n {
		from, to := words(at(src, b*Cols*Stride), Cols*Cols), words(at(dst, b*dstStep), Cols*Cols)
		for i, x := range from {
			to[i%Cols*Cols+i/Cols] = x
		}
	}
}

func flipWidenGeneric(dst, src unsafe.Pointer, n, dstStep, _ int) {
	for b := range n {
		from, to := words(at(src, b*Cols*Stride/2), Cols*Cols/2), words(at(dst, b*dstStep), Cols*Cols)
		for i, x := range from {
			k, j := i/Cols, i%Cols
			to[j*Cols+2*k], to[j*Cols+2*k+1] = x<<16, x&0xffff0000
		}
	}
}

func flipPairsGeneric(dst, src unsafe.Pointer, n, dstStep, _ int) {
	for b := range n {
		from, to := words(at(src, b*Cols*Stride/2), Cols*Cols/2), words(at(dst, b*dstStep), Cols*Cols/2)
		for k := range Cols / 2 {
			for j := range Cols / 2 {
				x, y := from[k*Cols+2*j], from[k*Cols+2*j+1]
				to[j*Cols+2*k] = x&0xffff | y<<16
				to[j*Cols+2*k+1] = x>>16 | y&0xffff0000
			}
		}
	}
}

func joinGeneric(dst, src unsafe.Pointer, n, srcStride, dstStride int) {
	for k := 0; k < n; k += 2 {
		to := words(at(dst, k/2*dstStride), Cols)
		for j, x := range halves(at(src, k*srcStride), Cols) {
			to[j] = uint32(x)
		}
		if k+1 == n {
			break
		}
		for j, x := range halves(at(src, (k+1)*srcStride), Cols) {
			to[j] |= uint32(x) << 16
		}
	}
}

func halves(p unsafe.Pointer, n int) []uint16 { return unsafe.Slice((*uint16)(p), n) }

// peakGeneric is four independent sums, which Go does not vectorise.
func peakGeneric(n int) {
	var a, b, c, d float32
	for range n {
		a, b, c, d = a*2+1, b*2+1, c*2+1, d*2+1
	}
	sink(a + b + c + d)
}

//go:noinline
func sink(float32) {}
