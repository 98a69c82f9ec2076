// Package kern is the innermost loops of the host backend: tiles of matrix
// products, the packers that feed them, and functions on vectors of float32.
//
// Set is the type to know: the functions of one feature.Level, from New. Each
// exists in generated assembly for AVX2 and AVX-512 and as a twin in Go, which
// is the portable level and the tests' oracle. A function's result depends on
// its operands and their length alone, not on where they lie.
//
// A product's operands are panels of words of 32 bits. A word is one float32,
// or two bfloat16 whose indices along K are 2k and 2k+1:
//
//	a panel of A  [K words][rows]  up to MaxRows rows
//	a panel of B  [K words][32]    Cols columns
//
// The package does no threading and no blocking: package gemm does. It checks
// lengths by slicing; the functions on pointers, for package gemm alone, check
// nothing.
package kern

//go:generate go run ./gen -dir .
