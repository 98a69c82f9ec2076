//go:build linux && (amd64 || arm64) && !nogpu

package compute_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"align/internal/compute"
	"align/internal/device"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cublaslt"
	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
	"align/internal/device/cuda/fakecublaslt"
	"align/internal/device/cuda/fakedriver"
	"align/internal/device/cuda/kernels"
	"align/internal/device/cuda/ptxsim"
)

// open takes a card that has proven nothing yet.
func open(t *testing.T, l *driver.Library) *cuda.Backend {
	t.Helper()
	b, err := cuda.OpenOn(l, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// long skips what is slow in the simulator, above all with the race detector.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("the simulator is slow")
	}
}

func textOf(t *testing.T, file string) string {
	t.Helper()
	text, err := kernels.PTX(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// only proves some files and believes the others.
func only(with cuda.Prover, files ...string) cuda.Prover {
	return func(b device.Backend, file string) error {
		if slices.Contains(files, file) {
			return with(b, file)
		}
		return nil
	}
}

// f32 are entries for activations of float32, which no run on a card has.
var f32 = regexp.MustCompile(`^(attention_(cached|join|delta)|dora_(scale|dm)|swiglu|swiglu_grad|dropout|keep|scale_rows|rmsnorm|add_rmsnorm|rmsnorm_dx|rmsnorm_scales|column_sums|rope|rope_cache|put_rows|add_rows)_f32`)

// All kernels that runs have prove themselves, with what a card may do otherwise than
// the simulator, and leave nothing of the card's memory in use.
func TestKernelsProveThemselves(t *testing.T) {
	long(t)
	for i, target := range append(cudatest.Targets(), cudatest.Hopper) {
		if i == len(cudatest.Targets()) { // once more, with what has to be asked for
			if !cudatest.Simulated() {
				break
			}
			t.Setenv(cuda.Variable, "tma")
		}
		b := open(t, cudatest.LibraryTarget(t, target, false))
		before, err := b.Available()
		if err != nil {
			t.Fatal(err)
		}
		if instead, err := b.Prove(compute.Prove); err != nil || instead != "" {
			t.Fatal(instead, err)
		}
		var first []string // no more is translated than training with an adapter translates
		if b.Means().Wgmma {
			first = []string{"attention_grad", "attention_grad_sm90", "attention_sm90", "elements", "gemm", "gemm_sm90", "weights"}
		}
		if b.Means().TMA {
			first = slices.Insert(first, 6, "gemm_tma")
		}
		if got := b.Proven(); !slices.Equal(got, first) {
			t.Errorf("%v are proven at once: want %v", got, first)
		}
		for _, err := range b.ProveAll() {
			t.Error(err)
		}
		after, err := b.Available()
		if err != nil || after != before && cudatest.Simulated() {
			t.Errorf("%d bytes of %d are left, error %v", after, before, err)
		}
		checkAllRan(t, b)
	}
}

// checkAllRan holds the trials to every entry of the files.
func checkAllRan(t *testing.T, b *cuda.Backend) {
	t.Helper()
	for _, file := range kernels.Names() {
		if kernels.Hopper(file) && b.Products() != "wgmma" || kernels.Bulk(file) && !b.Means().TMA {
			continue
		}
		if !slices.Contains(b.Proven(), file) {
			t.Errorf("%s is not proven", file)
		}
		for _, entry := range regexp.MustCompile(`\.entry\s+(\w+)`).FindAllStringSubmatch(textOf(t, file), -1) {
			if n, simulated := cudatest.Launches(entry[1]); simulated && n == 0 && !f32.MatchString(entry[1]) {
				t.Errorf("%s of %s has no trial", entry[1], file)
			}
		}
	}
}

// wrongs are slips, each at the first place of an entry where what it finds is.
var wrongs = []struct{ file, entry, find, put string }{
	{"gemm", "gemm_nt_large", rowsOfA, "$1{$3, $2, "},
	{"gemm", "gemm_tn_small", halvesOfB, "$1{$3, $2}"},
	{"gemm", "gemm_nn_slim", `wait_group 6;`, "wait_group 7;"},
	{"gemm", "gemm_gather_f32", `add\.f32`, "sub.f32"},
	{"gemv", "gemv_nf4", halvesOfB, "$1{$3, $2}"},
	{"gemv16", "gemv16_q6_k", halvesOfB, "$1{$3, $2}"},
	{"gemv_narrow", "gemv_narrow_q4_k", halvesOfB, "$1{$3, $2}"},
	{"weights", "widen_q5_1", `add\.rn\.f32`, "sub.rn.f32"},
	{"lora_grad", "lora_grad", rowsOfA, "$1{$3, $2, "},
	{"attention", "attention_128", `sub\.f32`, "add.f32"},
	{"attention", "attention_cached_bf16_16", `sub\.f32`, "add.f32"},
	{"attention", "attention_join_bf16", `fma\.rn\.f32(\s+\S+ \S+ \S+ )\S+;`, "fma.rn.f32${1}0f3F800000;"},
	{"attention_grad", "attention_keys_grad_64", rowsOfA, "$1{$3, $2, "},
	{"attention_grad", "attention_delta_bf16", `add\.f32`, "sub.f32"},
	{"logprob", "logprob_slope", `neg\.f32`, "mov.f32"},
	{"norm", "rmsnorm_dx_bf16", `neg\.f32`, "mov.f32"},
	{"rope", "rope_cache_bf16", `neg\.f32`, "mov.f32"},
	{"elements", "swiglu_grad_bf16", `neg\.f32`, "mov.f32"},
	{"optimiser", "adamw", `sqrt\.rn\.f32`, "mov.f32"},
	{"vectors", "segment_sum", `add\.f64`, "sub.f64"},
	{"sampling", "sample", `sub\.f64`, "add.f64"},
	{"dora", "dora_norm", `sqrt\.rn\.f64`, "mov.f64"},
	{"rows", "gather_q4_k", `neg\.f32`, "mov.f32"},
}

// Sides of a matrix instruction whose registers change places.
const (
	rowsOfA   = `(mma\S+\s+\{[^}]*\},\s+)\{(\S+), (\S+), `
	halvesOfB = `(mma\S+\s+\{[^}]*\},\s+\{[^}]*\},\s+)\{(\S+), (\S+)\}`
)

// slipped is a file's text with a slip.
func slipped(t *testing.T, file, entry, find, put string) string {
	t.Helper()
	text := textOf(t, file)
	at := regexp.MustCompile(`\.entry ` + entry + `\b(?s:.*?)\n}`).FindStringIndex(text)
	if at == nil {
		t.Fatalf("no entry %s", entry)
	}
	pattern, body := regexp.MustCompile(find), text[at[0]:at[1]]
	place := pattern.FindStringSubmatchIndex(body)
	if place == nil {
		t.Fatalf("%s: %q is not there", entry, find)
	}
	return text[:at[0]] + body[:place[0]] + string(pattern.ExpandString(nil, put, body, place)) + body[place[1]:] + text[at[1]:]
}

// A kernel's slip fails its file's proof, and so the call that wants it, once and for
// all.
func TestWrongKernelsAreCaught(t *testing.T) {
	long(t)
	if !cudatest.Simulated() {
		t.Skip("a card may be lost to a stray address")
	}
	for _, w := range wrongs {
		library := cudatest.Library(t, false)
		back := cuda.Exchange(w.file, slipped(t, w.file, w.entry, w.find, w.put))
		b := open(t, library)
		if _, err := b.Prove(only(compute.Prove, w.file)); err != nil {
			t.Fatal(err)
		}
		err := errors.Join(b.ProveAll()...)
		back()
		var wrong *cuda.WrongError
		if !errors.Is(err, cuda.ErrWrong) || !errors.As(err, &wrong) || wrong.File != w.file || slices.Contains(b.Proven(), w.file) {
			t.Errorf("%s: %v", w.entry, err)
		}
		cudatest.ForgetFault()
	}
}

// Where wgmma is wrong, or the driver does not take its text, mma.sync stands in, also in
// the name of the numerics. Whoever has asked for wgmma gets an error.
func TestMmaStandsInForWgmma(t *testing.T) {
	long(t)
	if !cudatest.Simulated() {
		t.Skip("a card may be lost to a stray address")
	}
	for name, ptx := range map[string]string{
		"a step of 16 terms too far": slipped(t, "gemm_sm90", "wgmma_nt_square", `4611686293305360386;`, "4611686293305360388;"),
		"no text at all":             ".version 8.0\n.target sm_90a\n.address_size 64\nnonsense;\n",
	} {
		for _, asked := range []string{"", "wgmma"} {
			t.Setenv(cuda.Variable, asked)
			b := open(t, cudatest.LibraryTarget(t, cudatest.Hopper, false))
			wgmma, back := b.Numerics(), cuda.Exchange("gemm_sm90", ptx)
			instead, err := b.Prove(only(compute.Prove, "gemm_sm90"))
			back()
			switch {
			case asked != "" && (err == nil || instead != "" || b.Numerics() != wgmma):
				t.Errorf("%s, asked for: %q, %v, %s", name, instead, err, b.Numerics())
			case asked == "" && (err != nil || !strings.HasPrefix(instead, "mma.sync stands in for wgmma, which failed its proof (please report this): ")):
				t.Errorf("%s: %q, %v", name, instead, err)
			case asked == "" && (b.Numerics() != strings.TrimSuffix(wgmma, "-wgmma") || b.Products() != "own" || b.Means().Wgmma):
				t.Errorf("%s: numerics %s, products %s", name, b.Numerics(), b.Products())
			}
			t.Log(instead, err)
		}
	}
}

// Where the copy engine's products are wrong, or the driver lacks what they need, those
// that threads feed stand in, which have the same bits: nothing changes in the name of the
// numerics.
func TestThreadsStandInForTheCopyEngine(t *testing.T) {
	long(t)
	if !cudatest.Simulated() {
		t.Skip("a card may be lost to a stray address")
	}
	t.Setenv(cuda.Variable, "tma")
	const lacking = "a driver without tensor maps"
	for name, ptx := range map[string]string{
		"a step of 16 terms too far": slipped(t, "gemm_tma", "tma_nt_square", `4611686293305360386;`, "4611686293305360388;"),
		"no text at all":             ".version 8.3\n.target sm_90a\n.address_size 64\nnonsense;\n",
		lacking:                      textOf(t, "gemm_tma"),
	} {
		l := cudatest.LibraryTarget(t, cudatest.Hopper, false)
		if name == lacking {
			card := fakedriver.New()
			card.Reset(fakedriver.Script{
				Version: 12040, Sim: &ptxsim.Sim{}, Missing: map[string]bool{"cuTensorMapEncodeTiled": true},
				Cards: []fakedriver.Card{{Name: "Fake", Major: 9, Units: 132, Memory: 4 << 30}},
			})
			var err error
			if l, err = driver.OpenWith("fake", card.Resolve); err != nil {
				t.Fatal(err)
			}
		}
		b := open(t, l)
		numerics, back := b.Numerics(), cuda.Exchange("gemm_tma", ptx)
		instead, err := b.Prove(only(compute.Prove, "gemm_tma"))
		back()
		if err != nil || !strings.HasPrefix(instead, "wgmma fed by threads stands in for the copy engine (TMA), which failed its proof (please report this): ") {
			t.Errorf("%s: %q, %v", name, instead, err)
		}
		if name == lacking && !strings.Contains(instead, "the driver has no tensor maps (cuTensorMapEncodeTiled)") {
			t.Errorf("%s: %q", name, instead)
		}
		if b.Numerics() != numerics || b.Means().TMA || !b.Means().Wgmma {
			t.Errorf("%s: numerics %s, means %+v", name, b.Numerics(), b.Means())
		}
		t.Log(instead)
	}
}

// Consumer cards and Blackwell's have 99 KiB of shared memory for a block, which is
// enough for the kernels that take most of it, and run what is made for 8.0.
func TestCardsOfLittleSharedMemory(t *testing.T) {
	long(t)
	if !cudatest.Simulated() {
		t.Skip("a card is of one generation")
	}
	for _, target := range []cudatest.Target{{Major: 8, Minor: 6}, {Major: 12, Minor: 0}} {
		b := open(t, cudatest.LibraryTarget(t, target, false))
		if most := b.Info().SharedMemory; most != 99<<10 {
			t.Errorf("%v has %d bytes of shared memory", target, most)
		}
		if instead, err := b.Prove(only(compute.Prove, "attention_grad", "lora_grad", "gemm")); err != nil || instead != "" {
			t.Fatal(instead, err)
		}
		for _, err := range b.ProveAll() {
			t.Errorf("%v: %v", target, err)
		}
		if n, _ := cudatest.Launches("attention_queries_grad_128"); n == 0 || b.Means().Wgmma {
			t.Errorf("%v: attention's gradient ran %d times, wgmma %v", target, n, b.Means().Wgmma)
		}
	}
}

// NVIDIA's library, where it is asked for, proves itself when the card is opened; one
// that leaves its products out is an error.
func TestTheLibraryProvesItself(t *testing.T) {
	card, lt := fakedriver.New(), fakecublaslt.New()
	lt.Bytes = card.Bytes
	for _, idle := range []bool{false, true} {
		card.Reset(fakedriver.Script{Version: 12040, Sim: &ptxsim.Sim{}, Cards: []fakedriver.Card{{Name: "Fake", Major: 9, Units: 4, Memory: 1 << 30}}})
		lt.Enqueue = card.Enqueue
		if idle {
			lt.Enqueue = func(uintptr, func() int) int { return 0 }
		}
		l, err := driver.OpenWith("fake", card.Resolve)
		if err != nil {
			t.Fatal(err)
		}
		library, err := cublaslt.OpenWith("fake", lt.Resolve)
		if err != nil {
			t.Fatal(err)
		}
		b := open(t, l)
		if err := b.UseCUBLASLt(library); err != nil {
			t.Fatal(err)
		}
		before := lt.Products()
		_, err = b.Prove(only(compute.Prove, "cublaslt"))
		var wrong *cuda.WrongError
		if idle != errors.As(err, &wrong) || idle != errors.Is(err, cuda.ErrWrong) || idle && (wrong.File != "cublaslt" || !strings.HasSuffix(err.Error(), ", or without ALIGN_CUBLASLT")) {
			t.Errorf("idle %v: %v", idle, err)
		}
		if !idle && lt.Products() == before {
			t.Error("the library made no product")
		}
	}
}
