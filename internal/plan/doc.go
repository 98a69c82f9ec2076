// Package plan is what a run takes in memory and time, and the largest that fits,
// from its settings, the model's shape and the lengths of its records: no weight is
// read. A run asks it for the save policy that fits before it begins; align plan
// prints all of it.
package plan
