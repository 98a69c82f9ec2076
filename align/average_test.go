package align_test

import (
	"context"
	"path/filepath"
	"testing"

	"align/align"
	"align/dpo"
	"align/internal/fixture"
	"align/internal/runfolder"
	"align/model"
)

func TestAnAverageIsTheMeanOfEveryValue(t *testing.T) {
	notUnderRaces(t)
	first, second := dpoConfig(t, fixture.Path(t)), dpoConfig(t, fixture.Path(t))
	second.LearningRate *= 2
	second.Out = t.TempDir()
	conf, err := model.ReadConfig(first.Model)
	if err != nil {
		t.Fatal(err)
	}
	var parts [][]float32
	read := func(path string) []float32 {
		t.Helper()
		folder, err := runfolder.AdapterFolder(path)
		if err != nil {
			t.Fatal(err)
		}
		_, values, err := model.ReadAdapter(folder, conf)
		if err != nil {
			t.Fatal(err)
		}
		return values
	}
	for _, c := range []dpo.Config{first, second} {
		if _, err := align.DPO(context.Background(), c, nil, (&recorder{}).environment(t)); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, read(c.Out))
	}
	out := filepath.Join(t.TempDir(), "new", "mean")
	if _, err := align.Average([]string{first.Out, second.Out}, "", out); err != nil {
		t.Fatal(err)
	}
	moved := false
	for i, x := range read(out) {
		want := float32((float64(parts[0][i]) + float64(parts[1][i])) / 2)
		if x != want {
			t.Fatalf("value %d is %v, want %v", i, x, want)
		}
		moved = moved || parts[0][i] != parts[1][i]
	}
	if !moved {
		t.Error("the two adapters are the same")
	}
}
