package ptxsim_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"align/internal/device/cuda/ptxsim"
)

// steps are a product of ones by four warps, in the order that it asks for: A
// is 64 lines of 128 bytes where the block's memory begins, B 8 of them 8192 bytes on.
var steps = []struct{ name, code string }{
	{"fill", `.reg .f32 %f<9>;
	mov.b32 %r5, 0x3f803f80; shl.b32 %r4, %r1, 4;
	st.shared.v4.u32 [%r4], {%r5, %r5, %r5, %r5}; st.shared.v4.u32 [%r4+2048], {%r5, %r5, %r5, %r5};
	st.shared.v4.u32 [%r4+4096], {%r5, %r5, %r5, %r5}; st.shared.v4.u32 [%r4+6144], {%r5, %r5, %r5, %r5};
	st.shared.v4.u32 [%r4+8192], {%r5, %r5, %r5, %r5};
	mov.b64 %rd5, 0x4000004000010040; mov.b64 %rd6, 0x4000004000010240; setp.ne.b32 %p1, %r1, -1;`},
	{"zero", "mov.f32 %f1, 0f3F800000; mov.f32 %f2, 0f3F800000; mov.f32 %f3, 0f3F800000; mov.f32 %f4, 0f3F800000;"},
	{"proxy", "fence.proxy.async.shared::cta;"},
	{"barrier", "bar.sync 0;"},
	{"fence", "wgmma.fence.sync.aligned;"},
	{"product", "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, %rd5, %rd6, %p1, 1, 1, 0, 0;"},
	{"commit", "wgmma.commit_group.sync.aligned;"},
	{"wait", "wgmma.wait_group.sync.aligned 0;"},
	{"end", "bar.sync 0; st.global.f32 [%rd3], %f1; st.shared.u32 [%r3], %r5;"},
}

// productOf is the kernel with one step in place of another; "" is none.
func productOf(step, instead string) string {
	var body strings.Builder
	for _, s := range steps {
		if s.name == step {
			s.code = instead
		}
		body.WriteString(s.code + "\n")
	}
	return strings.Replace(entry(body.String()), ".align 16 .b8 tile[4096]", ".align 1024 .b8 tile[10240]", 1)
}

// What is left out or put in another order is found, whatever the numbers are.
func TestProductsOfFourWarps(t *testing.T) {
	const (
		product = "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, %rd5, %rd6, %p1, 1, 1, 0, 0;"
		commit  = "wgmma.commit_group.sync.aligned;"
	)
	for _, c := range []struct {
		name, step, instead string
		kind, says          string
	}{
		{name: "as it should be"},
		{"two groups, the last waited for", "commit", commit + product + commit, "", ""},
		{"no product without a fence", "fence", "", ptxsim.Unfenced, "the first wgmma without a wgmma.fence"},
		{"a register set after the fence", "product", "mov.f32 %f3, 0f00000000;" + product, ptxsim.Unfenced, "touched after the last wgmma.fence"},
		{"a register read after the fence", "product", "mov.f32 %f5, %f2;" + product, ptxsim.Unfenced, "touched after the last wgmma.fence"},
		{"no commit", "commit", "", ptxsim.InFlight, "a register of a wgmma"},
		{"no wait", "wait", "", ptxsim.InFlight, "a register of a wgmma"},
		{"a wait for all but the last group", "wait", "wgmma.wait_group.sync.aligned 1;", ptxsim.InFlight, "a register of a wgmma"},
		{"a register read too early", "wait", "add.f32 %f5, %f1, %f1; wgmma.wait_group.sync.aligned 0;", ptxsim.InFlight, "a register of a wgmma"},
		{"a register copied too early", "wait", "mov.f32 %f5, %f1; wgmma.wait_group.sync.aligned 0;", ptxsim.InFlight, "a register of a wgmma"},
		{"a register set too early", "wait", "mov.f32 %f1, 0f00000000; wgmma.wait_group.sync.aligned 0;", ptxsim.InFlight, "a register of a wgmma"},
		{"shared memory written too early", "commit", commit + "bar.sync 0; st.shared.u32 [%r3], %r5;", ptxsim.InFlight, "is written while a wgmma of warp"},
		{"a copy begun too early", "commit", commit + "bar.sync 0; shl.b32 %r6, %r1, 4; cp.async.cg.shared.global [%r6], [%rd1], 16;", ptxsim.InFlight, "is written while a wgmma of warp"},
		{"no fence of the proxies", "proxy", "", ptxsim.Unfenced, "no fence.proxy.async after it"},
		{"a fence of the proxies before the last write", "barrier", "st.shared.u32 [%r4], %r5; bar.sync 0;", ptxsim.Unfenced, "no fence.proxy.async after it"},
		{"a fence of the proxies by half of the lanes", "proxy", "and.b32 %r6, %r1, 16; setp.eq.u32 %p2, %r6, 0; @%p2 fence.proxy.async.shared::cta;", ptxsim.Unfenced, "no fence.proxy.async after it"},
		{"a copy shown before it has landed", "barrier", `shl.b32 %r6, %r1, 4; cp.async.cg.shared.global [%r6], [%rd1], 16; cp.async.commit_group;
			fence.proxy.async; cp.async.wait_group 0; bar.sync 0;`, ptxsim.Unfenced, "no fence.proxy.async after it"},
		{"a copy shown after it has landed", "barrier", `shl.b32 %r6, %r1, 4; cp.async.cg.shared.global [%r6], [%rd1], 16; cp.async.commit_group;
			cp.async.wait_group 0; fence.proxy.async; bar.sync 0;`, "", ""},
		{"a copy not waited for", "barrier", "shl.b32 %r6, %r1, 4; cp.async.cg.shared.global [%r6], [%rd1], 16; cp.async.commit_group; fence.proxy.async; bar.sync 0;", ptxsim.InFlight, "target of an asynchronous copy"},
		{"no barrier before the product", "barrier", "", ptxsim.Race, "was written by warp"},
		{"no barrier behind the product", "end", "st.shared.u32 [%r3], %r5;", ptxsim.Race, "with no barrier between"},
		{"an unwritten register added to", "zero", "", ptxsim.Unwritten, "before it is written"},
		{"an unwritten register set", "zero", "setp.eq.u32 %p1, %r1, -1;", "", ""},
		{"a left side in registers", "fence", "mov.b32 %r6, %r5; wgmma.fence.sync.aligned; wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, {%r6, %r6, %r6, %r6}, %rd6, %p1, 1, 1, 0;", "", ""},
		{"a left side set after the fence", "product", "mov.b32 %r6, %r5; wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, {%r6, %r6, %r6, %r6}, %rd6, %p1, 1, 1, 0;", ptxsim.Unfenced, "touched after the last wgmma.fence"},
		{"a left side set too early", "fence", "mov.b32 %r6, %r5; wgmma.fence.sync.aligned; wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, {%r6, %r6, %r6, %r6}, %rd6, %p1, 1, 1, 0; mov.b32 %r6, 0;", ptxsim.InFlight, "a register of a wgmma"},
		{"unwritten shared memory", "product", "add.s64 %rd6, %rd6, 128;" + product, ptxsim.OutOfBounds, "the block has 10240"},
		{"a tile that begins anywhere", "product", "add.s64 %rd6, %rd6, 8;" + product, ptxsim.Misaligned, "multiple of 1024"},
		{"another swizzle", "product", "add.s64 %rd6, %rd6, 0x4000000000000000;" + product, ptxsim.Misaligned, "only a swizzle of 128 bytes"},
		{"warps with other descriptors", "product", "shr.u32 %r6, %r1, 5; cvt.u64.u32 %rd7, %r6; shl.b64 %rd7, %rd7, 1; add.s64 %rd5, %rd5, %rd7;" + product, ptxsim.BarrierFault, "different products"},
		{"lanes with other descriptors", "product", "add.s64 %rd5, %rd5, %rd2;" + product, ptxsim.BarrierFault, "different matrix descriptors"},
		{"a warp without the product", "product", "setp.lt.u32 %p2, %r1, 96; @!%p2 bra L;" + product + "L:", ptxsim.Deadlock, "of the 1 that others"},
		{"a lane without the product", "product", "setp.ne.u32 %p2, %r1, 5; @!%p2 ret;" + product, ptxsim.BarrierFault, "whole warp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, seed := range []uint64{0, 1} {
				sim := &ptxsim.Sim{Races: true, Seed: seed, Limit: 100_000}
				got, err := launch(t, sim, productOf(c.step, c.instead), 1, 128, 128)
				var fault *ptxsim.Fault
				switch {
				case c.kind == "" && err != nil:
					t.Errorf("seed %d: %v", seed, err)
				case c.kind == "":
					want := map[string]float32{"two groups, the last waited for": 33, "a left side in registers": 33, "an unwritten register set": 16}[c.name]
					if want == 0 {
						want = 17
					}
					if c.step == "barrier" {
						continue // other numbers
					}
					for i, v := range got {
						if math.Float32frombits(v) != want {
							t.Fatalf("thread %d has %v: want %v", i, math.Float32frombits(v), want)
						}
					}
				case !errors.As(err, &fault) || seed == 0 && fault.Kind != c.kind:
					t.Errorf("seed %d: error %v: want a fault: %s", seed, err, c.kind)
				case seed == 0 && !strings.Contains(err.Error(), c.says):
					t.Errorf("error %v: want %q in it", err, c.says)
				}
			}
		})
	}
}

// A product needs four warps, and forms that are not simulated are refused.
func TestProductsOfFourWarpsAreRefused(t *testing.T) {
	_, err := launch(t, &ptxsim.Sim{}, productOf("", ""), 1, 64, 128)
	var fault *ptxsim.Fault
	if !errors.As(err, &fault) || fault.Kind != ptxsim.BarrierFault || !strings.Contains(err.Error(), "fewer than four warps") {
		t.Errorf("two warps: error %v", err)
	}
	for form, says := range map[string]string{
		"wgmma.mma_async.sync.aligned.m64n12k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, %rd5, %rd6, %p1, 1, 1, 0, 0;":                "this form",
		"wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%f1, %f2, %f3, %f4}, %rd5, %rd6, %p1, 1, 1, 0, 0;":                   "this form",
		"wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, %rd5, %rd6, %p1, 1, 1, 0, 0;":                "4 registers of the result and 0 of a side: want 8",
		"wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, %rd5, %rd6, %p1, -1, 1, 0, 0;":                "scales other than 1",
		"wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, {%r5}, %rd6, %p1, 1, 1, 0;":                   "1 of a side",
		"wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, {%r5, %r5, %r5, %r5}, %rd6, %p1, 1, 1, 0, 0;": "8 operands",
		"wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, %rd5, %rd6, %p1, 1, 1, 0, -1;":                "want 0 or 1",
		"wgmma.mma_async.sp.sync.aligned.m64n8k32.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, %rd5, %rd6, 0, 0, %p1, 1, 1, 0;":           "not simulated",
	} {
		if _, err := ptxsim.Parse(productOf("product", form)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v: want %q", form, err, says)
		}
	}
}
