// SPDX-License-Identifier: GPL-2.0-only
/*
 * Acting on the frames of an opened packet. A DATAGRAM without a length, the usual whole content,
 * is taken before anything else is looked at.
 */
#include "conn.h"

/* A frame that is not ours goes up whole. Without room for it the packet stays unacknowledged, so
 * that the peer sends its content again.
 */
static void punt(struct nq_conn *c, const u8 *p, u32 len, struct nq_rx_sink *sink)
{
	u32 room = c->punt ? NQ_PUNT_BYTES - c->punt_len : 0;
	u8 *at = room ? c->punt + c->punt_len : NULL;

	if (nq_frame_open_ended(*p))
		len = nq_put_stream(at, room, p, len);
	else if (len <= room)
		memcpy(at, p, len);
	else
		len = 0;
	if (!len) {
		sink->unreportable = true;
		return;
	}
	c->punt_len += len;
	c->events |= NQ_EV_PUNT;
}

bool nq_lend_punt(struct nq_conn *c, void *mem)
{
	if (c->punt)
		return false;
	c->punt = mem;
	return true;
}

void *nq_take_punt(struct nq_conn *c, u32 *len)
{
	void *mem = c->punt;

	*len = c->punt_len;
	c->punt = NULL;
	c->punt_len = 0;
	return mem;
}

void *nq_take_unused_punt(struct nq_conn *c)
{
	u32 none;

	return c->punt_len ? NULL : nq_take_punt(c, &none);
}

static void deliver(struct nq_conn *c, u8 *data, u32 len, struct nq_rx_sink *sink)
{
	struct nq_rx_datagram *d;

	/* An unknown context (RFC 9297): not for us; what the caller has no room for is lost. */
	if (len < c->prefix_len || memcmp(data, c->prefix, c->prefix_len) || sink->n == sink->cap) {
		c->stats.datagram_drops++;
		return;
	}
	d = &sink->datagrams[sink->n++];
	d->data = data + c->prefix_len;
	d->len = len - c->prefix_len;
	d->pkt = sink->pkt;
	c->stats.datagram_rx++;
}

static u64 on_frame(struct nq_conn *c, u8 *p, const struct nq_frame *f, struct nq_rx_sink *sink,
		    u64 now_us)
{
	switch (f->type) {
	case NQ_FRAME_PADDING:
	case NQ_FRAME_PING:
		return 0;
	case NQ_FRAME_HANDSHAKE_DONE:
		return c->is_server ? NQ_PROTOCOL_VIOLATION : 0;
	case NQ_FRAME_ACK:
	case NQ_FRAME_ACK_ECN:
		c->stats.ack_rx++;
		return nq_loss_on_ack(c, &f->ack, now_us) ? NQ_PROTOCOL_VIOLATION : 0;
	case NQ_FRAME_NEW_CONNECTION_ID:
		return nq_cid_on_new(c, f);
	case NQ_FRAME_RETIRE_CONNECTION_ID:
		return nq_cid_on_retire(c, f->retire_seq, sink->dcid);
	case NQ_FRAME_PATH_CHALLENGE:
		nq_path_on_challenge(c, sink->path, f->path_data);
		return 0;
	case NQ_FRAME_PATH_RESPONSE:
		/* One that fits nothing answers a challenge of the time before the hand-over. To see
		 * that is dear: not more are looked at than there can be challenges.
		 */
		if (sink->responses++ < NQ_PATHS_MAX * NQ_PATH_TRIES)
			nq_path_on_response(c, f->path_data, now_us);
		return 0;
	case NQ_FRAME_CONNECTION_CLOSE:
	case NQ_FRAME_CONNECTION_CLOSE + 1:
		nq_close_on_peer(c, f, now_us);
		return 0;
	case NQ_FRAME_DATAGRAM:
	case NQ_FRAME_DATAGRAM + 1:
		deliver(c, p + (f->datagram.data - p), f->datagram.len, sink);
		return 0;
	default:
		/* RFC 9000 19.7: only a server sends tokens. */
		if (f->type == NQ_FRAME_NEW_TOKEN && c->is_server)
			return NQ_PROTOCOL_VIOLATION;
		punt(c, p, f->len, sink);
		return 0;
	}
}

u64 nq_rx_frames(struct nq_conn *c, u8 *p, u8 *end, struct nq_rx_sink *sink, u64 now_us)
{
	struct nq_frame f;
	u64 error;

	/* RFC 9000 12.4: a packet without frames is a violation. */
	if (p == end)
		return NQ_PROTOCOL_VIOLATION;
	if (likely(*p == NQ_FRAME_DATAGRAM)) {
		sink->eliciting = true;
		sink->non_probing = true;
		deliver(c, p + 1, (u32)(end - p) - 1, sink);
		return 0;
	}
	for (; p < end; p += f.len) {
		if (nq_frame_parse(p, end, &f))
			return f.error;
		sink->eliciting |= nq_frame_elicits_ack(f.type);
		sink->non_probing |= !nq_frame_probes(f.type);
		error = on_frame(c, p, &f, sink, now_us);
		if (error)
			return error;
	}
	return 0;
}
