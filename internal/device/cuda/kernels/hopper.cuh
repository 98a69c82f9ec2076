// Hopper's matrix instruction: wgmma.mma_async of bf16 with float32 sums (PTX ISA,
// "Asynchronous Warpgroup Level Matrix Instructions"). Four warps start a product
// of 64 rows, which then runs beside them.
#pragma once
#include "tensor.cuh"

// A tile in shared memory is lines of 128 bytes whose 8 chunks are exchanged by
// tile_at<8>: the instruction's swizzle of 128 bytes. Along the sum, a line is 64
// terms of a row; across, it is 64 rows of a term, and 64 lines on come the next
// 64 rows. Either way, 64 rows are GROUP bytes.
#define GROUP 8192

// descriptor tells the instruction where a tile lies (PTX ISA, "Matrix
// Descriptor Format"), all in units of 16 bytes: 8 lines lie 1024 bytes from the
// next 8 and, across, 64 rows STEP bytes from the next 64: GROUP where there are
// 64 terms.
template <bool ACROSS, int STEP = GROUP> DEVICE u64 descriptor(unsigned at) {
	return (u64)1 << 62 | (u64)(1024 / 16) << 32 | (u64)(ACROSS ? STEP / 16 : 1) << 16 | (at & 0x3ffff) / 16;
}

// Registers of sums as operands: 4, 16, 32, 64 and 128 of them.
#define SUMS4(c, j) "+f"(c[j][0]), "+f"(c[j][1]), "+f"(c[j][2]), "+f"(c[j][3])
#define SUMS16(c) SUMS4(c, 0), SUMS4(c, 1), SUMS4(c, 2), SUMS4(c, 3)
#define SUMS32(c, j)                                                                                                   \
	SUMS4(c, j), SUMS4(c, j + 1), SUMS4(c, j + 2), SUMS4(c, j + 3), SUMS4(c, j + 4), SUMS4(c, j + 5), SUMS4(c, j + 6), \
	    SUMS4(c, j + 7)
#define SUMS64(c) SUMS32(c, 0), SUMS32(c, 8)
#define SUMS128(c) SUMS64(c), SUMS32(c, 16), SUMS32(c, 24)

// multiply64 starts c += 64 rows at a times columns at b, 16 terms. TX and TW say
// that a line is across the sum. Registers c are its own until a wait.
template <bool TX, bool TW> DEVICE void multiply64(float (&c)[16][4], u64 a, u64 b) {
	asm volatile("{.reg .pred p; setp.ne.b32 p, %66, 0;"
	             "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
	             "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
	             "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
	             "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
	             "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
	             "}, %64, %65, p, 1, 1, %67, %68;}"
	             : SUMS64(c) : "l"(a), "l"(b), "r"(1), "n"(TX ? 1 : 0), "n"(TW ? 1 : 0) : "memory");
}
template <bool TX, bool TW> DEVICE void multiply64(float (&c)[32][4], u64 a, u64 b) {
	asm volatile("{.reg .pred p; setp.ne.b32 p, %130, 0;"
	             "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {"
	             "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
	             "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
	             "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
	             "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
	             "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
	             "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
	             "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "
	             "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
	             "}, %128, %129, p, 1, 1, %131, %132;}"
	             : SUMS128(c) : "l"(a), "l"(b), "r"(1), "n"(TX ? 1 : 0), "n"(TW ? 1 : 0) : "memory");
}

template <bool TX, bool TW> DEVICE void multiply64(float (&c)[4][4], u64 a, u64 b) {
	asm volatile("{.reg .pred p; setp.ne.b32 p, %18, 0;"
	             "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {"
	             "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
	             "}, %16, %17, p, 1, 1, %19, %20;}"
	             : SUMS16(c) : "l"(a), "l"(b), "r"(1), "n"(TX ? 1 : 0), "n"(TW ? 1 : 0) : "memory");
}
template <bool TX, bool TW> DEVICE void multiply64(float (&c)[8][4], u64 a, u64 b) {
	asm volatile("{.reg .pred p; setp.ne.b32 p, %34, 0;"
	             "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
	             "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
	             "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
	             "}, %32, %33, p, 1, 1, %35, %36;}"
	             : SUMS32(c, 0) : "l"(a), "l"(b), "r"(1), "n"(TX ? 1 : 0), "n"(TW ? 1 : 0) : "memory");
}

// The same of 64 rows in registers, each warp's 16 as mma.m16n8k16 has them.
template <bool TW> DEVICE void multiply64(float (&c)[8][4], const unsigned (&a)[4], u64 b) {
	asm volatile("{.reg .pred p; setp.ne.b32 p, %37, 0;"
	             "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
	             "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
	             "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
	             "}, {%32, %33, %34, %35}, %36, p, 1, 1, %38;}"
	             : SUMS32(c, 0) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(1), "n"(TW ? 1 : 0) : "memory");
}
template <bool TW> DEVICE void multiply64(float (&c)[16][4], const unsigned (&a)[4], u64 b) {
	asm volatile("{.reg .pred p; setp.ne.b32 p, %69, 0;"
	             "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
	             "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
	             "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
	             "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
	             "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
	             "}, {%64, %65, %66, %67}, %68, p, 1, 1, %70;}"
	             : SUMS64(c) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(1), "n"(TW ? 1 : 0) : "memory");
}

// begin orders the threads' accesses of c before the products that follow,
// and finish waits for all products. They name c so that the compiler keeps its
// accesses on this side.
DEVICE void begin(float (&c)[4][4]) { asm volatile("wgmma.fence.sync.aligned;" : SUMS16(c)::"memory"); }
DEVICE void begin(float (&c)[8][4]) { asm volatile("wgmma.fence.sync.aligned;" : SUMS32(c, 0)::"memory"); }
DEVICE void begin(float (&c)[16][4]) { asm volatile("wgmma.fence.sync.aligned;" : SUMS64(c)::"memory"); }
DEVICE void begin(float (&c)[32][4]) { asm volatile("wgmma.fence.sync.aligned;" : SUMS128(c)::"memory"); }
DEVICE void finish(float (&c)[4][4]) { asm volatile("wgmma.wait_group.sync.aligned 0;" : SUMS16(c)::"memory"); }
DEVICE void finish(float (&c)[8][4]) { asm volatile("wgmma.wait_group.sync.aligned 0;" : SUMS32(c, 0)::"memory"); }
DEVICE void finish(float (&c)[16][4]) { asm volatile("wgmma.wait_group.sync.aligned 0;" : SUMS64(c)::"memory"); }
DEVICE void finish(float (&c)[32][4]) { asm volatile("wgmma.wait_group.sync.aligned 0;" : SUMS128(c)::"memory"); }
DEVICE void commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N> DEVICE void wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory"); }
// show lets products see what this thread has written to shared memory.
DEVICE void show() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
