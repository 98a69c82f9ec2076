package model_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"align/internal/device"
	"align/internal/fixture"
	"align/internal/safetensors"
	"align/internal/tokenizer"
	"align/model"
)

// mergeTolerance is of logits, relative to the largest: the sums W + scale B A
// and their products are rounded in another order.
const mergeTolerance = 1e-5

func withAdapter(t testing.TB, m *model.Model, a *model.Adapter, values []float32) []float64 {
	t.Helper()
	if err := m.AllocAdapter(a, values); err != nil {
		t.Fatal(err)
	}
	return logitsOf(t, m, a)
}

func TestAMergedModelHasTheAdaptersLogits(t *testing.T) {
	dir := fixture.Path(t)
	for _, c := range []struct{ base, lora string }{
		{"golden/models/tiny", "golden/models/tiny-lora"}, {"golden/models/tied", "golden/models/tied-lora"}, {"data/stories260K", "golden/models/stories260K-lora"},
	} {
		t.Run(filepath.Base(c.base), func(t *testing.T) {
			b := openCPU(t, device.F32)
			m := load(t, filepath.Join(dir, c.base), b, device.F32, model.LoadOptions{})
			a, values, err := model.ReadAdapter(filepath.Join(dir, c.lora), m.Config)
			if err != nil {
				t.Fatal(err)
			}
			want := withAdapter(t, m, a, values)
			merge := model.Merge{Base: filepath.Join(dir, c.base), Adapter: a, Values: values}
			folder, file := filepath.Join(t.TempDir(), "merged"), filepath.Join(t.TempDir(), "merged.gguf")
			if err := errors.Join(model.MergeFolder(folder, merge, model.FolderOptions{}), model.MergeGGUF(file, merge, model.GGUFOptions{Type: "f32"})); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{folder, file} {
				got := logitsOf(t, load(t, path, b, device.F32, model.LoadOptions{}), nil)
				within(t, path, difference(t, got, want)/largest(want), mergeTolerance)
				v, err := model.Verify(path, m, a, text(m.Config.VocabSize))
				if err != nil || v.Tokens != 32 || v.Top1 != 1 || v.TextTokens != 40 || !(math.Abs(v.KL) <= mergeTolerance) || !(v.Difference <= mergeTolerance*v.Scale) {
					t.Errorf("%s: verification %+v, %v", path, v, err)
				}
			}
		})
	}
}

func mergedGGUF(t testing.TB, m model.Merge, typ string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), typ+".gguf")
	if err := model.MergeGGUF(path, m, model.GGUFOptions{Type: typ}); err != nil {
		t.Fatal(err)
	}
	return path
}

// Ensure that a merge from a quantised base has the logits of the adapter on
// that base, and that what is written in fewer bits is that merge rounded.
func TestAQuantisedBaseMerges(t *testing.T) {
	notUnderRaces(t)
	for _, typ := range []string{"q8_0", "q4_k"} {
		t.Run(typ, func(t *testing.T) {
			base, b := asGGUF(t, wideModel(t), typ), openCPU(t, device.F32)
			m := load(t, base, b, device.F32, model.LoadOptions{})
			a, values := randomAdapter(t, m.Config)
			want := withAdapter(t, m, a, values)
			merge := model.Merge{Base: base, Adapter: a, Values: values}
			exact := mergedGGUF(t, merge, "f32")
			got := logitsOf(t, load(t, exact, b, device.F32, model.LoadOptions{}), nil)
			within(t, "logits", difference(t, got, want)/largest(want), mergeTolerance)
			hashes := map[string]string{}
			for _, out := range []string{"bf16", "q8_0"} {
				direct := load(t, mergedGGUF(t, merge, out), b, device.F32, model.LoadOptions{})
				if hashes[out] = direct.Hash; direct.Hash != load(t, mergedGGUF(t, model.Merge{Base: exact}, out), b, device.F32, model.LoadOptions{}).Hash {
					t.Errorf("%s is not the rounded merge", out)
				}
			}
			folder := filepath.Join(t.TempDir(), "folder")
			if err := model.MergeFolder(folder, merge, model.FolderOptions{}); err != nil {
				t.Fatal(err)
			}
			back := load(t, folder, b, device.F32, model.LoadOptions{})
			equalConfigs(t, back.Config, m.Config)
			if back.Config.DType != "bfloat16" || back.Hash != hashes["bf16"] {
				t.Errorf("the folder's dtype is %q; its weights are not those of the bf16 file", back.Config.DType)
			}
			if x, y := tokenizerOf(t, folder), tokenizerOf(t, base); x != y {
				t.Errorf("the folder's tokenizer is %s, the file's %s", x, y)
			}
		})
	}
}

// tokenizerOf is the hash of a folder's or a GGUF's tokenizer.
func tokenizerOf(t testing.TB, path string) string {
	t.Helper()
	read := model.FolderTokenizer
	if model.IsGGUF(path) {
		read = model.GGUFTokenizer
	}
	keys, err := read(path)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := keys.Spec()
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	bos, _ := tok.BOS()
	eos, _ := tok.EOS()
	return fmt.Sprint(tok.Hash(), bos, eos)
}

func TestAMergedFolderKeepsTypesAndIsCutIntoShards(t *testing.T) {
	dir := fixture.Path(t)
	base := filepath.Join(dir, "golden/models/tiny-bf16-sharded")
	out := filepath.Join(t.TempDir(), "merged")
	if err := model.MergeFolder(out, model.Merge{Base: base}, model.FolderOptions{ShardBytes: 100_000}); err != nil {
		t.Fatal(err)
	}
	files, err := safetensors.OpenModel(out)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	if n := len(files.Files()); n < 3 || filepath.Base(files.Files()[0]) != fmt.Sprintf("model-00001-of-%05d.safetensors", n) {
		t.Errorf("files %v", files.Files())
	}
	b := openCPU(t, device.F32)
	got, want := load(t, out, b, device.F32, model.LoadOptions{}), load(t, base, b, device.F32, model.LoadOptions{})
	if got.Hash != want.Hash {
		t.Error("without an adapter the weights must be the base's")
	}
	for _, name := range []string{"config.json", "tokenizer.json", "tokenizer.model", "generation_config.json"} {
		x, _ := os.ReadFile(filepath.Join(out, name))
		y, err := os.ReadFile(filepath.Join(base, name))
		if err != nil || string(x) != string(y) {
			t.Errorf("%s differs: %v", name, err)
		}
	}
}

func TestAMergeOfABitsandbytesFolderIsPlain(t *testing.T) {
	dir := rewritten(t, wideModel(t), func(name string, shape []int, x []float32) []safetensors.Tensor {
		if !isLinear(name) {
			return plain(name, shape, x)
		}
		return bitsandbytes(t, name, safetensors.QuantizeNF4(x, shape, safetensors.F32), true)
	})
	var config map[string]any
	readJSON(t, filepath.Join(dir, "config.json"), &config)
	config["quantization_config"] = map[string]any{"load_in_4bit": true}
	writeJSON(t, filepath.Join(dir, "config.json"), config)
	out := filepath.Join(t.TempDir(), "merged")
	if err := model.MergeFolder(out, model.Merge{Base: dir}, model.FolderOptions{}); err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	readJSON(t, filepath.Join(out, "config.json"), &back)
	delete(config, "quantization_config")
	if diff := cmp.Diff(config, back); diff != "" {
		t.Errorf("config.json: %s", diff)
	}
	b := openCPU(t, device.F32)
	x, y := logitsOf(t, load(t, out, b, device.F32, model.LoadOptions{}), nil), logitsOf(t, load(t, dir, b, device.F32, model.LoadOptions{}), nil)
	within(t, "logits", difference(t, x, y)/largest(y), 2e-2) // written in BF16
}

func TestATokenizerComesBackFromGGUF(t *testing.T) {
	dir := fixture.Path(t)
	for _, name := range ggufFolders {
		want, err := model.FolderTokenizer(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		want.ChatTemplate = "{{ messages }}"
		path := filepath.Join(t.TempDir(), "m.gguf")
		if err := model.MergeGGUF(path, model.Merge{Base: filepath.Join(dir, name)}, model.GGUFOptions{Type: "q8_0", Tokenizer: &want}); err != nil {
			t.Fatal(err)
		}
		got, err := model.GGUFTokenizer(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	chat, err := model.FolderTokenizer(filepath.Join(dir, "data/stories260K-chat"))
	if err != nil {
		t.Fatal(err)
	}
	if chat.BOS != 512 || chat.Tokens[chat.BOS] != "<|begin_of_text|>" || chat.EOT != 521 || chat.Types[521] != int32(tokenizer.Control) || chat.Types[100] != int32(tokenizer.Normal) {
		t.Errorf("BOS %d, EOT %d, types %v", chat.BOS, chat.EOT, chat.Types[505:525])
	}
}

func TestAFailedMergeLeavesNothing(t *testing.T) {
	base, dir := wideModel(t), t.TempDir()
	broken := rewritten(t, base, func(name string, shape []int, x []float32) []safetensors.Tensor {
		x[0] *= 1e38 // beyond float16, in the last tensor as in the first
		return plain(name, shape, x)
	})
	for _, c := range []struct {
		merge model.Merge
		typ   string
		want  string
	}{
		{model.Merge{Base: base}, "q5_k", `"q5_k": want one of`},
		{model.Merge{Base: filepath.Join(dir, "none")}, "f16", "none"},
		{model.Merge{Base: broken}, "f16", "neither tokenizer.json"},
	} {
		err := model.MergeGGUF(filepath.Join(dir, "out.gguf"), c.merge, model.GGUFOptions{Type: c.typ})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	spec, err := model.FolderTokenizer(base)
	if err != nil {
		t.Fatal(err)
	}
	if err := model.MergeGGUF(filepath.Join(dir, "out.gguf"), model.Merge{Base: broken}, model.GGUFOptions{Type: "f16", Tokenizer: &spec}); err == nil {
		t.Error("a value beyond float16 was written")
	}
	if err := model.MergeFolder(filepath.Dir(base), model.Merge{Base: base}, model.FolderOptions{}); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("got %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
