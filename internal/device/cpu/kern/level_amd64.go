package kern

import (
	"unsafe"

	"align/internal/device/cpu/feature"
)

// raise replaces the functions that a level has assembly for.
func (s *Set) raise(level feature.Level) {
	switch level {
	case feature.AVX2:
		s.avx2()
	case feature.AVX512:
		s.avx512()
	case feature.AVX512BF16:
		s.avx512()
		s.avx512BF16()
	case feature.AMX:
		s.avx512()
		s.avx512BF16()
		clear(s.BF16.Eager[:]) // x has another form for the tiles
		clear(s.BF16.sweep[:])
		clear(s.BF16.sweepRows[:])
		clear(s.BF16.rows[:])
		clear(s.BF16.columns[:])
		s.amx()
	}
}

// avx2 is the level of processors whose second cache holds 256 or 512 KiB, Zen 3 and
// before, and of some with more. Two panels of B of 128 KiB leave room for those of A.
func (s *Set) avx2() {
	s.F32 = Products{
		Rows: 6, PerWord: 1, Depth: 1, Lanes: 8, TaskPanels: 2,
		Tile: [MaxRows + 1]Tile{1: tileAVX2x1, 2: tileAVX2x2, 3: tileAVX2x3, 4: tileAVX2x4, 5: tileAVX2x5,
			6: tileAVX2x6},
		Wide: [MaxRows + 1]Tile{1: wideAVX2x1, 2: wideAVX2x2, 3: wideAVX2x3, 4: wideAVX2x4, 5: wideAVX2x5,
			6: wideAVX2x6},
		PackRows: transposeAVX2, PackColumns: columnsAVX2, PackPanels: panelsAVX2, Flip: flipAVX2, Thin: thinAVX2, Outer: outerAVX2,
		rows:     [MaxRows + 1]Plain{1: rowsAVX2x1, 2: rowsAVX2x2, 3: rowsAVX2x3, 4: rowsAVX2x4, 5: rowsAVX2x5, 6: rowsAVX2x6},
		columns:  [MaxRows + 1]Plain{1: columnsAVX2x1, 2: columnsAVX2x2, 3: columnsAVX2x3, 4: columnsAVX2x4, 5: columnsAVX2x5, 6: columnsAVX2x6},
		KeepRows: keepRowsAVX2, OuterNext: outerNextAVX2, ThinKept: thinRowsAVX2,
		Peak: peakAVX2, PeakFlops: 12 * 8 * 2,
	}
	s.BF16 = Products{}
	s.Words, s.Widen, s.FlipWiden = transposeAVX2, widenAVX2, flipWidenAVX2
	s.Floats = Decoders{Q8_0: q8x0AVX2, Q4_0: q4x0AVX2, NF4: nf4AVX2, Q4_K: q4KAVX2, Q6_K: q6KAVX2, Int8: int8AVX2}
	s.Q8_0.PackFloat, s.Q4_0.PackFloat, s.NF4.PackFloat = q8x0PanelAVX2, q4x0PanelAVX2, nf4PanelAVX2
	s.Q4_K.PackFloat, s.Q6_K.PackFloat, s.Int8.PackFloat = q4KPanelAVX2, q6KPanelAVX2, int8PanelAVX2
	s.Q8_0.DirectFloat, s.Q4_0.DirectFloat, s.NF4.DirectFloat = q8x0RowAVX2, q4x0RowAVX2, nf4RowAVX2
	s.Q4_K.DirectFloat, s.Int8.DirectFloat = q4KRowAVX2, int8RowAVX2
	for _, b := range []*InBlocks{&s.Q8_0, &s.Q4_0, &s.NF4, &s.Q4_K, &s.Int8} {
		b.FloatRows = 1
	}
	s.vectors = vectors{
		rowMax:      rowMaxAVX2,
		dot:         dotAVX2,
		dot3:        dot3AVX2,
		sumSquares:  sumSquaresAVX2,
		expSum:      expSumAVX2,
		expMoments:  expMomentsAVX2,
		softmaxGrad: softmaxGradAVX2,
		scale:       scaleAVX2,
		add:         addAVX2,
		axpy:        axpyAVX2,
		mulAdd:      mulAddAVX2,
		normApply:   normApplyAVX2,
		normGrad:    normGradAVX2,
		swiGLU:      swiGLUAVX2,
		swiGLUGrad:  swiGLUGradAVX2,
		rope:        ropeAVX2,
		adamW:       adamWAVX2,
		round:       roundAVX2,
		unround:     unroundAVX2,
		dropout:     dropoutAVX2,
		addKept:     addKeptAVX2,
		keep:        keepAVX2,
		dropoutMask: dropoutMaskAVX2,
		columnSums:  columnSumsAVX2,
		normColumns: normColumnsAVX2,
		columns:     32,
		whole:       8,
		drops:       32,
	}
}

func (s *Set) avx512() {
	s.F32 = Products{
		Rows: 14, PerWord: 1, Depth: 1, Lanes: 16,
		Tile: [MaxRows + 1]Tile{
			1: tileF32x1, 2: tileF32x2, 3: tileF32x3, 4: tileF32x4, 5: tileF32x5,
			6: tileF32x6, 7: tileF32x7, 8: tileF32x8, 9: tileF32x9, 10: tileF32x10,
			11: tileF32x11, 12: tileF32x12, 13: tileF32x13, 14: tileF32x14,
		},
		Eager: [MaxRows + 1]Tile{
			7: eagerF32x7, 8: eagerF32x8, 9: eagerF32x9, 10: eagerF32x10,
			11: eagerF32x11, 12: eagerF32x12, 13: eagerF32x13, 14: eagerF32x14,
		},
		sweep:    [MaxRows + 1]sweep{13: sweepF32x13, 14: sweepF32x14},
		PackRows: transposeAVX512, PackColumns: columnsAVX512, PackPanels: panelsAVX512, Flip: flipAVX512, Thin: thinF32, Outer: outerF32,
		OuterKept: outerKeptF32, KeepPanel: keepPanelF32, LowKept: lowKeptF32,
		Peak: peakF32, PeakFlops: 24 * 16 * 2,
	}
	s.BF16 = Products{}
	s.Words, s.Widen, s.FlipWiden = transposeAVX512, widenAVX512, flipWidenAVX512
	s.Floats = Decoders{Q8_0: q8x0AVX512, Q4_0: q4x0AVX512, NF4: nf4AVX512, Q4_K: q4KAVX512, Q6_K: q6KAVX512, Int8: int8AVX512}
	s.Q8_0.DirectFloat, s.Q4_0.DirectFloat, s.NF4.DirectFloat = q8x0DirectAVX512, q4x0DirectAVX512, nf4DirectAVX512
	s.Q4_K.DirectFloat, s.Q6_K.DirectFloat, s.Int8.DirectFloat = q4KDirectAVX512, q6KDirectAVX512, int8DirectAVX512
	s.vectors = vectors{
		rowMax:      rowMaxAVX512,
		dot:         dotAVX512,
		dot3:        dot3AVX512,
		sumSquares:  sumSquaresAVX512,
		expSum:      expSumAVX512,
		expMoments:  expMomentsAVX512,
		softmaxGrad: softmaxGradAVX512,
		scale:       scaleAVX512,
		add:         addAVX512,
		axpy:        axpyAVX512,
		mulAdd:      mulAddAVX512,
		normApply:   normApplyAVX512,
		normGrad:    normGradAVX512,
		swiGLU:      swiGLUAVX512,
		swiGLUGrad:  swiGLUGradAVX512,
		rope:        ropeAVX512,
		adamW:       adamWAVX512,
		round:       roundAVX512,
		unround:     unroundAVX512,
		dropout:     dropoutAVX512,
		addKept:     addKeptAVX512,
		keep:        keepAVX512,
		dropoutMask: dropoutMaskAVX512,
		columnSums:  columnSumsAVX512,
		normColumns: normColumnsAVX512,
		columns:     64,
		whole:       16,
		drops:       64,
	}
}

func (s *Set) avx512BF16() {
	s.BF16 = Products{
		Rows: 14, PerWord: 2, Depth: 1, SideCols: 16, Lanes: 16,
		Tile: [MaxRows + 1]Tile{
			1: tileBF16x1, 2: tileBF16x2, 3: tileBF16x3, 4: tileBF16x4, 5: tileBF16x5,
			6: tileBF16x6, 7: tileBF16x7, 8: tileBF16x8, 9: tileBF16x9, 10: tileBF16x10,
			11: tileBF16x11, 12: tileBF16x12, 13: tileBF16x13, 14: tileBF16x14,
		},
		Eager: [MaxRows + 1]Tile{
			7: eagerBF16x7, 8: eagerBF16x8, 9: eagerBF16x9, 10: eagerBF16x10,
			11: eagerBF16x11, 12: eagerBF16x12, 13: eagerBF16x13, 14: eagerBF16x14,
		},
		sweep:     [MaxRows + 1]sweep{13: sweepBF16x13, 14: sweepBF16x14},
		sweepRows: [MaxRows + 1]sweepRows{13: sweepRowsBF16x13, 14: sweepRowsBF16x14},
		PackRows:  transposeBF16, PackColumns: columnsBF16, Flip: flipPairs, Thin: thinBF16, ThinRows: thinRowsBF16,
		rows: [MaxRows + 1]Plain{
			1: rowsBF16x1, 2: rowsBF16x2, 3: rowsBF16x3, 4: rowsBF16x4, 5: rowsBF16x5,
			6: rowsBF16x6, 7: rowsBF16x7, 8: rowsBF16x8, 9: rowsBF16x9, 10: rowsBF16x10,
			11: rowsBF16x11, 12: rowsBF16x12, 13: rowsBF16x13, 14: rowsBF16x14,
		},
		columns: [MaxRows + 1]Plain{
			1: columnsBF16x1, 2: columnsBF16x2, 3: columnsBF16x3, 4: columnsBF16x4, 5: columnsBF16x5,
			6: columnsBF16x6, 7: columnsBF16x7, 8: columnsBF16x8, 9: columnsBF16x9, 10: columnsBF16x10,
			11: columnsBF16x11, 12: columnsBF16x12, 13: columnsBF16x13, 14: columnsBF16x14,
		},
		Outer: outerBF16, OuterHalf: outerHalf, OuterKept: outerKeptHalf, KeepPanel: keepPanelBF16, LowKept: lowKeptBF16, RoundTile: roundTileBF16,
		Peak: peakBF16, PeakFlops: 24 * 16 * 2 * 2,
	}
	s.Halves = Decoders{Q8_0: q8x0Half, Q4_0: q4x0Half, NF4: nf4Half, Q4_K: q4KHalf, Q6_K: q6KHalf, Int8: int8Half}
	s.Q8_0.Direct, s.Q4_0.Direct, s.NF4.Direct = oneOrMore(q8x0Row, q8x0Direct), oneOrMore(q4x0Row, q4x0Direct), oneOrMore(nf4Row, nf4Direct)
	s.Q4_K.Direct, s.Q6_K.Direct, s.Int8.Direct = oneOrMore(q4KRow, q4KDirect), oneOrMore(q6KRow, q6KDirect), oneOrMore(int8Row, int8Direct)
	s.Q8_0.Pack, s.Q4_0.Pack, s.NF4.Pack, s.Q4_K.Pack, s.Q6_K.Pack, s.Int8.Pack = q8x0Pack, q4x0Pack, nf4Pack, q4KPack, q6KPack, int8Pack
	s.Join = joinHalf
	s.round, s.dropoutHalf, s.keepHalf = roundAVX512BF16, dropoutHalf, keepHalf
	s.swiGLUHalf, s.swiGLUGradHalf, s.swiGLUAgainHalf = swiGLUHalfAVX512, swiGLUGradHalfAVX512, swiGLUAgainHalfAVX512
	s.ropeHalf, s.expWeights, s.dotRows = ropeHalfAVX512, expWeightsAVX512, dotRowsAVX512
	s.weighRows, s.gradPairs, s.finishRows = weighRows, gradPairs, finishRows
}

// oneOrMore is the direct product of one row of x, or of several.
func oneOrMore(one, more Direct) Direct {
	return func(c, x, src unsafe.Pointer, n, srcStep, m int, work *DirectWork) {
		if m == 1 {
			one(c, x, src, n, srcStep, m, work)
			return
		}
		more(c, x, src, n, srcStep, m, work)
	}
}
