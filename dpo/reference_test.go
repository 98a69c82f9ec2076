package dpo_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"align/dpo"
)

// A pass that is asked to end keeps what it has, and the next goes on from there.
func TestAStoppedReferenceIsKept(t *testing.T) {
	m, _, _ := banditModel(t)
	pairs := armPairs()
	cache := filepath.Join(t.TempDir(), "reference.tsv")
	packs := 0
	first := &dpo.Referee{Model: m, Batch: 1, Cache: cache, Stopped: func() bool { packs++; return packs > 2 }}
	if _, err := first.LogProbs(context.Background(), pairs); !errors.Is(err, dpo.ErrStopped) {
		t.Fatalf("error %v, want ErrStopped", err)
	}
	second := &dpo.Referee{Model: m, Batch: 1, Cache: cache}
	got, err := second.LogProbs(context.Background(), pairs)
	if err != nil {
		t.Fatal(err)
	}
	if second.Hits != 2 || second.Misses != len(pairs)-2 {
		t.Errorf("%d found, %d computed: want 2 and %d", second.Hits, second.Misses, len(pairs)-2)
	}
	want, err := (&dpo.Referee{Model: m, Batch: 1}).LogProbs(context.Background(), pairs)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("log-probabilities %v, without a stop %v", got, want)
	}
}

// A cache that cannot be written, or read, ends no run: what is computed is used.
func TestACacheThatCannotBeKeptIsDoneWithout(t *testing.T) {
	m, _, _ := banditModel(t)
	file := filepath.Join(t.TempDir(), "no folder")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want, err := (&dpo.Referee{Model: m, Batch: 1}).LogProbs(context.Background(), armPairs())
	if err != nil {
		t.Fatal(err)
	}
	for _, cache := range []string{filepath.Join(file, "reference.tsv"), t.TempDir()} {
		r := &dpo.Referee{Model: m, Batch: 1, Cache: cache}
		if got, err := r.LogProbs(context.Background(), armPairs()); err != nil || !slices.Equal(got, want) || r.Unkept == nil {
			t.Errorf("%s: %v, %v, not kept for %v", cache, got, err, r.Unkept)
		}
	}
}
