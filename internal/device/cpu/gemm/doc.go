// Package gemm multiplies matrices on the host with the tiles of package kern.
//
// Engine runs a Product: y = x w with w a plain float32 matrix or a Packed
// weight, in float32 or with both sides rounded to bfloat16 and summed in
// float32. Packed is a frozen weight in the order in which the tiles read it:
// one copy serves the forward product, the gradient of its input, decoding and
// the look-up of rows.
//
// A low-rank product (LoRA) joins as one more segment of K: x is packed once
// for both, and each tile of y is finished while it is hot. On AMX the panels of
// a left side serve again where its rows are summed over, in the gradients of
// a weight (Weight.Left).
//
// A sum over K is never split over tasks and its blocks begin at 0, so a row
// of y has the same bits whatever the number of rows, its place among them
// and the number of threads.
//
// The package allocates nothing once an Engine exists: the caller provides the
// pool of workers and all workspace.
package gemm
