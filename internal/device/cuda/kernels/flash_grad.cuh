// What the sums of attention's gradient over queries share.
#pragma once
#include "flash.cuh"

#define QUERIES 32 // queries in a tile of the sums over them

// Walk goes over the tiles of queries that see keys [from, to), head by head,
// span by span.
struct Walk {
	Masks masks;
	const int *spans;
	int count, from, to, head, heads; // heads: one past the last
	int span, begin, end, tile;
	Mask mask;

	DEVICE void start(int first, int last) {
		head = first, heads = last, span = -1, end = 0, tile = 0;
		next();
	}
	DEVICE bool done() const { return head >= heads; }
	DEVICE void next() {
		tile += QUERIES;
		while (tile >= end) {
			if (++span == count) {
				span = 0, end = 0;
				if (++head >= heads)
					return;
			}
			begin = end, end = spans[1 + span], tile = begin;
			mask = masks.at(begin);
			bool prefix = max(mask.prefixStart, from) < min(mask.prefixEnd, to);
			bool segment = max(mask.segmentStart, from) < min(end, to);
			if (!prefix && !segment)
				tile = end;
			else if (!prefix) // queries before the keys do not see them
				tile += max(0, from - begin) / QUERIES * QUERIES;
		}
	}
};

DEVICE void copy4(unsigned to, const float *from, bool there) {
	asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(there ? 4 : 0) : "memory");
}
DEVICE float shared_float(unsigned at) {
	float r;
	asm volatile("ld.shared.f32 %0, [%1];" : "=f"(r) : "r"(at) : "memory");
	return r;
}
