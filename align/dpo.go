package align

import (
	"context"
	"errors"
	"fmt"

	"align/datasets"
	"align/dpo"
	"align/internal/plan"
	"align/internal/train"
	"align/model"
)

// DPO is direct preference optimisation by the config. explicit are the keys
// that the user named, as opposed to defaults.
func DPO(ctx context.Context, c dpo.Config, explicit []string, env Environment) (result Result, err error) {
	if err := c.Validate(); err != nil {
		return Result{}, err
	}
	s := &stage{method: "dpo", settings: &c.Settings, env: env, explicit: explicit}
	defer s.close()
	early, ended := s.early(ctx)
	defer ended(&result, &err)
	if err := s.begin(early, &c, c.RefFolder()); err != nil {
		return Result{}, err
	}
	for _, line := range c.Unused() {
		env.note(line)
	}
	if c.Unpaired() {
		return s.runUnpaired(ctx, early, &c)
	}
	if err := s.checkPaired(c.Pairs); err != nil {
		return Result{}, err
	}
	d, err := s.pairs(early, c.Pairs)
	if err != nil {
		return Result{}, err
	}
	extents := func(pairs []datasets.Pair) []plan.Extent { return plan.PairExtents(pairs, plan.DPOSequences(c)) }
	w, err := prepare(s, &c, d, "pairs", extents)
	if err != nil {
		return Result{}, err
	}
	loss, err := dpo.ParseWeighted(c.Loss)
	if err != nil {
		return Result{}, err
	}
	t := &dpo.Trainer{Config: c, Loss: loss, Model: s.model, Adapter: s.adapter, Full: s.full, Save: w.policy, Pairs: d.train, Held: d.held}
	if t.References, t.HeldReferences, err = s.references(early, c, loss, d.train, d.held, w.steps); err != nil {
		return Result{}, err
	}
	r, err := s.learn(ctx, &c, d.hash, w, t)
	if err != nil || r.Ended != train.Continue {
		return r, err
	}
	var prompts [][]int32
	for _, pair := range d.held[:min(len(d.held), shownPrompts)] {
		prompts = append(prompts, pair.Prompt)
	}
	return r, errors.Join(s.showAnswers(ctx, prompts), s.exportAdapter())
}

// references computes log ref(y|x) of the held pairs and of all that the steps
// come to, or finds it in the cache; the others' stays 0. It runs before the first
// step and before a resumed run's weights are read back, so that "init" is the
// policy as the run began.
func (s *stage) references(ctx context.Context, c dpo.Config, loss dpo.Weighted, pairs, held []datasets.Pair, steps int) (refs, heldRefs []dpo.Reference, err error) {
	if loss.ReferenceFree() {
		s.env.note("reference: none, the loss " + c.Loss + " does without")
		return make([]dpo.Reference, len(pairs)), make([]dpo.Reference, len(held)), nil
	}
	adapter, identity, err := s.reference(c.Ref)
	if err != nil {
		return nil, nil, err
	}
	if err := s.sameReference(c.RefFolder()); err != nil {
		return nil, nil, err
	}
	r := &dpo.Referee{Model: s.model, Adapter: adapter, Batch: c.Batch, MaskFormat: c.MaskFormat}
	if dir := s.env.cacheDir(); dir != "" {
		r.Cache = dpo.CacheFile(dir, s.model.Hash[:16], hashShape(s.config), identity, s.backend.Numerics(), fmt.Sprintf("format-%v", !c.MaskFormat))
	}
	report := s.env.progress("computing the reference's log-probabilities")
	r.Progress = func(done, total int) { report(int64(done), int64(total)) }
	r.Stopped = func() bool { return s.env.Stop.Asked() > train.SaveNow }
	defer func() {
		if r.Unkept != nil {
			s.env.note(fmt.Sprintf("reference: its log-probabilities are not kept for other runs: %v", r.Unkept))
		}
	}()
	defer func() {
		if errors.Is(err, dpo.ErrStopped) && r.Cache != "" && r.Unkept == nil {
			s.env.note("reference: its log-probabilities so far are kept for the run that goes on")
		}
	}()
	if refs, err = s.visitedLogProbs(ctx, r, pairs, steps); err != nil {
		return nil, nil, err
	}
	if heldRefs, err = r.LogProbs(ctx, held); err != nil {
		return nil, nil, err
	}
	s.env.note(fmt.Sprintf("reference: %s; log-probabilities of %d %s computed, %d found in the cache", c.Ref, r.Misses, things(c), r.Hits))
	return refs, heldRefs, nil
}

// visitedLogProbs are the log-probabilities of the pairs that the steps come to.
func (s *stage) visitedLogProbs(ctx context.Context, r *dpo.Referee, pairs []datasets.Pair, steps int) ([]dpo.Reference, error) {
	visited, err := s.settings.Visited(len(pairs), steps, s.shares)
	if err != nil {
		return nil, err
	}
	some := make([]datasets.Pair, len(visited))
	for k, i := range visited {
		some[k] = pairs[i]
	}
	computed, err := r.LogProbs(ctx, some)
	if err != nil {
		return nil, err
	}
	refs := make([]dpo.Reference, len(pairs))
	for k, i := range visited {
		refs[i] = computed[k]
	}
	return refs, nil
}

// reference is the adapter that --ref names, and what tells it from others in
// the cache. A fresh adapter changes nothing, so that "init" is the base then, but
// for special tokens that start as a mean.
func (s *stage) reference(ref string) (*model.Adapter, string, error) {
	switch {
	case ref == "init" && s.special != "" && s.full == nil:
		// Not a copy: it is read before the first step moves it.
		values, err := model.ReadFloat32s(s.backend, s.adapter.Value)
		return s.adapter, hashAdapter(s.adapter, values), err
	case ref == "init" && s.special != "":
		return nil, "special-" + hashText(s.special), nil
	case ref == "base" || ref == "init" && s.settings.Adapter == "":
		return nil, "base", nil
	}
	path := ref
	if ref == "init" {
		path = s.settings.Adapter
	}
	folder, err := s.adapterFolder(path)
	if err != nil {
		return nil, "", fmt.Errorf("ref: %w", err)
	}
	a, values, err := model.ReadAdapter(folder, s.config)
	if err != nil {
		return nil, "", fmt.Errorf("ref: %w", misfit(folder, err))
	}
	if ref != "init" {
		s.ref, s.refFactors = hashFloats(values), hashFactors(a)
	}
	return a, hashAdapter(a, values), s.model.AllocAdapter(a, values)
}
