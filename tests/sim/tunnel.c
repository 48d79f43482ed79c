// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine at both ends of a simulated path. See tunnel.h.
 */
#include "tunnel.h"

#include <stdio.h>
#include <stdlib.h>

#include "../../quic/conn.h"

/* Index, check word, bytes stored. */
#define STAMP_BYTES 17
#define STAMP_ODD 0xd6e8feb86659fd93ULL
/* How often the ring is counted anew, in calls. */
#define RECOUNT_EVERY 65536
#define CONTROL_MAX 64

static u8 bufs[NQ_BURST_MAX][SIM_PKT_MAX];

static u64 now_us(const struct tunnel_end *e)
{
	return e->node.sim->now_ns / SIM_US;
}

u64 tunnel_cwnd(const struct tunnel_end *e)
{
	return e->conn->cc.cwnd;
}

u64 tunnel_flight(const struct tunnel_end *e)
{
	return e->conn->loss.bytes_in_flight;
}

/* ---- what must hold after every call ---- */

static void recount(struct tunnel_end *e)
{
	const struct nq_conn *c = e->conn;
	const struct nq_sent *sent;
	u64 pn, flight = 0;

	for (pn = c->loss.base_pn; pn < c->next_pn; pn++) {
		sent = &c->ring[pn & c->ring_mask];
		if (sent->state == NQ_SENT_OUT && sent->flags & NQ_SENT_ELICITING)
			flight += sent->bytes;
	}
	if (flight != tunnel_flight(e))
		sim_broken(e->node.sim, "the ring holds %llu bytes in flight, the engine says %llu",
			   (unsigned long long)flight, (unsigned long long)tunnel_flight(e));
}

static void check_flight(struct tunnel_end *e, u64 before, u64 exempt, const char *call)
{
	u64 flight = tunnel_flight(e), cwnd = tunnel_cwnd(e);

	sim_note(e->node.sim, 8, flight ^ cwnd << 20);
	if (flight > cwnd && flight > before + exempt)
		sim_broken(
			e->node.sim,
			"%s: %llu bytes in flight, window %llu; before the call %llu, exempt %llu",
			call, (unsigned long long)flight, (unsigned long long)cwnd,
			(unsigned long long)before, (unsigned long long)exempt);
	if (!(++e->calls % RECOUNT_EVERY))
		recount(e);
}

/* ---- what there is to send ---- */

static u64 source_period_ns(const struct tunnel_end *e)
{
	return (u64)nq_max_payload_bytes(e->conn) * 8 * SIM_S / e->source.bits_per_s;
}

/* Packets the source has ready now. */
static u64 source_ready(struct tunnel_end *e)
{
	struct tunnel_source *src = &e->source;
	u64 now = e->node.sim->now_ns, phase = src->on ? src->on_ns : src->off_ns;

	if (phase && now - src->since_ns >= phase) {
		src->since_ns += phase;
		src->on = !src->on;
		src->made = 0;
	}
	if (!src->on)
		return 0;
	if (!src->bits_per_s)
		return TUNNEL_BURST;
	return (now - src->since_ns) / source_period_ns(e) - src->made;
}

static u64 source_next_ns(const struct tunnel_end *e)
{
	const struct tunnel_source *src = &e->source;
	u64 phase = src->on ? src->on_ns : src->off_ns, t = SIM_NEVER;
	u64 elapsed = e->node.sim->now_ns - src->since_ns;

	if (phase)
		t = src->since_ns + phase;
	if (src->on && src->bits_per_s)
		t = nq_min(t, src->since_ns +
				      (elapsed / source_period_ns(e) + 1) * source_period_ns(e));
	return t;
}

/* How many packets could go now, and the largest of them with all overhead. */
static unsigned int plan(struct tunnel_end *e, u32 *pkt_bytes)
{
	u32 payload = nq_max_payload_bytes(e->conn), largest = 0;
	unsigned int n = 0;
	struct inner *i;

	for (i = e->queue; i && n < TUNNEL_BURST; i = i->next, n++)
		largest = (u32)nq_max(largest, nq_min(i->len, payload));
	if (n < TUNNEL_BURST && source_ready(e)) {
		n += (unsigned int)nq_min(TUNNEL_BURST - n, source_ready(e));
		largest = payload;
	}
	*pkt_bytes = largest + nq_tx_overhead_bytes(e->conn);
	return n;
}

static void take_inner(struct tunnel_end *e, u8 *p, u32 *len, u32 *stored)
{
	struct inner *i = e->queue;

	e->queue = i->next;
	if (!e->queue)
		e->queue_tail = &e->queue;
	e->queue_bytes -= i->len;
	e->queue_max_sojourn_ns = nq_max(e->queue_max_sojourn_ns, e->node.sim->now_ns - i->at_ns);
	memcpy(p, i->data, i->stored);
	*len = (u32)nq_min(i->len, nq_max_payload_bytes(e->conn));
	*stored = i->stored;
	i->next = e->spare;
	e->spare = i;
}

/* ---- sending ---- */

static void emit(struct tunnel_end *e, const u8 *buf, u32 len, u32 head, u8 ecn, u8 path)
{
	u32 tail = head < len ? NQ_TAG_LEN : 0;
	struct sim_pkt *p = sim_pkt_new(e->node.sim, len, head, tail);

	memcpy(p->data, buf, head);
	memcpy(p->data + head, buf + len - tail, tail);
	p->ecn = ecn;
	p->flow = e->flow;
	p->addr = e->path_addr[path];
	sim_note(e->node.sim, 5, len);
	sim_forward(e->node.next, p);
}

static u8 ecn_of(const struct tunnel_end *e)
{
	return nq_tx_ecn(e->conn) ? 2 : 0;
}

/* Lay one datagram into @buf behind @at; returns how many bytes from the start are not zero. */
static u32 fill(struct tunnel_end *e, u8 *buf, u32 at, struct nq_tx_pkt *pkt)
{
	u32 len = nq_max_payload_bytes(e->conn), stored = 0;
	u8 *p;

	/* An inner packet is never shorter than what the simulator writes into it: tunnel_put(). */
	at += nq_tx_datagram_header(e->conn, buf + at);
	p = buf + at;
	if (e->queue)
		take_inner(e, p + STAMP_BYTES, &len, &stored);
	else
		e->source.made++;
	nq_put_be64(p, e->sent);
	nq_put_be64(p + 8, e->sent * STAMP_ODD);
	p[16] = (u8)stored;
	e->sent++;
	memset(p + STAMP_BYTES + stored, 0, len - STAMP_BYTES - stored);
	pkt->buf = buf;
	pkt->len = at + len;
	return at + STAMP_BYTES + stored;
}

static void send_control(struct tunnel_end *e)
{
	static u8 buf[SIM_PKT_MAX];
	u64 before, exempt;
	int len, n;
	u8 ecn;

	for (n = 0; n < CONTROL_MAX && nq_tx_control_wanted(e->conn, now_us(e)); n++) {
		before = tunnel_flight(e);
		exempt = e->conn->loss.probes ||
					 nq_path_challenges(e->conn, nq_active_path(e->conn))
				 ? NQ_MIN_UDP_PAYLOAD
				 : 0;
		ecn = ecn_of(e);
		len = nq_tx_control(e->conn, buf, TUNNEL_MTU, now_us(e));
		check_flight(e, before, exempt, "nq_tx_control");
		if (len <= 0) {
			sim_broken(e->node.sim, "nq_tx_control wanted to speak and returned %d",
				   len);
			return;
		}
		emit(e, buf, (u32)len, (u32)len, ecn, nq_active_path(e->conn));
	}
}

/* Challenges, and probes of the packet size: each a datagram of its own. */
static void send_alone(struct tunnel_end *e)
{
	static u8 buf[SIM_PKT_MAX];
	u64 before;
	int len, n;
	u8 path;

	for (n = 0; n < CONTROL_MAX && nq_tx_alone_wanted(e->conn, now_us(e)); n++) {
		before = tunnel_flight(e);
		len = nq_tx_alone(e->conn, buf, sizeof(buf), now_us(e), &path);
		check_flight(e, before, 0, "nq_tx_alone");
		if (len <= 0) {
			sim_broken(e->node.sim, "nq_tx_alone wanted to speak and returned %d", len);
			return;
		}
		emit(e, buf, (u32)len, (u32)len, 0, path);
	}
}

/* One burst; true if all that was wanted left. */
static bool send_burst(struct tunnel_end *e, unsigned int want, u32 pkt_bytes)
{
	struct nq_tx_pkt pkts[NQ_BURST_MAX];
	u64 before = tunnel_flight(e);
	u32 heads[NQ_BURST_MAX];
	struct nq_tx_burst b;
	unsigned int i, n;
	u8 ecn;

	n = nq_tx_reserve(e->conn, &b, want, pkt_bytes, now_us(e));
	if (n < want && b.limit == NQ_TX_PACED)
		e->retry_us = b.retry_us;
	for (i = 0; i < n; i++)
		heads[i] = fill(e, bufs[i], b.hdr_len, &pkts[i]);
	if (n && nq_tx_seal(e->conn, &b, pkts, n))
		sim_broken(e->node.sim, "nq_tx_seal failed");
	ecn = ecn_of(e);
	for (i = 0; i < n; i++)
		emit(e, pkts[i].buf, pkts[i].len, heads[i], ecn, nq_active_path(e->conn));
	send_control(e);
	before = nq_max(before, tunnel_flight(e));
	nq_tx_commit(e->conn, &b, pkts, n, now_us(e));
	check_flight(e, before, 0, "nq_tx_commit");
	return n == want;
}

static void flush(struct tunnel_end *e)
{
	unsigned int want;
	u32 pkt_bytes;

	e->retry_us = NQ_TIME_NEVER;
	send_alone(e);
	do {
		want = plan(e, &pkt_bytes);
	} while (want && send_burst(e, want, pkt_bytes));
	send_control(e);
	send_alone(e);
}

/* ---- receiving ---- */

static void deliver(struct tunnel_end *e, const struct nq_rx_datagram *d)
{
	u64 index = d->len < STAMP_BYTES ? ~0ULL : nq_get_be64(d->data);

	if (index >= e->peer->sent || nq_get_be64(d->data + 8) != index * STAMP_ODD) {
		sim_broken(e->node.sim, "a datagram came out that nobody sent");
		return;
	}
	if (index >= e->seen_size) {
		u64 size = index * 2 + 4096;

		size -= size % 64;
		e->seen = realloc(e->seen, size / 8);
		if (!e->seen)
			exit(2);
		memset((u8 *)e->seen + e->seen_size / 8, 0, (size - e->seen_size) / 8);
		e->seen_size = size;
	}
	if (e->seen[index / 64] >> index % 64 & 1)
		sim_broken(e->node.sim, "datagram %llu was delivered twice",
			   (unsigned long long)index);
	e->seen[index / 64] |= 1ULL << index % 64;
	e->delivered++;
	e->delivered_bytes += d->len;
	e->last_delivered_ns = e->node.sim->now_ns;
	sim_note(e->node.sim, 6, index);
	if (e->deliver && d->data[16])
		e->deliver(e->deliver_arg, d->data + STAMP_BYTES, d->data[16]);
}

/* The number of the path from @addr. Only the port of a peer behind a NAT changes here. */
static u8 path_of(const struct tunnel_end *e, u16 addr)
{
	u8 i;

	for (i = 0; i < NQ_PATHS_MAX; i++) {
		if (nq_path_used(e->conn, i) && e->path_addr[i] == addr)
			return i;
	}
	return NQ_PATH_NEW_PORT;
}

/* How many packets of the inbox go into one call: one of a new path is alone. */
static unsigned int take_packets(struct tunnel_end *e, struct nq_rx_pkt *pkts, u16 *addr)
{
	unsigned int n = 0;
	struct sim_pkt *p;
	u8 path;

	while ((p = e->inbox) && n < NQ_BURST_MAX) {
		path = path_of(e, p->addr);
		if (n && path == NQ_PATH_NEW_PORT)
			break;
		e->inbox = p->next;
		sim_pkt_read(p, bufs[n]);
		pkts[n] = (struct nq_rx_pkt){
			.data = bufs[n], .len = p->len, .ecn = p->ecn, .path = path
		};
		n++;
		*addr = p->addr;
		sim_pkt_free(e->node.sim, p);
		if (path == NQ_PATH_NEW_PORT)
			break;
	}
	return n;
}

static void open_inbox(struct tunnel_end *e)
{
	struct nq_rx_datagram datagrams[NQ_BURST_MAX];
	struct nq_rx_pkt pkts[NQ_BURST_MAX];
	u64 before = tunnel_flight(e);
	unsigned int i, n, n_datagrams;
	u16 addr = 0;

	n = take_packets(e, pkts, &addr);
	if (!e->inbox)
		e->inbox_tail = &e->inbox;
	e->n_inbox -= n;
	e->inbox_due_ns = e->inbox ? e->node.sim->now_ns : SIM_NEVER;
	if (nq_rx_open(e->conn, pkts, n, datagrams, NQ_BURST_MAX, &n_datagrams, now_us(e)) != n)
		sim_broken(e->node.sim, "nq_rx_open left packets behind");
	check_flight(e, before, 0, "nq_rx_open");
	if (n && pkts[n - 1].path < NQ_PATHS_MAX)
		e->path_addr[pkts[n - 1].path] = addr;
	for (i = 0; i < n_datagrams; i++)
		deliver(e, &datagrams[i]);
}

/* ---- the node ---- */

static void phase_keys(struct nq_key_material *m, bool of_server, u32 phase)
{
	memset(m, 0, sizeof(*m));
	memset(m->key, 1 + of_server, sizeof(m->key));
	memcpy(m->key, &phase, sizeof(phase));
}

/* As a hand-over in the mode with derived keys: the next ones are there before they are needed. */
static void install_next_keys(struct tunnel_end *e)
{
	struct nq_key_material tx, rx;

	e->phase++;
	phase_keys(&tx, e->params.is_server, e->phase + 1);
	phase_keys(&rx, !e->params.is_server, e->phase + 1);
	if (nq_set_next_keys(e->conn, &tx, &rx))
		sim_broken(e->node.sim, "the keys of phase %u were refused", e->phase + 1);
}

static void take_events(struct tunnel_end *e)
{
	u32 events = nq_take_events(e->conn);

	e->engine_events |= events;
	if (events & NQ_EV_KEY_UPDATED)
		install_next_keys(e);
}

static void schedule(struct tunnel_end *e)
{
	u64 t = nq_min(nq_next_timeout_us(e->conn), e->retry_us);

	t = t == NQ_TIME_NEVER ? SIM_NEVER : t * SIM_US;
	t = nq_min(t, e->inbox_due_ns);
	e->node.next_run_ns = nq_min(t, source_next_ns(e));
	take_events(e);
}

static void end_run(struct sim_node *n)
{
	struct tunnel_end *e = (struct tunnel_end *)n;
	u64 before;

	while (e->inbox && e->inbox_due_ns <= n->sim->now_ns)
		open_inbox(e);
	if (nq_next_timeout_us(e->conn) <= now_us(e)) {
		before = tunnel_flight(e);
		nq_on_timeout(e->conn, now_us(e));
		check_flight(e, before, 0, "nq_on_timeout");
	}
	flush(e);
	schedule(e);
}

static void end_forward(struct sim_node *n, struct sim_pkt *p)
{
	struct tunnel_end *e = (struct tunnel_end *)n;

	p->next = NULL;
	*e->inbox_tail = p;
	e->inbox_tail = &p->next;
	e->rx_total++;
	if (!e->n_inbox++)
		e->inbox_due_ns = n->sim->now_ns + e->rx_batch_ns;
	if (e->n_inbox >= NQ_BURST_MAX)
		e->inbox_due_ns = n->sim->now_ns;
	n->next_run_ns = nq_min(n->next_run_ns, e->inbox_due_ns);
}

static void free_inner(struct inner *i)
{
	struct inner *next;

	for (; i; i = next) {
		next = i->next;
		free(i);
	}
}

static void end_fini(struct sim_node *n)
{
	struct tunnel_end *e = (struct tunnel_end *)n;
	struct sim_pkt *next;

	for (; e->inbox; e->inbox = next) {
		next = e->inbox->next;
		sim_pkt_free(n->sim, e->inbox);
	}
	recount(e);
	free_inner(e->queue);
	free_inner(e->spare);
	free(e->seen);
	nq_conn_fini(e->conn);
	free(e->mem);
}

/* ---- start ---- */

static void set_cid(struct nq_cid *cid, u32 seed)
{
	cid->len = NQ_CID_MAX_LEN;
	memset(cid->id, (int)seed, cid->len);
	cid->has_token = true;
	memset(cid->token, (int)seed + 0x80, NQ_RESET_TOKEN_LEN);
}

static void set_params(struct nq_conn_params *q, const struct tunnel_conf *conf, int i)
{
	q->crypto = &sim_check_crypto;
	q->cipher = NQ_AES_128_GCM;
	q->is_server = i == 1;
	phase_keys(&q->tx, i, 0);
	phase_keys(&q->rx, !i, 0);
	phase_keys(&q->tx_next, i, 1);
	phase_keys(&q->rx_next, !i, 1);
	q->has_next = true;
	set_cid(&q->local_cids[0], 0x10 * (i + 1));
	set_cid(&q->remote_cids[0], 0x10 * (2 - i));
	q->n_local_cids = q->n_remote_cids = 1;
	q->peer_active_cid_limit = 8;
	q->max_idle_timeout_ms = conf->idle_ms;
	q->keepalive_ms = conf->keepalive_ms;
	q->peer_ack_delay_exponent = q->ack_delay_exponent = 3;
	q->peer_max_ack_delay_us = q->max_ack_delay_us = 25000;
	q->peer_max_datagram_frame_bytes = 65535;
	q->peer_max_udp_payload_bytes = 65527;
	q->migration = true;
	q->path_secret[0] = 0x0123456789abcdefULL + (u64)i;
	q->path_mtu_bytes = conf->mtu ? conf->mtu : TUNNEL_MTU;
	q->srtt_us = q->min_rtt_us = (u32)(conf->rtt_ns / SIM_US);
	q->rttvar_us = q->srtt_us / 2;
	q->prefix_len = 1;
	q->congestion = conf->congestion;
	q->ecn = conf->ecn;
	q->ring_packets = 65536;
}

static struct tunnel_end *new_end(struct sim *s, const struct tunnel_conf *conf, u8 flow, int i,
				  struct sim_node *to)
{
	struct tunnel_end *e = sim_node_new(s, i ? "tunnel-b" : "tunnel-a", sizeof(*e), to);
	size_t bytes;
	int err = -ENOMEM;

	set_params(&e->params, conf, i);
	bytes = nq_conn_bytes(&e->params);
	e->mem = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
	if (e->mem) {
		memset(e->mem, 0, bytes);
		e->conn = nq_conn_init(e->mem, &e->params, now_us(e), &err);
	}
	if (!e->conn) {
		fprintf(stderr, "sim: nq_conn_init: %s\n", strerror(-err));
		exit(2);
	}
	e->node.forward = end_forward;
	e->node.run = end_run;
	e->node.fini = end_fini;
	e->flow = flow;
	e->rx_batch_ns = conf->rx_batch_ns;
	e->inbox_tail = &e->inbox;
	e->inbox_due_ns = SIM_NEVER;
	e->queue_tail = &e->queue;
	e->queue_limit = conf->queue_bytes;
	e->retry_us = NQ_TIME_NEVER;
	schedule(e);
	return e;
}

void tunnel_start(struct tunnel *t, struct sim *s, const struct tunnel_conf *conf, u8 flow,
		  struct sim_node *from_a, struct sim_node *from_b)
{
	t->a = new_end(s, conf, flow, 0, from_a);
	t->b = new_end(s, conf, flow, 1, from_b);
	t->a->peer = t->b;
	t->b->peer = t->a;
}

void tunnel_send(struct tunnel_end *e, const struct tunnel_source *source)
{
	e->source = *source;
	e->source.on = true;
	e->source.since_ns = e->node.sim->now_ns;
	e->source.made = 0;
	e->node.next_run_ns = e->node.sim->now_ns;
}

void tunnel_stop(struct tunnel_end *e)
{
	memset(&e->source, 0, sizeof(e->source));
}

bool tunnel_put(struct tunnel_end *e, const u8 *inner, u32 stored, u32 len)
{
	struct inner *i;

	len = (u32)nq_max(len, STAMP_BYTES + stored);
	if (e->queue_bytes + len > e->queue_limit) {
		e->queue_drops++;
		return false;
	}
	i = e->spare;
	if (i)
		e->spare = i->next;
	else
		i = malloc(sizeof(*i));
	if (!i)
		exit(2);
	i->next = NULL;
	i->at_ns = e->node.sim->now_ns;
	i->len = len;
	i->stored = stored;
	memcpy(i->data, inner, stored);
	*e->queue_tail = i;
	e->queue_tail = &i->next;
	e->queue_bytes += len;
	e->node.next_run_ns = e->node.sim->now_ns;
	return true;
}

void tunnel_path_mtu(struct tunnel_end *e, u32 bytes)
{
	nq_set_path_mtu(e->conn, bytes);
	e->node.next_run_ns = e->node.sim->now_ns;
}

void tunnel_update_keys(struct tunnel_end *e)
{
	int err = nq_key_update(e->conn, now_us(e));

	if (err && err != -EAGAIN)
		sim_broken(e->node.sim, "nq_key_update returned %d", err);
	e->node.next_run_ns = e->node.sim->now_ns;
}
