// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ACK processing, loss, probe timeout, persistent congestion, ECN: one engine, hand-made ACK frames.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pair.h"

struct one {
	struct pair p;
	struct nq_conn *c;
};

static struct one *setup_one(void (*change)(struct nq_conn_params *))
{
	struct one *o = calloc(1, sizeof(*o));

	assert_non_null(o);
	pair_params(&o->p, &null_crypto, NQ_AES_128_GCM);
	o->p.params[0].srtt_us = 10000;
	o->p.params[0].rttvar_us = 100;
	o->p.params[0].min_rtt_us = 10000;
	if (change)
		change(&o->p.params[0]);
	pair_start(&o->p);
	o->c = o->p.end[0].conn;
	return o;
}

static void teardown_one(struct one *o)
{
	pair_check(o->c);
	pair_stop(&o->p);
	free(o);
}

/* @n packets may leave at once: the pacer is not what is tested. */
static void allow(struct one *o, unsigned int n)
{
	nq_pacer_refill(&o->c->pacer, o->p.now_us);
	o->c->pacer.tokens = (s64)(n * NQ_PACER_SCALE * PAIR_MTU);
}

static void send(struct one *o, unsigned int n)
{
	allow(o, n);
	assert_int_equal(pair_send(&o->p, 0, n, 1000), n);
}

static int ack(struct one *o, const struct nq_ranges *r, const u64 *ecn)
{
	struct nq_frame f;
	u8 buf[600];
	u32 len = nq_put_ack(buf, sizeof(buf), r, 0, ecn);

	assert_int_equal(nq_frame_parse(buf, buf + len, &f), 0);
	return nq_loss_on_ack(o->c, &f.ack, o->p.now_us);
}

static int ack_range(struct one *o, u64 first, u64 last)
{
	struct nq_ranges r = { 0 };

	nq_ranges_add(&r, first, last);
	return ack(o, &r, NULL);
}

static void test_rtt(void **state)
{
	struct nq_rtt r = { 0 };

	nq_rtt_update(&r, 1000, 500, 7);
	assert_int_equal(r.srtt_us, 1000);
	assert_int_equal(r.rttvar_us, 500);
	assert_int_equal(r.min_us, 1000);
	/* The delay is taken off, but not below the minimum. */
	nq_rtt_update(&r, 1800, 800, 8);
	assert_int_equal(r.srtt_us, 1000);
	assert_int_equal(r.rttvar_us, 375);
	nq_rtt_update(&r, 1100, 800, 9);
	assert_int_equal(r.srtt_us, (7 * 1000 + 1100) / 8);
	nq_rtt_update(&r, 200, 0, 10);
	assert_int_equal(r.min_us, 200);
}

static void absurd_rtt(struct nq_conn_params *p)
{
	p->srtt_us = p->rttvar_us = p->min_rtt_us = 0xffffffff;
}

/* Whatever round trip was measured before the hand-over: no sum overflows, sending stays paced. */
static void test_rtt_is_bounded(void **state)
{
	struct one *o = setup_one(absurd_rtt);

	assert_true(nq_pto_us(o->c) >= 5 * 60000000ULL);
	assert_true(o->c->pacer.rate > 0);
	send(o, 1);
	o->p.now_us += 10000;
	assert_int_equal(ack_range(o, 0, 0), 0);
	assert_true(o->c->rtt.srtt_us < 60000000);
	teardown_one(o);
}

static void test_ack_counts_once(void **state)
{
	struct one *o = setup_one(NULL);
	u64 pkt;

	send(o, 8);
	pkt = o->c->loss.bytes_in_flight / 8;
	o->p.now_us += 10000;
	assert_int_equal(ack_range(o, 0, 3), 0);
	assert_int_equal(o->c->loss.bytes_in_flight, 4 * pkt);
	assert_int_equal(ack_range(o, 0, 3), 0);
	assert_int_equal(o->c->loss.bytes_in_flight, 4 * pkt);
	assert_int_equal(ack_range(o, 0, 7), 0);
	assert_int_equal(o->c->loss.bytes_in_flight, 0);
	assert_int_equal(o->c->stats.packets_lost, 0);
	assert_int_equal(nq_loss_timeout_us(o->c), NQ_TIME_NEVER);
	/* The next ACK of this range steps over it at once. */
	assert_int_equal(o->c->ring[7].mark, 8);
	teardown_one(o);
}

static void test_optimistic_ack(void **state)
{
	struct one *o = setup_one(NULL);
	struct nq_tx_pkt pkts[4];
	struct nq_tx_burst b;
	u8 bufs[4][1400];
	int i;

	send(o, 4);
	assert_int_equal(ack_range(o, 0, 4), -EPROTO);
	assert_int_equal(o->c->loss.bytes_in_flight > 0, true);
	/* Four sealed, two sent: the others' numbers are burnt and may not be acknowledged. */
	allow(o, 4);
	assert_int_equal(nq_tx_reserve(o->c, &b, 4, 1100, o->p.now_us), 4);
	for (i = 0; i < 4; i++) {
		pkts[i].buf = bufs[i];
		memset(bufs[i], 0, sizeof(bufs[i]));
		pkts[i].len = b.hdr_len + nq_tx_datagram_header(o->c, bufs[i] + b.hdr_len) + 100;
	}
	assert_int_equal(nq_tx_seal(o->c, &b, pkts, 4), 0);
	nq_tx_commit(o->c, &b, pkts, 2, o->p.now_us);
	assert_int_equal(o->c->next_pn, 8);
	send(o, 1);
	assert_int_equal(ack_range(o, 8, 8), 0);
	assert_int_equal(ack_range(o, 5, 8), -EPROTO);
	teardown_one(o);
}

static void test_unsealed_numbers_return(void **state)
{
	struct one *o = setup_one(NULL);
	struct nq_tx_burst b;

	allow(o, 8);
	assert_int_equal(nq_tx_reserve(o->c, &b, 8, 1100, o->p.now_us), 8);
	/* One reservation at a time. */
	assert_int_equal(nq_tx_reserve(o->c, &(struct nq_tx_burst){ 0 }, 1, 1100, o->p.now_us), 0);
	nq_tx_commit(o->c, &b, NULL, 0, o->p.now_us);
	assert_int_equal(o->c->next_pn, 0);
	teardown_one(o);
}

static void small_ring(struct nq_conn_params *p)
{
	p->ring_packets = 1024;
}

/* Numbers that were reserved and given back took the place of old records: these are then unknown,
 * not "never sent", when an ACK still reports them.
 */
static void test_given_back_numbers_hide_old_records(void **state)
{
	struct one *o = setup_one(small_ring);
	struct nq_ranges r = { 0 };
	struct nq_tx_burst b;

	while (o->c->next_pn < 1030) {
		send(o, 5);
		o->p.now_us += 10000;
		r.n = 0;
		nq_ranges_add(&r, 0, 9);
		if (o->c->next_pn > 11)
			nq_ranges_add(&r, 11, o->c->next_pn - 1);
		else
			r.r[0].last = o->c->next_pn - 1 < 9 ? o->c->next_pn - 1 : 9;
		assert_int_equal(ack(o, &r, NULL), 0);
	}
	assert_int_equal(o->c->next_pn, 1030);
	allow(o, 8);
	assert_int_equal(nq_tx_reserve(o->c, &b, 8, 1100, o->p.now_us), 8);
	nq_tx_commit(o->c, &b, NULL, 0, o->p.now_us);
	assert_int_equal(o->c->next_pn, 1030);
	assert_int_equal(ack(o, &r, NULL), 0);
	teardown_one(o);
}

/* However ranges are cut, a record is walked over once and then stepped over. */
static void test_acked_runs_are_compressed(void **state)
{
	struct one *o = setup_one(NULL);
	u64 pn;

	send(o, 10);
	assert_int_equal(ack_range(o, 0, 9), 0);
	assert_int_equal(o->c->ring[9].mark, 10);
	assert_int_equal(ack_range(o, 0, 8), 0);
	for (pn = 0; pn < 10; pn++)
		assert_int_equal(o->c->ring[pn].mark, pn + 1);
	teardown_one(o);
}

/* One packet that is never acknowledged must not silence the ACKs behind it. */
static void test_acks_go_on_behind_a_lost_packet(void **state)
{
	struct one *o = setup_one(small_ring);
	u8 buf[1500];
	u64 pn;

	send(o, 1);
	nq_ack_on_received(o->c, &(struct nq_rx_meta){ .pn = 0 }, o->p.now_us);
	for (pn = 1; pn <= 4000; pn++) {
		struct nq_rx_meta m = { .pn = 2 * pn, .eliciting = true };

		nq_ack_on_received(o->c, &m, o->p.now_us);
		assert_true(nq_tx_control_wanted(o->c, o->p.now_us));
		assert_true(nq_tx_control(o->c, buf, sizeof(buf), o->p.now_us) > 0);
		pair_check(o->c);
	}
	assert_int_equal(o->c->stats.ack_tx, 4000);
	/* The record had to go: counted as a loss. */
	assert_int_equal(o->c->stats.datagram_lost, 1);
	assert_true(o->c->next_pn - o->c->loss.base_pn < 1024);
	/* The path heals: data flows again. */
	o->p.now_us += 10000;
	assert_int_equal(ack_range(o, o->c->next_pn - 1, o->c->next_pn - 1), 0);
	send(o, 1);
	teardown_one(o);
}

static void test_packet_threshold(void **state)
{
	struct one *o = setup_one(NULL);

	send(o, 6);
	o->p.now_us += 1000;
	assert_int_equal(ack_range(o, 1, 2), 0);
	assert_int_equal(o->c->stats.packets_lost, 0);
	assert_int_equal(ack_range(o, 1, 3), 0);
	assert_int_equal(o->c->stats.packets_lost, 1);
	assert_int_equal(o->c->stats.datagram_lost, 1);
	assert_int_equal(o->c->cc.state, NQ_CC_RECOVERY);
	assert_true(nq_take_events(o->c) & NQ_EV_CONGESTION);
	teardown_one(o);
}

static void test_time_threshold(void **state)
{
	struct one *o = setup_one(NULL);
	u64 sent_us = o->p.now_us, due;

	send(o, 2);
	o->p.now_us += 10000;
	assert_int_equal(ack_range(o, 1, 1), 0);
	assert_int_equal(o->c->stats.packets_lost, 0);
	/* 9/8 of the larger of smoothed and latest RTT */
	due = nq_next_timeout_us(o->c);
	assert_int_equal(due, sent_us + 11250);
	nq_on_timeout(o->c, due - 1);
	assert_int_equal(o->c->stats.packets_lost, 0);
	nq_on_timeout(o->c, due);
	assert_int_equal(o->c->stats.packets_lost, 1);
	assert_int_equal(o->c->loss.bytes_in_flight, 0);
	teardown_one(o);
}

static void test_spurious_loss_widens(void **state)
{
	struct one *o = setup_one(NULL);

	send(o, 10);
	assert_int_equal(ack_range(o, 4, 6), 0);
	assert_int_equal(o->c->stats.packets_lost, 4);
	assert_int_equal(ack_range(o, 1, 6), 0);
	assert_int_equal(o->c->stats.spurious_losses, 3);
	assert_true(o->c->loss.packet_threshold > 5);
	teardown_one(o);
}

/* A challenge to a faster path overtakes what is under way here: no loss, no round trip of this one. */
static void test_packet_of_another_path(void **state)
{
	struct one *o = setup_one(NULL);
	u64 pn;

	send(o, 8);
	pn = nq_next_pn(o->c, o->p.now_us);
	nq_take_numbers(o->c, pn + 1);
	nq_loss_on_sent(o->c, pn, NQ_MIN_UDP_PAYLOAD, 0, 0, o->p.now_us);
	o->p.now_us += 200;
	assert_int_equal(ack_range(o, pn, pn), 0);
	assert_int_equal(o->c->stats.packets_lost, 0);
	assert_int_equal(o->c->rtt.min_us, 10000);
	/* With it others come, in the order of their numbers. */
	o->p.now_us += 19800;
	assert_int_equal(ack_range(o, 4, pn), 0);
	assert_int_equal(o->c->loss.largest_acked, 7);
	assert_int_equal(o->c->stats.packets_lost, 4);
	assert_int_equal(o->c->rtt.srtt_us, 10000);
	assert_int_equal(ack_range(o, 0, pn), 0);
	assert_int_equal(o->c->stats.spurious_losses, 4);
	teardown_one(o);
}

/* A probe of the packet size is not among the losses, so its return takes none of them back. */
static void test_late_probe_undoes_nothing(void **state)
{
	struct one *o = setup_one(NULL);
	u64 cwnd = o->c->cc.cwnd;

	send(o, 10);
	nq_sent_at(o->c, 1)->flags |= NQ_SENT_MTU_PROBE;
	assert_int_equal(ack_range(o, 2, 5), 0);
	assert_int_equal(nq_sent_at(o->c, 0)->state, NQ_SENT_LOST);
	assert_int_equal(nq_sent_at(o->c, 1)->state, NQ_SENT_LOST);
	assert_int_equal(o->c->stats.packets_lost, 1);
	assert_true(o->c->cc.cwnd < cwnd);
	cwnd = o->c->cc.cwnd;
	assert_int_equal(ack_range(o, 1, 5), 0);
	assert_int_equal(o->c->stats.spurious_losses, 0);
	assert_int_equal(o->c->cc.cwnd, cwnd);
	teardown_one(o);
}

static void with_ecn(struct nq_conn_params *p)
{
	p->ecn = true;
}

/* Every packet of the recovery arrived: the window is what it was, and it is counted. */
static void test_spurious_recovery_is_undone(void **state)
{
	struct one *o = setup_one(NULL);
	u64 cwnd = o->c->cc.cwnd;

	send(o, 10);
	o->p.now_us += 10000;
	assert_int_equal(ack_range(o, 4, 6), 0);
	assert_int_equal(o->c->stats.packets_lost, 4);
	assert_int_equal(o->c->cc.cwnd, cwnd * 7 / 10);
	assert_true(nq_take_events(o->c) & NQ_EV_CONGESTION);
	assert_int_equal(ack_range(o, 1, 6), 0);
	assert_int_equal(o->c->cc.cwnd, cwnd * 7 / 10);
	assert_int_equal(o->c->stats.congestion_undos, 0);
	assert_int_equal(ack_range(o, 0, 6), 0);
	assert_int_equal(o->c->cc.cwnd, cwnd);
	assert_int_equal(o->c->cc.ssthresh, NQ_CC_INFINITE);
	assert_int_equal(o->c->stats.congestion_undos, 1);
	assert_true(nq_take_events(o->c) & NQ_EV_CONGESTION);
	teardown_one(o);
}

/* A packet that went on being lost later in the recovery belongs to it. */
static void test_recovery_is_not_undone_by_half(void **state)
{
	struct one *o = setup_one(NULL);
	struct nq_ranges r = { 0 };
	u64 cwnd = o->c->cc.cwnd;

	send(o, 10);
	o->p.now_us += 10000;
	assert_int_equal(ack_range(o, 3, 3), 0);
	assert_int_equal(o->c->stats.packets_lost, 1);
	nq_ranges_add(&r, 3, 3);
	nq_ranges_add(&r, 9, 9);
	assert_int_equal(ack(o, &r, NULL), 0);
	assert_true(o->c->stats.packets_lost > 3);
	assert_int_equal(ack_range(o, 0, 3), 0);
	assert_true(o->c->cc.cwnd < cwnd);
	assert_int_equal(o->c->stats.congestion_undos, 0);
	assert_int_equal(ack_range(o, 0, 9), 0);
	assert_true(o->c->cc.cwnd >= cwnd);
	assert_int_equal(o->c->stats.congestion_undos, 1);
	teardown_one(o);
}

static void test_marked_recovery_stands(void **state)
{
	struct one *o = setup_one(with_ecn);
	struct nq_ranges r = { 0 };
	u64 cwnd = o->c->cc.cwnd;

	send(o, 10);
	o->p.now_us += 10000;
	nq_ranges_add(&r, 4, 6);
	assert_int_equal(ack(o, &r, (u64[]){ 3, 0, 0 }), 0);
	nq_ranges_add(&r, 7, 7);
	assert_int_equal(ack(o, &r, (u64[]){ 3, 0, 1 }), 0);
	assert_int_equal(o->c->stats.ecn_ce, 1);
	nq_ranges_add(&r, 0, 3);
	assert_int_equal(ack(o, &r, (u64[]){ 7, 0, 1 }), 0);
	assert_int_equal(o->c->stats.spurious_losses, 4);
	assert_int_equal(o->c->stats.congestion_undos, 0);
	assert_int_equal(o->c->cc.cwnd, cwnd * 7 / 10);
	teardown_one(o);
}

/* ---- RFC 9002 6.2: the probe timeout ---- */

static void test_pto_is_not_armed(void **state)
{
	struct one *o = setup_one(NULL);
	struct nq_rx_meta m = { .pn = 0, .eliciting = true };
	u8 buf[1500];

	/* 6.2.1: only while something that asks for an ACK is in flight. */
	assert_int_equal(nq_loss_timeout_us(o->c), NQ_TIME_NEVER);
	nq_ack_on_received(o->c, &m, o->p.now_us);
	m.pn = 1;
	nq_ack_on_received(o->c, &m, o->p.now_us);
	assert_true(nq_tx_control(o->c, buf, sizeof(buf), o->p.now_us) > 0);
	assert_int_equal(nq_loss_timeout_us(o->c), NQ_TIME_NEVER);
	teardown_one(o);
}

/* 6.2.1: from the last packet that asks for an ACK; acknowledgements of old news change nothing. */
static void test_pto_restarts(void **state)
{
	struct one *o = setup_one(NULL);
	u64 due;

	send(o, 1);
	due = nq_loss_timeout_us(o->c);
	o->p.now_us += 5000;
	send(o, 1);
	assert_int_equal(nq_loss_timeout_us(o->c), due + 5000);
	nq_on_timeout(o->c, due + 5000);
	assert_int_equal(o->c->loss.pto_count, 1);
	assert_int_equal(ack_range(o, 0, 0), 0);
	assert_int_equal(o->c->loss.pto_count, 0);
	nq_on_timeout(o->c, nq_loss_timeout_us(o->c));
	assert_int_equal(o->c->loss.pto_count, 1);
	assert_int_equal(ack_range(o, 0, 0), 0);
	assert_int_equal(o->c->loss.pto_count, 1);
	assert_int_equal(o->c->stats.ptos, 2);
	teardown_one(o);
}

/* 6.2.1: not while the time threshold of a packet runs; 6.2.2.1 and 7.5: no loss by itself. */
static void test_loss_timer_goes_first(void **state)
{
	struct one *o = setup_one(NULL);
	u64 cwnd, due;

	send(o, 3);
	o->p.now_us += 10000;
	assert_int_equal(ack_range(o, 2, 2), 0);
	due = o->c->loss.loss_time_us;
	assert_int_not_equal(due, NQ_TIME_NEVER);
	assert_int_equal(nq_loss_timeout_us(o->c), due);
	nq_on_timeout(o->c, due);
	assert_int_equal(o->c->stats.packets_lost, 2);
	assert_int_equal(o->c->loss.pto_count, 0);
	o->p.now_us = due;
	send(o, 1);
	cwnd = o->c->cc.cwnd;
	nq_on_timeout(o->c, nq_loss_timeout_us(o->c));
	assert_int_equal(o->c->loss.pto_count, 1);
	assert_int_equal(o->c->stats.packets_lost, 2);
	assert_int_equal(o->c->cc.cwnd, cwnd);
	teardown_one(o);
}

static void test_pto(void **state)
{
	struct one *o = setup_one(NULL);
	u64 sent_us = o->p.now_us, due, pto;
	u8 buf[1500];

	send(o, 1);
	pto = 10000 + 1000 + 25000;
	due = nq_next_timeout_us(o->c);
	assert_int_equal(due, sent_us + pto);
	assert_false(nq_tx_control_wanted(o->c, due - 1));
	nq_on_timeout(o->c, due);
	assert_true(nq_tx_control_wanted(o->c, due));
	assert_int_equal(o->c->stats.packets_lost, 0);
	assert_true(nq_tx_control(o->c, buf, sizeof(buf), due) > 0);
	assert_false(nq_tx_control_wanted(o->c, due));
	/* Backoff, and two probes from the second on. */
	assert_int_equal(nq_next_timeout_us(o->c), due + 2 * pto);
	nq_on_timeout(o->c, due + 2 * pto);
	assert_true(nq_tx_control(o->c, buf, sizeof(buf), due + 2 * pto) > 0);
	assert_true(nq_tx_control(o->c, buf, sizeof(buf), due + 2 * pto) > 0);
	assert_int_equal(nq_tx_control(o->c, buf, sizeof(buf), due + 2 * pto), 0);
	/* An acknowledgement of a probe ends it and shows the first packet lost. */
	o->p.now_us = due + 2 * pto + 50000;
	assert_int_equal(ack_range(o, 3, 3), 0);
	assert_int_equal(o->c->loss.pto_count, 0);
	assert_int_equal(o->c->stats.datagram_lost, 1);
	teardown_one(o);
}

static void long_path(struct nq_conn_params *p)
{
	p->srtt_us = p->min_rtt_us = 2000000;
}

/* The backoff doubles, but a path that comes back is asked within a second. */
static void test_pto_backoff_ends(void **state)
{
	struct one *o = setup_one(NULL);
	u64 due = 0, before, pto = 10000 + 1000 + 25000;
	u8 buf[1500];
	int i;

	send(o, 1);
	for (i = 0; i < 40; i++) {
		before = due;
		due = nq_loss_timeout_us(o->c);
		if (before)
			assert_int_equal(due - before, nq_min(pto << i, 1000000));
		if (due > 25000000) /* the idle timeout is near */
			break;
		nq_on_timeout(o->c, due);
		while (nq_tx_control(o->c, buf, sizeof(buf), due) > 0)
			;
	}
	assert_true(i > 20);
	teardown_one(o);
}

/* On a path whose probe timeout is longer than that it still doubles once. */
static void test_pto_backoff_of_long_path(void **state)
{
	struct one *o = setup_one(long_path);
	u64 due, pto = 2000000 + 1000 + 25000;
	u8 buf[1500];
	int i;

	send(o, 1);
	due = nq_next_timeout_us(o->c);
	for (i = 0; i < 3; i++) {
		nq_on_timeout(o->c, due);
		while (nq_tx_control(o->c, buf, sizeof(buf), due) > 0)
			;
		assert_int_equal(nq_next_timeout_us(o->c), due + 2 * pto);
		due += 2 * pto;
	}
	teardown_one(o);
}

/* A probe leaves although the window is full. */
static void test_probe_is_exempt(void **state)
{
	struct one *o = setup_one(NULL);
	u8 buf[1500];
	u64 due;

	while (pair_send(&o->p, 0, 1, 1300))
		;
	due = nq_next_timeout_us(o->c);
	nq_on_timeout(o->c, due);
	assert_true(nq_tx_control(o->c, buf, sizeof(buf), due) > 0);
	teardown_one(o);
}

static void test_persistent_congestion(void **state)
{
	struct one *o = setup_one(NULL);
	u64 step = nq_pto_us(o->c);
	int i;

	o->p.now_us += 1;
	send(o, 1);
	for (i = 0; i < 5; i++) {
		o->p.now_us += step;
		send(o, 1);
	}
	/* Only the last arrived: five lost in a row over four PTOs. */
	o->p.now_us += 10000;
	assert_int_equal(ack_range(o, 5, 5), 0);
	assert_int_equal(o->c->stats.packets_lost, 5);
	assert_int_equal(o->c->cc.state == NQ_CC_PERSISTENT || o->c->cc.cwnd <= 3ULL * o->c->cc.mss,
			 true);
	teardown_one(o);
}

/* One packet, then some a PTO apart of which only the last arrives. */
static void lose_for(struct one *o, unsigned int ptos, u64 less_us)
{
	u64 step = nq_pto_us(o->c);
	unsigned int i;

	o->p.now_us += 1;
	send(o, 1);
	for (i = 0; i < ptos; i++) {
		o->p.now_us += step - less_us;
		send(o, 1);
	}
	o->p.now_us += 30000;
	assert_int_equal(ack_range(o, o->c->next_pn - 1, o->c->next_pn - 1), 0);
}

/* 7.6.1: longer than three PTOs between the first and the last lost, not less. */
static void test_persistent_duration(void **state)
{
	struct one *o = setup_one(NULL);

	lose_for(o, 4, 10);
	assert_int_equal(o->c->stats.packets_lost, 4);
	assert_int_not_equal(o->c->cc.state, NQ_CC_PERSISTENT);
	assert_true(o->c->cc.cwnd > 3ULL * o->c->cc.mss);
	teardown_one(o);
	o = setup_one(NULL);
	lose_for(o, 6, 0);
	assert_true(o->c->cc.cwnd <= 3ULL * o->c->cc.mss);
	/* 5.2: what the least round trip was no longer counts. */
	assert_int_equal(o->c->rtt.min_us, 30000);
	teardown_one(o);
}

static void no_sample(struct nq_conn_params *p)
{
	p->srtt_us = p->rttvar_us = p->min_rtt_us = 0;
}

/* 7.6.2: packets that were sent before there was a round trip sample do not count. */
static void test_persistent_needs_a_sample(void **state)
{
	struct one *o = setup_one(no_sample);

	lose_for(o, 8, 0);
	assert_true(o->c->stats.packets_lost > 5);
	assert_int_not_equal(o->c->cc.state, NQ_CC_PERSISTENT);
	assert_true(o->c->cc.cwnd > 3ULL * o->c->cc.mss);
	teardown_one(o);
}

/* 7.6.2: none of those between may be acknowledged, late neither. */
static void test_no_persistent_with_late_ack(void **state)
{
	struct one *o = setup_one(NULL);
	u64 step = nq_pto_us(o->c), due;
	struct nq_ranges r = { 0 };

	o->p.now_us += 1;
	send(o, 1);
	o->p.now_us += 2 * step;
	send(o, 6);
	o->p.now_us += 2 * step;
	send(o, 3);
	o->p.now_us += 10000;
	nq_ranges_add(&r, 9, 9);
	assert_int_equal(ack(o, &r, NULL), 0);
	assert_int_equal(o->c->stats.packets_lost, 7);
	nq_ranges_add(&r, 3, 3);
	assert_int_equal(ack(o, &r, NULL), 0);
	assert_int_equal(o->c->stats.spurious_losses, 1);
	/* The time threshold takes the last two, four PTOs after the first. */
	due = o->c->loss.loss_time_us;
	assert_int_not_equal(due, NQ_TIME_NEVER);
	nq_on_timeout(o->c, due);
	assert_int_equal(o->c->stats.packets_lost, 9);
	assert_int_not_equal(o->c->cc.state, NQ_CC_PERSISTENT);
	teardown_one(o);
}

/* The ACK that shows it may report a window of the time before as well: nothing grows by that. */
static void test_persistent_stays_at_minimum(void **state)
{
	struct one *o = setup_one(NULL);
	u64 step = nq_pto_us(o->c);
	struct nq_ranges r = { 0 };
	int i;

	o->p.now_us += 1;
	send(o, 6);
	for (i = 0; i < 6; i++) {
		o->p.now_us += step;
		send(o, 1);
	}
	o->p.now_us += 10000;
	nq_ranges_add(&r, 0, 5);
	nq_ranges_add(&r, 11, 11);
	assert_int_equal(ack(o, &r, NULL), 0);
	assert_int_equal(o->c->stats.packets_lost, 5);
	assert_int_equal(o->c->cc.cwnd, 2ULL * o->c->cc.mss);
	/* What is sent from now on lets it grow. */
	o->p.now_us += step;
	send(o, 2);
	o->p.now_us += 10000;
	assert_int_equal(ack_range(o, 12, 13), 0);
	assert_true(o->c->cc.cwnd > 2ULL * o->c->cc.mss);
	teardown_one(o);
}

static void test_no_persistent_with_ack_between(void **state)
{
	struct one *o = setup_one(NULL);
	u64 step = nq_pto_us(o->c);
	struct nq_ranges r = { 0 };
	int i;

	o->p.now_us += 1;
	send(o, 1);
	for (i = 0; i < 5; i++) {
		o->p.now_us += step;
		send(o, 1);
	}
	o->p.now_us += 10000;
	nq_ranges_add(&r, 2, 2);
	nq_ranges_add(&r, 5, 5);
	assert_int_equal(ack(o, &r, NULL), 0);
	assert_int_equal(o->c->stats.packets_lost, 4);
	assert_true(o->c->cc.cwnd > 3ULL * o->c->cc.mss);
	teardown_one(o);
}

static void test_app_limited(void **state)
{
	struct one *o = setup_one(NULL);
	u64 cwnd = o->c->cc.cwnd;
	int i;

	for (i = 0; i < 50; i++) {
		send(o, 2);
		o->p.now_us += 10000;
		assert_int_equal(ack_range(o, 0, o->c->next_pn - 1), 0);
	}
	assert_int_equal(o->c->cc.cwnd, cwnd);
	/* Filling it makes it grow. */
	allow(o, 100);
	while (pair_send(&o->p, 0, 1, 1300))
		;
	o->p.now_us += 10000;
	assert_int_equal(ack_range(o, 0, o->c->next_pn - 1), 0);
	assert_true(o->c->cc.cwnd > cwnd);
	teardown_one(o);
}

/* With a window of a megabyte, the pacer spreads it: what leaves never exceeds rate and burst. */
static void test_pacing_holds(void **state)
{
	struct one *o = setup_one(NULL);
	u64 start_us, sent = 0, rate, burst;
	struct nq_tx_burst b;

	o->c->cc.cwnd = 1000000;
	o->c->cc.ssthresh = 1000000;
	nq_update_pacing(o->c, o->p.now_us);
	rate = o->c->pacer.rate;
	burst = o->c->pacer.burst / NQ_PACER_SCALE;
	assert_int_equal(rate, 125000000);
	start_us = o->p.now_us;
	while (o->p.now_us < start_us + 7000) {
		while (pair_send(&o->p, 0, 44, 1300))
			;
		sent = o->c->stats.tx_bytes;
		assert_true(sent <= rate * (o->p.now_us - start_us) / 1000000 + burst + PAIR_MTU);
		assert_int_equal(nq_tx_reserve(o->c, &b, 44, 1400, o->p.now_us), 0);
		assert_int_equal(b.limit, NQ_TX_PACED);
		assert_true(b.retry_us > o->p.now_us);
		nq_tx_commit(o->c, &b, NULL, 0, o->p.now_us);
		o->p.now_us = b.retry_us;
	}
	assert_true(sent >= rate * 7 / 1000 - burst);
	assert_true(o->c->stats.pacing_delays > 10);
	teardown_one(o);
}

/* ---- ECN ---- */

static int ack_ecn(struct one *o, u64 last, u64 ect0, u64 ect1, u64 ce)
{
	struct nq_ranges r = { 0 };

	nq_ranges_add(&r, 0, last);
	return ack(o, &r, (u64[]){ ect0, ect1, ce });
}

static void test_ecn_capable_and_ce(void **state)
{
	struct one *o = setup_one(with_ecn);
	u64 cwnd;

	assert_true(nq_tx_ecn(o->c));
	send(o, 8);
	o->p.now_us += 10000;
	assert_int_equal(ack_ecn(o, 7, 8, 0, 0), 0);
	assert_int_equal(o->c->ecn.state, NQ_ECN_CAPABLE);
	cwnd = o->c->cc.cwnd;
	send(o, 4);
	o->p.now_us += 10000;
	assert_int_equal(ack_ecn(o, 11, 11, 0, 1), 0);
	assert_true(nq_tx_ecn(o->c));
	assert_true(o->c->cc.cwnd < cwnd);
	assert_int_equal(o->c->stats.packets_lost, 0);
	teardown_one(o);
}

static void fail_ecn(u64 ect0, u64 ect1, u64 ce)
{
	struct one *o = setup_one(with_ecn);

	send(o, 8);
	o->p.now_us += 10000;
	assert_int_equal(ack_ecn(o, 7, ect0, ect1, ce), 0);
	assert_int_equal(o->c->ecn.state, NQ_ECN_FAILED);
	assert_false(nq_tx_ecn(o->c));
	teardown_one(o);
}

static void test_ecn_fails(void **state)
{
	struct one *o;

	fail_ecn(7, 0, 0); /* one bleached */
	fail_ecn(8, 1, 0); /* ECT(1) that nobody sent */
	fail_ecn(9, 0, 0); /* more than were sent */
	o = setup_one(with_ecn);
	send(o, 8);
	assert_int_equal(ack_range(o, 0, 7), 0); /* no counts at all */
	assert_false(nq_tx_ecn(o->c));
	teardown_one(o);
}

/* RFC 9000 13.4.2.1: an ACK that does not raise the largest acknowledged number proves nothing. */
static void test_ecn_overtaken_ack(void **state)
{
	struct one *o = setup_one(with_ecn);
	struct nq_ranges r = { 0 };

	send(o, 8);
	o->p.now_us += 10000;
	nq_ranges_add(&r, 6, 7);
	assert_int_equal(ack(o, &r, (u64[]){ 2, 0, 0 }), 0);
	assert_int_equal(o->c->ecn.state, NQ_ECN_CAPABLE);
	/* Older: newly acknowledges one, with the counts of its time; or without any. */
	assert_int_equal(ack_range(o, 5, 5), 0);
	r.n = 0;
	nq_ranges_add(&r, 4, 7);
	assert_int_equal(ack(o, &r, (u64[]){ 2, 0, 0 }), 0);
	assert_true(nq_tx_ecn(o->c));
	/* The next that does raise it is judged. */
	send(o, 1);
	assert_int_equal(ack_ecn(o, 8, 2, 0, 0), 0);
	assert_false(nq_tx_ecn(o->c));
	teardown_one(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rtt),
		cmocka_unit_test(test_rtt_is_bounded),
		cmocka_unit_test(test_ack_counts_once),
		cmocka_unit_test(test_optimistic_ack),
		cmocka_unit_test(test_unsealed_numbers_return),
		cmocka_unit_test(test_given_back_numbers_hide_old_records),
		cmocka_unit_test(test_acked_runs_are_compressed),
		cmocka_unit_test(test_acks_go_on_behind_a_lost_packet),
		cmocka_unit_test(test_packet_threshold),
		cmocka_unit_test(test_time_threshold),
		cmocka_unit_test(test_spurious_loss_widens),
		cmocka_unit_test(test_packet_of_another_path),
		cmocka_unit_test(test_late_probe_undoes_nothing),
		cmocka_unit_test(test_spurious_recovery_is_undone),
		cmocka_unit_test(test_recovery_is_not_undone_by_half),
		cmocka_unit_test(test_marked_recovery_stands),
		cmocka_unit_test(test_pto_is_not_armed),
		cmocka_unit_test(test_pto_restarts),
		cmocka_unit_test(test_loss_timer_goes_first),
		cmocka_unit_test(test_pto),
		cmocka_unit_test(test_pto_backoff_ends),
		cmocka_unit_test(test_pto_backoff_of_long_path),
		cmocka_unit_test(test_probe_is_exempt),
		cmocka_unit_test(test_persistent_congestion),
		cmocka_unit_test(test_persistent_duration),
		cmocka_unit_test(test_persistent_needs_a_sample),
		cmocka_unit_test(test_no_persistent_with_late_ack),
		cmocka_unit_test(test_persistent_stays_at_minimum),
		cmocka_unit_test(test_no_persistent_with_ack_between),
		cmocka_unit_test(test_app_limited),
		cmocka_unit_test(test_pacing_holds),
		cmocka_unit_test(test_ecn_capable_and_ce),
		cmocka_unit_test(test_ecn_fails),
		cmocka_unit_test(test_ecn_overtaken_ack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
