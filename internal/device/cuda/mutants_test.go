//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"fmt"
	"regexp"
	"testing"

	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
)

// guards are the instructions that keep threads out of each other's way.
var guards = regexp.MustCompile(`bar\.sync[^;]*;|cp\.async\.wait_group[^;]*;`)

// mutants are the texts of a file in which one guard of an entry is missing.
func mutants(t *testing.T, file, entry string) map[string]string {
	t.Helper()
	text := ptxOf(t, file)
	at := regexp.MustCompile(`\.entry ` + entry + `\b(?s:.*?)\n}`).FindStringIndex(text)
	if at == nil {
		t.Fatalf("no entry %s", entry)
	}
	all := map[string]string{}
	for i, guard := range guards.FindAllStringIndex(text[at[0]:at[1]], -1) {
		from, to := at[0]+guard[0], at[0]+guard[1]
		all[fmt.Sprintf("%s without guard %d, %s", entry, i, text[from:to])] = text[:from] + text[to:]
	}
	if len(all) < 2 {
		t.Fatalf("%s has %d guards", entry, len(all))
	}
	return all
}

// A missing barrier or wait is found, also where the numbers come out right.
func TestMutantsAreFound(t *testing.T) {
	if c := cudatest.Open(t); c.Sim == nil {
		t.Skip("a real card does not look for races")
	}
	for name, text := range mutants(t, "gemm", "gemm_nt_small") {
		c := cudatest.Open(t)
		if _, err := newGemmCase("nt", "small", 64, 64, 256, 0).run(t, c, text); err == nil || c.Fault() == nil {
			t.Errorf("%s was not found", name)
		}
	}
	for name, text := range mutants(t, "attention", "attention_16") {
		a := newAttentionCase(t, 200, 1, 1, 16, 16, []int{150, 180}, true)
		o, lse := cudatest.Alloc[float32](t, a.c, 200*16), cudatest.Alloc[float32](t, a.c, 200)
		args := append([]driver.Arg{driver.Ptr(o), driver.Ptr(lse), a.aq, a.ak, a.av, a.maskStart, a.maskEnd, a.seg}, a.sizes()...)
		if err := a.c.TryRun(text, "attention_16", line(4), line(128), 4*128*16, args...); err == nil || a.c.Fault() == nil {
			t.Errorf("%s was not found", name)
		}
	}
}
