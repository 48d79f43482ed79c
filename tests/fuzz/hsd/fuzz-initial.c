// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Raw datagrams: a sequence of (length 2, bytes), as they would come from the network, through the
 * long-header parser and the Initial opener with the keys of the first datagram's DCID.
 */
#include <string.h>

#include "fuzz-hsd.h"
#include "initial.h"

static void check_header(const uint8_t *data, size_t len, const struct hs_long_header *h, int err)
{
	if (err)
		return;
	promise(h->packet_len > 0 && h->packet_len <= len && h->pn_offset <= h->packet_len);
	promise(h->dcid_len <= 20 && h->scid_len <= 20);
	promise(h->dcid + h->dcid_len <= data + len && h->scid + h->scid_len <= data + len);
	promise(!h->token || h->token + h->token_len <= data + len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hs_reassembly r = { 0 };
	size_t dcid_len = 0, ch_len = 0;
	uint8_t dcid[20];

	for (int n = 0; size >= 2 && n < 8; n++) {
		const size_t want = (size_t)data[0] << 8 | data[1];
		const size_t len = want < size - 2 ? want : size - 2;
		struct hs_long_header h;
		uint8_t *exact = malloc(len + !len);
		int err;

		promise(exact != NULL);
		memcpy(exact, data + 2, len);
		err = hs_long_header_parse(exact, len, &h);
		check_header(exact, len, &h, err);
		if (!err && !n) {
			dcid_len = h.dcid_len;
			memcpy(dcid, h.dcid, dcid_len);
		}
		if (hs_initial_feed(&r, exact, len, dcid, dcid_len, &ch_len) == HS_INITIAL_COMPLETE)
			promise(ch_len >= 4 && ch_len <= HS_CH_MAX);
		free(exact);
		data += 2 + len;
		size -= 2 + len;
	}
	return 0;
}
