package train_test

import (
	"slices"
	"strings"
	"testing"

	"align/internal/train"
)

// drifting is a toy whose chosen answers begin at the reference, rise, fall from
// step 21 on and are below the reference at step 41, and whose margins grow from step 91, with the
// accuracy falling from step 121.
type drifting struct{ *toy }

func (d drifting) Micro(step int, batch []float64, weight float64) (float64, train.Metrics, error) {
	loss, m, err := d.toy.Micro(step, batch, weight)
	s := float64(step)
	m.Add("rewards/chosen", (s-1)*(40-s)*float64(len(batch)), float64(len(batch)))
	m.Add("rewards/margins", max(s, 90)*weight, weight)
	m.Add("rewards/accuracies", min(1, 120/s), 1)
	return loss, m, err
}

// told runs d and returns what was noted but for the lines about the resume.
func told(t *testing.T, o train.Options, d drifting, stop *train.Stop) (notes []string) {
	t.Helper()
	o.Notes = func(s string) {
		if !strings.HasPrefix(s, "resuming after") {
			notes = append(notes, s)
		}
	}
	if _, err := train.Run(t.Context(), o, d.backend, d, &points{Micros: 2}, d, &recorder{}, stop); err != nil {
		t.Fatal(err)
	}
	return notes
}

// TestAResumedRunIsWatchedAsAnUninterruptedOne: wherever a run was stopped, its
// two halves tell together what the whole one tells.
func TestAResumedRunIsWatchedAsAnUninterruptedOne(t *testing.T) {
	long := func(run string) train.Options {
		o := options(run)
		o.Steps, o.Schedule.Steps, o.SaveEvery = 200, 200, 0
		return o
	}
	// A row is 5 steps: that of 41 to 45 is the first with a mean below 0, and
	// those that end at 120 to 140 are the first five of falling accuracy.
	want := told(t, long(t.TempDir()), drifting{newToy(t)}, nil)
	if len(want) != 2 || !strings.HasPrefix(want[0], "step 45: the chosen answers") || !strings.HasPrefix(want[1], "step 140: the margins grow") {
		t.Fatalf("told %q", want)
	}
	for _, at := range []int{1, 23, 43, 44, 45, 46, 50, 128, 139, 140, 199} {
		run, stop := t.TempDir(), &train.Stop{}
		d := drifting{newToy(t)}
		d.onStep = func(step int) {
			if step == at {
				stop.Ask(train.Interrupt)
			}
		}
		got := told(t, long(run), d, stop)
		o := long(run)
		o.Resume = true
		got = append(got, told(t, o, drifting{newToy(t)}, nil)...)
		if !slices.Equal(got, want) {
			t.Errorf("stopped at %d: told %q, want %q", at, got, want)
		}
	}
}
