// SPDX-License-Identifier: GPL-2.0-or-later
/* Connection IDs after the hand-over, see tombstone.h. */
#include <stdlib.h>
#include <string.h>
#include "clock.h"
#include "hsd.h"
#include "punt.h"

#define WAIT_NS (5 * HS_NS_PER_S) /* for INSTALLED; the same again for stragglers */
#define DGRAMS_MAX 64
#define ALL_DGRAMS_MAX 4096
#define TOMBS_MAX 4096

struct waiting {
	STAILQ_ENTRY(waiting) entry;
	union hs_addr remote;
	size_t len;
	uint8_t ecn;
	uint8_t data[];
};

struct hs_tomb {
	TAILQ_ENTRY(hs_tomb) entry;
	LIST_ENTRY(hs_tomb) same_bucket;
	char tunnel[HS_TUNNEL_NAME_MAX + 1];
	uint64_t attempt;
	uint64_t gone_ns;
	uint16_t local_port;
	bool installed;
	unsigned int n_waiting;
	STAILQ_HEAD(, waiting) waiting;
	struct hs_cid_entry cids[NQD_LOCAL_CIDS_MAX + 1];
};

void hs_tombs_init(struct hs_tombs *t)
{
	size_t i;

	TAILQ_INIT(&t->list);
	for (i = 0; i < HS_TOMB_BUCKETS; i++)
		LIST_INIT(&t->by_attempt[i]);
}

static void drop_waiting(struct hsd *h, struct hs_tomb *t)
{
	struct waiting *w;

	while ((w = STAILQ_FIRST(&t->waiting))) {
		STAILQ_REMOVE_HEAD(&t->waiting, entry);
		h->tombs.n_dgrams--;
		t->n_waiting--;
		free(w);
	}
}

static void remove_tomb(struct hsd *h, struct hs_tomb *t)
{
	size_t i;

	for (i = 0; i < NQD_LOCAL_CIDS_MAX + 1; i++)
		hs_cidtable_del(&t->cids[i]);
	drop_waiting(h, t);
	TAILQ_REMOVE(&h->tombs.list, t, entry);
	LIST_REMOVE(t, same_bucket);
	h->tombs.n--;
	free(t);
}

static void take_cid(struct hsd *h, struct hs_tomb *t, size_t i, struct hs_cid_entry *from)
{
	if (!from->linked)
		return;
	hs_cidtable_del(from);
	hs_cidtable_add(&h->cids, &t->cids[i], HS_CID_TOMB, t, from->id, from->len);
}

void hs_tomb_bury(struct hs_conn *c)
{
	struct hsd *h = c->hsd;
	struct hs_tomb *t;
	size_t i;

	if (h->tombs.n >= TOMBS_MAX)
		remove_tomb(h, TAILQ_FIRST(&h->tombs.list));
	t = calloc(1, sizeof(*t));
	if (!t)
		return;
	memcpy(t->tunnel, c->tunnel->config->name, sizeof(t->tunnel));
	t->attempt = c->attempt;
	t->local_port = hs_addr_port(&c->sock->name);
	t->gone_ns = hs_now_ns() + WAIT_NS;
	STAILQ_INIT(&t->waiting);
	for (i = 0; i < c->n_local_cids; i++)
		take_cid(h, t, i, &c->local_cids[i].entry);
	take_cid(h, t, NQD_LOCAL_CIDS_MAX, &c->original_dcid);
	TAILQ_INSERT_TAIL(&h->tombs.list, t, entry);
	LIST_INSERT_HEAD(&h->tombs.by_attempt[t->attempt % HS_TOMB_BUCKETS], t, same_bucket);
	h->tombs.n++;
}

bool hs_tomb_is_installed(const struct hs_tomb *t)
{
	return t->installed;
}

void hs_tomb_receive(struct hsd *h, struct hs_tomb *t, const struct hs_dgram *d)
{
	struct waiting *w;

	if (d->len == 0 || d->data[0] & 0x80)
		return;
	if (t->installed) {
		hs_punt_send(h, t->local_port, &d->remote, d->ecn, d->data, d->len);
		return;
	}
	if (t->n_waiting >= DGRAMS_MAX || h->tombs.n_dgrams >= ALL_DGRAMS_MAX)
		return;
	w = malloc(sizeof(*w) + d->len);
	if (!w)
		return;
	w->remote = d->remote;
	w->len = d->len;
	w->ecn = d->ecn;
	memcpy(w->data, d->data, d->len);
	STAILQ_INSERT_TAIL(&t->waiting, w, entry);
	t->n_waiting++;
	h->tombs.n_dgrams++;
}

static struct hs_tomb *find(struct hsd *h, const char *tunnel, uint64_t attempt)
{
	struct hs_tomb *t;

	LIST_FOREACH(t, &h->tombs.by_attempt[attempt % HS_TOMB_BUCKETS], same_bucket)
	{
		if (t->attempt == attempt && (!tunnel || strcmp(t->tunnel, tunnel) == 0))
			return t;
	}
	return NULL;
}

void hs_tomb_installed(struct hsd *h, const char *tunnel, uint64_t attempt)
{
	struct hs_tomb *t = find(h, tunnel, attempt);
	struct waiting *w;

	if (!t || t->installed)
		return;
	t->installed = true;
	STAILQ_FOREACH(w, &t->waiting, entry)
	hs_punt_send(h, t->local_port, &w->remote, w->ecn, w->data, w->len);
	drop_waiting(h, t);
	/* Back to the end: the list is ordered by time. */
	t->gone_ns = hs_now_ns() + WAIT_NS;
	TAILQ_REMOVE(&h->tombs.list, t, entry);
	TAILQ_INSERT_TAIL(&h->tombs.list, t, entry);
}

void hs_tombs_clear(struct hsd *h)
{
	while (!TAILQ_EMPTY(&h->tombs.list))
		remove_tomb(h, TAILQ_FIRST(&h->tombs.list));
}

uint64_t hs_tombs_run_timers(struct hsd *h)
{
	uint64_t now = hs_now_ns();
	struct hs_tomb *t;

	while ((t = TAILQ_FIRST(&h->tombs.list))) {
		if (t->gone_ns > now)
			return t->gone_ns;
		remove_tomb(h, t);
	}
	return UINT64_MAX;
}
