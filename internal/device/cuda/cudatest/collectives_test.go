//go:build linux && (amd64 || arm64) && !nogpu

package cudatest_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
)

// warpPTX is a kernel of one warp: lane l finds word j of n at in[32j+l] in
// %r10+j and leaves words %r20 and on.
func warpPTX(code string, in, out int) string {
	loads, stores := "", ""
	for j := range in {
		loads += fmt.Sprintf("\tld.global.b32 %%r%d, [%%rd4+%d];\n", 10+j, 128*j)
	}
	for j := range out {
		stores += fmt.Sprintf("\tst.global.b32 [%%rd3+%d], %%r%d;\n", 128*j, 20+j)
	}
	return `.version 7.8
.target sm_80
.address_size 64
.visible .entry warp(.param .u64 warp_0, .param .u64 warp_1)
{
	.reg .pred %p<9>;
	.reg .b32 %r<40>;
	.reg .b64 %rd<9>;
	.shared .align 16 .b8 tile[2048];
	ld.param.u64 %rd1, [warp_0];
	ld.param.u64 %rd2, [warp_1];
	mov.u32 %r1, %tid.x;
	mad.wide.u32 %rd3, %r1, 4, %rd1;
	mad.wide.u32 %rd4, %r1, 4, %rd2;
` + loads + "\t" + code + "\n" + stores + "\tret;\n}\n"
}

// runWarp returns the words that lanes leave, 32 for each of out.
func runWarp(t *testing.T, c *cudatest.Card, code string, in []uint32, out int) []uint32 {
	t.Helper()
	from, to := cudatest.Upload(t, c, in), cudatest.Upload(t, c, make([]uint32, 32*out))
	one, text := driver.Dim{X: 1, Y: 1, Z: 1}, warpPTX(code, len(in)/32, out)
	translates(t, "sm_80", text)
	c.Run(t, text, "warp", one, driver.Dim{X: 32, Y: 1, Z: 1}, 0, driver.Ptr(to), driver.Ptr(from))
	return cudatest.Download[uint32](t, c, to, 32*out)
}

func words(rng *rand.Rand, n int) []uint32 {
	all := make([]uint32, n)
	for i := range all {
		all[i] = rng.Uint32()
	}
	return all
}

// Shuffles within segments of a width, in CUDA's words (programming guide,
// warp shuffle functions).
func TestShuffles(t *testing.T) {
	c, rng := cudatest.Open(t), rand.New(rand.NewPCG(1, 1))
	sources := map[string]func(lane, by, width int) (from int, inside bool){
		"up":   func(lane, by, width int) (int, bool) { return lane - by, lane%width >= by },
		"down": func(lane, by, width int) (int, bool) { return lane + by, lane%width+by < width },
		"bfly": func(lane, by, width int) (int, bool) { return lane ^ by, lane^by < lane/width*width+width },
		"idx":  func(lane, by, width int) (int, bool) { return lane/width*width + by%width, true },
	}
	for mode, source := range sources {
		for _, width := range []int{32, 16, 8, 2} {
			for _, by := range []int{0, 1, 5, 16, 31} {
				control := (32-width)<<8 | 31
				if mode == "up" {
					control &^= 31
				}
				in := words(rng, 32)
				got := runWarp(t, c, fmt.Sprintf("shfl.sync.%s.b32 %%r20|%%p1, %%r10, %d, %d, -1; selp.u32 %%r21, 1, 0, %%p1;", mode, by, control), in, 2)
				for lane := range 32 {
					from, inside := source(lane, by, width)
					want := [2]uint32{in[lane], 0}
					if inside {
						want = [2]uint32{in[from], 1}
					}
					if got := [2]uint32{got[lane], got[32+lane]}; got != want {
						t.Fatalf("%s by %d in %d: lane %d has %#x: want %#x", mode, by, width, lane, got, want)
					}
				}
			}
		}
	}
}

func TestVotes(t *testing.T) {
	c := cudatest.Open(t)
	in := make([]uint32, 32)
	var yes, sum, least uint32 = 0, 0, math.MaxUint32
	for i := range in {
		in[i] = uint32(i * i % 7)
		sum, least = sum+in[i], min(least, in[i]+5)
		if in[i] > 2 {
			yes |= 1 << i
		}
	}
	got := runWarp(t, c, `setp.gt.u32 %p1, %r10, 2;
	vote.sync.ballot.b32 %r20, %p1, -1;
	vote.sync.any.pred %p2, %p1, -1; selp.u32 %r21, 1, 0, %p2;
	vote.sync.all.pred %p3, %p1, -1; selp.u32 %r22, 1, 0, %p3;
	redux.sync.add.u32 %r23, %r10, -1;
	add.u32 %r11, %r10, 5; redux.sync.min.u32 %r24, %r11, -1;
	activemask.b32 %r25;`, in, 6)
	for lane := range 32 {
		for j, want := range []uint32{yes, 1, 0, sum, least, math.MaxUint32} {
			if got[32*j+lane] != want {
				t.Errorf("lane %d, result %d: %#x: want %#x", lane, j, got[32*j+lane], want)
			}
		}
	}
}

// Lanes fill 512 words in order; ldmatrix hands out 8 x 8 matrices of 16 bits.
func TestLdmatrix(t *testing.T) {
	c, rng := cudatest.Open(t), rand.New(rand.NewPCG(2, 2))
	in := words(rng, 32*4)
	// Lane l puts its 4 words at 16l: row l%8 of matrix l/8.
	code := "mov.u32 %r3, tile; shl.b32 %r2, %r1, 4; add.u32 %r2, %r2, %r3; st.shared.v4.b32 [%r2], {%r10, %r11, %r12, %r13}; bar.warp.sync -1;\n"
	element := func(matrix, row, column int) uint32 {
		return in[32*(column/2)+8*matrix+row] >> (16 * (column % 2)) & 0xffff
	}
	for _, trans := range []string{"", ".trans"} {
		got := runWarp(t, c, code+"ldmatrix.sync.aligned.m8n8.x4"+trans+".shared.b16 {%r20, %r21, %r22, %r23}, [%r2];", in, 4)
		for matrix := range 4 {
			for lane := range 32 {
				row, column := lane/4, lane%4*2
				want := element(matrix, row, column) | element(matrix, row, column+1)<<16
				if trans != "" {
					want = element(matrix, column, row) | element(matrix, column+1, row)<<16
				}
				if got := got[32*matrix+lane]; got != want {
					t.Fatalf("x4%s: matrix %d, lane %d: %#x: want %#x", trans, matrix, lane, got, want)
				}
			}
		}
	}
}

// A copy's bytes behind its source size are 0, and one of nothing reads nothing: the
// kernels' address then is anything, here one that nobody has.
func TestCopies(t *testing.T) {
	c, rng := cudatest.Open(t), rand.New(rand.NewPCG(6, 6))
	in := words(rng, 32*4)
	for _, copy := range []struct {
		form  string
		bytes int
	}{{"cg", 16}, {"ca", 16}, {"ca", 8}, {"ca", 4}} {
		// Lane l copies l mod 5 words, as far as there are so many, of the words from 4l on.
		got := runWarp(t, c, fmt.Sprintf(`mov.u32 %%r3, tile; shl.b32 %%r2, %%r1, 4; add.u32 %%r3, %%r3, %%r2;
	st.shared.v4.b32 [%%r3], {%%r10, %%r11, %%r12, %%r13};
	cvt.u64.u32 %%rd5, %%r2; add.s64 %%rd5, %%rd5, %%rd2;
	rem.u32 %%r2, %%r1, 5; shl.b32 %%r2, %%r2, 2; min.u32 %%r2, %%r2, %[2]d;
	setp.eq.u32 %%p1, %%r2, 0; selp.b64 %%rd5, 16, %%rd5, %%p1;
	cp.async.%[1]s.shared.global [%%r3], [%%rd5], %[2]d, %%r2; cp.async.commit_group; cp.async.wait_group 0;
	ld.shared.v4.b32 {%%r20, %%r21, %%r22, %%r23}, [%%r3];`, copy.form, copy.bytes), in, 4)
		for lane := range 32 {
			for word := range 4 {
				want := in[32*word+lane] // as it was
				if word < copy.bytes/4 {
					want = 0
				}
				if word < min(lane%5, copy.bytes/4) {
					want = in[4*lane+word]
				}
				if got := got[32*word+lane]; got != want {
					t.Fatalf(".%s of %d bytes: lane %d, word %d: %#x: want %#x", copy.form, copy.bytes, lane, word, got, want)
				}
			}
		}
	}
}

// Fragments of m16n8k16 by the manual's tables: with g = lane/4 and t = lane%4,
// rows and columns of the i-th element.
func rowA(lane, i int) (row, column int) { return lane/4 + i/2%2*8, lane%4*2 + i%2 + i/4*8 }
func rowB(lane, i int) (row, column int) { return lane%4*2 + i%2 + i/2*8, lane / 4 }
func rowC(lane, i int) (row, column int) { return lane/4 + i/2*8, lane%4*2 + i%2 }

func TestMma(t *testing.T) {
	// Sums of 17 terms of size 1 in float32, in any order.
	const tolerance = 1e-5
	c, rng := cudatest.Open(t), rand.New(rand.NewPCG(3, 3))
	for name, bits := range map[string]func(float32) (uint32, float64){
		"bf16": func(x float32) (uint32, float64) {
			b := math.Float32bits(x) &^ 0xffff
			return b >> 16, float64(math.Float32frombits(b))
		},
		// Eighths are exact in float16; 0x3c00 is 1.
		"f16": func(x float32) (uint32, float64) {
			n := 1 + rng.IntN(7)
			return uint32(0x3c00 + n<<7), 1 + float64(n)/8
		},
	} {
		var a [16][16]float64
		var b [16][8]float64
		in := make([]uint32, 32*10)
		for lane := range 32 {
			for i := range 8 {
				bits, v := bits(float32(rng.NormFloat64()))
				row, column := rowA(lane, i)
				a[row][column] = v
				in[32*(i/2)+lane] |= bits << (16 * (i % 2))
			}
			for i := range 4 {
				bits, v := bits(float32(rng.NormFloat64()))
				row, column := rowB(lane, i)
				b[row][column] = v
				in[32*(4+i/2)+lane] |= bits << (16 * (i % 2))
			}
			for i := range 4 {
				in[32*(6+i)+lane] = math.Float32bits(float32(rng.NormFloat64()))
			}
		}
		got := runWarp(t, c, "mma.sync.aligned.m16n8k16.row.col.f32."+name+"."+name+
			".f32 {%r20, %r21, %r22, %r23}, {%r10, %r11, %r12, %r13}, {%r14, %r15}, {%r16, %r17, %r18, %r19};", in, 4)
		for lane := range 32 {
			for i := range 4 {
				row, column := rowC(lane, i)
				want := float64(math.Float32frombits(in[32*(6+i)+lane]))
				for k := range 16 {
					want += a[row][k] * b[k][column]
				}
				if v := float64(math.Float32frombits(got[32*i+lane])); math.Abs(v-want) > tolerance*max(1, math.Abs(want)) {
					t.Fatalf("%s: row %d, column %d: %v: want %v", name, row, column, v, want)
				}
			}
		}
	}
}
