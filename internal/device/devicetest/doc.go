// Package devicetest holds one device.Backend to the contract of package
// device: every kernel, at awkward sizes, against plain float64 oracles.
//
// Run is the suite; Same compares two backends of one kind bit for bit. Around
// every view lie guard bytes that read as NaN, outputs start as NaN, inputs
// must come back unchanged. It knows no backend: the caller opens one.
package devicetest
