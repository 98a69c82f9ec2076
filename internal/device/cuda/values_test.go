//go:build linux && (amd64 || arm64) && !nogpu

package cuda_test

import (
	"fmt"
	"regexp"
	"testing"

	"align/internal/device/cuda/cudatest"
)

// slips are mistakes that keep a kernel's text legal: what is found in an entry,
// what it becomes, and at which of its places it is tried.
var slips = []struct {
	name, find, put string
	places          []int
}{
	{"another swizzle", `xor\.b32`, "or.b32", []int{0, 1}},
	{"rows of A exchanged", `(mma\S+\s+\{[^}]*\},\s+)\{(\S+), (\S+), `, "$1{$3, $2, ", []int{0, 1}},
	{"columns of A exchanged", `(mma\S+\s+\{[^}]*\},\s+)\{(\S+), (\S+), (\S+), (\S+)\}`, "$1{$4, $3, $2, $5}", []int{0, 1}},
	{"halves of B exchanged", `(mma\S+\s+\{[^}]*\},\s+\{[^}]*\},\s+)\{(\S+), (\S+)\}`, "$1{$3, $2}", []int{0, 1}},
	{"a tile turned", `ldmatrix\.sync\.aligned\.m8n8\.x4\.shared`, "ldmatrix.sync.aligned.m8n8.x4.trans.shared", []int{0, 1}},
	{"alpha left out", `fma\.rn\.f32(\s+\S+ \S+ )(\S+)(, \S+;)`, "fma.rn.f32${1}0f3F800000$3", []int{0, 1}},
	{"bias subtracted", `add\.f32`, "sub.f32", []int{0, 1}},
	{"a group less", `cp\.async\.commit_group;`, "", []int{0, 1, 2}},
	{"a group more in flight", `wait_group 1;`, "wait_group 2;", []int{0}},
}

// A slip in a product shows in its numbers or stops the simulator.
func TestSlipsAreFound(t *testing.T) {
	const entry, tolerance = "gemm_nt_small", 1e-4
	if c := cudatest.Open(t); c.Sim == nil {
		t.Skip("a card may be lost to a stray address")
	}
	text := ptxOf(t, "gemm")
	at := regexp.MustCompile(`\.entry ` + entry + `\b(?s:.*?)\n}`).FindStringIndex(text)
	g := newGemmCase("nt", "small", 65, 70, 100, 16)
	want := g.want()
	for _, slip := range slips {
		find := regexp.MustCompile(slip.find)
		body := text[at[0]:at[1]]
		places := find.FindAllStringSubmatchIndex(body, -1)
		for _, i := range slip.places {
			if i >= len(places) {
				t.Fatalf("%s: %q is at %d places of %s", slip.name, slip.find, len(places), entry)
			}
			place := places[i]
			put := string(find.ExpandString(nil, slip.put, body, place))
			mutant := text[:at[0]] + body[:place[0]] + put + body[place[1]:] + text[at[1]:]
			c := cudatest.Open(t)
			got, err := g.run(t, c, mutant)
			if name := fmt.Sprintf("%s, place %d", slip.name, i); err == nil && distance(widened(got), want) <= tolerance {
				t.Errorf("%s: was not found", name)
			} else if err != nil && c.Fault() == nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
