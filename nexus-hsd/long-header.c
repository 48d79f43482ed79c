// SPDX-License-Identifier: GPL-2.0-or-later
/* Long headers of QUIC (RFC 8999 5.1, RFC 9000 17.2), the unprotected part: see initial.h. Total. */
#include <errno.h>
#include <string.h>

#include "initial.h"
#include "reader.h"

#define FORM_LONG 0x80
#define FIXED_BIT 0x40
#define CID_MAX_V1 20
#define RETRY_TAG_LEN 16

enum { TYPE_INITIAL, TYPE_0RTT, TYPE_HANDSHAKE, TYPE_RETRY };

static int parse_v1(struct hs_reader *r, size_t len, struct hs_long_header *h)
{
	uint64_t body_len;

	if (h->dcid_len > CID_MAX_V1 || h->scid_len > CID_MAX_V1)
		return -EBADMSG;
	if (h->type == TYPE_RETRY) {
		if (r->left < RETRY_TAG_LEN)
			return -EBADMSG;
		h->token_len = r->left - RETRY_TAG_LEN;
		h->token = hs_read(r, h->token_len);
		h->packet_len = len;
		return 0;
	}
	if (h->type == TYPE_INITIAL) {
		h->token_len = hs_read_varint(r);
		h->token = hs_read(r, h->token_len);
	}
	body_len = hs_read_varint(r);
	if (r->bad || body_len > r->left)
		return -EBADMSG;
	h->pn_offset = len - r->left;
	h->packet_len = h->pn_offset + body_len;
	return 0;
}

int hs_long_header_parse(const uint8_t *data, size_t len, struct hs_long_header *h)
{
	struct hs_reader r = hs_reader(data, len);
	uint8_t first;
	int err;

	memset(h, 0, sizeof(*h));
	first = (uint8_t)hs_read_be(&r, 1);
	h->version = (uint32_t)hs_read_be(&r, 4);
	h->dcid_len = hs_read_be(&r, 1);
	h->dcid = hs_read(&r, h->dcid_len);
	h->scid_len = hs_read_be(&r, 1);
	h->scid = hs_read(&r, h->scid_len);
	if (r.bad || !(first & FORM_LONG)) {
		memset(h, 0, sizeof(*h));
		return -EBADMSG;
	}
	if (h->version != 1)
		return -EPROTONOSUPPORT;
	h->type = first >> 4 & 3;
	err = first & FIXED_BIT ? parse_v1(&r, len, h) : -EBADMSG;
	if (err)
		memset(h, 0, sizeof(*h));
	return err;
}
