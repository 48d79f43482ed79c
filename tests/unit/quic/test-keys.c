// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Key updates in both directions, their rules, and the limits of a key.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pair.h"

static struct pair p;
static unsigned int phase[2]; /* the newest phase whose keys each end was given */

static int setup(void **state)
{
	pair_params(&p, &null_crypto, NQ_AES_128_GCM);
	p.params[0].srtt_us = p.params[1].srtt_us = 10000;
	pair_start(&p);
	phase[0] = phase[1] = 1;
	return 0;
}

static int teardown(void **state)
{
	pair_stop(&p);
	return 0;
}

/* What an owner does on NQ_EV_KEY_UPDATED. */
static void give_next(int i)
{
	struct nq_key_material tx, rx;

	if (!(p.end[i].events & NQ_EV_KEY_UPDATED))
		return;
	p.end[i].events &= ~NQ_EV_KEY_UPDATED;
	phase[i]++;
	pair_keys(&tx, i, phase[i]);
	pair_keys(&rx, !i, phase[i]);
	assert_int_equal(nq_set_next_keys(p.end[i].conn, &tx, &rx), 0);
}

static void talk(u64 us)
{
	u64 end_us = p.now_us + us;

	while (p.now_us < end_us) {
		pair_send(&p, 0, 2, 500);
		pair_send(&p, 1, 2, 500);
		pair_run(&p, p.now_us + 1000);
		give_next(0);
		give_next(1);
	}
}

static void test_rules(void **state)
{
	struct nq_conn *c = p.end[0].conn;
	struct nq_key_material tx, rx;

	/* Nothing acknowledged in this phase yet. */
	assert_int_equal(nq_key_update(c, p.now_us), -EAGAIN);
	talk(50000);
	assert_int_equal(nq_key_update(c, p.now_us), 0);
	/* Its next keys are not there. */
	assert_int_equal(nq_key_update(c, p.now_us), -ENOKEY);
	pair_keys(&tx, 0, 2);
	pair_keys(&rx, 1, 2);
	assert_int_equal(nq_set_next_keys(c, &tx, &rx), 0);
	assert_int_equal(nq_set_next_keys(c, &tx, &rx), -EALREADY);
	/* There, but the new phase is not confirmed. */
	assert_int_equal(nq_key_update(c, p.now_us), -EAGAIN);
}

static void check_both_updated(u64 times)
{
	int i;

	for (i = 0; i < 2; i++) {
		assert_int_equal(p.end[i].conn->stats.key_updates, times);
		assert_int_equal(p.end[i].conn->stats.open_failures, 0);
		assert_int_equal(p.end[i].conn->keys.phase, times & 1);
		assert_int_equal(p.end[i].conn->state, NQ_ACTIVE);
		assert_int_equal(p.end[i].duplicates, 0);
	}
}

static void test_both_directions(void **state)
{
	int k;

	talk(50000);
	for (k = 0; k < 10; k++) {
		assert_int_equal(nq_key_update(p.end[k & 1].conn, p.now_us), 0);
		p.end[k & 1].events |= nq_take_events(p.end[k & 1].conn);
		give_next(k & 1);
		talk(500000);
		check_both_updated((u64)k + 1);
	}
	pair_run(&p, p.now_us + 1000000);
	assert_int_equal(p.end[0].delivered, p.end[1].next_index);
	assert_int_equal(p.end[1].delivered, p.end[0].next_index);
}

static void test_both_at_once(void **state)
{
	talk(50000);
	assert_int_equal(nq_key_update(p.end[0].conn, p.now_us), 0);
	assert_int_equal(nq_key_update(p.end[1].conn, p.now_us), 0);
	talk(500000);
	check_both_updated(1);
}

/* Reordered packets of the old phase still open after the update. */
static void test_reordering_across(void **state)
{
	int k;

	p.link[0].swap_permille = p.link[1].swap_permille = 300;
	talk(50000);
	for (k = 0; k < 6; k++) {
		assert_int_equal(nq_key_update(p.end[0].conn, p.now_us), 0);
		p.end[0].events |= nq_take_events(p.end[0].conn);
		give_next(0);
		talk(500000);
	}
	check_both_updated(6);
}

/* Previous keys go three PTOs after the first packet of the new phase. */
static void test_previous_keys_go(void **state)
{
	struct nq_conn *c = p.end[1].conn;

	talk(50000);
	assert_int_equal(nq_key_update(p.end[0].conn, p.now_us), 0);
	pair_send(&p, 0, 1, 500);
	pair_run(&p, p.now_us + 6000);
	assert_true(c->keys.rx_prev.valid);
	assert_int_equal(c->stats.key_updates, 1);
	pair_run(&p, p.now_us + 3 * nq_pto_us(c));
	assert_false(c->keys.rx_prev.valid);
}

/* Seal a PING as end 0 would in its present phase, and let end 1 open it. */
static u8 ping(u64 pn)
{
	struct nq_conn *from = p.end[0].conn, *to = p.end[1].conn;
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	struct nq_tx_pkt tx;
	struct nq_rx_pkt pkt = { 0 };
	unsigned int n;
	u8 buf[200];

	buf[from->hdr_len] = NQ_FRAME_PING;
	tx = (struct nq_tx_pkt){ .buf = buf, .len = from->hdr_len + 1 };
	assert_int_equal(nq_seal_at(from, &from->cids.remote[0], pn, &tx, 1), 0);
	pkt.data = buf;
	pkt.len = tx.len;
	nq_rx_open(to, &pkt, 1, dg, NQ_BURST_MAX, &n, p.now_us);
	p.end[1].events |= nq_take_events(to);
	give_next(1);
	return pkt.status;
}

/* What a peer does that does not wait: 6.1 forbids it, and each update costs us a key schedule. */
static void update_at_once(void)
{
	struct nq_conn *c = p.end[0].conn;

	c->keys.rx_prev.valid = false;
	c->keys.rx_seen = true;
	c->loss.largest_acked = c->keys.tx_first_pn = 0;
	assert_int_equal(nq_key_update(c, p.now_us), 0);
	p.end[0].events |= nq_take_events(c);
	give_next(0);
}

static void test_updates_in_a_row(void **state)
{
	struct nq_conn *c = p.end[1].conn;
	struct nq_close_info info;
	u8 buf[1500];

	talk(50000);
	update_at_once();
	assert_int_equal(ping(1000), NQ_RX_OK);
	/* Acknowledged: the next is welcome, even within the three PTOs of the old keys. */
	c->ack.now = true;
	assert_true(nq_tx_control(c, buf, sizeof(buf), p.now_us) > 0);
	update_at_once();
	assert_int_equal(ping(1001), NQ_RX_OK);
	assert_int_equal(ping(1002), NQ_RX_OK);
	assert_int_equal(c->stats.key_updates, 2);
	/* Not acknowledged. */
	update_at_once();
	assert_int_equal(ping(1003), NQ_RX_BAD_HEADER);
	assert_int_equal(c->stats.key_updates, 2);
	nq_close_info(c, &info);
	assert_int_equal(info.cause, NQ_CLOSE_PROTOCOL);
	assert_int_equal(info.code, NQ_KEY_UPDATE_ERROR);
}

/* Forged packets with the other phase bit change nothing. */
static void test_forged_phase(void **state)
{
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	struct nq_conn *c = p.end[1].conn;
	struct nq_keyset before;
	struct nq_rx_pkt pkt;
	u8 packet[100];
	unsigned int n, i;

	talk(50000);
	before = c->keys;
	for (i = 0; i < 64; i++) {
		memset(packet, (int)i * 3, sizeof(packet));
		packet[0] = 0x40 | (i & 0x3f);
		pkt = (struct nq_rx_pkt){ .data = packet, .len = sizeof(packet) };
		nq_rx_open(c, &pkt, 1, dg, NQ_BURST_MAX, &n, p.now_us);
		assert_int_not_equal(pkt.status, NQ_RX_OK);
	}
	assert_true(c->keys.failed_opens > before.failed_opens);
	before.failed_opens = c->keys.failed_opens;
	assert_memory_equal(&before, &c->keys, sizeof(before));
}

static void test_confidentiality_limit(void **state)
{
	struct nq_conn *c = p.end[0].conn;
	struct nq_tx_burst b;

	talk(50000);
	/* Half way: the engine updates by itself. */
	c->keys.tx_sealed = 1ULL << 22;
	assert_int_equal(pair_send(&p, 0, 1, 100), 1);
	assert_int_equal(c->stats.key_updates, 1);
	assert_true(nq_take_events(c) & NQ_EV_KEY_UPDATED);
	/* Again, but no keys were installed: it asks once, and stops before the limit. */
	c->keys.tx_sealed = 1ULL << 22;
	assert_int_equal(pair_send(&p, 0, 1, 100), 1);
	assert_true(nq_take_events(c) & NQ_EV_KEY_UPDATE_NEEDED);
	assert_int_equal(pair_send(&p, 0, 1, 100), 1);
	assert_false(nq_take_events(c) & NQ_EV_KEY_UPDATE_NEEDED);
	c->keys.tx_sealed = (1ULL << 23) - 1000;
	assert_int_equal(nq_tx_reserve(c, &b, 1, 200, p.now_us), 0);
	assert_int_equal(b.limit, NQ_TX_KEYS);
}

/* An end that only acknowledges comes to the limit as well. */
static void test_confidentiality_limit_of_acks(void **state)
{
	struct nq_conn *c = p.end[0].conn;
	struct nq_close_info info;
	u8 buf[1500];
	int i;

	talk(50000);
	c->keys.tx_sealed = 1ULL << 22;
	c->ack.now = true;
	assert_true(nq_tx_control(c, buf, sizeof(buf), p.now_us) > 0);
	assert_int_equal(c->stats.key_updates, 1);
	nq_take_events(c);
	c->keys.tx_sealed = 1ULL << 22;
	c->ack.now = true;
	assert_true(nq_tx_control(c, buf, sizeof(buf), p.now_us) > 0);
	assert_true(nq_take_events(c) & NQ_EV_KEY_UPDATE_NEEDED);
	/* Without new keys it ends, and says so, below the limit. */
	c->keys.tx_sealed = (1ULL << 23) - 100;
	for (i = 0; i < 200 && c->state == NQ_ACTIVE; i++) {
		c->ack.now = true;
		assert_true(nq_tx_control(c, buf, sizeof(buf), p.now_us) > 0);
	}
	nq_close_info(c, &info);
	assert_int_equal(info.cause, NQ_CLOSE_KEYS);
	assert_int_equal(info.code, NQ_AEAD_LIMIT_REACHED);
	for (i = 0; i < 100000; i++) {
		nq_close_on_received(c, NQ_BURST_MAX);
		while (nq_tx_control_wanted(c, p.now_us))
			assert_true(nq_tx_control(c, buf, sizeof(buf), p.now_us) > 0);
	}
	assert_true(c->keys.tx_sealed <= 1ULL << 23);
}

static void test_integrity_limit(void **state)
{
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	struct nq_conn *c = p.end[0].conn;
	struct nq_close_info info;
	u8 packet[100] = { 0x40 };
	struct nq_rx_pkt pkt = { .data = packet, .len = sizeof(packet) };
	unsigned int n;

	c->keys.failed_opens = (1ULL << 52) - 1;
	nq_rx_open(c, &pkt, 1, dg, NQ_BURST_MAX, &n, p.now_us);
	nq_close_info(c, &info);
	assert_int_equal(info.cause, NQ_CLOSE_KEYS);
	assert_int_equal(info.code, NQ_AEAD_LIMIT_REACHED);
}

/* The contexts that were made ready for the packets in hand; -1: too late, one has been opened. */
static int n_ready;
static void *made_ready[8];

static void count_ready(void *ctx)
{
	assert_in_range(n_ready, 0, 7);
	made_ready[n_ready++] = ctx;
}

static void open_ready(void *ctx, struct nq_aead_op *ops, unsigned int n)
{
	n_ready = -1;
	null_crypto.open(ctx, ops, n);
}

static void mask_ready(void *ctx, const u8 *const *samples, u8 (*masks)[NQ_HP_MASK_LEN],
		       unsigned int n)
{
	/* The phase bit is not known yet. */
	assert_int_not_equal(n_ready, 0);
	null_crypto.hp_mask(ctx, samples, masks, n);
}

/* A provider has every key ready that a packet may need, whichever it will be. */
static void test_keys_are_ready(void **state)
{
	struct nq_crypto_ops crypto = null_crypto;
	struct nq_conn *c = p.end[0].conn;
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	u8 packet[100] = { 0x40 };
	struct nq_rx_pkt pkt = { .data = packet, .len = sizeof(packet) };
	unsigned int n;

	crypto.ready = count_ready;
	crypto.open = open_ready;
	crypto.hp_mask = mask_ready;
	c->crypto = &crypto;
	n_ready = 0;
	nq_rx_open(c, &pkt, 1, dg, NQ_BURST_MAX, &n, p.now_us);
	assert_int_equal(pkt.status, NQ_RX_AEAD);
	assert_int_equal(n_ready, -1);
	assert_ptr_equal(made_ready[0], c->keys.rx.ctx);
	assert_ptr_equal(made_ready[1], c->keys.rx_next.ctx);
	c->crypto = &null_crypto;
}

/* After the end no key byte is left in the connection's memory. */
static void test_wiped(void **state)
{
	size_t bytes = nq_conn_bytes(&p.params[0]), i;
	struct nq_key_material m;
	u8 *mem = p.end[0].mem;

	talk(50000);
	nq_conn_fini(p.end[0].conn);
	pair_keys(&m, 0, 0);
	for (i = 0; i + 12 <= bytes; i++)
		assert_int_not_equal(memcmp(mem + i, m.iv, 12), 0);
	p.end[0].conn->crypto = &null_crypto; /* for the teardown */
}

#define ONE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ONE(test_rules),
		ONE(test_both_directions),
		ONE(test_both_at_once),
		ONE(test_reordering_across),
		ONE(test_previous_keys_go),
		ONE(test_updates_in_a_row),
		ONE(test_forged_phase),
		ONE(test_confidentiality_limit),
		ONE(test_confidentiality_limit_of_acks),
		ONE(test_integrity_limit),
		ONE(test_keys_are_ready),
		ONE(test_wiped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
