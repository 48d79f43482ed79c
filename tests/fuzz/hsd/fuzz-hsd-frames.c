// SPDX-License-Identifier: GPL-2.0-or-later
/* Decrypted 1-RTT payloads of an authenticated but hostile peer, and a set of packet numbers. */
#include <stdlib.h>
#include <string.h>
#include "frames.h"
#include "ranges.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_ack(void *arg, uint64_t largest)
{
	hs_ranges_add(arg, largest);
}

static void on_cid(void *arg, const struct hs_frame_cid *cid)
{
	uint8_t copy[20 + 16];

	if (cid->id_len < 1 || cid->id_len > 20)
		abort();
	memcpy(copy, cid->id, cid->id_len);
	memcpy(copy + cid->id_len, cid->token, 16);
	hs_ranges_add(arg, cid->seq);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hs_ranges ranges = { 0 };
	struct hs_frame_sink sink = { .ack = on_ack, .new_cid = on_cid, .arg = &ranges };
	size_t i;

	hs_frames_walk(data, size, &sink);
	/* The same bytes as packet numbers: the set stays ordered. */
	for (i = 0; i < size; i++)
		hs_ranges_add(&ranges, data[i]);
	for (i = 1; i < ranges.n; i++) {
		if (ranges.r[i].last + 1 >= ranges.r[i - 1].first)
			abort();
	}
	return 0;
}
