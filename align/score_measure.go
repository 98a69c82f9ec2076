package align

import (
	"fmt"
	"strconv"

	"align/dpo"
	"align/internal/checkpoint"
	"align/internal/runfolder"
	"align/internal/train"
)

// measure is how training tells the rewards of pairs: by sums of log-probabilities,
// or by their means over an answer's tokens under losses that compare those.
type measure struct {
	loss       dpo.Weighted
	beta       float64
	maskFormat bool
}

// measure is that of the loss that is named, or of the run that the policy is of; else
// dpo's own.
func (o PairScoreOptions) measure(env Environment) (measure, error) {
	c := dpo.DefaultConfig()
	own := o.trainedBy()
	name, beta := own["setting loss"], own["setting beta"]
	ofRun := o.Loss == "" && name != ""
	switch {
	case o.Loss != "":
		c.Loss = o.Loss
	case ofRun:
		c.Loss, c.MaskFormat = name, own["setting mask_format"] == "on"
	}
	if x, err := strconv.ParseFloat(beta, 64); ofRun && err == nil {
		c.Beta = x
	}
	if o.Beta != 0 {
		c.Beta = o.Beta
	}
	loss, err := dpo.ParseWeighted(c.Loss)
	m := measure{loss, c.Beta, c.MaskFormat}
	if ofRun && err == nil {
		env.note(fmt.Sprintf("rewards: of the loss %s, beta %v, as %s was trained", loss, m.beta, o.Adapter))
	}
	return m, err
}

// trainedBy are the settings of the run of dpo that the policy is of; empty where it is
// of none.
func (o PairScoreOptions) trainedBy() map[string]string {
	folder, err := runfolder.AdapterFolder(o.Adapter)
	if err != nil || !has(folder, "MANIFEST.json") {
		return nil
	}
	c, err := checkpoint.Open(folder)
	if err != nil {
		return nil // who reads the adapter tells what is wrong with it
	}
	if s, err := train.ReadState(c); err == nil && s.Method == "dpo" {
		return s.Lineage
	}
	return nil
}

// noReference says that the policy is compared with nothing.
func (by measure) noReference() string {
	if by.loss.PerToken() {
		return "off: rewards are beta times the mean log-probability of an answer's tokens"
	}
	return "off: rewards are beta times log-probabilities"
}
