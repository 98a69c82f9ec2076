// Package graph writes the decoder, its losses and their gradients as a
// Gorgonia expression graph.
//
// The types to know are Builder, which adds nodes and holds the first error;
// Op, the one symbolic operation behind every node of ours; and Info, the type
// and shape of a node. An Op names a kernel of package device, or carries a
// Runner, a program of its own. Gradients come from gorgonia.Backpropagate
// alone: an Op says only how the gradient of its output becomes the gradients
// of its inputs.
//
// Three phases are kept apart. While a graph is built, methods of Builder
// record the first error and return nil, so that a formula reads as a formula;
// ask Err once. Compiling (package exec) returns errors. Running returns the
// kernels' errors.
//
// Shape letters, used in all packages: B batch, T tokens of a pack, C hidden
// size, H query heads, K key/value heads, D head size, F feed-forward size,
// V vocabulary, R adapter rank, L layers, N positions with a target, S
// sequences (answers), P pairs.
//
// This package does not run graphs and knows nothing of devices beyond the
// names of their kernels.
package graph
