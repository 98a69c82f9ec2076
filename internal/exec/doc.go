// Package exec compiles an expression graph and runs it: Compile orders the
// steps and plans the memory, Bind puts the plan on a device, and the resulting
// Program, a gorgonia.VM, runs without allocating.
//
// The types to know are Spec (what to compute, and which outputs land in the
// caller's buffers), Plan, Program and Sub. A Sub is an inner graph that stands
// as one op in an outer one: all decoder layers of a kind share one, and its
// SavePolicy says which of its values survive to the backward pass and which
// are computed again.
//
// Gorgonia's own machine keeps every value alive and compiles in quadratic
// time; it is the oracle of this package's tests.
package exec
