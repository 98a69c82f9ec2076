package foreign

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// methodOf is the method under which a heading's rows are read.
var methodOf = map[string]string{
	"## Names": "sft", "### SFTConfig": "sft", "### DPOConfig and KTOConfig": "dpo", "### CPOConfig": "dpo", "### RewardConfig": "reward", "### GRPOConfig and RLOOConfig": "ppo", "### PPOConfig": "ppo",
}

// Each row of docs/from-trl.md's tables of names is what the converter makes of it.
func TestFromTRL(t *testing.T) {
	page, err := os.ReadFile("../../docs/from-trl.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("^\\| `([^`]+: [^`]+)` \\| `([^`]+): ([^`]+)` \\|$")
	heading, rows := "", map[string]int{}
	for line := range strings.Lines(string(page)) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "#") {
			heading = line
		}
		m := row.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		rows[heading]++
		// model_revision tells that it is TRL, and use_peft that it trains an adapter.
		c, err := Convert("trl.yaml", []byte("trl: 1\nuse_peft: true\nmodel_revision: main\n"+m[1]), methodOf[heading])
		if err != nil {
			t.Errorf("%s: %v", m[1], err)
			continue
		}
		if !slices.ContainsFunc(c.Values, func(v Value) bool { return v.Key == m[2] && v.Text == m[3] }) {
			t.Errorf("%s: got %v, want %s: %s", m[1], c.Values, m[2], m[3])
		}
	}
	for heading := range methodOf {
		if rows[heading] == 0 {
			t.Errorf("%s has no rows", heading)
		}
	}
}
