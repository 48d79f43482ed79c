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

struct hs_flow *hs_flow_find(struct hs_flows *f, const struct hs_dgram *d,
			     const struct hs_long_header *h)
{
	struct hs_flow *fl;

	TAILQ_FOREACH (fl, &f->list, entry) {
		if (memcmp(fl->dcid, h->dcid, HS_CID_LEN) == 0 &&
		    memcmp(fl->scid, h->scid, HS_CID_LEN) == 0 &&
		    fl->local_port == hs_addr_port(&d->local) &&
		    hs_addr_equal(&fl->remote, &d->remote))
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
	fl->local_port = hs_addr_port(&d->local);
	memcpy(fl->dcid, h->dcid, HS_CID_LEN);
	memcpy(fl->scid, h->scid, HS_CID_LEN);
	TAILQ_INSERT_TAIL(&f->list, fl, entry);
	f->n++;
	return fl;
}

bool hs_flow_keep(struct hs_flow *fl, const uint8_t *data, size_t len)
{
	if (fl->n_dgrams == HS_FLOW_DGRAMS_MAX || len > HS_FLOW_BYTES_MAX - fl->used)
		return false;
	memcpy(fl->data + fl->used, data, len);
	fl->used += len;
	fl->lens[fl->n_dgrams++] = (uint16_t)len;
	return true;
}

void hs_flow_free(struct hs_flows *f, struct hs_flow *fl)
{
	TAILQ_REMOVE(&f->list, fl, entry);
	f->n--;
	free(fl);
}

void hs_flows_clear(struct hs_flows *f)
{
	while (!TAILQ_EMPTY(&f->list))
		hs_flow_free(f, TAILQ_FIRST(&f->list));
}

uint64_t hs_flows_run_timers(struct hs_flows *f)
{
	uint64_t now = hs_now_ns();
	struct hs_flow *fl;

	while ((fl = TAILQ_FIRST(&f->list))) {
		if (fl->gone_ns > now)
			return fl->gone_ns;
		hs_flow_free(f, fl);
	}
	return UINT64_MAX;
}
