// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rounds, samples and the decision of HyStart++. See hystart.h.
 */
#include "hystart.h"

/* RFC 9406 4.3 */
#define MIN_RTT_THRESH_US 4000
#define MAX_RTT_THRESH_US 16000
#define RTT_DIVISOR 8
#define SAMPLES 8
#define CSS_ROUNDS 5

static u32 threshold_us(u32 rtt_us)
{
	u32 t = rtt_us / RTT_DIVISOR;

	if (t < MIN_RTT_THRESH_US)
		return MIN_RTT_THRESH_US;
	return t < MAX_RTT_THRESH_US ? t : MAX_RTT_THRESH_US;
}

static void next_round(struct nq_hystart *h, u64 next_pn)
{
	h->end_pn = next_pn;
	h->last_min_us = h->min_us;
	h->min_us = 0;
	h->samples = 0;
}

static void judge(struct nq_hystart *h)
{
	if (h->samples < SAMPLES)
		return;
	if (h->css) {
		/* The rise was noise: back to full speed. */
		if (h->min_us < h->baseline_us)
			h->css = false;
		return;
	}
	if (!h->last_min_us || h->min_us < h->last_min_us + threshold_us(h->last_min_us))
		return;
	h->css = true;
	h->baseline_us = h->min_us;
	h->css_rounds = CSS_ROUNDS;
}

bool nq_hystart_on_ack(struct nq_hystart *h, u64 largest_pn, u64 next_pn, u32 rtt_us)
{
	if (rtt_us) {
		if (!h->min_us || rtt_us < h->min_us)
			h->min_us = rtt_us;
		if (h->samples < SAMPLES)
			h->samples++;
		judge(h);
	}
	if (largest_pn < h->end_pn)
		return false;
	next_round(h, next_pn);
	/* The round in which it began counts, though it is not a whole one. */
	return h->css && !--h->css_rounds;
}
