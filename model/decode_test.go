package model_test

import (
	"fmt"
	"testing"

	"align/datasets"
	"align/internal/device"
	"align/internal/fixture"
	"align/model"
)

// sequenceRun drives one sequence of a decoding session in a test.
type sequenceRun struct {
	decoding *model.Decoding
	batch    model.DecodeBatch
	own      int
}

func newSequenceRun(t testing.TB, g *golden, a *model.Adapter, rows int) *sequenceRun {
	t.Helper()
	d, err := model.NewDecoding(g.model, model.CacheOptions{Rows: rows, Sequences: 2, PagesPerSequence: 4, Pages: 8, Adapter: a})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	r := &sequenceRun{decoding: d}
	// Pages out of order: the table alone says where positions lie.
	r.batch.Pages = []int32{5, 2, 7, 1, 0, 0, 0, 0}
	r.batch.Prefix = []int32{0, 0}
	return r
}

// feed runs tokens of sequence 0 and returns the logits of all of them.
func (r *sequenceRun) feed(t testing.TB, ids []int32) []float32 {
	t.Helper()
	b := &r.batch
	prefix := int(b.Prefix[0])
	prefixPages := (prefix + device.PageRows - 1) / device.PageRows
	b.IDs, b.Position, b.Slot, b.Sequence, b.Own, b.Rows = ids, nil, nil, nil, nil, nil
	for i := range ids {
		page := b.Pages[prefixPages+r.own/device.PageRows]
		b.Slot = append(b.Slot, page*device.PageRows+int32(r.own%device.PageRows))
		b.Position = append(b.Position, int32(prefix+r.own))
		b.Sequence = append(b.Sequence, 0)
		b.Rows = append(b.Rows, int32(i))
		r.own++
		b.Own = append(b.Own, int32(r.own))
	}
	logits, err := r.decoding.Decode(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	return logits
}

func equalLogits(t *testing.T, what string, got []float32, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d logits, want %d", what, len(got), len(want))
	}
	for i := range got {
		if float64(got[i]) != want[i] {
			t.Fatalf("%s: logit %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

// long repeats the golden text beyond a page, so that sums cross a border.
func (g *golden) long() []int32 {
	return append(append(append([]int32{}, g.IDs...), g.IDs...), g.IDs...)
}

func forEachFloat32Golden(t *testing.T, f func(*testing.T, *golden)) {
	dir := fixture.Path(t)
	for _, name := range goldenNames {
		t.Run(name, func(t *testing.T) { f(t, openGolden(t, dir, name, device.F32)) })
	}
}

func TestDecodingHasTheBitsOfThePack(t *testing.T) {
	forEachFloat32Golden(t, func(t *testing.T, g *golden) {
		ids := g.long()
		p := &datasets.Pack{}
		document(p, ids)
		want := g.logits(t, p, g.adapter)
		equalLogits(t, "one run", newSequenceRun(t, g, g.adapter, len(ids)).feed(t, ids), want)
		for _, chunk := range []int{1, 50} {
			r := newSequenceRun(t, g, g.adapter, chunk)
			var got []float32
			for from := 0; from < len(ids); from += chunk {
				got = append(got, r.feed(t, ids[from:min(from+chunk, len(ids))])...)
			}
			equalLogits(t, fmt.Sprintf("runs of %d", chunk), got, want)
		}
	})
}

func TestDecodingAfterASharedPrefixHasTheBitsOfThePack(t *testing.T) {
	forEachFloat32Golden(t, func(t *testing.T, g *golden) {
		ids := g.long()
		const prompt = 70
		p := &datasets.Pack{}
		appendSegment(p, ids[:prompt], 0, 0, 0)
		appendSegment(p, ids[prompt:], prompt, 0, prompt)
		want := g.logits(t, p, g.adapter)
		r := newSequenceRun(t, g, g.adapter, len(ids))
		got := r.feed(t, ids[:prompt])
		r.batch.Prefix[0], r.own = prompt, 0
		got = append(got, r.feed(t, ids[prompt:])...)
		equalLogits(t, "prompt as prefix", got, want)
	})
}

func TestGreedyContinuationsEqualTheReference(t *testing.T) {
	forEachFloat32Golden(t, func(t *testing.T, g *golden) {
		var greedy struct {
			Base []int32 `json:"greedy_base"`
			LoRA []int32 `json:"greedy_lora"`
		}
		readJSON(t, g.dir+"/golden.json", &greedy)
		for _, c := range []struct {
			name    string
			want    []int32
			adapter *model.Adapter
		}{{"base", greedy.Base, nil}, {"lora", greedy.LoRA, g.adapter}} {
			r := newSequenceRun(t, g, c.adapter, 4)
			ids := append([]int32{}, c.want[:4]...)
			next := ids
			for len(ids) < len(c.want) {
				logits := r.feed(t, next)
				next = []int32{argmax(logits[len(logits)-g.model.Config.VocabSize:])}
				ids = append(ids, next...)
			}
			if fmt.Sprint(ids) != fmt.Sprint(c.want) {
				t.Errorf("%s: got %v, want %v", c.name, ids, c.want)
			}
		}
	})
}

func argmax(v []float32) int32 {
	best := 0
	for i, x := range v {
		if x > v[best] {
			best = i
		}
	}
	return int32(best)
}
