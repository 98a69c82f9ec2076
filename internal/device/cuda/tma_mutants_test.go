//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"fmt"
	"regexp"
	"testing"

	"align/internal/device/cuda/cudatest"
)

// A step of 64 terms takes the eight warps that multiply few instructions, none of which
// fetches; what waits for a barrier is not counted.
func TestTMACounters(t *testing.T) {
	for kind, l := range map[string]limits{"nt": {1, 19}, "nn": {1, 19}, "tn": {1, 19}} {
		c := openBulk(t)
		g := newTMACase(kind, "wide", 128, 256, 4096, 16)
		if _, err := g.fed(t, c, ptxOf(t, "gemm_tma")); err != nil {
			t.Fatal(err)
		}
		l.holds(t, c, g.entry())
	}
}

// bulkGuards are what keeps copies, products and threads out of each other's way, and what
// stands there without one.
var bulkGuards = []struct {
	is      *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`bar\.sync[^;]*;`), ""},
	{regexp.MustCompile(`wgmma\.(fence|commit_group|wait_group)[^;]*;`), ""},
	{regexp.MustCompile(`fence\.(proxy|mbarrier_init)[^;]*;`), ""},
	{regexp.MustCompile(`mbarrier\.init[^;]*;`), ""},
	{regexp.MustCompile(`(@p )?mbarrier\.arrive[^;]*;`), ""},
	{regexp.MustCompile(`mbarrier\.try_wait\.parity\.shared::cta\.b64 p, \[(%r\d+)\], %r\d+;`), "setp.eq.u32 p, $1, $1;"},
	{regexp.MustCompile(`cp\.async\.bulk[^;]*;`), ""},
}

// A missing guard or copy is found.
func TestTMAMutantsAreFound(t *testing.T) {
	if c := cudatest.Open(t); c.Sim == nil {
		t.Skip("a real card does not look for races")
	}
	text := ptxOf(t, "gemm_tma")
	at := entryIn(t, text, "tma_nt_square")
	body, found := text[at[0]:at[1]], 0
	for _, g := range bulkGuards {
		for _, place := range g.is.FindAllStringIndex(body, -1) {
			guard := body[place[0]:place[1]]
			name := fmt.Sprintf("guard %d, %s", found, guard)
			found++
			c := openBulk(t)
			changed := body[:place[0]] + g.is.ReplaceAllString(guard, g.instead) + body[place[1]:]
			_, err := newTMACase("nt", "square", 128, 128, 640, 16).fed(t, c, text[:at[0]]+changed+text[at[1]:])
			if fault := c.Fault(); err == nil || fault == nil {
				t.Errorf("without %s: not found", name)
			} else {
				t.Logf("without %s: %v", name, fault)
			}
		}
	}
	if found < 12+11 {
		t.Errorf("%d guards: want at least those of 12 barriers, the copies' and the products'", found)
	}
}

// Slips in gemm_tma.cu, as they look in its PTX, change the numbers or stop the simulator.
func TestTMASlipsAreFound(t *testing.T) {
	if c := cudatest.Open(t); c.Sim == nil {
		t.Skip("a slip may hang a real card")
	}
	for _, slip := range []struct{ name, entry, from, to string }{
		{"a phase waited for too early", "nt", `(\[%r\d+\]), (%r\d+);( selp)`, "$1, 1;$3"},
		{"fewer bytes expected than come", "nt", `(mov\.b32 +\t*%r\d+, )32768;`, "${1}32752;"},
		{"more bytes expected than come", "nt", `(mov\.b32 +\t*%r\d+, )32768;`, "${1}32784;"},
		{"a barrier of seven warps", "nt", `(mov\.b32 +\t*%r\d+, )8;`, "${1}7;"},
		{"copies in a ring of five stages", "nt", `(?s)^(.*?setp\.eq\.s32 +\t*%p\d+, %r\d+, )6;`, "${1}5;"},
		{"a ring of seven stages", "nt", `(setp\.eq\.s32 +\t*%p\d+, %r\d+, )6;`, "${1}7;"},
		{"a product too few waited for", "nt", `wgmma\.wait_group\.sync\.aligned 1;`, "wgmma.wait_group.sync.aligned 2;"},
		{"a box of columns and rows exchanged", "nt", `\{(%r\d+), (%r\d+)\}\]`, "{$2, $1}]"},
		{"a box too far", "nn", `(or\.b32 +\t*%r\d+, %r\d+, )64;`, "${1}72;"},
	} {
		text := ptxOf(t, "gemm_tma")
		entry := "tma_" + slip.entry + "_square"
		at := entryIn(t, text, entry)
		body := text[at[0]:at[1]]
		changed := regexp.MustCompile(slip.from).ReplaceAllString(body, slip.to)
		if changed == body {
			t.Errorf("%s: nothing to change in %s", slip.name, entry)
			continue
		}
		c := openBulk(t)
		g := newTMACase(slip.entry, "square", 128, 128, 640, 16)
		got, err := g.fed(t, c, text[:at[0]]+changed+text[at[1]:])
		if fault := c.Fault(); err == nil && fault == nil && distance(widened(got), g.want()) < 1e-2 {
			t.Errorf("%s was not found", slip.name)
		} else {
			t.Logf("%s: %v", slip.name, fault)
		}
	}
}
