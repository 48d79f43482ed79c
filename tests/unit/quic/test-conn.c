// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Parameters, connection IDs, punted and queued frames, damaged and foreign packets, protocol errors.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pair.h"

static struct pair p;

static int setup(void **state)
{
	pair_params(&p, &null_crypto, NQ_AES_128_GCM);
	pair_start(&p);
	return 0;
}

static int teardown(void **state)
{
	pair_stop(&p);
	return 0;
}

/* Seal @frames as a packet of end @i with number @pn and let the other end open it. */
static u8 inject(int i, u64 pn, const u8 *frames, u32 len)
{
	struct nq_conn *from = p.end[i].conn, *to = p.end[!i].conn;
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	struct nq_rx_pkt pkt = { 0 };
	struct nq_tx_pkt tx;
	unsigned int n;
	u8 buf[1600];

	if (len)
		memcpy(buf + from->hdr_len, frames, len);
	tx.buf = buf;
	tx.len = from->hdr_len + len;
	assert_int_equal(nq_seal_at(from, &from->cids.remote[0], pn, &tx, 1), 0);
	pkt.data = buf;
	pkt.len = tx.len;
	assert_int_equal(nq_rx_open(to, &pkt, 1, dg, NQ_BURST_MAX, &n, p.now_us), 1);
	return pkt.status;
}

#define INJECT(i, pn, ...) \
	inject(i, pn, (const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }))

static u64 error_of(int i)
{
	struct nq_close_info info;

	nq_close_info(p.end[i].conn, &info);
	return info.cause == NQ_CLOSE_PROTOCOL ? info.code : 0;
}

static int init_with(const struct nq_conn_params *q)
{
	void *mem = aligned_alloc(64, nq_conn_bytes(q));
	int err = 0;

	assert_non_null(mem);
	memset(mem, 0, nq_conn_bytes(q));
	if (nq_conn_init(mem, q, 1, &err)) {
		nq_conn_fini(mem);
		err = 0;
	}
	free(mem);
	return err;
}

#define BAD(field, value, expected)                          \
	do {                                                 \
		q = p.params[0];                             \
		q.field = (value);                           \
		assert_int_equal(init_with(&q), (expected)); \
	} while (0)

static void test_parameters(void **state)
{
	struct nq_range overlapping[] = { { 5, 9 }, { 1, 5 } };
	struct nq_conn_params q = p.params[0];

	assert_int_equal(init_with(&q), 0);
	BAD(ring_packets, 1000, -EINVAL);
	BAD(ring_packets, 256, -EINVAL);
	BAD(ring_packets, 131072, -EINVAL);
	BAD(n_local_cids, 0, -EINVAL);
	BAD(n_remote_cids, NQ_CIDS_MAX + 1, -EINVAL);
	BAD(remote_cids[0].len, 21, -EINVAL);
	BAD(key_phase, 2, -EINVAL);
	BAD(prefix_len, 17, -EINVAL);
	BAD(path_mtu_bytes, 1199, -EINVAL);
	BAD(peer_max_udp_payload_bytes, 1199, -EINVAL);
	BAD(peer_ack_delay_exponent, 21, -EINVAL);
	BAD(peer_max_ack_delay_us, 16384000, -EINVAL);
	BAD(cipher, 0x1304, -EOPNOTSUPP);
	BAD(congestion, "bbr2", -EOPNOTSUPP);
	/* The test controller needs its rate, and a rate is for no other. */
	BAD(congestion, "fixed_rate_test", -EINVAL);
	BAD(fixed_rate_bytes_per_s, 1250000, -EINVAL);
	q.congestion = "fixed_rate_test";
	assert_int_equal(init_with(&q), 0);
	BAD(congestion, "bbr", 0);
	q = p.params[0];
	q.rx_ranges = overlapping;
	q.n_rx_ranges = 2;
	assert_int_equal(init_with(&q), -EINVAL);
}

static void test_sizes(void **state)
{
	struct nq_conn *c = p.end[0].conn;

	assert_true(sizeof(struct nq_conn) <= 4096);
	assert_int_equal(sizeof(struct nq_sent), 16);
	assert_int_equal(nq_tx_overhead_bytes(c), 25 + 1 + 1 + 16);
	assert_int_equal(nq_max_payload_bytes(c), PAIR_MTU - 43);
	nq_set_path_mtu(c, 1300);
	assert_int_equal(nq_max_payload_bytes(c), 1300 - 43);
	assert_true(nq_take_events(c) & NQ_EV_MTU);
	nq_set_path_mtu(c, 1199);
	assert_int_equal(nq_max_payload_bytes(c), 1300 - 43);
	c->peer_max_datagram = 1000;
	assert_int_equal(nq_max_payload_bytes(c), 998);
	c->peer_max_datagram = 0;
	assert_int_equal(nq_max_payload_bytes(c), 0);
}

static void test_received_before(void **state)
{
	struct nq_range ranges[] = { { 7, 9 }, { 0, 4 } };

	pair_stop(&p);
	pair_params(&p, &null_crypto, NQ_AES_128_GCM);
	p.params[1].rx_ranges = ranges;
	p.params[1].n_rx_ranges = 2;
	p.params[1].ack_pending = true;
	pair_start(&p);
	assert_true(nq_tx_control_wanted(p.end[1].conn, p.now_us));
	assert_int_equal(INJECT(0, 8, 0x01), NQ_RX_DUPLICATE);
	assert_int_equal(INJECT(0, 5, 0x01), NQ_RX_OK);
	assert_int_equal(INJECT(0, 5, 0x01), NQ_RX_DUPLICATE);
	assert_int_equal(p.end[1].conn->stats.duplicates, 2);
	assert_true(nq_take_events(p.end[1].conn) & NQ_EV_DUPLICATE);
	assert_int_equal(INJECT(0, 20000, 0x01), NQ_RX_OK);
	assert_int_equal(INJECT(0, 6, 0x01), NQ_RX_OLD);
	assert_int_equal(p.end[1].conn->stats.replay_window_drops, 1);
}

/* ---- what must close the connection ---- */

static void refused(int i, const u8 *frames, u32 len, u64 code)
{
	assert_int_equal(inject(i, 100, frames, len), NQ_RX_FRAME);
	assert_int_equal(error_of(!i), code);
	assert_int_equal(p.end[!i].conn->state, NQ_CLOSING);
	assert_true(nq_tx_control_wanted(p.end[!i].conn, p.now_us));
	teardown(NULL);
	setup(NULL);
}

#define REFUSED(i, code, ...) \
	refused(i, (const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }), code)

static void test_protocol_errors(void **state)
{
	refused(0, NULL, 0, NQ_PROTOCOL_VIOLATION); /* no frame at all */
	REFUSED(0, NQ_FRAME_ENCODING_ERROR, 0x2f);
	REFUSED(0, NQ_FRAME_ENCODING_ERROR, 0x01, 0x31, 0x05, 0x00);
	REFUSED(0, NQ_PROTOCOL_VIOLATION, 0x02, 0x05, 0x00, 0x00, 0x00); /* ACK of nothing sent */
	REFUSED(0, NQ_PROTOCOL_VIOLATION, 0x1e); /* HANDSHAKE_DONE from a client */
	REFUSED(0, NQ_PROTOCOL_VIOLATION, 0x07, 0x01, 0xaa); /* NEW_TOKEN from a client */
	REFUSED(0, NQ_PROTOCOL_VIOLATION, 0x19, 0x05); /* retires what was never issued */
	REFUSED(0, NQ_PROTOCOL_VIOLATION, 0x19, 0x00); /* retires the one it is using */
}

static void test_reserved_bits(void **state)
{
	struct nq_conn *from = p.end[0].conn;
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	struct nq_rx_pkt pkt = { 0 };
	struct nq_aead_op op = { 0 };
	u8 buf[200] = { 0 }, mask[1][NQ_HP_MASK_LEN];
	const u8 *sample = buf + from->hdr_len;
	unsigned int n, i;

	buf[0] = 0x40 | 0x08 | 3;
	memcpy(buf + 1, from->cids.remote[0].id, 20);
	nq_put_be32(buf + 21, 50);
	buf[25] = 0x01;
	nq_nonce(op.nonce, from->keys.tx.iv, 50);
	op.aad = buf;
	op.aad_len = 25;
	op.text = buf + 25;
	op.text_len = 100;
	null_crypto.seal(from->keys.tx.ctx, &op, 1);
	null_crypto.hp_mask(from->keys.tx_hp, &sample, mask, 1);
	buf[0] ^= mask[0][0] & 0x1f;
	for (i = 0; i < 4; i++)
		buf[21 + i] ^= mask[0][1 + i];
	pkt.data = buf;
	pkt.len = 25 + 100 + 16;
	nq_rx_open(p.end[1].conn, &pkt, 1, dg, NQ_BURST_MAX, &n, p.now_us);
	assert_int_equal(pkt.status, NQ_RX_BAD_HEADER);
	assert_int_equal(error_of(1), NQ_PROTOCOL_VIOLATION);
}

/* ---- what must be ignored ---- */

static void test_harmless_frames(void **state)
{
	assert_int_equal(INJECT(1, 1, 0x1e), NQ_RX_OK); /* HANDSHAKE_DONE, again */
	assert_int_equal(INJECT(1, 2, 0x1b, 1, 2, 3, 4, 5, 6, 7, 8), NQ_RX_OK);
	assert_int_equal(INJECT(1, 3, 0x00, 0x00, 0x01, 0x00), NQ_RX_OK);
	assert_int_equal(p.end[0].conn->state, NQ_ACTIVE);
	assert_int_equal(p.end[0].conn->punt_len, 0);
}

/* A damaged packet, whatever the damage, changes counters and nothing else. */
static void test_damage_changes_nothing(void **state)
{
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	struct nq_conn *c = p.end[1].conn, *before;
	u8 whole[400], copy[400];
	struct nq_rx_pkt pkt;
	unsigned int n, bit;
	u32 len, size;

	before = malloc(sizeof(*before));
	assert_non_null(before);
	pair_send(&p, 0, 1, 100);
	size = p.link[0].q[0].len;
	memcpy(whole, p.link[0].q[0].data, size);
	*before = *c;
	for (bit = 0; bit < size * 8; bit++) {
		/* The connection ID is found by the caller; the null cipher does not cover it all. */
		if ((bit >= 8 && bit < 21 * 8) || (bit >= 25 * 8 && bit < (size - 24) * 8))
			continue;
		memcpy(copy, whole, size);
		copy[bit / 8] ^= 1 << (bit % 8);
		pkt = (struct nq_rx_pkt){ .data = copy, .len = size };
		nq_rx_open(c, &pkt, 1, dg, NQ_BURST_MAX, &n, p.now_us);
		assert_int_not_equal(pkt.status, NQ_RX_OK);
		assert_int_equal(n, 0);
	}
	for (len = 0; len < size; len++) {
		memcpy(copy, whole, size);
		pkt = (struct nq_rx_pkt){ .data = copy, .len = len };
		if (len == 0)
			copy[0] = 0x40;
		nq_rx_open(c, &pkt, 1, dg, NQ_BURST_MAX, &n, p.now_us);
		assert_int_not_equal(pkt.status, NQ_RX_OK);
	}
	assert_true(c->stats.open_failures > 100);
	before->stats = c->stats;
	before->keys.failed_opens = c->keys.failed_opens;
	assert_memory_equal(before, c, sizeof(*c));
	free(before);
	/* And the whole one is still welcome. */
	pair_run(&p, p.now_us + 10000);
	assert_int_equal(p.end[1].delivered, 1);
}

static void test_burst_with_copies(void **state)
{
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	struct nq_rx_pkt pkts[4];
	u8 bufs[4][400];
	unsigned int n;
	int i;

	pair_send(&p, 0, 2, 100);
	for (i = 0; i < 4; i++) {
		memcpy(bufs[i], p.link[0].q[i / 2].data, p.link[0].q[i / 2].len);
		pkts[i] = (struct nq_rx_pkt){ .data = bufs[i], .len = p.link[0].q[i / 2].len };
	}
	assert_int_equal(nq_rx_open(p.end[1].conn, pkts, 4, dg, NQ_BURST_MAX, &n, p.now_us), 4);
	assert_int_equal(n, 2);
	assert_int_equal(pkts[1].status, NQ_RX_DUPLICATE);
	assert_int_equal(pkts[3].status, NQ_RX_DUPLICATE);
	assert_int_equal(dg[0].pkt, 0);
	assert_int_equal(dg[1].pkt, 2);
	assert_int_equal(dg[1].len, 100);
}

/* RFC 9001 9.5: whether a number was seen before shows only to who can seal a packet. */
static void test_forged_duplicate_is_a_forgery(void **state)
{
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	struct nq_conn *c = p.end[1].conn;
	struct nq_rx_pkt pkt = { 0 };
	u8 copy[400];
	unsigned int n;
	int i;

	pair_send(&p, 0, 1, 100);
	for (i = 0; i < 3; i++) {
		pkt.data = copy;
		pkt.len = p.link[0].q[0].len;
		memcpy(copy, p.link[0].q[0].data, pkt.len);
		if (i == 1)
			copy[pkt.len - 1] ^= 1;
		nq_rx_open(c, &pkt, 1, dg, NQ_BURST_MAX, &n, p.now_us);
		assert_int_equal(pkt.status, i == 0   ? NQ_RX_OK
					     : i == 1 ? NQ_RX_AEAD
						      : NQ_RX_DUPLICATE);
		assert_int_equal(!!(nq_take_events(c) & NQ_EV_DUPLICATE), i == 2);
	}
	assert_int_equal(c->stats.open_failures, 1);
	assert_int_equal(c->stats.duplicates, 1);
}

static void test_foreign_context(void **state)
{
	assert_int_equal(INJECT(0, 1, 0x30, 0x05, 0x45), NQ_RX_OK);
	assert_int_equal(INJECT(0, 2, 0x30), NQ_RX_OK);
	assert_int_equal(p.end[1].conn->stats.datagram_drops, 2);
	assert_int_equal(p.end[1].conn->stats.datagram_rx, 0);
}

static void test_many_datagrams_in_a_packet(void **state)
{
	u8 frames[300];
	u32 i;

	for (i = 0; i < 100; i++)
		memcpy(frames + 3 * i, "\x31\x01\x00", 3);
	assert_int_equal(inject(0, 1, frames, sizeof(frames)), NQ_RX_OK);
	assert_int_equal(p.end[1].conn->stats.datagram_rx, NQ_BURST_MAX);
	assert_int_equal(p.end[1].conn->stats.datagram_drops, 100 - NQ_BURST_MAX);
}

/* ---- frames up and down ---- */

/* The frames that wait at @end, and room for others. */
static u32 take_punt(int end, u8 *out)
{
	struct nq_conn *c = p.end[end].conn;
	u32 len;
	u8 *mem = nq_take_punt(c, &len);

	assert_ptr_equal(mem, p.end[end].punt);
	memcpy(out, mem, len);
	assert_true(nq_lend_punt(c, mem));
	return len;
}

static void test_punt(void **state)
{
	struct nq_conn *c = p.end[0].conn;
	u8 big[1300] = { 0x06, 0x00, 0x45, 0x10 }, out[NQ_PUNT_BYTES];

	assert_int_equal(INJECT(1, 0, 0x06, 0x00, 0x02, 0xaa, 0xbb), NQ_RX_OK);
	assert_int_equal(INJECT(1, 1, 0x08, 0x00, 0xcc), NQ_RX_OK);
	assert_true(nq_take_events(c) & NQ_EV_PUNT);
	/* A STREAM frame that reached to the end of its packet now has a length: others follow. */
	assert_int_equal(take_punt(0, out), 5 + 4);
	assert_memory_equal(out, "\x06\x00\x02\xaa\xbb\x0a\x00\x01\xcc", 9);
	assert_int_equal(INJECT(1, 4, 0x10, 0x05, 0x0d, 0x04, 0x41, 0x00, 0xdd, 0xee), NQ_RX_OK);
	assert_int_equal(INJECT(1, 5, 0x10, 0x06), NQ_RX_OK);
	assert_int_equal(take_punt(0, out), 2 + 7 + 2);
	assert_memory_equal(out, "\x10\x05\x0f\x04\x41\x00\x02\xdd\xee\x10\x06", 11);
	assert_int_equal(take_punt(0, out), 0);
	/* Without room the packet is not acknowledged, so that the content comes again. */
	assert_int_equal(inject(1, 2, big, sizeof(big)), NQ_RX_OK);
	assert_int_equal(inject(1, 3, big, sizeof(big)), NQ_RX_OK);
	assert_true(nq_ranges_contains(&c->ack.ranges, 2));
	assert_false(nq_ranges_contains(&c->ack.ranges, 3));
	assert_int_equal(inject(1, 3, big, sizeof(big)), NQ_RX_DUPLICATE);
	assert_int_equal(take_punt(0, out), sizeof(big));
}

/* The room is the caller's: it goes while nothing waits in it, and comes when packets do. */
static void test_punt_room(void **state)
{
	struct nq_conn *c = p.end[0].conn;
	u8 *mem = p.end[0].punt;
	u32 len;

	assert_false(nq_lend_punt(c, mem));
	assert_ptr_equal(nq_take_unused_punt(c), mem);
	assert_null(nq_take_punt(c, &len));
	assert_int_equal(len, 0);
	/* Neither of the forms in which a frame is kept. */
	assert_int_equal(INJECT(1, 0, 0x06, 0x00, 0x02, 0xaa, 0xbb), NQ_RX_OK);
	assert_int_equal(INJECT(1, 1, 0x08, 0x00, 0xcc), NQ_RX_OK);
	assert_false(nq_take_events(c) & NQ_EV_PUNT);
	assert_false(nq_ranges_contains(&c->ack.ranges, 0));
	assert_false(nq_ranges_contains(&c->ack.ranges, 1));
	assert_true(nq_lend_punt(c, mem));
	assert_int_equal(INJECT(1, 2, 0x10, 0x05), NQ_RX_OK);
	assert_true(nq_ranges_contains(&c->ack.ranges, 2));
	assert_null(nq_take_unused_punt(c));
	assert_ptr_equal(nq_take_punt(c, &len), mem);
	assert_int_equal(len, 2);
	assert_memory_equal(mem, "\x10\x05", 2);
}

/* A ring apart is the caller's from the first on, with all a controller keeps behind it. */
static void test_ring_apart(void **state)
{
	struct nq_conn_params q = p.params[0];
	size_t together = nq_conn_bytes(&q), bytes;
	struct nq_conn *c;
	void *mem;
	int err;

	q.ring = aligned_alloc(64, nq_first_ring_bytes(&q));
	assert_non_null(q.ring);
	memset(q.ring, 0, nq_first_ring_bytes(&q));
	bytes = nq_conn_bytes(&q);
	assert_int_equal(bytes, together - nq_first_ring_bytes(&q));
	mem = aligned_alloc(64, bytes);
	assert_non_null(mem);
	memset(mem, 0, bytes);
	c = nq_conn_init(mem, &q, 1, &err);
	assert_non_null(c);
	assert_ptr_equal(c->ring, q.ring);
	assert_in_range(c->out, mem, (size_t)mem + bytes - NQ_OUT_BYTES);
	nq_conn_fini(c);
	free(mem);
	free(q.ring);
}

static void test_queued_frames_are_repeated(void **state)
{
	static const u8 frame[] = { 0x10, 0x44, 0x00 };
	struct nq_conn *c = p.end[0].conn;
	u8 big[300] = { 0 }, out[NQ_PUNT_BYTES];

	assert_int_equal(nq_tx_queue_frames(c, big, 257), -EMSGSIZE);
	assert_int_equal(nq_tx_queue_frames(c, (const u8 *)"\x10\x44", 2), -EINVAL);
	/* What is written behind these would become part of them. */
	assert_int_equal(nq_tx_queue_frames(c, (const u8 *)"\x08\x00\xaa", 3), -EINVAL);
	assert_int_equal(nq_tx_queue_frames(c, (const u8 *)"\x30\x00\xaa", 3), -EINVAL);
	assert_int_equal(nq_tx_queue_frames(c, frame, sizeof(frame)), 0);
	assert_int_equal(nq_tx_queue_frames(c, big, 255), -ENOBUFS);
	p.link[0].loss_permille = 1000;
	pair_control(&p, 0);
	assert_int_equal(p.link[0].dropped, 1);
	p.link[0].loss_permille = 0;
	pair_run(&p, p.now_us + 5000000);
	assert_int_equal(take_punt(1, out), sizeof(frame));
	assert_memory_equal(out, frame, sizeof(frame));
	assert_int_equal(c->out_len, 0);
}

/* A greeting is a DATAGRAM for the peer's data plane, and arrives though the first was lost. */
static void test_empty_datagram(void **state)
{
	struct nq_conn *c = p.end[0].conn;

	p.link[0].loss_permille = 1000;
	assert_int_equal(nq_tx_queue_empty_datagram(c), 0);
	pair_control(&p, 0);
	assert_true(nq_tx_frames_pending(c));
	p.link[0].loss_permille = 0;
	while (p.end[1].conn->stats.datagram_rx == 0 && pair_step(&p, p.now_us + 5000000))
		;
	assert_int_equal(p.end[1].conn->stats.datagram_rx, 1);
	assert_int_equal(p.end[1].conn->stats.datagram_drops, 0);
	pair_run(&p, p.now_us + 1000000);
	assert_false(nq_tx_frames_pending(c));
}

/* On the same path a connection begins where another stops, not with ten packets and no idea. */
static void test_continued_path(void **state)
{
	static struct pair fresh;
	struct nq_conn *old = p.end[0].conn, *c;
	int i;

	pair_params(&fresh, &null_crypto, NQ_AES_128_GCM);
	pair_start(&fresh);
	c = fresh.end[0].conn;
	for (i = 0; i < 200; i++) {
		pair_send(&p, 0, 30, 1000);
		pair_run(&p, p.now_us + 20000);
	}
	nq_set_path_mtu(old, 1300);
	assert_true(old->cc.cwnd > 2 * c->cc.cwnd);
	nq_continue_path(c, old, p.now_us);
	assert_int_equal(c->cc.cwnd, old->cc.cwnd);
	assert_int_equal(c->rtt.srtt_us, old->rtt.srtt_us);
	assert_int_equal(nq_max_payload_bytes(c), nq_max_payload_bytes(old));
	assert_int_equal(c->pacer.rate, old->pacer.rate);
	assert_int_equal(c->loss.bytes_in_flight, 0);
	pair_check(c);
	pair_stop(&fresh);
}

static bool seal_fails;

static void failing_seal(void *ctx, struct nq_aead_op *ops, unsigned int n)
{
	unsigned int i;

	null_crypto.seal(ctx, ops, n);
	for (i = 0; i < n && seal_fails; i++)
		ops[i].status = -EIO;
}

/* A cipher that fails once costs a number, not the frames. */
static void test_frames_survive_a_failed_seal(void **state)
{
	struct nq_crypto_ops failing = null_crypto;
	struct nq_conn *c = p.end[0].conn;
	struct nq_cid cid = { .len = 20, .has_token = true, .id = { 0x55 } };
	u8 buf[1500];

	failing.seal = failing_seal;
	c->crypto = &failing;
	assert_int_equal(nq_tx_queue_frames(c, (const u8 *)"\x10\x44\x00", 3), 0);
	assert_int_equal(nq_add_local_cid(c, &cid), 0);
	seal_fails = true;
	assert_int_equal(nq_tx_control(c, buf, sizeof(buf), p.now_us), -EIO);
	seal_fails = false;
	assert_int_equal(c->loss.bytes_in_flight, 0);
	assert_true(nq_tx_control_wanted(c, p.now_us));
	pair_control(&p, 0);
	pair_run(&p, p.now_us + 1000000);
	assert_int_equal(p.end[1].conn->punt_len, 3);
	assert_int_equal(p.end[1].conn->cids.n_remote, 2);
	assert_int_equal(c->out_len, 0);
	c->crypto = &null_crypto;
}

static void test_path_challenge(void **state)
{
	struct pair_packet *q = &p.link[1].q[0];
	struct nq_frame f;

	assert_int_equal(INJECT(0, 0, 0x1a, 1, 2, 3, 4, 5, 6, 7, 8), NQ_RX_OK);
	pair_control(&p, 1);
	assert_int_equal(p.link[1].n, 1);
	assert_int_equal(q->len, NQ_MIN_UDP_PAYLOAD);
	/* The null cipher leaves the text readable. An ACK rides in front. */
	assert_int_equal(nq_frame_parse(q->data + 25, q->data + q->len - 16, &f), 0);
	assert_int_equal(f.type, NQ_FRAME_ACK);
	assert_memory_equal(q->data + 25 + f.len, "\x1b\1\2\3\4\5\6\7\x08", 9);
}

/* ---- connection IDs ---- */

static void new_cid_frame(u8 *frame, u64 seq, u64 retire, u8 fill)
{
	frame[0] = 0x18;
	frame[1] = (u8)seq;
	frame[2] = (u8)retire;
	frame[3] = 20;
	memset(frame + 4, fill, 36);
}

static void test_peer_changes_cids(void **state)
{
	struct nq_conn *c = p.end[0].conn;
	u8 frame[40];

	new_cid_frame(frame, 1, 0, 0x71);
	assert_int_equal(inject(1, 0, frame, 40), NQ_RX_OK);
	assert_int_equal(inject(1, 1, frame, 40), NQ_RX_OK); /* repeated: fine */
	assert_int_equal(c->cids.n_remote, 2);
	/* Retire the one in use: the next takes over and RETIRE_CONNECTION_ID goes out. */
	new_cid_frame(frame, 2, 1, 0x72);
	assert_int_equal(inject(1, 2, frame, 40), NQ_RX_OK);
	assert_int_equal(c->cids.n_remote, 2);
	assert_int_equal(c->cids.remote[0].id[0], 0x71);
	assert_true(nq_cid_wanted(c));
	/* A late one below the mark is retired unused. */
	new_cid_frame(frame, 0, 0, 0x10 * 2);
	assert_int_equal(inject(1, 3, frame, 40), NQ_RX_OK);
	assert_int_equal(c->cids.n_remote, 2);
	/* The same number with another ID. */
	new_cid_frame(frame, 2, 1, 0x73);
	assert_int_equal(inject(1, 4, frame, 40), NQ_RX_FRAME);
	assert_int_equal(error_of(0), NQ_PROTOCOL_VIOLATION);
}

/* What is sealed has room for its header and fits what the peer takes, whatever came in between. */
static void test_seal_checks_the_layout(void **state)
{
	struct nq_conn *c = p.end[0].conn;
	struct nq_tx_burst b;
	struct nq_tx_pkt pkt;
	u8 buf[1500] = { 0 };
	u8 frame[40];

	pkt.buf = buf;
	assert_int_equal(nq_tx_reserve(c, &b, 1, 1000, p.now_us), 1);
	pkt.len = b.hdr_len + 500;
	c->peer_max_datagram = 499;
	assert_int_equal(nq_tx_seal(c, &b, &pkt, 1), -EMSGSIZE);
	c->peer_max_datagram = 500;
	/* A shorter ID takes over between reserve and seal. */
	memcpy(frame, "\x18\x01\x01\x04", 4);
	memset(frame + 4, 0x71, 20);
	assert_int_equal(inject(1, 0, frame, 24), NQ_RX_OK);
	assert_int_equal(nq_tx_seal(c, &b, &pkt, 1), -EAGAIN);
	nq_tx_commit(c, &b, &pkt, 0, p.now_us);
	assert_int_equal(nq_tx_reserve(c, &b, 1, 1000, p.now_us), 1);
	pkt.len = b.hdr_len + 500;
	assert_int_equal(nq_tx_seal(c, &b, &pkt, 1), 0);
	nq_tx_commit(c, &b, &pkt, 1, p.now_us);
}

static void test_too_many_cids(void **state)
{
	u8 frame[40];
	u8 i;

	for (i = 1; i < NQ_CIDS_MAX; i++) {
		new_cid_frame(frame, i, 0, 0x70 + i);
		assert_int_equal(inject(1, i, frame, 40), NQ_RX_OK);
	}
	new_cid_frame(frame, i, 0, 0x70 + i);
	assert_int_equal(inject(1, i, frame, 40), NQ_RX_FRAME);
	assert_int_equal(error_of(0), NQ_CONNECTION_ID_LIMIT_ERROR);
}

/* RFC 9000 5.1.2: twice the IDs that may be active can wait for their retirement to be confirmed. */
static void test_retire_many(void **state)
{
	struct nq_conn *c = p.end[0].conn;
	u8 frame[40];
	u8 i;

	for (i = 1; i <= 2 * NQ_CIDS_MAX; i++) {
		new_cid_frame(frame, i, i, 0x70 + i);
		assert_int_equal(inject(1, i, frame, 40), NQ_RX_OK);
		assert_int_equal(c->cids.n_remote, 1);
	}
	new_cid_frame(frame, i, i, 0x70 + i);
	assert_int_equal(inject(1, i, frame, 40), NQ_RX_FRAME);
	assert_int_equal(error_of(0), NQ_CONNECTION_ID_LIMIT_ERROR);
}

/* A demand that breaks the limit leaves the ID in use, and the header, as they were. */
static void test_broken_retirement(void **state)
{
	struct nq_conn *c = p.end[0].conn;
	u8 frame[40];
	u8 i, k = 0;

	for (i = 1; i <= 2 * NQ_CIDS_MAX - 1; i++) {
		new_cid_frame(frame, i, i, 0x70 + i);
		assert_int_equal(inject(1, k++, frame, 40), NQ_RX_OK);
	}
	/* In use: 15; another of 4 bytes to be kept; a third to go, for which there is no room. */
	memcpy(frame, "\x18\x32\x0f\x04", 4);
	assert_int_equal(inject(1, k++, frame, 24), NQ_RX_OK);
	new_cid_frame(frame, 20, 15, 0xa0);
	assert_int_equal(inject(1, k++, frame, 40), NQ_RX_OK);
	new_cid_frame(frame, 60, 50, 0xb0);
	assert_int_equal(inject(1, k++, frame, 40), NQ_RX_FRAME);
	assert_int_equal(c->cids.remote[0].seq, 15);
	assert_int_equal(c->hdr_len, 1 + c->cids.remote[0].len + NQ_PN_LEN);
}

static void test_issue_and_retire(void **state)
{
	struct nq_conn *c = p.end[0].conn;
	struct nq_cid cid = { .len = 20, .has_token = true }, back;
	u8 retire[] = { 0x19, 0x01 };

	memset(cid.id, 0x55, 20);
	cid.len = 8;
	assert_int_equal(nq_add_local_cid(c, &cid), -EINVAL);
	cid.len = 20;
	p.link[0].loss_permille = 1000;
	assert_int_equal(nq_add_local_cid(c, &cid), 0);
	pair_control(&p, 0);
	p.link[0].loss_permille = 0;
	/* Lost, repeated, arrived. */
	pair_run(&p, p.now_us + 5000000);
	assert_int_equal(p.end[1].conn->cids.n_remote, 2);
	assert_memory_equal(p.end[1].conn->cids.remote[1].id, cid.id, 20);
	assert_false(nq_cid_wanted(c));
	assert_int_equal(nq_take_retired_cid(c, &back), 0);
	assert_int_equal(inject(1, 1000, retire, 2), NQ_RX_OK);
	assert_int_equal(nq_take_events(c) & (NQ_EV_CID_RETIRED | NQ_EV_CID_WANTED),
			 NQ_EV_CID_RETIRED | NQ_EV_CID_WANTED);
	assert_int_equal(nq_take_retired_cid(c, &back), 1);
	assert_memory_equal(back.id, cid.id, 20);
	assert_int_equal(nq_take_retired_cid(c, &back), 0);
	/* Again: already gone, no harm. */
	assert_int_equal(inject(1, 1001, retire, 2), NQ_RX_OK);
	/* Guessed: before it was ever sent. Then it needs not be. */
	assert_int_equal(nq_add_local_cid(c, &cid), 0);
	assert_true(nq_cid_wanted(c));
	retire[1] = 0x02;
	assert_int_equal(inject(1, 1002, retire, 2), NQ_RX_OK);
	assert_false(nq_cid_wanted(c));
	pair_check(c);
}

static void test_peer_limit(void **state)
{
	struct nq_cid cid = { .len = 20, .has_token = true };
	int i;

	p.end[0].conn->cids.peer_limit = 3;
	for (i = 0; i < 2; i++) {
		cid.id[0] = (u8)(0x60 + i);
		assert_int_equal(nq_add_local_cid(p.end[0].conn, &cid), 0);
	}
	assert_int_equal(nq_add_local_cid(p.end[0].conn, &cid), -ENOBUFS);
}

/* Numbers left out on purpose are never acknowledged by an honest peer, and cost nothing. */
static void test_skipped_numbers(void **state)
{
	int k;

	for (k = 0; k < 3000; k++) {
		pair_send(&p, 0, 10, 100);
		pair_run(&p, p.now_us + 1000);
	}
	pair_run(&p, p.now_us + 1000000);
	assert_int_equal(p.end[0].conn->state, NQ_ACTIVE);
	assert_int_equal(p.end[0].conn->stats.packets_lost, 0);
	assert_true(p.end[0].conn->next_pn > p.end[0].conn->stats.tx_packets);
	assert_int_equal(p.end[1].delivered, p.end[0].next_index);
}

#define ONE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ONE(test_parameters),
		ONE(test_sizes),
		ONE(test_received_before),
		ONE(test_protocol_errors),
		ONE(test_reserved_bits),
		ONE(test_harmless_frames),
		ONE(test_damage_changes_nothing),
		ONE(test_burst_with_copies),
		ONE(test_forged_duplicate_is_a_forgery),
		ONE(test_foreign_context),
		ONE(test_many_datagrams_in_a_packet),
		ONE(test_punt),
		ONE(test_punt_room),
		ONE(test_ring_apart),
		ONE(test_queued_frames_are_repeated),
		ONE(test_empty_datagram),
		ONE(test_continued_path),
		ONE(test_frames_survive_a_failed_seal),
		ONE(test_path_challenge),
		ONE(test_peer_changes_cids),
		ONE(test_seal_checks_the_layout),
		ONE(test_too_many_cids),
		ONE(test_retire_many),
		ONE(test_broken_retirement),
		ONE(test_issue_and_retire),
		ONE(test_peer_limit),
		ONE(test_skipped_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
