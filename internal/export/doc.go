// Package export writes what a run has trained for other programs: the adapter as
// GGUF or PEFT, or a model with it merged, as a GGUF or a Hugging Face folder, with a
// card that says what it was made of. It reads back what it wrote and compares logits.
package export
