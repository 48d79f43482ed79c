// SPDX-License-Identifier: GPL-2.0-only
/*
 * Receiving a burst: unmask headers, open runs of packets with one key; then, packet by packet,
 * refuse duplicates and act on frames.
 *
 * The first half, nq_open(), works with keys of a moment and changes packets only; the second,
 * nq_rx_accept(), knows what has happened meanwhile. Until a packet has opened, it changes counters
 * and nothing else. Packet numbers are decoded against the largest number received before that
 * moment: a sender leaves room for twice what is unacknowledged, and nothing of the burst is
 * acknowledged yet.
 */
#include "conn.h"

/* The stack holds this many AEAD operations and masks at a time: a kernel's is small. */
#define OPEN_CHUNK 8
#define MASK_CHUNK 16
#define STATELESS_RESET_MIN 21

/* Between the halves, in place of an enum nq_rx_status: never seen by a caller of nq_rx_open(). */
enum rx_stage {
	RX_NO_SAMPLE = 0xe0,
	RX_LONG_HEADER,
	RX_NO_FIXED_BIT,
	RX_BAD_NUMBER,
	RX_PENDING, /* unmasked, not yet opened */
	RX_OPENED = 0xf0, /* + enum nq_rx_key */
	RX_REFUSED = 0xf8, /* + enum nq_rx_key */
};

/* ---- headers ---- */

static bool header_plausible(const struct nq_opener *o, struct nq_rx_pkt *pkt)
{
	pkt->pn = 0;
	if (pkt->len < 1u + o->cid_len + 4 + NQ_HP_SAMPLE_LEN)
		pkt->status = RX_NO_SAMPLE;
	else if (pkt->data[0] & 0x80)
		pkt->status = RX_LONG_HEADER;
	else if (!(pkt->data[0] & 0x40))
		pkt->status = RX_NO_FIXED_BIT;
	else
		return true;
	return false;
}

static void decode_pn(const struct nq_opener *o, struct nq_rx_pkt *pkt, const u8 *mask)
{
	u8 *p = pkt->data + 1 + o->cid_len;
	u32 i, bytes, truncated = 0;

	pkt->data[0] ^= mask[0] & 0x1f;
	bytes = (pkt->data[0] & 3) + 1;
	for (i = 0; i < bytes; i++) {
		p[i] ^= mask[1 + i];
		truncated = truncated << 8 | p[i];
	}
	pkt->pn = nq_pn_decode(o->window_end, truncated, bytes);
	pkt->status = likely(pkt->pn <= NQ_PN_MAX) ? RX_PENDING : RX_BAD_NUMBER;
}

static void unmask(const struct nq_opener *o, struct nq_rx_pkt *pkts, unsigned int n)
{
	u8 masks[MASK_CHUNK][NQ_HP_MASK_LEN];
	const u8 *samples[MASK_CHUNK];
	u8 index[MASK_CHUNK];
	unsigned int i, m = 0;

	for (i = 0; i < n; i++) {
		if (!header_plausible(o, &pkts[i]))
			continue;
		samples[m] = pkts[i].data + 1 + o->cid_len + 4;
		index[m++] = (u8)i;
	}
	if (m)
		o->crypto->hp_mask(o->hp, samples, masks, m);
	for (i = 0; i < m; i++)
		decode_pn(o, &pkts[index[i]], masks[i]);
}

/* ---- opening ---- */

static u32 header_len(u32 cid_len, const struct nq_rx_pkt *pkt)
{
	return 1 + cid_len + (pkt->data[0] & 3) + 1;
}

/* Open the pending packets of @pkts[0..n) as far as one key does. Returns how far that was. */
static unsigned int open_run(const struct nq_opener *o, struct nq_rx_pkt *pkts, unsigned int n)
{
	enum nq_rx_key key = NQ_RX_KEY_CURRENT, k;
	struct nq_aead_op ops[OPEN_CHUNK], *op;
	struct nq_rx_pkt *of[OPEN_CHUNK], *pkt;
	unsigned int i, j, m = 0;
	u32 hdr_len;

	for (i = 0; i < n && m < OPEN_CHUNK; i++) {
		pkt = &pkts[i];
		if (unlikely(pkt->status != RX_PENDING))
			continue;
		k = nq_keys_select(o, pkt->data[0] & 0x04, pkt->pn);
		if (unlikely(m && k != key))
			break;
		key = k;
		hdr_len = header_len(o->cid_len, pkt);
		op = &ops[m];
		nq_nonce(op->nonce, o->keys[key]->iv, pkt->pn);
		op->aad = pkt->data;
		op->aad_len = hdr_len;
		op->text = pkt->data + hdr_len;
		op->text_len = pkt->len - hdr_len - NQ_TAG_LEN;
		op->status = -EBADMSG;
		of[m++] = pkt;
	}
	if (likely(m && o->keys[key]->valid))
		o->crypto->open(o->keys[key]->ctx, ops, m);
	for (j = 0; j < m; j++)
		of[j]->status = (unlikely(ops[j].status) ? RX_REFUSED : RX_OPENED) + key;
	return i;
}

/* As things are now: it is good until they change. */
static void make_opener(struct nq_conn *c, struct nq_opener *o)
{
	o->crypto = c->crypto;
	o->keys[NQ_RX_KEY_PREVIOUS] = &c->keys.rx_prev;
	o->keys[NQ_RX_KEY_CURRENT] = &c->keys.rx;
	o->keys[NQ_RX_KEY_NEXT] = &c->keys.rx_next;
	o->hp = c->keys.rx_hp;
	o->window_end = c->ack.window.end;
	o->first_pn = c->keys.rx_first_pn;
	o->rotations = c->keys.rotations;
	o->cid_len = c->cids.local_len;
	o->phase = c->keys.phase;
	o->seen = c->keys.rx_seen;
}

void nq_rx_lend(struct nq_conn *c, struct nq_opener *o)
{
	unsigned int i;

	make_opener(c, o);
	for (i = 0; i < NQ_RX_KEYS; i++) {
		o->own[i] = *o->keys[i];
		if (o->own[i].valid)
			o->own[i].ctx = c->crypto->lend(o->own[i].ctx);
		o->keys[i] = &o->own[i];
	}
	o->hp = c->crypto->lend(o->hp);
}

void nq_opener_wipe(struct nq_opener *o)
{
	nq_memzero(o->own, sizeof(o->own));
}

static void make_ready(const struct nq_opener *o)
{
	unsigned int i;

	for (i = 0; i < NQ_RX_KEYS; i++)
		if (o->keys[i]->valid)
			o->crypto->ready(o->keys[i]->ctx);
}

void nq_open(const struct nq_opener *o, struct nq_rx_pkt *pkts, unsigned int n)
{
	unsigned int i;

	if (o->crypto->ready)
		make_ready(o);
	for (i = 0; i < n; i += MASK_CHUNK)
		unmask(o, pkts + i, (unsigned int)nq_min(n - i, MASK_CHUNK));
	for (i = 0; i < n;)
		i += open_run(o, pkts + i, n - i);
}

/* ---- duplicates ---- */

/*
 * Asked only about packets that opened: to drop a duplicate sooner would show by its timing that a
 * number was received, and so what header protection hides (RFC 9001 9.5).
 */
static bool refuse_seen(struct nq_conn *c, struct nq_rx_pkt *pkt)
{
	switch (nq_window_check(&c->ack.window, pkt->pn)) {
	case NQ_WINDOW_NEW:
		return false;
	case NQ_WINDOW_SEEN:
		pkt->status = NQ_RX_DUPLICATE;
		c->stats.duplicates++;
		break;
	default:
		pkt->status = NQ_RX_OLD;
		c->stats.replay_window_drops++;
	}
	c->events |= NQ_EV_DUPLICATE;
	return true;
}

/* ---- opened packets ---- */

static void on_bad_header(struct nq_conn *c, struct nq_rx_pkt *pkt, u64 now_us)
{
	u8 stage = pkt->status;

	pkt->status = stage == RX_NO_SAMPLE || stage == RX_LONG_HEADER ? NQ_RX_TOO_SHORT
								       : NQ_RX_BAD_HEADER;
	if (stage == RX_BAD_NUMBER)
		c->stats.pn_failures++;
	else
		c->stats.header_failures++;
	if (stage == RX_NO_SAMPLE && pkt->len >= STATELESS_RESET_MIN && !(pkt->data[0] & 0x80))
		nq_check_stateless_reset(c, pkt->data + pkt->len - NQ_RESET_TOKEN_LEN, now_us);
}

static void on_failed(struct nq_conn *c, struct nq_rx_pkt *pkt, u64 now_us)
{
	if (pkt->status == RX_REFUSED + NQ_RX_KEY_NEXT)
		c->stats.key_update_failures++;
	pkt->status = NQ_RX_AEAD;
	nq_keys_on_failed(c, now_us);
	nq_check_stateless_reset(c, pkt->data + pkt->len - NQ_RESET_TOKEN_LEN, now_us);
}

static void on_opened(struct nq_conn *c, struct nq_rx_pkt *pkt, struct nq_rx_sink *sink, u64 now_us)
{
	struct nq_rx_meta meta = { .pn = pkt->pn, .ecn = pkt->ecn & 3 };
	bool watched = pkt->path != c->paths.quiet, newest = pkt->pn >= c->ack.window.end;
	u32 hdr_len = header_len(c->cids.local_len, pkt);
	u64 error;

	if (unlikely(watched) && !nq_path_enter(c, pkt, pkt->data + 1, now_us)) {
		pkt->status = NQ_RX_PATH;
		return;
	}
	pkt->status = NQ_RX_OK;
	sink->dcid = pkt->data + 1;
	sink->path = pkt->path;
	sink->responses = 0;
	sink->eliciting = false;
	sink->unreportable = false;
	sink->non_probing = false;
	nq_window_add(&c->ack.window, pkt->pn);
	c->stats.rx_packets++;
	c->stats.rx_bytes += pkt->len;
	c->stats.last_rx_us = now_us;
	c->idle_from_us = now_us;
	c->idle_restarted = false;
	if (unlikely(pkt->data[0] & 0x18)) {
		pkt->status = NQ_RX_BAD_HEADER;
		c->stats.header_failures++;
		nq_conn_error(c, NQ_CLOSE_PROTOCOL, NQ_PROTOCOL_VIOLATION, "reserved bits", now_us);
		return;
	}
	error = nq_rx_frames(c, pkt->data + hdr_len, pkt->data + pkt->len - NQ_TAG_LEN, sink,
			     now_us);
	if (unlikely(error)) {
		pkt->status = NQ_RX_FRAME;
		c->stats.frame_errors++;
		nq_conn_error(c, NQ_CLOSE_PROTOCOL, error, "bad frame", now_us);
		return;
	}
	meta.eliciting = sink->eliciting;
	if (likely(!sink->unreportable))
		nq_ack_on_received(c, &meta, now_us);
	if (unlikely(watched))
		nq_path_settle(c, pkt->path, newest && sink->non_probing, now_us);
}

/* A packet that has opened with what is @key now. */
static void accept_opened(struct nq_conn *c, struct nq_rx_pkt *pkt, enum nq_rx_key key,
			  struct nq_rx_sink *sink, u64 now_us)
{
	/* The key was current when it was lent, two updates ago. */
	if (unlikely(key == NQ_RX_KEYS || (key == NQ_RX_KEY_PREVIOUS && !c->keys.rx_prev.valid))) {
		pkt->status = NQ_RX_OLD;
		c->stats.replay_window_drops++;
		return;
	}
	if (unlikely(refuse_seen(c, pkt)))
		return;
	if (unlikely(key == NQ_RX_KEY_NEXT) && !nq_keys_follow(c, now_us)) {
		pkt->status = NQ_RX_BAD_HEADER;
		c->stats.key_update_failures++;
		return;
	}
	if (likely(key != NQ_RX_KEY_PREVIOUS))
		nq_keys_on_opened(c, pkt->pn, now_us);
	on_opened(c, pkt, sink, now_us);
}

static void accept(struct nq_conn *c, const struct nq_opener *o, struct nq_rx_pkt *pkt,
		   struct nq_rx_sink *sink, u64 now_us)
{
	if (unlikely(pkt->status < RX_OPENED))
		on_bad_header(c, pkt, now_us);
	else if (unlikely(pkt->status >= RX_REFUSED))
		on_failed(c, pkt, now_us);
	else
		accept_opened(c, pkt, nq_keys_now(c, o, pkt->status - RX_OPENED), sink, now_us);
}

unsigned int nq_rx_accept(struct nq_conn *c, const struct nq_opener *o, struct nq_rx_pkt *pkts,
			  unsigned int n, struct nq_rx_datagram *datagrams, unsigned int cap,
			  unsigned int *n_datagrams, u64 now_us)
{
	struct nq_rx_sink sink = { .datagrams = datagrams, .cap = cap };
	unsigned int i;

	/* One DATAGRAM in each, as our own ends have it, finds room. */
	n = (unsigned int)nq_min(n, cap);
	for (i = 0; i < n && c->state == NQ_ACTIVE; i++) {
		sink.pkt = i;
		accept(c, o, &pkts[i], &sink, now_us);
	}
	if (i < n)
		nq_close_on_received(c, n - i);
	for (; i < n; i++)
		pkts[i].status = NQ_RX_CLOSED;
	*n_datagrams = sink.n;
	return n;
}

unsigned int nq_rx_open(struct nq_conn *c, struct nq_rx_pkt *pkts, unsigned int n,
			struct nq_rx_datagram *datagrams, unsigned int cap,
			unsigned int *n_datagrams, u64 now_us)
{
	struct nq_opener o;

	n = (unsigned int)nq_min(nq_min(n, NQ_BURST_MAX), cap);
	make_opener(c, &o);
	if (c->state == NQ_ACTIVE)
		nq_open(&o, pkts, n);
	return nq_rx_accept(c, &o, pkts, n, datagrams, cap, n_datagrams, now_us);
}
