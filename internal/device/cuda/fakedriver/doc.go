// Package fakedriver is an NVIDIA driver made of Go functions behind addresses
// in the C calling convention, so that tests run the real binding (names,
// arguments, threads, errors) on a machine without a card. It runs on Linux.
//
// It shows that calls and arguments arrive as they should. A kernel is whatever
// Go function the test puts under its name: nothing is said of PTX.
package fakedriver
