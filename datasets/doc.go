// Package datasets turns files into what is trained on: records of every format that
// is known become examples, pairs, labelled answers or prompts as token ids, by the
// model's chat template, and these are laid into packs.
//
// The types to know are Example, Pair, Unpaired and Prompt (one record each), Template
// (messages to ids), Options and Summary (how a file is read, and what was left out),
// Order (which records make a step) and Pack. recognise.go tells formats apart,
// template.go renders, pack.go lays out. A record that cannot be used is counted and
// named by its place.
package datasets
