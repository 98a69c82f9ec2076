package main

import (
	"strings"
	"testing"
	"time"

	"align/internal/train"
)

func eventAt(step, steps int) train.Event {
	e := train.Event{Step: step, Steps: steps, Loss: 1.0 / 3, GradNorm: 2, LearningRate: 5e-6, NumTokens: 100, TokensPerSecond: 1234.5, Remaining: 90 * time.Second}
	e.Metrics.Add("rewards/accuracies", 3, 4)
	return e
}

func TestLinesInAPipe(t *testing.T) {
	io, out, errs := testStreams("")
	r := newReporter(io, output{})
	r.Stepped(eventAt(1, 1000))
	r.Stepped(eventAt(2, 1000)) // not logged
	r.Stepped(eventAt(25, 1000))
	eval := train.Event{Step: 25, Steps: 1000, Evaluation: true}
	eval.Metrics.Add("eval_loss", 1, 2)
	r.Stepped(eval)
	r.Saved("runs/dpo-001/checkpoints/step-000025", 25)
	r.close()
	want := `step 1/1000 | loss 0.3333 | grad_norm 2 | learning_rate 5e-06 | rewards/accuracies 0.75 | tokens/s 1234 | left 1m30s
step 25/1000 | loss 0.3333 | grad_norm 2 | learning_rate 5e-06 | rewards/accuracies 0.75 | tokens/s 1234 | left 1m30s
eval 25/1000 | eval_loss 0.5
saved step 25: runs/dpo-001/checkpoints/step-000025
`
	if errs.String() != want || out.String() != "" {
		t.Errorf("stdout %q, stderr\n%s\nwant\n%s", out, errs, want)
	}
}

// Events go to stdout as JSON, all of them.
func TestJSONLines(t *testing.T) {
	io, out, errs := testStreams("")
	r := newReporter(io, output{json: true, quiet: true})
	for step := 1; step <= 3; step++ {
		r.Stepped(eventAt(step, 1000))
	}
	r.note("nothing")
	want := `{"v":1,"step":1,"loss":0.3333333333333333,"grad_norm":2,"learning_rate":5e-06,"num_tokens":100,"epoch":0,"rewards/accuracies":0.75}`
	if first, _, _ := strings.Cut(out.String(), "\n"); first != want {
		t.Errorf("got  %s\nwant %s", first, want)
	}
	if n := strings.Count(out.String(), "\n"); n != 3 || errs.Len() > 0 {
		t.Errorf("%d lines, stderr %q, want 3 and none", n, errs)
	}
}

// A terminal gets the fields of a pipe in the same order, a heading and a bar.
func TestScreen(t *testing.T) {
	io, _, errs := testStreams("")
	io.errTTY, io.width = true, 120
	r := newReporter(io, output{})
	r.note("8 pairs a step")
	for step := 1; step <= 3; step++ {
		r.Stepped(eventAt(step, 3))
	}
	r.close()
	text := errs.String()
	for _, want := range []string{"8 pairs a step\n", "step        loss        grad_norm", "1/3         0.3333      2", "3/3", "\r"} {
		if !strings.Contains(text, want) {
			t.Errorf("the screen lacks %q:\n%q", want, text)
		}
	}
	if n := strings.Count(text, "grad_norm"); n != 1 {
		t.Errorf("%d headings, want 1", n)
	}
}

// A bar that is drawn once, full, is gone before the line that follows it.
func TestScreenClearsAFullBar(t *testing.T) {
	io, _, errs := testStreams("")
	io.errTTY = true
	s := newReporter(io, output{}).(*screen)
	s.progress("reading", 1, 1)
	s.note("read")
	s.progress("reading more", 1, 1)
	s.close()
	if text := errs.String(); !strings.Contains(text, clearLine+"read\n") || !strings.HasSuffix(text, clearLine) {
		t.Errorf("a bar stays: %q", text)
	}
}

// A narrow terminal leaves columns out rather than wrapping a row.
func TestScreenKeepsToTheWidth(t *testing.T) {
	io, _, errs := testStreams("")
	io.errTTY, io.width = true, 30
	s := newReporter(io, output{}).(*screen)
	s.row(fieldsOf(eventAt(1, 3)))
	for line := range strings.Lines(errs.String()) {
		if len(strings.TrimRight(line, "\n")) > 30 {
			t.Errorf("%d cells: %q", len(line), line)
		}
	}
}

func TestStyleIsPlainWithoutColour(t *testing.T) {
	if got := (style{}).bad("x"); got != "x" {
		t.Errorf("got %q", got)
	}
	if got := (style{on: true}).bad("x"); !strings.Contains(got, "\x1b[") || !strings.Contains(got, "x") {
		t.Errorf("got %q", got)
	}
}

// BenchmarkHelp measures `align --help` without the start of the process.
func BenchmarkHelp(b *testing.B) {
	for b.Loop() {
		io, _, _ := testStreams("")
		if code := run([]string{"--help"}, io); code != 0 {
			b.Fatal(code)
		}
	}
}

// Of 4000 steps every hundredth has a line; so have the first one that a resumed
// run takes and one after half a minute without any.
func TestLinesAreNotSilentForLong(t *testing.T) {
	var out strings.Builder
	l := &lines{notes: notes{out: &out}}
	step := func(n int) bool {
		before := out.Len()
		l.Stepped(train.Event{Step: n, Steps: 4000})
		return out.Len() > before
	}
	if !step(207) {
		t.Error("the first step of a resumed run has no line")
	}
	if step(208) {
		t.Error("step 208 has a line at once")
	}
	if !step(300) {
		t.Error("step 300 has no line")
	}
	l.drawn = l.drawn.Add(-longestSilence)
	if !step(301) || step(302) {
		t.Error("want a line after a long silence, and one alone")
	}
}
