package model_test

import (
	"io"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"align/internal/device"
	"align/internal/safetensors"
	"align/model"
)

// Rows next to zero and rows that are copies are found, in whatever type the
// base is; the mean is that of the others.
func TestUntrainedRowsAreFound(t *testing.T) {
	for _, dtype := range []safetensors.DType{safetensors.F32, safetensors.BF16} {
		dir := t.TempDir()
		writeVariantBase(t, dir, false, dtype)
		c, err := model.ReadConfig(dir)
		if err != nil {
			t.Fatal(err)
		}
		full := model.NewFull(c)
		values, err := full.ReadWeights(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		embedding, head := full.Weights[0], full.Weights[len(full.Weights)-1]
		row := func(w model.FullWeight, id int) []float32 { return values[w.Offset+id*w.Cols:][:w.Cols] }
		clear(row(embedding, 30))
		for i := range row(embedding, 28) {
			row(embedding, 28)[i] *= 1e-5
		}
		copy(row(head, 31), row(head, 29))
		write(t, filepath.Join(dir, "model.safetensors"), func(w io.Writer) error { return full.WriteWeights(w, model.InMemory(values), dtype) })
		m := load(t, dir, openCPU(t, device.F32), device.F32, model.LoadOptions{})
		special := []int32{27, 28, 29, 30, 31}
		for table, want := range map[string][]int32{"embed_tokens": {28, 30}, "lm_head": {29, 31}} {
			got, err := m.Untrained(table, special)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%v: %s: untrained %v (error %v), want %v", dtype, table, got, err, want)
			}
		}
		mean, err := m.MeanRow("embed_tokens", []int32{28, 30})
		if err != nil {
			t.Fatal(err)
		}
		back, err := full.ReadWeights(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range mean {
			want := 0.0
			for id := range 32 {
				if id != 28 && id != 30 {
					want += float64(back[embedding.Offset+id*embedding.Cols+i]) / 30
				}
			}
			if math.Abs(float64(got)-want) > 1e-7 {
				t.Errorf("%v: element %d of the mean is %v, want %v", dtype, i, got, want)
			}
		}
		if m.Tables()[0] != "embed_tokens" || len(m.Tables()) != 2 {
			t.Errorf("tables %v", m.Tables())
		}
	}
}
