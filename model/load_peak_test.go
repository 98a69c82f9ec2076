package model_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"align/internal/device"
	"align/internal/device/cpu"
	"align/internal/host"
	"align/model"
)

// A process that loads a model as NF4 never has more resident than what it had
// before, the model as it is held, and the folder's largest tensor.
func TestLoadPeak(t *testing.T) {
	if dir := os.Getenv("ALIGN_TEST_LOAD"); dir != "" {
		loadAndTell(t, dir)
		return
	}
	if testing.Short() {
		t.Skip("the race detector, which runs with -short, has memory of its own")
	}
	if host.PeakMemory() == 0 {
		t.Skip("the system does not tell a process's peak")
	}
	c, err := model.Shape("tiny")
	if err != nil {
		t.Fatal(err)
	}
	c.HiddenSize, c.IntermediateSize, c.NumHeads, c.HeadDim, c.NumLayers = 1024, 4096, 16, 64, 3
	dir := filepath.Join(t.TempDir(), "m")
	if err := model.WriteRandom(dir, model.RandomFolder{Config: c, ShardBytes: 20e6, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run", "^TestLoadPeak$", "-test.v")
	child.Env = append(os.Environ(), "ALIGN_TEST_LOAD="+dir)
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var before, held, peak int64
	_, told, _ := strings.Cut(string(out), "peak: ")
	if _, err := fmt.Sscan(told, &before, &held, &peak); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	largest := int64(2 * max(c.HiddenSize*c.IntermediateSize, c.VocabSize*c.HiddenSize))
	stored, err := model.WeightBytes(dir, "", device.F32, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes before, %d held, %d at the peak; %d stored, %d the largest tensor", before, held, peak, stored, largest)
	if peak > before+held+largest {
		t.Errorf("the peak is %d bytes, want at most %d before + %d held + %d", peak, before, held, largest)
	}
	if before+held+largest >= stored {
		t.Errorf("the limit tells nothing: all %d bytes of the folder are within it", stored)
	}
}

// loadAndTell prints what this process has resident before it loads a model, what
// the model holds, and the peak, in bytes.
func loadAndTell(t *testing.T, dir string) {
	b, err := cpu.New(cpu.Options{Threads: 1, Activations: device.F32, Precision: device.BF16})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	before := host.ResidentMemory()
	m, err := model.LoadWith(dir, b, device.F32, model.LoadOptions{Quantize: "nf4"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	fmt.Println("peak:", before, m.Bytes(), host.PeakMemory())
}
