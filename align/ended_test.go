package align_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/align"
	"align/dpo"
	"align/internal/runfolder"
	"align/internal/train"
	"align/ppo"
	"align/rejection"
	"align/reward"
	"align/sft"
)

// earlyRuns are a run of every method, and of its own folder.
func earlyRuns(t *testing.T) map[string]func(out string, env align.Environment) (align.Result, error) {
	prefs := filepath.Join("..", "examples", "prefs.jsonl")
	s, d, r, p := sft.DefaultConfig(), dpo.DefaultConfig(), reward.DefaultConfig(), ppo.DefaultConfig()
	s.Data = writeLines(t, "data.jsonl", []map[string]string{{"prompt": "What is 1 + 1?", "completion": "1 + 1 = 2."}})
	d.Pairs, r.Pairs, p.Prompts, p.Scorer, p.MaxNew = prefs, prefs, promptFile(t), "length", 4
	s.EvalFraction = 0
	for _, settings := range []*train.Settings{&s.Settings, &d.Settings, &r.Settings, &p.Settings} {
		settings.Model, settings.Steps = "builtin:tiny", 1
	}
	ctx := context.Background()
	return map[string]func(out string, env align.Environment) (align.Result, error){
		"sft": func(out string, env align.Environment) (align.Result, error) {
			s.Out = out
			return align.SFT(ctx, s, nil, env)
		},
		"dpo": func(out string, env align.Environment) (align.Result, error) {
			d.Out = out
			return align.DPO(ctx, d, nil, env)
		},
		"reward": func(out string, env align.Environment) (align.Result, error) {
			r.Out = out
			return align.Reward(ctx, r, nil, env)
		},
		"ppo": func(out string, env align.Environment) (align.Result, error) {
			p.Out = out
			return align.PPO(ctx, p, nil, env)
		},
	}
}

// askedAt is an environment in which the end is asked for when work of a name begins.
func askedAt(t *testing.T, r *recorder, begun string) align.Environment {
	env := r.environment(t)
	env.Progress = func(what string, _, _ int64) {
		if strings.HasPrefix(what, begun) {
			r.stop.Ask(train.Terminate)
		}
	}
	return env
}

// One request ends what comes before the first step at its next item, and nothing is
// left of a run that had no folder yet.
func TestARunEndsBeforeItsFirstStep(t *testing.T) {
	for method, run := range earlyRuns(t) {
		for _, c := range []struct{ begun, notYet string }{{"reading", "evaluation: "}, {"loading the model", "model: "}} {
			out := filepath.Join(t.TempDir(), "run")
			r := &recorder{}
			result, err := run(out, askedAt(t, r, c.begun))
			if err != nil || result.Ended != train.Terminate || result.Run != "" || result.Checkpoint != "" || len(r.losses()) > 0 {
				t.Errorf("%s, %s: %+v, %v", method, c.begun, result, err)
			}
			if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s, %s: a folder is left: %v", method, c.begun, err)
			}
			for _, note := range r.notes {
				if strings.HasPrefix(note, c.notYet) && !strings.Contains(note, "none was named") {
					t.Errorf("%s, %s: it went on as far as %q", method, c.begun, note)
				}
			}
		}
	}
}

// The reference's pass ends likewise, and leaves a run that goes on from its start.
func TestARunEndsWithinTheReferencesPass(t *testing.T) {
	out := filepath.Join(t.TempDir(), "run")
	r := &recorder{}
	result, err := earlyRuns(t)["dpo"](out, askedAt(t, r, "computing the reference"))
	if err != nil || result.Ended != train.Terminate || result.Run != out || !runfolder.Is(out) || len(r.losses()) > 0 {
		t.Errorf("%+v, %v", result, err)
	}
	if told := strings.Join(r.notes, "\n"); !strings.Contains(told, "reference: its log-probabilities so far are kept") {
		t.Errorf("told %q", told)
	}
}

// A job of samples that is asked to end while its model is loaded does so.
func TestAJobEndsWhileItsModelIsLoaded(t *testing.T) {
	c := rejection.DefaultConfig()
	c.Model, c.Prompts, c.Scorer, c.Out = "builtin:tiny", promptFile(t), "length", filepath.Join(t.TempDir(), "job")
	r := &recorder{}
	_, err := align.Rejection(context.Background(), c, askedAt(t, r, "loading the model"))
	if ended, is := errors.AsType[*align.EndedError](err); !is || ended.By != train.Terminate || ended.Out != "" {
		t.Errorf("got %v", err)
	}
	if told := strings.Join(r.notes, "\n"); strings.Contains(told, "model: ") {
		t.Errorf("it went on: %q", told)
	}
}
