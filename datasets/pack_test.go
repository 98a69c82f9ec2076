package datasets

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// expected is what a pack must compute: for each of its tokens all that the
// token sees, itself last, and for each target all that it is predicted from.
type expected struct {
	contexts [][]int32
	targets  []expectedTarget
	sequence int32
}

type expectedTarget struct {
	context  []int32
	id       int32
	sequence int32
}

// document adds a sequence of its own.
func (x *expected) document(ids []int32) {
	for i := range ids {
		x.contexts = append(x.contexts, ids[:i+1])
	}
}

// answer adds the tokens of an answer as those of prompt and answer in one
// sequence; skip marks no targets.
func (x *expected) answer(prompt, ids []int32, skip []bool) {
	whole := slices.Concat(prompt, ids)
	for i := range ids {
		n := len(prompt) + i
		x.contexts = append(x.contexts, whole[:n+1])
		if (skip == nil || !skip[i]) && n > 0 {
			x.targets = append(x.targets, expectedTarget{whole[:n], ids[i], x.sequence})
		}
	}
	x.sequence++
}

// compare takes the pack apart by the definition of its mask.
func (x *expected) compare(t *rapid.T, p *Pack) {
	if len(p.IDs) != len(x.contexts) || len(p.Targets) != len(x.targets) || p.Sequences != int(x.sequence) {
		t.Fatalf("%d tokens, %d targets, %d sequences: want %d, %d, %d", len(p.IDs), len(p.Targets), p.Sequences, len(x.contexts), len(x.targets), x.sequence)
	}
	for i, want := range x.contexts {
		if got := seen(t, p, i); !slices.Equal(got, want) {
			t.Fatalf("token %d sees %v, want %v", i, got, want)
		}
		if got := int(p.Position[i]); got != len(want)-1 {
			t.Fatalf("token %d has position %d, want %d", i, got, len(want)-1)
		}
	}
	counts := make([]int32, x.sequence)
	for n, want := range x.targets {
		if got := seen(t, p, int(p.Rows[n])); !slices.Equal(got, want.context) || p.Targets[n] != want.id || p.Sequence[n] != want.sequence {
			t.Fatalf("target %d: %d of sequence %d from %v, want %+v", n, p.Targets[n], p.Sequence[n], got, want)
		}
		counts[want.sequence]++
	}
	if !slices.Equal(p.Tokens, counts) {
		t.Fatalf("sequences have %v targets, want %v", p.Tokens, counts)
	}
}

// seen is what query i sees, in the order of the rows.
func seen(t *rapid.T, p *Pack, i int) (ids []int32) {
	from, to, start := p.PrefixStart[i], p.PrefixEnd[i], p.SegmentStart[i]
	if from > to || to > start || int(start) > i || from == to && from != start {
		t.Fatalf("token %d: prefix [%d, %d) and segment from %d", i, from, to, start)
	}
	ids = append(ids, p.IDs[from:to]...)
	return append(ids, p.IDs[start:i+1]...)
}

// part is one thing that can be added to a pack.
type part struct {
	add    func(*Pack)
	expect func(*expected)
}

// drawPart draws an example, a group or a pair. No two tokens have one id, so
// that what is seen tells where it stands.
func drawPart(t *rapid.T, next *int32) part {
	ids := func(least int, label string) []int32 {
		out := make([]int32, rapid.IntRange(least, 5).Draw(t, label))
		for i := range out {
			out[i] = *next
			*next++
		}
		return out
	}
	bools := func(n int) []bool { return rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "bools") }
	key := rapid.Uint32().Draw(t, "key")
	switch rapid.SampledFrom([]string{"example", "group", "separate", "pair", "without format"}).Draw(t, "kind") {
	case "example":
		return examplePart(ids(1, "example"), bools, key)
	case "pair":
		p := Pair{Prompt: ids(1, "prompt"), Chosen: ids(1, "chosen"), Rejected: ids(1, "rejected")}
		return part{func(k *Pack) { k.AddPair(p, key) }, func(x *expected) {
			x.document(p.Prompt)
			x.answer(p.Prompt, p.Chosen, nil)
			x.answer(p.Prompt, p.Rejected, nil)
		}}
	case "without format":
		p := Pair{Prompt: ids(1, "prompt"), Chosen: ids(1, "chosen"), Rejected: ids(1, "rejected")}
		p.ChosenFormat, p.RejectedFormat = bools(len(p.Chosen)), bools(len(p.Rejected))
		return part{func(k *Pack) { k.AddPairWithoutFormat(p, key) }, func(x *expected) {
			x.document(p.Prompt)
			x.answer(p.Prompt, p.Chosen, p.ChosenFormat)
			x.answer(p.Prompt, p.Rejected, p.RejectedFormat)
			for i, format := range p.ChosenFormat {
				if format {
					x.targets = append(x.targets, expectedTarget{slices.Concat(p.Prompt, p.Chosen[:i]), p.Chosen[i], x.sequence})
				}
			}
			x.sequence++
		}}
	case "separate":
		prompt, a, b := ids(0, "prompt"), ids(1, "a"), ids(1, "b")
		return part{func(k *Pack) { k.AddSeparate(prompt, key, Answer{IDs: a}, Answer{IDs: b}) }, func(x *expected) {
			x.document(prompt)
			x.answer(prompt, a, nil)
			x.document(prompt)
			x.answer(prompt, b, nil)
		}}
	}
	prompt := ids(0, "prompt")
	answers := make([]Answer, rapid.IntRange(0, 4).Draw(t, "answers"))
	for i := range answers {
		answers[i].IDs = ids(1, "answer")
		answers[i].Skip = bools(len(answers[i].IDs))
	}
	return part{func(k *Pack) { k.AddGroup(prompt, key, answers...) }, func(x *expected) {
		x.document(prompt)
		for _, a := range answers {
			x.answer(prompt, a.IDs, a.Skip)
		}
	}}
}

// examplePart is an example of several documents.
func examplePart(ids []int32, bools func(int) []bool, key uint32) part {
	e := Example{IDs: ids, LossMask: bools(len(ids))}
	var document int32
	for _, next := range bools(len(ids)) {
		if next {
			document++
		}
		e.Document = append(e.Document, document)
	}
	return part{func(k *Pack) { k.AddExample(e, key) }, func(x *expected) {
		for from := 0; from < len(ids); {
			to := from + 1
			for to < len(ids) && e.Document[to] == e.Document[from] {
				to++
			}
			x.document(ids[from:to])
			for i := from + 1; i < to; i++ {
				if e.LossMask[i] {
					x.targets = append(x.targets, expectedTarget{ids[from:i], ids[i], x.sequence})
				}
			}
			from = to
		}
		x.sequence++
	}}
}

// Whatever is packed, every token sees what it would see alone, every target is
// predicted from what stands before it, and no dropout key depends on the place.
func TestPackIsSeparateSequences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pack, alone Pack
		var want expected
		next := int32(1)
		for range rapid.IntRange(0, 6).Draw(t, "parts") {
			part := drawPart(t, &next)
			from := len(pack.IDs)
			part.add(&pack)
			part.expect(&want)
			alone.Reset()
			part.add(&alone)
			if !slices.Equal(pack.DropoutKey[from:], alone.DropoutKey) {
				t.Fatalf("dropout keys %v, alone %v", pack.DropoutKey[from:], alone.DropoutKey)
			}
		}
		want.compare(t, &pack)
	})
}

// Both answers of a pair are predicted from the prompt's last row.
func TestAddPair(t *testing.T) {
	var got Pack
	got.AddPair(Pair{Prompt: []int32{1, 2}, Chosen: []int32{3, 4}, Rejected: []int32{5}}, 7)
	want := Pack{
		IDs: []int32{1, 2, 3, 4, 5}, Position: []int32{0, 1, 2, 3, 2},
		PrefixStart: []int32{0, 0, 0, 0, 0}, PrefixEnd: []int32{0, 0, 2, 2, 2}, SegmentStart: []int32{0, 0, 2, 2, 4},
		DropoutKey: []int32{7, 8, 7 + 1<<20, 8 + 1<<20, 7 + 2<<20},
		Rows:       []int32{1, 2, 1}, Targets: []int32{3, 4, 5}, Sequence: []int32{0, 0, 1}, Sequences: 2, Tokens: []int32{2, 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The prompt's copies have one dropout: laid out twice or once, it is the same.
func TestAddSeparateDropout(t *testing.T) {
	var p Pack
	p.AddSeparate([]int32{1, 2, 3}, 99, Answer{IDs: []int32{4}}, Answer{IDs: []int32{5}})
	if !slices.Equal(p.DropoutKey[:3], p.DropoutKey[4:7]) || p.DropoutKey[3] == p.DropoutKey[7] {
		t.Errorf("got %v", p.DropoutKey)
	}
}

func TestAddScored(t *testing.T) {
	var p Pack
	p.AddScored([]int32{1, 2}, 0, []int32{3, 4}, []int32{5})
	if !slices.Equal(p.Rows, []int32{3, 4}) || !slices.Equal(p.Sequence, []int32{0, 1}) || p.Sequences != 2 {
		t.Errorf("got %+v", p)
	}
}

func TestPackAllocatesNothing(t *testing.T) {
	e := Example{IDs: make([]int32, 500), LossMask: slices.Repeat([]bool{true}, 500)}
	pair := Pair{Prompt: e.IDs[:100], Chosen: e.IDs[:200], Rejected: e.IDs[:50]}
	var p Pack
	got := testing.AllocsPerRun(10, func() {
		p.Reset()
		for range 4 {
			p.AddExample(e, 1)
			p.AddPair(pair, 2)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations per pack, want 0", got)
	}
}

// Targets and the hash count what is predicted: a mask bit at a document's first
// token says nothing.
func TestExampleTargets(t *testing.T) {
	e := Example{IDs: []int32{1, 2, 3, 4}, LossMask: []bool{true, true, true, false}, Document: []int32{0, 0, 1, 1}}
	if got := e.Targets(); got != 1 {
		t.Errorf("%d targets, want 1", got)
	}
	f := e
	f.LossMask = []bool{false, true, false, false}
	if e.Hash() != f.Hash() {
		t.Error("the hash depends on mask bits that mean nothing")
	}
	f.LossMask = []bool{false, true, false, true}
	if e.Hash() == f.Hash() {
		t.Error("the hash does not depend on the targets")
	}
}

func TestPairHash(t *testing.T) {
	a := Pair{Prompt: []int32{1}, Chosen: []int32{2, 3}, Rejected: []int32{4}}
	b := Pair{Prompt: []int32{1, 2}, Chosen: []int32{3}, Rejected: []int32{4}, Place: "elsewhere"}
	if a.Hash() == b.Hash() {
		t.Error("the border between prompt and answer is not hashed")
	}
	c := a
	c.Place = "elsewhere"
	if a.Hash() != c.Hash() {
		t.Error("the place is hashed")
	}
}
