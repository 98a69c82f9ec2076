package foreign

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// rule carries an entry over or leaves it with a reason; an error is of a value
// that the tool would refuse.
type rule func(c *Config, e entry) error

// text carries one text over.
func text(key string) rule {
	return func(c *Config, e entry) error {
		s, ok := e.value.(string)
		if !ok {
			return fmt.Errorf("want a text, got %s", plainText(e.value))
		}
		c.set(key, s, e)
		return nil
	}
}

// number carries a number over.
func number(key string) rule {
	return func(c *Config, e entry) error {
		x, err := numberOf(e.value)
		if err != nil {
			return err
		}
		c.set(key, formatNumber(x), e)
		return nil
	}
}

// whole carries a whole number over. A negative one means that the tool does
// not use it.
func whole(key string) rule {
	return func(c *Config, e entry) error {
		x, err := numberOf(e.value)
		switch {
		case err != nil:
			return err
		case x < 0:
			return nil
		case x != math.Trunc(x):
			c.leave(e, "want a whole number here, got %v", x)
			return nil
		}
		c.set(key, strconv.FormatFloat(x, 'f', 0, 64), e)
		return nil
	}
}

// truth carries on or off over.
func truth(key string) rule {
	return func(c *Config, e entry) error {
		on, err := truthOf(e.value)
		if err != nil {
			return err
		}
		c.set(key, map[bool]string{true: "on", false: "off"}[on], e)
		return nil
	}
}

// choice carries a word over to ours; a word that has none here is left.
func choice(key string, words map[string]string) rule {
	return func(c *Config, e entry) error {
		word := plainText(e.value)
		ours, ok := words[word]
		if !ok {
			c.leave(e, "%s is not to be had here", word)
			return nil
		}
		c.set(key, ours, e)
		return nil
	}
}

// lossWord carries the name of a loss over. One that is not to be had here is an
// error: left out, the file would train something else.
func lossWord(words map[string]string) rule {
	return func(c *Config, e entry) error {
		ours, ok := words[plainText(e.value)]
		if !ok {
			return fmt.Errorf("there is no loss %s here", plainText(e.value))
		}
		c.set("loss", ours, e)
		return nil
	}
}

// same is of a key whose listed values are what happens here anyway; others are
// left with a reason.
func same(reason string, values ...string) rule {
	return func(c *Config, e entry) error {
		if !slices.Contains(values, plainText(e.value)) {
			c.leave(e, "%s", reason)
		}
		return nil
	}
}

// noted is of a key that is read with others when all are known.
func noted(*Config, entry) error { return nil }

// switched is noted of on or off.
func switched(_ *Config, e entry) error {
	_, err := truthOf(e.value)
	return err
}

// without leaves a key with a reason.
func without(reason string) rule {
	return func(c *Config, e entry) error {
		c.leave(e, "%s", reason)
		return nil
	}
}

// modules carries LoRA targets over, a list or one text.
func modules(c *Config, e entry) error {
	names := plainText(e.value)
	if names == "all" || names == "all-linear" {
		names = "all-linear"
	}
	if strings.ContainsAny(names, `^$*+?()[]|\`) {
		c.leave(e, "a regular expression: name the modules")
		return nil
	}
	c.set("targets", strings.ReplaceAll(names, " ", ""), e)
	return nil
}

// savedModules carries the modules that are trained whole over.
func savedModules(c *Config, e entry) error {
	var kept, other []string
	for _, name := range names(e.value) {
		if name == "embed_tokens" || name == "lm_head" {
			kept = append(kept, name)
		} else {
			other = append(other, name)
		}
	}
	if len(kept) > 0 {
		c.set("modules_to_save", strings.Join(kept, ","), e)
	}
	if len(other) > 0 {
		c.leave(e, "of %s only embed_tokens and lm_head can be trained whole", strings.Join(other, ", "))
	}
	return nil
}

// layerList carries the numbers of the layers with an adapter over.
func layerList(c *Config, e entry) error {
	for _, text := range names(e.value) {
		if n, err := strconv.Atoi(text); err != nil || n < 0 {
			return fmt.Errorf("want the numbers of layers, got %s", plainText(e.value))
		}
	}
	c.set("layers", strings.Join(names(e.value), ","), e)
	return nil
}

// bestMetric carries a metric over that is measured here; the tools take it
// with or without "eval_".
func bestMetric(c *Config, e entry) error {
	name := "eval_" + strings.TrimPrefix(plainText(e.value), "eval_")
	measured := name == "eval_loss" || c.Method == "dpo" && strings.HasPrefix(name, "eval_rewards/") ||
		c.Method == "reward" && name == "eval_accuracy" || c.Method != "reward" && name == "eval_mean_token_accuracy"
	if !measured {
		c.leave(e, "%s is not measured here", plainText(e.value))
		return nil
	}
	c.set("best", name, e)
	return nil
}

// reportTo takes TensorBoard's files; nothing is sent to a server by a file's
// bare word.
func reportTo(c *Config, e entry) error {
	var other []string
	for _, name := range names(e.value) {
		switch name {
		case "tensorboard":
			c.set("tensorboard", "on", e)
		case "none":
		default:
			other = append(other, name)
		}
	}
	if len(other) > 0 {
		c.leave(e, "nothing is sent to %s; the metrics lie in the run folder; track: mlflow:URL posts to a server", strings.Join(other, ", "))
	}
	return nil
}

// packed carries packing over, and says what becomes of the batch.
func packed(c *Config, e entry) error {
	on, err := truthOf(e.value)
	if err != nil {
		return err
	}
	c.set("packing", map[bool]string{true: "on", false: "off"}[on], e)
	if on && c.Method == "sft" {
		c.leave(e, "on here too, but a batch is of packs of max_length tokens there and of records here: raise batch by the records of a pack")
	}
	return nil
}

// quantizeIf holds the base's weights as kind where the entry is true.
func quantizeIf(kind string) rule {
	return func(c *Config, e entry) error {
		on, err := truthOf(e.value)
		if err == nil && on {
			c.set("quantize", kind, e)
		}
		return err
	}
}

// noisy carries NEFTune's strength over, which sft alone has.
func noisy(c *Config, e entry) error {
	if c.Method != "sft" {
		c.leave(e, "noise on the embeddings is of align sft alone")
		return nil
	}
	return number("neftune_noise_alpha")(c, e)
}

// warmupSteps and warmupRatio share one key here; a number of steps above 0
// goes before a ratio, as in Transformers.
func warmupSteps(c *Config, e entry) error {
	x, err := numberOf(e.value)
	if err != nil || x == 0 && c.has("warmup") {
		return err
	}
	c.set("warmup", formatNumber(x), e)
	return nil
}

func warmupRatio(c *Config, e entry) error {
	x, err := numberOf(e.value)
	switch {
	case err != nil:
		return err
	case x < 0 || x > 1:
		return fmt.Errorf("want a ratio from 0 to 1, got %v", x)
	case x == 1:
		c.leave(e, "warmup is a fraction below 1 or a number of steps")
		return nil
	}
	for _, v := range c.Values {
		if v.Key == "warmup" && v.Text != "0" {
			return nil
		}
	}
	c.set("warmup", formatNumber(x), e)
	return nil
}

func numberOf(v any) (float64, error) {
	switch v := v.(type) {
	case uint64:
		return float64(v), nil
	case int64:
		return float64(v), nil
	case int:
		return float64(v), nil
	case float64:
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			return v, nil
		}
	case string: // YAML 1.1 takes 1e-5 for a text, and the tools read it as a number
		if x, err := strconv.ParseFloat(v, 64); err == nil && !math.IsNaN(x) && !math.IsInf(x, 0) {
			return x, nil
		}
	}
	return 0, fmt.Errorf("want a number, got %s", plainText(v))
}

func truthOf(v any) (bool, error) {
	switch v {
	case true, "true", "True", "yes", "on":
		return true, nil
	case false, "false", "False", "no", "off":
		return false, nil
	}
	return false, errors.New("want true or false, got " + plainText(v))
}

func formatNumber(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
