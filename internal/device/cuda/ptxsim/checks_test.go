package ptxsim_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"align/internal/device/cuda/ptxsim"
)

// bufferAt is where a test's one buffer lies.
const bufferAt = 1 << 32

// entry wraps instructions in a kernel with one parameter, a buffer's address
// in %rd1. %r1 is the thread, %r2 the block, %rd2 and %r3 four times the
// thread, %rd3 the address of the thread's word.
func entry(body string) string {
	return `.version 7.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 k_0)
{
	.reg .pred %p<9>;
	.reg .b16 %h<9>;
	.reg .b32 %r<40>;
	.reg .b64 %rd<40>;
	.shared .align 16 .b8 tile[4096];
	ld.param.u64 %rd1, [k_0];
	mov.u32 %r1, %tid.x;
	mov.u32 %r2, %ctaid.x;
	shl.b32 %r3, %r1, 2;
	cvt.u64.u32 %rd2, %r3;
	add.s64 %rd3, %rd1, %rd2;
` + own(body) + `
	ret;
}`
}

// sharedFrom is where a block's own shared memory begins.
const sharedFrom = 1024

var absolute = regexp.MustCompile(`\[(%r\d+)?\+?(\d*)\]`)

// own counts shared addresses that are numbers, or registers of 32 bits, from where the
// block's own memory begins: there lies tile.
func own(body string) string {
	return absolute.ReplaceAllStringFunc(body, func(at string) string {
		m := absolute.FindStringSubmatch(at)
		n, _ := strconv.Atoi("0" + m[2])
		if m[1] == "" {
			return fmt.Sprintf("[%d]", n+sharedFrom)
		}
		return fmt.Sprintf("[%s+%d]", m[1], n+sharedFrom)
	})
}

// launch runs a kernel of entry over a buffer of words that hold their index.
func launch(t *testing.T, sim *ptxsim.Sim, ptx string, blocks, threads, words int) ([]uint32, error) {
	t.Helper()
	m, err := ptxsim.Parse(ptx)
	if err != nil {
		t.Fatal(err)
	}
	bytes := make([]byte, 4*words)
	for i := range words {
		binary.LittleEndian.PutUint32(bytes[4*i:], uint32(i))
	}
	var memory ptxsim.Memory
	memory.Add(bufferAt, bytes)
	err = sim.Launch(m.Kernel("k"), [3]int{blocks, 1, 1}, [3]int{threads, 1, 1}, 0, []uint64{bufferAt}, &memory)
	out := make([]uint32, words)
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(bytes[4*i:])
	}
	return out, err
}

// Each case breaks one rule; "" as its kind is a case that keeps it.
var checks = []struct {
	name            string
	blocks, threads int
	kind            string
	says            string
	body            string
}{
	{"an unwritten register", 1, 32, ptxsim.Unwritten, "add.s32 %r5", "add.s32 %r5, %r4, 1;"},
	{"a register that some lanes wrote", 1, 32, ptxsim.Unwritten, "lane 4", "setp.lt.u32 %p1, %r1, 4; @%p1 mov.u32 %r4, 1; add.s32 %r5, %r4, 1;"},
	{"an unwritten register copied and left alone", 1, 32, "", "", "mov.u32 %r5, %r4;"},
	{"an unwritten guard", 1, 32, ptxsim.Unwritten, "@%p1", "@%p1 mov.u32 %r5, 1;"},
	{"what an absent lane would shuffle", 1, 16, ptxsim.Unwritten, "lane 0",
		"shfl.sync.down.b32 %r4, %r1, 16, 31, -1; add.s32 %r5, %r4, 1;"},
	{"unwritten shared memory", 1, 32, ptxsim.Unwritten, "shared memory at 0x400", "ld.shared.u32 %r5, [tile];"},
	{"half a word of shared memory written", 1, 1, ptxsim.Unwritten, "shared memory at 0x402", "cvt.u16.u32 %h1, %r1; st.shared.u16 [tile], %h1; ld.shared.u32 %r5, [tile];"},
	{"a word behind the buffer", 1, 32, ptxsim.OutOfBounds, "warp 0, lane 31", "ld.global.u32 %r5, [%rd3+3972];"},
	{"words of nowhere", 1, 32, ptxsim.OutOfBounds, "bytes before the buffer", "mov.u64 %rd4, 64; ld.global.u32 %r5, [%rd4];"},
	{"shared memory that the block has not", 1, 32, ptxsim.OutOfBounds, "the block has 4096", "st.shared.u32 [%r3+4000], %r1;"},
	{"shared memory that is the system's", 1, 32, ptxsim.OutOfBounds, "the block has 4096 from 0x400 on", "mov.u32 %r4, -4; st.shared.u32 [%r4], %r1;"},
	{"an odd address", 1, 32, ptxsim.Misaligned, "of 8 bytes", "ld.global.u64 %rd4, [%rd1+4];"},
	{"a missing barrier", 1, 64, ptxsim.Race, "written by warp 0, lane 31", "st.shared.u32 [%r3], %r1; ld.shared.u32 %r5, [124];"},
	{"a barrier", 1, 64, "", "", "st.shared.u32 [%r3], %r1; bar.sync 0; ld.shared.u32 %r5, [124];"},
	{"a missing barrier before a second write", 1, 64, ptxsim.Race, "was read by warp 1",
		"st.shared.u32 [%r3], %r1; bar.sync 0; ld.shared.u32 %r5, [252]; setp.gt.u32 %p1, %r1, 32; @%p1 st.shared.u32 [%r3], %r1;"},
	{"two warps at one word", 1, 64, ptxsim.Race, "is written here and was written by warp 0", "and.b32 %r4, %r3, 127; st.shared.u32 [%r4], %r4;"},
	{"lanes that do not wait for each other", 1, 32, ptxsim.Race, "was written by warp 0, lane 1", "st.shared.u32 [%r3], %r1; xor.b32 %r4, %r3, 4; ld.shared.u32 %r5, [%r4];"},
	{"lanes that do", 1, 32, "", "", "st.shared.u32 [%r3], %r1; bar.warp.sync -1; xor.b32 %r4, %r3, 4; ld.shared.u32 %r5, [%r4];"},
	{"lanes of one store with different values", 1, 32, ptxsim.Race, "lanes 0 and 1 write different values", "st.shared.u32 [tile], %r1;"},
	{"lanes of one store with the same value", 1, 32, "", "", "st.shared.u32 [tile], 7;"},
	{"a barrier of half the block", 1, 128, ptxsim.Race, "was written by warp 0",
		"st.shared.u32 [%r3], %r1; setp.lt.u32 %p1, %r1, 64; @%p1 bar.sync 1, 64; @!%p1 bar.sync 2, 64; ld.shared.u32 %r5, [0];"},
	{"a barrier of half the block for that half", 1, 128, "", "",
		"st.shared.u32 [%r3], %r1; setp.lt.u32 %p1, %r1, 64; @!%p1 bra L; bar.sync 1, 64; ld.shared.u32 %r5, [124]; L: bar.sync 0;"},
	{"arrive and sync", 1, 64, "", "",
		"setp.lt.u32 %p1, %r1, 32; @!%p1 bra L; st.shared.u32 [%r3], %r1; bar.arrive 1, 64; bra M; L: bar.sync 1, 64; ld.shared.u32 %r5, [124]; M: bar.sync 0;"},
	{"blocks that add to one word", 2, 1, ptxsim.Race, "block [0 0 0], warp 0", "ld.global.u32 %r5, [%rd1]; add.s32 %r5, %r5, 1; st.global.u32 [%rd1], %r5;"},
	{"warps that add to one word", 1, 64, ptxsim.Race, "global word", "ld.global.u32 %r5, [%rd1]; add.s32 %r5, %r5, 1; st.global.u32 [%rd1], %r5;"},
	{"blocks that add atomically", 2, 64, "", "", "red.global.add.u32 [%rd1], 1;"},
	{"an atomic beside a plain load", 2, 64, ptxsim.Race, "global word", "red.global.add.u32 [%rd1], 1; ld.global.u32 %r5, [%rd1];"},
	{"the last block reads without a fence", 2, 1, ptxsim.Race, "block [0 0 0]", lastBlock("")},
	{"the last block reads behind fences", 2, 1, "", "", lastBlock("membar.gl;")},
	{"a copy that nobody waited for", 1, 32, ptxsim.InFlight, "was not waited for",
		"shl.b32 %r4, %r1, 4; cvt.u64.u32 %rd4, %r4; add.s64 %rd4, %rd1, %rd4; cp.async.cg.shared.global [%r4], [%rd4], 16; cp.async.commit_group; ld.shared.u32 %r5, [%r4];"},
	{"a copy of the last group but one", 1, 32, ptxsim.InFlight, "was not waited for",
		"shl.b32 %r4, %r1, 4; cvt.u64.u32 %rd4, %r4; add.s64 %rd4, %rd1, %rd4; cp.async.cg.shared.global [%r4], [%rd4], 16; cp.async.commit_group; cp.async.wait_group 1; ld.shared.u32 %r5, [%r4];"},
	{"a copy without a group", 1, 32, ptxsim.InFlight, "was not waited for",
		"shl.b32 %r4, %r1, 4; cvt.u64.u32 %rd4, %r4; add.s64 %rd4, %rd1, %rd4; cp.async.cg.shared.global [%r4], [%rd4], 16; cp.async.wait_group 0; ld.shared.u32 %r5, [%r4];"},
	{"a copy that was waited for", 1, 32, "", "",
		"shl.b32 %r4, %r1, 4; cvt.u64.u32 %rd4, %r4; add.s64 %rd4, %rd1, %rd4; cp.async.cg.shared.global [%r4], [%rd4], 16; cp.async.commit_group; cp.async.wait_group 0; ld.shared.u32 %r5, [%r4];"},
	{"a copy waited for, not shared", 1, 64, ptxsim.Race, "is read here and was written by",
		"shl.b32 %r4, %r1, 4; cvt.u64.u32 %rd4, %r4; add.s64 %rd4, %rd1, %rd4; cp.async.cg.shared.global [%r4], [%rd4], 16; cp.async.wait_all; and.b32 %r4, %r4, 511; ld.shared.u32 %r5, [%r4];"},
	{"a copy of nothing from nowhere", 1, 32, "", "",
		"shl.b32 %r4, %r1, 4; mov.u32 %r5, 0; mov.u64 %rd4, 0; cp.async.cg.shared.global [%r4], [%rd4], 16, %r5; cp.async.wait_all; ld.shared.u32 %r5, [%r4];"},
	{"a copy of nothing from an odd address", 1, 32, ptxsim.Misaligned, "address 0x8 of 16 bytes",
		"shl.b32 %r4, %r1, 4; mov.u32 %r5, 0; mov.u64 %rd4, 8; cp.async.cg.shared.global [%r4], [%rd4], 16, %r5;"},
	{"a barrier that lanes skip", 1, 32, ptxsim.BarrierFault, "lanes 8-31 skip", "setp.lt.u32 %p1, %r1, 8; @%p1 bar.sync 0;"},
	{"a barrier on one side of a branch", 1, 32, ptxsim.BarrierFault, "have ended", "setp.lt.u32 %p1, %r1, 8; @%p1 bra L; ret; L: bar.sync 0;"},
	{"a barrier that a warp does not reach", 1, 64, ptxsim.Deadlock, "warp 0 has ended; warp 1 waits at barrier 0", "setp.lt.u32 %p1, %r1, 32; @%p1 bra L; bar.sync 0; L:"},
	{"lanes at two shuffles", 1, 32, ptxsim.Deadlock, "lanes 0-7", `setp.lt.u32 %p1, %r1, 8; @%p1 bra L;
	shfl.sync.bfly.b32 %r4, %r1, 1, 31, -1; bra M; L: shfl.sync.bfly.b32 %r4, %r1, 1, 31, -1; M:`},
	{"a lane outside its own mask", 1, 32, ptxsim.BarrierFault, "lane 8", "shfl.sync.bfly.b32 %r4, %r1, 1, 31, 255;"},
	{"a trap", 1, 32, ptxsim.Trap, "lane 7", "setp.eq.u32 %p1, %r1, 7; @%p1 trap;"},
	{"a loop without an end", 1, 32, ptxsim.Limit, "the block has run", "L: bra L;"},
}

// lastBlock counts blocks; the last one reads what the others wrote.
func lastBlock(fence string) string {
	return `shl.b32 %r4, %r2, 2; cvt.u64.u32 %rd4, %r4; add.s64 %rd4, %rd1, %rd4; st.global.u32 [%rd4+64], %r2;
	` + fence + ` atom.global.inc.u32 %r5, [%rd1], 1; setp.eq.u32 %p1, %r5, 1; @!%p1 bra L;
	ld.global.u32 %r6, [%rd1+64]; ld.global.u32 %r7, [%rd1+68]; L:`
}

func TestChecks(t *testing.T) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			// In another order the same mistake may show as another fault.
			for _, seed := range []uint64{0, 1, 2} {
				sim := &ptxsim.Sim{Races: true, Seed: seed, Limit: 100_000}
				_, err := launch(t, sim, entry(c.body), c.blocks, c.threads, 1024)
				var fault *ptxsim.Fault
				switch {
				case c.kind == "" && err != nil:
					t.Errorf("seed %d: %v", seed, err)
				case c.kind != "" && (!errors.As(err, &fault) || seed == 0 && fault.Kind != c.kind):
					t.Errorf("seed %d: error %v: want a fault: %s", seed, err, c.kind)
				case c.kind != "" && seed == 0 && !strings.Contains(err.Error(), c.says):
					t.Errorf("error %v: want %q in it", err, c.says)
				}
			}
		})
	}
}

// A copy's target holds NaN until it is waited for, also where nobody looks
// for races.
func TestUnwaitedCopiesArePoison(t *testing.T) {
	body := "cp.async.cg.shared.global [tile], [%rd1], 16; ld.shared.u32 %r5, [tile];"
	_, err := launch(t, &ptxsim.Sim{}, entry(body), 1, 1, 16)
	var fault *ptxsim.Fault
	if !errors.As(err, &fault) || fault.Kind != ptxsim.Unwritten {
		t.Errorf("error %v: want a fault: %s", err, ptxsim.Unwritten)
	}
}

// A copy's bytes behind its source size are 0.
func TestCopiesFillWithZero(t *testing.T) {
	body := `mov.u32 %r4, 8; cp.async.cg.shared.global [tile], [%rd1+16], 16, %r4; cp.async.wait_all;
	ld.shared.v4.u32 {%r5, %r6, %r7, %r8}, [tile]; st.global.v4.u32 [%rd1], {%r5, %r6, %r7, %r8};`
	got, err := launch(t, &ptxsim.Sim{Races: true}, entry(body), 1, 1, 8)
	want := [4]uint32{4, 5, 0, 0}
	if err != nil || [4]uint32(got[:4]) != want {
		t.Errorf("%v, error %v: want %v", got[:4], err, want)
	}
}

func TestCounters(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       ptxsim.Stats
	}{
		{"neighbours", "ld.global.u32 %r5, [%rd3]; st.shared.u32 [%r3], %r5;",
			ptxsim.Stats{SharedRequests: 1, SharedWavefronts: 1, GlobalRequests: 1, GlobalSectors: 4, GlobalBytes: 128}},
		{"every second bank", "shl.b32 %r4, %r1, 3; st.shared.u32 [%r4], %r1;", ptxsim.Stats{SharedRequests: 1, SharedWavefronts: 2}},
		{"one bank", "shl.b32 %r4, %r1, 7; st.shared.u32 [%r4], %r1;", ptxsim.Stats{SharedRequests: 1, SharedWavefronts: 32}},
		{"16 bytes a lane", "shl.b32 %r4, %r1, 4; st.shared.v4.u32 [%r4], {%r1, %r1, %r1, %r1};", ptxsim.Stats{SharedRequests: 4, SharedWavefronts: 4}},
		{"one word for all", "mov.u32 %r5, 7; st.shared.u32 [tile], %r5;", ptxsim.Stats{SharedRequests: 1, SharedWavefronts: 1}},
		{"every eighth word", "shl.b32 %r4, %r1, 5; cvt.u64.u32 %rd4, %r4; add.s64 %rd4, %rd1, %rd4; ld.global.u32 %r5, [%rd4];",
			ptxsim.Stats{GlobalRequests: 1, GlobalSectors: 32, GlobalBytes: 128}},
		{"a branch of half the lanes", "setp.lt.u32 %p1, %r1, 16; @%p1 bra L; mov.u32 %r5, 1; L:", ptxsim.Stats{Branches: 1, DivergentBranches: 1}},
	} {
		sim := &ptxsim.Sim{Races: true}
		if _, err := launch(t, sim, entry(c.body), 1, 32, 1024); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		got := sim.Stats("k")
		got.Launches, got.Instructions = 0, 0
		if got != c.want {
			t.Errorf("%s: %+v: want %+v", c.name, got, c.want)
		}
	}
}

// Blocks that run at once give what blocks in a row give.
func TestWorkers(t *testing.T) {
	body := "mad.lo.s32 %r4, %r2, 64, %r1; mul.wide.u32 %rd4, %r4, 4; add.s64 %rd4, %rd1, %rd4; ld.global.u32 %r5, [%rd4]; add.s32 %r5, %r5, %r5; st.global.u32 [%rd4], %r5; red.global.add.u32 [%rd1+4096], 1;"
	got, err := launch(t, &ptxsim.Sim{Workers: 4}, entry(body), 16, 64, 1025)
	if err != nil || got[1024] != 2048 {
		t.Fatalf("count %d, error %v: want 2048", got[1024], err)
	}
	for i, v := range got[:1024] {
		if v != uint32(2*i) {
			t.Fatalf("word %d is %d: want %d", i, v, 2*i)
		}
	}
}

func TestTextsThatAreRefused(t *testing.T) {
	for body, want := range map[string]string{
		"frob.b32 %r1, %r2;":                           "\"frob\" is not simulated",
		"mov.u32 %r99, 1;":                             "\"%r99\" is not declared",
		"mov.u32 %rd1, 1;":                             "another width",
		"add.s32 %r1, %r2;":                            "2 operands",
		"bra NOWHERE;":                                 "label \"NOWHERE\"",
		"ld.global.frob.u32 %r1, [%rd1];":              ".frob is not simulated",
		"ld.param.u64 %rd5, [k_0+4];":                  "8 bytes at 4 of a parameter of 8",
		"{ .reg .b32 t; } mov.u32 t, 1;":               "\"t\" is not declared",
		"cp.async.cg.shared.global [tile], [%rd1], 8;": "with .cg 16",
	} {
		if _, err := ptxsim.Parse(entry(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v: want %q", body, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(entry("add.s32 %r4, %r1, 1;"))
	f.Add(entry("{ .reg .f32 t; mov.f32 t, 0f3F800000; } L: @%p1 bra L;"))
	f.Add(".visible .const .align 4 .b8 tab[4] = {0, 1, 2, 3};")
	f.Add(".entry k() { shfl.sync.bfly.b32 %r1, %r1, 1, 31, -1;")
	f.Fuzz(func(t *testing.T, text string) { ptxsim.Parse(text) })
}
