// SPDX-License-Identifier: GPL-2.0-or-later
/* Connection IDs to their owners, see cidtable.h. */
#include <errno.h>
#include <string.h>
#include "cidtable.h"

static unsigned int bucket_of(const uint8_t *id, size_t len)
{
	uint32_t h = 2166136261u;
	size_t i;

	for (i = 0; i < len; i++)
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

	LIST_FOREACH(e, &t->buckets[bucket_of(id, len)], entry)
	{
		if (e->len == len && memcmp(e->id, id, len) == 0)
			return e;
	}
	return NULL;
}

int hs_cidtable_add(struct hs_cidtable *t, struct hs_cid_entry *e, enum hs_cid_kind kind,
		    void *owner, const uint8_t *id, size_t len)
{
	if (len == 0 || len > HS_CID_LEN)
		return -EINVAL;
	if (hs_cidtable_find(t, id, len))
		return -EEXIST;
	e->kind = kind;
	e->owner = owner;
	e->len = (uint8_t)len;
	memcpy(e->id, id, len);
	LIST_INSERT_HEAD(&t->buckets[bucket_of(id, len)], e, entry);
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
