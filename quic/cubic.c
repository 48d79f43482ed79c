// SPDX-License-Identifier: GPL-2.0-only
/*
 * CUBIC (RFC 9438) in integers: windows in bytes, the cubic's time in milliseconds.
 *
 *	W_cubic(t) = C * (t - K)^3 + W_max,  C = 0.4 packets/s^3,  K = cbrt((W_max - cwnd) / C)
 *
 * beta = 0.7, fast convergence, and the Reno-friendly estimate, which decides at the short round
 * trips of a data centre. Time during which the window was not used does not count (4.2 ff.).
 */
#include "congestion.h"

/* |t - K| beyond this no longer matters and would overflow its cube. */
#define CUBIC_SPAN_MS 100000

/* Integer cube root, rounded down. */
static u64 cube_root(u64 x)
{
	u64 y = 0, b;
	int s;

	for (s = 63; s >= 0; s -= 3) {
		y *= 2;
		b = 3 * y * (y + 1) + 1;
		if (x >> s >= b) {
			x -= b << s;
			y++;
		}
	}
	return y;
}

static void cubic_init(struct nq_cc *cc, u64 now_us)
{
	memset(&cc->cubic, 0, sizeof(cc->cubic));
}

static void start_epoch(struct nq_cc *cc, u64 now_us)
{
	u64 missing;

	cc->cubic.in_epoch = true;
	cc->cubic.epoch_us = now_us;
	cc->cubic.last_us = now_us;
	cc->cubic.acked = 0;
	cc->cubic.w_est = cc->cwnd;
	if (cc->cubic.w_max <= cc->cwnd) {
		cc->cubic.w_max = cc->cwnd;
		cc->cubic.k_ms = 0;
		return;
	}
	missing = cc->cubic.w_max - cc->cwnd;
	/* (packets / 0.4) seconds^3 in ms^3: at most 1.6e9 bytes missing, or 64 bits overflow. */
	if (missing > 1600000000ULL)
		missing = 1600000000ULL;
	cc->cubic.k_ms = cube_root(div64_u64(missing * 2500000000ULL, cc->mss));
}

static u64 w_cubic(const struct nq_cc *cc, u64 t_ms)
{
	bool below = t_ms < cc->cubic.k_ms;
	u64 d = below ? cc->cubic.k_ms - t_ms : t_ms - cc->cubic.k_ms;
	u64 delta;

	if (d > CUBIC_SPAN_MS)
		d = CUBIC_SPAN_MS;
	/* d^3 <= 1e15, times a packet below 2^16 stays below 2^63. */
	delta = div64_u64(div64_u64(d * d * d, 2500) * cc->mss, 1000000);
	if (below)
		return delta < cc->cubic.w_max ? cc->cubic.w_max - delta : 0;
	return cc->cubic.w_max + delta;
}

/* Reno with the same average: alpha = 3 (1 - beta) / (1 + beta) = 9/17, 1 above the old window. */
static void grow_estimate(struct nq_cc *cc, u64 bytes)
{
	u64 alpha_256 = cc->cubic.w_est >= cc->cubic.cwnd_prior ? 256 : 136;
	u64 growth;

	cc->cubic.acked += bytes * alpha_256;
	growth = div64_u64(cc->cubic.acked * cc->mss, cc->cwnd * 256);
	if (!growth)
		return;
	cc->cubic.w_est += growth;
	cc->cubic.acked -= nq_min(cc->cubic.acked, div64_u64(growth * cc->cwnd * 256, cc->mss));
}

static void cubic_on_ack(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	u64 target, t_us;

	if (!cc->cubic.in_epoch)
		start_epoch(cc, a->now_us);
	cc->cubic.last_us = a->now_us;
	grow_estimate(cc, a->open_bytes);
	t_us = a->now_us - cc->cubic.epoch_us + a->srtt_us;
	target = w_cubic(cc, div64_u64(t_us, 1000));
	if (target > cc->cwnd + cc->cwnd / 2)
		target = cc->cwnd + cc->cwnd / 2;
	if (target > cc->cwnd)
		cc->cwnd += div64_u64((target - cc->cwnd) * a->open_bytes, cc->cwnd);
	if (cc->cwnd < cc->cubic.w_est)
		cc->cwnd = cc->cubic.w_est;
}

static void cubic_on_idle(struct nq_cc *cc, u64 now_us)
{
	if (!cc->cubic.in_epoch)
		return;
	cc->cubic.epoch_us += now_us - cc->cubic.last_us;
	cc->cubic.last_us = now_us;
}

static void cubic_on_congestion(struct nq_cc *cc, enum nq_cc_cause cause, u64 now_us)
{
	/* Fast convergence: a flow that lost below its last maximum leaves room for others. */
	if (cc->cwnd < cc->cubic.w_max)
		cc->cubic.w_max = div64_u64(cc->cwnd * 17, 20);
	else
		cc->cubic.w_max = cc->cwnd;
	cc->cubic.cwnd_prior = cc->cwnd;
	cc->ssthresh = div64_u64(cc->cwnd * 7, 10);
	if (cc->ssthresh < (u64)NQ_CC_MIN_PACKETS * cc->mss)
		cc->ssthresh = (u64)NQ_CC_MIN_PACKETS * cc->mss;
	cc->cwnd = cc->ssthresh;
	cc->cubic.in_epoch = false;
}

/* RFC 9438 4.8: the time of the curve begins anew after the slow start that follows. */
static void cubic_on_persistent(struct nq_cc *cc)
{
	cc->cubic.in_epoch = false;
}

const struct nq_cc_ops nq_cc_cubic = {
	.name = "cubic",
	.init = cubic_init,
	.on_ack = cubic_on_ack,
	.on_idle = cubic_on_idle,
	.on_congestion = cubic_on_congestion,
	.on_persistent = cubic_on_persistent,
};
