// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whole-packet sequences: the input is a script that two engines and the network between them play.
 * A step is a byte, of which the upper half names the end or the direction (odd: the server's) and
 * the lower half the act, and two bytes of operands.
 *
 * After every step: the books of both ends are right, nothing left beyond the window, what opened is
 * what left the other end, unaltered, and no datagram came twice. When the script has ended and the
 * network loses nothing any more, nothing stays in flight.
 */
#include "engine.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

#define DATAGRAMS_MAX 2048
#define QUEUE 96
#define STEPS_MAX 400
#define SETTLE_ROUNDS 100

enum act {
	ACT_SEND, /* a burst; some of it may stay unsealed or unsent */
	ACT_SEND_WITH_CONTROL,
	ACT_CONTROL,
	ACT_DELIVER, /* the oldest ones, together */
	ACT_DELIVER_ONE,
	ACT_DROP,
	ACT_DUPLICATE,
	ACT_MUTATE,
	ACT_CUT,
	ACT_TIME,
	ACT_LONG_TIME,
	ACT_KEY_UPDATE,
	ACT_ADD_CID,
	ACT_FRAMES,
	ACT_PATH,
	ACT_END,
};

struct packet {
	u32 len;
	bool altered;
	u8 data[1400];
};

/* An end, and the packets that have left it. */
struct end {
	struct nq_conn *conn;
	void *ring;
	u8 punt[NQ_PUNT_BYTES];
	u8 phase; /* whose keys are installed as next */
	u32 n;
	u8 order[QUEUE]; /* of the n packets; behind them the places that are free */
	struct packet slots[QUEUE];
	u32 n_datagrams;
	u16 size[DATAGRAMS_MAX];
	bool arrived[DATAGRAMS_MAX];
};

static struct end ends[2];
static u64 now_us;

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* ---- a cipher that leaves everything readable and notices every change ---- */

static u64 hash(u64 h, const u8 *p, u32 len)
{
	for (; len >= 8; p += 8, len -= 8) {
		h = (h ^ nq_get_be64(p)) * 1099511628211ULL;
		h ^= h >> 29;
	}
	for (; len; p++, len--)
		h = (h ^ *p) * 1099511628211ULL;
	return h ^ h >> 32;
}

static u64 hash_op(const struct nq_aead_op *op)
{
	return hash(hash(1, op->aad, op->aad_len), op->text, op->text_len);
}

static void mix_tag(struct nq_aead_op *op)
{
	u8 *tag = op->text + op->text_len + 8;

	nq_put_be64(tag, nq_get_be64(tag) ^ hash_op(op));
}

static void sum_seal(void *ctx, struct nq_aead_op *ops, unsigned int n)
{
	unsigned int i;

	null_crypto.seal(ctx, ops, n);
	for (i = 0; i < n; i++)
		mix_tag(&ops[i]);
}

static void sum_open(void *ctx, struct nq_aead_op *ops, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		mix_tag(&ops[i]);
	null_crypto.open(ctx, ops, n);
}

/* ---- the ends ---- */

static void start(void)
{
	static struct nq_crypto_ops crypto;
	struct nq_conn_params p;
	static void *mem[2];
	int i, k, err;

	crypto = null_crypto;
	crypto.seal = sum_seal;
	crypto.open = sum_open;
	now_us = FUZZ_NOW_US;
	for (i = 0; i < 2; i++) {
		fuzz_params(&p, i);
		p.crypto = &crypto;
		p.ring_packets = NQ_RING_MIN;
		/* Or two ends that no longer understand each other would look like silence. */
		p.max_idle_timeout_ms = 0;
		p.peer_active_cid_limit = 4;
		if (!mem[i])
			mem[i] = aligned_alloc(64, (nq_conn_bytes(&p) + 63) & ~(size_t)63);
		must(mem[i]);
		memset(mem[i], 0, nq_conn_bytes(&p));
		ends[i].conn = nq_conn_init(mem[i], &p, now_us, &err);
		must(ends[i].conn);
		must(nq_lend_punt(ends[i].conn, ends[i].punt));
		ends[i].ring = NULL;
		ends[i].phase = 1;
		ends[i].n = ends[i].n_datagrams = 0;
		for (k = 0; k < QUEUE; k++)
			ends[i].order[k] = (u8)k;
		memset(ends[i].arrived, 0, sizeof(ends[i].arrived));
	}
}

static void stop(void)
{
	int i;

	for (i = 0; i < 2; i++) {
		nq_conn_fini(ends[i].conn);
		free(ends[i].ring);
	}
}

static struct packet *at(struct end *e, u32 k)
{
	return &e->slots[e->order[k]];
}

static void put(struct end *e, const u8 *data, u32 len)
{
	struct packet *p;

	must(len && len <= sizeof(p->data));
	/* A full queue loses. */
	if (e->n == QUEUE)
		return;
	p = at(e, e->n++);
	p->len = len;
	p->altered = false;
	memcpy(p->data, data, len);
}

static void take_out(struct end *e, u32 k)
{
	u8 slot = e->order[k];

	e->n--;
	memmove(&e->order[k], &e->order[k + 1], e->n - k);
	e->order[e->n] = slot;
}

static void control(struct end *e)
{
	static u8 buf[1400];
	int len, guard = 0;

	while (nq_tx_control_wanted(e->conn, now_us)) {
		len = nq_tx_control(e->conn, buf, sizeof(buf), now_us);
		/* Frames queued by the owner may not fit behind an ACK. */
		if (len <= 0)
			break;
		put(e, buf, (u32)len);
		must(++guard < 64);
	}
}

/* Datagram @index of @bytes: its number, then what follows from it. */
static void fill(u8 *p, u32 index, u32 bytes)
{
	nq_put_be32(p, index);
	memset(p + 4, (int)(index * 31), bytes - 4);
}

static void send_burst(struct end *e, u8 a, u8 b, bool with_control)
{
	static u8 bufs[NQ_BURST_MAX][1400];
	u32 bytes = 24 + b % 64 * 20, i, pos, n, left;
	struct nq_tx_pkt pkts[NQ_BURST_MAX];
	u64 before = e->conn->loss.bytes_in_flight;
	struct nq_tx_burst burst;

	n = nq_tx_reserve(e->conn, &burst, a % NQ_BURST_MAX + 1,
			  bytes + nq_tx_overhead_bytes(e->conn), now_us);
	/* Two bits: seal all or half, send all or half of that. */
	n = b & 0x40 ? n / 2 : n;
	if (e->n_datagrams + n > DATAGRAMS_MAX)
		n = 0;
	for (i = 0; i < n; i++) {
		pos = burst.hdr_len;
		pos += nq_tx_datagram_header(e->conn, bufs[i] + pos);
		fill(bufs[i] + pos, e->n_datagrams + i, bytes);
		pkts[i] = (struct nq_tx_pkt){ bufs[i], pos + bytes };
		e->size[e->n_datagrams + i] = (u16)bytes;
	}
	left = nq_tx_seal(e->conn, &burst, pkts, n) ? 0 : b & 0x80 ? n / 2 : n;
	if (with_control)
		control(e);
	e->n_datagrams += n;
	for (i = 0; i < left; i++)
		put(e, pkts[i].buf, pkts[i].len);
	nq_tx_commit(e->conn, &burst, pkts, left, now_us);
	must(!left || with_control || e->conn->loss.bytes_in_flight > before);
	must(!left || with_control || e->conn->loss.bytes_in_flight <= e->conn->cc.cwnd);
}

/* ---- delivery ---- */

static void arrived(struct end *from, const struct nq_rx_datagram *d)
{
	static u8 want[1400];
	u32 index;

	must(d->len >= 4);
	index = nq_get_be32(d->data);
	must(index < from->n_datagrams && !from->arrived[index] && d->len == from->size[index]);
	from->arrived[index] = true;
	fill(want, index, d->len);
	must(!memcmp(want, d->data, d->len));
}

static void deliver(struct end *from, struct end *to, u32 k, u32 some)
{
	static struct packet copies[NQ_BURST_MAX];
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	struct nq_rx_pkt pkts[NQ_BURST_MAX];
	unsigned int n_dg;
	u32 i;

	some = some < NQ_BURST_MAX ? some : NQ_BURST_MAX;
	some = some < from->n - k ? some : from->n - k;
	if (!some)
		return;
	for (i = 0; i < some; i++) {
		copies[i] = *at(from, k);
		take_out(from, k);
		pkts[i] = (struct nq_rx_pkt){ .data = copies[i].data, .len = copies[i].len };
	}
	must(nq_rx_open(to->conn, pkts, some, dg, NQ_BURST_MAX, &n_dg, now_us) == some);
	for (i = 0; i < some; i++)
		must(!copies[i].altered || pkts[i].status != NQ_RX_OK);
	for (i = 0; i < n_dg; i++)
		arrived(from, &dg[i]);
}

/* ---- steps ---- */

/* What was in it has been read. */
static void lend_punt(struct end *e)
{
	u32 len;
	void *mem = nq_take_punt(e->conn, &len);

	must(mem == e->punt && len <= NQ_PUNT_BYTES);
	must(nq_lend_punt(e->conn, mem));
}

/* The owner's part: keys of the next phase, IDs, punted frames, a larger ring. */
static void serve(struct end *e)
{
	struct nq_key_material m = { 0 };
	u32 packets = nq_ring_wanted(e->conn);
	struct nq_cid cid;
	void *ring;

	if (nq_take_events(e->conn) & NQ_EV_KEY_UPDATED) {
		memset(m.key, ++e->phase, sizeof(m.key));
		must(!nq_set_next_keys(e->conn, &m, &m));
	}
	while (nq_take_retired_cid(e->conn, &cid))
		;
	lend_punt(e);
	if (!packets || packets > 4 * NQ_RING_MIN)
		return;
	ring = calloc(1, nq_ring_bytes(packets));
	must(ring && !nq_conn_grow(e->conn, ring, packets));
	free(e->ring);
	e->ring = ring;
}

static void pass_time(u64 us)
{
	int i;

	now_us += us;
	for (i = 0; i < 2; i++) {
		if (nq_next_timeout_us(ends[i].conn) <= now_us)
			nq_on_timeout(ends[i].conn, now_us);
	}
}

static void add_cid(struct end *e, u8 a)
{
	struct nq_cid cid = { .len = 4, .has_token = true };

	cid.id[0] = (u8)(e->conn->cids.next_local_seq + 1);
	memset(cid.token, a, sizeof(cid.token));
	nq_add_local_cid(e->conn, &cid);
}

static void alter(struct packet *p, u8 a, u8 b)
{
	u32 pos = (u32)(a << 8 | b) % p->len;

	/* A second change might undo the first. */
	if (p->altered)
		return;
	p->data[pos] ^= (u8)(1 + a % 255);
	p->altered = true;
}

static void cut(struct packet *p, u32 bytes)
{
	if (p->len <= bytes)
		return;
	p->len -= bytes;
	p->altered = true;
}

static void path_event(struct end *e, u8 a, u8 b)
{
	if (a & 1)
		nq_set_path_mtu(e->conn, NQ_MIN_UDP_PAYLOAD + b % 200);
	else
		nq_set_keepalive(e->conn, b * 100, now_us);
}

static void act(u8 code, u8 a, u8 b)
{
	struct end *e = &ends[code >> 4 & 1], *peer = &ends[!(code >> 4 & 1)];
	u32 k = e->n ? a % e->n : 0;
	u8 frames[2] = { a, b };

	switch (code & 15) {
	case ACT_SEND:
	case ACT_SEND_WITH_CONTROL:
		send_burst(e, a, b, (code & 15) == ACT_SEND_WITH_CONTROL);
		break;
	case ACT_CONTROL:
		control(e);
		break;
	case ACT_DELIVER:
		deliver(e, peer, 0, a);
		break;
	case ACT_DELIVER_ONE:
		deliver(e, peer, k, 1);
		break;
	case ACT_DROP:
		if (e->n)
			take_out(e, k);
		break;
	case ACT_DUPLICATE:
		if (e->n && e->n < QUEUE)
			*at(e, e->n++) = *at(e, k);
		break;
	case ACT_MUTATE:
		if (e->n)
			alter(at(e, k), a, b);
		break;
	case ACT_CUT:
		if (e->n)
			cut(at(e, k), b + 1u);
		break;
	case ACT_TIME:
		pass_time((u64)(a << 8 | b));
		break;
	case ACT_LONG_TIME:
		pass_time((u64)(a << 8 | b) * 1000);
		break;
	case ACT_KEY_UPDATE:
		nq_key_update(e->conn, now_us);
		break;
	case ACT_ADD_CID:
		add_cid(e, a);
		break;
	case ACT_FRAMES:
		nq_tx_queue_frames(e->conn, frames, 1 + (b & 1));
		break;
	case ACT_PATH:
		path_event(e, a, b);
		break;
	default:
		/* Rare, or no script would live long. */
		if (a == 0xee && b == code)
			nq_close(e->conn, code & 0x20, b, "script", now_us);
	}
}

static void check_both(void)
{
	int i;

	for (i = 0; i < 2; i++) {
		serve(&ends[i]);
		fuzz_check(ends[i].conn);
	}
}

static bool both_active(void)
{
	return ends[0].conn->state == NQ_ACTIVE && ends[1].conn->state == NQ_ACTIVE;
}

/* From now on everything arrives. Altered packets do no more harm than lost ones. */
static void settle(void)
{
	u64 next;
	int i, k;

	/* Or a short one would use up the rounds. */
	for (i = 0; i < 2; i++)
		nq_set_keepalive(ends[i].conn, 0, now_us);
	for (k = 0; k < SETTLE_ROUNDS && both_active(); k++) {
		for (i = 0; i < 2; i++) {
			control(&ends[i]);
			deliver(&ends[i], &ends[!i], 0, NQ_BURST_MAX);
			check_both();
		}
		if (!ends[0].n && !ends[1].n && !ends[0].conn->loss.bytes_in_flight &&
		    !ends[1].conn->loss.bytes_in_flight)
			return;
		next = nq_min(nq_next_timeout_us(ends[0].conn), nq_next_timeout_us(ends[1].conn));
		if (!ends[0].n && !ends[1].n && next != NQ_TIME_NEVER)
			pass_time(next > now_us ? next - now_us : 1);
		check_both();
	}
	must(!both_active());
}

/* With so many features for each input, weighing them costs libFuzzer ten times what a run does. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char **args = calloc((size_t)*argc + 2, sizeof(*args));

	must(args);
	memcpy(args, *argv, (size_t)*argc * sizeof(*args));
	args[(*argc)++] = "-entropic=0";
	*argv = args;
	return 0;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	int steps;

	start();
	for (steps = 0; steps < STEPS_MAX && len >= 3; steps++, data += 3, len -= 3) {
		act(data[0], data[1], data[2]);
		check_both();
	}
	settle();
	stop();
	return 0;
}
