// SPDX-License-Identifier: GPL-2.0-or-later
/* The choice of a client's routes: see route-plan.h. Pure functions. */
#include <errno.h>
#include <stdlib.h>
#include "prefix.h"
#include "route-plan.h"

struct plan {
	struct nx_planned_route *routes;
	size_t n;
};

/* Add @p unless something there covers it; drop what it covers itself. */
static void add(struct plan *plan, const struct nx_prefix *p)
{
	struct nx_prefix net = nx_prefix_network(p);
	size_t kept = 0;

	for (size_t i = 0; i < plan->n; i++)
		if (nx_prefix_contains(&plan->routes[i].prefix, &net))
			return;
	for (size_t i = 0; i < plan->n; i++)
		if (!nx_prefix_contains(&net, &plan->routes[i].prefix))
			plan->routes[kept++] = plan->routes[i];
	plan->routes[kept].prefix = net;
	plan->n = kept + 1;
}

int nx_route_plan(const struct nx_prefix *offered, size_t n_offered,
		  const struct nx_prefix *allowed, size_t n_allowed,
		  const struct nx_endpoint *endpoint, struct nx_planned_route **out, size_t *n_out)
{
	struct nx_prefix target = nx_prefix_of_endpoint(endpoint), cut;
	size_t max = n_offered * (n_allowed ? n_allowed : 1);
	struct plan plan = {};

	plan.routes = calloc(max + 1, sizeof(*plan.routes));
	if (!plan.routes)
		return -ENOMEM;
	for (size_t i = 0; i < n_offered; i++) {
		if (!n_allowed)
			add(&plan, &offered[i]);
		for (size_t k = 0; k < n_allowed; k++)
			if (nx_prefix_intersect(&offered[i], &allowed[k], &cut))
				add(&plan, &cut);
	}
	for (size_t i = 0; i < plan.n; i++)
		plan.routes[i].own_table = plan.routes[i].prefix.len == 0 ||
					   nx_prefix_contains(&plan.routes[i].prefix, &target);
	*out = plan.routes;
	*n_out = plan.n;
	return 0;
}
