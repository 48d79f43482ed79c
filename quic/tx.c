// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sending a burst of DATAGRAMs: reserve packet numbers and window, seal in place, commit.
 *
 * Follow one burst: nq_tx_reserve() asks congestion window, pacer, ring and keys how many packets
 * may leave; the caller lays frames into its buffers; nq_tx_seal() writes headers, seals, and masks
 * the headers of all packets in one provider call; nq_tx_commit() records what left.
 */
#include "conn.h"

/* AEAD operations and masks that stand on the stack at a time: a kernel's is small. */
#define SEAL_CHUNK 8
#define MASK_CHUNK 16
/* A number is left out after this many, plus up to as many again that only a clock knows. */
#define SKIP_MIN 4096

u32 nq_tx_overhead_bytes(const struct nq_conn *c)
{
	return c->hdr_len + 1 + c->prefix_len + NQ_TAG_LEN;
}

u32 nq_max_payload_bytes(const struct nq_conn *c)
{
	u32 frame = c->peer_max_datagram;
	u32 by_packet = nq_packet_max(c) - nq_tx_overhead_bytes(c);

	if (frame <= 1u + c->prefix_len)
		return 0;
	return (u32)nq_min(by_packet, frame - 1 - c->prefix_len);
}

u32 nq_tx_datagram_header(const struct nq_conn *c, u8 *at)
{
	*at = NQ_FRAME_DATAGRAM;
	memcpy(at + 1, c->prefix, c->prefix_len);
	return 1 + c->prefix_len;
}

/* ---- packet numbers ---- */

static void schedule_skip(struct nq_conn *c, u64 now_us)
{
	c->skip_pn = c->next_pn + SKIP_MIN + ((now_us * 0x9e3779b97f4a7c15ULL) >> 52);
}

void nq_take_numbers(struct nq_conn *c, u64 end)
{
	u64 size = c->ring_mask + 1ULL;

	c->next_pn = end;
	/* Never falls: numbers may be given back, what stood in their places is gone. */
	if (end > size)
		c->loss.known_pn = nq_max(c->loss.known_pn, end - size);
}

u64 nq_next_pn(struct nq_conn *c, u64 now_us)
{
	if (unlikely(!c->skip_pn))
		schedule_skip(c, now_us);
	if (unlikely(c->next_pn >= c->skip_pn)) {
		nq_sent_at(c, c->next_pn)->state = NQ_SENT_UNUSED;
		nq_take_numbers(c, c->next_pn + 1);
		schedule_skip(c, now_us);
	}
	return c->next_pn;
}

bool nq_ring_has_room(const struct nq_conn *c, unsigned int n)
{
	/* One more: nq_next_pn() may skip. */
	return c->next_pn + n + 1 - c->loss.base_pn <= c->ring_mask + 1ULL;
}

/* ---- reserve ---- */

static unsigned int limit_by_path(const struct nq_conn *c, struct nq_tx_burst *b, unsigned int n,
				  u32 pkt_bytes)
{
	u64 room = nq_path_room(c, c->paths.active);

	/* The challenge goes before data: without an answer to it nothing more may leave. */
	if (unlikely(c->paths.p[c->paths.active].challenge_wanted))
		room -= nq_min(room, NQ_MIN_UDP_PAYLOAD);
	if (likely(room >= (u64)n * pkt_bytes))
		return n;
	b->limit = NQ_TX_PATH;
	return (unsigned int)div64_u64(room, pkt_bytes);
}

static unsigned int limit_by_ring(const struct nq_conn *c, struct nq_tx_burst *b, unsigned int n)
{
	u64 size = c->ring_mask + 1ULL;
	/* A quarter stays free for what the engine has to say, ACKs of a round trip above all. */
	u64 used = c->next_pn - c->loss.base_pn + size / 4;
	u64 room = used < size ? size - used : 0;

	if (n <= room)
		return n;
	b->limit = NQ_TX_RING_FULL;
	return (unsigned int)room;
}

static unsigned int limit_by_cwnd(struct nq_conn *c, struct nq_tx_burst *b, unsigned int n,
				  u32 pkt_bytes)
{
	u64 flight = c->loss.bytes_in_flight;
	u64 room = c->cc.cwnd > flight ? c->cc.cwnd - flight : 0;

	if (room >= (u64)n * pkt_bytes)
		return n;
	b->limit = NQ_TX_CWND;
	c->stats.cwnd_delays++;
	n = (unsigned int)div64_u64(room, pkt_bytes);
	c->loss.in_use_pn = c->next_pn + n;
	return n;
}

static unsigned int limit_by_pacer(struct nq_conn *c, struct nq_tx_burst *b, unsigned int n,
				   u32 pkt_bytes, u64 now_us)
{
	unsigned int allowed = nq_pacer_allows(&c->pacer, n, pkt_bytes, now_us);
	struct nq_pacer after;

	if (allowed == n)
		return n;
	b->limit = NQ_TX_PACED;
	c->stats.pacing_delays++;
	after = c->pacer;
	nq_pacer_spend(&after, (u64)allowed * pkt_bytes);
	b->retry_us = nq_pacer_when(&after, n - allowed, pkt_bytes);
	return allowed;
}

unsigned int nq_tx_reserve(struct nq_conn *c, struct nq_tx_burst *b, unsigned int n, u32 pkt_bytes,
			   u64 now_us)
{
	unsigned int i;

	memset(b, 0, sizeof(*b));
	b->hdr_len = c->hdr_len;
	b->limit = NQ_TX_CLOSED;
	if (c->state != NQ_ACTIVE || c->reserved_n)
		return 0;
	b->limit = NQ_TX_KEYS;
	if (!nq_keys_allow(c, n, now_us))
		return 0;
	b->limit = NQ_TX_FREE;
	b->first_pn = nq_next_pn(c, now_us);
	n = limit_by_ring(c, b, n);
	n = limit_by_path(c, b, n, pkt_bytes);
	n = limit_by_cwnd(c, b, n, pkt_bytes);
	if (n)
		n = limit_by_pacer(c, b, n, pkt_bytes, now_us);
	for (i = 0; i < n; i++)
		nq_sent_at(c, b->first_pn + i)->state = NQ_SENT_UNUSED;
	c->loss.tx_limited = b->limit != NQ_TX_FREE;
	b->n = n;
	c->reserved_n = n;
	c->reserved_pn = b->first_pn;
	c->reserved_bytes = (u64)n * pkt_bytes;
	nq_take_numbers(c, b->first_pn + n);
	return n;
}

/* ---- seal ---- */

static void write_header(const struct nq_sealer *s, u8 *p, u64 pn)
{
	p[0] = 0x40 | (s->phase ? 0x04 : 0) | (NQ_PN_LEN - 1);
	memcpy(p + 1, s->dcid->id, s->dcid->len);
	nq_put_be32(p + 1 + s->dcid->len, (u32)pn);
}

/* @pkts: the first is number @first_pn; their lengths are with the tag. */
static int seal_chunk(const struct nq_sealer *s, const struct nq_tx_pkt *pkts, u64 first_pn,
		      unsigned int n)
{
	u32 hdr_len = 1 + s->dcid->len + NQ_PN_LEN;
	struct nq_aead_op ops[SEAL_CHUNK];
	unsigned int i;
	int err = 0;

	for (i = 0; i < n; i++) {
		write_header(s, pkts[i].buf, first_pn + i);
		nq_nonce(ops[i].nonce, s->keys->iv, first_pn + i);
		ops[i].aad = pkts[i].buf;
		ops[i].aad_len = hdr_len;
		ops[i].text = pkts[i].buf + hdr_len;
		ops[i].text_len = pkts[i].len - hdr_len - NQ_TAG_LEN;
		ops[i].status = 0;
	}
	s->crypto->seal(s->keys->ctx, ops, n);
	for (i = 0; i < n; i++)
		if (unlikely(ops[i].status))
			err = ops[i].status;
	return err;
}

static void protect_headers(const struct nq_sealer *s, const struct nq_tx_pkt *pkts, unsigned int n)
{
	u8 masks[MASK_CHUNK][NQ_HP_MASK_LEN];
	const u8 *samples[MASK_CHUNK];
	u32 pn_at = 1 + s->dcid->len;
	unsigned int i;
	u8 *p;

	/* The sample begins four bytes behind the start of the packet number: at the payload. */
	for (i = 0; i < n; i++)
		samples[i] = pkts[i].buf + pn_at + NQ_PN_LEN;
	s->crypto->hp_mask(s->hp, samples, masks, n);
	for (i = 0; i < n; i++) {
		p = pkts[i].buf;
		p[0] ^= masks[i][0] & 0x1f;
		p[pn_at] ^= masks[i][1];
		p[pn_at + 1] ^= masks[i][2];
		p[pn_at + 2] ^= masks[i][3];
		p[pn_at + 3] ^= masks[i][4];
	}
}

int nq_seal(const struct nq_sealer *s, const struct nq_tx_pkt *pkts, unsigned int from,
	    unsigned int n)
{
	u64 first_pn = s->first_pn + from;
	unsigned int i, some;
	int err;

	pkts += from;
	for (i = 0; i < n; i += some) {
		some = n - i < SEAL_CHUNK ? n - i : SEAL_CHUNK;
		err = seal_chunk(s, pkts + i, first_pn + i, some);
		if (err)
			return err;
	}
	for (i = 0; i < n; i += some) {
		some = n - i < MASK_CHUNK ? n - i : MASK_CHUNK;
		protect_headers(s, pkts + i, some);
	}
	return 0;
}

void nq_sealer_wipe(struct nq_sealer *s)
{
	nq_memzero(&s->own_keys, sizeof(s->own_keys));
}

void nq_tx_seal_failed(struct nq_conn *c)
{
	c->stats.seal_failures++;
}

/* As things are now: it is good until they change. */
static void make_sealer(struct nq_conn *c, struct nq_sealer *s, const struct nq_cid *dcid,
			u64 first_pn)
{
	s->crypto = c->crypto;
	s->keys = &c->keys.tx;
	s->dcid = dcid;
	s->hp = c->keys.tx_hp;
	s->first_pn = first_pn;
	s->phase = c->keys.phase;
}

/* @n packets are as good as sealed. */
static void count_sealed(struct nq_conn *c, struct nq_tx_pkt *pkts, unsigned int n)
{
	unsigned int i;

	c->keys.tx_sealed += n;
	for (i = 0; i < n; i++)
		pkts[i].len += NQ_TAG_LEN;
}

int nq_seal_at(struct nq_conn *c, const struct nq_cid *dcid, u64 first_pn, struct nq_tx_pkt *pkts,
	       unsigned int n)
{
	struct nq_sealer sealer;
	int err;

	make_sealer(c, &sealer, dcid, first_pn);
	count_sealed(c, pkts, n);
	err = nq_seal(&sealer, pkts, 0, n);
	if (unlikely(err))
		nq_tx_seal_failed(c);
	return err;
}

/* May the next @n packets of the burst be sealed as they are? */
static int check_layout(const struct nq_conn *c, const struct nq_tx_burst *b,
			const struct nq_tx_pkt *pkts, unsigned int n)
{
	unsigned int i;

	if (n > b->n - b->used)
		return -EINVAL;
	/* A shorter or longer ID of the peer came into use since: the frames stand elsewhere. */
	if (b->hdr_len != c->hdr_len)
		return -EAGAIN;
	for (i = 0; i < n; i++) {
		if (pkts[i].len <= c->hdr_len || pkts[i].len + NQ_TAG_LEN > nq_packet_max(c) ||
		    pkts[i].len - c->hdr_len > c->peer_max_datagram)
			return -EMSGSIZE;
	}
	return 0;
}

int nq_tx_seal(struct nq_conn *c, struct nq_tx_burst *b, struct nq_tx_pkt *pkts, unsigned int n)
{
	u64 pn = b->first_pn + b->used;
	int err = check_layout(c, b, pkts, n);

	if (err)
		return err;
	b->used += n;
	return nq_seal_at(c, &c->cids.remote[0], pn, pkts, n);
}

int nq_tx_take(struct nq_conn *c, struct nq_tx_burst *b, struct nq_tx_pkt *pkts, unsigned int n,
	       struct nq_sealer *s)
{
	int err = c->state == NQ_ACTIVE ? check_layout(c, b, pkts, n) : -ENOTCONN;

	if (err)
		return err;
	make_sealer(c, s, &s->own_dcid, b->first_pn + b->used);
	/* Without its reset token, which has no place there. */
	s->own_dcid = (struct nq_cid){ .len = c->cids.remote[0].len };
	memcpy(s->own_dcid.id, c->cids.remote[0].id, sizeof(s->own_dcid.id));
	s->own_keys = c->keys.tx;
	s->own_keys.ctx = c->crypto->lend(c->keys.tx.ctx);
	s->keys = &s->own_keys;
	s->hp = c->crypto->lend(c->keys.tx_hp);
	b->used += n;
	count_sealed(c, pkts, n);
	return 0;
}

/* ---- commit ---- */

/* For a controller that samples the delivery rate: the point its packets were sent at. */
static u32 sample_burst(struct nq_conn *c, u64 first_pn, u64 now_us)
{
	if (!c->loss.bytes_in_flight) {
		nq_cc_on_restart(&c->cc, now_us);
		nq_update_pacing(c, now_us);
	}
	return nq_rate_on_sent(nq_cc_rate(&c->cc), first_pn, c->loss.bytes_in_flight, now_us);
}

void nq_tx_commit(struct nq_conn *c, struct nq_tx_burst *b, const struct nq_tx_pkt *pkts,
		  unsigned int n_sent, u64 now_us)
{
	u8 flags = NQ_SENT_ELICITING | NQ_SENT_DATAGRAM | (nq_tx_ecn(c) ? NQ_SENT_ECT0 : 0);
	u64 bytes = 0;
	u32 mark = 0;
	unsigned int i;

	if (n_sent > b->used)
		n_sent = b->used;
	if (n_sent && nq_cc_rate(&c->cc)) {
		mark = sample_burst(c, b->first_pn, now_us);
		flags |= NQ_SENT_SAMPLED;
	}
	for (i = 0; i < n_sent; i++) {
		nq_loss_on_sent(c, b->first_pn + i, pkts[i].len, flags, mark, now_us);
		bytes += pkts[i].len;
	}
	/* Numbers never sealed may be used again, unless a control packet stands behind them. */
	if (c->reserved_n && c->next_pn == b->first_pn + b->n)
		c->next_pn = b->first_pn + b->used;
	if (flags & NQ_SENT_ECT0)
		c->ecn.sent_ect0 += n_sent;
	nq_path_on_sent(c, c->paths.active, (u32)bytes);
	nq_pacer_spend(&c->pacer, bytes);
	c->stats.tx_packets += n_sent;
	c->stats.datagram_tx += n_sent;
	c->stats.tx_bytes += bytes;
	c->reserved_n = 0;
	c->reserved_bytes = 0;
	b->n = 0;
	b->used = 0;
}
