// SPDX-License-Identifier: GPL-2.0-or-later
/* Reader of decrypted 1-RTT payloads (RFC 9000 19, RFC 9221 4), see frames.h. */
#include <errno.h>
#include <stdbool.h>
#include "frames.h"

struct reader {
	const uint8_t *p, *end;
	bool bad;
};

static uint64_t get_varint(struct reader *r)
{
	size_t len, i;
	uint64_t v;

	if (r->p == r->end) {
		r->bad = true;
		return 0;
	}
	len = (size_t)1 << (r->p[0] >> 6);
	if ((size_t)(r->end - r->p) < len) {
		r->bad = true;
		return 0;
	}
	v = r->p[0] & 0x3f;
	for (i = 1; i < len; i++)
		v = v << 8 | r->p[i];
	r->p += len;
	return v;
}

static const uint8_t *get_bytes(struct reader *r, uint64_t len)
{
	const uint8_t *at = r->p;

	if (r->bad || (uint64_t)(r->end - r->p) < len) {
		r->bad = true;
		return NULL;
	}
	r->p += len;
	return at;
}

static void skip_varints(struct reader *r, unsigned int n)
{
	while (n-- > 0 && !r->bad)
		get_varint(r);
}

static void read_ack(struct reader *r, bool ecn, const struct hs_frame_sink *sink)
{
	uint64_t largest = get_varint(r), n;

	get_varint(r);
	for (n = get_varint(r); n > 0 && !r->bad; n--)
		skip_varints(r, 2);
	get_varint(r);
	if (ecn)
		skip_varints(r, 3);
	if (!r->bad)
		sink->ack(sink->arg, largest);
}

static void read_new_cid(struct reader *r, const struct hs_frame_sink *sink)
{
	struct hs_frame_cid cid;
	const uint8_t *len;

	cid.seq = get_varint(r);
	cid.retire_prior_to = get_varint(r);
	len = get_bytes(r, 1);
	if (r->bad || *len < 1 || *len > 20) {
		r->bad = true;
		return;
	}
	cid.id_len = *len;
	cid.id = get_bytes(r, cid.id_len);
	cid.token = get_bytes(r, 16);
	if (!r->bad)
		sink->new_cid(sink->arg, &cid);
}

/* STREAM (0x08-0x0f) and DATAGRAM (0x30, 0x31): without a length they end the packet. */
static void skip_data(struct reader *r, bool has_len)
{
	uint64_t len = has_len ? get_varint(r) : (uint64_t)(r->end - r->p);

	get_bytes(r, len);
}

static void read_frame(struct reader *r, uint64_t type, const struct hs_frame_sink *sink)
{
	switch (type) {
	case 0x00: /* PADDING */
	case 0x01: /* PING */
	case 0x1e: /* HANDSHAKE_DONE */
		break;
	case 0x02:
	case 0x03:
		read_ack(r, type == 0x03, sink);
		break;
	case 0x04: /* RESET_STREAM */
		skip_varints(r, 3);
		break;
	case 0x05: /* STOP_SENDING */
	case 0x11: /* MAX_STREAM_DATA */
	case 0x15: /* STREAM_DATA_BLOCKED */
		skip_varints(r, 2);
		break;
	case 0x06: /* CRYPTO */
		get_varint(r);
		skip_data(r, true);
		break;
	case 0x07: /* NEW_TOKEN */
		skip_data(r, true);
		break;
	case 0x10: /* MAX_DATA, MAX_STREAMS, DATA_BLOCKED, STREAMS_BLOCKED, RETIRE_CONNECTION_ID */
	case 0x12:
	case 0x13:
	case 0x14:
	case 0x16:
	case 0x17:
	case 0x19:
		get_varint(r);
		break;
	case 0x18:
		read_new_cid(r, sink);
		break;
	case 0x1a: /* PATH_CHALLENGE, PATH_RESPONSE */
	case 0x1b:
		get_bytes(r, 8);
		break;
	case 0x1c: /* CONNECTION_CLOSE: nothing of interest follows */
	case 0x1d:
		r->p = r->end;
		break;
	case 0x30:
	case 0x31:
		skip_data(r, type & 1);
		break;
	default:
		if (type < 0x08 || type > 0x0f) {
			r->bad = true;
			break;
		}
		skip_varints(r, type & 4 ? 2 : 1); /* stream, offset */
		skip_data(r, type & 2);
	}
}

int hs_frames_walk(const uint8_t *data, size_t len, const struct hs_frame_sink *sink)
{
	struct reader r = { .p = data, .end = data + len };

	while (r.p < r.end && !r.bad)
		read_frame(&r, get_varint(&r), sink);
	return r.bad ? -EBADMSG : 0;
}
