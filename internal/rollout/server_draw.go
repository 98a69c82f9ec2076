package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ask is one answer to draw.
type ask struct {
	prompt, index int
	ids           []int32
	seed          uint64
	maxNew        int
}

// Generate draws the answers, several at once; their order is the server's. An
// answer that fails ends it, after those under way at the time are handed on.
func (s *Server) Generate(ctx context.Context, prompts []Prompt, o Options, emit func(Sample) error) error {
	if err := s.check(prompts, o); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	asks, answers := make(chan ask), make(chan answered)
	var workers sync.WaitGroup
	for range max(1, cmp.Or(s.Concurrent, 16)) {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for a := range asks {
				sample, err := s.draw(ctx, a, o)
				answers <- answered{sample, err}
			}
		}()
	}
	stop := make(chan struct{})
	go func() {
		defer close(answers)
		deal(prompts, o, asks, stop)
		workers.Wait()
	}()
	return gather(answers, stop, cancel, emit)
}

type answered struct {
	sample Sample
	err    error
}

// deal hands out the answers to draw until there are no more or it is stopped.
func deal(prompts []Prompt, o Options, asks chan<- ask, stop <-chan struct{}) {
	defer close(asks)
	for i, p := range prompts {
		for _, k := range p.want(o.Samples) {
			select {
			case asks <- ask{i, k, p.IDs, SampleKey(o.Seed, p.Key, k), o.room(p.IDs)}:
			case <-stop:
				return
			}
		}
	}
}

// gather hands the answers on. At the first error no more are asked for; those
// under way still come, so that nothing that was drawn is lost. An error of
// emit ends them at once.
func gather(answers <-chan answered, stop chan struct{}, cancel func(), emit func(Sample) error) error {
	var first, broken error
	end := sync.OnceFunc(func() { close(stop) })
	for a := range answers {
		if a.err == nil && broken == nil {
			if broken = emit(a.sample); broken != nil {
				cancel()
			}
		}
		if a.err != nil && first == nil {
			first = a.err
		}
		if a.err != nil || broken != nil {
			end()
		}
	}
	if broken != nil {
		return broken
	}
	return first
}

func (s *Server) check(prompts []Prompt, o Options) error {
	errs := []error{o.Sampling.Validate()}
	if o.MaxNew < 1 || o.Samples < 1 {
		errs = append(errs, fmt.Errorf("rollout: max_new (%d) and samples (%d) must be at least 1", o.MaxNew, o.Samples))
	}
	if o.OnToken != nil {
		errs = append(errs, errors.New("rollout: a server's answers are not told token by token"))
	}
	if s.wire == nil {
		errs = append(errs, errors.New("rollout: the server is not open"))
	}
	for i, p := range prompts {
		if len(p.IDs) == 0 {
			errs = append(errs, fmt.Errorf("rollout: prompt %d is empty", i+1))
		}
		if o.MaxNew > 0 && o.room(p.IDs) < 1 {
			errs = append(errs, fmt.Errorf("rollout: prompt %d of %d tokens leaves no room for an answer in the context of %d", i+1, len(p.IDs), o.Context))
		}
	}
	return errors.Join(errs...)
}

// draw asks for one answer and holds the reply to what was asked.
func (s *Server) draw(ctx context.Context, a ask, o Options) (Sample, error) {
	r, err := s.wire.complete(ctx, s, a, o)
	if err != nil {
		return Sample{}, err
	}
	ids, finish, err := s.ended(r, a.maxNew, o.Stop)
	if err != nil {
		return Sample{}, fmt.Errorf("rollout: generator %s: prompt %d, sample %d: %w", s.address, a.prompt+1, a.index+1, err)
	}
	return Sample{Prompt: a.prompt, Index: a.index, IDs: ids, Finish: finish}, nil
}

// ended are a reply's ids up to the first stop id, and why they end.
func (s *Server) ended(r reply, maxNew int, stop []int32) ([]int32, string, error) {
	ids := r.ids
	if len(ids) == 0 {
		return nil, "", errors.New("the answer has no tokens")
	}
	for i, id := range ids {
		if id < 0 || int(id) >= s.Vocab {
			return nil, "", fmt.Errorf("token id %d is outside the policy's %d", id, s.Vocab)
		}
		if slices.Contains(stop, id) {
			ids = ids[:i+1]
			break
		}
	}
	last := ids[len(ids)-1]
	switch {
	case len(ids) > maxNew:
		return nil, "", fmt.Errorf("%d tokens came for max_new %d", len(ids), maxNew)
	case slices.Contains(stop, last):
		return ids, FinishStop, nil
	case len(ids) == maxNew:
		return ids, FinishLength, nil
	}
	return nil, "", fmt.Errorf("the answer ended after %d of %d tokens with id %d (%s), which is no stop id of the policy: its tokens cannot be trusted", len(ids), maxNew, last, r.reason)
}
