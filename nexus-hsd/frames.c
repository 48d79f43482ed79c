// SPDX-License-Identifier: GPL-2.0-or-later
/* Reader of decrypted payloads (RFC 9000 19, RFC 9221 4), see frames.h. */
#include <errno.h>
#include "frames.h"

#define STREAM_OFF 0x04
#define STREAM_LEN 0x02
#define RESET_TOKEN_LEN 16

static void skip_varints(struct hs_reader *r, unsigned int n)
{
	while (n-- > 0 && !r->bad)
		hs_read_varint(r);
}

static void read_ack(struct hs_reader *r, bool ecn, const struct hs_frame_sink *sink)
{
	uint64_t largest = hs_read_varint(r), n;

	hs_read_varint(r); /* delay */
	n = hs_read_varint(r);
	hs_read_varint(r); /* first range */
	for (; n > 0 && !r->bad; n--)
		skip_varints(r, 2);
	if (ecn)
		skip_varints(r, 3);
	if (!r->bad && sink)
		sink->ack(sink->arg, largest);
}

static void read_new_cid(struct hs_reader *r, const struct hs_frame_sink *sink)
{
	struct hs_frame_cid cid;

	cid.seq = hs_read_varint(r);
	cid.retire_prior_to = hs_read_varint(r);
	cid.id_len = hs_read_be(r, 1);
	if (cid.id_len < 1 || cid.id_len > 20)
		r->bad = true;
	cid.id = hs_read(r, cid.id_len);
	cid.token = hs_read(r, RESET_TOKEN_LEN);
	if (!r->bad && sink)
		sink->new_cid(sink->arg, &cid);
}

/* Of STREAM and DATAGRAM: without a length they end the packet. */
static void skip_data(struct hs_reader *r, bool has_len)
{
	hs_read(r, has_len ? hs_read_varint(r) : r->left);
}

static void skip_close(struct hs_reader *r, bool app)
{
	skip_varints(r, app ? 1 : 2); /* error, frame type */
	skip_data(r, true); /* reason */
}

static void skip_stream(struct hs_reader *r, uint64_t type)
{
	hs_read_varint(r); /* ID */
	if (type & STREAM_OFF)
		hs_read_varint(r);
	skip_data(r, type & STREAM_LEN);
}

void hs_frame_read(struct hs_reader *r, const struct hs_frame_sink *sink)
{
	const uint64_t type = hs_read_varint(r);

	switch (type) {
	case HS_FRAME_PADDING:
	case HS_FRAME_PING:
	case 0x1e: /* HANDSHAKE_DONE */
		break;
	case HS_FRAME_ACK:
	case HS_FRAME_ACK_ECN:
		read_ack(r, type == HS_FRAME_ACK_ECN, sink);
		break;
	case 0x04: /* RESET_STREAM */
		skip_varints(r, 3);
		break;
	case 0x05: /* STOP_SENDING */
	case 0x11: /* MAX_STREAM_DATA */
	case 0x15: /* STREAM_DATA_BLOCKED */
		skip_varints(r, 2);
		break;
	case HS_FRAME_CRYPTO:
		hs_read_varint(r); /* offset */
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
		hs_read_varint(r);
		break;
	case HS_FRAME_NEW_CONNECTION_ID:
		read_new_cid(r, sink);
		break;
	case 0x1a: /* PATH_CHALLENGE, PATH_RESPONSE */
	case 0x1b:
		hs_read(r, 8);
		break;
	case HS_FRAME_CLOSE:
	case HS_FRAME_CLOSE_APP:
		skip_close(r, type == HS_FRAME_CLOSE_APP);
		break;
	case HS_FRAME_DATAGRAM:
	case HS_FRAME_DATAGRAM_LEN:
		skip_data(r, type == HS_FRAME_DATAGRAM_LEN);
		break;
	default:
		if (type >= HS_FRAME_STREAM && type < HS_FRAME_STREAM + 8)
			skip_stream(r, type);
		else
			r->bad = true;
	}
}

int hs_frames_walk(const uint8_t *data, size_t len, const struct hs_frame_sink *sink)
{
	struct hs_reader r = hs_reader(data, len);

	while (r.left && !r.bad)
		hs_frame_read(&r, sink);
	return r.bad ? -EBADMSG : 0;
}
