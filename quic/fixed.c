// SPDX-License-Identifier: GPL-2.0-only
/*
 * fixed_rate_test: sends at a set rate whatever happens. It controls no congestion and is there
 * to measure a path and to test everything else; whoever may ask for it decides before the
 * engine does.
 */
#include "congestion.h"

static void fixed_init(struct nq_cc *cc, u64 now_us)
{
	cc->cwnd = cc->max_cwnd;
}

static void fixed_on_ack(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	cc->cwnd = cc->max_cwnd;
}

static void fixed_on_congestion(struct nq_cc *cc, enum nq_cc_cause cause, u64 now_us)
{
}

static u64 fixed_pacing_rate(const struct nq_cc *cc, u32 srtt_us)
{
	return cc->fixed.bytes_per_s;
}

const struct nq_cc_ops nq_cc_fixed = {
	.name = "fixed_rate_test",
	.has_model = true,
	.init = fixed_init,
	.on_ack = fixed_on_ack,
	.on_congestion = fixed_on_congestion,
	.pacing_rate = fixed_pacing_rate,
};
