// Package rounds goes through a list of stages several times as one job that
// resumes: a reward model, rejection sampling, fine-tuning, preference learning,
// PPO, each from the checkpoint of the one before (https://arxiv.org/abs/2407.21783,
// section 4). A stage is what align has a function for; which are done, and what came
// of what, is in the job's lineage.json.
package rounds
