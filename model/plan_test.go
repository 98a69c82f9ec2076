package model_test

import (
	"os"
	"path/filepath"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/exec"
	"align/internal/fixture"
	"align/internal/graph"
	"align/model"
)

// What is planned without memory is what a session then holds, and the save
// policies keep more from the first to the last. (In a model of few layers attention
// can take less than none, whose pass over one layer holds more at once.)
func TestSessionSize(t *testing.T) {
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c, err := model.Shape("tiny")
	if err != nil {
		t.Fatal(err)
	}
	c.NumLayers = 12
	m, err := model.Random(c, b, device.F32, device.F32, 1)
	if err != nil {
		t.Fatal(err)
	}
	a, err := model.NewAdapter(c, model.LoRAConfig{Rank: 4, Alpha: 8, Dropout: 0.1, Targets: model.Modules})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.AllocAdapter(a, a.Initial(1)); err != nil {
		t.Fatal(err)
	}
	decoder := func(save exec.SavePolicy) (*model.Decoder, *graph.Node) {
		d, err := model.NewDecoder(c, device.F32, model.DecoderOptions{
			Capacity: model.Capacity{Tokens: 100, Targets: 60, Sequences: 3}, Adapter: a, Train: true, Save: save,
		})
		if err != nil {
			t.Fatal(err)
		}
		return d, d.Dot(d.SequenceLogProbs, d.Vector("weights", device.F64, graph.Sequences))
	}
	var last int64
	for _, save := range exec.SavePolicies {
		d, loss := decoder(save)
		planned, err := d.SessionSize(loss, d.Prediction.Entropy)
		if err != nil {
			t.Fatal(err)
		}
		d, loss = decoder(save)
		s, err := d.Compile(m, loss, d.Prediction.Entropy)
		if err != nil {
			t.Fatal(err)
		}
		if s.Bytes() != planned.Bytes || planned.Bytes < last || planned.Bytes == last && save != exec.SaveNone { // a small pack has no tiles
			t.Errorf("%s: planned %d, held %d, %d under the policy before", save, planned.Bytes, s.Bytes(), last)
		}
		last = planned.Bytes
		s.Close()
	}
}

func TestWeightBytes(t *testing.T) {
	dir := fixture.Path(t, "data", "stories260K-chat")
	stat, err := os.Stat(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	stored, err := model.WeightBytes(dir, "", device.F32, nil, nil)
	if err != nil || stored > stat.Size() || stored < stat.Size()*9/10 {
		t.Errorf("%d bytes, %v, of a file of %d", stored, err, stat.Size())
	}
	wide, err := model.WeightBytes(dir, "", device.F32, func(device.Type) device.Type { return device.F64 }, nil)
	if err != nil || wide <= stored {
		t.Errorf("%d bytes of f64, %v", wide, err)
	}
	if _, err := model.WeightBytes(dir, "q3", device.F32, nil, nil); err == nil {
		t.Error("an unknown quantisation is no error")
	}
}

// What SaveProducts and the passes over it take is at most half of what SaveAll
// does, whatever the model and the share of tokens in the loss.
func TestProductsTakeHalfOfAll(t *testing.T) {
	for _, shape := range []string{"small", "1b", "8b"} {
		c, err := model.Shape(shape)
		if err != nil {
			t.Fatal(err)
		}
		a, err := model.NewAdapter(c, model.LoRAConfig{Rank: 16, Alpha: 32, Targets: model.Modules})
		if err != nil {
			t.Fatal(err)
		}
		for _, targets := range []int{255, 1022} {
			bytes := func(save exec.SavePolicy) int64 {
				d, err := model.NewDecoder(c, device.F32, model.DecoderOptions{
					Capacity: model.Capacity{Tokens: 1024, Targets: targets, Sequences: 2}, Adapter: a, Train: true, Save: save,
				})
				if err != nil {
					t.Fatal(err)
				}
				n, err := d.SessionSize(d.Dot(d.SequenceLogProbs, d.Vector("weights", device.F64, graph.Sequences)))
				if err != nil {
					t.Fatal(err)
				}
				return n.Bytes
			}
			some, all := bytes(exec.SaveProducts), bytes(exec.SaveAll)
			t.Logf("%s, %d targets: %.1f of %.1f MiB, %.3f", shape, targets, float64(some)/(1<<20), float64(all)/(1<<20), float64(some)/float64(all))
			if 2*some > all {
				t.Errorf("%s, %d targets: products take %d bytes, all %d", shape, targets, some, all)
			}
		}
	}
}
