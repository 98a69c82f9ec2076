// Package align runs one stage from one config: it picks the device, loads the
// model and the data, derives what the config leaves open and says so, trains,
// and keeps the run folder. SFT and DPO are the stages; Export and Score work
// on what they leave behind.
//
// It prints nothing: what there is to say goes to an Environment. The loop is
// in internal/train, the methods in sft and dpo.
package align
