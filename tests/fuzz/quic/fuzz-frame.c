// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The frame parser over arbitrary bytes: it must stop, stay inside, and describe what it took.
 */
#include "engine.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

static void check_ack(const struct nq_ack_frame *a)
{
	struct nq_ack_iter it = { 0 };
	u64 n = 0, below = 0;
	struct nq_range r;

	while (nq_ack_next(a, &it, &r)) {
		if (r.first > r.last || (n && r.last + 1 >= below))
			abort();
		below = r.first;
		n++;
	}
	if (n != a->n_ranges + 1)
		abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	const u8 *p = data, *end = data + len;
	struct nq_frame f;

	while (p < end) {
		if (nq_frame_parse(p, end, &f))
			return 0;
		if (!f.len || f.len > (u64)(end - p))
			abort();
		if (f.type == NQ_FRAME_ACK || f.type == NQ_FRAME_ACK_ECN)
			check_ack(&f.ack);
		if ((f.type & ~1) == NQ_FRAME_DATAGRAM && f.datagram.data + f.datagram.len > end)
			abort();
		p += f.len;
	}
	return 0;
}
