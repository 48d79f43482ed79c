// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The free list of burst buffers. It has a few from the start, and keeps so many; what goes beyond is
 * for sockets that are full, whose queues are bounded by their owners.
 */
#include <errno.h>
#include <stdlib.h>

#include "dp.h"

#define KEEP_OUT 8

int dp_pool_init(struct dp *dp)
{
	struct dp_out *out;

	TAILQ_INIT(&dp->free_out);
	for (dp->n_free_out = 0; dp->n_free_out < KEEP_OUT; dp->n_free_out++) {
		out = malloc(sizeof(*out));
		if (!out)
			return -ENOMEM;
		memset(out, 0, sizeof(*out));
		TAILQ_INSERT_HEAD(&dp->free_out, out, entry);
	}
	return 0;
}

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
