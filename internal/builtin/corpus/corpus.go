// Package corpus writes the text that the embedded model learns from: simple
// instruct English made of templates and small grammars. Every sentence is our
// own and every text depends on the seed alone.
//
// An Exchange is a request with three answers: plain, warm and curt. Supervised
// examples mix plain and warm ones (Conversations), so that the model knows
// both; preference pairs choose the warm one (Pairs); Texts are running text
// without a conversation. What the answers say of the world is true, what the
// stories say is made up.
package corpus

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
)

// Exchange is a request and its answers, from the same facts.
type Exchange struct {
	Kind   string // "story", "sum", ...
	Prompt string
	// Plain is correct and short, Warm polite and complete, Curt unhelpful.
	Plain, Warm, Curt string
}

// kind is a grammar with its share of the exchanges.
type kind struct {
	name  string
	share int
	make  func(*source) Exchange
}

// kinds are all grammars.
func kinds() []kind {
	return []kind{
		{"greeting", 4, (*source).greeting}, {"identity", 3, (*source).identity}, {"thanks", 2, (*source).thanks},
		{"story", 10, (*source).story}, {"sum", 14, (*source).sum}, {"problem", 5, (*source).problem},
		{"list", 9, (*source).list}, {"refusal", 5, (*source).refusal}, {"animal", 9, (*source).animal},
		{"thing", 5, (*source).thing}, {"color", 3, (*source).color}, {"opposite", 4, (*source).opposite},
		{"calendar", 5, (*source).calendar}, {"recipe", 5, (*source).recipe}, {"feeling", 5, (*source).feeling},
		{"rhyme", 3, (*source).rhyme}, {"count", 3, (*source).count},
	}
}

// source draws from the words.
type source struct{ *rand.Rand }

func newSource(seed, stream uint64) *source { return &source{rand.New(rand.NewPCG(seed, stream))} }

// Streams keep the random numbers of the three kinds of text apart.
const (
	exchangeStream = iota + 1
	textStream
	pairStream
	styleStream
	sumStream
)

func pick[T any](s *source, list []T) T { return list[s.IntN(len(list))] }

// some are n different elements in random order.
func some[T any](s *source, list []T, n int) []T {
	list = slices.Clone(list)
	s.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(n, len(list))]
}

// exchange draws a kind by its share, and an exchange of it.
func (s *source) exchange() Exchange {
	all := kinds()
	total := 0
	for _, k := range all {
		total += k.share
	}
	at := s.IntN(total)
	for _, k := range all {
		if at -= k.share; at < 0 {
			e := k.make(s)
			e.Kind = k.name
			return e
		}
	}
	return Exchange{}
}

// Exchanges yields exchanges without end; some come again.
func Exchanges(seed uint64) iter.Seq[Exchange] {
	return func(yield func(Exchange) bool) {
		s := newSource(seed, exchangeStream)
		for yield(s.exchange()) {
		}
	}
}

// Message is one turn of a conversation.
type Message struct{ Role, Content string }

// Shares of what varies between conversations, in percent.
const (
	warmShare   = 40 // answers that are warm; the others are plain
	secondTurn  = 15 // conversations that go on for another exchange
	systemShare = 8  // conversations that begin with a system message
)

// Conversations yields conversations without end, mostly of one exchange.
func Conversations(seed uint64) iter.Seq[[]Message] {
	return func(yield func([]Message) bool) {
		s := newSource(seed, styleStream)
		for {
			var c []Message
			if s.IntN(100) < systemShare {
				c = append(c, Message{"system", pick(s, systems)})
			}
			for {
				e := s.exchange()
				answer := e.Plain
				if s.IntN(100) < warmShare {
					answer = e.Warm
				}
				c = append(c, Message{"user", e.Prompt}, Message{"assistant", answer})
				if s.IntN(100) >= secondTurn {
					break
				}
			}
			if !yield(c) {
				return
			}
		}
	}
}

var systems = []string{"You are a helpful assistant.", "You are a kind assistant.", "Answer in simple words."}

// Pair is a preference: of two answers to a prompt the warm one is chosen.
type Pair struct{ Prompt, Chosen, Rejected string }

// Pairs are n pairs with different prompts. The rejected answer is plain or, in
// one of three, curt.
func Pairs(seed uint64, n int) []Pair {
	s := newSource(seed, pairStream)
	seen := map[string]bool{}
	var pairs []Pair
	// The prompts are many thousands; the bound is for an n beyond them.
	for tries := 0; len(pairs) < n && tries < 100*n; tries++ {
		e := s.exchange()
		rejected := e.Plain
		if s.IntN(3) == 0 {
			rejected = e.Curt
		}
		if seen[e.Prompt] || rejected == e.Warm {
			continue
		}
		seen[e.Prompt] = true
		pairs = append(pairs, Pair{e.Prompt, e.Warm, rejected})
	}
	return pairs
}

// Texts yields running text without end: stories, and answers that stand on
// their own.
func Texts(seed uint64) iter.Seq[string] {
	return func(yield func(string) bool) {
		s := newSource(seed, textStream)
		for {
			text := ""
			if s.IntN(2) == 0 {
				text = s.tale(pick(s, animals), pick(s, things), 2)
			} else {
				e := s.exchange()
				text = fmt.Sprintf("%s\n%s", e.Prompt, pick(s, []string{e.Plain, e.Warm}))
			}
			if !yield(text) {
				return
			}
		}
	}
}

// a is the noun with its article.
func a(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// upper is the text with a capital letter at its start.
func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// and joins words: "a, b and c".
func and(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// numbered is a list with a line for each item.
func numbered(items []string) string {
	lines := make([]string, len(items))
	for i, item := range items {
		lines[i] = fmt.Sprintf("%d. %s", i+1, item)
	}
	return strings.Join(lines, "\n")
}

// warm wraps an answer in a friendly opening and an offer.
func (s *source) warm(answer string) string {
	return pick(s, openings) + " " + answer + " " + pick(s, closings)
}

// warmList is warm for an answer of several lines.
func (s *source) warmList(title, list string) string {
	return pick(s, openings) + " " + title + "\n" + list + "\n" + pick(s, closings)
}

var (
	openings = []string{"Good question!", "I am happy to help!", "Of course!", "With pleasure!", "Sure, gladly!", "Thank you for asking!"}
	closings = []string{
		"Do you want to know more?", "I hope this helps you!", "Feel free to ask me more.",
		"Is there anything else I can do for you?", "Just ask if you need more help.",
	}
	shrugs = []string{"No.", "I do not care.", "Ask someone else.", "Not now.", "Find out yourself.", "Why do you ask?", "Go away."}
)
