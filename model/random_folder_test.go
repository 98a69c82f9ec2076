package model_test

import (
	"os"
	"path/filepath"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/safetensors"
	"align/model"
)

// pieced is a CPU backend that notes the most that Place asks for at a time.
type pieced struct {
	*cpu.Backend
	largest int
}

func (b *pieced) Place(w device.Weight) (device.View, error) {
	read := w.Read
	w.Read = func(dst []byte, row, n int) error {
		b.largest = max(b.largest, n*int(w.Type.RowBytes(w.Cols)))
		return read(dst, row, n)
	}
	return b.Backend.Place(w)
}

// A folder of random weights is read like any other, its shards hold what the
// index says, and outlier channels stand out. Loading it as NF4 keeps the bytes
// that are planned and reads no more than a piece of a tensor at a time.
func TestRandomFolderLoadsInPieces(t *testing.T) {
	c, err := model.Shape("tiny")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "m")
	if err := model.WriteRandom(dir, model.RandomFolder{Config: c, ShardBytes: 4e6, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	if err := model.WriteRandom(dir, model.RandomFolder{Config: c}); err == nil {
		t.Error("a folder that exists is no error")
	}
	shards, err := filepath.Glob(filepath.Join(dir, "model-*-of-*.safetensors"))
	if err != nil || len(shards) < 2 {
		t.Fatalf("%d shards, %v", len(shards), err)
	}
	checkOutliers(t, shards)
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	counts := &pieced{Backend: b}
	m, err := model.LoadWith(dir, counts, device.F32, model.LoadOptions{Quantize: "nf4"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	planned, err := model.WeightBytes(dir, "nf4", device.F32, nil, nil)
	if err != nil || m.Bytes() > planned*101/100 || m.Bytes() < planned {
		t.Errorf("%d bytes held, %d planned, %v", m.Bytes(), planned, err)
	}
	if stored, err := model.WeightBytes(dir, "", device.F32, nil, nil); err != nil || m.Bytes() > stored*3/4 { // down_proj has no whole blocks here
		t.Errorf("%d bytes held of %d stored, %v", m.Bytes(), stored, err)
	}
	// The largest tensor is the embedding, 4096 x 256 of two bytes.
	if limit := 2 << 20; counts.largest == 0 || counts.largest > limit {
		t.Errorf("%d bytes were asked for at a time, want %d at most", counts.largest, limit)
	}
}

// checkOutliers holds the largest value of a weight's outlier column to that of
// the others.
func checkOutliers(t *testing.T, shards []string) {
	t.Helper()
	for _, path := range shards {
		f, err := safetensors.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, ok := f.Tensor("model.layers.0.self_attn.q_proj.weight")
		if !ok {
			continue
		}
		raw, values := make([]byte, info.Bytes), make([]float32, info.Bytes/2)
		if err := f.ReadInto(info.Name, raw); err != nil {
			t.Fatal(err)
		}
		if err := safetensors.ToFloat32(values, raw, info.DType); err != nil {
			t.Fatal(err)
		}
		var outlier, other float32
		for i, x := range values {
			if i%info.Shape[1] == 254 { // the first of the outlier channels
				outlier = max(outlier, x, -x)
			} else {
				other = max(other, x, -x)
			}
		}
		if outlier < 5*other {
			t.Errorf("the outlier channel reaches %v, the others %v", outlier, other)
		}
		return
	}
	t.Error("no shard has the weight")
}

// A shape that cannot be is told before anything is written.
func TestRandomFolderRefusesABadShape(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "m")
	if err := model.WriteRandom(dir, model.RandomFolder{}); err == nil {
		t.Error("an empty config is no error")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a folder was left behind")
	}
}
