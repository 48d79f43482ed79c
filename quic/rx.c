// SPDX-License-Identifier: GPL-2.0-only
/*
 * Receiving a burst: unmask headers, open runs of packets with one key, refuse duplicates, act on
 * their frames.
 *
 * Until a packet has opened, it changes counters and nothing else. Packet numbers of a burst are
 * decoded against the largest number received before it: a sender leaves room for twice what is
 * unacknowledged, and nothing of the burst is acknowledged yet.
 */
#include "conn.h"

/* The stack holds this many AEAD operations and masks at a time: a kernel's is small. */
#define OPEN_CHUNK 8
#define MASK_CHUNK 16
/* Marks a packet whose header is unmasked and whose turn has not come; never seen by a caller. */
#define RX_PENDING 0xff
#define STATELESS_RESET_MIN 21

/* ---- headers ---- */

static bool header_plausible(struct nq_conn *c, struct nq_rx_pkt *pkt, u64 now_us)
{
	u32 sample_at = 1 + c->cids.local_len + 4;

	if (pkt->len < sample_at + NQ_HP_SAMPLE_LEN) {
		pkt->status = NQ_RX_TOO_SHORT;
		c->stats.header_failures++;
		if (pkt->len >= STATELESS_RESET_MIN && !(pkt->data[0] & 0x80))
			nq_check_stateless_reset(c, pkt->data + pkt->len - NQ_RESET_TOKEN_LEN,
						 now_us);
		return false;
	}
	/* A long header, or the fixed bit is missing. */
	if ((pkt->data[0] & 0xc0) != 0x40) {
		pkt->status = pkt->data[0] & 0x80 ? NQ_RX_TOO_SHORT : NQ_RX_BAD_HEADER;
		c->stats.header_failures++;
		return false;
	}
	return true;
}

static void decode_pn(struct nq_conn *c, struct nq_rx_pkt *pkt, const u8 *mask)
{
	u8 *p = pkt->data + 1 + c->cids.local_len;
	u32 i, bytes, truncated = 0;

	pkt->data[0] ^= mask[0] & 0x1f;
	bytes = (pkt->data[0] & 3) + 1;
	for (i = 0; i < bytes; i++) {
		p[i] ^= mask[1 + i];
		truncated = truncated << 8 | p[i];
	}
	pkt->pn = nq_pn_decode(c->ack.window.end, truncated, bytes);
	pkt->status = RX_PENDING;
	if (unlikely(pkt->pn > NQ_PN_MAX)) {
		pkt->status = NQ_RX_BAD_HEADER;
		c->stats.pn_failures++;
	}
}

static void unmask_chunk(struct nq_conn *c, struct nq_rx_pkt *pkts, unsigned int n, u64 now_us)
{
	u8 masks[MASK_CHUNK][NQ_HP_MASK_LEN];
	const u8 *samples[MASK_CHUNK];
	u8 index[MASK_CHUNK];
	unsigned int i, m = 0;

	for (i = 0; i < n; i++) {
		pkts[i].pn = 0;
		if (!header_plausible(c, &pkts[i], now_us))
			continue;
		samples[m] = pkts[i].data + 1 + c->cids.local_len + 4;
		index[m++] = (u8)i;
	}
	if (m)
		c->crypto->hp_mask(c->keys.rx_hp, samples, masks, m);
	for (i = 0; i < m; i++)
		decode_pn(c, &pkts[index[i]], masks[i]);
}

static void unmask(struct nq_conn *c, struct nq_rx_pkt *pkts, unsigned int n, u64 now_us)
{
	unsigned int i;

	for (i = 0; i < n; i += MASK_CHUNK)
		unmask_chunk(c, pkts + i, (unsigned int)nq_min(n - i, MASK_CHUNK), now_us);
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

static u32 header_len(const struct nq_conn *c, const struct nq_rx_pkt *pkt)
{
	return 1 + c->cids.local_len + (pkt->data[0] & 3) + 1;
}

static void on_failed(struct nq_conn *c, struct nq_rx_pkt *pkt, enum nq_rx_key key, u64 now_us)
{
	pkt->status = NQ_RX_AEAD;
	if (key == NQ_RX_KEY_NEXT)
		c->stats.key_update_failures++;
	nq_keys_on_failed(c, now_us);
	nq_check_stateless_reset(c, pkt->data + pkt->len - NQ_RESET_TOKEN_LEN, now_us);
}

static void on_opened(struct nq_conn *c, struct nq_rx_pkt *pkt, struct nq_rx_sink *sink, u64 now_us)
{
	struct nq_rx_meta meta = { .pn = pkt->pn, .ecn = pkt->ecn & 3 };
	bool watched = pkt->path != c->paths.quiet, newest = pkt->pn >= c->ack.window.end;
	u32 hdr_len = header_len(c, pkt);
	u64 error;

	if (unlikely(watched) && !nq_path_enter(c, pkt, pkt->data + 1, now_us)) {
		pkt->status = NQ_RX_PATH;
		return;
	}
	pkt->status = NQ_RX_OK;
	sink->dcid = pkt->data + 1;
	sink->path = pkt->path;
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

static const struct nq_keys *key_of(const struct nq_conn *c, enum nq_rx_key key)
{
	return key == NQ_RX_KEY_CURRENT	   ? &c->keys.rx
	       : key == NQ_RX_KEY_PREVIOUS ? &c->keys.rx_prev
					   : &c->keys.rx_next;
}

static void finish(struct nq_conn *c, struct nq_rx_pkt *pkt, enum nq_rx_key key, int status,
		   struct nq_rx_sink *sink, u64 now_us)
{
	if (unlikely(status)) {
		on_failed(c, pkt, key, now_us);
		return;
	}
	/* A frame before it in the run ended the connection. */
	if (unlikely(c->state != NQ_ACTIVE)) {
		pkt->status = NQ_RX_CLOSED;
		return;
	}
	if (unlikely(refuse_seen(c, pkt)))
		return;
	if (key == NQ_RX_KEY_NEXT && !nq_keys_follow(c, now_us)) {
		pkt->status = NQ_RX_BAD_HEADER;
		c->stats.key_update_failures++;
		return;
	}
	if (key != NQ_RX_KEY_PREVIOUS)
		nq_keys_on_opened(c, pkt->pn, now_us);
	on_opened(c, pkt, sink, now_us);
}

/* Open the pending packets of @pkts[0..n), all under @key; @sink->pkt is the index of the first. */
static void open_run(struct nq_conn *c, struct nq_rx_pkt *pkts, unsigned int n, enum nq_rx_key key,
		     struct nq_rx_sink *sink, u64 now_us)
{
	const struct nq_keys *keys = key_of(c, key);
	struct nq_aead_op ops[OPEN_CHUNK];
	unsigned int i, m = 0, base = sink->pkt;
	u32 hdr_len;

	for (i = 0; i < n; i++) {
		if (pkts[i].status != RX_PENDING)
			continue;
		hdr_len = header_len(c, &pkts[i]);
		nq_nonce(ops[m].nonce, keys->iv, pkts[i].pn);
		ops[m].aad = pkts[i].data;
		ops[m].aad_len = hdr_len;
		ops[m].text = pkts[i].data + hdr_len;
		ops[m].text_len = pkts[i].len - hdr_len - NQ_TAG_LEN;
		ops[m++].status = -EBADMSG;
	}
	if (m && keys->valid)
		c->crypto->open(keys->ctx, ops, m);
	for (i = 0, m = 0; i < n; i++) {
		if (pkts[i].status != RX_PENDING)
			continue;
		sink->pkt = base + i;
		finish(c, &pkts[i], key, ops[m++].status, sink, now_us);
	}
}

/* How many packets from @pkts on go into one run, and with which key. */
static unsigned int next_run(const struct nq_conn *c, const struct nq_rx_pkt *pkts, unsigned int n,
			     enum nq_rx_key *key)
{
	enum nq_rx_key k;
	unsigned int i;
	bool any = false;

	*key = NQ_RX_KEY_CURRENT;
	for (i = 0; i < n && i < OPEN_CHUNK; i++) {
		if (pkts[i].status != RX_PENDING)
			continue;
		k = nq_keys_select(c, pkts[i].data[0] & 0x04, pkts[i].pn);
		/* An update changes what the packets behind it need: it is a run of its own. */
		if (any && (k != *key || k == NQ_RX_KEY_NEXT))
			break;
		*key = k;
		any = true;
	}
	return i;
}

unsigned int nq_rx_open(struct nq_conn *c, struct nq_rx_pkt *pkts, unsigned int n,
			struct nq_rx_datagram *datagrams, unsigned int cap,
			unsigned int *n_datagrams, u64 now_us)
{
	struct nq_rx_sink sink = { .datagrams = datagrams, .cap = cap };
	unsigned int i, run;
	enum nq_rx_key key;

	*n_datagrams = 0;
	if (n > NQ_BURST_MAX)
		n = NQ_BURST_MAX;
	/* Every packet of the call finds room for one datagram at least. */
	if (n > cap)
		n = cap;
	if (c->state == NQ_ACTIVE)
		unmask(c, pkts, n, now_us);
	for (i = 0; i < n && c->state == NQ_ACTIVE; i += run) {
		run = next_run(c, pkts + i, n - i, &key);
		sink.pkt = i;
		open_run(c, pkts + i, run, key, &sink, now_us);
	}
	if (i < n)
		nq_close_on_received(c, n - i);
	for (; i < n; i++)
		pkts[i].status = NQ_RX_CLOSED;
	*n_datagrams = sink.n;
	return n;
}
