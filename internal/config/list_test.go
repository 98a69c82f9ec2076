package config

import (
	"strings"
	"testing"
)

type listConfig struct {
	Data  string `yaml:"data" config:"list"`
	Model string `yaml:"model"`
	Names string `yaml:"targets" config:"names"`
}

func TestLists(t *testing.T) {
	for _, tc := range []struct{ name, text, want, err string }{
		{"block", "data:\n- a.jsonl:0.7\n- \"b c.jsonl:0.3\"\n", "a.jsonl:0.7,b c.jsonl:0.3", ""},
		{"flow", "data: [a.jsonl, b.jsonl]", "a.jsonl,b.jsonl", ""},
		{"one text", "data: a.jsonl:0.7,b.jsonl:0.3", "a.jsonl:0.7,b.jsonl:0.3", ""},
		{"nested", "data: [[a]]", "", "x.yaml:1: data: want one value, got a list"},
		{"an empty item", "data:\n-\n- a", "", "has no value"},
		{"names", "data: x\ntargets: [q_proj, v_proj]", "x", ""},
		{"a file of TRL's", "lora_r: 8\noutput_dir: a\nmax_steps: 3", "", "config: x.yaml: its keys are another tool's: align import-config x.yaml prints them in ours"},
		{"no list", "model: [a, b]", "", "x.yaml:1: model: want one value, got a list"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c listConfig
			_, err := parse("x.yaml", []byte(tc.text), Fields(&c))
			switch {
			case tc.name == "names" && c.Names != "q_proj,v_proj":
				t.Errorf("targets are %q", c.Names)
			case tc.err == "" && (err != nil || c.Data != tc.want):
				t.Errorf("%q, %v, want %q", c.Data, err, tc.want)
			case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("%v, want %s", err, tc.err)
			}
		})
	}
}
