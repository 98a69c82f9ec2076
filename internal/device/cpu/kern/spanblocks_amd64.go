package kern

import "unsafe"

func (s *Set) spanBlocks() {
	s.Int8.Span, s.NF4.Span = spanOfBlocks(int8Span, 32, 1), spanOfBlocks(nf4Span, nf4Bytes, 2)
	s.Q8_0.Span, s.Q4_0.Span = spanOfBlocks(q8x0Span, q8Bytes, 1), spanOfBlocks(q4x0Span, q4Bytes, 1)
	s.Q4_K.Span, s.Q6_K.Span = spanOfBlocks(q4KSpan, q4KBytes, 8), spanOfBlocks(q6KSpan, q6KBytes, 8)
	s.Int8.SpanAcross, s.NF4.SpanAcross = spanOfBlocks(int8SpanAcross, 32, 1), spanOfBlocks(nf4SpanAcross, nf4Bytes, 2)
	s.Q8_0.SpanAcross, s.Q4_0.SpanAcross = spanOfBlocks(q8x0SpanAcross, q8Bytes, 1), spanOfBlocks(q4x0SpanAcross, q4Bytes, 1)
	s.Q4_K.SpanAcross, s.Q6_K.SpanAcross = spanOfBlocks(q4KSpanAcross, q4KBytes, 8), spanOfBlocks(q6KSpanAcross, q6KBytes, 8)
}

// spanOfBlocks is the span of blocks of so many bytes and units.
func spanOfBlocks(run func(config, a, b unsafe.Pointer, bStep, lowSteps int, lowA, lowB unsafe.Pointer, lowStep int, c unsafe.Pointer, panels, add int,
	out, tiles unsafe.Pointer, outRows, ldc, outBytes int, dst unsafe.Pointer, dstStep int, src unsafe.Pointer, srcStep int, work, next unsafe.Pointer), bytes, units int) SpanBlocks {
	const depth = 16
	config := unsafe.Pointer(&tileConfigs[MakingRows])
	return func(s *Span, m *Making) {
		work := unsafe.Pointer(m.Work)
		if m.Second {
			work = unsafe.Pointer(&m.Work.Scales[DirectRows/2])
		}
		run(config, s.A, s.B, s.BStep, s.LowK/depth, s.LowA, s.LowB, s.LowStep, s.C, s.Panels, s.Add,
			s.Out, s.Tiles, s.OutRows, s.LDC, s.outBytes(), at(m.Dst, m.Units*m.DstStep), m.DstStep, at(m.Src, m.Units/units*bytes), m.SrcStep, work, m.Next)
		m.Units += s.Panels
	}
}
