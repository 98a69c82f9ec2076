// Package plan is what a run takes in memory and time, and the largest that fits,
// from its settings, the model's shape and the lengths of its records: no weight is
// read. A run asks it for the save policy that fits before it begins; align plan
// prints all of it.
//
// The types to know are Stage (what it goes by), Extent (what one record takes of a
// pack), Draws (what a run samples) and Plan. size.go deals records to packs,
// memory.go sizes sessions, fit.go finds what fits, speed.go and time.go measure;
// sampled.go, ppo.go and rejection.go are for runs that sample.
package plan
