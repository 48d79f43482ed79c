// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where inner packets stand: none is altered, whatever comes and goes around it, memory follows what
 * waits, and without anything waiting every read begins at the same place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "store.h"

#define VNET sizeof(struct virtio_net_hdr)
#define PKTS_MAX 4096
#define ROUNDS 100000

struct kept {
	struct dp_pkt *pkt;
	u32 len;
	u8 fill;
};

static u64 random_state;

static u32 draw(void)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(random_state >> 33);
}

/* Read a packet of @len bytes that are all @fill. */
static struct kept keep(struct dp_store *st, u32 len, u8 fill)
{
	u8 *at = dp_store_room(st);
	struct dp_segs segs = { .len = len };
	struct kept k = { .len = len, .fill = fill };

	assert_non_null(at);
	segs.pkt = at + VNET;
	memset(segs.pkt, fill, len);
	k.pkt = dp_store_keep(st, (u32)VNET + len, &segs);
	assert_non_null(k.pkt);
	return k;
}

static void give_back(struct dp_store *st, struct kept *k)
{
	u32 i;

	assert_int_equal(k->pkt->segs.len, k->len);
	for (i = 0; i < k->len; i++)
		assert_int_equal(k->pkt->segs.pkt[i], k->fill);
	dp_pkt_free(st, k->pkt);
}

static void assert_tight(const struct dp_store *st, u64 most)
{
	assert_true((u64)st->n_used * DP_STORE_CHUNK_BYTES <=
		    2 * most + DP_STORE_SLACK + DP_STORE_CHUNK_BYTES);
}

static void in_one_place(void **state)
{
	struct dp_store st;
	struct kept k[20];
	u8 *first;
	int i, n;

	assert_int_equal(dp_store_init(&st), 0);
	first = dp_store_room(&st);
	/* What is not kept leaves nothing behind. */
	assert_ptr_equal(dp_store_room(&st), first);
	for (n = 0; n < 100; n++) {
		for (i = 0; i < 20; i++)
			k[i] = keep(&st, 1400, (u8)i);
		assert_ptr_not_equal(dp_store_room(&st), first);
		for (i = 0; i < 20; i++)
			give_back(&st, &k[i]);
		assert_ptr_equal(dp_store_room(&st), first);
	}
	assert_int_equal(st.n_used, 1);
	dp_store_fini(&st);
}

/* Small packets wait, large ones between them have left: the chunks are closed up. */
static void a_few_hold_back_little(void **state)
{
	static struct kept small[2000];
	struct dp_store st;
	struct kept large;
	int i;

	assert_int_equal(dp_store_init(&st), 0);
	for (i = 0; i < 2000; i++) {
		large = keep(&st, 60000, 7);
		small[i] = keep(&st, 100, (u8)i);
		assert_tight(&st, st.bytes);
		give_back(&st, &large);
	}
	for (i = 0; i < 2000; i++)
		give_back(&st, &small[i]);
	assert_int_equal(st.bytes, 0);
	dp_store_fini(&st);
}

/* There are heads for the usual number; what goes beyond is given back to the system. */
static void more_than_usual(void **state)
{
	static struct kept k[DP_STORE_KEEP_PKTS + 1000];
	struct dp_pkt *head;
	struct dp_store st;
	unsigned int i, n;

	assert_int_equal(dp_store_init(&st), 0);
	for (i = 0; i < DP_STORE_KEEP_PKTS + 1000; i++)
		k[i] = keep(&st, 64, (u8)i);
	for (i = 0; i < DP_STORE_KEEP_PKTS + 1000; i++)
		give_back(&st, &k[i]);
	n = 0;
	TAILQ_FOREACH (head, &st.free_pkts, entry)
		n++;
	assert_int_equal(n, DP_STORE_KEEP_PKTS);
	assert_int_equal(st.bytes, 0);
	dp_store_fini(&st);
}

static void whatever_comes_and_goes(void **state)
{
	static struct kept k[PKTS_MAX];
	struct dp_store st;
	u32 n = 0, i, round;
	u64 most = 0;

	assert_int_equal(dp_store_init(&st), 0);
	random_state = 1;
	for (round = 0; round < ROUNDS; round++) {
		/* It grows and shrinks; what goes is old, new or neither. */
		bool in = draw() % 100 < (round / 10000 % 2 ? 40u : 60u);

		if (n && (!in || n == PKTS_MAX)) {
			i = draw() % 8 ? draw() % n : n - 1;
			give_back(&st, &k[i]);
			k[i] = k[--n];
		} else {
			k[n++] = keep(&st, draw() % 10 ? 40 + draw() % 1400 : 1 + draw() % 65535,
				      (u8)draw());
		}
		most = st.bytes > most ? st.bytes : most;
		assert_tight(&st, most);
	}
	while (n)
		give_back(&st, &k[--n]);
	assert_int_equal(st.bytes, 0);
	assert_true(st.n_used <= 1);
	dp_store_fini(&st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_one_place),
		cmocka_unit_test(a_few_hold_back_little),
		cmocka_unit_test(more_than_usual),
		cmocka_unit_test(whatever_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
