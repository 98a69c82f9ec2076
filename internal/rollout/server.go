package rollout

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Server is a Generator that is another program: vLLM's OpenAI-compatible server
// or llama.cpp's. Prompts and answers cross the wire as token ids, one answer to
// a request, so that it hangs on its own seed alone; a server that does not give
// ids back is refused, since text cannot be told from control tokens. Answers
// come without log-probabilities: Recomputed adds the trainer's.
type Server struct {
	// Vocab is the number of ids of the policy.
	Vocab int
	// Concurrent is how many requests are under way at once, 16 where it is 0.
	Concurrent int
	// Timeout ends an attempt, 10 minutes where it is 0; Attempts are made in
	// all, 8 where it is 0, after waits that begin with Wait, half a second
	// where it is 0, and double.
	Timeout, Wait time.Duration
	Attempts      int
	// Key is sent as the bearer token, where there is one.
	Key string
	// Notes, if not nil, is told of faults that are tried again.
	Notes func(string)

	address string
	wire    wire
	// model is the server's name for what it samples from.
	model string
	// adapter is the one that was loaded by LoadAdapter.
	adapter string
	client  http.Client
	noting  sync.Mutex
}

// openAttempts is how often a server is asked what it is.
const openAttempts = 3

// ErrNoAdapters is returned where a server cannot be given an adapter.
var ErrNoAdapters = errors.New("the server takes no adapter while it runs")

// CheckAddress refuses what is no address of a server; "" is none.
func CheckAddress(address string) error {
	if address == "" {
		return nil
	}
	_, err := parseAddress(address)
	return err
}

func parseAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("rollout: generator %q: want http://HOST:PORT, with #MODEL where the server has several", address)
	}
	return u, nil
}

// Open asks the server at the address what it is. A fragment, as in
// http://host:8000#name, is the name of the model to sample from; else it is
// the first that the server lists.
func (s *Server) Open(ctx context.Context, address string) error {
	u, err := parseAddress(address)
	if err != nil {
		return err
	}
	s.model, u.Fragment = u.Fragment, ""
	s.address = strings.TrimSuffix(strings.TrimSuffix(u.String(), "/"), "/v1")
	var list struct {
		Data []struct {
			ID      string `json:"id"`
			OwnedBy string `json:"owned_by"`
		} `json:"data"`
	}
	// A server that is not there shows at once.
	attempts := s.Attempts
	s.Attempts = min(cmpOr(attempts, openAttempts), openAttempts)
	err = s.call(ctx, http.MethodGet, "/v1/models", nil, &list)
	s.Attempts = attempts
	if err != nil {
		return err
	}
	if len(list.Data) == 0 {
		return fmt.Errorf("rollout: generator %s lists no model", s.address)
	}
	at := 0
	if s.model != "" {
		var names []string
		for _, m := range list.Data {
			names = append(names, m.ID)
		}
		if at = slices.Index(names, s.model); at < 0 {
			return fmt.Errorf("rollout: generator %s has no model %q: it lists %s", s.address, s.model, strings.Join(names, ", "))
		}
	}
	s.model, s.wire = list.Data[at].ID, vllm{}
	if list.Data[at].OwnedBy == "llamacpp" {
		s.wire = llamaCPP{}
	}
	return nil
}

// Name is what the server samples from, for notes.
func (s *Server) Name() string {
	return fmt.Sprintf("%s at %s (%s)", s.model, s.address, s.wire.name())
}

// TakesAdapters says whether the kind of server can be given adapters.
func (s *Server) TakesAdapters() bool {
	_, ok := s.wire.(vllm)
	return ok
}

// CheckTokens holds the server's tokenizer to the policy's by a text whose ids,
// special tokens among them, are known.
func (s *Server) CheckTokens(ctx context.Context, text string, want []int32) error {
	got, err := s.wire.tokenize(ctx, s, text)
	if err != nil {
		return err
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("rollout: generator %s has another tokenizer than the policy: %q is %v there and %v here", s.address, text, got, want)
	}
	return nil
}

// LoadAdapter gives the server an adapter in PEFT's form, in a folder that the
// server sees too, samples from it from now on and takes the last one away.
// name tells it from others. It is ErrNoAdapters where the server cannot.
func (s *Server) LoadAdapter(ctx context.Context, name, folder string) error {
	if name == s.adapter {
		return nil
	}
	if err := s.wire.load(ctx, s, name, folder); err != nil {
		return err
	}
	if s.adapter != "" {
		s.wire.unload(ctx, s, s.adapter)
	}
	s.adapter, s.model = name, name
	return nil
}

// Close takes away the adapter that the server was given.
func (s *Server) Close() {
	if s.adapter != "" {
		ctx, cancel := context.WithTimeout(context.Background(), unloadTimeout)
		defer cancel()
		s.wire.unload(ctx, s, s.adapter)
		s.adapter = ""
	}
	s.client.CloseIdleConnections()
}

// unloadTimeout bounds the farewell to a server that may be gone.
const unloadTimeout = 5 * time.Second

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
	for range max(1, cmpOr(s.Concurrent, 16)) {
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

func cmpOr(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
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
