// Package fakedriver is an NVIDIA driver made of Go functions behind addresses
// in the C calling convention, so that tests run the real binding (names,
// arguments, threads, errors) on a machine without a card. It runs on Linux.
//
// It shows that calls and arguments arrive as they should. A kernel is a Go
// function that the test puts under its name, or runs from its PTX in
// [align/internal/device/cuda/ptxsim].
package fakedriver
