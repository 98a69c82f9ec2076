package cpu

// tile computes c[i,j] = sum over k ascending of a[i,k]*b[j,k] for m x n
// elements, added to c if add. Vectors of a and b are lda and ldb apart, rows of c
// ldc. Each element has one accumulator, whatever register tile it falls in.
func tile[E float](c []E, ldc int, a []E, lda, m int, b []E, ldb, n, k int, add bool) {
	j := 0
	for ; j+4 <= n; j += 4 {
		b0, b1 := b[j*ldb:][:k], b[(j+1)*ldb:][:k]
		b2, b3 := b[(j+2)*ldb:][:k], b[(j+3)*ldb:][:k]
		for i := range m {
			put4(c[i*ldc+j:][:4], dot1x4(a[i*lda:][:k], b0, b1, b2, b3), add)
		}
	}
	for ; j < n; j++ {
		for i := range m {
			s := dot(a[i*lda:][:k], b[j*ldb:][:k])
			if add {
				s += c[i*ldc+j]
			}
			c[i*ldc+j] = s
		}
	}
}

func put4[E float](c []E, s [4]E, add bool) {
	_ = c[3]
	if add {
		c[0], c[1], c[2], c[3] = c[0]+s[0], c[1]+s[1], c[2]+s[2], c[3]+s[3]
		return
	}
	c[0], c[1], c[2], c[3] = s[0], s[1], s[2], s[3]
}

// dot1x4 is four dot products at once. Go's compiler keeps these accumulators in
// registers; with tiles of two rows or more it spills, at half the speed.
func dot1x4[E float](a, b0, b1, b2, b3 []E) [4]E {
	var s0, s1, s2, s3 E
	b0, b1, b2, b3 = b0[:len(a)], b1[:len(a)], b2[:len(a)], b3[:len(a)]
	for k, x := range a {
		s0 += x * b0[k]
		s1 += x * b1[k]
		s2 += x * b2[k]
		s3 += x * b3[k]
	}
	return [4]E{s0, s1, s2, s3}
}

func dot[E float](a, b []E) E {
	var s E
	b = b[:len(a)]
	for k, x := range a {
		s += x * b[k]
	}
	return s
}
