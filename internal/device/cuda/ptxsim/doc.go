// Package ptxsim runs PTX, NVIDIA's virtual assembly, in Go, so that kernels
// are tested as they ship on a machine without a card.
//
// It follows the manual (PTX ISA 8.5) for one warp of 32 lanes at a time. Each
// instruction becomes a function over 32 lanes. Lanes have their own place in
// the program; the lowest place runs first, and lanes at an instruction of the
// whole warp wait for the others.
//
// It refuses what a card would let pass: registers and shared memory read
// before they are written, addresses outside buffers, data races in shared and
// global memory, copies that nobody waited for, barriers that not all threads
// reach, phases of an mbarrier that do not end. A [Fault] names the instruction, block, warp, lane and address.
//
// It says nothing of speed in seconds, registers per thread or whether
// NVIDIA's translator takes the text; the counters of [Stats] stand for the
// former. What the manual leaves open (the order of sums inside a matrix
// product, the last bits of approximations) may differ on a card.
package ptxsim
