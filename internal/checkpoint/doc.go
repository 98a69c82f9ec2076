// Package checkpoint is the one checkpoint format: a folder
// checkpoints/step-000123 in a run's folder, written whole or not at all, with
// a manifest of the size and SHA-256 of each file.
//
// Save writes one, Open finds the newest valid one of a run and says which it
// rejected and why, Retain removes old ones. A Part is a file of a checkpoint;
// what stands in it is the trainer's business.
//
// Open deletes nothing and repairs nothing: a folder that does not verify stays
// where it is.
package checkpoint
