// Package optim turns gradients into updates: AdamW over flat buffers on a
// device, clipping by the global norm, and learning-rate schedules.
//
// The types to know are Schedule, Flat (one set of flat buffers) and AdamW.
// Sources: https://arxiv.org/abs/1711.05101 (AdamW) and the schedules of
// Hugging Face Transformers. It knows no model and no method.
package optim
