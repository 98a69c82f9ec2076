package foreign

import (
	"maps"
	"slices"
	"strconv"

	"github.com/goccy/go-yaml"
)

// schedules are Transformers' names of learning rate schedules that exist here.
var schedules = map[string]string{
	"linear": "linear", "cosine": "cosine", "constant": "constant", "constant_with_warmup": "constant", "cosine_with_min_lr": "cosine_with_min_lr",
	"cosine_with_restarts": "cosine_with_restarts", "polynomial": "polynomial", "inverse_sqrt": "inverse_sqrt", "warmup_stable_decay": "warmup_stable_decay",
}

// schedulerKwargs is Transformers' key of a schedule's own settings.
const schedulerKwargs = "lr_scheduler_kwargs"

// finishSchedule carries a schedule's own settings over. It comes after all that
// settles the schedule and the learning rate.
func (c *Config) finishSchedule(entries []entry) {
	if named := find(entries, "lr_scheduler_type"); named == "constant" || find(entries, "lr_scheduler") == "constant" {
		c.put(Value{Key: "warmup", Text: "0"}) // get_scheduler gives constant no warm-up
	}
	kind := c.textOf("schedule")
	for _, e := range entries {
		switch e.key {
		case schedulerKwargs:
			c.scheduleParts(kind, e)
		case "cosine_min_lr_ratio": // axolotl's, of lr_scheduler: cosine
			c.leastRate(kind, e)
		}
	}
	if kind == "polynomial" && !c.has("min_lr_rate") {
		c.shareOfRate(entry{value: 1e-7}) // get_polynomial_decay_schedule_with_warmup's lr_end
	}
}

// scheduleParts reads the mapping of a schedule's settings, which may be a text
// of JSON.
func (c *Config) scheduleParts(kind string, e entry) {
	parts, ok := e.value.(map[string]any)
	if s, text := e.value.(string); text {
		ok = yaml.Unmarshal([]byte(s), &parts) == nil
	}
	if !ok {
		c.leave(e, "want a mapping of a schedule's settings")
		return
	}
	for _, key := range slices.Sorted(maps.Keys(parts)) {
		c.schedulePart(kind, key, entry{key: e.key + "." + key, line: e.line, value: parts[key]})
	}
}

// partReaders are the schedules that read a part, by Transformers' key.
var partReaders = map[string][]string{
	"min_lr_rate": {"cosine_with_min_lr"}, "min_lr": {"cosine_with_min_lr"}, "num_cycles": {"cosine_with_restarts"},
	"power": {"polynomial"}, "lr_end": {"polynomial"}, "num_decay_steps": {"warmup_stable_decay"}, "min_lr_ratio": {"warmup_stable_decay"},
}

func (c *Config) schedulePart(kind, key string, e entry) {
	x, err := numberOf(e.value)
	switch {
	case key == "warmup_type" && e.value == "linear", key == "decay_type" && e.value == "cosine": // as here
	case !slices.Contains(partReaders[key], kind):
		c.leave(e, "the schedule %s has no such setting here", kind)
	case err != nil:
		c.leave(e, "%v", err)
	case key == "min_lr" || key == "lr_end":
		c.shareOfRate(e)
	case key == "min_lr_ratio":
		c.set("min_lr_rate", formatNumber(x), e)
	case key == "num_decay_steps":
		c.set("decay", formatNumber(x), e)
	default:
		c.set(key, formatNumber(x), e)
	}
}

// leastRate is axolotl's share for a plain cosine.
func (c *Config) leastRate(kind string, e entry) {
	x, err := numberOf(e.value)
	switch {
	case err != nil:
		c.leave(e, "%v", err)
	case kind != "cosine":
		c.leave(e, "the schedule %s has no such setting here", kind)
	case x > 0:
		c.set("schedule", "cosine_with_min_lr", e)
		c.set("min_lr_rate", formatNumber(x), e)
	}
}

// shareOfRate carries a least rate over, which is a share of the peak here.
func (c *Config) shareOfRate(e entry) {
	x, _ := numberOf(e.value)
	peak, err := strconv.ParseFloat(c.textOf("learning_rate"), 64)
	if err != nil || !(peak > 0) {
		c.leave(e, "use min_lr_rate, a share of learning_rate")
		return
	}
	c.put(Value{Key: "min_lr_rate", Text: formatNumber(x / peak), From: e.key, Line: e.line})
}

// textOf is the value of a key of ours, or "".
func (c *Config) textOf(key string) string {
	for _, v := range c.Values {
		if v.Key == key {
			return v.Text
		}
	}
	return ""
}
