// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * alter-initial: what someone on the path can do with a captured Initial. Every line of hexadecimal
 * digits on stdin is a client's datagram; the first with a whole ClientHello comes out again with
 * another X25519 key share, random and connection IDs as they were, properly sealed.
 */
#include <stdio.h>
#include <string.h>

#include "hsd-test.h"
#include "initial.h"

#define DATAGRAM_MAX 2048

static size_t unhex(const char *line, uint8_t *out)
{
	size_t n = 0;
	unsigned int byte;

	for (; n < DATAGRAM_MAX && sscanf(line, "%2x", &byte) == 1; line += 2)
		out[n++] = (uint8_t)byte;
	return n;
}

/* The group's number and the share's length, then the share. */
static int change_share(uint8_t *hello, size_t len)
{
	static const uint8_t mark[4] = { 0x00, 0x1d, 0x00, 0x20 };
	uint8_t *share = memmem(hello, len, mark, sizeof(mark));

	if (!share || share + sizeof(mark) + 32 > hello + len)
		return -1;
	share[sizeof(mark)] ^= 1;
	return 0;
}

static int alter(const uint8_t *data, size_t len)
{
	static struct hs_reassembly r;
	static uint8_t payload[HS_CH_MAX + 64], out[HS_CH_MAX + 256];
	struct hs_long_header h;
	struct t_initial p = { .pn = 0, .pn_len = 4 };
	size_t ch_len, n;

	memset(&r, 0, sizeof(r));
	memset(payload, 0, sizeof(payload));
	if (hs_long_header_parse(data, len, &h) < 0 || h.type != 0 ||
	    hs_initial_feed(&r, data, len, h.dcid, h.dcid_len, &ch_len) != HS_INITIAL_COMPLETE ||
	    change_share(r.data, ch_len) < 0)
		return -1;
	p.dcid = h.dcid;
	p.dcid_len = h.dcid_len;
	p.scid = h.scid;
	p.scid_len = h.scid_len;
	n = t_crypto_frame(payload, 0, r.data, ch_len);
	/* PADDING, so that the datagram is as large as it was. */
	if (n < 1134)
		n = 1134;
	n = t_seal_initial(out, sizeof(out), &p, payload, n);
	for (size_t i = 0; i < n; i++)
		printf("%02x", out[i]);
	printf("\n");
	return 0;
}

int main(void)
{
	static char line[2 * DATAGRAM_MAX + 2];
	static uint8_t data[DATAGRAM_MAX];

	while (fgets(line, sizeof(line), stdin)) {
		if (alter(data, unhex(line, data)) == 0)
			return 0;
	}
	fprintf(stderr, "alter-initial: no Initial with a whole ClientHello\n");
	return 1;
}
