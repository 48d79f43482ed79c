// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory for packets in flight. Every session starts with the smallest ring, part of its
 * connection's block, and is given a larger one when its window asks for it. What all of them have
 * been given is bounded: beyond that a session goes on with the window it has.
 */
#include <stdlib.h>

#include "dp.h"

void dp_ring_grow(struct dp *dp, struct dp_session *s, u32 packets)
{
	size_t bytes = nq_ring_bytes(packets);
	void *mem;

	if (dp->ring_bytes - s->ring_bytes + bytes > DP_RINGS_MAX_BYTES)
		return;
	mem = calloc(1, bytes);
	if (!mem)
		return;
	if (nq_conn_grow(s->conn, mem, packets)) {
		free(mem);
		return;
	}
	dp_ring_free(dp, s);
	s->ring_mem = mem;
	s->ring_bytes = bytes;
	dp->ring_bytes += bytes;
}

void dp_ring_free(struct dp *dp, struct dp_session *s)
{
	dp->ring_bytes -= s->ring_bytes;
	free(s->ring_mem);
	s->ring_mem = NULL;
	s->ring_bytes = 0;
}
