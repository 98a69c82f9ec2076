package sft

import (
	"strings"
	"testing"
)

func TestConfigValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string // "" means valid
	}{
		{"the defaults with data", func(*Config) {}, ""},
		{"the mean over examples", func(c *Config) { c.LossMean = "sequence" }, ""},
		{"no data", func(c *Config) { c.Data = "" }, "data is missing"},
		{"another mean", func(c *Config) { c.LossMean = "" }, `loss_mean must be one of token, sequence, got ""`},
		{"a shared setting", func(c *Config) { c.Warmup = -1 }, "warmup must lie in"},
	} {
		c := DefaultConfig()
		c.Data = "data.jsonl"
		tc.change(&c)
		err := c.Validate()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.want)
		}
	}
}
