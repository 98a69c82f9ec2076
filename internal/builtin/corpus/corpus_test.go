package corpus

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// take is the first n of a sequence.
func take[T any](seq func(func(T) bool), n int) []T {
	var list []T
	seq(func(x T) bool {
		list = append(list, x)
		return len(list) < n
	})
	return list
}

func TestTheSameSeedGivesTheSameText(t *testing.T) {
	if a, b := take(Exchanges(1), 500), take(Exchanges(1), 500); !slices.Equal(a, b) {
		t.Error("exchanges differ")
	}
	if a, b := take(Texts(1), 200), take(Texts(1), 200); !slices.Equal(a, b) {
		t.Error("texts differ")
	}
	if a, b := Pairs(1, 100), Pairs(1, 100); !slices.Equal(a, b) {
		t.Error("pairs differ")
	}
	if a, b := take(Exchanges(1), 500), take(Exchanges(2), 500); slices.Equal(a, b) {
		t.Error("two seeds give the same exchanges")
	}
}

// TestExchangesAreSound: complete sentences of plain ASCII, three different
// answers, every kind there, tens of thousands of different exchanges.
func TestExchangesAreSound(t *testing.T) {
	found, distinct := map[string]int{}, map[string]bool{}
	for _, e := range take(Exchanges(7), 60000) {
		found[e.Kind]++
		distinct[e.Prompt+e.Warm+e.Plain] = true
		if e.Warm == e.Plain || e.Curt == e.Plain || e.Curt == e.Warm {
			t.Fatalf("answers repeat: %+v", e)
		}
		for _, text := range []string{e.Prompt, e.Plain, e.Warm, e.Curt} {
			check(t, text)
		}
	}
	for _, k := range kinds() {
		if found[k.name] == 0 {
			t.Errorf("there is no exchange of kind %s", k.name)
		}
	}
	if len(distinct) < 30000 {
		t.Errorf("only %d different exchanges of 60000", len(distinct))
	}
}

// wrongArticle finds "a" before a vowel and "an" before a consonant.
var wrongArticle = regexp.MustCompile(`\b([Aa] [aeiou]|[Aa]n [^aeiou])`)

func check(t *testing.T, text string) {
	t.Helper()
	if wrongArticle.MatchString(text) {
		t.Fatalf("wrong article: %q", text)
	}
	bad := strings.IndexFunc(text, func(r rune) bool { return r > '~' || r < ' ' && r != '\n' })
	switch {
	case text == "", bad >= 0, strings.Contains(text, "%"), strings.Contains(text, "  "):
		t.Fatalf("not sound: %q", text)
	case !strings.ContainsRune(".!?\"", rune(text[len(text)-1])):
		t.Fatalf("no end of a sentence: %q", text)
	}
}

func TestPairsHaveDifferentPrompts(t *testing.T) {
	pairs := Pairs(3, 300)
	if len(pairs) != 300 {
		t.Fatalf("%d pairs", len(pairs))
	}
	seen := map[string]bool{}
	for _, p := range pairs {
		if seen[p.Prompt] || p.Chosen == p.Rejected {
			t.Errorf("pair repeats or has equal answers: %+v", p)
		}
		seen[p.Prompt] = true
	}
}

func TestConversationsAlternate(t *testing.T) {
	for _, c := range take(Conversations(5), 2000) {
		if c[0].Role == "system" {
			c = c[1:]
		}
		for i, m := range c {
			if want := []string{"user", "assistant"}[i%2]; m.Role != want {
				t.Fatalf("turn %d is of %s", i, m.Role)
			}
		}
		if len(c)%2 != 0 || len(c) == 0 {
			t.Fatalf("%d turns", len(c))
		}
	}
}
