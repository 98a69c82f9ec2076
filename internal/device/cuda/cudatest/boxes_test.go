//go:build linux && (amd64 || arm64) && !nogpu

package cudatest_test

import (
	"fmt"
	"testing"

	"align/internal/device/cuda/cudatest"
	"align/internal/device/cuda/driver"
)

// boxPTX is a kernel of one warp that has the copy engine bring a box of 64 x 64, from a
// column and a row on, and puts the 8192 bytes out as they lie.
const boxPTX = `.version 8.3
.target sm_90a
.address_size 64
.visible .entry box(.param .u64 box_0, .param .u64 box_1, .param .u32 box_2, .param .u32 box_3)
{
	.reg .pred %p<3>;
	.reg .b32 %r<20>;
	.reg .b64 %rd<9>;
	.shared .align 1024 .b8 tile[8192];
	.shared .align 8 .b8 full[8];
	ld.param.u64 %rd1, [box_0];
	ld.param.u64 %rd2, [box_1];
	ld.param.u32 %r8, [box_2];
	ld.param.u32 %r9, [box_3];
	mov.u32 %r1, %tid.x;
	mov.u32 %r2, tile;
	mov.u32 %r3, full;
	setp.ne.u32 %p1, %r1, 0;
	@%p1 bra MADE;
	mbarrier.init.shared::cta.b64 [%r3], 1;
	fence.mbarrier_init.release.cluster;
MADE:
	bar.sync 0;
	@%p1 bra WAIT;
	fence.proxy.tensormap::generic.acquire.sys [%rd2], 128;
	mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r3], 8192;
	cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r2], [%rd2, {%r8, %r9}], [%r3];
WAIT:
	mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r3], 0;
	@!%p2 bra WAIT;
	shl.b32 %r4, %r1, 4;
	add.s32 %r2, %r2, %r4;
	cvt.u64.u32 %rd4, %r4;
	add.s64 %rd1, %rd1, %rd4;
	mov.u32 %r5, 0;
LINES:
	ld.shared.v4.b32 {%r10, %r11, %r12, %r13}, [%r2];
	st.global.v4.b32 [%rd1], {%r10, %r11, %r12, %r13};
	add.s32 %r2, %r2, 512;
	add.s64 %rd1, %rd1, 512;
	add.s32 %r5, %r5, 1;
	setp.lt.u32 %p2, %r5, 16;
	@%p2 bra LINES;
	ret;
}
`

// Boxes of a matrix come swizzled as wgmma reads them, with zeros where the matrix ends, on
// any side of it.
func TestBoxes(t *testing.T) {
	const rows, columns, stride = 70, 77, 80 // elements
	c := cudatest.OpenTarget(t, cudatest.Hopper)
	if c.Version() < 12030 {
		t.Skipf("the driver is for CUDA %v", c.Version())
	}
	matrix := make([]uint16, rows*stride)
	for i := range matrix {
		matrix[i] = 0xffff // what is no element
		if i%stride < columns {
			matrix[i] = uint16(1 + i/stride<<8 + i%stride)
		}
	}
	at := cudatest.Upload(t, c, matrix)
	var of []byte
	c.Do(t, func() (err error) {
		of, err = c.TensorMap(driver.Boxes{Address: at.Address, Rows: rows, Columns: columns, Stride: 2 * stride, BoxRows: 64, BoxColumns: 64})
		return err
	})
	mapped := cudatest.Upload(t, c, of)
	for _, corner := range [][2]int{{0, 0}, {0, 64}, {64, 0}, {64, 64}, {3, 24}, {-8, -16}, {128, 0}, {0, 128}} { // row and column
		t.Run(fmt.Sprint(corner), func(t *testing.T) {
			out := cudatest.Alloc[uint16](t, c, 4096)
			c.Run(t, boxPTX, "box", driver.Dim{X: 1, Y: 1, Z: 1}, driver.Dim{X: 32, Y: 1, Z: 1}, 0,
				driver.Ptr(out), driver.Ptr(mapped), driver.I32(int32(corner[1])), driver.I32(int32(corner[0])))
			got := cudatest.Download[uint16](t, c, out, 4096)
			for r := range 64 {
				for k := range 64 {
					row, column, want := corner[0]+r, corner[1]+k, uint16(0)
					if row >= 0 && row < rows && column >= 0 && column < columns {
						want = matrix[row*stride+column]
					}
					if v := got[inTile(r, k, false)/2]; v != want {
						t.Fatalf("row %d, column %d is %#x: want %#x", row, column, v, want)
					}
				}
			}
		})
	}
}
