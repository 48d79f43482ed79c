// SPDX-License-Identifier: GPL-2.0-only
/* Counters that belong to no session. */
#include <linux/percpu.h>

#include "nqd.h"

void nqd_count_drop_no_route(struct nqd_device *nd)
{
	this_cpu_inc(nd->drops->no_route);
}

void nqd_count_drop_malformed(struct nqd_device *nd)
{
	this_cpu_inc(nd->drops->malformed);
}
