// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the engine has to say itself: ACK, probes and PING, PATH_RESPONSE, connection IDs, frames
 * queued by the owner, CONNECTION_CLOSE. plan() alone decides what is due, so that
 * nq_tx_control_wanted() and nq_tx_control() never disagree.
 */
#include "conn.h"

enum say {
	SAY_ACK = 1 << 0,
	SAY_PATH = 1 << 1,
	SAY_CID = 1 << 2,
	SAY_OUT = 1 << 3,
	SAY_PING = 1 << 4,
	SAY_CLOSE = 1 << 5,
	SAY_MTU_PROBE = 1 << 6,
};

/* Credit for whatever a control packet may hold; with less only what is short. */
#define ROOM_FOR_ALL 512

static bool window_open(const struct nq_conn *c)
{
	return c->loss.bytes_in_flight + c->reserved_bytes + c->path_mtu <= c->cc.cwnd;
}

/* What asks for an acknowledgement and so is subject to congestion control and pacing. */
static u32 wanted_eliciting(const struct nq_conn *c)
{
	u64 room = nq_path_room(c, c->paths.active);
	u32 say = 0;

	if (room < NQ_PATH_ROOM_MIN)
		return 0;
	if (nq_path_wanted(c, c->paths.active))
		say |= SAY_PATH;
	if (nq_cid_wanted(c) && room >= ROOM_FOR_ALL)
		say |= SAY_CID;
	if (c->out_len && !c->out_sent && room >= ROOM_FOR_ALL)
		say |= SAY_OUT;
	if (c->ping_wanted || c->loss.probes)
		say |= SAY_PING;
	return say;
}

/* A path that is not the active one and has something to send, or NQ_PATH_NONE. */
static u8 other_path_wanted(const struct nq_conn *c)
{
	u8 i;

	for (i = 0; i < NQ_PATHS_MAX; i++) {
		if (i != c->paths.active && nq_path_wanted(c, i))
			return i;
	}
	return NQ_PATH_NONE;
}

static u32 plan(const struct nq_conn *c, u64 now_us)
{
	bool room = nq_path_room(c, c->paths.active) >= NQ_PATH_ROOM_MIN;
	u32 say;

	if (c->state == NQ_CLOSING)
		return c->close_wanted && room ? SAY_CLOSE : 0;
	if (c->state != NQ_ACTIVE || !room || !nq_ring_has_room(c, 1))
		return 0;
	say = wanted_eliciting(c);
	/* Probes are exempt (RFC 9002 7.5), and so are challenges: few, and timed. */
	if (say && !c->loss.probes &&
	    (!window_open(c) || !nq_pacer_ready(&c->pacer, c->path_mtu, now_us)))
		say = nq_path_challenges(c, c->paths.active) ? SAY_PATH : 0;
	if (nq_ack_due(c, now_us))
		say |= SAY_ACK | (!say && nq_ack_lonely(c) && window_open(c) ? SAY_PING : 0);
	return say;
}

bool nq_tx_control_wanted(const struct nq_conn *c, u64 now_us)
{
	return plan(c, now_us) != 0;
}

/* A packet of its own, and where it goes. */
static u32 plan_alone(const struct nq_conn *c, u64 now_us, u8 *path)
{
	bool probe = nq_mtu_probe_bytes(c), ready;

	*path = c->paths.active;
	if (likely(!c->paths.others && !probe))
		return 0;
	if (c->state != NQ_ACTIVE || !nq_ring_has_room(c, 1))
		return 0;
	ready = nq_pacer_ready(&c->pacer, c->path_mtu, now_us);
	if (probe && ready && window_open(c) && c->paths.p[*path].valid)
		return SAY_MTU_PROBE;
	*path = other_path_wanted(c);
	/* The congestion window is the active path's; the pacer serves all. */
	if (*path == NQ_PATH_NONE || (!ready && !nq_path_challenges(c, *path)))
		return 0;
	return SAY_PATH;
}

bool nq_tx_alone_wanted(const struct nq_conn *c, u64 now_us)
{
	u8 path;

	return plan_alone(c, now_us, &path);
}

u64 nq_control_timeout_us(const struct nq_conn *c)
{
	u32 say = wanted_eliciting(c);

	if (say & SAY_PATH && nq_path_challenges(c, c->paths.active))
		return 0;
	if (c->paths.others && other_path_wanted(c) != NQ_PATH_NONE)
		return nq_pacer_when(&c->pacer, 1, c->path_mtu);
	if (!say || !window_open(c))
		return NQ_TIME_NEVER;
	return nq_pacer_when(&c->pacer, 1, c->path_mtu);
}

int nq_tx_queue_frames(struct nq_conn *c, const u8 *frames, u32 len)
{
	const u8 *p, *end = frames + len;
	struct nq_frame f;

	if (len > NQ_OUT_BYTES)
		return -EMSGSIZE;
	for (p = frames; p < end; p += f.len) {
		if (nq_frame_parse(p, end, &f) || nq_frame_open_ended(f.type))
			return -EINVAL;
	}
	if (len > NQ_OUT_BYTES - c->out_len)
		return -ENOBUFS;
	memcpy(c->out + c->out_len, frames, len);
	c->out_len += len;
	return 0;
}

int nq_tx_queue_empty_datagram(struct nq_conn *c)
{
	u8 frame[2 + NQ_PREFIX_MAX_LEN];

	frame[0] = NQ_FRAME_DATAGRAM + 1;
	frame[1] = c->prefix_len;
	memcpy(frame + 2, c->prefix, c->prefix_len);
	return nq_tx_queue_frames(c, frame, 2 + c->prefix_len);
}

bool nq_tx_frames_pending(const struct nq_conn *c)
{
	return c->out_len;
}

void nq_out_on_acked(struct nq_conn *c, u64 pn)
{
	if (!c->out_sent || pn != c->out_pn)
		return;
	c->out_len -= c->out_sent;
	memmove(c->out, c->out + c->out_sent, c->out_len);
	c->out_sent = 0;
}

void nq_out_on_lost(struct nq_conn *c, u64 pn)
{
	if (pn == c->out_pn)
		c->out_sent = 0;
}

/* ---- building ---- */

struct draft {
	u8 *buf;
	u32 at, end; /* frames stand from hdr_len to at, and may reach to end */
	u8 flags;
	u8 path;
	u32 mark;
};

static void draft_ack(struct nq_conn *c, struct draft *d, u64 now_us)
{
	u32 len = nq_ack_write(c, d->buf + d->at, d->end - d->at, now_us);

	if (!len)
		return;
	d->at += len;
	d->flags |= NQ_SENT_HAS_ACK;
	d->mark = (u32)c->ack.ranges.r[0].last;
	nq_ack_on_sent(c);
}

/* RFC 9000 8.2: they travel in full-sized datagrams, if the credit allows it. */
static void draft_path(struct nq_conn *c, struct draft *d, u64 now_us)
{
	bool padded = d->end + 1 + NQ_TAG_LEN >= NQ_MIN_UDP_PAYLOAD;
	u32 len = nq_path_write(c, d->path, d->buf + d->at, d->end - d->at, padded, now_us);

	d->at += len;
	if (len)
		d->flags |= NQ_SENT_ELICITING;
}

static void draft_reliable(struct nq_conn *c, struct draft *d, u32 say, u64 pn)
{
	u32 len;

	if (say & SAY_CID) {
		len = nq_cid_write(c, d->buf + d->at, d->end - d->at, pn);
		d->at += len;
		if (len)
			d->flags |= NQ_SENT_ELICITING | NQ_SENT_RELIABLE;
	}
	if (say & SAY_OUT && d->end - d->at >= c->out_len) {
		memcpy(d->buf + d->at, c->out, c->out_len);
		d->at += c->out_len;
		c->out_sent = c->out_len;
		c->out_pn = pn;
		d->flags |= NQ_SENT_ELICITING | NQ_SENT_RELIABLE;
	}
}

static void draft_ping(struct nq_conn *c, struct draft *d)
{
	if (d->at < d->end)
		d->buf[d->at++] = NQ_FRAME_PING;
	d->flags |= NQ_SENT_ELICITING;
	c->ping_wanted = false;
}

static void draft_frames(struct nq_conn *c, struct draft *d, u32 say, u64 pn, u64 now_us)
{
	if (say & SAY_CLOSE) {
		d->at += nq_put_close(d->buf + d->at, d->end - d->at, c->close.application,
				      c->close.code, c->close.reason);
		c->close_wanted = false;
		return;
	}
	if (say & SAY_MTU_PROBE) {
		draft_ping(c, d);
		memset(d->buf + d->at, NQ_FRAME_PADDING, d->end - d->at);
		d->at = d->end;
		d->flags |= NQ_SENT_MTU_PROBE;
		nq_mtu_on_sent(c);
		return;
	}
	/* One byte stays free for the PING. */
	d->end--;
	if (say & SAY_ACK || (c->ack.eliciting && d->path == c->paths.active))
		draft_ack(c, d, now_us);
	if (say & SAY_PATH)
		draft_path(c, d, now_us);
	draft_reliable(c, d, say, pn);
	d->end++;
	if (say & SAY_PING)
		draft_ping(c, d);
	if (say & SAY_PATH) {
		while (d->at < d->end && d->at + NQ_TAG_LEN < NQ_MIN_UDP_PAYLOAD)
			d->buf[d->at++] = NQ_FRAME_PADDING;
	}
}

static void account(struct nq_conn *c, const struct draft *d, u64 pn, u32 bytes, u64 now_us)
{
	u8 flags = d->flags;

	c->stats.tx_packets++;
	c->stats.tx_bytes += bytes;
	/* Another path has timers of its own, and neither window nor round trip of this one. */
	if (d->path != c->paths.active) {
		nq_pacer_refill(&c->pacer, now_us);
		nq_pacer_spend(&c->pacer, bytes);
		nq_loss_on_sent(c, pn, bytes, 0, 0, now_us);
		return;
	}
	if (nq_tx_ecn(c) && !(flags & NQ_SENT_MTU_PROBE)) {
		flags |= NQ_SENT_ECT0;
		c->ecn.sent_ect0++;
	}
	if (!(flags & NQ_SENT_ELICITING)) {
		c->ack.lonely++;
		nq_loss_on_sent(c, pn, bytes, flags, d->mark, now_us);
		return;
	}
	c->ack.lonely = 0;
	if (c->loss.probes && !(flags & NQ_SENT_MTU_PROBE))
		c->loss.probes--;
	nq_loss_on_sent(c, pn, bytes, flags, d->mark, now_us);
	nq_pacer_refill(&c->pacer, now_us);
	nq_pacer_spend(&c->pacer, bytes);
}

/* The largest control packet that may go to @path. A path that is only probed is taken to carry
 * no more than what all do.
 */
static u32 packet_cap(const struct nq_conn *c, u8 path, u32 cap)
{
	u64 most = path == c->paths.active ? nq_packet_max(c) : NQ_MIN_UDP_PAYLOAD;

	return (u32)nq_min(cap, nq_min(most, nq_path_room(c, path)));
}

static int build(struct nq_conn *c, u32 say, u8 path, u8 *buf, u32 cap, u64 now_us)
{
	const struct nq_cid *dcid = path == c->paths.active ? &c->cids.remote[0]
							    : nq_cid_of_path(c, path);
	u32 hdr_len = 1 + dcid->len + NQ_PN_LEN;
	struct draft d = { .buf = buf, .at = hdr_len, .path = path };
	struct nq_tx_pkt pkt = { .buf = buf };
	u64 pn;
	int err;

	d.end = (say & SAY_MTU_PROBE ? cap : packet_cap(c, path, cap)) - NQ_TAG_LEN;
	/* A closing connection may have lost its room in the ring; it needs no record. */
	pn = say & SAY_CLOSE ? c->next_pn : nq_next_pn(c, now_us);
	draft_frames(c, &d, say, pn, now_us);
	if (d.at == hdr_len)
		return 0;
	nq_take_numbers(c, pn + 1);
	pkt.len = d.at;
	err = nq_seal_at(c, dcid, pn, &pkt, 1);
	if (err) {
		nq_sent_at(c, pn)->state = NQ_SENT_UNUSED;
		nq_cid_on_lost(c, pn);
		nq_out_on_lost(c, pn);
		return err;
	}
	nq_path_on_sent(c, path, pkt.len);
	if (!(say & SAY_CLOSE))
		account(c, &d, pn, pkt.len, now_us);
	nq_loss_make_room(c, now_us);
	return (int)pkt.len;
}

int nq_tx_control(struct nq_conn *c, u8 *buf, u32 cap, u64 now_us)
{
	u32 say;

	if (cap < NQ_MIN_UDP_PAYLOAD)
		return -EINVAL;
	if (!plan(c, now_us))
		return 0;
	nq_keys_before_control(c, now_us);
	say = plan(c, now_us);
	return say ? build(c, say, c->paths.active, buf, cap, now_us) : 0;
}

int nq_tx_alone(struct nq_conn *c, u8 *buf, u32 cap, u64 now_us, u8 *path)
{
	u32 say;

	if (cap < NQ_MIN_UDP_PAYLOAD)
		return -EINVAL;
	if (!plan_alone(c, now_us, path))
		return 0;
	nq_keys_before_control(c, now_us);
	say = plan_alone(c, now_us, path);
	if (!say)
		return 0;
	if (say & SAY_MTU_PROBE) {
		if (cap < nq_mtu_probe_bytes(c))
			return -EMSGSIZE;
		cap = nq_mtu_probe_bytes(c);
	}
	return build(c, say, *path, buf, cap, now_us);
}
