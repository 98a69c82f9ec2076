package kern

import "unsafe"

// fewConfigs is the configurations of a FewBlocks by the rows of x: tile 0 is c's,
// 4 the weight's and 6 x's.
var fewConfigs = func() (all [FewRows + 1]tileConfig) {
	for m := 1; m <= FewRows; m++ {
		c := &all[m]
		c.palette = 1
		for t, bytes := range map[int]int{0: 4 * m, 4: 64, 6: 4 * m} {
			c.rows[t], c.rowBytes[t] = 16, uint16(bytes)
		}
	}
	return all
}()

func (s *Set) fewBlocks() {
	s.Int8.Few, s.NF4.Few = fewOfBlocks(int8Few), fewOfBlocks(nf4Few)
	s.Q8_0.Few, s.Q4_0.Few = fewOfBlocks(q8x0Few), fewOfBlocks(q4x0Few)
	s.Q4_K.Few, s.Q6_K.Few = fewOfBlocks(q4KFew), fewOfBlocks(q6KFew)
}

func fewOfBlocks(run func(config, c, x unsafe.Pointer, xStep int, src unsafe.Pointer, n, left, srcStep, next, groups, add int, work *DirectWork, rows unsafe.Pointer)) FewBlocks {
	return func(c, x, src unsafe.Pointer, n, srcStep, next, groups, m, add int, work *DirectWork, rows unsafe.Pointer) {
		run(unsafe.Pointer(&fewConfigs[m]), c, x, 4*m, src, n, n, srcStep, next, groups, add, work, rows)
	}
}
