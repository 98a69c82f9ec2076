package tokenizer

import (
	"container/heap"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Training of a byte-level BPE vocabulary (https://arxiv.org/abs/1508.07909,
// algorithm 1) over the pieces of Llama 3's splitter: of all adjacent pairs of
// tokens the most frequent becomes a token, until the vocabulary is full. Each
// distinct piece is held once with its count, and a merge visits only the
// pieces that have its pair.

const (
	// smallVocabulary is the size below which the short list of special tokens
	// is taken: 256 names would be a large part of it.
	smallVocabulary = 8192
	// minFrequency is how often a pair must occur to become a token: one that
	// occurs once is a quotation, not a regularity.
	minFrequency = 2
	// maxTrainPiece bounds the bytes of a piece that is learnt from at once; a
	// longer one, a ruler of dashes say, counts as several.
	maxTrainPiece = 256
)

// shortSpecials are the special tokens of a small vocabulary, in the order of
// Llama 3.1's: those that a text, a chat template and padding need.
var shortSpecials = []int{0, 1, 4, 6, 7, 8, 9, 10}

// SpecialNames are the special tokens of a vocabulary of the size in order: the
// 256 of Llama 3.1, or below 8192 tokens the eight of them that have a use.
func SpecialNames(vocabSize int) []string {
	numbers := shortSpecials
	if vocabSize >= smallVocabulary {
		numbers = make([]int, numSpecials)
		for i := range numbers {
			numbers[i] = i
		}
	}
	names := make([]string, len(numbers))
	for i, n := range numbers {
		names[i] = specialName(n)
	}
	return names
}

// Train learns a vocabulary of vocabSize tokens from texts: the 256 bytes in
// the order of GPT-2's alphabet, as in Llama 3, then a token per merge, then
// SpecialNames. Pairs of equal frequency are merged in the order of their ids,
// so that the same texts, in any order, give the same vocabulary. It is smaller
// where the texts have no more pairs that occur twice.
func Train(texts iter.Seq[string], vocabSize int) (Spec, error) {
	specials := SpecialNames(vocabSize)
	if least := 256 + len(specials); vocabSize < least || vocabSize > maxTokens {
		return Spec{}, fmt.Errorf("tokenizer: a vocabulary of %d tokens: want %d to %d", vocabSize, least, maxTokens)
	}
	t := newTrainer(countPieces(texts))
	if len(t.words) == 0 {
		return Spec{}, errors.New("tokenizer: there is no text to learn a vocabulary from")
	}
	for len(t.texts)+len(specials) < vocabSize && t.mergeNext() {
	}
	return t.spec(specials), nil
}

// countPieces counts the pieces of the texts.
func countPieces(texts iter.Seq[string]) map[string]int64 {
	counts := map[string]int64{}
	for text := range texts {
		for len(text) > 0 {
			n := min(nextPiece(text), maxTrainPiece)
			// Cloned: a piece must not hold its whole text in memory.
			if _, ok := counts[text[:n]]; ok {
				counts[text[:n]]++
			} else {
				counts[strings.Clone(text[:n])] = 1
			}
			text = text[n:]
		}
	}
	return counts
}

// word is a distinct piece as the ids of its tokens so far.
type word struct {
	ids   []int32
	count int64
}

// pairUse is how often a pair occurs, and the words that have or had it.
type pairUse struct {
	count int64
	words []int32
}

type trainer struct {
	texts  []string         // raw bytes by id
	ids    map[string]int32 // by raw bytes
	merges [][2]int32
	merged map[uint64]int32 // the tokens of merges made
	words  []word
	pairs  map[uint64]*pairUse
	queue  trainQueue
}

func newTrainer(counts map[string]int64) *trainer {
	t := &trainer{ids: map[string]int32{}, merged: map[uint64]int32{}, pairs: map[uint64]*pairUse{}}
	byteIDs := t.addBytes()
	for _, piece := range sortedKeys(counts) {
		w := word{ids: make([]int32, len(piece)), count: counts[piece]}
		for i := range len(piece) {
			w.ids[i] = byteIDs[piece[i]]
		}
		t.words = append(t.words, w)
		t.count(int32(len(t.words)-1), 1)
	}
	for key, use := range t.pairs {
		t.queue = append(t.queue, trainCandidate{use.count, key})
	}
	heap.Init(&t.queue)
	return t
}

func sortedKeys(counts map[string]int64) []string {
	keys := make([]string, 0, len(counts))
	for k := range counts {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// addBytes enters the bytes in the order of their characters in the alphabet.
func (t *trainer) addBytes() (ids [256]int32) {
	letters := newAlphabet()
	for r := range letters.toByte {
		if b := letters.toByte[r]; b >= 0 {
			ids[b] = t.enter(string([]byte{byte(b)}))
		}
	}
	return ids
}

// enter is the id of a text, a new one where it has none: two merges can spell
// the same text.
func (t *trainer) enter(text string) int32 {
	id, ok := t.ids[text]
	if !ok {
		id = int32(len(t.texts))
		t.texts, t.ids[text] = append(t.texts, text), id
	}
	return id
}

// count adds a word's pairs to the uses (sign 1) or takes them out (-1).
func (t *trainer) count(index int32, sign int64) {
	w := &t.words[index]
	for i := 1; i < len(w.ids); i++ {
		key := pairKey(w.ids[i-1], w.ids[i])
		use := t.pairs[key]
		if use == nil {
			use = &pairUse{}
			t.pairs[key] = use
		}
		use.count += sign * w.count
		// A word has a pair several times in a row, if it has.
		if sign > 0 && (len(use.words) == 0 || use.words[len(use.words)-1] != index) {
			use.words = append(use.words, index)
		}
	}
}

// mergeNext merges the most frequent pair; false where none is left.
func (t *trainer) mergeNext() bool {
	for len(t.queue) > 0 {
		c := heap.Pop(&t.queue).(trainCandidate)
		use := t.pairs[c.key]
		if use == nil || use.count < minFrequency || use.count > c.count {
			continue // merged already, too rare, or in the queue with its count
		}
		if use.count < c.count {
			heap.Push(&t.queue, trainCandidate{use.count, c.key})
			continue
		}
		t.merge(c.key, use)
		return true
	}
	return false
}

// merge makes a token of a pair and puts it into the words.
func (t *trainer) merge(key uint64, use *pairUse) {
	left, right := int32(key>>32), int32(uint32(key))
	id, again := t.merged[key]
	if !again {
		id = t.enter(t.texts[left] + t.texts[right])
		t.merges, t.merged[key] = append(t.merges, [2]int32{left, right}), id
	}
	delete(t.pairs, key)
	changed := map[uint64]bool{}
	for _, index := range use.words {
		w := &t.words[index]
		if !hasPair(w.ids, left, right) {
			continue
		}
		t.count(index, -1)
		w.ids = mergePair(w.ids, left, right, id)
		t.count(index, 1)
		for i := 1; i < len(w.ids); i++ {
			if w.ids[i-1] == id || w.ids[i] == id {
				changed[pairKey(w.ids[i-1], w.ids[i])] = true
			}
		}
	}
	delete(t.pairs, key) // counting out has made it again, at or below 0
	for k := range changed {
		if use := t.pairs[k]; use != nil {
			heap.Push(&t.queue, trainCandidate{use.count, k})
		}
	}
}

func hasPair(ids []int32, left, right int32) bool {
	for i := 1; i < len(ids); i++ {
		if ids[i-1] == left && ids[i] == right {
			return true
		}
	}
	return false
}

// mergePair replaces the pair in place, from the left.
func mergePair(ids []int32, left, right, id int32) []int32 {
	out := ids[:0]
	for i := 0; i < len(ids); i++ {
		if i+1 < len(ids) && ids[i] == left && ids[i+1] == right {
			out = append(out, id)
			i++
			continue
		}
		out = append(out, ids[i])
	}
	return out
}

// spec is the vocabulary so far, with the special tokens behind.
func (t *trainer) spec(specials []string) Spec {
	letters := newAlphabet()
	s := Spec{IgnoreMerges: true, BOS: specialName(0), EOS: specialName(1)}
	var name []byte
	for _, text := range t.texts {
		name = letters.appendName(name[:0], text)
		s.Tokens, s.Types = append(s.Tokens, string(name)), append(s.Types, Normal)
	}
	for _, m := range t.merges {
		s.Merges = append(s.Merges, s.Tokens[m[0]]+" "+s.Tokens[m[1]])
	}
	for _, special := range specials {
		s.Tokens, s.Types = append(s.Tokens, special), append(s.Types, Control)
	}
	return s
}

// trainCandidate is a pair with its frequency when it was queued.
type trainCandidate struct {
	count int64
	key   uint64
}

// trainQueue is a heap: the most frequent first, of equals the lowest ids.
type trainQueue []trainCandidate

// The five methods of heap.Interface.

func (q trainQueue) Len() int { return len(q) }
func (q trainQueue) Less(i, j int) bool {
	return q[i].count > q[j].count || q[i].count == q[j].count && q[i].key < q[j].key
}
func (q trainQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *trainQueue) Push(x any)   { *q = append(*q, x.(trainCandidate)) }
func (q *trainQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}
