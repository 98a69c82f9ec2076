package kern

import "unsafe"

// ColumnSums adds the columns of a matrix to sums, one each: rows of x are
// stride elements apart, and added in ascending order in float64. The bits are
// the same on every level.
func (s *Set) ColumnSums(sums []float64, x []float32, rows, stride int) {
	s.eachColumns(len(sums), func(col int) {
		s.columnSums(unsafe.Pointer(&sums[col]), unsafe.Pointer(&x[col]), rows, 4*stride)
	}, func(col int) {
		oneColumn(unsafe.Pointer(&sums[col]), unsafe.Pointer(&x[col]), rows, 4*stride)
	}, rows)
}

// NormColumns is ColumnSums of dy*x*scale, where each row has a scale: the
// gradient of a norm's weight.
func (s *Set) NormColumns(sums []float64, x, dy []float32, scales []float64, stride int) {
	rows := len(scales)
	s.eachColumns(len(sums), func(col int) {
		s.normColumns(unsafe.Pointer(&sums[col]), unsafe.Pointer(&x[col]), unsafe.Pointer(&dy[col]), first(scales, rows), rows, 4*stride)
	}, func(col int) {
		oneNormColumn(unsafe.Pointer(&sums[col]), unsafe.Pointer(&x[col]), unsafe.Pointer(&dy[col]), first(scales, rows), rows, 4*stride)
	}, rows)
}

// eachColumns goes over n columns, as many at a time as the level takes, then
// one by one.
func (s *Set) eachColumns(n int, many, one func(col int), rows int) {
	if rows == 0 {
		return
	}
	whole := n / s.columns * s.columns
	for col := 0; col < whole; col += s.columns {
		many(col)
	}
	for col := whole; col < n; col++ {
		one(col)
	}
}

func oneColumn(sums, x unsafe.Pointer, rows, stride int) {
	sum := (*float64)(sums)
	for i := range rows {
		*sum += float64(*(*float32)(at(x, i*stride)))
	}
}

func oneNormColumn(sums, x, dy, scales unsafe.Pointer, rows, stride int) {
	sum := (*float64)(sums)
	for i, s := range unsafe.Slice((*float64)(scales), rows) {
		// A conversion keeps the product apart from the sum.
		*sum += float64(float64(*(*float32)(at(dy, i*stride))) * float64(*(*float32)(at(x, i*stride))) * s)
	}
}
