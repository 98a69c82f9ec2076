// Package cpu is the host's device.Backend: every kernel of package device in
// portable Go, generic over float32 and float64, and for float32 those that
// take time in machine code, spread over a pool of workers.
//
// Backend is the type to know; New makes one. Kernels are bound by name, keep
// their working state from Bind on and allocate nothing when they run. Memory
// lies outside the Go heap where the system allows it.
//
// Each reduction has one fixed order: a sum over K is never split over
// workers, blocks of K begin at 0, blocks of keys at the start of their
// segment. So a row's bits depend on neither the thread count nor the rows
// beside it.
//
// It knows no graph and no model, and it never widens a frozen weight as a
// whole: weights are widened block by block inside the products. Machine code
// (type fast) reads F32 and BF16 weights from panels that Place makes once.
package cpu
