package foreign

import (
	"fmt"
	"slices"
)

// cpoKeys are keys that TRL's CPOConfig alone has.
var cpoKeys = []string{"cpo_alpha", "simpo_gamma"}

// finishCPO reads the losses of CPOConfig, which have no reference: its sigmoid is
// cpo here. The chosen answers' likelihood counts beside each of them by cpo_alpha,
// which is 1 where the file does not say, with simpo too.
func (c *Config) finishCPO(entries []entry) error {
	loss, _ := lookUp(entries, "loss_type")
	if c.Method != "dpo" || !hasAny(entries, cpoKeys...) && c.textOf("loss") != "simpo" {
		return nil
	}
	switch name := c.textOf("loss"); name {
	case "", "sigmoid":
		c.put(Value{"loss", "cpo", loss.key, loss.line})
	case "simpo":
		alpha, _ := lookUp(entries, "cpo_alpha")
		weight := c.textOf("cpo_alpha")
		if weight == "" {
			weight = "1"
		}
		c.Values = slices.DeleteFunc(c.Values, func(v Value) bool { return v.Key == "cpo_alpha" })
		c.put(Value{"nll", weight, alpha.key, alpha.line})
	case "hinge", "ipo":
		return fmt.Errorf("line %d: loss_type: CPO's %s, which has no reference, is not to be had here", loss.line, name)
	}
	return nil
}

// noteSmoothing says where label_smoothing counts here alone.
func (c *Config) noteSmoothing(entries []entry) {
	e, ok := lookUp(entries, "label_smoothing")
	x, err := numberOf(e.value)
	if ok && err == nil && x > 0 && c.Method == "dpo" && slices.Contains([]string{"", "sigmoid"}, c.textOf("loss")) {
		c.leave(e, "counts here with the loss sigmoid, as conservative DPO; TRL 1.16 does not read it there: leave it out for the same loss")
	}
}
