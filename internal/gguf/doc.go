// Package gguf reads and writes GGUF, the model format of llama.cpp
// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), and converts its
// block formats to and from float32.
//
// File is an open file, or a set of split files, with its Metadata and its
// tensors; Write is the other direction; Dequantize and Quantize convert.
//
// Every count and length in a file is compared with the bytes that are left
// before anything is allocated, and files that llama.cpp refuses are refused.
// Versions 2 and 3, little-endian, are read; version 3 is written. The package
// knows no model: keys and tensor names are the caller's business.
package gguf
