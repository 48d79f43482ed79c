// SPDX-License-Identifier: GPL-2.0-only
/*
 * What congestion controllers share. See congestion.h.
 */
#include "bbr.h"
#include "congestion.h"

static const struct nq_cc_ops *const controllers[] = {
	&nq_cc_cubic,
	&nq_cc_newreno,
	&nq_cc_bbr,
	&nq_cc_fixed,
};

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
	unsigned int i;

	if (!name || !*name)
		return &nq_cc_cubic;
	for (i = 0; i < sizeof(controllers) / sizeof(*controllers); i++) {
		if (same_name(name, controllers[i]->name))
			return controllers[i];
	}
	return NULL;
}

static void clamp_cwnd(struct nq_cc *cc)
{
	if (cc->cwnd > cc->max_cwnd)
		cc->cwnd = cc->max_cwnd;
	if (cc->cwnd < (u64)NQ_CC_MIN_PACKETS * cc->mss)
		cc->cwnd = (u64)NQ_CC_MIN_PACKETS * cc->mss;
}

size_t nq_cc_bytes(const struct nq_cc_ops *ops, u32 ring_packets)
{
	return ops == &nq_cc_bbr ? nq_bbr_bytes(ring_packets) : 0;
}

struct nq_rate *nq_cc_rate(const struct nq_cc *cc)
{
	return cc->ops == &nq_cc_bbr ? &cc->bbr->rate : NULL;
}

void nq_cc_init(struct nq_cc *cc, const struct nq_cc_ops *ops, u32 mss, u32 ring_packets, void *mem,
		u64 now_us)
{
	u64 initial = 14720;

	memset(cc, 0, sizeof(*cc));
	cc->ops = ops;
	cc->mss = mss;
	cc->max_cwnd = (u64)ring_packets / 2 * mss;
	cc->ssthresh = NQ_CC_INFINITE;
	/* RFC 9002 7.2: ten packets, but not above the larger of 14720 bytes and two packets. */
	if (initial < 2ULL * mss)
		initial = 2ULL * mss;
	if (initial > (u64)NQ_CC_INITIAL_PACKETS * mss)
		initial = (u64)NQ_CC_INITIAL_PACKETS * mss;
	cc->cwnd = initial;
	clamp_cwnd(cc);
	if (ops == &nq_cc_bbr)
		nq_bbr_attach(cc, mem, ring_packets);
	ops->init(cc, now_us);
}

void nq_cc_on_new_path(struct nq_cc *cc, u32 mss, u32 ring_packets, void *mem, u64 now_us)
{
	const struct nq_cc_ops *ops = cc->ops;
	u64 fixed_rate = ops == &nq_cc_fixed ? cc->fixed.bytes_per_s : 0;

	nq_cc_init(cc, ops, mss, ring_packets, mem, now_us);
	if (ops == &nq_cc_fixed)
		cc->fixed.bytes_per_s = fixed_rate;
}

void nq_cc_set_mss(struct nq_cc *cc, u32 mss)
{
	/* Half the ring in full packets: a multiple of the former size. */
	cc->max_cwnd = div64_u64(cc->max_cwnd, cc->mss) * mss;
	cc->mss = mss;
	clamp_cwnd(cc);
}

void nq_cc_continue(struct nq_cc *cc, const struct nq_cc *old)
{
	cc->cwnd = old->cwnd;
	clamp_cwnd(cc);
	cc->ssthresh = nq_cc_slow_start(old) ? old->ssthresh : cc->cwnd;
}

/* ---- acknowledgements ---- */

static void slow_start(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	bool first = cc->ssthresh == NQ_CC_INFINITE;
	bool end = first && nq_hystart_on_ack(&cc->hystart, a->largest_pn, a->next_pn, a->rtt_us);

	if (first && cc->hystart.css)
		cc->cwnd += a->open_bytes / NQ_HYSTART_GROWTH_DIVISOR;
	else
		cc->cwnd += a->open_bytes;
	if (end)
		cc->ssthresh = cc->cwnd;
	if (cc->cwnd > cc->ssthresh)
		cc->cwnd = cc->ssthresh;
}

void nq_cc_on_ack(struct nq_cc *cc, const struct nq_cc_ack *a)
{
	if (!a->in_recovery && a->open_bytes)
		cc->state = NQ_CC_OPEN;
	if (cc->ops->has_model) {
		cc->ops->on_ack(cc, a);
		clamp_cwnd(cc);
		return;
	}
	if (a->in_recovery || !a->open_bytes)
		return;
	if (!a->in_use) {
		cc->ops->on_idle(cc, a->now_us);
		return;
	}
	if (nq_cc_slow_start(cc))
		slow_start(cc, a);
	else
		cc->ops->on_ack(cc, a);
	clamp_cwnd(cc);
}

void nq_cc_on_restart(struct nq_cc *cc, u64 now_us)
{
	if (cc->ops->on_restart)
		cc->ops->on_restart(cc, now_us);
}

/* ---- losses and marks ---- */

void nq_cc_on_lost(struct nq_cc *cc, const struct nq_cc_loss *l)
{
	if (!cc->ops->on_lost)
		return;
	cc->ops->on_lost(cc, l);
	clamp_cwnd(cc);
}

static void begin_recovery(struct nq_cc *cc, enum nq_cc_cause cause, u64 now_us)
{
	cc->had_recovery = true;
	cc->recovery_start_us = now_us;
	cc->state = NQ_CC_RECOVERY;
	cc->ops->on_congestion(cc, cause, now_us);
	clamp_cwnd(cc);
}

bool nq_cc_on_loss_event(struct nq_cc *cc, u64 first_pn, u32 lost, u64 next_pn, u64 sent_us,
			 u64 now_us)
{
	struct nq_cc_undo *u = &cc->undo;

	if (nq_cc_in_recovery(cc, sent_us)) {
		u->lost += lost;
		return false;
	}
	u->first_pn = first_pn;
	u->end_pn = next_pn;
	u->lost = lost;
	u->cwnd = cc->cwnd;
	u->ssthresh = cc->ssthresh;
	if (!cc->ops->has_model)
		u->cubic = cc->cubic;
	u->valid = true;
	begin_recovery(cc, NQ_CC_LOSS, now_us);
	return true;
}

bool nq_cc_on_ce(struct nq_cc *cc, u64 sent_us, u64 now_us)
{
	/* The mark asks for a reduction of its own: what losses did before it may stand. */
	cc->undo.valid = false;
	if (nq_cc_in_recovery(cc, sent_us))
		return false;
	begin_recovery(cc, NQ_CC_CE, now_us);
	return true;
}

bool nq_cc_on_spurious(struct nq_cc *cc, u64 pn, u64 now_us)
{
	struct nq_cc_undo *u = &cc->undo;

	if (!u->valid || pn < u->first_pn || pn >= u->end_pn || --u->lost)
		return false;
	u->valid = false;
	cc->had_recovery = false;
	cc->state = NQ_CC_OPEN;
	if (cc->ops->has_model) {
		if (cc->ops->on_undo)
			cc->ops->on_undo(cc, now_us);
	} else {
		cc->ssthresh = u->ssthresh;
		/* newreno's count stands in the same place. */
		cc->cubic = u->cubic;
		if (cc->cwnd < u->cwnd)
			cc->cwnd = u->cwnd;
	}
	clamp_cwnd(cc);
	return true;
}

void nq_cc_on_persistent(struct nq_cc *cc)
{
	cc->cwnd = (u64)NQ_CC_MIN_PACKETS * cc->mss;
	cc->had_recovery = false;
	cc->undo.valid = false;
	cc->state = NQ_CC_PERSISTENT;
	if (cc->ops->on_persistent)
		cc->ops->on_persistent(cc);
}

/* ---- pacing ---- */

u64 nq_cc_pacing_rate(const struct nq_cc *cc, u32 srtt_us)
{
	u64 rate;

	if (cc->ops->pacing_rate)
		return cc->ops->pacing_rate(cc, srtt_us);
	if (!srtt_us)
		return 0;
	rate = div64_u64(cc->cwnd * 1000000, srtt_us);
	/* Twice the window in a round trip where it doubles, or nothing new would be tried. */
	rate = nq_cc_slow_start(cc) && !cc->hystart.css ? rate * 2 : rate + rate / 4;
	return rate > NQ_RATE_MAX_BYTES_PER_S ? NQ_RATE_MAX_BYTES_PER_S : rate;
}
