package model_test

import (
	"strings"
	"testing"

	"align/datasets"
	"align/internal/device"
	"align/internal/device/cpu"
	"align/model"
)

var indexConfig = model.Config{
	Architecture: "LlamaForCausalLM", HiddenSize: 32, IntermediateSize: 48, NumLayers: 1, NumHeads: 2, NumKVHeads: 1, HeadDim: 16,
	VocabSize: 40, ContextLength: 64, RMSNormEps: 1e-5, RopeTheta: 10000, BOS: -1, DType: "float32",
}

func TestIndicesOutsideTheirTables(t *testing.T) {
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F32})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	testIndices(t, b, device.F32)
}

// testIndices holds a device to errors that name the index, its value and its
// limit, and to going on after them.
func testIndices(t *testing.T, b device.Backend, act device.Type) {
	t.Helper()
	m, err := model.Random(indexConfig, b, act, device.BF16, 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		slip func(p *datasets.Pack)
		want string
	}{
		{"a token", func(p *datasets.Pack) { p.IDs[1] = 40 }, "ids[1] is 40, want 0 to 39"},
		{"a negative token", func(p *datasets.Pack) { p.IDs[2] = -1 }, "ids[2] is -1, want 0 to 39"},
		{"a row", func(p *datasets.Pack) { p.Rows[0] = 3 }, "rows[0] is 3, want 0 to 2"},
		{"a target", func(p *datasets.Pack) { p.Targets[1] = 99 }, "targets[1] is 99, want less than 40"},
		{"a sequence", func(p *datasets.Pack) { p.Sequence[1] = 1 }, "sequence[1] is 1, want 0 to 0"},
		{"a prefix", func(p *datasets.Pack) { p.PrefixEnd[2] = 4 }, "row 2: prefix [0,4) and segment start 0 do not fit 3 rows"},
		{"two spans", func(p *datasets.Pack) { p.PrefixEnd[2] = 1 }, "row 2: prefix [0,1) and segment [0,2] overlap"},
		{"nothing", func(*datasets.Pack) {}, ""},
	} {
		wantError(t, c.name, packError(t, m, act, c.slip), c.want)
	}
	for _, c := range []struct {
		name string
		slip func(b *model.DecodeBatch)
		want string
	}{
		{"a token", func(b *model.DecodeBatch) { b.IDs[0] = 41 }, "ids[0] is 41, want 0 to 39"},
		{"a slot", func(b *model.DecodeBatch) { b.Slot[1] = 256 }, "slot[1] is 256, want 0 to 255"},
		{"a sequence", func(b *model.DecodeBatch) { b.Sequence[0] = 2 }, "sequence[0] is 2, want 0 to 1"},
		{"a page", func(b *model.DecodeBatch) { b.Pages[0] = 4 }, "page 0 of sequence 0 is 4, want 0 to 3"},
		{"positions", func(b *model.DecodeBatch) { b.Own[1] = 130 }, "row 1: prefix 0 and 130 own positions do not fit a table of 2 pages"},
		{"a row", func(b *model.DecodeBatch) { b.Rows[0] = 2 }, "rows[0] is 2, want 0 to 1"},
		{"nothing", func(*model.DecodeBatch) {}, ""},
	} {
		wantError(t, "decoding: "+c.name, batchError(t, m, c.slip), c.want)
	}
}

func wantError(t *testing.T, name string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", name, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: %v, want %q", name, err, want)
	}
}

// packError runs a pack of three tokens with a slip.
func packError(t *testing.T, m *model.Model, act device.Type, slip func(p *datasets.Pack)) error {
	t.Helper()
	p := &datasets.Pack{}
	p.AddExample(datasets.Example{IDs: []int32{1, 2, 3}, LossMask: []bool{false, true, true}}, 0)
	slip(p)
	d, err := model.NewDecoder(m.Config, act, model.DecoderOptions{Capacity: model.Capacity{Tokens: 8, Targets: 8, Sequences: 4}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Compile(m, nil, d.SequenceLogProbs)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Load(p, 0); err != nil {
		return err
	}
	if err := s.Run(); err != nil {
		return err
	}
	_, err = s.Float64s(nil, d.SequenceLogProbs)
	return err
}

// batchError decodes two tokens with a slip.
func batchError(t *testing.T, m *model.Model, slip func(b *model.DecodeBatch)) error {
	t.Helper()
	d, err := model.NewDecoding(m, model.CacheOptions{Rows: 4, Sequences: 2, PagesPerSequence: 2, Pages: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	b := &model.DecodeBatch{
		IDs: []int32{1, 2}, Position: []int32{0, 1}, Slot: []int32{64, 65}, Sequence: []int32{0, 0}, Own: []int32{1, 2},
		Pages: []int32{1, 0, 2, 3}, Prefix: []int32{0, 0}, Rows: []int32{1},
	}
	slip(b)
	_, err = d.Decode(nil, b)
	return err
}
