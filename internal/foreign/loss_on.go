package foreign

// lossOnIf trains on what loss_on names where the entry is true; false is what
// happens here anyway.
func lossOnIf(what string) rule {
	return func(c *Config, e entry) error {
		on, err := truthOf(e.value)
		if err == nil && on {
			c.lossOn(what, e)
		}
		return err
	}
}

// lossOn sets loss_on, which sft alone has.
func (c *Config) lossOn(what string, e entry) {
	if c.Method != "sft" {
		c.leave(e, "align %s trains on the answers", c.Method)
		return
	}
	c.set("loss_on", what, e)
}

// finishLossOn reads TRL's two switches. By its defaults TRL trains on the
// completion where there is one and else on every token, which goes by the data:
// where the file leaves that open so does this, with a line.
func (c *Config) finishLossOn(entries []entry) {
	var completion, assistant *bool
	var last entry
	for _, e := range entries {
		on, err := truthOf(e.value)
		switch {
		case err != nil:
			continue
		case e.key == "completion_only_loss":
			completion, last = &on, e
		case e.key == "assistant_only_loss":
			assistant = &on
			if completion == nil {
				last = e
			}
		}
	}
	switch {
	case completion != nil && *completion:
		c.lossOn("completion", last)
	case assistant != nil && *assistant:
		c.lossOn("assistant", last)
	case completion != nil:
		c.lossOn("all", last)
	case c.Method == "sft" && !hasAny(entries, "dataset_text_field"):
		c.Left = append(c.Left, Left{"assistant_only_loss", last.line, "where it is not true TRL trains on every token of conversations without a completion: loss_on: all does that here"})
	}
}
