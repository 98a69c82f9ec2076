package align

import (
	"context"
	"fmt"

	"align/datasets"
	"align/internal/plan"
	"align/model"
	"align/reward"
)

// Reward trains a reward model by the config. explicit are the keys that the
// user named, as opposed to defaults.
func Reward(ctx context.Context, c reward.Config, explicit []string, env Environment) (result Result, err error) {
	if err := c.Validate(); err != nil {
		return Result{}, err
	}
	s := &stage{method: "reward", settings: &c.Settings, env: env, explicit: explicit, head: model.ScoreHead}
	defer s.close()
	early, ended := s.early(ctx)
	defer ended(&result, &err)
	if err := s.begin(early, &c, ""); err != nil {
		return Result{}, err
	}
	d, err := readData(early, s, c.Pairs, readGroups)
	if err != nil {
		return Result{}, err
	}
	if err := checkMargins(c, d.train, d.held); err != nil {
		return Result{}, err
	}
	w, err := prepare(s, &c, d, "prompts", plan.GroupExtents)
	if err != nil {
		return Result{}, err
	}
	t := &reward.Trainer{Config: c, Model: s.model, Adapter: s.adapter, Save: w.policy, Groups: d.train, Held: d.held}
	return s.learn(ctx, &c, d.hash, w, t)
}

// checkMargins refuses margins where the loss has no place for them, and negative ones:
// they would ask that the chosen answer score less, and mostly are of a pair whose
// answers stand the wrong way round.
func checkMargins(c reward.Config, sets ...[]reward.Group) error {
	if c.Margin == 0 {
		return nil
	}
	for _, groups := range sets {
		for _, g := range groups {
			switch {
			case g.Margin < 0:
				return fmt.Errorf("%s: margin is %v: want 0 or more, by how much the chosen answer is better (margin 0 as a setting leaves the column out)", g.Place, g.Margin)
			case g.Margin != 0 && c.Ranking != reward.RankingPairs:
				return fmt.Errorf("%s: the record has a margin, and ranking %s has no place for one: set margin to 0 or ranking to %s", g.Place, c.Ranking, reward.RankingPairs)
			}
		}
	}
	return nil
}

// readGroups reads pairs, or ranked answers where the records have responses.
func readGroups(ctx context.Context, path string, o datasets.Options) ([]reward.Group, datasets.Summary, error) {
	ranked, err := datasets.IsRanked(path, o.Map)
	if err != nil {
		return nil, datasets.Summary{}, err
	}
	var groups []reward.Group
	if !ranked {
		pairs, summary, err := datasets.ReadPairs(ctx, path, o)
		for _, p := range pairs {
			groups = append(groups, reward.FromPair(p, p.Margin))
		}
		return groups, summary, err
	}
	list, summary, err := datasets.ReadRanked(ctx, path, o)
	for _, r := range list {
		groups = append(groups, reward.Group{Prompt: r.Prompt, Answers: r.Responses, Ranks: reward.RanksOf(r.Scores), Place: r.Place})
	}
	return groups, summary, err
}
