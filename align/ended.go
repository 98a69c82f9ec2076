package align

import (
	"context"
	"errors"

	"align/dpo"
	"align/internal/train"
	"align/model"
)

// early is ctx for what has no steps: reading, loading, the reference's pass and a
// rollout end at their next item where the run is asked to end. ended is called
// with what the run came to, and makes its result of an end of that kind: nothing that
// was trained is lost with it.
func (s *stage) early(ctx context.Context) (early context.Context, ended func(*Result, *error)) {
	early, cancel := s.env.Stop.Until(ctx)
	return early, func(r *Result, err *error) {
		cancel()
		by := s.env.Stop.Asked()
		if by <= train.SaveNow || ctx.Err() != nil || !errors.Is(*err, context.Canceled) && !errors.Is(*err, model.ErrStopped) && !errors.Is(*err, dpo.ErrStopped) {
			return
		}
		*r, *err = Result{Result: train.Result{Ended: by}, Run: s.run}, nil
	}
}
