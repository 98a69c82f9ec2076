// Package train is the one training loop. It accumulates micro-steps, checks,
// updates, evaluates, saves and reports; it knows no method.
//
// A method gives it a Source (the micro-batches of each optimizer step, with a
// state that can be saved), a Method (forward and backward of one micro-batch)
// and a Subject (the trained buffers and their files). PPO's rollouts are a
// Source like any other. loop.go has the interfaces and Run, step.go the step.
//
// A checkpoint holds the subject's files, optimizer.safetensors (AdamW's moments
// in the buffers' own type) and state.json: everything that a resumed run needs
// to go on bit for bit on the same device. metrics.jsonl in the run's folder has
// a line per step; a resume cuts it back to its checkpoint. Nothing that is NaN
// or infinite decides over an update or gets into a checkpoint.
package train
