//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
)

// guards are the instructions that keep threads, and copies and products beside
// them, out of each other's way.
var guards = regexp.MustCompile(`bar\.sync[^;]*;|cp\.async\.wait_group[^;]*;|wgmma\.(fence|commit_group|wait_group)[^;]*;|fence\.proxy[^;]*;`)

// entryIn is where an entry begins and ends.
func entryIn(t *testing.T, text, entry string) []int {
	t.Helper()
	at := regexp.MustCompile(`\.entry ` + entry + `\b(?s:.*?)\n}`).FindStringIndex(text)
	if at == nil {
		t.Fatalf("no entry %s", entry)
	}
	return at
}

// mutants are the texts of a file in which one guard of an entry is missing.
func mutants(t *testing.T, file, entry string) map[string]string {
	t.Helper()
	text := ptxOf(t, file)
	at := entryIn(t, text, entry)
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

// withoutFirstFence takes from mutants the one without the entry's first wgmma.fence. It
// stands in front of a loop, for translators that want to see one there; the manual does
// not ask for it.
func withoutFirstFence(t *testing.T, all map[string]string, file, entry string) map[string]string {
	t.Helper()
	text := ptxOf(t, file)
	at := entryIn(t, text, entry)
	for i, guard := range guards.FindAllString(text[at[0]:at[1]], -1) {
		if name := fmt.Sprintf("%s without guard %d, %s", entry, i, guard); strings.HasPrefix(guard, "wgmma.fence") {
			delete(all, name)
			return all
		}
	}
	t.Fatalf("%s has no wgmma.fence", entry)
	return nil
}

// withoutBarrier is the text of a file in which the one barrier of an entry is missing.
func withoutBarrier(t *testing.T, file, entry string) string {
	t.Helper()
	text := ptxOf(t, file)
	at := entryIn(t, text, entry)
	barrier := guards.FindStringIndex(text[at[0]:at[1]])
	return text[:at[0]+barrier[0]] + text[at[0]+barrier[1]:]
}

// addNormOnce runs the sum and norm of three rows by a given text.
func addNormOnce(t *testing.T, c *cudatest.Card, text string) error {
	const rows, cols = 3, 264
	row := func() driver.Arg { return driver.Ptr(cudatest.Upload(t, c, make([]float32, rows*cols))) }
	return c.TryRun(text, "add_rmsnorm_f32", line(rows), line(96), 0, row(), row(), row(), row(), row(), driver.F32(1e-5), integer(cols))
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
	c := cudatest.Open(t)
	if _, err := newGemmCase("nt", "odd", 2, 9, 1100, 0).few(t, c, "gemv_narrow", withoutBarrier(t, "gemv_narrow", "gemv_narrow_bf16")); err == nil || c.Fault() == nil {
		t.Error("gemv_narrow without its barrier was not found")
	}
	c = cudatest.Open(t)
	if err := addNormOnce(t, c, ptxOf(t, "norm")); err != nil || c.Fault() != nil {
		t.Errorf("add_rmsnorm as it is: %v, %v", err, c.Fault())
	}
	c = cudatest.Open(t)
	if err := addNormOnce(t, c, withoutBarrier(t, "norm", "add_rmsnorm_f32")); err == nil || c.Fault() == nil {
		t.Error("add_rmsnorm without its barrier was not found")
	}
	c = cudatest.Open(t)
	if err := foldOnce(t, c, ptxOf(t, "logprob")); err != nil || c.Fault() != nil {
		t.Errorf("logprob_fold_slope as it is: %v, %v", err, c.Fault())
	}
	for name, text := range mutants(t, "logprob", "logprob_fold_slope") {
		c := cudatest.Open(t)
		if err := foldOnce(t, c, text); err == nil || c.Fault() == nil {
			t.Errorf("%s was not found", name)
		}
	}
	for name, text := range mutants(t, "attention", "attention_16") {
		a := newAttentionCase(t, 200, 1, 1, 16, 16, []int{150, 180}, true)
		o, lse := cudatest.Alloc[float32](t, a.c, 200*16), cudatest.Alloc[float32](t, a.c, 200)
		args := append([]driver.Arg{driver.Ptr(o), driver.Ptr(lse), driver.U64(0), a.aq, a.ak, a.av, a.maskStart, a.maskEnd, a.seg}, a.sizes()...)
		if err := a.c.TryRun(text, "attention_16", line(4), line(128), 4*128*16, args...); err == nil || a.c.Fault() == nil {
			t.Errorf("%s was not found", name)
		}
	}
}

// So is a missing guard of the products beside the threads.
func TestWgmmaMutantsAreFound(t *testing.T) {
	if c := cudatest.Open(t); c.Sim == nil {
		t.Skip("a real card does not look for races")
	}
	for name, text := range mutants(t, "gemm_sm90", "wgmma_nt_square") {
		c := cudatest.OpenTarget(t, cudatest.Hopper)
		_, err := newWgmmaCase("nt", "square", 128, 128, 512, 0).run(t, c, text)
		fault := c.Fault()
		if err == nil || fault == nil {
			t.Errorf("%s was not found", name)
		}
		t.Logf("%s: %v", name, fault)
	}
}

// So is one of attention.
func TestWgmmaAttentionMutantsAreFound(t *testing.T) {
	if c := cudatest.Open(t); c.Sim == nil {
		t.Skip("a real card does not look for races")
	}
	for name, text := range mutants(t, "attention_sm90", "attention_wgmma_64") {
		a := newAttentionCaseOn(t, cudatest.Hopper, 260, 1, 1, 64, 64, []int{250}, true)
		o, lse := cudatest.Alloc[float32](t, a.c, 260*64), cudatest.Alloc[float32](t, a.c, 260)
		args := append([]driver.Arg{driver.Ptr(o), driver.Ptr(lse), driver.U64(0), a.aq, a.ak, a.av, a.maskStart, a.maskEnd, a.seg}, a.sizes()...)
		err := a.c.TryRun(text, "attention_wgmma_64", line(5), line(128), 6*128*64+1024, args...)
		if fault := a.c.Fault(); err == nil || fault == nil {
			t.Errorf("%s was not found", name)
		} else {
			t.Logf("%s: %v", name, fault)
		}
	}
}

// So is one of its gradient.
func TestWgmmaAttentionGradMutantsAreFound(t *testing.T) {
	if c := cudatest.Open(t); c.Sim == nil {
		t.Skip("a real card does not look for races")
	}
	const rows = 200 // a span of an odd number of tiles ends where its successor begins
	for _, of := range []string{"queries", "keys"} {
		entry := "attention_" + of + "_grad_wgmma_64"
		for name, text := range withoutFirstFence(t, mutants(t, "attention_grad_sm90", entry), "attention_grad_sm90", entry) {
			a := newAttentionCaseOn(t, cudatest.Hopper, rows, 1, 1, 64, 64, []int{150}, true)
			lse, delta := a.sums(t)
			alloc := func() driver.Arg { return driver.Ptr(cudatest.Alloc[float32](t, a.c, rows*64)) }
			args, shared := []driver.Arg{alloc(), a.aq, a.ak, a.av, a.ado, lse, delta, a.maskStart, a.maskEnd, a.seg}, 6*128*64
			if of == "keys" {
				args, shared = append(append([]driver.Arg{alloc()}, args...), a.spans(t)), 4*128*64+512
			}
			err := a.c.TryRun(text, entry, line(4), line(128), shared+1024, append(args, a.sizes()...)...)
			if fault := a.c.Fault(); err == nil || fault == nil {
				t.Errorf("%s was not found", name)
			} else {
				t.Logf("%s: %v", name, fault)
			}
		}
	}
}

// Slips in gemm_sm90.cu, as they look in its PTX, change the numbers or stop the
// simulator.
func TestWgmmaSlipsAreFound(t *testing.T) {
	if c := cudatest.Open(t); c.Sim == nil {
		t.Skip("a slip may hang a real card")
	}
	for _, slip := range []struct{ name, entry, from, to string }{
		{"another swizzle of what is copied", "nt", `xor\.b32( +\t*%r\d+, %r\d+, %r\d+;)`, "or.b32$1"},
		{"lines of 8 half as far apart", "nt", `4611686293305360384;`, "4611686155866406912;"},
		{"lines of 8 half as far apart across", "nn", `4611686293338849280;`, "4611686155899895808;"},
		{"groups of 64 rows half as far apart", "tn", `4611686293338849280;`, "4611686293322072064;"},
		{"a step of 16 terms too far", "nt", `4611686293305360386;`, "4611686293305360388;"},
		{"a step of 16 terms too far across", "nn", `4611686293338849408;`, "4611686293338849536;"},
		{"the right side's tile 1024 bytes on", "nt", `, 16384;(\s+shr)`, ", 17408;$1"},
		{"a ring of three stages", "nt", `(setp\.eq\.s32 +\t*%p\d+, %r\d+, )4;`, "${1}3;"},
		{"a copy too few waited for", "nt", `cp\.async\.wait_group 1;`, "cp.async.wait_group 2;"},
		{"a product too few waited for", "nt", `wgmma\.wait_group\.sync\.aligned 1;`, "wgmma.wait_group.sync.aligned 2;"},
		{"sums along where they are across", "nn", `, p, 1, 1, 0, 1;`, ", p, 1, 1, 0, 0;"},
		{"what was there is not added to", "nt", `setp\.ne\.b32 p, (%r\d+), 0;`, "setp.eq.b32 p, $1, 0;"},
	} {
		text := ptxOf(t, "gemm_sm90")
		entry := "wgmma_" + slip.entry + "_square"
		at := entryIn(t, text, entry)
		body := text[at[0]:at[1]]
		changed := regexp.MustCompile(slip.from).ReplaceAllString(body, slip.to)
		if changed == body {
			t.Errorf("%s: nothing to change in %s", slip.name, entry)
			continue
		}
		c := cudatest.OpenTarget(t, cudatest.Hopper)
		g := newWgmmaCase(slip.entry, "square", 128, 128, 512, 0)
		got, err := g.run(t, c, text[:at[0]]+changed+text[at[1]:])
		if fault := c.Fault(); err == nil && fault == nil && distance(widened(got), g.want()) < 1e-2 {
			t.Errorf("%s was not found", slip.name)
		} else {
			t.Logf("%s: %v", slip.name, fault)
		}
	}
}
