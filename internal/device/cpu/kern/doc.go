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
//	a panel of A  [K words][rows]              up to Products.Rows rows
//	a panel of A  [K words/16][rows][16 words]  for the tiles of AMX
//	a panel of B  [K words][32]                Cols columns
//
// The second form is that of Products whose Depth is 16; zeros fill its last 16
// words up. PackLeft and PackLeftColumns write the form that the level has. B is
// the same on every level: two tiles of AMX lie side by side in it, the rows of
// each 128 bytes apart.
//
// The package does no threading and no blocking: package gemm does. It checks
// lengths by slicing; the functions on pointers, for package gemm alone, check
// nothing.
package kern

//go:generate go run ./gen -dir .
