// SPDX-License-Identifier: GPL-2.0-only
/*
 * What every congestion controller shares. See congestion.h.
 */
#include "congestion.h"

/* 100 GB/s: keeps rate * time within 64 bits in the pacer. */
#define RATE_MAX 100000000000ULL

static bool same_name(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

const struct nq_cc_ops *nq_cc_find(const char *name)
{
	if (!name || !*name || same_name(name, nq_cc_cubic.name))
		return &nq_cc_cubic;
	if (same_name(name, nq_cc_newreno.name))
		return &nq_cc_newreno;
	return NULL;
}

static void clamp_cwnd(struct nq_cc *cc)
{
	if (cc->cwnd > cc->max_cwnd)
		cc->cwnd = cc->max_cwnd;
	if (cc->cwnd < (u64)NQ_CC_MIN_PACKETS * cc->mss)
		cc->cwnd = (u64)NQ_CC_MIN_PACKETS * cc->mss;
}

void nq_cc_init(struct nq_cc *cc, const struct nq_cc_ops *ops, u32 mss, u64 max_cwnd)
{
	u64 initial = 14720;

	memset(cc, 0, sizeof(*cc));
	cc->ops = ops;
	cc->mss = mss;
	cc->max_cwnd = max_cwnd;
	cc->ssthresh = NQ_CC_INFINITE;
	/* RFC 9002 7.2: ten packets, but not above the larger of 14720 bytes and two packets. */
	if (initial < 2ULL * mss)
		initial = 2ULL * mss;
	if (initial > (u64)NQ_CC_INITIAL_PACKETS * mss)
		initial = (u64)NQ_CC_INITIAL_PACKETS * mss;
	cc->cwnd = initial;
	clamp_cwnd(cc);
	ops->init(cc);
}

void nq_cc_set_mss(struct nq_cc *cc, u32 mss)
{
	cc->mss = mss;
	clamp_cwnd(cc);
}

void nq_cc_continue(struct nq_cc *cc, const struct nq_cc *old)
{
	bool slow_start = nq_cc_slow_start(old);

	cc->cwnd = old->cwnd;
	clamp_cwnd(cc);
	cc->ssthresh = slow_start ? old->ssthresh : cc->cwnd;
	cc->state = NQ_CC_OPEN;
	cc->ops->init(cc);
}

void nq_cc_on_ack(struct nq_cc *cc, u64 bytes, bool in_use, u64 now_us, u32 srtt_us)
{
	if (!bytes)
		return;
	cc->state = NQ_CC_OPEN;
	if (!in_use) {
		cc->ops->on_idle(cc, now_us);
		return;
	}
	if (nq_cc_slow_start(cc)) {
		cc->cwnd += bytes;
		if (cc->cwnd > cc->ssthresh)
			cc->cwnd = cc->ssthresh;
	} else {
		cc->ops->on_ack(cc, bytes, now_us, srtt_us);
	}
	clamp_cwnd(cc);
}

bool nq_cc_on_congestion(struct nq_cc *cc, u64 sent_us, u64 now_us)
{
	if (nq_cc_in_recovery(cc, sent_us))
		return false;
	cc->had_recovery = true;
	cc->recovery_start_us = now_us;
	cc->state = NQ_CC_RECOVERY;
	cc->ops->on_congestion(cc, now_us);
	clamp_cwnd(cc);
	return true;
}

void nq_cc_on_persistent(struct nq_cc *cc)
{
	cc->cwnd = (u64)NQ_CC_MIN_PACKETS * cc->mss;
	cc->had_recovery = false;
	cc->state = NQ_CC_PERSISTENT;
}

u64 nq_cc_pacing_rate(const struct nq_cc *cc, u32 srtt_us)
{
	u64 rate;

	if (!srtt_us)
		return 0;
	rate = div64_u64(cc->cwnd * 1000000, srtt_us);
	rate = nq_cc_slow_start(cc) ? rate * 2 : rate + rate / 4;
	return rate > RATE_MAX ? RATE_MAX : rate;
}
