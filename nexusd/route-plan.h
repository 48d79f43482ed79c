/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of the routes a server offers a client takes, and which of them would swallow the tunnel's
 * own packets and therefore go to a table of their own.
 */
#ifndef NX_ROUTE_PLAN_H
#define NX_ROUTE_PLAN_H

#include <stdbool.h>
#include "net.h"

struct nx_planned_route {
	struct nx_prefix prefix;
	bool own_table; /* covers the endpoint, or competes with a default route */
};

/*
 * @offered cut down to @allowed (no @allowed: all), without doubles and without what a wider one
 * of them covers. *@out is to be freed. 0 or -ENOMEM.
 */
int nx_route_plan(const struct nx_prefix *offered, size_t n_offered,
		  const struct nx_prefix *allowed, size_t n_allowed,
		  const struct nx_endpoint *endpoint, struct nx_planned_route **out, size_t *n_out);

#endif /* NX_ROUTE_PLAN_H */
