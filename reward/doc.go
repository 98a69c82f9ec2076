// Package reward trains a reward model: an adapter and a linear head that give
// an answer a score, from answers that people or rules have put in order
// (https://arxiv.org/abs/2203.02155, section 3.5).
//
// group.go is the data, loss.go the loss, train.go the step, calibration.go the
// evaluation, load.go finds a trained model again, config.go has the settings.
// The score is the head at an answer's last token, its end-of-turn token; there
// is no padding. The K answers to a prompt share its tokens and do not see each
// other.
package reward
