//go:build linux && (amd64 || arm64) && !nogpu

package cudatest_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
)

// warpgroupPTX is a kernel of four warps: it copies an image of `bytes` bytes to
// shared memory, multiplies 64 terms from A at the start and B at 8192 on, and
// leaves register i of thread t at out[128i+t]. With A in registers, thread t finds
// word i of its 16 behind the image, at 128i+t.
func warpgroupPTX(n, bytes int, acrossA, acrossB, registersA bool) string {
	var copies, registers, stores, products, lefts strings.Builder
	for at := 0; at < bytes; at += 2048 {
		fmt.Fprintf(&copies, "\tld.global.v4.b32 {%%r10, %%r11, %%r12, %%r13}, [%%rd2+%d];\n\tst.shared.v4.b32 [%%r3+%d], {%%r10, %%r11, %%r12, %%r13};\n", at, at)
	}
	for i := range n / 2 {
		fmt.Fprintf(&registers, ", %%f%d", i)
		fmt.Fprintf(&stores, "\tst.global.f32 [%%rd1+%d], %%f%d;\n", 512*i, i)
	}
	if registersA {
		for i := range 16 {
			fmt.Fprintf(&lefts, "\tld.global.b32 %%r%d, [%%rd7+%d];\n", 20+i, bytes+512*i)
		}
	}
	// 16 terms on: 32 bytes of a line, or 16 lines.
	step := map[bool]int{false: 32 >> 4, true: 2048 >> 4}
	for k := range 4 {
		guard := "%p2"
		if k == 0 {
			guard = "%p1" // what the registers hold is not added to
		}
		a, directions := "%rd5", fmt.Sprintf("%d, %d", oneIf(acrossA), oneIf(acrossB))
		if registersA {
			a, directions = fmt.Sprintf("{%%r%d, %%r%d, %%r%d, %%r%d}", 20+4*k, 21+4*k, 22+4*k, 23+4*k), fmt.Sprint(oneIf(acrossB))
		}
		fmt.Fprintf(&products, "\twgmma.mma_async.sync.aligned.m64n%dk16.f32.bf16.bf16 {%s}, %s, %%rd6, %s, 1, 1, %s;\n",
			n, registers.String()[2:], a, guard, directions)
		fmt.Fprintf(&products, "\tadd.s64 %%rd5, %%rd5, %d;\n\tadd.s64 %%rd6, %%rd6, %d;\n", step[acrossA], step[acrossB])
	}
	return fmt.Sprintf(`.version 8.0
.target sm_90a
.address_size 64
.visible .entry warpgroup(.param .u64 warpgroup_0, .param .u64 warpgroup_1)
{
	.reg .pred %%p<3>;
	.reg .f32 %%f<128>;
	.reg .b32 %%r<40>;
	.reg .b64 %%rd<9>;
	.shared .align 1024 .b8 tile[%d];
	ld.param.u64 %%rd1, [warpgroup_0];
	ld.param.u64 %%rd2, [warpgroup_1];
	mov.u32 %%r1, %%tid.x;
	mad.wide.u32 %%rd1, %%r1, 4, %%rd1;
	mad.wide.u32 %%rd7, %%r1, 4, %%rd2;
	mad.wide.u32 %%rd2, %%r1, 16, %%rd2;
	mov.u32 %%r2, tile;
	shl.b32 %%r3, %%r1, 4;
	add.s32 %%r3, %%r3, %%r2;
%s%s	bfe.u32 %%r4, %%r2, 4, 14;
	cvt.u64.u32 %%rd4, %%r4;
	add.s64 %%rd5, %%rd4, %d;
	add.s64 %%rd6, %%rd4, %d;
	setp.eq.u32 %%p1, %%r1, -1;
	setp.ne.u32 %%p2, %%r1, -1;
	fence.proxy.async.shared::cta;
	bar.sync 0;
	wgmma.fence.sync.aligned;
%s	wgmma.commit_group.sync.aligned;
	wgmma.wait_group.sync.aligned 0;
%s	ret;
}
`, bytes, copies.String(), lefts.String(), descriptor(0, acrossA), descriptor(8192, acrossB), products.String(), stores.String())
}

func oneIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// descriptor is a matrix descriptor of tiles swizzled by 128 bytes: 8 lines are
// 1024 bytes, and groups of 64 vectors across lie 8192 bytes apart.
func descriptor(at int, across bool) int {
	leading := 1 // has no meaning
	if across {
		leading = 8192 >> 4
	}
	return 1<<62 | (1024>>4)<<32 | leading<<16 | at>>4
}

// inTile is the byte of term k of vector v in a tile of lines of 64 numbers,
// whose chunks of 8 are swizzled: chunk c of line l stands at c xor l mod 8.
func inTile(v, k int, across bool) int {
	line, at := v, k
	if across {
		line, at = v/64*64+k, v%64
	}
	return line*128 + (at/8^line%8)*16 + at%8*2
}

// Products of 64 x 64 by 64 x n with every side that a descriptor can tell, and with A in
// registers, as attention has its queries and weights.
func TestMmaOfFourWarps(t *testing.T) {
	// Sums of 64 terms of size 1 in float32, in any order.
	const tolerance = 1e-4
	rng := rand.New(rand.NewPCG(4, 4))
	for _, n := range []int{8, 64, 128, 256} {
		for side := range 6 {
			acrossA, acrossB, registersA := side&1 != 0 && side < 4, side&2 != 0 || side == 5, side >= 4
			bytes := 8192 + max(n, 64)*128
			image := make([]uint16, bytes/2)
			var a [64][64]float64
			b := make([][64]float64, n)
			draw := func(at int) float64 {
				x := math.Float32bits(float32(rng.NormFloat64())) >> 16
				image[at/2] = uint16(x)
				return float64(math.Float32frombits(x << 16))
			}
			for k := range 64 {
				for v := range a {
					a[v][k] = draw(inTile(v, k, acrossA))
				}
				for v := range b {
					b[v][k] = draw(8192 + inTile(v, k, acrossB))
				}
			}
			// Thread t's words for 16 terms are those of mma.m16n8k16 of its warp's 16 rows.
			for i := 0; registersA && i < 16*128; i++ {
				thread, r := i%128, i/128%4
				row, k := thread/32*16+thread%32/4+r%2*8, i/512*16+thread%4*2+r/2*8
				at := inTile(row, k, acrossA) / 2
				image = append(image, image[at], image[at+1])
			}
			c := cudatest.OpenTarget(t, cudatest.Hopper)
			out := cudatest.Alloc[float32](t, c, 128*n/2)
			one := driver.Dim{X: 1, Y: 1, Z: 1}
			c.Run(t, warpgroupPTX(n, bytes, acrossA, acrossB, registersA), "warpgroup", one, driver.Dim{X: 128, Y: 1, Z: 1}, 0,
				driver.Ptr(out), driver.Ptr(cudatest.Upload(t, c, image)))
			for i, got := range cudatest.Download[float32](t, c, out, 128*n/2) {
				thread, r := i%128, i/128
				row, column := thread/32*16+thread%32/4+r/2%2*8, r/4*8+thread%4*2+r%2
				want := 0.0
				for k := range 64 {
					want += a[row][k] * b[column][k]
				}
				if math.Abs(float64(got)-want) > tolerance*max(1, math.Abs(want)) {
					t.Fatalf("n %d, across %v and %v, A in registers %v: row %d, column %d: %v: want %v", n, acrossA, acrossB, registersA, row, column, got, want)
				}
			}
		}
	}
}
