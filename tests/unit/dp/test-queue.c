// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tunnel's own queue on a virtual clock: order, fairness, CoDel's marks and drops against the times
 * RFC 8289 gives, bounds, and what is excused. A link takes one segment after the other at its rate.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "packets.h"
#include "queue.h"

#define PAYLOAD 1000
#define MS 1000
#define SECOND 1000000

/* One for all, as in a process. */
static struct dp_store store;

/* The queue, who fills it and the link that empties it. */
struct world {
	struct dp_fq_pool pool;
	struct dp_fq *q;
	struct nqd_counters c;
	u64 now_us, added, left;
	u64 flow_bytes[8]; /* that left, by source port - 1000 */
	u8 out[70000];
	u32 out_len;
};

static void begin(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->now_us = 5 * SECOND;
	w->pool.store = &store;
	w->q = dp_fq_new(&w->pool);
	assert_non_null(w->q);
}

/* Nothing vanished uncounted. */
static void end(struct world *w)
{
	assert_int_equal(w->added, w->left + dp_fq_segments(w->q) + w->c.congestion_drops +
					   w->c.tx_queue_overflow_drops);
	assert_int_equal(w->c.tx_queue_drops, w->c.congestion_drops + w->c.tx_queue_overflow_drops);
	dp_fq_free(w->q);
	assert_int_equal(w->pool.bytes, 0);
}

static struct flow flow(u8 number)
{
	return (struct flow){ .sport = 1000 + number, .flags = DP_TCP_ACK, .seq = number };
}

/* @n bytes of payload, as a super-packet of segments of @mss if that is not 0. */
static u32 make(struct flow *f, u8 *pkt, u32 n, u16 mss, struct dp_segs *segs)
{
	struct virtio_net_hdr vh = { 0 };
	u32 len = make_packet(f, pkt, n), l4 = l4_at(pkt);

	if (mss) {
		vh = (struct virtio_net_hdr){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					      .gso_type = f->v6 ? VIRTIO_NET_HDR_GSO_TCPV6
								: VIRTIO_NET_HDR_GSO_TCPV4,
					      .gso_size = mss,
					      .csum_start = l4,
					      .csum_offset = 16 };
	}
	assert_int_equal(dp_segs_init(segs, &vh, pkt, len), 0);
	return len;
}

/* What is left of @segs, which was made in the store, waits. */
static void wait(struct world *w, const struct dp_segs *segs, u32 len)
{
	struct dp_pkt *pkt = dp_store_keep(&store, len, segs);

	assert_non_null(pkt);
	w->added += segs->left;
	dp_fq_add(w->q, pkt, dp_flow_hash(7, segs->pkt, len), &w->c, w->now_us);
}

static void add(struct world *w, struct flow f, u32 n, u16 mss)
{
	struct dp_segs segs;
	u32 len = make(&f, dp_store_room(&store), n, mss, &segs);

	wait(w, &segs, len);
}

/* One segment leaves, at @w->now_us. The number of its flow, -1: there was none. */
static int take(struct world *w)
{
	struct dp_segs *segs = dp_fq_next(w->q, &w->c, w->now_us);
	int number;

	if (!segs)
		return -1;
	w->out_len = dp_segs_next(segs, w->out);
	dp_fq_sent(w->q, w->out_len);
	w->left++;
	assert_true(naive_good(w->out, w->out_len));
	number = dp_get16(w->out + l4_at(w->out)) - 1000;
	w->flow_bytes[number] += w->out_len;
	return number;
}

/*
 * For @us: one packet of flow 0 comes every @in_us, a segment leaves every @out_us. Returns how many
 * were dropped or marked meanwhile.
 */
static u64 run(struct world *w, u64 us, u64 in_us, u64 out_us, u8 tos)
{
	u64 before = w->c.congestion_drops + w->c.tx_queue_ce_marks, until = w->now_us + us;
	u64 in = w->now_us + in_us, out = w->now_us + out_us;
	struct flow f = flow(0);

	f.tos = tos;
	while (w->now_us < until) {
		w->now_us = in < out ? in : out;
		if (in <= out) {
			add(w, f, PAYLOAD, 0);
			in += in_us;
		} else {
			take(w);
			out += out_us;
		}
	}
	return w->c.congestion_drops + w->c.tx_queue_ce_marks - before;
}

/* ---- order and shares ---- */

static void in_order_and_whole(void **state)
{
	struct flow f = flow(0);
	static u8 want[2000];
	struct dp_segs segs;
	struct world w;
	u32 len, i;

	begin(&w);
	/* The first of a super-packet has left before the rest had to wait. */
	len = make(&f, dp_store_room(&store), 10 * PAYLOAD, PAYLOAD, &segs);
	dp_segs_next(&segs, w.out);
	wait(&w, &segs, len);
	f.seq += 10 * PAYLOAD;
	add(&w, f, 500, 0);
	assert_int_equal(dp_fq_segments(w.q), 10);
	assert_int_equal(dp_fq_largest_bytes(w.q), PAYLOAD + 40);
	for (i = 0; i < 9; i++) {
		len = dp_segs_next(&segs, want);
		assert_int_equal(take(&w), 0);
		assert_int_equal(w.out_len, len);
		assert_memory_equal(w.out, want, len);
	}
	assert_int_equal(take(&w), 0);
	len = make_packet(&f, want, 500);
	assert_memory_equal(w.out, want, len);
	assert_int_equal(take(&w), -1);
	assert_int_equal(dp_fq_largest_bytes(w.q), 0);
	end(&w);
}

/* A packet of a flow that has nothing else waits for no more than the turn that has begun. */
static void new_flows_first(void **state)
{
	struct world w;
	int i, n;

	begin(&w);
	for (i = 0; i < 20; i++) {
		add(&w, flow(0), 60000, PAYLOAD);
		add(&w, flow(1), PAYLOAD, 0);
	}
	for (i = 0; i < 50; i++)
		take(&w);
	for (i = 0; i < 10; i++) {
		add(&w, flow(2), 50, 0);
		for (n = 0; take(&w) != 2; n++)
			assert_true(n < DP_FQ_QUANTUM_BYTES / PAYLOAD + 1);
		for (n = 0; n < 20; n++)
			take(&w);
	}
	end(&w);
}

/* Bytes count, whatever they are packed in. */
static void equal_shares(void **state)
{
	struct world w;
	int i, k;

	begin(&w);
	for (i = 0; i < 30; i++) {
		add(&w, flow(0), 60000, 1400);
		for (k = 0; k < 45; k++)
			add(&w, flow(1), 1300, 0);
		for (k = 0; k < 200; k++)
			add(&w, flow(2), 200, 0);
	}
	for (i = 0; i < 3000; i++)
		take(&w);
	for (i = 1; i < 3; i++) {
		assert_true(w.flow_bytes[i] <= w.flow_bytes[0] + 2 * DP_FQ_QUANTUM_BYTES);
		assert_true(w.flow_bytes[i] + 2 * DP_FQ_QUANTUM_BYTES >= w.flow_bytes[0]);
	}
	end(&w);
}

/* ---- CoDel ---- */

static u64 drops_of(struct world *w)
{
	return w->c.congestion_drops;
}

/* A queue that stands: nothing for an interval, then drops whose distance shrinks with the root. */
static void drops_come_as_they_should(void **state)
{
	u64 at[8], since, expect;
	struct world w;
	int i, n = 0;

	begin(&w);
	for (i = 0; i < 100; i++)
		add(&w, flow(0), PAYLOAD, 0);
	since = w.now_us;
	while (n < 8) {
		u64 before = drops_of(&w);

		add(&w, flow(0), PAYLOAD, 0);
		w.now_us += MS;
		take(&w);
		assert_true(drops_of(&w) <= before + 1);
		if (drops_of(&w) > before)
			at[n++] = w.now_us;
	}
	/* Above the target after 10 ms, then an interval. */
	assert_in_range(at[0] - since, 110 * MS, 113 * MS);
	expect = at[0];
	for (i = 1; i < 8; i++) {
		static const u32 root[] = { 0, 1000, 1414, 1732, 2000, 2236, 2449, 2646 };

		expect += DP_FQ_INTERVAL_US * 1000ull / root[i];
		assert_in_range(at[i], expect - 3 * MS, expect + 5 * MS);
	}
	assert_in_range(dp_fq_delay_max_us(w.q), 90 * MS, 110 * MS);
	dp_fq_reset_delay_max(w.q);
	assert_int_equal(dp_fq_delay_max_us(w.q), 0);
	end(&w);
}

/* Bursts that are gone within the interval cost nothing, however often they come. */
static void bursts_are_no_queue(void **state)
{
	struct world w;
	int i, k;

	begin(&w);
	for (i = 0; i < 50; i++) {
		for (k = 0; k < 80; k++)
			add(&w, flow(0), PAYLOAD, 0);
		for (k = 0; k < 100; k++) {
			w.now_us += MS;
			take(&w);
		}
	}
	assert_int_equal(drops_of(&w), 0);
	assert_int_equal(w.left, 4000);
	end(&w);
}

/* On a longer tunnel senders need longer to react. */
static void interval_follows_the_round_trip(void **state)
{
	struct world w;

	begin(&w);
	dp_fq_set_round_trip(w.q, 300 * MS);
	assert_int_equal(run(&w, 440 * MS, 500, MS, 0), 0);
	assert_true(run(&w, 200 * MS, 500, MS, 0) > 0);
	end(&w);
}

/* One segment is lost, not the super-packet. */
static void super_packets_lose_a_segment(void **state)
{
	u64 drops;
	struct world w;
	int i;

	begin(&w);
	for (i = 0; i < 10; i++)
		add(&w, flow(0), 60 * PAYLOAD, PAYLOAD);
	do {
		w.now_us += MS;
		assert_int_equal(take(&w), 0);
	} while (!drops_of(&w));
	drops = drops_of(&w);
	assert_int_equal(drops, 1);
	while (take(&w) >= 0)
		;
	assert_int_equal(w.left + w.c.congestion_drops, 600);
	end(&w);
}

/* Who understands marks is told by marks, in all segments, with checksums that are right (take()). */
static void marks(void **state)
{
	unsigned int v6, marked, i;
	struct world w;

	for (v6 = 0; v6 < 2; v6++) {
		struct flow f = flow(0);

		f.v6 = v6;
		f.tos = 0xb8 | 2;
		begin(&w);
		for (i = 0; i < 10; i++)
			add(&w, f, 60 * PAYLOAD, PAYLOAD);
		for (i = marked = 0; take(&w) == 0; i++) {
			u8 tos = v6 ? (w.out[0] << 4 | w.out[1] >> 4) & 0xff : w.out[1];

			w.now_us += MS;
			assert_true(tos == (0xb8 | 2) || tos == (0xb8 | 3));
			marked += tos == (0xb8 | 3);
		}
		assert_int_equal(i, 600);
		assert_int_equal(drops_of(&w), 0);
		assert_true(marked > 0 && marked < 600 && marked % 60 == 0);
		assert_int_equal(w.c.tx_queue_ce_marks, marked);
		end(&w);
	}
	begin(&w);
	run(&w, SECOND, 500, MS, 2);
	assert_true(w.c.tx_queue_ce_marks > 5);
	assert_int_equal(drops_of(&w), 0);
	end(&w);
}

/* ---- bounds ---- */

static void a_flood_hurts_itself(void **state)
{
	struct world w;
	int i, quiet = 0, got = 0;

	begin(&w);
	for (i = 0; i < 40000; i++) {
		add(&w, flow(0), PAYLOAD, 0);
		if (i % 2000 == 0) {
			add(&w, flow(1), PAYLOAD, 0);
			quiet++;
		}
		assert_true(w.pool.bytes <= DP_FQ_MAX_BYTES);
	}
	assert_true(w.c.tx_queue_overflow_drops > 30000);
	for (i = 0; i < 2 * quiet * (DP_FQ_QUANTUM_BYTES / PAYLOAD + 1); i++)
		got += take(&w) == 1;
	assert_int_equal(got, quiet);
	/* Small packets are bounded in number. */
	for (i = 0; i < 20000; i++)
		add(&w, flow(2), 10, 0);
	assert_true(dp_fq_segments(w.q) <= DP_FQ_MAX_PACKETS);
	end(&w);
}

/* When all queues together hold too much, who holds little still may. */
static void the_pool_is_bounded(void **state)
{
	struct world w;
	int i;

	begin(&w);
	w.pool.bytes = DP_FQ_POOL_BYTES;
	for (i = 0; i < 100; i++)
		add(&w, flow(0), PAYLOAD, 0);
	assert_true(w.pool.bytes <= DP_FQ_POOL_BYTES + DP_FQ_POOL_SHARE_BYTES);
	assert_true(dp_fq_segments(w.q) >= 5);
	w.pool.bytes -= DP_FQ_POOL_BYTES;
	end(&w);
}

/* ---- what is excused ---- */

/* @pile packets read at once after @gap_us; the path then is used by two thirds. What CoDel drops. */
static u64 after_pile(struct world *w, unsigned int pile, u64 gap_us, bool told)
{
	unsigned int i;

	w->now_us += gap_us;
	for (i = 0; i < pile; i++)
		add(w, flow(0), PAYLOAD, 0);
	if (told)
		dp_fq_excuse(w->q, gap_us, w->now_us);
	return run(w, 3 * gap_us, 1500, 1000, 0);
}

static void a_stalled_process_is_excused(void **state)
{
	struct world w;

	begin(&w);
	run(&w, SECOND, 1500, 1000, 0);
	assert_true(after_pile(&w, 400, 600 * MS, false) > 0);
	end(&w);
	begin(&w);
	run(&w, SECOND, 1500, 1000, 0);
	assert_int_equal(after_pile(&w, 400, 600 * MS, true), 0);
	/* Again and again, if the path has come to an end with it between. */
	assert_int_equal(after_pile(&w, 400, 600 * MS, true), 0);
	assert_int_equal(after_pile(&w, 100, 150 * MS, true), 0);
	assert_int_equal(after_pile(&w, 300, 500 * MS, true), 0);
	/* But not what stands after that. */
	assert_true(run(&w, 2 * SECOND, 500, MS, 0) > 5);
	end(&w);
}

/* In the middle of dropping, a gap is no reason to make up for all the drops of its time. */
static void a_gap_is_not_made_up_for(void **state)
{
	struct world w;

	begin(&w);
	assert_true(run(&w, SECOND, 500, MS, 0) > 3);
	w.now_us += 3 * SECOND;
	assert_int_equal(run(&w, DP_FQ_INTERVAL_US, 500, MS, 0), 0);
	end(&w);
}

/* Nothing could leave for a while: the path's stall, or a full socket's. */
static void a_silent_path_is_excused(void **state)
{
	struct world w;
	int i;

	begin(&w);
	for (i = 0; i < 267; i++) {
		w.now_us += 1500;
		add(&w, flow(0), PAYLOAD, 0);
	}
	assert_int_equal(run(&w, 1200 * MS, 1500, 1000, 0), 0);
	/* A path that lets one packet through every 120 ms, with twice that coming, is no exception. */
	assert_true(run(&w, 20 * SECOND, 60 * MS, 120 * MS, 0) > 10);
	end(&w);
}

/* ---- moving, and what a flow is ---- */

static void moving(void **state)
{
	struct world w, old;
	int i;

	begin(&old);
	begin(&w);
	add(&w, flow(1), PAYLOAD, 0);
	for (i = 0; i < 3; i++)
		add(&old, flow(i), 3 * PAYLOAD, PAYLOAD);
	old.now_us += 50 * MS;
	w.now_us = old.now_us;
	/* One pool, as in a process. */
	w.pool.bytes += old.pool.bytes;
	dp_fq_move(w.q, old.q, &w.c);
	assert_int_equal(dp_fq_segments(old.q), 0);
	assert_int_equal(dp_fq_segments(w.q), 10);
	w.pool.bytes -= 3 * (3 * PAYLOAD + 40);
	w.added += old.added;
	old.added = 0;
	end(&old);
	while (take(&w) >= 0)
		;
	assert_int_equal(w.left, 10);
	/* As long as they have waited already. */
	assert_int_equal(dp_fq_delay_max_us(w.q), 50 * MS);
	end(&w);
}

static void what_a_flow_is(void **state)
{
	struct flow f = flow(1), other = flow(2);
	u8 a[200], b[200];
	u32 len = make_packet(&f, a, 100), v6;

	make_packet(&other, b, 100);
	assert_int_not_equal(dp_flow_hash(7, a, len), dp_flow_hash(7, b, len));
	assert_int_not_equal(dp_flow_hash(7, a, len), dp_flow_hash(8, a, len));
	f.seq += 1000;
	f.tos = 4;
	make_packet(&f, b, 100);
	assert_int_equal(dp_flow_hash(7, a, len), dp_flow_hash(7, b, len));
	/* Fragments: the second has no ports. */
	put16(a + 6, DP_IP4_MF);
	put16(b + 6, 100);
	memset(b + 20, 0x55, 20);
	assert_int_equal(dp_flow_hash(7, a, len), dp_flow_hash(7, b, len));
	b[15]++;
	assert_int_not_equal(dp_flow_hash(7, a, len), dp_flow_hash(7, b, len));
	/* Ports that are not there are not looked at. */
	len = make_packet(&f, a, 0);
	assert_int_not_equal(dp_flow_hash(7, a, 24), dp_flow_hash(7, a, 23));
	f.v6 = other.v6 = true;
	v6 = make_packet(&f, a, 0);
	make_packet(&other, b, 0);
	assert_int_not_equal(dp_flow_hash(7, a, v6), dp_flow_hash(7, b, v6));
	assert_int_equal(dp_flow_hash(7, a, 40), dp_flow_hash(7, b, 40));
}

/* A path that shrank: IPv4 without DF is cut while it waits, the rest is given up. */
static void a_smaller_path(void **state)
{
	struct world w;

	begin(&w);
	add(&w, flow(0), PAYLOAD, 0);
	add(&w, flow(0), PAYLOAD, 0);
	assert_non_null(dp_fq_next(w.q, &w.c, w.now_us));
	assert_true(dp_fq_fragment(w.q, 600));
	assert_false(dp_fq_fragment(w.q, 600));
	assert_int_equal(dp_fq_segments(w.q), 3);
	dp_fq_give_up(w.q);
	assert_int_equal(dp_fq_segments(w.q), 1);
	w.added -= 1;
	assert_int_equal(take(&w), 0);
	end(&w);
}

static int begin_all(void **state)
{
	return dp_store_init(&store);
}

/* Every packet was given back. */
static int end_all(void **state)
{
	bool empty = !store.bytes;

	dp_store_fini(&store);
	return empty ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order_and_whole),
		cmocka_unit_test(new_flows_first),
		cmocka_unit_test(equal_shares),
		cmocka_unit_test(drops_come_as_they_should),
		cmocka_unit_test(bursts_are_no_queue),
		cmocka_unit_test(interval_follows_the_round_trip),
		cmocka_unit_test(super_packets_lose_a_segment),
		cmocka_unit_test(marks),
		cmocka_unit_test(a_flood_hurts_itself),
		cmocka_unit_test(the_pool_is_bounded),
		cmocka_unit_test(a_stalled_process_is_excused),
		cmocka_unit_test(a_gap_is_not_made_up_for),
		cmocka_unit_test(a_silent_path_is_excused),
		cmocka_unit_test(moving),
		cmocka_unit_test(what_a_flow_is),
		cmocka_unit_test(a_smaller_path),
	};

	return cmocka_run_group_tests(tests, begin_all, end_all);
}
