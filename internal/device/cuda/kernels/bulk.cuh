// The copy engine of Hopper (TMA) and the barriers that it reports to (PTX ISA,
// "cp.async.bulk.tensor" and "mbarrier").
#pragma once
#include "align.cuh"

// barrier_make makes a barrier of 8 bytes of shared memory, a phase of which ends when so
// many arrivals and all bytes that they expect are there. barriers_show, by the same
// thread, lets copies see those that were made; a barrier of the block does for threads.
DEVICE void barrier_make(unsigned at, int arrivals) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(at), "r"(arrivals) : "memory"); }
DEVICE void barriers_show() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

// barrier_arrive is an arrival of the lanes that say so.
DEVICE void barrier_arrive(unsigned at, bool arrives) {
	asm volatile("{.reg .pred p; setp.ne.u32 p, %1, 0; @p mbarrier.arrive.shared::cta.b64 _, [%0];}" ::"r"(at), "r"((unsigned)arrives) : "memory");
}
// barrier_expect is an arrival and so many bytes of copies.
DEVICE void barrier_expect(unsigned at, int bytes) { asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at), "r"(bytes) : "memory"); }

// barrier_wait waits for the end of the phase of a parity: 0 for the first one, 1 for the
// second; before the first has ended, the one before it, of parity 1, is over.
DEVICE void barrier_wait(unsigned at, unsigned parity) {
	unsigned ended;
	do
		asm volatile("{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.b32 %0, 1, 0, p;}" : "=r"(ended) : "r"(at), "r"(parity) : "memory");
	while (!ended);
}

// elected is one lane of a warp that has all of its lanes. By it, and not by a comparison,
// a translator knows that one thread alone goes on; else it sets what asks for a box in a
// loop over lanes that may differ.
DEVICE bool elected() {
	unsigned one;
	asm volatile("{.reg .pred p; elect.sync _|p, -1; selp.b32 %0, 1, 0, p;}" : "=r"(one));
	return one;
}

// map_acquire comes before the first use of a tensor map in global memory, which the host
// has written: the engine's way to it is its own, and is not in order with the writes
// (PTX ISA, "Proxies": not even from one kernel to the next).
DEVICE void map_acquire(u64 map) { asm volatile("fence.proxy.tensormap::generic.acquire.sys [%0], 128;" ::"l"(map) : "memory"); }

// box_fetch starts the copy of one box of a map, from a column and a row of its matrix on;
// its bytes, all of the box, come to a barrier.
DEVICE void box_fetch(unsigned to, u64 map, int column, int row, unsigned barrier) {
	asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(to), "l"(map),
	             "r"(column), "r"(row), "r"(barrier)
	             : "memory");
}
