package model_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"align/internal/device"
	"align/internal/fixture"
	"align/internal/gguf"
	"align/internal/safetensors"
	"align/model"
)

// rewritten is a folder with every tensor of another passed through change,
// which may return several; all in F32.
func rewritten(t testing.TB, base string, change func(name string, shape []int, x []float32) []safetensors.Tensor) string {
	t.Helper()
	files, err := safetensors.OpenModel(base)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	dir := t.TempDir()
	var tensors []safetensors.Tensor
	for _, info := range files.Tensors() {
		raw := make([]byte, info.Bytes)
		if err := files.ReadInto(info.Name, raw); err != nil {
			t.Fatal(err)
		}
		n := 1
		for _, d := range info.Shape {
			n *= d
		}
		x := make([]float32, n)
		if err := safetensors.ToFloat32(x, raw, info.DType); err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, change(info.Name, info.Shape, x)...)
	}
	writeFile(t, filepath.Join(dir, "model.safetensors"), func(w writer) error { return safetensors.Write(w, tensors, nil) })
	config, err := os.ReadFile(filepath.Join(base, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "config.json"), func(w writer) error { _, err := w.Write(config); return err })
	return dir
}

func isLinear(name string) bool { return strings.Contains(name, "_proj.weight") }

// roundTrip is what quantising leaves of x, by the formats' own functions.
func roundTrip(t testing.TB, to string, cols int, x []float32) []float32 {
	t.Helper()
	out := make([]float32, len(x))
	switch to {
	case "nf4":
		q := safetensors.QuantizeNF4(x, nil, safetensors.F32)
		q.Dequantize(out, 0)
	case "int8":
		for at := 0; at < len(x); at += cols {
			most := 0.0
			for _, v := range x[at : at+cols] {
				most = max(most, math.Abs(float64(v)))
			}
			for i, v := range x[at : at+cols] {
				out[at+i] = float32(math.RoundToEven(127*float64(v)/most)) * (float32(most) / 127)
			}
		}
	default:
		typ := map[string]gguf.Type{"q8_0": gguf.Q8_0, "q4_0": gguf.Q4_0}[to]
		raw := make([]byte, len(x)/typ.BlockSize()*typ.BlockBytes())
		if err := gguf.Quantize(typ, raw, x); err != nil {
			t.Fatal(err)
		}
		if err := gguf.Dequantize(typ, out, raw); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func plain(name string, shape []int, x []float32) []safetensors.Tensor {
	return []safetensors.Tensor{safetensors.FromFloats(name, safetensors.F32, shape, x)}
}

func TestQuantisingWhileLoading(t *testing.T) {
	bits := map[string]float64{"nf4": 4.5, "q8_0": 8.5, "q4_0": 4.5}
	bases := []string{wideModel(t)}
	if !testing.Short() { // half a minute under the race detector
		bases = append(bases, fixture.Path(t, "golden/models/tiny"), fixture.Path(t, "golden/models/tiny-bf16-sharded"))
	}
	for _, base := range bases {
		for _, to := range model.Quantizations {
			t.Run(filepath.Base(base)+"/"+to, func(t *testing.T) {
				b := &counted{Backend: openCPU(t, device.F32)}
				m := load(t, base, b, device.F32, model.LoadOptions{Quantize: to})
				linear, bytes := 0, int64(0)
				want := load(t, rewritten(t, base, func(name string, shape []int, x []float32) []safetensors.Tensor {
					if !isLinear(name) {
						return plain(name, shape, x)
					}
					linear += len(x)
					bytes += int64(shape[0] * (shape[1] + 4)) // of int8
					return plain(name, shape, roundTrip(t, to, shape[1], x))
				}), openCPU(t, device.F32), device.F32, model.LoadOptions{})
				if to != "int8" {
					bytes = int64(float64(linear) * bits[to] / 8)
				}
				typ := map[string]device.Type{"nf4": device.NF4, "int8": device.Int8, "q8_0": device.Q8_0, "q4_0": device.Q4_0}[to]
				if b.placed[typ] != bytes || len(m.Kept) != 0 {
					t.Errorf("%d linear weights take %d bytes of %v, want %d; kept %v", linear, b.placed[typ], typ, bytes, m.Kept)
				}
				x, y := logitsOf(t, m, nil), logitsOf(t, want, nil)
				within(t, "logits", difference(t, x, y)/largest(y), blockTolerance)
			})
		}
	}
}

func TestRowsThatAreNotWholeBlocksAreKept(t *testing.T) {
	m := load(t, fixture.Path(t, "data/stories260K"), openCPU(t, device.F32), device.F32, model.LoadOptions{Quantize: "nf4"})
	if len(m.Kept) != 5 || m.Kept[0] != "model.layers.0.mlp.down_proj.weight" {
		t.Errorf("kept %v", m.Kept) // 172 columns in each of five layers
	}
	if v := largest(logitsOf(t, m, nil)); math.IsNaN(v) || math.IsInf(v, 0) {
		t.Errorf("largest logit %v", v)
	}
}

// bitsandbytes are the tensors that a quantised weight has in a folder.
func bitsandbytes(t testing.TB, name string, q safetensors.NF4, double bool) []safetensors.Tensor {
	t.Helper()
	floats := func(suffix string, x []float32) safetensors.Tensor {
		return safetensors.FromFloats(name+suffix, safetensors.F32, []int{len(x)}, x)
	}
	code := make([]float32, 16)
	table := safetensors.NF4{Block: 16, Packed: []byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}, AbsMax: []float32{1}}
	table.Dequantize(code, 0)
	state := map[string]any{"quant_type": "nf4", "blocksize": q.Block, "dtype": "float32", "shape": q.Shape}
	list := []safetensors.Tensor{
		safetensors.FromBytes(name, safetensors.U8, []int{len(q.Packed), 1}, q.Packed), floats(".quant_map", code),
	}
	if double {
		s := safetensors.CompressScales(q.AbsMax)
		state["nested_blocksize"], state["nested_dtype"], state["nested_offset"] = s.Block, "float32", s.Offset
		list = append(list, safetensors.FromBytes(name+".absmax", safetensors.U8, []int{len(s.Codes)}, s.Codes),
			floats(".nested_absmax", s.Nested), floats(".nested_quant_map", s.Map[:]))
	} else {
		list = append(list, floats(".absmax", q.AbsMax))
	}
	text, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	return append(list, safetensors.FromBytes(name+".quant_state.bitsandbytes__nf4", safetensors.U8, []int{len(text)}, text))
}

func TestAQuantisedFolderHasTheBytesOfQuantisingIt(t *testing.T) {
	for _, base := range []string{wideModel(t), fixture.Path(t, "golden/models/tiny")} {
		for _, double := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/double=%v", filepath.Base(base), double), func(t *testing.T) {
				dir := rewritten(t, base, func(name string, shape []int, x []float32) []safetensors.Tensor {
					if !isLinear(name) {
						return plain(name, shape, x)
					}
					return bitsandbytes(t, name, safetensors.QuantizeNF4(x, shape, safetensors.F32), double)
				})
				b := &counted{Backend: openCPU(t, device.F32)}
				got := load(t, dir, b, device.F32, model.LoadOptions{})
				want := load(t, base, openCPU(t, device.F32), device.F32, model.LoadOptions{Quantize: "nf4", DoubleQuant: double})
				if got.Hash != want.Hash || b.placed[device.NF4] == 0 {
					t.Errorf("hashes differ; placed %v", b.placed)
				}
			})
		}
	}
}

func TestAQuantisedFolderWhoseBlocksCrossRows(t *testing.T) {
	base := fixture.Path(t, "data/stories260K")
	stored := rewritten(t, base, func(name string, shape []int, x []float32) []safetensors.Tensor {
		if !isLinear(name) {
			return plain(name, shape, x)
		}
		return bitsandbytes(t, name, safetensors.QuantizeNF4(x, shape, safetensors.F32), false)
	})
	wide := rewritten(t, base, func(name string, shape []int, x []float32) []safetensors.Tensor {
		if isLinear(name) {
			x = roundTrip(t, "nf4", shape[1], x)
		}
		return plain(name, shape, x)
	})
	got := logitsOf(t, load(t, stored, openCPU(t, device.F32), device.F32, model.LoadOptions{}), nil)
	want := logitsOf(t, load(t, wide, openCPU(t, device.F32), device.F32, model.LoadOptions{}), nil)
	within(t, "logits", difference(t, got, want)/largest(want), blockTolerance)
}

func TestWhatCannotBeQuantisedIsRefused(t *testing.T) {
	base := wideModel(t)
	broken := rewritten(t, base, func(name string, shape []int, x []float32) []safetensors.Tensor {
		if strings.Contains(name, "up_proj") {
			x[300] = float32(math.NaN())
		}
		return plain(name, shape, x)
	})
	for _, c := range []struct {
		path    string
		options model.LoadOptions
		want    string
	}{
		{base, model.LoadOptions{Quantize: "q5_k"}, `"q5_k": want one of`},
		{base, model.LoadOptions{Quantize: "q8_0", DoubleQuant: true}, "double quantisation is for nf4"},
		{base, model.LoadOptions{DoubleQuant: true}, "double quantisation is for nf4"},
		{asGGUF(t, base, "q8_0"), model.LoadOptions{Quantize: "nf4"}, "is quantised to q8_0 already"},
		{broken, model.LoadOptions{Quantize: "nf4"}, "row 1: element 44 is NaN"},
		{broken, model.LoadOptions{Quantize: "int8"}, "row 1: element 44 is NaN"},
		{broken, model.LoadOptions{Quantize: "q4_0"}, "row 1: gguf: element 44 is NaN"},
	} {
		_, err := model.LoadWith(c.path, openCPU(t, device.F32), device.F32, c.options)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.options, err, c.want)
		}
	}
}
