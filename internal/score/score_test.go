package score

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRules(t *testing.T) {
	for _, c := range []struct {
		scorer, response, reference string
		want                        float64
	}{
		{"exact", " yes\n", "yes", 1},
		{"exact", "Yes", "yes", 0},
		{"regex:^a+$", "aaa", "", 1},
		{"regex:^a+$", "aab", "", 0},
		{"regex:a:b", "xa:by", "", 1},
		{"length", "héllo", "", 5},
		{"length:10", "héllo", "", -0.5},
		{"length:10", strings.Repeat("x", 15), "", -0.5},
		{"length:10", strings.Repeat("x", 10), "", 0},
		{"gsm8k", "so it is 24, then 72.", "48+24 = <<48+24=72>>72\n#### 72", 1},
		{"gsm8k", "the answer is 1,200", "#### 1200", 1},
		{"gsm8k", "#### 3 (not 4)", "#### 4", 0},
		{"gsm8k", "-2.50", "#### -2.5", 1},
		{"gsm8k", "no idea", "#### 4", 0},
	} {
		s, err := Parse(c.scorer)
		if err != nil {
			t.Fatal(err)
		}
		got, err := All(context.Background(), s, []Item{{Response: c.response, Reference: c.reference}})
		if err != nil || got[0] != c.want {
			t.Errorf("%s of %q: got %v (%v), want %v", c.scorer, c.response, got, err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, name := range []string{"", "exact:x", "regex", "regex:", "regex:(", "length:0", "length:x", "gsm8k:1", "command:", "command: ", "best"} {
		if s, err := Parse(name); err == nil {
			t.Errorf("%q: got %v, want an error", name, s)
		}
	}
}

func TestRulesWantTheirReference(t *testing.T) {
	for _, name := range []string{"exact", "gsm8k"} {
		s, err := Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := All(context.Background(), s, []Item{{Response: "4"}}); err == nil || !strings.Contains(err.Error(), "reference") {
			t.Errorf("%s without a reference: %v", name, err)
		}
	}
}

func TestCommand(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the commands are written for a Unix shell")
	}
	items := []Item{{Prompt: "a\nb", Response: "one"}, {Response: `two "quoted"`}}
	for _, c := range []struct {
		name, command, fails string
		want                 []float64
	}{
		{"counts lines", `while read -r line; do echo 1.5; done`, "", []float64{1.5, 1.5}},
		{"sees the fields", `grep -c '"response":"one"'; echo 2`, "", []float64{1, 2}},
		{"too few", `echo 1`, "printed 1 numbers for 2 answers", nil},
		{"no number", `echo 1; echo x`, `printed "x" for answer 2`, nil},
		{"no score", `echo 1; echo NaN`, "has the score NaN", nil},
		{"fails", `echo reason >&2; exit 3`, "exit status 3: reason", nil},
		{"takes too long", `sleep 30`, "took longer than 100ms", nil},
	} {
		s := &Command{Line: c.command, Timeout: 5 * time.Second}
		if c.name == "takes too long" {
			s.Timeout = 100 * time.Millisecond
		}
		got, err := All(context.Background(), s, items)
		if c.fails == "" && (err != nil || !slices.Equal(got, c.want)) {
			t.Errorf("%s: got %v (%v), want %v", c.name, got, err, c.want)
		}
		if c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.fails)
		}
	}
}

// fixed is a Scorer with given scores.
type fixed []float64

func (f fixed) Score(context.Context, []Item) ([]float64, error) { return f, nil }

func TestAllRefusesWhatIsNoScore(t *testing.T) {
	items := []Item{{Response: "x"}, {Response: "y"}}
	for _, f := range []fixed{{1}, {1, math.NaN()}, {math.Inf(1), 1}, {1, 2, 3}} {
		if got, err := All(context.Background(), f, items); err == nil {
			t.Errorf("%v: got %v, want an error", f, got)
		}
	}
	if got, err := All(context.Background(), fixed{}, nil); err != nil || got != nil {
		t.Errorf("no items: %v, %v", got, err)
	}
}

func TestScoringEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, name := range []string{"length", "command:sleep 30"} {
		s, err := Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := All(ctx, s, []Item{{Response: "x"}}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want %v", name, err, context.Canceled)
		}
	}
}

func TestCheckReference(t *testing.T) {
	for _, c := range []struct {
		name, reference string
		fits            bool
	}{
		{"exact", "yes", true}, {"exact", "", false},
		{"gsm8k", "so #### 1,234", true}, {"gsm8k", "seven", false}, {"gsm8k", "", false},
		{"length:9", "", true}, {"command:true", "", true}, {"", "", true},
	} {
		if err := CheckReference(c.name, c.reference); (err == nil) != c.fits {
			t.Errorf("CheckReference(%q, %q) = %v", c.name, c.reference, err)
		}
	}
}
