package rejection

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"align/datasets"

	"github.com/go-json-experiment/json/jsontext"
)

// Prompt is what to answer.
type Prompt struct {
	// Source is the prompt as the data has it, text or messages, in JSON: it is
	// copied into what is written.
	Source jsontext.Value
	// Tools are what the prompt offers to call, each a JSON schema; they are
	// copied likewise.
	Tools []jsontext.Value
	// Text is what rules and commands see.
	Text string
	// Messages are what the prompt was rendered from, for reward models with
	// tokens of their own.
	Messages  []datasets.Message
	IDs       []int32
	Reference string
	Place     string
}

// hash is a content hash: of the ids and the reference.
func (p Prompt) hash() [32]byte { return datasets.PromptHash(p.IDs, p.Reference) }

// work is a prompt of this shard: index is its place in the whole file.
type work struct {
	Prompt
	index int
	name  string // the hash, for the journal
	key   uint64 // of its draws
}

// deal leaves out prompts that were there before and takes the shard's part of
// the rest: which part a prompt falls into hangs on its content alone, so that
// machines need not agree on anything but n.
func deal(prompts []Prompt, s Shard) (list []work, repeated int, err error) {
	if len(prompts) == 0 {
		return nil, 0, errors.New("rejection: there are no prompts")
	}
	seen := map[[32]byte]bool{}
	for i, p := range prompts {
		if len(p.IDs) == 0 {
			return nil, 0, fmt.Errorf("rejection: %s: prompt %d has no tokens", p.Place, i+1)
		}
		h := p.hash()
		if seen[h] {
			repeated++
			continue
		}
		seen[h] = true
		if binary.BigEndian.Uint64(h[24:])%uint64(s.Count) != uint64(s.Index) {
			continue
		}
		list = append(list, work{Prompt: p, index: i, name: hex.EncodeToString(h[:16]), key: binary.LittleEndian.Uint64(h[:8])})
	}
	return list, repeated, nil
}
