package datasets

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseSources(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []Source
	}{
		{"a.jsonl", []Source{{"a.jsonl", 0}}},
		{"a.jsonl:2", []Source{{"a.jsonl", 1}}},
		{"a.jsonl:3, b.parquet:1", []Source{{"a.jsonl", 0.75}, {"b.parquet", 0.25}}},
		{"a.jsonl,b.parquet", []Source{{"a.jsonl", 0}, {"b.parquet", 0}}},
		{`C:\data\a.jsonl:1,D:b.csv:1`, []Source{{`C:\data\a.jsonl`, 0.5}, {`D:b.csv`, 0.5}}},
	} {
		got, err := ParseSources(tc.text)
		if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", tc.text, err, diff)
		}
	}
}

// TestANameWithCommasIsOneFile where there is such a file.
func TestANameWithCommasIsOneFile(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"a,b.jsonl", "b.jsonl", "a, b, and c.jsonl", "x.jsonl"} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("x.jsonl,b.jsonl", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		text string
		want []Source
	}{
		{"a,b.jsonl", []Source{{"a,b.jsonl", 0}}},
		{"./a,b.jsonl", []Source{{"./a,b.jsonl", 0}}},
		{"a,b.jsonl:2,b.jsonl:2", []Source{{"a,b.jsonl", 0.5}, {"b.jsonl", 0.5}}},
		{"b.jsonl:1, a, b, and c.jsonl:3", []Source{{"b.jsonl", 0.25}, {"a, b, and c.jsonl", 0.75}}},
		{"a,c.jsonl", []Source{{"a", 0}, {"c.jsonl", 0}}},
		{"x.jsonl,b.jsonl", []Source{{"x.jsonl", 0}, {"b.jsonl", 0}}}, // that name is a folder's
	} {
		got, err := ParseSources(tc.text)
		if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", tc.text, err, diff)
		}
	}
}

func TestParseSourcesTellsAllFaults(t *testing.T) {
	_, err := ParseSources("a:0,:1,b,c:-1,d:NaN")
	for _, want := range []string{`"a:0": the weight must be positive`, `":1" names no file`, "4 of 5 have a weight", `"c:-1"`, `"d:NaN"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func FuzzParseSources(f *testing.F) {
	for _, seed := range []string{"a", "a:1", "a:1,b:2", ",", ":", "a:1e309", "a:Inf,b:1", "C:\\x:0x1p-2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sources, err := ParseSources(text)
		if err == nil && slices.ContainsFunc(sources, func(s Source) bool { return s.Path == "" || math.IsNaN(s.Weight) }) {
			t.Errorf("%q gives %v", text, sources)
		}
	})
}

func drawShares(t *rapid.T) []Share {
	shares := make([]Share, rapid.IntRange(1, 6).Draw(t, "sources"))
	sum := 0.0
	for i := range shares {
		shares[i] = Share{N: rapid.IntRange(1, 9).Draw(t, "n"), Weight: rapid.Float64Range(0.01, 1).Draw(t, "weight")}
		sum += shares[i].Weight
	}
	for i := range shares {
		shares[i].Weight /= sum
	}
	return shares
}

// Any first n of a mixture hold n·w of each source, up to less than 1, and
// every pass over a source deals each of its examples once.
func TestMixedOrderIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shares := drawShares(t)
		o, err := NewMixedOrder(shares, 4, rapid.IntRange(1, 5).Draw(t, "per step"), rapid.Bool().Draw(t, "shuffle"), rapid.Uint64().Draw(t, "seed"))
		if err != nil {
			t.Fatal(err)
		}
		dealt := make([][]int, len(shares))
		for n := 0; n < 200; {
			for _, index := range o.Next() {
				source := 0
				for index >= shares[source].N {
					index -= shares[source].N
					source++
				}
				dealt[source] = append(dealt[source], index)
				n++
				for i, s := range shares {
					if off := math.Abs(float64(len(dealt[i])) - s.Weight*float64(n)); off >= 1 {
						t.Fatalf("of %d, %d are of source %d: %v off", n, len(dealt[i]), i, off)
					}
				}
			}
		}
		for i, s := range shares {
			for from := 0; from+s.N <= len(dealt[i]); from += s.N {
				pass := slices.Clone(dealt[i][from : from+s.N])
				slices.Sort(pass)
				for k := range pass {
					if pass[k] != k {
						t.Fatalf("a pass over source %d deals %v", i, pass)
					}
				}
			}
		}
	})
}

func TestMixedOrderResumes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shares, perStep := drawShares(t), rapid.IntRange(1, 5).Draw(t, "per step")
		var orders [2]*Order
		for i := range orders {
			var err error
			if orders[i], err = NewMixedOrder(shares, 4, perStep, true, 42); err != nil {
				t.Fatal(err)
			}
		}
		for range rapid.IntRange(0, 30).Draw(t, "steps before") {
			orders[0].Next()
		}
		state, err := orders[0].State()
		if err != nil {
			t.Fatal(err)
		}
		if err := orders[1].Restore(state); err != nil {
			t.Fatal(err)
		}
		for step := range 10 {
			if a, b := orders[0].Next(), orders[1].Next(); !slices.Equal(a, b) {
				t.Fatalf("step %d after: %v and %v", step, a, b)
			}
		}
	})
}

func TestMixedEpoch(t *testing.T) {
	for _, tc := range []struct {
		name   string
		shares []Share
		passes float64
		want   int
	}{
		{"all of both", []Share{{80, 0.8}, {20, 0.2}}, 4, 100},
		{"a small source stops it", []Share{{90, 0.5}, {10, 0.5}}, 4, 80},
		{"one pass at most", []Share{{90, 0.5}, {10, 0.5}}, 1, 20},
		{"never empty", []Share{{1, 0.99}, {1, 0.01}}, 0.1, 1},
	} {
		if got := MixedEpoch(tc.shares, tc.passes); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestMixedOrderChecks(t *testing.T) {
	for _, tc := range []struct {
		shares []Share
		passes float64
	}{{nil, 1}, {[]Share{{0, 1}}, 1}, {[]Share{{1, 0}}, 1}, {[]Share{{1, math.NaN()}}, 1}, {[]Share{{1, 1}}, 0}} {
		if _, err := NewMixedOrder(tc.shares, tc.passes, 1, true, 1); err == nil {
			t.Errorf("%v, %v passes: no error", tc.shares, tc.passes)
		}
	}
}
