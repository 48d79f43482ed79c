// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Closing, draining, idle timeout, keepalive, stateless reset.
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
	p.params[0].srtt_us = p.params[1].srtt_us = 10000;
	return 0;
}

static int teardown(void **state)
{
	pair_stop(&p);
	return 0;
}

static void test_close_reaches_the_peer(void **state)
{
	struct nq_close_info info;
	struct nq_tx_burst b;
	u64 start_us, drain;

	pair_start(&p);
	start_us = p.now_us;
	drain = 3 * nq_pto_us(p.end[0].conn);
	nq_close(p.end[0].conn, true, 7, "bye\tbye", p.now_us);
	assert_int_equal(nq_tx_reserve(p.end[0].conn, &b, 1, 1000, p.now_us), 0);
	assert_int_equal(b.limit, NQ_TX_CLOSED);
	pair_control(&p, 0);
	assert_int_equal(p.link[0].sent, 1);
	pair_run(&p, p.now_us + 20000);
	nq_close_info(p.end[1].conn, &info);
	assert_int_equal(info.cause, NQ_CLOSE_PEER);
	assert_true(info.application);
	assert_int_equal(info.code, 7);
	assert_string_equal(info.reason, "bye?bye");
	assert_true(p.end[1].events & NQ_EV_CLOSED);
	assert_false(p.end[1].events & NQ_EV_GONE);
	/* The peer drains: it says nothing at all. The close is said once more, it might be lost. */
	assert_int_equal(p.link[1].sent, 0);
	assert_int_equal(nq_next_timeout_us(p.end[0].conn), start_us + drain / 3);
	pair_run(&p, start_us + drain / 3);
	assert_int_equal(p.link[0].sent, 2);
	assert_int_equal(nq_next_timeout_us(p.end[0].conn), start_us + drain);
	pair_run(&p, start_us + 2 * drain);
	assert_int_equal(p.link[0].sent, 2);
	assert_true(p.end[0].events & NQ_EV_GONE);
	assert_true(p.end[1].events & NQ_EV_GONE);
	nq_close_info(p.end[0].conn, &info);
	assert_int_equal(info.cause, NQ_CLOSE_LOCAL);
}

/* While closing, the close is repeated ever more rarely, and nothing that arrives is delivered. */
static void test_closing_answers_rarely(void **state)
{
	int i;

	pair_start(&p);
	p.link[0].loss_permille = 1000;
	nq_close(p.end[0].conn, false, 0, NULL, p.now_us);
	pair_control(&p, 0);
	for (i = 0; i < 8; i++) {
		pair_send(&p, 1, 1, 100);
		pair_run(&p, p.now_us + 6000);
	}
	assert_int_equal(p.end[0].delivered, 0);
	/* After 1, 2, 4, 8, and a PTO. */
	assert_int_equal(p.link[0].sent, 1 + 4 + 1);
}

/* The first close is lost, and the peer has nothing to say. */
static void test_lost_close(void **state)
{
	struct nq_close_info info;

	pair_start(&p);
	p.link[0].loss_permille = 1000;
	nq_close(p.end[0].conn, true, 7, "bye", p.now_us);
	pair_control(&p, 0);
	p.link[0].loss_permille = 0;
	pair_run(&p, p.now_us + 2 * nq_pto_us(p.end[0].conn));
	nq_close_info(p.end[1].conn, &info);
	assert_int_equal(info.cause, NQ_CLOSE_PEER);
	assert_int_equal(info.code, 7);
}

static void test_idle_timeout(void **state)
{
	struct nq_close_info info;

	p.params[0].max_idle_timeout_ms = 2000;
	pair_start(&p);
	pair_run(&p, p.now_us + 1999999);
	assert_int_equal(p.end[0].events & ~NQ_EV_CID_WANTED, 0);
	pair_run(&p, p.now_us + 1);
	assert_int_equal(p.end[0].events & ~NQ_EV_CID_WANTED, NQ_EV_CLOSED | NQ_EV_GONE);
	nq_close_info(p.end[0].conn, &info);
	assert_int_equal(info.cause, NQ_CLOSE_IDLE);
	assert_int_equal(p.link[0].sent, 0);
}

/* The timeout is never shorter than three PTOs. */
static void test_idle_is_three_ptos(void **state)
{
	u64 start_us;

	p.params[0].max_idle_timeout_ms = 10;
	pair_start(&p);
	start_us = p.now_us;
	assert_int_equal(nq_next_timeout_us(p.end[0].conn),
			 start_us + 3 * nq_pto_us(p.end[0].conn));
}

static void test_sending_restarts_idle_once(void **state)
{
	u64 start_us;

	p.params[0].max_idle_timeout_ms = 2000;
	pair_start(&p);
	p.link[0].loss_permille = 1000;
	start_us = p.now_us;
	pair_run(&p, start_us + 1000000);
	pair_send(&p, 0, 1, 100);
	pair_run(&p, start_us + 2000000);
	pair_send(&p, 0, 1, 100);
	pair_run(&p, start_us + 2999999);
	assert_int_equal(p.end[0].events & NQ_EV_GONE, 0);
	pair_run(&p, start_us + 3000000);
	assert_true(p.end[0].events & NQ_EV_GONE);
}

/* Nothing comes though something was asked for: said once, and again only after something came. */
static void test_silent_peer(void **state)
{
	u64 start_us, wait;
	int i;

	pair_start(&p);
	/* Whoever asks for nothing hears nothing. */
	pair_run(&p, p.now_us + 5000000);
	assert_int_equal(p.end[0].events & NQ_EV_SILENT, 0);
	pair_send(&p, 0, 1, 100);
	pair_run(&p, p.now_us + 1000000);
	assert_int_equal(p.end[0].events & NQ_EV_SILENT, 0);
	p.link[1].loss_permille = 1000;
	start_us = p.now_us;
	wait = 7 * nq_pto_us(p.end[0].conn);
	if (wait < 500000)
		wait = 500000;
	/* Steady traffic, which keeps the probe timer from expiring. */
	while (p.now_us < start_us + wait - 1) {
		pair_send(&p, 0, 1, 100);
		pair_run(&p, nq_min(p.now_us + 20000, start_us + wait - 1));
		assert_int_equal(p.end[0].events & NQ_EV_SILENT, 0);
	}
	for (i = 0; i < 2; i++) {
		pair_run(&p, p.now_us + 1);
		assert_true(p.end[0].events & NQ_EV_SILENT);
		p.end[0].events = 0;
		pair_run(&p, p.now_us + 3 * wait);
		assert_int_equal(p.end[0].events & NQ_EV_SILENT, 0);
		/* It is there again, for a while. */
		p.link[1].loss_permille = 0;
		pair_run(&p, p.now_us + 5000000);
		p.link[1].loss_permille = 1000;
		wait = nq_max(7 * nq_pto_us(p.end[0].conn), 500000);
		pair_send(&p, 0, 1, 100);
		pair_run(&p, p.now_us + wait - 1);
		assert_int_equal(p.end[0].events & NQ_EV_SILENT, 0);
	}
}

static void test_keepalive(void **state)
{
	p.params[0].max_idle_timeout_ms = p.params[1].max_idle_timeout_ms = 3000;
	p.params[0].keepalive_ms = 1000;
	pair_start(&p);
	pair_run(&p, p.now_us + 10500000);
	assert_int_equal(p.end[0].conn->state, NQ_ACTIVE);
	assert_int_equal(p.end[1].conn->state, NQ_ACTIVE);
	assert_int_equal(p.link[0].sent, 10);
	assert_int_equal(p.link[1].sent, 10);
	/* Off: it ends. */
	nq_set_keepalive(p.end[0].conn, 0, p.now_us);
	pair_run(&p, p.now_us + 4000000);
	assert_true(p.end[0].events & NQ_EV_GONE);
}

static void test_stateless_reset(void **state)
{
	u8 packet[60] = { 0x40 }, token[NQ_RESET_TOKEN_LEN];
	struct nq_rx_pkt pkt = { .data = packet };
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	struct nq_close_info info;
	unsigned int n;
	u32 len;

	pair_start(&p);
	memcpy(token, p.end[0].conn->cids.remote[0].token, sizeof(token));
	/* A wrong token changes nothing, at any length. */
	for (len = 1; len <= sizeof(packet); len++) {
		pkt.len = len;
		packet[0] = 0x40;
		memset(packet + 1, 0x99, sizeof(packet) - 1);
		nq_rx_open(p.end[0].conn, &pkt, 1, dg, NQ_BURST_MAX, &n, p.now_us);
		assert_int_not_equal(pkt.status, NQ_RX_OK);
	}
	assert_int_equal(p.end[0].conn->state, NQ_ACTIVE);
	memcpy(packet + sizeof(packet) - 16, token, 16);
	packet[0] = 0x40;
	nq_rx_open(p.end[0].conn, &pkt, 1, dg, NQ_BURST_MAX, &n, p.now_us);
	nq_close_info(p.end[0].conn, &info);
	assert_int_equal(info.cause, NQ_CLOSE_RESET);
	assert_false(nq_tx_control_wanted(p.end[0].conn, p.now_us));
}

/* RFC 9000 10.3.1: tokens of connection IDs that were never used are not looked at. */
static void test_reset_of_an_unused_id(void **state)
{
	struct nq_conn_params *q = &p.params[0];
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	u8 packet[60] = { 0x40 };
	struct nq_rx_pkt pkt = { .data = packet, .len = sizeof(packet) };
	unsigned int n;

	q->remote_cids[1] = q->remote_cids[0];
	q->remote_cids[1].seq = 1;
	memset(q->remote_cids[1].id, 0x55, q->remote_cids[1].len);
	memset(q->remote_cids[1].token, 0x66, NQ_RESET_TOKEN_LEN);
	q->n_remote_cids = 2;
	pair_start(&p);
	memset(packet + sizeof(packet) - 16, 0x66, 16);
	nq_rx_open(p.end[0].conn, &pkt, 1, dg, NQ_BURST_MAX, &n, p.now_us);
	assert_int_equal(pkt.status, NQ_RX_AEAD);
	assert_int_equal(p.end[0].conn->state, NQ_ACTIVE);
}

/* A reset shorter than any packet of ours, as a server sends in answer to a short packet. */
static void test_short_reset(void **state)
{
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	struct nq_rx_pkt pkt;
	u8 packet[21] = { 0x51 };
	unsigned int n;

	pair_start(&p);
	memcpy(packet + 5, p.end[0].conn->cids.remote[0].token, 16);
	pkt = (struct nq_rx_pkt){ .data = packet, .len = sizeof(packet) };
	nq_rx_open(p.end[0].conn, &pkt, 1, dg, NQ_BURST_MAX, &n, p.now_us);
	assert_int_equal(p.end[0].conn->state, NQ_DRAINING);
}

#define ONE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ONE(test_close_reaches_the_peer),
		ONE(test_closing_answers_rarely),
		ONE(test_idle_timeout),
		ONE(test_idle_is_three_ptos),
		ONE(test_sending_restarts_idle_once),
		ONE(test_keepalive),
		ONE(test_silent_peer),
		ONE(test_lost_close),
		ONE(test_stateless_reset),
		ONE(test_short_reset),
		ONE(test_reset_of_an_unused_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
