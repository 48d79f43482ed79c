// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Free lists of what the data path uses again and again: burst buffers, and memory for
 * inner packets in two sizes. They grow on demand and keep a bounded number; the queues that use
 * them are bounded by their owners.
 */
#include <stdlib.h>

#include "dp.h"

#define KEEP_OUT 8
#define KEEP_SMALL 1024
#define KEEP_BIG 64

struct dp_out *dp_out_get(struct dp *dp)
{
	struct dp_out *out = TAILQ_FIRST(&dp->free_out);

	if (out) {
		TAILQ_REMOVE(&dp->free_out, out, entry);
		dp->n_free_out--;
	} else {
		out = malloc(sizeof(*out));
		if (!out)
			return NULL;
	}
	out->n = 0;
	out->next = 0;
	out->len = 0;
	out->next_off = 0;
	out->ecn = false;
	return out;
}

void dp_out_put(struct dp *dp, struct dp_out *out)
{
	if (dp->n_free_out == KEEP_OUT) {
		free(out);
		return;
	}
	/* Last in, first out: the buffer that is still in the cache. */
	TAILQ_INSERT_HEAD(&dp->free_out, out, entry);
	dp->n_free_out++;
}

struct dp_item *dp_item_get(struct dp *dp, bool big)
{
	struct dp_item_list *list = big ? &dp->free_big : &dp->free_small;
	u32 room = big ? DP_ITEM_BIG : DP_ITEM_SMALL;
	struct dp_item *item = TAILQ_FIRST(list);

	if (!item) {
		item = malloc(sizeof(*item) + room);
		if (item)
			item->room = room;
		return item;
	}
	TAILQ_REMOVE(list, item, entry);
	*(big ? &dp->n_free_big : &dp->n_free_small) -= 1;
	return item;
}

void dp_item_put(struct dp *dp, struct dp_item *item)
{
	bool big = item->room == DP_ITEM_BIG;
	unsigned int *n = big ? &dp->n_free_big : &dp->n_free_small;

	if (*n == (big ? KEEP_BIG : KEEP_SMALL)) {
		free(item);
		return;
	}
	TAILQ_INSERT_HEAD(big ? &dp->free_big : &dp->free_small, item, entry);
	*n += 1;
}

static void free_items(struct dp_item_list *list)
{
	struct dp_item *item;

	while ((item = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, item, entry);
		free(item);
	}
}

void dp_pool_fini(struct dp *dp)
{
	struct dp_out *out;

	while ((out = TAILQ_FIRST(&dp->free_out))) {
		TAILQ_REMOVE(&dp->free_out, out, entry);
		free(out);
	}
	free_items(&dp->free_small);
	free_items(&dp->free_big);
}
