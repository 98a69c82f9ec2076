package foreign

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"align/internal/config"
	"align/internal/nearest"
)

// Config is a file of another tool as settings of ours.
type Config struct {
	// Tool is TRL, axolotl or LLaMA-Factory; Method is sft, dpo, reward or ppo.
	Tool, Method string
	// Values are in the file's order, then the tool's defaults.
	Values []Value
	// Left are the keys that have no meaning here.
	Left []Left
}

// Value is a setting of ours as text. From is the key that it comes from and Line
// its line; "" is a default of the tool.
type Value struct {
	Key, Text string
	From      string
	Line      int
}

// Left is a key of the file that was not carried over, and why.
type Left struct {
	Key    string
	Line   int
	Reason string
}

// tool is how the files of a tool are read. A rule carries a key over.
type tool struct {
	name  string
	rules map[string]rule
	// method is sft, dpo, reward or ppo, from what the file says; "" cannot tell.
	method func(entries []entry) (string, error)
	// finish sets what follows from several keys, or from one that is missing.
	finish func(c *Config, entries []entry) error
}

// Convert reads a file of another tool; name stands in the errors. method is
// sft, dpo, reward or ppo, or "" to tell it from the file. All faults are returned
// at once.
func Convert(name string, data []byte, method string) (*Config, error) {
	entries, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	t, err := recognise(entries)
	if err != nil {
		return nil, fmt.Errorf("foreign: %s: %w", name, err)
	}
	c := &Config{Tool: t.name, Method: method}
	if method == "" {
		if c.Method, err = t.method(entries); err != nil {
			return nil, fmt.Errorf("foreign: %s: %w", name, err)
		}
	}
	var errs []error
	for _, e := range entries {
		if err := c.carry(t, e); err != nil {
			errs = append(errs, fmt.Errorf("foreign: %s:%d: %s: %w", name, e.line, e.key, err))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if err := t.finish(c, entries); err != nil {
		return nil, fmt.Errorf("foreign: %s: %w", name, err)
	}
	return c, nil
}

// recognise tells the tool by keys that only its files have.
func recognise(entries []entry) (*tool, error) {
	switch {
	case hasAny(entries, "base_model"):
		return axolotl(), nil
	case hasAny(entries, "finetuning_type", "stage", "cutoff_len", "pref_beta", "dataset_dir"):
		return llamaFactory(), nil
	}
	t := trl()
	for _, e := range entries {
		if t.rules[e.key] != nil {
			return t, nil
		}
	}
	return nil, errors.New("no key is one of TRL, axolotl or LLaMA-Factory")
}

// carry applies the rule of an entry's key. A key without one is left, with the
// advice that a settings file of ours gives on it.
func (c *Config) carry(t *tool, e entry) error {
	if r := t.rules[e.key]; r != nil {
		return r(c, e)
	}
	if strings.HasPrefix(e.key, "wandb_") || strings.HasPrefix(e.key, "mlflow_") || strings.HasPrefix(e.key, "hub_") || strings.HasPrefix(e.key, "push_to_hub") {
		c.leave(e, "nothing is sent anywhere")
		return nil
	}
	if advice, ok := config.Foreign(e.key); ok {
		c.leave(e, "%s", strings.TrimPrefix(advice, "leave it out: "))
		return nil
	}
	known := make([]string, 0, len(t.rules))
	for key := range t.rules {
		known = append(known, key)
	}
	slices.Sort(known)
	if near := nearest.Name(e.key, known); near != "" {
		c.leave(e, "unknown, did you mean %s", near)
		return nil
	}
	c.leave(e, "align has no such setting")
	return nil
}

// set takes a value over from an entry; a later one of the same key replaces it.
func (c *Config) set(key, text string, e entry) {
	c.put(Value{key, text, e.key, e.line})
}

// fallback sets what the tool does where its file says nothing.
func (c *Config) fallback(key, text string) {
	if !c.has(key) {
		c.put(Value{Key: key, Text: text})
	}
}

func (c *Config) put(v Value) {
	if i := slices.IndexFunc(c.Values, func(have Value) bool { return have.Key == v.Key }); i >= 0 {
		c.Values[i] = v
		return
	}
	c.Values = append(c.Values, v)
}

func (c *Config) has(key string) bool {
	return slices.ContainsFunc(c.Values, func(v Value) bool { return v.Key == key })
}

// leave says why an entry is not carried over.
func (c *Config) leave(e entry, format string, args ...any) {
	c.Left = append(c.Left, Left{e.key, e.line, fmt.Sprintf(format, args...)})
}
