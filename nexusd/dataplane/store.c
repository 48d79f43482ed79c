// SPDX-License-Identifier: GPL-2.0-or-later
/* Chunks and the packets in them: see store.h. */
#include <errno.h>
#include <stdlib.h>

#include "store.h"

struct dp_chunk {
	TAILQ_ENTRY(dp_chunk) entry;
	struct dp_pkt_list pkts; /* in the order they stand */
	u32 fill; /* where the next read goes */
	u32 bytes; /* of its packets */
	u8 data[DP_STORE_CHUNK_BYTES] __attribute__((aligned(64)));
};

int dp_store_init(struct dp_store *st)
{
	struct dp_chunk *k;
	u32 i;

	memset(st, 0, sizeof(*st));
	TAILQ_INIT(&st->used);
	TAILQ_INIT(&st->free);
	TAILQ_INIT(&st->free_pkts);
	st->pkts = malloc(DP_STORE_KEEP_PKTS * sizeof(*st->pkts));
	if (!st->pkts)
		return -ENOMEM;
	memset(st->pkts, 0, DP_STORE_KEEP_PKTS * sizeof(*st->pkts));
	for (i = 0; i < DP_STORE_KEEP_PKTS; i++)
		TAILQ_INSERT_TAIL(&st->free_pkts, &st->pkts[i], entry);
	for (; st->n_free < DP_STORE_KEEP; st->n_free++) {
		k = aligned_alloc(64, sizeof(*k));
		if (!k)
			return -ENOMEM;
		memset(k->data, 0, sizeof(k->data));
		TAILQ_INSERT_HEAD(&st->free, k, entry);
	}
	return 0;
}

static void free_chunks(struct dp_chunk_list *list)
{
	struct dp_chunk *k;

	while ((k = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, k, entry);
		free(k);
	}
}

void dp_store_fini(struct dp_store *st)
{
	free(st->pkts);
	st->pkts = NULL;
	TAILQ_INIT(&st->free_pkts);
	free_chunks(&st->used);
	free_chunks(&st->free);
	st->current = NULL;
}

/* Every packet's start stays aligned. */
static u32 rounded(u32 len)
{
	return (len + 63) & ~63u;
}

/* ---- chunks ---- */

static struct dp_chunk *new_chunk(struct dp_store *st)
{
	struct dp_chunk *k = TAILQ_FIRST(&st->free);

	if (k) {
		TAILQ_REMOVE(&st->free, k, entry);
		st->n_free--;
	} else {
		k = aligned_alloc(64, sizeof(*k));
		if (!k)
			return NULL;
	}
	TAILQ_INIT(&k->pkts);
	k->fill = 0;
	k->bytes = 0;
	TAILQ_INSERT_TAIL(&st->used, k, entry);
	st->n_used++;
	return k;
}

static void put_chunk(struct dp_store *st, struct dp_chunk *k)
{
	TAILQ_REMOVE(&st->used, k, entry);
	st->n_used--;
	if (st->n_free == DP_STORE_KEEP) {
		free(k);
		return;
	}
	/* Last in, first out: what is still in the cache. */
	TAILQ_INSERT_HEAD(&st->free, k, entry);
	st->n_free++;
}

static struct dp_chunk *emptiest(struct dp_store *st)
{
	struct dp_chunk *k, *best = TAILQ_FIRST(&st->used);

	TAILQ_FOREACH (k, &st->used, entry) {
		if (k->bytes < best->bytes)
			best = k;
	}
	return best;
}

/* Its packets stand at its beginning again. */
static void close_up(struct dp_chunk *k)
{
	struct dp_pkt *pkt;

	k->fill = 0;
	TAILQ_FOREACH (pkt, &k->pkts, of_chunk) {
		memmove(k->data + k->fill, pkt->segs.pkt, pkt->segs.len);
		pkt->segs.pkt = k->data + k->fill;
		pkt->at = k->fill;
		k->fill += rounded(pkt->segs.len);
	}
}

static bool has_room(const struct dp_chunk *k)
{
	return k && k->fill + DP_STORE_READ_MAX <= DP_STORE_CHUNK_BYTES;
}

/* Half of the chunks, beyond the slack, would do: the emptiest is not more than half full. */
static bool too_loose(const struct dp_store *st)
{
	return (u64)st->n_used * DP_STORE_CHUNK_BYTES >= 2 * st->bytes + DP_STORE_SLACK;
}

static struct dp_chunk *next_chunk(struct dp_store *st)
{
	struct dp_chunk *k = too_loose(st) ? NULL : new_chunk(st);

	if (k)
		return k;
	k = emptiest(st);
	if (k)
		close_up(k);
	return k;
}

u8 *dp_store_room(struct dp_store *st)
{
	if (!has_room(st->current))
		st->current = next_chunk(st);
	return has_room(st->current) ? st->current->data + st->current->fill : NULL;
}

/* ---- packets ---- */

static struct dp_pkt *new_pkt(struct dp_store *st)
{
	struct dp_pkt *pkt = TAILQ_FIRST(&st->free_pkts);

	if (!pkt)
		return malloc(sizeof(*pkt));
	TAILQ_REMOVE(&st->free_pkts, pkt, entry);
	return pkt;
}

static void put_pkt(struct dp_store *st, struct dp_pkt *pkt)
{
	if (pkt >= st->pkts && pkt < st->pkts + DP_STORE_KEEP_PKTS)
		TAILQ_INSERT_HEAD(&st->free_pkts, pkt, entry);
	else
		free(pkt);
}

struct dp_pkt *dp_store_keep(struct dp_store *st, u32 len, const struct dp_segs *segs)
{
	struct dp_chunk *k = st->current;
	struct dp_pkt *pkt = new_pkt(st);

	if (!pkt)
		return NULL;
	pkt->segs = *segs;
	pkt->chunk = k;
	pkt->at = k->fill;
	pkt->bytes = rounded(len);
	TAILQ_INSERT_TAIL(&k->pkts, pkt, of_chunk);
	k->fill += pkt->bytes;
	k->bytes += pkt->bytes;
	st->bytes += pkt->bytes;
	return pkt;
}

void dp_pkt_free(struct dp_store *st, struct dp_pkt *pkt)
{
	struct dp_chunk *k = pkt->chunk;
	struct dp_pkt *last;

	TAILQ_REMOVE(&k->pkts, pkt, of_chunk);
	k->bytes -= pkt->bytes;
	st->bytes -= pkt->bytes;
	/* What ends here is read over while it is in the cache. */
	last = TAILQ_LAST(&k->pkts, dp_pkt_list);
	k->fill = last ? last->at + last->bytes : 0;
	if (!last && k != st->current)
		put_chunk(st, k);
	put_pkt(st, pkt);
}
