// SPDX-License-Identifier: GPL-2.0-or-later
/* First flights in pieces, see flow.h. */
#include <stdlib.h>
#include <string.h>
#include "clock.h"
#include "flow.h"

void hs_flows_init(struct hs_flows *f)
{
	TAILQ_INIT(&f->list);
	f->n = 0;
}

static bool is_of_source(const struct hs_flow *fl, const struct hs_dgram *d)
{
	return fl->sock == d->sock && hs_addr_equal(&fl->remote, &d->remote) &&
	       hs_addr_may_equal(&fl->local, &d->local);
}

struct hs_flow *hs_flow_find(struct hs_flows *f, const struct hs_dgram *d,
			     const struct hs_long_header *h)
{
	struct hs_flow *fl;

	TAILQ_FOREACH (fl, &f->list, entry) {
		if (!fl->refused && memcmp(fl->dcid, h->dcid, HS_CID_LEN) == 0 &&
		    memcmp(fl->scid, h->scid, HS_CID_LEN) == 0 && is_of_source(fl, d))
			return fl;
	}
	return NULL;
}

struct hs_flow *hs_flow_find_source(struct hs_flows *f, const struct hs_dgram *d)
{
	struct hs_flow *fl;

	TAILQ_FOREACH (fl, &f->list, entry) {
		if (is_of_source(fl, d))
			return fl;
	}
	return NULL;
}

static unsigned int count_site(struct hs_flows *f, const union hs_addr *remote)
{
	struct hs_flow *fl;
	unsigned int n = 0;

	TAILQ_FOREACH (fl, &f->list, entry)
		n += hs_addr_same_site(&fl->remote, remote);
	return n;
}

struct hs_flow *hs_flow_new(struct hs_flows *f, const struct hs_dgram *d,
			    const struct hs_long_header *h)
{
	struct hs_flow *fl;

	if (f->n >= HS_FLOWS_MAX || count_site(f, &d->remote) >= HS_FLOWS_SITE_MAX)
		return NULL;
	fl = calloc(1, sizeof(*fl));
	if (!fl)
		return NULL;
	fl->gone_ns = hs_now_ns() + HS_FLOW_TIMEOUT_MS * HS_NS_PER_MS;
	fl->remote = d->remote;
	fl->local = d->local;
	fl->sock = d->sock;
	fl->linked = true;
	memcpy(fl->dcid, h->dcid, HS_CID_LEN);
	memcpy(fl->scid, h->scid, HS_CID_LEN);
	TAILQ_INSERT_TAIL(&f->list, fl, entry);
	f->n++;
	return fl;
}

bool hs_flow_keep(struct hs_flow *fl, const struct hs_dgram *d, bool follows)
{
	if (fl->n_dgrams == HS_FLOW_DGRAMS_MAX || d->len > HS_FLOW_BYTES_MAX - fl->used)
		return false;
	memcpy(fl->data + fl->used, d->data, d->len);
	fl->used += d->len;
	fl->follows[fl->n_dgrams] = follows;
	fl->ecn[fl->n_dgrams] = d->ecn;
	fl->at_ns[fl->n_dgrams] = hs_now_ns();
	fl->lens[fl->n_dgrams++] = (uint16_t)d->len;
	return true;
}

void hs_flow_unlink(struct hs_flows *f, struct hs_flow *fl)
{
	if (!fl->linked)
		return;
	TAILQ_REMOVE(&f->list, fl, entry);
	fl->linked = false;
	f->n--;
}

void hs_flow_free(struct hs_flows *f, struct hs_flow *fl)
{
	hs_flow_unlink(f, fl);
	free(fl);
}

void hs_flows_clear(struct hs_flows *f)
{
	while (!TAILQ_EMPTY(&f->list))
		hs_flow_free(f, TAILQ_FIRST(&f->list));
}

void hs_flows_drop_sock(struct hs_flows *f, const struct hs_sock *sock)
{
	struct hs_flow *fl, *next;

	for (fl = TAILQ_FIRST(&f->list); fl; fl = next) {
		next = TAILQ_NEXT(fl, entry);
		if (fl->sock == sock)
			hs_flow_free(f, fl);
	}
}

struct hs_flow *hs_flows_expired(struct hs_flows *f, uint64_t now_ns, uint64_t *next_ns)
{
	struct hs_flow *fl;

	*next_ns = UINT64_MAX;
	TAILQ_FOREACH (fl, &f->list, entry) {
		if (fl->gone_ns <= now_ns)
			return fl;
		if (fl->gone_ns < *next_ns)
			*next_ns = fl->gone_ns;
	}
	return NULL;
}
