// Package cublaslt multiplies matrices with NVIDIA's cuBLASLt where one is
// found on the machine. It is loaded like the driver, never linked: without it
// our own kernels do the same work. [Open] finds it, a [Handle] belongs to a
// card, and a [Product] is one shape with the algorithm that the library chose.
//
// Numbers of enumerations and the layout of structures are those of cublasLt.h
// (CUDA 11 to 13). No card has run this package yet: its tests use a library
// made of Go functions.
package cublaslt
