// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine's small structures against models too simple to be wrong: range set and ACK frame
 * against a bitmap, duplicate window against an array, the records of sent packets against a plain
 * reading of RFC 9002, packet-number recovery against "the nearest candidate".
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#include "shrink.h"

#define OPERATIONS 10000000ULL

/* ---- ranges and ACK frames ---- */

#define SET 256
#define RANGE_KINDS 16

/* What the set holds of base .. base + SET - 1. */
struct set_model {
	u64 words[SET / 64];
	u64 base;
};

static bool set_has(const struct set_model *m, unsigned int i)
{
	return m->words[i / 64] >> i % 64 & 1;
}

static void set_put(struct set_model *m, unsigned int i, bool on)
{
	m->words[i / 64] &= ~(1ULL << i % 64);
	m->words[i / 64] |= (u64)on << i % 64;
}

/* First place from @i on that is (not) set; SET if there is none. */
static unsigned int set_next(const struct set_model *m, unsigned int i, bool on)
{
	u64 w;

	while (i < SET) {
		w = (on ? m->words[i / 64] : ~m->words[i / 64]) >> i % 64;
		if (w)
			return i + (unsigned int)__builtin_ctzll(w);
		i = (i / 64 + 1) * 64;
	}
	return SET;
}

static unsigned int set_runs(const struct set_model *m, struct nq_range *r)
{
	unsigned int n = 0, i, end;

	for (i = set_next(m, 0, true); i < SET; i = set_next(m, end, true)) {
		end = set_next(m, i, false);
		r[n++] = (struct nq_range){ m->base + i, m->base + end - 1 };
	}
	return n;
}

static void set_add(struct set_model *m, unsigned int first, unsigned int last)
{
	struct nq_range r[SET];
	u64 pn;

	for (; first <= last; first++)
		set_put(m, first, true);
	/* One range too many: the lowest is forgotten. */
	if (set_runs(m, r) > NQ_RANGES_MAX)
		for (pn = r[0].first; pn <= r[0].last; pn++)
			set_put(m, (unsigned int)(pn - m->base), false);
}

static bool set_equals(const struct set_model *m, const struct nq_ranges *s)
{
	struct nq_range r[SET];
	unsigned int n = set_runs(m, r), i;

	if (n != s->n)
		return false;
	for (i = 0; i < n; i++) {
		if (r[i].first != s->r[n - 1 - i].first || r[i].last != s->r[n - 1 - i].last)
			return false;
	}
	return true;
}

/* Encoded and parsed again it is the same set, or its upper part if the frame had less room. */
static bool frame_equals(const struct nq_ranges *s, u32 cap, bool ecn)
{
	static const u64 counts[3] = { 1, 0x3fffffff, NQ_PN_MAX };
	struct nq_ack_iter it = { 0 };
	struct nq_frame f;
	struct nq_range r;
	u8 buf[700];
	u32 len, i;

	len = nq_put_ack(buf, cap, s, 12345, ecn ? counts : NULL);
	if (!len)
		return !s->n || cap < 70;
	if (len > cap || nq_frame_parse(buf, buf + len, &f) || f.len != len ||
	    f.ack.largest != s->r[0].last || f.ack.has_ecn != ecn ||
	    (ecn && (f.ack.ect0 != counts[0] || f.ack.ce != counts[2])))
		return false;
	for (i = 0; nq_ack_next(&f.ack, &it, &r); i++) {
		if (i >= s->n || r.first != s->r[i].first || r.last != s->r[i].last)
			return false;
	}
	return cap < sizeof(buf) ? i >= 1 : i == s->n;
}

static int run_ranges(const struct shrink_op *ops, int n)
{
	static const u64 bases[] = { 0, 1, 60, 16380, 0x3fffff80, 1ULL << 32, NQ_PN_MAX - SET + 1 };
	struct nq_ranges s = { 0 };
	struct set_model m = { 0 };
	unsigned int first, last;
	int i;

	m.base = bases[(ops[0].a ^ ops[0].b) % (sizeof(bases) / sizeof(bases[0]))];
	for (i = 0; i < n; i++) {
		first = ops[i].a % SET;
		last = first + ops[i].b % (ops[i].kind == 1 ? 40 : 3);
		last = last < SET ? last : SET - 1;
		if (ops[i].kind == 0) {
			nq_ranges_drop_below(&s, m.base + first);
			for (last = 0; last < first; last++)
				set_put(&m, last, false);
		} else if (ops[i].kind == 2) {
			if (!frame_equals(&s, 700, ops[i].b & 1) ||
			    !frame_equals(&s, ops[i].a % 700, ops[i].b & 1))
				return i;
		} else if (nq_ranges_contains(&s, m.base + first) != set_has(&m, first)) {
			return i;
		} else {
			set_add(&m, first, last);
			/* Refused exactly if the model forgot it at once. */
			if (nq_ranges_add(&s, m.base + first, m.base + last) != set_has(&m, last))
				return i;
		}
		if (!set_equals(&m, &s))
			return i;
	}
	return -1;
}

static void test_ranges(void **state)
{
	shrink_check("ranges", run_ranges, RANGE_KINDS, 500, OPERATIONS);
}

/* ---- duplicate window ---- */

#define NUMBERS 32768
#define WINDOW_KINDS 64

struct window_model {
	bool seen[NUMBERS];
	u64 base, end;
};

static enum nq_window_verdict window_verdict(const struct window_model *m, u64 pn)
{
	if (m->end > NQ_WINDOW_PACKETS && pn < m->end - NQ_WINDOW_PACKETS)
		return NQ_WINDOW_OLD;
	return pn >= m->base && m->seen[pn - m->base] ? NQ_WINDOW_SEEN : NQ_WINDOW_NEW;
}

/* A number near the end, somewhere in the window, or (rarely) far ahead. */
static u64 window_number(const struct window_model *m, const struct shrink_op *op)
{
	u64 end = m->end > m->base ? m->end : m->base, pn;

	if (op->kind == 0)
		pn = end + op->a % 6000;
	else if (op->kind < 8)
		pn = end + op->a % 130;
	else
		pn = end + 8 - op->a % (op->kind < 30 ? 70 : NQ_WINDOW_PACKETS + 200);
	if (pn < m->base || pn > end + 6000)
		pn = m->base;
	return pn < m->base + NUMBERS ? pn : m->base + NUMBERS - 1;
}

static int run_window(const struct shrink_op *ops, int n)
{
	static const u64 bases[] = { 0, 1, 4095, (1ULL << 32) - 5000, NQ_PN_MAX - NUMBERS + 1 };
	static struct window_model m;
	struct nq_window w = { 0 };
	u64 pn, last;
	int i;

	memset(&m, 0, sizeof(m));
	m.base = bases[(ops[0].a ^ ops[0].b) % (sizeof(bases) / sizeof(bases[0]))];
	for (i = 0; i < n; i++) {
		pn = last = window_number(&m, &ops[i]);
		if (nq_window_check(&w, pn) != window_verdict(&m, pn))
			return i;
		if (ops[i].kind == 1) {
			last = nq_min(pn + ops[i].b % 5000, m.base + NUMBERS - 1);
			nq_window_add_range(&w, pn, last);
		} else if (window_verdict(&m, pn) == NQ_WINDOW_NEW) {
			nq_window_add(&w, pn);
		}
		for (; pn <= last; pn++)
			m.seen[pn - m.base] = true;
		m.end = nq_max(m.end, last + 1);
		pn = m.base + ops[i].b % NUMBERS;
		if (nq_window_check(&w, pn) != window_verdict(&m, pn))
			return i;
		if (w.end != m.end)
			return i;
	}
	for (pn = m.base; pn < m.base + NUMBERS; pn++) {
		if (nq_window_check(&w, pn) != window_verdict(&m, pn))
			return n - 1;
	}
	return -1;
}

static void test_window(void **state)
{
	shrink_check("window", run_window, WINDOW_KINDS, 2500, OPERATIONS);
}

/* ---- recovery ---- */

#define SENT 40000
#define SENT_BYTES 1200
#define RECOVERY_OPS 600
#define RECOVERY_KINDS 24

enum {
	OP_SEND, /* up to 7: a burst */
	OP_CONTROL = 8, /* what the engine has to say, an ACK at least; up to 9 */
	OP_ACK, /* ranges of what was sent; up to 17 */
	OP_ACK_AGAIN = 18,
	OP_ACK_ALL,
	OP_TIME, /* up to 21 */
	OP_SKIP = 22,
	OP_GROW,
};

struct sent_model {
	u64 time_us;
	u32 bytes;
	u8 state;
	bool eliciting;
};

struct recovery_model {
	struct nq_conn *c;
	void *mem, *ring;
	u64 now_us, first, next;
	u64 high; /* numbers ever given out end here */
	u64 known; /* the ring no longer knows what is below */
	u64 largest, loss_time_us, flight;
	u32 threshold;
	bool any_acked;
	struct nq_ranges last_ack;
	struct sent_model s[SENT];
};

static struct sent_model *sent(struct recovery_model *m, u64 pn)
{
	return &m->s[pn - m->first];
}

static void model_start(struct recovery_model *m, u64 first)
{
	static struct nq_conn_params p;
	static struct pair pair;
	int err;

	pair_params(&pair, &null_crypto, NQ_AES_128_GCM);
	p = pair.params[0];
	p.ring_packets = NQ_RING_MIN;
	p.srtt_us = p.min_rtt_us = 10000;
	p.rttvar_us = 1000;
	p.max_idle_timeout_ms = 0;
	p.next_pn = first;
	memset(m, 0, sizeof(*m));
	m->now_us = 1000000;
	m->first = m->next = m->high = m->known = first;
	m->loss_time_us = NQ_TIME_NEVER;
	m->threshold = NQ_PACKET_THRESHOLD;
	m->mem = aligned_alloc(64, (nq_conn_bytes(&p) + 63) & ~(size_t)63);
	assert_non_null(m->mem);
	memset(m->mem, 0, nq_conn_bytes(&p));
	m->c = nq_conn_init(m->mem, &p, m->now_us, &err);
	assert_non_null(m->c);
}

static void model_stop(struct recovery_model *m)
{
	nq_conn_fini(m->c);
	free(m->mem);
	free(m->ring);
}

static void model_numbers(struct recovery_model *m, u64 end)
{
	u64 size = nq_ring_packets(m->c);

	m->next = end;
	m->high = nq_max(m->high, end);
	if (m->high > size)
		m->known = nq_max(m->known, m->high - size);
}

static void model_sent(struct recovery_model *m, u64 pn, u32 bytes, bool eliciting)
{
	*sent(m, pn) = (struct sent_model){ m->now_us, bytes, NQ_SENT_OUT, eliciting };
	m->flight += eliciting ? bytes : 0;
}

/* RFC 9002 6.1, over everything that is out; below @give_up it is lost without a reason. */
static void model_losses(struct recovery_model *m, u64 give_up)
{
	u64 delay = nq_max(m->c->rtt.latest_us, m->c->rtt.srtt_us), pn;
	struct sent_model *s;

	delay = nq_max(delay + delay / 8, NQ_GRANULARITY_US);
	m->loss_time_us = NQ_TIME_NEVER;
	for (pn = m->known; pn < m->next; pn++) {
		s = sent(m, pn);
		if (s->state != NQ_SENT_OUT || !s->eliciting)
			continue;
		if (pn >= give_up) {
			if (!m->any_acked || pn > m->largest)
				continue;
			if (m->largest - pn < m->threshold && s->time_us + delay > m->now_us) {
				m->loss_time_us = nq_min(m->loss_time_us, s->time_us + delay);
				continue;
			}
		}
		s->state = NQ_SENT_LOST;
		m->flight -= s->bytes;
	}
}

/* False: the frame acknowledges what was never sent. */
static bool model_ack(struct recovery_model *m, const struct nq_ranges *r, bool *newly)
{
	struct sent_model *s;
	u64 pn;
	u32 i;

	*newly = false;
	if (!m->any_acked || r->r[0].last > m->largest)
		m->largest = r->r[0].last;
	m->any_acked = true;
	for (i = 0; i < r->n; i++) {
		for (pn = nq_max(r->r[i].first, m->known); pn <= r->r[i].last; pn++) {
			s = sent(m, pn);
			if (s->state == NQ_SENT_UNUSED)
				return false;
			if (s->state == NQ_SENT_LOST && m->largest - pn + 1 > m->threshold)
				m->threshold =
					(u32)nq_min(m->largest - pn + 1, NQ_PACKET_THRESHOLD_MAX);
			if (s->state == NQ_SENT_OUT) {
				*newly = true;
				m->flight -= s->eliciting ? s->bytes : 0;
			}
			s->state = NQ_SENT_ACKED;
		}
	}
	return true;
}

static void send_control(struct recovery_model *m)
{
	u64 size = nq_ring_packets(m->c), base = m->c->loss.base_pn;
	static u8 buf[1500];
	struct nq_sent *s;
	int len;
	u64 pn;

	len = nq_tx_control(m->c, buf, sizeof(buf), m->now_us);
	if (len <= 0)
		return;
	pn = m->c->next_pn - 1;
	s = nq_sent_at(m->c, pn);
	model_numbers(m, pn + 1);
	model_sent(m, pn, (u32)len, s->flags & NQ_SENT_ELICITING);
	/* Too little room behind what stands in the ring: its older half is given up. */
	if (m->next + NQ_BURST_MAX + 1 - base > size)
		model_losses(m, m->next - size / 2);
}

/* Reserve, seal fewer, send fewer; maybe with a control packet before the commit. */
static void send_burst(struct recovery_model *m, const struct shrink_op *op)
{
	static u8 bufs[NQ_BURST_MAX][SENT_BYTES + 64];
	struct nq_tx_pkt pkts[NQ_BURST_MAX];
	unsigned int want = op->a % NQ_BURST_MAX + 1, n, used, left, i;
	struct nq_tx_burst b;
	u64 first, at_us = m->now_us;

	m->c->cc.cwnd = m->c->cc.max_cwnd * 4;
	m->c->pacer.rate = 0;
	n = nq_tx_reserve(m->c, &b, want, SENT_BYTES, m->now_us);
	first = b.first_pn;
	/* All of it, or some: by three bits of the operand each. */
	used = op->b & 7 ? n : op->b / 64 % (n + 1);
	left = op->b >> 3 & 7 ? used : op->b / 8192 % (used + 1);
	for (i = 0; i < used; i++) {
		pkts[i].buf = bufs[i];
		pkts[i].len = b.hdr_len + 20 + (op->a + i * 37) % 900;
		bufs[i][b.hdr_len] = NQ_FRAME_DATAGRAM;
	}
	assert_int_equal(nq_tx_seal(m->c, &b, pkts, used), 0);
	if (first + n > m->next)
		model_numbers(m, first + n);
	if (op->kind == OP_SEND + 1) {
		m->c->ack.now = true;
		send_control(m);
	}
	nq_tx_commit(m->c, &b, pkts, left, at_us);
	for (i = 0; i < left; i++)
		model_sent(m, first + i, pkts[i].len, true);
	if (m->next == first + n)
		m->next = first + used;
}

/* Up to 32 ranges of sent packets, the upper end somewhere in what is known. */
static void pick_ranges(struct recovery_model *m, const struct shrink_op *op, struct nq_ranges *r)
{
	u64 random = op->b | (u64)op->a << 32, pn, below = m->next - m->known;
	u32 run = 0, holes = 1 + op->b % 20;
	bool take = true;

	memset(r, 0, sizeof(*r));
	pn = m->next - (op->kind & 1 ? 0 : op->a % (below / 2 + 1));
	while (pn-- > m->known && r->n < NQ_RANGES_MAX) {
		if (!run--) {
			random = random * 6364136223846793005ULL + 1442695040888963407ULL;
			take = !take || (random >> 33) % 20 >= holes;
			run = (u32)(random >> 40) % (take ? 40 : 4);
		}
		if (take && sent(m, pn)->state != NQ_SENT_UNUSED)
			nq_ranges_add(r, pn, pn);
	}
}

/* True: the connection is over, as it must be. */
static bool take_ack(struct recovery_model *m, const struct nq_ranges *r, bool *agree)
{
	bool newly, legal;
	struct nq_frame f;
	u8 buf[700];
	u32 len;
	int err;

	*agree = true;
	if (!r->n || r->r[0].last >= m->next)
		return false;
	len = nq_put_ack(buf, sizeof(buf), r, 0, NULL);
	assert_int_equal(nq_frame_parse(buf, buf + len, &f), 0);
	err = nq_loss_on_ack(m->c, &f.ack, m->now_us);
	legal = model_ack(m, r, &newly);
	*agree = legal == !err;
	if (legal && newly)
		model_losses(m, 0);
	return !legal;
}

static void pass_time(struct recovery_model *m, u32 us)
{
	bool by_loss_time;

	m->now_us += us;
	by_loss_time = m->loss_time_us != NQ_TIME_NEVER && m->now_us >= m->loss_time_us;
	if (nq_next_timeout_us(m->c) <= m->now_us)
		nq_on_timeout(m->c, m->now_us);
	if (by_loss_time)
		model_losses(m, 0);
}

static void grow(struct recovery_model *m)
{
	u32 packets = nq_ring_packets(m->c) * 2;
	void *mem;

	if (packets > 2048)
		return;
	mem = calloc(1, nq_ring_bytes(packets));
	assert_non_null(mem);
	assert_int_equal(nq_conn_grow(m->c, mem, packets), 0);
	free(m->ring);
	m->ring = mem;
}

static bool records_agree(struct recovery_model *m)
{
	const struct nq_conn *c = m->c;
	u64 pn;

	if (c->next_pn != m->next || c->loss.bytes_in_flight != m->flight ||
	    c->loss.loss_time_us != m->loss_time_us || c->loss.packet_threshold != m->threshold ||
	    nq_max(c->loss.known_pn, c->first_pn) != m->known)
		return false;
	for (pn = m->known; pn < m->next; pn++) {
		if (nq_sent_at(m->c, pn)->state != sent(m, pn)->state)
			return false;
		if (pn < c->loss.base_pn && sent(m, pn)->state == NQ_SENT_OUT &&
		    sent(m, pn)->eliciting)
			return false;
	}
	return true;
}

/* One operation. True: the sequence ends here. */
static bool recovery_step(struct recovery_model *m, const struct shrink_op *op, bool *agree)
{
	struct nq_ranges r;

	*agree = true;
	if (op->kind < OP_CONTROL) {
		send_burst(m, op);
	} else if (op->kind < OP_ACK) {
		nq_ranges_add(&m->c->ack.ranges, m->now_us, m->now_us);
		m->c->ack.now = true;
		send_control(m);
	} else if (op->kind < OP_ACK_AGAIN) {
		pick_ranges(m, op, &m->last_ack);
		return take_ack(m, &m->last_ack, agree);
	} else if (op->kind == OP_ACK_AGAIN) {
		return take_ack(m, &m->last_ack, agree);
	} else if (op->kind == OP_ACK_ALL) {
		/* Seldom: it names numbers that were left out. */
		if (op->a % 64 || m->next == m->known)
			return false;
		memset(&r, 0, sizeof(r));
		nq_ranges_add(&r, m->known, m->next - 1);
		return take_ack(m, &r, agree);
	} else if (op->kind < OP_SKIP) {
		pass_time(m, op->a % (op->b % 8 ? 3000 : 60000));
	} else if (op->kind == OP_SKIP) {
		m->c->skip_pn = m->c->next_pn;
	} else if (op->a % 64 == 0) {
		grow(m);
	}
	return false;
}

static int run_recovery(const struct shrink_op *ops, int n)
{
	static const u64 firsts[] = { 0, 10, (1ULL << 32) - 300, 1ULL << 40 };
	static struct recovery_model m;
	bool agree = true, over = false;
	int i;

	model_start(&m, firsts[ops[0].b % 4]);
	for (i = 0; i < n && !over && m.next - m.first < SENT - 200; i++) {
		over = recovery_step(&m, &ops[i], &agree);
		if (!agree || (!over && !records_agree(&m)))
			break;
		agree = true;
	}
	over |= i == n || m.next - m.first >= SENT - 200;
	model_stop(&m);
	return agree && over ? -1 : i;
}

static void test_recovery(void **state)
{
	shrink_check("recovery", run_recovery, RECOVERY_KINDS, RECOVERY_OPS, OPERATIONS / 5);
}

/* ---- packet numbers ---- */

/* RFC 9000 A.3 as a definition: of the numbers that end in @truncated the nearest to @expected;
 * of two equally near the higher.
 */
static u64 nearest(u64 expected, u64 truncated, u64 window)
{
	u64 best = 0, best_far = ~0ULL, at = (expected & ~(window - 1)) | truncated, pn, far;
	int i;

	for (i = -1; i <= 1; i++) {
		pn = at + (u64)i * window;
		if ((i < 0 && at < window) || pn > NQ_PN_MAX)
			continue;
		far = pn > expected ? pn - expected : expected - pn;
		if (far <= best_far) {
			best = pn;
			best_far = far;
		}
	}
	return best;
}

static void check_truncations(u64 expected, u32 bytes, u64 from, u64 count)
{
	u64 window = 1ULL << (8 * bytes), t, i;

	for (i = 0; i < count; i++) {
		t = (from + i) & (window - 1);
		if (nq_pn_decode(expected, (u32)t, bytes) != nearest(expected, t, window))
			fail_msg("expected %llu, %u bytes, %llu", (unsigned long long)expected,
				 bytes, (unsigned long long)t);
	}
}

/* One and two bytes: every value. Three and four: around every place where something changes. */
static void check_decoding(u64 expected)
{
	u64 half;
	u32 bytes;

	check_truncations(expected, 1, 0, 1 << 8);
	check_truncations(expected, 2, 0, 1 << 16);
	for (bytes = 3; bytes <= 4; bytes++) {
		half = 1ULL << (8 * bytes - 1);
		check_truncations(expected, bytes, expected - 300, 600);
		check_truncations(expected, bytes, expected - half - 300, 600);
		check_truncations(expected, bytes, (u64)-300, 600);
		check_truncations(expected, bytes, half - 300, 600);
	}
}

static void test_packet_numbers(void **state)
{
	u64 at;
	int bit, d;

	for (bit = 0; bit <= 62; bit++) {
		for (d = -3; d <= 3; d++) {
			at = (1ULL << bit) + (u64)d;
			if (at <= NQ_PN_MAX)
				check_decoding(at);
		}
	}
	/* And all of what a window behind the end of the numbers changes. */
	for (d = 0; d < 300; d++)
		check_truncations(NQ_PN_MAX - (u64)d, 1, 0, 1 << 8);
	check_truncations(1ULL << 33, 3, 0, 1 << 24);
}

/* ---- the shrinking itself ---- */

/* Fails at a third operation of kind 7. */
static int run_three_sevens(const struct shrink_op *ops, int n)
{
	int i, sevens = 0;

	for (i = 0; i < n; i++) {
		sevens += ops[i].kind == 7;
		if (sevens == 3)
			return i;
	}
	return -1;
}

static void test_shrink(void **state)
{
	struct shrink_op ops[200];
	int i;

	for (i = 0; i < 200; i++)
		ops[i] = (struct shrink_op){ .kind = (u32)i % 11, .a = (u32)i };
	assert_int_equal(shrink(run_three_sevens, ops, 200), 3);
	for (i = 0; i < 3; i++)
		assert_int_equal(ops[i].kind, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shrink),	       cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_window),	       cmocka_unit_test(test_recovery),
		cmocka_unit_test(test_packet_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
