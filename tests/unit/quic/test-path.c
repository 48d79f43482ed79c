// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Paths: a client that moves or is moved, servers that follow or do not, forgers in between.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pair.h"

#define OTHER_HOST 0x10000
#define FORGER 0x990001
#define SECOND 1000000
#define RTT_US 10000

static struct pair p;

static int setup(void **state)
{
	pair_params(&p, &null_crypto, NQ_AES_128_GCM);
	p.params[1].migration = true;
	p.params[1].path_secret[0] = 0x1234;
	p.params[0].path_secret[1] = 0x5678;
	return 0;
}

static int teardown(void **state)
{
	pair_stop(&p);
	return 0;
}

/* Both send for @us; every round asserts the invariants. */
static void traffic(u64 us)
{
	u64 end_us = p.now_us + us;

	while (p.now_us < end_us) {
		pair_send(&p, 0, 4, 500);
		pair_send(&p, 1, 4, 500);
		pair_run(&p, p.now_us + 1000);
		pair_check(p.end[0].conn);
		pair_check(p.end[1].conn);
	}
}

static void start(void)
{
	pair_start(&p);
	pair_issue_cids(&p, 0);
	pair_issue_cids(&p, 1);
	traffic(100000);
}

static u32 used_paths(int i)
{
	u32 n = 0;
	u8 k;

	for (k = 0; k < NQ_PATHS_MAX; k++)
		n += nq_path_used(p.end[i].conn, k);
	return n;
}

/* ---- the peer's address changes without its doing ---- */

static void test_port_rebinding(void **state)
{
	struct nq_conn *s;
	u64 cwnd, before, lost;
	u32 srtt;

	start();
	s = p.end[1].conn;
	cwnd = s->cc.cwnd;
	srtt = s->rtt.srtt_us;
	nq_take_events(s);
	p.nat_shift = 7;
	before = p.end[0].delivered;
	traffic(50000);
	assert_int_not_equal(nq_active_path(s), 0);
	assert_int_equal(p.end[1].addr[nq_active_path(s)], PAIR_HOME + 7);
	assert_true(p.end[1].events & NQ_EV_PATH);
	assert_int_equal(pair_counters(&p, 1).path_validations, 1);
	assert_int_equal(pair_counters(&p, 1).migrations, 1);
	assert_true(p.end[0].delivered > before + 20);
	/* Only ports changed: what was learnt stays, and so does the ID, which the client kept too. */
	assert_true(s->cc.cwnd >= cwnd / 2 && s->rtt.has_sample && s->rtt.srtt_us < 2 * srtt);
	assert_int_equal(s->cids.remote[0].seq, 0);
	/* What was on the way to the former port is lost, and the challenges to it, nothing else. */
	lost = p.link[1].dropped;
	assert_true(lost < 64);
	traffic(SECOND);
	assert_true(p.link[1].dropped < lost + NQ_PATH_TRIES);
	assert_int_equal(used_paths(1), 1);
	assert_int_equal(pair_counters(&p, 1).path_validations, 1);
}

static void test_host_change(void **state)
{
	struct nq_conn *s;
	u64 base;

	p.params[1].ecn = true;
	start();
	s = p.end[1].conn;
	traffic(300000);
	assert_true(s->cc.cwnd > 30000 && s->ecn.state == NQ_ECN_CAPABLE);
	base = s->loss.base_pn;
	p.nat_shift = OTHER_HOST;
	pair_send(&p, 0, 1, 100);
	pair_send(&p, 1, 10, 500);
	while (!pair_counters(&p, 1).path_validations)
		assert_true(pair_step(&p, p.now_us + SECOND));
	/* Confirmed: another path, about which only the challenge has told something. */
	assert_int_equal(s->cc.cwnd, 14000);
	assert_false(s->rtt.has_sample);
	assert_true(s->rtt.initial_us >= RTT_US && s->rtt.initial_us < 2 * RTT_US);
	assert_int_equal(s->ecn.state, NQ_ECN_TESTING);
	assert_int_equal(s->loss.pto_count, 0);
	assert_true(s->loss.base_pn > base);
	pair_check(s);
	traffic(300000);
	assert_true(s->rtt.has_sample && s->ecn.state == NQ_ECN_CAPABLE);
	assert_int_equal(pair_counters(&p, 1).migrations, 1);
}

/* Three times what came, not a byte more, until the address has answered; then back. */
static void test_amplification(void **state)
{
	struct nq_tx_burst b;
	struct nq_conn *s;
	u64 in, out, start_us;

	start();
	s = p.end[1].conn;
	pair_run(&p, p.now_us + SECOND);
	p.nat_shift = OTHER_HOST;
	pair_send(&p, 0, 1, 300);
	in = 300 + nq_tx_overhead_bytes(p.end[0].conn);
	/* The client hears nothing from now on: a victim whose address was forged. */
	p.link[1].dead_host = (PAIR_HOME + OTHER_HOST) >> 16;
	p.link[0].loss_permille = 1000;
	pair_run(&p, p.now_us + RTT_US);
	assert_int_not_equal(nq_active_path(s), 0);
	out = pair_counters(&p, 1).tx_bytes;
	start_us = p.now_us;
	while (nq_active_path(s)) {
		u64 old = p.link[1].alone;

		pair_send(&p, 1, 20, 100);
		pair_step(&p, p.now_us + 20000);
		/* Challenges to the former path go elsewhere. */
		out += (p.link[1].alone - old) * NQ_MIN_UDP_PAYLOAD;
		if (!nq_active_path(s))
			break;
		assert_true(pair_counters(&p, 1).tx_bytes - out <= 3 * in);
		assert_true(p.now_us < start_us + 5 * SECOND);
	}
	assert_true(p.now_us - start_us > SECOND);
	assert_int_equal(pair_counters(&p, 1).path_validations, 0);
	assert_int_equal(pair_counters(&p, 1).migrations, 0);
	assert_true(p.end[1].events & NQ_EV_PATH);
	assert_true(nq_tx_reserve(s, &b, 1, 200, p.now_us) == 1);
	nq_tx_commit(s, &b, NULL, 0, p.now_us);
	/* A bulk sender is held at the limit, and told why. */
	p.link[0].loss_permille = 0;
	pair_send(&p, 0, 1, 300);
	pair_run(&p, p.now_us + RTT_US);
	assert_int_not_equal(nq_active_path(s), 0);
	while (pair_send(&p, 1, 1, 100))
		;
	assert_int_equal(nq_tx_reserve(s, &b, 10, 1000, p.now_us), 0);
	assert_int_equal(b.limit, NQ_TX_PATH);
}

/* Data and control packets of one flush share the credit, and the challenge is not left behind. */
static void test_credit_of_a_flush(void **state)
{
	struct nq_tx_pkt pkts[NQ_BURST_MAX];
	static u8 bufs[NQ_BURST_MAX][1500];
	struct nq_tx_burst b;
	struct nq_path *to;
	struct nq_conn *s;
	u64 sent = 0;
	u8 buf[1500];
	u32 k, n;
	int len;

	start();
	pair_run(&p, p.now_us + SECOND);
	s = p.end[1].conn;
	p.nat_shift = OTHER_HOST;
	pair_send(&p, 0, 1, 300);
	p.link[0].loss_permille = 1000;
	pair_run(&p, p.now_us + RTT_US);
	to = &s->paths.p[nq_active_path(s)];
	assert_false(to->valid);
	/* As if a packet of 1200 bytes had just come, and a challenge were due. */
	to->credit_bytes = 3 * NQ_MIN_UDP_PAYLOAD;
	to->challenge_wanted = true;
	n = nq_tx_reserve(s, &b, NQ_BURST_MAX, NQ_MIN_UDP_PAYLOAD, p.now_us);
	assert_int_equal(n, 2);
	assert_int_equal(b.limit, NQ_TX_PATH);
	for (k = 0; k < n; k++) {
		pkts[k].buf = bufs[k];
		pkts[k].len = b.hdr_len + nq_tx_datagram_header(s, bufs[k] + b.hdr_len) + 1100;
	}
	assert_int_equal(nq_tx_seal(s, &b, pkts, n), 0);
	for (k = 0; k < n; k++)
		sent += pkts[k].len;
	while ((len = nq_tx_control(s, buf, sizeof(buf), p.now_us)) > 0)
		sent += (u32)len;
	nq_tx_commit(s, &b, pkts, n, p.now_us);
	assert_false(to->challenge_wanted);
	assert_true(sent > 2 * NQ_MIN_UDP_PAYLOAD && sent <= 3 * NQ_MIN_UDP_PAYLOAD);
}

/* What a forger copies from the path must not move the server: the client answers and wins back. */
static void test_forged_copies(void **state)
{
	struct nq_conn *s;
	u64 cwnd;

	start();
	s = p.end[1].conn;
	cwnd = s->cc.cwnd;
	p.copy_from = FORGER;
	pair_send(&p, 0, 1, 300);
	p.copy_from = 0;
	while (!nq_active_path(s))
		assert_true(pair_step(&p, p.now_us + SECOND));
	assert_int_equal(p.end[1].addr[nq_active_path(s)], FORGER);
	assert_int_equal(nq_confirmed_path(s), 0);
	/* Without any data of its own the client answers the challenge to its address. */
	pair_run(&p, p.now_us + 4 * RTT_US);
	assert_int_equal(nq_active_path(s), 0);
	assert_true(s->cc.cwnd >= cwnd / 2);
	traffic(5 * SECOND);
	assert_int_equal(pair_counters(&p, 1).migrations, 0);
	assert_int_equal(used_paths(1), 1);
}

static void test_forgeries_leave_no_trace(void **state)
{
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	struct nq_rx_pkt pkt = { 0 };
	struct nq_paths before;
	struct nq_conn *s;
	unsigned int n;
	u8 buf[200];
	int i;

	start();
	pair_run(&p, p.now_us + SECOND);
	s = p.end[1].conn;
	before = s->paths;
	for (i = 0; i < 1000; i++) {
		memset(buf, i, sizeof(buf));
		buf[0] = 0x40;
		memcpy(buf + 1, s->cids.local[0].cid.id, 20);
		buf[sizeof(buf) - 1]++; /* not a reset token */
		pkt = (struct nq_rx_pkt){ .data = buf, .len = sizeof(buf), .path = NQ_PATH_NEW };
		nq_rx_open(s, &pkt, 1, dg, NQ_BURST_MAX, &n, p.now_us);
		assert_int_equal(pkt.status, NQ_RX_AEAD);
		assert_int_equal(pkt.path, NQ_PATH_NEW);
	}
	assert_memory_equal(&before, &s->paths, sizeof(before));
	assert_false(nq_tx_alone_wanted(s, p.now_us));
}

static void test_not_allowed(void **state)
{
	struct nq_conn *s;

	p.params[1].migration = false;
	start();
	s = p.end[1].conn;
	p.nat_shift = OTHER_HOST;
	pair_send(&p, 0, 5, 300);
	pair_run(&p, p.now_us + RTT_US);
	assert_int_equal(p.end[1].refused, 5);
	assert_int_equal(nq_active_path(s), 0);
	assert_int_equal(used_paths(1), 1);
	/* They count as never received. */
	assert_int_equal(pair_counters(&p, 1).duplicates, 0);
	p.nat_shift = 0;
	traffic(SECOND);
	assert_true(pair_counters(&p, 0).packets_lost >= 5);
	/* A client's probe from there finds nobody either. */
	assert_true(pair_migrate(&p, PAIR_HOME + OTHER_HOST, 0) > 0);
	traffic(5 * SECOND);
	assert_int_equal(nq_active_path(p.end[0].conn), 0);
	assert_int_equal(pair_counters(&p, 0).path_validations, 0);
}

/* A client whose address changes all the time, through loss: never more slots, and it gets through. */
static void test_restless(void **state)
{
	int i;

	p.link[0].loss_permille = p.link[1].loss_permille = 50;
	start();
	for (i = 0; i < 200; i++) {
		p.nat_shift = (u32)pair_random(&p) % 5 * OTHER_HOST + (u32)pair_random(&p) % 3;
		traffic(20000 + pair_random(&p) % 300000);
		assert_true(used_paths(1) <= NQ_PATHS_MAX && used_paths(1) >= 1);
		assert_true(nq_path_used(p.end[1].conn, nq_active_path(p.end[1].conn)));
	}
	p.link[0].loss_permille = p.link[1].loss_permille = 0;
	traffic(5 * SECOND);
	i = (int)p.end[0].delivered;
	traffic(SECOND);
	assert_true(p.end[0].delivered > (u64)i + 1000);
	assert_true(pair_counters(&p, 1).migrations > 100);
	assert_int_equal(used_paths(1), 1);
	assert_int_equal(p.end[0].conn->state, NQ_ACTIVE);
	assert_int_equal(p.end[1].conn->state, NQ_ACTIVE);
}

/* A challenge that could not be padded says nothing about the packet size: it is repeated. */
static void test_small_challenge(void **state)
{
	struct nq_conn *s;

	start();
	s = p.end[1].conn;
	pair_run(&p, p.now_us + SECOND);
	p.nat_shift = OTHER_HOST;
	pair_send(&p, 0, 1, 60);
	while (!pair_counters(&p, 1).path_validations)
		assert_true(pair_step(&p, p.now_us + SECOND));
	assert_true(s->paths.p[nq_active_path(s)].valid);
	assert_true(s->paths.p[nq_active_path(s)].validating);
	pair_run(&p, p.now_us + 3 * RTT_US);
	assert_int_equal(pair_counters(&p, 1).path_validations, 2);
	assert_int_equal(pair_counters(&p, 1).migrations, 1);
	assert_false(s->paths.p[nq_active_path(s)].validating);
}

/* ---- the client moves ---- */

static void test_migrate(void **state)
{
	struct nq_conn *c, *s;
	int path;

	start();
	c = p.end[0].conn;
	s = p.end[1].conn;
	assert_int_equal(nq_path_migrate(s, 0, p.now_us), -EPERM);
	path = pair_migrate(&p, PAIR_HOME + OTHER_HOST, 0);
	assert_true(path > 0);
	/* First it asks, and traffic goes on where it was. */
	assert_int_equal(nq_active_path(c), 0);
	traffic(RTT_US / 2);
	assert_int_equal(nq_active_path(c), 0);
	assert_int_equal(p.link[0].alone, 1);
	traffic(2 * RTT_US);
	assert_int_equal(nq_active_path(c), path);
	assert_int_equal(p.end[1].addr[nq_active_path(s)], PAIR_HOME + OTHER_HOST);
	/* Both ends have left their former IDs, so nobody can tell it is the same connection. */
	assert_int_not_equal(c->cids.remote[0].seq, 0);
	assert_int_not_equal(s->cids.remote[0].seq, 0);
	traffic(SECOND);
	assert_int_equal(pair_counters(&p, 0).migrations, 1);
	assert_int_equal(pair_counters(&p, 1).migrations, 1);
	assert_int_equal(used_paths(0), 1);
	assert_int_equal(used_paths(1), 1);
	/* Nothing was lost: the former path worked all the time. */
	assert_int_equal(p.link[0].dropped + p.link[1].dropped, 0);
	pair_run(&p, p.now_us + SECOND);
	assert_int_equal(p.end[0].delivered, p.end[1].next_index);
	assert_int_equal(p.end[1].delivered, p.end[0].next_index);
}

/* As often as it likes, as long as the pools are kept filled. */
static void test_migrate_often(void **state)
{
	struct nq_cid cid;
	int i, k;

	p.params[0].peer_active_cid_limit = p.params[1].peer_active_cid_limit = 2;
	start();
	for (i = 1; i <= 40; i++) {
		assert_true(pair_migrate(&p, PAIR_HOME + (u32)i * OTHER_HOST, 0) >= 0);
		traffic(200000);
		for (k = 0; k < 2; k++) {
			assert_int_equal(pair_counters(&p, k).migrations, i);
			while (nq_take_retired_cid(p.end[k].conn, &cid))
				;
			pair_issue_cids(&p, k);
			assert_int_equal(used_paths(k), 1);
		}
		traffic(50000);
	}
	for (k = 0; k < 2; k++) {
		assert_int_equal(p.end[k].conn->cids.n_remote, 2);
		assert_int_equal(p.end[k].conn->cids.remote[0].seq, 40);
		assert_int_equal(p.end[k].conn->state, NQ_ACTIVE);
	}
}

static void test_migrate_without_ids(void **state)
{
	struct nq_conn *c;

	pair_start(&p);
	traffic(100000);
	c = p.end[0].conn;
	assert_int_equal(pair_migrate(&p, PAIR_HOME + OTHER_HOST, 0), -ENOBUFS);
	assert_int_equal(used_paths(0), 1);
	assert_true(pair_migrate(&p, PAIR_HOME + 5, NQ_MIGRATE_SAME_LOCAL | NQ_MIGRATE_SAME_HOSTS) >
		    0);
	traffic(100000);
	assert_int_not_equal(nq_active_path(c), 0);
	assert_true(c->rtt.has_sample);
	assert_int_equal(pair_counters(&p, 1).migrations, 1);
	nq_close(c, false, 0, NULL, p.now_us);
	assert_int_equal(nq_path_migrate(c, 0, p.now_us), -ENOTCONN);
}

/* A move for which there is no ID leaves the one that is under way. */
static void test_migrate_elsewhere_without_ids(void **state)
{
	struct nq_conn *c;
	int path;

	start();
	c = p.end[0].conn;
	while (c->cids.n_remote > 2)
		c->cids.n_remote--;
	path = pair_migrate(&p, PAIR_HOME + OTHER_HOST, 0);
	assert_true(path > 0);
	assert_int_equal(pair_migrate(&p, PAIR_HOME + 2 * OTHER_HOST, 0), -ENOBUFS);
	assert_int_equal(c->paths.migrating, path);
	assert_int_equal(used_paths(0), 2);
	traffic(100000);
	assert_int_equal(nq_active_path(c), path);
}

static void test_migrate_to_nowhere(void **state)
{
	struct nq_conn *c;
	u64 lost;
	int path;

	start();
	c = p.end[0].conn;
	lost = pair_counters(&p, 0).packets_lost;
	p.link[0].dead_host = (PAIR_HOME + OTHER_HOST) >> 16;
	path = pair_migrate(&p, PAIR_HOME + OTHER_HOST, 0);
	assert_true(path > 0);
	nq_take_events(c);
	traffic(2 * SECOND);
	assert_int_equal(p.link[0].alone, NQ_PATH_TRIES);
	traffic(2 * SECOND);
	assert_false(nq_path_used(c, (u8)path));
	assert_int_equal(nq_active_path(c), 0);
	assert_true(p.end[0].events & NQ_EV_PATH);
	/* Probes have nothing to do with the path that is in use. */
	assert_int_equal(pair_counters(&p, 0).packets_lost, lost);
	assert_int_equal(pair_counters(&p, 0).migrations, 0);
	p.link[0].dead_host = 0;
	assert_true(pair_migrate(&p, PAIR_HOME + OTHER_HOST, 0) >= 0);
	traffic(SECOND);
	assert_int_equal(pair_counters(&p, 0).migrations, 1);
}

/* The former network is gone: no time for questions. */
static void test_migrate_at_once(void **state)
{
	struct nq_conn *c;
	u64 before, back_us;
	int way;

	for (way = 0; way < 2; way++) {
		if (way) {
			pair_stop(&p);
			setup(NULL);
		}
		start();
		c = p.end[0].conn;
		p.link[0].dead_host = p.link[1].dead_host = PAIR_HOME >> 16;
		/* Told so, or with a probe timeout passed. */
		if (way)
			traffic(SECOND);
		assert_true(!way == !c->loss.pto_count);
		assert_true(pair_migrate(&p, PAIR_HOME + OTHER_HOST, way ? 0 : NQ_MIGRATE_AT_ONCE) >
			    0);
		assert_int_not_equal(nq_active_path(c), 0);
		before = p.end[1].delivered;
		back_us = p.now_us;
		while (p.end[1].delivered < before + 10)
			traffic(1000);
		assert_true(p.now_us - back_us <= 2 * RTT_US);
		before = p.end[0].delivered;
		while (p.end[0].delivered < before + 10)
			traffic(1000);
		assert_true(p.now_us - back_us <= 6 * RTT_US);
		traffic(SECOND);
		assert_int_equal(pair_counters(&p, 1).migrations, 1);
		assert_int_equal(used_paths(0), 1);
	}
}

/* The server wants its IDs back while the client is between two paths. */
static void test_retire_while_migrating(void **state)
{
	struct nq_frame f = { .new_cid = { .seq = 20, .retire_prior_to = 20, .id_len = 20 } };
	u8 id[20], token[NQ_RESET_TOKEN_LEN] = { 1 };
	struct nq_conn *c;
	int path;

	start();
	c = p.end[0].conn;
	memset(id, 0x55, sizeof(id));
	f.new_cid.id = id;
	f.new_cid.token = token;
	path = pair_migrate(&p, PAIR_HOME + OTHER_HOST, 0);
	assert_true(path > 0);
	assert_int_equal(nq_cid_on_new(c, &f), 0);
	assert_int_equal(c->cids.n_remote, 1);
	/* The one that is left is the active path's, the other waits. */
	assert_ptr_equal(nq_cid_of_path(c, 0), &c->cids.remote[0]);
	assert_null(nq_cid_of_path(c, (u8)path));
	assert_false(nq_tx_alone_wanted(c, p.now_us));
	f.new_cid.seq = 21;
	id[0]++;
	assert_int_equal(nq_cid_on_new(c, &f), 0);
	assert_int_equal(nq_cid_of_path(c, (u8)path)->seq, 21);
	assert_true(nq_tx_alone_wanted(c, p.now_us));
	/* A late copy of a frame does not bring back what was retired. */
	f.new_cid.seq = 1;
	id[0]++;
	f.new_cid.retire_prior_to = 0;
	assert_int_equal(nq_cid_on_new(c, &f), 0);
	assert_int_equal(c->cids.n_remote, 2);
}

static void test_responses(void **state)
{
	u8 data[NQ_PATH_DATA_LEN], guess[NQ_PATH_DATA_LEN] = { 0 };
	struct nq_conn *c;
	u8 buf[1500], path;
	int i, len;

	start();
	c = p.end[0].conn;
	pair_run(&p, p.now_us + SECOND);
	assert_true(pair_migrate(&p, PAIR_HOME + OTHER_HOST, 0) > 0);
	len = nq_tx_alone(c, buf, sizeof(buf), p.now_us, &path);
	assert_int_equal(len, NQ_MIN_UDP_PAYLOAD);
	/* The null cipher leaves the frames readable. */
	assert_int_equal(buf[25], NQ_FRAME_PATH_CHALLENGE);
	memcpy(data, buf + 26, sizeof(data));
	assert_memory_not_equal(data, guess, sizeof(data));
	for (i = 0; i < 64; i++) {
		memcpy(guess, data, sizeof(guess));
		guess[i / 8] ^= 1 << i % 8;
		nq_path_on_response(c, guess, p.now_us);
	}
	assert_int_equal(nq_active_path(c), 0);
	nq_path_on_response(c, data, p.now_us);
	assert_int_equal(nq_active_path(c), path);
	nq_path_on_response(c, data, p.now_us);
	assert_int_equal(pair_counters(&p, 0).path_validations, 1);
}

/* Let end 0 see a packet of @wrong PATH_RESPONSEs that answer nothing, and one that does. */
static void see_responses(const u8 *data, u32 wrong)
{
	struct nq_conn *c = p.end[0].conn;
	struct nq_rx_sink sink = { .dcid = c->cids.local[0].cid.id };
	u8 frames[1400] = { 0 };
	u32 i, len = 0;

	for (i = 0; i <= wrong; i++) {
		frames[len] = NQ_FRAME_PATH_RESPONSE;
		if (i == wrong)
			memcpy(frames + len + 1, data, NQ_PATH_DATA_LEN);
		len += 1 + NQ_PATH_DATA_LEN;
	}
	assert_int_equal(nq_rx_frames(c, frames, frames + len, &sink, p.now_us), 0);
}

/* To compare one costs more than to send it: of a packet no more are looked at than can be right. */
static void test_many_responses(void **state)
{
	const u32 most = NQ_PATHS_MAX * NQ_PATH_TRIES;
	struct nq_conn *c;
	u8 buf[1500], path;

	start();
	c = p.end[0].conn;
	pair_run(&p, p.now_us + SECOND);
	assert_true(pair_migrate(&p, PAIR_HOME + OTHER_HOST, 0) > 0);
	assert_int_equal(nq_tx_alone(c, buf, sizeof(buf), p.now_us, &path), NQ_MIN_UDP_PAYLOAD);
	see_responses(buf + 26, most);
	assert_int_equal(nq_active_path(c), 0);
	see_responses(buf + 26, 150);
	assert_int_equal(nq_active_path(c), 0);
	see_responses(buf + 26, most - 1);
	assert_int_equal(nq_active_path(c), path);
}

static void test_recheck(void **state)
{
	struct nq_conn *c;
	u64 back_us, before;

	start();
	c = p.end[0].conn;
	p.link[0].loss_permille = p.link[1].loss_permille = 1000;
	traffic(10 * SECOND);
	assert_true(c->loss.pto_count > 4);
	p.link[0].loss_permille = p.link[1].loss_permille = 0;
	before = p.end[1].delivered;
	back_us = p.now_us;
	nq_path_recheck(c);
	while (p.end[1].delivered < before + 4)
		traffic(1000);
	assert_true(p.now_us - back_us < 5 * RTT_US);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_port_rebinding),
		TEST(test_host_change),
		TEST(test_amplification),
		TEST(test_credit_of_a_flush),
		TEST(test_forged_copies),
		TEST(test_forgeries_leave_no_trace),
		TEST(test_not_allowed),
		TEST(test_restless),
		TEST(test_small_challenge),
		TEST(test_migrate),
		TEST(test_migrate_often),
		TEST(test_migrate_without_ids),
		TEST(test_migrate_elsewhere_without_ids),
		TEST(test_migrate_to_nowhere),
		TEST(test_migrate_at_once),
		TEST(test_retire_while_migrating),
		TEST(test_responses),
		TEST(test_many_responses),
		TEST(test_recheck),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
