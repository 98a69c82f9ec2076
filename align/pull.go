package align

import (
	"context"
	"errors"
	"fmt"
	"time"

	"align/internal/hub"
)

// mainBranch is the revision that basemodel.Resolve takes of a model in the cache.
const mainBranch = "main"

// PullOptions say what to fetch.
type PullOptions struct {
	// Name is OWNER/NAME on the hub, Revision a branch, tag or commit; "" is main.
	Name, Revision string
}

// Pull fetches a model into the local Hugging Face cache. It is the only thing
// here that uses the network, and sends nothing but the request and, to the hub
// alone, the token.
func Pull(ctx context.Context, o PullOptions, env Environment) (hub.Snapshot, error) {
	if o.Revision == "" {
		o.Revision = mainBranch
	}
	if err := hub.CheckOnline(o.Name); err != nil {
		return hub.Snapshot{}, err
	}
	cache, err := hub.Cache()
	if err != nil {
		return hub.Snapshot{}, err
	}
	token, unusable := hub.Token()
	if unusable != nil {
		env.note(fmt.Sprintf("token: none is sent, %v", unusable))
	}
	c := hub.NewClient(hub.Address(), token)
	c.Progress = func(file string, done, total int64) { env.progress("fetching "+file)(done, total) }
	c.Waiting = func(failed error, wait time.Duration) {
		env.note(fmt.Sprintf("hub: %v: once more in %v", failed, wait))
	}
	s, err := c.Pull(ctx, cache, o.Name, o.Revision)
	if errors.Is(err, hub.ErrDenied) && unusable != nil {
		err = fmt.Errorf("%w; no token was sent, %w", err, unusable)
	}
	if err != nil {
		return s, err
	}
	env.note(fmt.Sprintf("%s at %s: %d files of %.1f MB, %.1f MB of them fetched", o.Name, s.Commit[:12], len(s.Files), float64(s.Bytes)/1e6, float64(s.Fetched)/1e6))
	if o.Revision != mainBranch {
		env.note(fmt.Sprintf("revision: %s alone means main: name the folder as --model", o.Name))
	}
	return s, nil
}
