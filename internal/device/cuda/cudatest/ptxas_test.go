//go:build linux && (amd64 || arm64) && !nogpu

package cudatest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// NVIDIA's own translator takes what the tests of instructions give a card's driver: the
// simulator reads texts that it would refuse.
func TestTranslatorTakesTheForms(t *testing.T) {
	if _, err := exec.LookPath("ptxas"); err != nil {
		t.Skip("ptxas is not installed")
	}
	for _, f := range slices.Concat(integerForms(), floatForms(), doubleForms()) {
		translates(t, "sm_80", f.ptx())
	}
	for _, n := range []int{8, 64, 128, 256} {
		for _, registersA := range []bool{false, true} {
			translates(t, "sm_90a", warpgroupPTX(n, 8192+max(n, 64)*128, false, true, registersA))
		}
	}
	// Drivers and translators of CUDA 12.3 are the first that read its version.
	if header, _, _ := strings.Cut(boxPTX, ".visible"); accepted("sm_90a", header) {
		translates(t, "sm_90a", boxPTX)
	}
}

// accepted says whether ptxas takes a text.
func accepted(target, text string) bool {
	run := exec.Command("ptxas", "-arch="+target, "-o", os.DevNull, "-")
	run.Stdin = strings.NewReader(text)
	return run.Run() == nil
}

// translates is nothing where ptxas is not installed.
func translates(t *testing.T, target, text string) {
	t.Helper()
	ptxas, err := exec.LookPath("ptxas")
	if err != nil {
		return
	}
	run := exec.Command(ptxas, "-arch="+target, "-o", filepath.Join(t.TempDir(), "cubin"), "-")
	run.Stdin = strings.NewReader(text)
	if said, err := run.CombinedOutput(); err != nil {
		t.Errorf("%v: %s of\n%s", err, said, text)
	}
}
