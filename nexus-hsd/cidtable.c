// SPDX-License-Identifier: GPL-2.0-or-later
/* Connection IDs to their owners, see cidtable.h. */
#include <errno.h>
#include <string.h>
#include "cidtable.h"

/* Of the first bytes only: IDs that begin alike are in one bucket. */
static unsigned int bucket_of(const uint8_t id[HS_CID_MIN_LEN])
{
	uint32_t h = 2166136261u;
	size_t i;

	for (i = 0; i < HS_CID_MIN_LEN; i++)
		h = (h ^ id[i]) * 16777619u;
	return (h ^ h >> 15) % HS_CID_BUCKETS;
}

void hs_cidtable_init(struct hs_cidtable *t)
{
	size_t i;

	for (i = 0; i < HS_CID_BUCKETS; i++)
		LIST_INIT(&t->buckets[i]);
}

struct hs_cid_entry *hs_cidtable_find(struct hs_cidtable *t, const uint8_t *id, size_t len)
{
	struct hs_cid_entry *e;

	if (len < HS_CID_MIN_LEN)
		return NULL;
	LIST_FOREACH(e, &t->buckets[bucket_of(id)], entry)
	{
		if (e->len == len && memcmp(e->id, id, len) == 0)
			return e;
	}
	return NULL;
}

struct hs_cid_entry *hs_cidtable_find_prefix(struct hs_cidtable *t, const uint8_t *bytes,
					     size_t len)
{
	struct hs_cid_entry *e, *longest = NULL;

	if (len < HS_CID_MIN_LEN)
		return NULL;
	LIST_FOREACH(e, &t->buckets[bucket_of(bytes)], entry)
	{
		if (e->len <= len && memcmp(e->id, bytes, e->len) == 0 &&
		    (!longest || e->len > longest->len))
			longest = e;
	}
	return longest;
}

bool hs_cidtable_ambiguous(struct hs_cidtable *t, const uint8_t *id, size_t len)
{
	struct hs_cid_entry *e;

	LIST_FOREACH(e, &t->buckets[bucket_of(id)], entry)
	{
		if (memcmp(e->id, id, e->len < len ? e->len : len) == 0)
			return true;
	}
	return false;
}

int hs_cidtable_add(struct hs_cidtable *t, struct hs_cid_entry *e, enum hs_cid_kind kind,
		    void *owner, const uint8_t *id, size_t len)
{
	if (len < HS_CID_MIN_LEN || len > HS_CID_LEN)
		return -EINVAL;
	if (hs_cidtable_find(t, id, len))
		return -EEXIST;
	e->kind = kind;
	e->owner = owner;
	e->len = (uint8_t)len;
	memcpy(e->id, id, len);
	LIST_INSERT_HEAD(&t->buckets[bucket_of(id)], e, entry);
	e->linked = true;
	return 0;
}

void hs_cidtable_del(struct hs_cid_entry *e)
{
	if (!e->linked)
		return;
	LIST_REMOVE(e, entry);
	e->linked = false;
}
