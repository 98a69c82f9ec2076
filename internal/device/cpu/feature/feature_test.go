package feature

import (
	"strings"
	"testing"
)

func TestParseInvertsString(t *testing.T) {
	for l := Generic; l <= Highest; l++ {
		got, err := Parse(l.String())
		if err != nil || got != l {
			t.Errorf("Parse(%q) = %v, %v", l.String(), got, err)
		}
	}
	if _, err := Parse("sse"); err == nil || !strings.Contains(err.Error(), `"sse"`) {
		t.Errorf("Parse(sse): error %v does not name the value", err)
	}
}

func TestSelect(t *testing.T) {
	have := Detect()
	for l := Generic; l <= Highest; l++ {
		t.Setenv(Variable, l.String())
		got, err := Select()
		if Has(l) && (err != nil || got != l) {
			t.Errorf("%s=%s: got %v, %v", Variable, l, got, err)
		}
		if !Has(l) && err == nil {
			t.Errorf("%s=%s on a machine with %s: no error", Variable, l, have)
		}
	}
	t.Setenv(Variable, "")
	fast, reason := Fastest()
	if got, err := Select(); err != nil || got != fast {
		t.Errorf("unset: got %v, %v, want %v", got, err, fast)
	}
	if !Has(fast) || (fast == have) != (reason == "") {
		t.Errorf("the fastest level is %v because of %q, the highest %v", fast, reason, have)
	}
	t.Setenv(Variable, "fast")
	if _, err := Select(); err == nil {
		t.Error("an unknown level is no error")
	}
}

func TestStringOfUnknownLevel(t *testing.T) {
	if got := Level(9).String(); got != "level(9)" {
		t.Errorf("got %q", got)
	}
}
