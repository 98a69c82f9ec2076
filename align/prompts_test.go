package align

import "testing"

func TestAnAnswerFitsBesideTheLongestPrompt(t *testing.T) {
	for _, c := range []struct{ maxNew, longest, context, want int }{{8, 10, 20, 8}, {10, 10, 20, 10}, {11, 10, 20, 10}, {512, 19, 20, 1}} {
		if got, err := roomFor(c.maxNew, c.longest, c.context, Environment{}); got != c.want || err != nil {
			t.Errorf("%+v: %d, %v", c, got, err)
		}
	}
	if _, err := roomFor(1, 20, 20, Environment{}); err == nil {
		t.Error("a prompt as long as the context: no error")
	}
}
