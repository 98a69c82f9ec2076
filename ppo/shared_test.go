package ppo

import (
	"slices"
	"testing"

	"align/internal/fixture"
	"align/internal/rollout"
	"align/internal/score"
	"align/model"
)

// Drawing, scoring, passes and learning in one space give the bits of spaces of
// their own, and take the largest of them.
func TestOneSpaceServesAllPasses(t *testing.T) {
	dir := fixture.Path(t, "data", "stories260K")
	var want []float32
	for _, share := range []bool{false, true} {
		limits := rollout.Limits{Prompt: 8, Answer: 16, Sequences: 8}
		w := newWorld(t, dir, 4, true, limits)
		judge := &score.Model{Base: w.model, Adapter: newJudge(t, w.model)}
		defer judge.Close()
		c := storyConfig(PPO)
		c.ScoreClip = 0
		var shared *model.Shared
		if share {
			shared = model.NewShared(w.model.Backend())
			defer shared.Close()
			limits.Shared, judge.Shared = shared, shared
			var err error
			if w.engine, err = rollout.New(w.model, w.subject.Policy, limits); err != nil {
				t.Fatal(err)
			}
			defer w.engine.Close()
		}
		x := w.trainer(t, c, storyPrompts(16), judge, 2)
		x.Shared = shared
		if _, err := w.run(t, x, t.TempDir(), 8, 0, false); err != nil {
			t.Fatal(err)
		}
		if !share {
			want = w.values(t)
			continue
		}
		if !slices.Equal(w.values(t), want) {
			t.Error("the values differ from those of a run with a space for each")
		}
		apart := int64(0)
		for _, s := range []*model.Session{x.policy.session, x.policyStep.session, x.criticStep.session} {
			apart += s.Bytes()
		}
		if shared.Bytes() == 0 || apart >= shared.Bytes() {
			t.Errorf("the space has %d bytes, and three sessions %d of their own", shared.Bytes(), apart)
		}
		if s := x.Spent(); s.Rollout <= 0 || s.Score <= 0 || s.Policy <= 0 || s.Reference <= 0 || s.Critic <= 0 || s.Update <= 0 {
			t.Errorf("the time is %+v", s)
		}
	}
}

// newJudge is a reward model's adapter.
func newJudge(t *testing.T, m *model.Model) *model.Adapter {
	t.Helper()
	a, err := model.NewAdapter(m.Config, model.LoRAConfig{Rank: 2, Alpha: 4, Targets: []string{"q_proj"}})
	if err != nil {
		t.Fatal(err)
	}
	a.AddHead(m.Config)
	if err := m.AllocAdapter(a, a.InitialWithHead(9)); err != nil {
		t.Fatal(err)
	}
	return a
}
