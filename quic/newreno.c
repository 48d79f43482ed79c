// SPDX-License-Identifier: GPL-2.0-only
/*
 * NewReno (RFC 9002 7.3): one packet per window acknowledged, half the window per congestion event.
 */
#include "congestion.h"

static void newreno_init(struct nq_cc *cc, u64 now_us)
{
	cc->newreno.acked = 0;
}

static void newreno_on_ack(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	cc->newreno.acked += a->open_bytes;
	while (cc->newreno.acked >= cc->cwnd) {
		cc->newreno.acked -= cc->cwnd;
		cc->cwnd += cc->mss;
	}
}

static void newreno_on_idle(struct nq_cc *cc, u64 now_us)
{
}

static void newreno_on_congestion(struct nq_cc *cc, enum nq_cc_cause cause, u64 now_us)
{
	cc->ssthresh = cc->cwnd / 2;
	if (cc->ssthresh < (u64)NQ_CC_MIN_PACKETS * cc->mss)
		cc->ssthresh = (u64)NQ_CC_MIN_PACKETS * cc->mss;
	cc->cwnd = cc->ssthresh;
	cc->newreno.acked = 0;
}

const struct nq_cc_ops nq_cc_newreno = {
	.name = "newreno",
	.init = newreno_init,
	.on_ack = newreno_on_ack,
	.on_idle = newreno_on_idle,
	.on_congestion = newreno_on_congestion,
};
