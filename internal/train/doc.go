// Package train is the one training loop. It accumulates micro-steps, checks,
// updates, evaluates, saves and reports; it knows no method.
//
// A method gives it a Source (the micro-batches of each optimizer step, with a
// state that can be saved) and a Method (forward and backward of one
// micro-batch). PPO's rollouts are a Source like any other. Everything that a
// resumed run needs to go on bit for bit is in the checkpoint.
package train
