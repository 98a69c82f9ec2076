// Package fakecublaslt is a cuBLASLt made of Go functions behind addresses in
// the C calling convention, for tests on a machine without one. It follows
// cublasLt.h: matrices are stored by columns, types and attributes are numbers
// of its enumerations.
package fakecublaslt
