// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Frames of Initial packets that do open: the input is a sequence of (length 2, frames), each sealed
 * by us. Behind the AEAD, where a fuzzer would never get: frame parsing and reassembly.
 */
#include <string.h>

#include "fuzz-hsd.h"
#include "hsd-test.h"
#include "initial.h"

#define PAYLOAD_MAX 1900

static void check(const struct hs_reassembly *r)
{
	promise(r->n_pieces <= HS_CH_PIECES);
	for (unsigned int i = 0; i < r->n_pieces; i++) {
		promise(r->pieces[i].first < r->pieces[i].end && r->pieces[i].end <= HS_CH_MAX);
		promise(!i || r->pieces[i - 1].end < r->pieces[i].first);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t *const cid = (const uint8_t *)FUZZ_CID;
	const struct t_initial p = { .dcid = cid, .dcid_len = 20, .pn_len = 1 };
	uint8_t packet[PAYLOAD_MAX + 100];
	struct hs_reassembly r = { 0 }, old;
	size_t ch_len = 0;

	for (int n = 0; size >= 2 && n < 16; n++) {
		const size_t want = ((size_t)data[0] << 8 | data[1]) % PAYLOAD_MAX;
		const size_t len = want < size - 2 ? want : size - 2;
		const size_t sealed = t_seal_initial(packet, sizeof(packet), &p, data + 2, len);
		enum hs_initial_result result;

		old = r;
		result = hs_initial_feed(&r, packet, sealed, cid, 20, &ch_len);
		check(&r);
		/* Bytes that were there never change. */
		for (unsigned int i = 0; i < old.n_pieces; i++)
			promise(!memcmp(old.data + old.pieces[i].first,
					r.data + old.pieces[i].first,
					old.pieces[i].end - old.pieces[i].first));
		if (result == HS_INITIAL_COMPLETE)
			promise(r.n_pieces == 1 && r.pieces[0].end == ch_len);
		if (result == HS_INITIAL_BAD)
			break;
		data += 2 + len;
		size -= 2 + len;
	}
	return 0;
}
