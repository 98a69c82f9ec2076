// Package score gives answers numbers: by a rule, by a command, or by a reward
// model.
//
// The types to know are Scorer and Item. Parse makes a scorer of a rule's name;
// Model is a reward model. All calls a scorer and refuses what is no score.
package score
