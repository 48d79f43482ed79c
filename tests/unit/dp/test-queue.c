// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The queue of a session: flows take turns, CoDel drops single segments of super-packets or marks
 * them whole, and the books are right whatever happens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "packets.h"
#include "queue.h"

#define MTU 1400
#define QUANTUM MTU
#define MSS 1000
#define ROOM 70000

static struct dp_txq q;

static int setup(void **state)
{
	dp_txq_init(&q);
	return 0;
}

/* An item of @n bytes of payload, a super-packet if more than MSS. */
static struct dp_item *make_item(const struct flow *f, size_t n)
{
	struct dp_item *item = calloc(1, sizeof(*item) + ROOM);
	size_t len = make_packet(f, item->data, n), l4 = l4_at(item->data);
	struct virtio_net_hdr vh = { 0 };

	item->room = ROOM;
	if (n > MSS) {
		vh = (struct virtio_net_hdr){
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.gso_type = f->udp  ? VIRTIO_NET_HDR_GSO_UDP_L4
				    : f->v6 ? VIRTIO_NET_HDR_GSO_TCPV6
					    : VIRTIO_NET_HDR_GSO_TCPV4,
			.gso_size = MSS,
			.csum_start = l4,
			.csum_offset = f->udp ? 6 : 16,
		};
	}
	assert_int_equal(dp_segs_init(&item->segs, &vh, item->data, len), 0);
	return item;
}

static void push(const struct flow *f, size_t n, u64 now_us)
{
	struct dp_item *item = make_item(f, n);
	u32 hash = dp_flow_hash(item->segs.pkt, item->segs.len, 1);

	dp_txq_push(&q, item, hash, QUANTUM, now_us);
}

/* The next segment at @now_us into @out; its length, 0 if there is none. */
static u32 take(u8 *out, u64 now_us)
{
	struct dp_item_list dropped = TAILQ_HEAD_INITIALIZER(dropped);
	struct dp_item *item = dp_txq_next(&q, QUANTUM, MTU, now_us, &dropped), *d;
	u32 len = 0;

	while ((d = TAILQ_FIRST(&dropped))) {
		assert_int_equal(d->segs.left, 0);
		TAILQ_REMOVE(&dropped, d, entry);
		free(d);
	}
	if (!item)
		return 0;
	len = dp_segs_next_len(&item->segs);
	assert_int_equal(dp_segs_next(&item->segs, out), len);
	dp_txq_took(&q, item, len);
	if (!item->segs.left) {
		dp_txq_remove(&q, item);
		free(item);
	}
	return len;
}

static void assert_empty(void)
{
	u8 out[MTU];

	assert_int_equal(take(out, 0), 0);
	assert_int_equal(q.segs, 0);
	assert_int_equal(q.bytes, 0);
	assert_int_equal(q.room, 0);
	assert_null(dp_txq_fattest(&q));
	for (int i = 0; i < DP_TXQ_FLOWS; i++) {
		assert_int_equal(q.flows[i].bytes, 0);
		assert_int_equal(q.flows[i].room, 0);
		assert_false(q.flows[i].turn.listed);
	}
}

/* Only what tells flows apart does. */
static void test_hash(void **state)
{
	struct flow a = { 0 }, other = { .sport = 77 }, v6 = { .v6 = true };
	u8 pkt[3000], hdr[60];
	u32 hash;

	hash = (make_packet(&a, pkt, 100), dp_flow_hash(pkt, 140, 1));
	a.seq = 12345, a.id = 9, a.tos = 2;
	make_packet(&a, pkt, 50);
	assert_int_equal(dp_flow_hash(pkt, 90, 1), hash);
	assert_int_not_equal(dp_flow_hash(pkt, 90, 2), hash);
	make_packet(&other, pkt, 50);
	assert_int_not_equal(dp_flow_hash(pkt, 90, 1), hash);
	pkt[19]++;
	assert_int_not_equal(dp_flow_hash(pkt, 90, 1), hash);
	/* Fragments have no ports, first or not; a header that ends early has none either. */
	pkt[6] = 0x20;
	hash = dp_flow_hash(pkt, 90, 1);
	pkt[20] ^= 1;
	assert_int_equal(dp_flow_hash(pkt, 90, 1), hash);
	memcpy(hdr, pkt, 20);
	hdr[0] = 0x4f;
	dp_flow_hash(hdr, 20, 1);
	make_packet(&v6, pkt, 50);
	hash = dp_flow_hash(pkt, 110, 1);
	pkt[39]++;
	assert_int_not_equal(dp_flow_hash(pkt, 110, 1), hash);
}

/* A small packet of another flow passes a super-packet that is being sent. */
static void test_ping_passes_bulk(void **state)
{
	struct flow bulk = { 0 }, ping = { .udp = true };
	u8 out[MTU];

	for (int i = 0; i < 10; i++)
		push(&bulk, 20 * MSS, 0);
	assert_int_equal(take(out, 0), MSS + 40);
	push(&ping, 64, 0);
	/* What is left of the turn, and then at once. */
	assert_int_equal(take(out, 0), MSS + 40);
	assert_int_equal(take(out, 0), 64 + 28);
	for (int i = 0; i < 198; i++)
		assert_int_equal(take(out, 0), MSS + 40);
	assert_empty();
}

/* Always busy, sizes mixed: equal bytes, and each flow's own order. */
static void test_flows_share(void **state)
{
	struct flow f[4] = { { .sport = 1 }, { .sport = 2 }, { .sport = 3 }, { .sport = 4 } };
	static const size_t sizes[] = { 100, MSS, 20 * MSS, 64 * MSS - 3 };
	u64 sent[4] = { 0 }, pushed[4] = { 0 };
	u8 out[MTU];

	for (int i = 0; i < 4; i++) {
		while (pushed[i] < 1000000) {
			f[i].seq = pushed[i];
			push(&f[i], sizes[i], 0);
			pushed[i] += sizes[i];
		}
	}
	for (u32 all = 0; all < 3000000;) {
		u32 len = take(out, 0), who = out[20 + 1] - 1;

		/* In order: the sequence number is the payload so far. */
		assert_int_equal(dp_get32(out + 24), sent[who]);
		sent[who] += len - 40;
		all += len;
	}
	for (int i = 1; i < 4; i++)
		assert_in_range(sent[i] + sent[i] / MSS * 40, sent[1] - 3 * MTU,
				sent[1] * 106 / 100);
	while (take(out, 0))
		;
	assert_empty();
}

/* Of a super-packet that waited too long one segment is dropped, and what is left is right. */
static void test_codel_drops_a_segment(void **state)
{
	struct flow f = { .id = 5 };
	bool seen[100] = { false };
	u8 out[MTU];
	u64 now = 0;
	u32 len, n = 0;

	for (int i = 0; i < 5; i++, f.seq += 20 * MSS)
		push(&f, 20 * MSS, 0);
	for (now = 6000; (len = take(out, now)); now += 10000, n++) {
		assert_true(naive_good(out, len));
		seen[dp_get32(out + 24) / MSS] = true;
	}
	assert_int_equal(n + q.codel_drops, 100);
	assert_in_range(q.codel_drops, 3, 20);
	assert_int_equal(q.codel_marks, 0);
	for (int i = 0; i < 100; i++)
		n -= seen[i];
	/* It was the first that was dropped, never the last. */
	for (int i = 0; i < 5; i++)
		assert_true(seen[20 * i + 19]);
	assert_int_equal(n, 0);
	assert_true(q.sojourn_us > 100000);
	assert_empty();
}

/* An ECN-capable sender loses nothing: it is told. */
static void check_marks(bool v6, bool super)
{
	struct flow f = { .v6 = v6, .tos = 2 };
	u32 n = super ? 20 : 1, len, marked = 0;
	u8 out[MTU];
	u64 now;

	dp_txq_init(&q);
	for (u32 i = 0; i < 100 / n; i++)
		push(&f, n * MSS, 0);
	for (now = 6000, n = 0; (len = take(out, now)); now += 10000, n++) {
		u8 tos = v6 ? (u8)(out[0] << 4 | out[1] >> 4) : out[1];

		assert_true(naive_good(out, len));
		assert_true(tos == 2 || tos == 3);
		marked += tos == 3;
	}
	assert_int_equal(n, 100);
	assert_int_equal(q.codel_drops, 0);
	assert_true(q.codel_marks > 0);
	assert_int_equal(marked, q.codel_marks * (super ? 20 : 1));
	assert_empty();
}

static void test_codel_marks(void **state)
{
	check_marks(false, false);
	check_marks(false, true);
	check_marks(true, false);
	check_marks(true, true);
}

/* A header whose checksum was wrong is marked, and stays wrong. */
static void test_mark_hides_nothing(void **state)
{
	struct flow f = { .tos = 1 }, not_ect = { 0 };
	u8 pkt[200];

	make_packet(&f, pkt, 100);
	pkt[8]++;
	assert_true(dp_mark_ce(pkt));
	assert_int_equal(pkt[1], 3);
	assert_int_not_equal(naive_sum(0, pkt, 20), 0xffff);
	pkt[8]--;
	assert_int_equal(naive_sum(0, pkt, 20), 0xffff);
	assert_true(dp_mark_ce(pkt));
	assert_int_equal(naive_sum(0, pkt, 20), 0xffff);
	make_packet(&not_ect, pkt, 100);
	assert_false(dp_mark_ce(pkt));
	assert_int_equal(pkt[1], 0);
}

/* A packet that the path no longer takes becomes fragments; CoDel drops all of one packet. */
static void test_fragments(void **state)
{
	struct flow f = { .udp = true };
	u8 out[MTU];

	push(&f, 900, 0);
	dp_txq_fattest(&q)->segs.pkt[6] = 0;
	assert_true(dp_txq_fragment(&q, dp_txq_fattest(&q), 500));
	assert_int_equal(q.segs, 2);
	assert_int_equal(q.bytes, 900 + 8 + 2 * 20);
	assert_false(dp_txq_fragment(&q, dp_txq_fattest(&q), 400));
	assert_int_equal(take(out, 0), 500);
	assert_int_equal(take(out, 0), 900 + 8 + 2 * 20 - 500);
	assert_empty();
	for (int i = 0; i < 400; i++) {
		struct dp_item *item;

		push(&f, 900, 0);
		item = TAILQ_LAST(&dp_txq_fattest(&q)->flow->items, dp_item_list);
		item->segs.pkt[6] = 0;
		assert_true(dp_txq_fragment(&q, item, 500));
	}
	for (int i = 0; dp_txq_fattest(&q); i++) {
		assert_int_equal(take(out, i * 10000), 500);
		assert_int_equal(take(out, i * 10000), 448);
	}
	assert_true(q.codel_drops > 3);
	assert_empty();
}

/* What waits moves with its time, half sent or not. */
static void test_move(void **state)
{
	struct flow bulk = { 0 }, ping = { .udp = true };
	u32 segs, bytes, room, i = 0;
	static struct dp_txq other;
	struct dp_item *item;
	u8 out[MTU];

	push(&bulk, 20 * MSS, 7);
	push(&ping, 100, 8);
	assert_true(take(out, 8));
	segs = q.segs;
	bytes = q.bytes;
	room = q.room;
	dp_txq_init(&other);
	dp_txq_move(&other, &q, QUANTUM);
	assert_empty();
	dp_txq_move(&q, &other, QUANTUM);
	assert_int_equal(q.segs, segs);
	assert_int_equal(q.bytes, bytes);
	assert_int_equal(q.room, room);
	item = dp_txq_fattest(&q);
	assert_true(item->came_us == (item->segs.kind == DP_SEG_TCP ? 7 : 8));
	for (bytes = 0; (room = take(out, 9)); i++)
		bytes += room;
	assert_int_equal(i, segs);
	assert_empty();
}

/* More flows than places; items taken out of the middle; the fattest is the fattest. */
static void test_books(void **state)
{
	u32 rng = 1;
	u8 out[MTU];

	for (int i = 0; i < 20000; i++) {
		struct flow f = { .udp = i & 1, .v6 = i & 2, .tos = i % 3 };
		struct dp_item *item;

		rng = rng * 1664525 + 1013904223;
		f.sport = 1 + (rng >> 16) % 300;
		switch (rng >> 28) {
		case 0 ... 7:
			push(&f, (rng >> 8) % 2 ? 200 : 3000, i * 100);
			break;
		case 8:
			item = dp_txq_fattest(&q);
			if (!item)
				break;
			for (int j = 0; j < DP_TXQ_FLOWS; j++)
				assert_true(q.flows[j].room <= item->flow->room);
			dp_txq_remove(&q, item);
			free(item);
			break;
		default:
			take(out, i * 100);
		}
	}
	while (take(out, 3000000))
		;
	assert_empty();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_hash, setup),
		cmocka_unit_test_setup(test_ping_passes_bulk, setup),
		cmocka_unit_test_setup(test_flows_share, setup),
		cmocka_unit_test_setup(test_codel_drops_a_segment, setup),
		cmocka_unit_test_setup(test_codel_marks, setup),
		cmocka_unit_test_setup(test_mark_hides_nothing, setup),
		cmocka_unit_test_setup(test_fragments, setup),
		cmocka_unit_test_setup(test_move, setup),
		cmocka_unit_test_setup(test_books, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
