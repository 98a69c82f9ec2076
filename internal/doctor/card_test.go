//go:build linux && (amd64 || arm64) && !nogpu

package doctor

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"align/internal/device"
	"align/internal/device/cuda"
	"align/internal/device/cuda/cublaslt"
	"align/internal/device/cuda/driver"
	"align/internal/device/cuda/fakedriver"
	"align/internal/device/cuda/kernels"
	"align/internal/device/proof"

	"github.com/google/go-cmp/cmp"
)

// right proves kernels without running them.
func right(device.Backend, string) error { return nil }

func TestCardsAreFoundThroughTheDriver(t *testing.T) {
	fake := fakedriver.New()
	fake.Reset(fakedriver.Script{Version: 12040, Cards: []fakedriver.Card{
		{Name: "Fake A", Major: 8, Minor: 9, Units: 128, Memory: 24 << 30},
		{Name: "Fake B", Major: 9, Minor: 0, Units: 132, Memory: 80 << 30},
	}})
	t.Setenv(cublaslt.Variable, "")
	var f Findings
	f.readCards(func() (*driver.Library, error) { return driver.OpenWith("fake", fake.Resolve) }, right)
	for i, c := range f.Cards {
		kernel := []string{"mma.sync 128x128", "wgmma 128x256"}[i]
		if len(c.Products) != 5 || c.Products[0].Kernel != kernel || c.Products[0].Reason == "" || c.Products[4].Kernel != "gemv" {
			t.Errorf("products of card %d: %+v", i, c.Products)
		}
		f.Cards[i].Products = nil
	}
	var mma, wgmma []string
	for _, name := range kernels.Names() {
		if !kernels.Hopper(name) {
			mma = append(mma, name)
		}
		if !kernels.Bulk(name) { // which is not used unasked
			wgmma = append(wgmma, name)
		}
	}
	want := Findings{
		GPU:    "2 found by the NVIDIA driver for CUDA 12.4, used where --device names one",
		Driver: "12.4",
		Cards: []Card{
			{Ordinal: 0, Name: "Fake A", Capability: "8.9", Units: 128, MemoryTotal: 24 << 30, MemoryFree: 24 << 30, Proven: mma, Wrong: []string{}},
			{Ordinal: 1, Name: "Fake B", Capability: "9.0", Units: 132, MemoryTotal: 80 << 30, MemoryFree: 80 << 30, Proven: wgmma, Wrong: []string{}},
		},
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if n := fake.Live(); n != 0 {
		t.Errorf("%d contexts are left", n)
	}
}

// A variable that says nonsense, or what the card lacks, is its fault.
func TestInstructionsThatACardLacks(t *testing.T) {
	fake := fakedriver.New()
	for asked, want := range map[string]string{
		"wgmma": `cuda: ALIGN_CUDA=wgmma: Fake A: made for capability 8.9`,
		"fast":  `cuda: ALIGN_CUDA is "fast": want mma, wgmma or tma`,
	} {
		fake.Reset(fakedriver.Script{Version: 12040, Cards: []fakedriver.Card{{Name: "Fake A", Major: 8, Minor: 9, Units: 128, Memory: 24 << 30}}})
		t.Setenv(cuda.Variable, asked)
		var f Findings
		f.readCards(func() (*driver.Library, error) { return driver.OpenWith("fake", fake.Resolve) }, right)
		if len(f.Cards) != 1 || f.Cards[0].Fault != want {
			t.Errorf("%s: %+v: want the fault %q", asked, f.Cards, want)
		}
	}
}

func TestNoCardIsNoProblem(t *testing.T) {
	var f Findings
	f.readCards(func() (*driver.Library, error) { return nil, errors.New("cuda: no driver") }, right)
	if f.GPU != "none: no driver" || len(f.Problems) != 0 {
		t.Errorf("gpu %q, problems %v: want the reason and no problem", f.GPU, f.Problems)
	}
}

// What a card's kernels get wrong is told file by file; where wgmma does, mma.sync
// multiplies.
func TestACardThatIsWrong(t *testing.T) {
	fake := fakedriver.New()
	fake.Reset(fakedriver.Script{Version: 12040, Cards: []fakedriver.Card{{Name: "Fake B", Major: 9, Units: 132, Memory: 80 << 30}}})
	t.Setenv(cublaslt.Variable, "")
	var f Findings
	f.readCards(func() (*driver.Library, error) { return driver.OpenWith("fake", fake.Resolve) }, func(_ device.Backend, file string) error {
		if file == "gemm_sm90" || file == "norm" {
			return &proof.Error{File: file, Kernel: "linear", Got: 1, Want: 2}
		}
		return nil
	})
	c := f.Cards[0]
	if len(c.Wrong) != 1 || !strings.HasPrefix(c.Wrong[0], "cuda:0 (Fake B), driver for CUDA 12.4: kernels \"norm\" come out wrong: linear: element 0 of output 0 is 1, want 2: ") {
		t.Errorf("wrong: %q", c.Wrong)
	}
	if !strings.Contains(c.Instead, "kernels \"gemm_sm90\" come out wrong") || c.Products[0].Kernel != "mma.sync 128x128" || slices.Contains(c.Proven, "gemm_sm90") || !slices.Contains(c.Proven, "gemm") {
		t.Errorf("instead %q, proven %q, products %+v", c.Instead, c.Proven, c.Products[0])
	}
}

// Nothing is proven where the environment says so.
func TestACardThatNeedsNoProof(t *testing.T) {
	fake := fakedriver.New()
	for asked, fault := range map[string]string{"off": "", "on": `ALIGN_CUDA_PROOF is "on": want off, or nothing`} {
		fake.Reset(fakedriver.Script{Version: 12040, Cards: []fakedriver.Card{{Name: "Fake A", Major: 8, Units: 128, Memory: 24 << 30}}})
		t.Setenv(cuda.ProofVariable, asked)
		var f Findings
		f.readCards(func() (*driver.Library, error) { return driver.OpenWith("fake", fake.Resolve) }, func(device.Backend, string) error {
			return errors.New("asked")
		})
		if c := f.Cards[0]; c.Fault != fault || len(c.Proven)+len(c.Wrong) > 0 {
			t.Errorf("%s: %+v", asked, c)
		}
	}
}
