package foreign

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// strategy names the keys of one of the two things that are done now and then, and
// what a tool does where its file does not say.
type strategy struct {
	// key is our setting.
	key string
	// words are the keys that say epoch, steps or no; number says how many steps,
	// or what share of the run; perEpoch how often in an epoch.
	words            []string
	number, perEpoch string
	// word stands for a missing one. steps stands for a missing number, after that
	// of the key instead.
	word, instead, steps string
}

// evaluations and saves of Transformers (training_args.py): a missing eval_steps is
// logging_steps.
func evaluations() strategy {
	return strategy{
		key: "eval_every", words: []string{"eval_strategy", "evaluation_strategy"}, number: "eval_steps", perEpoch: "evals_per_epoch",
		word: "no", instead: "logging_steps", steps: "500",
	}
}

func saves() strategy {
	return strategy{
		key: "save_every", words: []string{"save_strategy"}, number: "save_steps", perEpoch: "saves_per_epoch",
		word: "steps", steps: "500",
	}
}

// finishEvery carries over how often the file's run is evaluated and saved.
func (c *Config) finishEvery(entries []entry, list ...strategy) {
	for _, s := range list {
		word := s.find(entries)
		switch plainText(word.value) {
		case "epoch":
			c.set(s.key, "1epoch", word)
			c.unused(entries, "not read with "+word.key+" epoch", s.number)
		case "steps", "null":
			c.everySteps(entries, s)
		case "no", "false": // YAML 1.1's no
			c.none(entries, s, word)
		case "best":
			c.set(s.key, "0", word)
			c.leave(word, "the best checkpoint is kept beside the last one here, by every evaluation")
		default:
			c.leave(word, "want epoch, steps or no: use %s", s.key)
		}
	}
}

// find is the entry that says epoch, steps or no. A number of steps alone means
// steps where the tool's own word is not no.
func (s strategy) find(entries []entry) entry {
	for _, e := range entries {
		for _, key := range s.words {
			if e.key == key {
				return e
			}
		}
	}
	return entry{value: s.word}
}

// none does nothing between the ends, as far as the file does nothing at all.
func (c *Config) none(entries []entry, s strategy, word entry) {
	if s.key == "save_every" {
		c.set(s.key, "0", word)
	}
	c.unused(entries, "nothing is evaluated there, as eval_strategy is no: use "+s.key, s.number, s.perEpoch)
}

// unused leaves the entries of keys.
func (c *Config) unused(entries []entry, reason string, keys ...string) {
	for _, key := range keys {
		if e, ok := lookUp(entries, key); ok && !isSwitchedOff(e) {
			c.leave(e, "%s", reason)
		}
	}
}

// everySteps takes the first number that the file has, or the tool's.
func (c *Config) everySteps(entries []entry, s strategy) {
	for _, key := range []string{s.number, s.perEpoch, s.instead} {
		e, ok := lookUp(entries, key)
		if !ok || isSwitchedOff(e) {
			continue
		}
		value := interval(e)
		if key == s.perEpoch {
			x, _ := numberOf(e.value) // its rule has read it
			value = formatNumber(1/x) + "epoch"
		}
		c.set(s.key, value, e)
		return
	}
	c.fallback(s.key, s.steps)
}

// interval is a number of steps or a share of the run as our settings write it.
func interval(e entry) string {
	x, _ := numberOf(e.value) // its rule has read it
	return strconv.FormatFloat(x, 'f', -1, 64)
}

// isSwitchedOff says that a number is one that the tools take for none.
func isSwitchedOff(e entry) bool {
	x, err := numberOf(e.value)
	return err == nil && x <= 0
}

func lookUp(entries []entry, key string) (e entry, ok bool) {
	for _, e := range entries {
		if e.key == key && key != "" {
			return e, true
		}
	}
	return entry{}, false
}

// stepsOrShare reads a number of steps, or below 1 a share of the run; finishEvery
// carries it over.
func stepsOrShare(_ *Config, e entry) error {
	x, err := numberOf(e.value)
	if err == nil && x > 1 && x != math.Trunc(x) {
		return fmt.Errorf("want a whole number of steps, or a share of the run below 1, got %v", x)
	}
	return err
}

// loggingSteps is read beside eval_steps; every step is logged here.
func loggingSteps(c *Config, e entry) error {
	c.leave(e, "every step is logged")
	return stepsOrShare(c, e)
}

// timesPerEpoch reads a number; finishEvery carries it over.
func timesPerEpoch(_ *Config, e entry) error {
	_, err := numberOf(e.value)
	return err
}

// strategyWord reads a word; finishEvery carries it over.
func strategyWord(_ *Config, e entry) error {
	switch e.value.(type) {
	case string, bool:
		return nil
	}
	return fmt.Errorf("want epoch, steps or no, got %s", strings.TrimSpace(plainText(e.value)))
}
