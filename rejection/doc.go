// Package rejection is rejection sampling: many answers to each prompt, a score
// for every one, and the best kept as data for fine-tuning
// (https://arxiv.org/abs/2307.09288, section 3.2.3).
//
// The type to know is Job. prompt.go says what a prompt is and which shard has
// it, sample.go draws and scores, journal.go keeps what is drawn, so that an
// interrupted job goes on with the next sample, row.go is samples.jsonl,
// choose.go makes sft.jsonl and pairs.jsonl of it, merge.go joins shards. Equal
// seeds give equal files, whatever the number of shards, threads or restarts.
package rejection
