package ptxsim_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"align/internal/device/cuda/ptxsim"
)

// bulk is one warp that has boxes of 8 lines brought, twice into one tile, and one that
// puts them to global memory, in the order that it asks for.
var bulk = []struct{ name, code string }{
	{"init", "@!%p1 bra A; mbarrier.init.shared::cta.b64 [full], 1; mbarrier.init.shared::cta.b64 [empty], 32;"},
	{"shown", "fence.mbarrier_init.release.cluster;"},
	{"barrier", "A: bar.sync 0; @%p2 bra READER; @%p3 bra END;"},
	{"map", "fence.proxy.tensormap::generic.acquire.sys [%rd1], 128;"},
	{"expect", "mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 1024;"},
	{"copy", "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [tile], [%rd1, {%r4, %r4}], [full];"},
	{"free", "mbarrier.try_wait.parity.shared::cta.b64 %p4, [empty], 0;"},
	{"expect again", "mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 1024;"},
	{"copy again", "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [tile], [%rd1, {%r5, %r6}], [full];"},
	{"sent", "bra END; READER:"},
	{"wait", "mbarrier.try_wait.parity.shared::cta.b64 %p4, [full], 0;"},
	{"read", "ld.shared.v4.b32 {%r7, %r8, %r9, %r10}, [%r3]; ld.shared.v4.b32 {%r11, %r12, %r13, %r14}, [%r3+16];"},
	{"release", "mbarrier.arrive.shared::cta.b64 _, [empty];"},
	{"store", "M: st.global.v4.b32 [%rd3], {%r7, %r8, %r9, %r10}; st.global.v4.b32 [%rd3+16], {%r11, %r12, %r13, %r14};"},
	{"wait again", "mbarrier.try_wait.parity.shared::cta.b64 %p4, [full], 1;"},
	{"read again", "ld.shared.v4.b32 {%r7, %r8, %r9, %r10}, [%r3]; ld.shared.v4.b32 {%r11, %r12, %r13, %r14}, [%r3+16];"},
	{"store again", "st.global.v4.b32 [%rd3+1024], {%r7, %r8, %r9, %r10}; st.global.v4.b32 [%rd3+1040], {%r11, %r12, %r13, %r14};"},
}

// bulkOf is the kernel with one step in place of another; "" is none.
func bulkOf(step, instead string) string {
	var body strings.Builder
	for _, s := range bulk {
		if s.name == step {
			s.code = instead
		}
		body.WriteString(s.code + "\n")
	}
	return `.version 8.3
.target sm_90a
.address_size 64
.visible .entry k(.param .u64 k_0, .param .u64 k_1)
{
	.reg .pred %p<9>;
	.reg .b32 %r<40>;
	.reg .b64 %rd<9>;
	.shared .align 1024 .b8 tile[2048];
	.shared .align 8 .b8 full[8];
	.shared .align 8 .b8 empty[8];
	ld.param.u64 %rd1, [k_0];
	ld.param.u64 %rd2, [k_1];
	mov.u32 %r1, %tid.x;
	shl.b32 %r2, %r1, 5;
	mov.u32 %r3, tile;
	add.s32 %r3, %r3, %r2;
	cvt.u64.u32 %rd3, %r2;
	add.s64 %rd3, %rd2, %rd3;
	mov.u32 %r4, 0;
	mov.u32 %r5, -8;
	mov.u32 %r6, 8;
	setp.eq.u32 %p1, %r1, 0;
	setp.lt.u32 %p2, %r1, 32;
	setp.ne.u32 %p3, %r1, 32;
` + body.String() + `
	END: ret;
}`
}

// The matrix that boxes are of: where it, its map and the result lie, and its sizes.
const (
	matrixAt, mapAt, resultAt = 1 << 32, 2 << 32, 3 << 32
	matrixRows, matrixColumns = 12, 60
	matrixStride              = 144 // bytes, some of which are no number's
)

// element is a number of the matrix, 0 outside of it.
func element(row, column int) uint16 {
	if row < 0 || row >= matrixRows || column < 0 || column >= matrixColumns {
		return 0
	}
	return uint16(row<<8 | column + 1)
}

// brought runs a kernel of bulkOf; the map is of box.
func brought(t *testing.T, sim *ptxsim.Sim, ptx string, box ptxsim.TensorMap, mapped bool) ([]byte, error) {
	t.Helper()
	m, err := ptxsim.Parse(ptx)
	if err != nil {
		t.Fatal(err)
	}
	matrix, result, raw := make([]byte, matrixRows*matrixStride), make([]byte, 2048), box.Encode()
	for i := range matrixRows {
		for j := range matrixStride / 2 {
			v := element(i, j)
			if j >= matrixColumns {
				v = 0xffff // nobody's
			}
			binary.LittleEndian.PutUint16(matrix[i*matrixStride+2*j:], v)
		}
	}
	var memory ptxsim.Memory
	memory.Add(matrixAt, matrix)
	memory.Add(resultAt, result)
	if !mapped {
		clear(raw[:])
	}
	memory.Add(mapAt, append(raw[:], make([]byte, 128)...))
	err = sim.Launch(m.Kernel("k"), [3]int{1, 1, 1}, [3]int{64, 1, 1}, 0, []uint64{mapAt, resultAt}, &memory)
	return result, err
}

var wholeMatrix = ptxsim.TensorMap{Address: matrixAt, Rows: matrixRows, Columns: matrixColumns, Stride: matrixStride, BoxRows: 8, BoxColumns: 64}

// Boxes arrive swizzled, with zeros for what is outside of the matrix on any side.
func TestBoxesArrive(t *testing.T) {
	for seed := range uint64(100) {
		got, err := brought(t, &ptxsim.Sim{Races: true, Seed: seed}, bulkOf("", ""), wholeMatrix, true)
		if err != nil {
			t.Fatal(err)
		}
		for i, corner := range [][2]int{{0, 0}, {8, -8}} { // row and column
			for r := range 8 {
				for c := range 64 {
					at := 1024*i + r*128 + (c/8^r)*16 + c%8*2
					want := element(corner[0]+r, corner[1]+c)
					if v := binary.LittleEndian.Uint16(got[at:]); v != want {
						t.Fatalf("seed %d: box %d, row %d, column %d is %#x: want %#x", seed, i, r, c, v, want)
					}
				}
			}
		}
	}
}

// What is left out or put in another order is found.
func TestBulkCopies(t *testing.T) {
	again := func(step string) string {
		for _, s := range bulk {
			if s.name == step {
				return s.code
			}
		}
		return ""
	}
	for _, c := range []struct {
		name, step, instead string
		kind, says          string
	}{
		{"a fence of the proxies for the mbarriers", "shown", "fence.proxy.async.shared::cta;", "", ""},
		{"no fence behind the mbarriers", "shown", "", ptxsim.Unfenced, "was made with no fence.mbarrier_init or fence.proxy.async"},
		{"no barrier behind the mbarriers", "barrier", "A: @%p2 bra READER; @%p3 bra END;", ptxsim.Race, "with no barrier between"},
		{"no mbarrier", "init", "@!%p1 bra A; mbarrier.init.shared::cta.b64 [full], 1;", ptxsim.Unwritten, "no mbarrier was made at"},
		{"an mbarrier made twice", "init", "@!%p1 bra A; mbarrier.init.shared::cta.b64 [full], 1;" + "mbarrier.init.shared::cta.b64 [full], 1;", ptxsim.BarrierFault, "where there is one"},
		{"an mbarrier of nobody", "init", "@!%p1 bra A; mbarrier.init.shared::cta.b64 [full], 0;", ptxsim.BarrierFault, "want 1 to"},
		{"an mbarrier given up too early", "copy", again("copy") + "mbarrier.inval.shared::cta.b64 [full];", ptxsim.Unwritten, "no mbarrier was made at"},
		{"an mbarrier written over", "map", again("map") + "st.shared.b32 [full+4], %r1;", ptxsim.BarrierFault, "is written over"},
		{"no fence for the map", "map", "", ptxsim.Unfenced, "used with no fence.proxy.tensormap"},
		{"a map off by a word", "copy", "add.s64 %rd1, %rd1, 8;" + again("copy"), ptxsim.Misaligned, "a tensor map at"},
		{"another place than the map's", "map", "add.s64 %rd1, %rd1, 128;" + again("map"), ptxsim.Unwritten, "no tensor map was written"},
		{"bytes that nobody expects", "expect", "mbarrier.arrive.shared::cta.b64 _, [full];", ptxsim.InFlight, "is the target of an asynchronous copy"},
		{"fewer bytes expected", "expect", "mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 512;", ptxsim.Deadlock, "lacks 0 of 1 arrivals and -512 bytes"},
		{"more bytes expected", "expect", "mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 1040;", ptxsim.Deadlock, "lacks 0 of 1 arrivals and 16 bytes"},
		{"one of two copies expected", "copy", again("copy") + strings.Replace(again("copy"), "[tile]", "[tile+1024]", 1), ptxsim.Transactions, "fewer bytes were expected than come"},
		{"two copies to one place", "copy", again("copy") + again("copy"), ptxsim.InFlight, "is the target of an asynchronous copy"},
		{"no arrival", "expect", "", ptxsim.Deadlock, "lacks 1 of 1 arrivals"},
		{"each arrival twice", "release", again("release") + again("release"), ptxsim.Deadlock, "of parity 0"},
		{"one arrival too few", "release", "@!%p1 bra L; bra M; L:" + again("release"), ptxsim.Deadlock, "lacks 1 of 32 arrivals"},
		{"no copy", "copy", "", ptxsim.Deadlock, "and 1024 bytes"},
		{"no wait", "wait", "", ptxsim.InFlight, "is the target of an asynchronous copy"},
		{"no second wait", "wait again", "", ptxsim.Race, "was read by warp 0"},
		{"a wait for the phase before", "wait", "mbarrier.try_wait.parity.shared::cta.b64 %p4, [full], 1;", ptxsim.InFlight, "is the target of an asynchronous copy"},
		{"a wait for a phase that does not come", "wait again", again("wait again") + again("wait"), ptxsim.Deadlock, "of parity 0"},
		{"a wait for the other mbarrier", "wait", "mbarrier.try_wait.parity.shared::cta.b64 %p4, [empty], 0;", ptxsim.Deadlock, "lacks 32 of 32 arrivals"},
		{"a copy that does not wait for readers", "free", "", ptxsim.BarrierFault, "more arrivals at the mbarrier"},
		{"a copy that waits for no reader", "free", "mbarrier.try_wait.parity.shared::cta.b64 %p4, [full], 0;", ptxsim.Race, "was read by warp 0"},
		{"readers that release too early", "read", again("release") + again("read") + "bra M;", ptxsim.Race, "was read by warp 0"},
		{"a tile that threads have written", "map", again("map") + "st.shared.b32 [tile], %r1;", ptxsim.Unfenced, "with no fence.proxy.async after it"},
		{"a tile that threads have written and shown", "map", again("map") + "st.shared.b32 [tile], %r1; fence.proxy.async.shared::cta;", "", ""},
		{"a write beside the copy", "copy", again("copy") + "st.shared.b32 [tile], %r1;", ptxsim.InFlight, "is the target of an asynchronous copy"},
		{"a copy that nobody waits for", "wait again", "ret;", ptxsim.Transactions, "the block has ended"},
		{"a tile that begins anywhere", "copy", strings.Replace(again("copy"), "[tile]", "[tile+64]", 1), ptxsim.Misaligned, "want multiples of 128"},
		{"a tile that is not there", "copy", strings.Replace(again("copy"), "[tile]", "[tile+4096]", 1), ptxsim.OutOfBounds, "of a box of 1024 bytes"},
		{"waits of lanes for different phases", "wait", "and.b32 %r20, %r1, 1; mbarrier.try_wait.parity.shared::cta.b64 %p4, [full], %r20;", ptxsim.BarrierFault, "different mbarriers or phases"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, seed := range []uint64{0, 1, 2} {
				_, err := brought(t, &ptxsim.Sim{Races: true, Seed: seed, Limit: 100_000}, bulkOf(c.step, c.instead), wholeMatrix, true)
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

// So is what is wrong with a map.
func TestMapsThatAreWrong(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(m *ptxsim.TensorMap)
		kind   string
		says   string
	}{
		{"rows that the memory has not", func(m *ptxsim.TensorMap) { m.Rows++ }, ptxsim.OutOfBounds, "of a box"},
		{"boxes of half a line", func(m *ptxsim.TensorMap) { m.BoxColumns = 32 }, ptxsim.Misaligned, "only lines of 128 bytes"},
		{"no map", nil, ptxsim.Unwritten, "no tensor map was written"},
	} {
		m := wholeMatrix
		if c.change != nil {
			c.change(&m)
		}
		_, err := brought(t, &ptxsim.Sim{Races: true}, bulkOf("", ""), m, c.change != nil)
		var fault *ptxsim.Fault
		if !errors.As(err, &fault) || fault.Kind != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v: want a fault, %s: %q", c.name, err, c.kind, c.says)
		}
	}
}
