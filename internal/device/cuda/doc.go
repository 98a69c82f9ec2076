// Package cuda runs the kernels of package device on an NVIDIA card: [Open]
// takes a card, and the [Backend] is used like any other. Activations are
// bfloat16 (or float32, for comparison), sums and trained values float32.
//
// Kernels (package kernels) only enqueue on the backend's one stream; Download
// and Sync wait. Nothing is checked on the card: an index outside its table,
// which device/cpu names, ends in a lost device here.
package cuda
