package rollout

import (
	"cmp"
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
	s.Attempts = min(cmp.Or(attempts, openAttempts), openAttempts)
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
