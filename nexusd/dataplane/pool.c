// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The free list of burst buffers. It grows on demand and keeps a bounded number; the queues that use
 * them are bounded by their owners.
 */
#include <stdlib.h>

#include "dp.h"

#define KEEP_OUT 8

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

void dp_pool_fini(struct dp *dp)
{
	struct dp_out *out;

	while ((out = TAILQ_FIRST(&dp->free_out))) {
		TAILQ_REMOVE(&dp->free_out, out, entry);
		free(out);
	}
}
