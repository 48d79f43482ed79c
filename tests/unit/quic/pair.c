// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The joined pair of engines. See pair.h.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#include "pair.h"

u64 pair_random(struct pair *p)
{
	/* splitmix64 */
	u64 z = p->random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

void pair_keys(struct nq_key_material *m, int i, unsigned int phase)
{
	unsigned int k;

	for (k = 0; k < NQ_KEY_MAX_LEN; k++)
		m->key[k] = (u8)(k * 7 + i * 50 + phase * 11 + 1);
	for (k = 0; k < NQ_IV_LEN; k++)
		m->iv[k] = (u8)(k * 13 + i * 60 + phase * 17 + 2);
}

static void set_cid(struct nq_cid *cid, int i, u64 seq)
{
	memset(cid, 0, sizeof(*cid));
	cid->seq = seq;
	cid->len = 20;
	memset(cid->id, 0x10 * (i + 1) + (int)seq, cid->len);
	cid->has_token = true;
	memset(cid->token, 0x80 + 0x10 * i + (int)seq, NQ_RESET_TOKEN_LEN);
}

static void end_params(struct nq_conn_params *q, int i, const struct nq_crypto_ops *crypto,
		       u16 cipher)
{
	q->crypto = crypto;
	q->cipher = cipher;
	q->is_server = i == 1;
	pair_keys(&q->tx, i, 0);
	pair_keys(&q->rx, !i, 0);
	pair_keys(&q->tx_next, i, 1);
	pair_keys(&q->rx_next, !i, 1);
	q->has_next = true;
	memset(q->tx_hp, 3 + i, sizeof(q->tx_hp));
	memset(q->rx_hp, 3 + !i, sizeof(q->rx_hp));
	set_cid(&q->local_cids[0], i, 0);
	set_cid(&q->remote_cids[0], !i, 0);
	q->n_local_cids = q->n_remote_cids = 1;
	q->peer_active_cid_limit = 8;
	q->max_idle_timeout_ms = 30000;
	q->peer_ack_delay_exponent = q->ack_delay_exponent = 3;
	q->peer_max_ack_delay_us = q->max_ack_delay_us = 25000;
	q->peer_max_datagram_frame_bytes = 65535;
	q->peer_max_udp_payload_bytes = 65527;
	q->path_mtu_bytes = PAIR_MTU;
	q->prefix_len = 1;
	q->congestion = "cubic";
	q->ring_packets = 4096;
}

void pair_params(struct pair *p, const struct nq_crypto_ops *crypto, u16 cipher)
{
	memset(p, 0, sizeof(*p));
	p->now_us = 1000000;
	p->random = 1;
	end_params(&p->params[0], 0, crypto, cipher);
	end_params(&p->params[1], 1, crypto, cipher);
	p->link[0].delay_us = p->link[1].delay_us = 5000;
}

void pair_start(struct pair *p)
{
	struct pair_end *e;
	int i, err;

	for (i = 0; i < 2; i++) {
		size_t bytes = nq_conn_bytes(&p->params[i]);

		e = &p->end[i];
		e->mem = aligned_alloc(64, bytes);
		assert_non_null(e->mem);
		memset(e->mem, 0, bytes);
		e->conn = nq_conn_init(e->mem, &p->params[i], p->now_us, &err);
		assert_non_null(e->conn);
		assert_true(nq_lend_punt(e->conn, e->punt));
		e->addr[0] = PAIR_HOME;
		e->seen_size = 1 << 20;
		e->seen = calloc(1, e->seen_size);
		assert_non_null(e->seen);
		p->link[i].q = calloc(PAIR_QUEUE, sizeof(struct pair_packet));
		assert_non_null(p->link[i].q);
	}
}

void pair_stop(struct pair *p)
{
	int i;

	for (i = 0; i < 2; i++) {
		nq_conn_fini(p->end[i].conn);
		free(p->end[i].mem);
		free(p->end[i].seen);
		free(p->link[i].q);
	}
}

/* Frames about connection IDs that wait: counted, and as they stand. */
static void check_cids(const struct nq_cids *s)
{
	u32 i, wanted = 0;

	for (i = 0; i < NQ_RETIRE_MAX; i++)
		wanted += s->retire[i].fate == NQ_FATE_WANTED;
	for (i = 0; i < NQ_CIDS_MAX; i++)
		wanted += s->local[i].fate == NQ_FATE_WANTED;
	assert_int_equal(wanted, s->n_wanted);
}

void pair_check(const struct nq_conn *c)
{
	u64 flight = 0, pn, out = 0;
	const struct nq_sent *s;

	assert_true(c->loss.base_pn <= c->next_pn);
	assert_true(c->next_pn - c->loss.base_pn <= c->ring_mask + 1ULL);
	for (pn = c->loss.base_pn; pn < c->next_pn; pn++) {
		s = &c->ring[pn & c->ring_mask];
		if (s->state != NQ_SENT_OUT || !(s->flags & NQ_SENT_ELICITING))
			continue;
		flight += s->bytes;
		out++;
	}
	assert_int_equal(flight, c->loss.bytes_in_flight);
	assert_int_equal(out, c->loss.out_packets);
	assert_true(c->cc.cwnd >= 2ULL * c->cc.mss);
	check_cids(&c->cids);
}

/* ---- the link ---- */

static bool chance(struct pair *p, u32 permille)
{
	return permille && pair_random(p) % 1000 < permille;
}

/* When a packet of @len bytes has passed the bottleneck; 0: it was dropped. */
static u64 pass(struct pair *p, struct pair_link *l, u32 len, u8 *ecn)
{
	u64 wait_us = l->busy_us > p->now_us ? l->busy_us - p->now_us : 0;

	if (!l->bytes_per_s)
		return p->now_us;
	if (wait_us > l->queue_us)
		return 0;
	if (l->mark_us && wait_us > l->mark_us && *ecn) {
		*ecn = 3;
		l->marked++;
	}
	/* Rounding carries over: the rate holds on the average. */
	l->rest += len * 1000000ULL;
	l->busy_us = p->now_us + wait_us + l->rest / l->bytes_per_s;
	l->rest %= l->bytes_per_s;
	return l->busy_us;
}

static void enqueue(struct pair *p, struct pair_link *l, const u8 *data, u32 len, u8 ecn, u32 addr)
{
	u64 out_us = pass(p, l, len, &ecn);
	struct pair_packet *q;

	assert_true(len <= sizeof(q->data));
	if (!out_us || l->n == PAIR_QUEUE || (l->mtu && len > l->mtu) ||
	    (l->dead_host && addr >> 16 == l->dead_host)) {
		l->dropped++;
		return;
	}
	q = &l->q[l->n++];
	q->at_us = out_us + l->delay_us;
	if (chance(p, l->swap_permille))
		q->at_us += pair_random(p) % (l->delay_us / 2 + 1);
	q->len = len;
	q->addr = addr;
	q->ecn = l->bleach_ecn == 1 ? 0 : l->bleach_ecn == 2 && ecn ? 3 : ecn;
	memcpy(q->data, data, len);
}

static void transmit(struct pair *p, int i, const u8 *data, u32 len, u8 ecn, u8 path)
{
	u32 addr = p->end[i].addr[path] + (i ? 0 : p->nat_shift);
	struct pair_link *l = &p->link[i];

	l->sent++;
	if (chance(p, l->loss_permille)) {
		l->dropped++;
		return;
	}
	if (!i && p->copy_from)
		enqueue(p, l, data, len, ecn, p->copy_from);
	enqueue(p, l, data, len, ecn, addr);
	if (chance(p, l->dup_permille))
		enqueue(p, l, data, len, ecn, addr);
}

/* ---- the ends ---- */

static u8 end_ecn(const struct nq_conn *c)
{
	return nq_tx_ecn(c) ? 2 : 0;
}

unsigned int pair_send(struct pair *p, int i, unsigned int n, u32 bytes)
{
	static u8 bufs[NQ_BURST_MAX][1500];
	struct pair_end *e = &p->end[i];
	struct nq_tx_pkt pkts[NQ_BURST_MAX];
	struct nq_tx_burst b;
	unsigned int k, got;
	u64 before = e->conn->loss.bytes_in_flight;
	u8 ecn;

	if (n > NQ_BURST_MAX)
		n = NQ_BURST_MAX;
	got = nq_tx_reserve(e->conn, &b, n, bytes + nq_tx_overhead_bytes(e->conn), p->now_us);
	for (k = 0; k < got; k++) {
		u32 at = b.hdr_len;

		at += nq_tx_datagram_header(e->conn, bufs[k] + at);
		memset(bufs[k] + at, 0xd0, bytes);
		nq_put_be64(bufs[k] + at, e->next_index++);
		pkts[k].buf = bufs[k];
		pkts[k].len = at + bytes;
	}
	assert_int_equal(nq_tx_seal(e->conn, &b, pkts, got), 0);
	ecn = end_ecn(e->conn);
	for (k = 0; k < got; k++)
		transmit(p, i, pkts[k].buf, pkts[k].len, ecn, nq_active_path(e->conn));
	nq_tx_commit(e->conn, &b, pkts, got, p->now_us);
	if (got)
		assert_true(e->conn->loss.bytes_in_flight <= e->conn->cc.cwnd);
	assert_true(e->conn->loss.bytes_in_flight >= before);
	return got;
}

void pair_control(struct pair *p, int i)
{
	struct nq_conn *c = p->end[i].conn;
	u8 buf[1500];
	int len, guard = 0;
	u8 ecn, path;

	while (nq_tx_control_wanted(c, p->now_us)) {
		ecn = end_ecn(c);
		len = nq_tx_control(c, buf, sizeof(buf), p->now_us);
		assert_true(len > 0);
		transmit(p, i, buf, (u32)len, ecn, nq_active_path(c));
		assert_true(++guard < 20);
	}
	assert_int_equal(nq_tx_control(c, buf, sizeof(buf), p->now_us), 0);
	if (!p->probe_mtu)
		c->pmtud.wanted = false;
	while (nq_tx_alone_wanted(c, p->now_us)) {
		len = nq_tx_alone(c, buf, sizeof(buf), p->now_us, &path);
		assert_true(len > 0);
		p->link[i].alone++;
		transmit(p, i, buf, (u32)len, 0, path);
		assert_true(++guard < 20);
	}
}

void pair_issue_cids(struct pair *p, int i)
{
	struct nq_conn *c = p->end[i].conn;
	struct nq_cid cid;

	while (nq_local_cids_wanted(c)) {
		set_cid(&cid, i, c->cids.next_local_seq);
		assert_int_equal(nq_add_local_cid(c, &cid), 0);
	}
}

int pair_migrate(struct pair *p, u32 addr, unsigned int how)
{
	int path = nq_path_migrate(p->end[0].conn, how, p->now_us);

	if (path >= 0)
		p->end[0].addr[path] = addr;
	return path;
}

/* Number of the path that a packet to end @to took, NQ_PATH_NONE if it reaches nobody. */
static u8 path_of(const struct pair *p, int to, u32 addr)
{
	const struct pair_end *e = &p->end[to];
	u32 home = e->addr[nq_active_path(e->conn)];
	u8 i;

	for (i = 0; i < NQ_PATHS_MAX; i++) {
		if (e->addr[i] && e->addr[i] + (to ? 0 : p->nat_shift) == addr)
			return i;
	}
	if (!to)
		return NQ_PATH_NONE;
	return home >> 16 == addr >> 16 ? NQ_PATH_NEW_PORT : NQ_PATH_NEW;
}

static void open_some(struct pair *p, int to, struct nq_rx_pkt *pkts, unsigned int n)
{
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	struct pair_end *e = &p->end[to];
	unsigned int k, n_dg;
	u64 index;

	assert_int_equal(nq_rx_open(e->conn, pkts, n, dg, NQ_BURST_MAX, &n_dg, p->now_us), n);
	for (k = 0; k < n; k++)
		e->refused += pkts[k].status == NQ_RX_PATH;
	for (k = 0; k < n_dg; k++) {
		if (!dg[k].len)
			continue;
		assert_true(dg[k].len >= 8);
		index = nq_get_be64(dg[k].data);
		assert_true(index < p->end[!to].next_index && index < e->seen_size);
		if (e->seen[index])
			e->duplicates++;
		e->seen[index] = 1;
		e->delivered++;
	}
}

static void receive(struct pair *p, int to, struct pair_packet *q, unsigned int n)
{
	static u8 bufs[NQ_BURST_MAX][1500];
	struct pair_end *e = &p->end[to];
	struct nq_rx_pkt pkts[NQ_BURST_MAX], *pkt;
	unsigned int k, m = 0;
	u8 path;

	for (k = 0; k < n; k++) {
		path = path_of(p, to, q[k].addr);
		if (path == NQ_PATH_NONE) {
			p->link[!to].dropped++;
			continue;
		}
		memcpy(bufs[m], q[k].data, q[k].len);
		pkt = &pkts[m++];
		*pkt = (struct nq_rx_pkt){
			.data = bufs[m - 1], .len = q[k].len, .ecn = q[k].ecn, .path = path
		};
		if (path < NQ_PATHS_MAX)
			continue;
		/* It may be given a number: alone, before and after the others. */
		if (m > 1)
			open_some(p, to, pkts, m - 1);
		open_some(p, to, pkt, 1);
		if (pkt->path < NQ_PATHS_MAX)
			e->addr[pkt->path] = q[k].addr;
		m = 0;
	}
	if (m)
		open_some(p, to, pkts, m);
}

static u64 next_arrival(const struct pair_link *l)
{
	u64 t = NQ_TIME_NEVER;
	u32 i;

	for (i = 0; i < l->n; i++)
		t = nq_min(t, l->q[i].at_us);
	return t;
}

/* Hand over what has arrived, in order of arrival, in bursts. */
static void arrivals(struct pair *p, int from)
{
	static struct pair_packet burst[NQ_BURST_MAX];
	struct pair_link *l = &p->link[from];
	unsigned int n = 0;
	u32 i, kept = 0;

	for (i = 0; i < l->n; i++) {
		if (l->q[i].at_us <= p->now_us && n < NQ_BURST_MAX)
			burst[n++] = l->q[i];
		else if (kept++ != i)
			l->q[kept - 1] = l->q[i];
	}
	l->n = kept;
	if (n)
		receive(p, !from, burst, n);
}

bool pair_step(struct pair *p, u64 until_us)
{
	u64 t = NQ_TIME_NEVER;
	int i;

	for (i = 0; i < 2; i++) {
		t = nq_min(t, next_arrival(&p->link[i]));
		t = nq_min(t, nq_next_timeout_us(p->end[i].conn));
	}
	if (t > until_us) {
		p->now_us = until_us;
		return false;
	}
	if (t > p->now_us)
		p->now_us = t;
	for (i = 0; i < 2; i++)
		arrivals(p, i);
	for (i = 0; i < 2; i++) {
		if (nq_next_timeout_us(p->end[i].conn) <= p->now_us)
			nq_on_timeout(p->end[i].conn, p->now_us);
		pair_control(p, i);
		p->end[i].events |= nq_take_events(p->end[i].conn);
		pair_check(p->end[i].conn);
	}
	return true;
}

void pair_run(struct pair *p, u64 until_us)
{
	while (pair_step(p, until_us))
		;
}

struct nq_counters pair_counters(const struct pair *p, int i)
{
	struct nq_stats s;

	nq_get_stats(p->end[i].conn, &s, p->now_us);
	return s.count;
}
