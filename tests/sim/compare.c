// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine, ngtcp2 and the reference TCP under the same conditions, in one table.
 */
#include "scenario.h"

#include <stdio.h>

static const struct {
	const char *name;
	enum flow_kind kind;
} senders[] = {
	{ "engine", FLOW_ENGINE },
	{ "ngtcp2", FLOW_NGTCP2 },
	{ "ngtcp2 stream", FLOW_NGTCP2_STREAM },
	{ "reference TCP", FLOW_TCP },
};
#define SENDERS (sizeof(senders) / sizeof(*senders))

static const struct {
	const char *name;
	struct net_conf conf;
} conditions[] = {
	{ "1 Mbit/s, 1 ms", { .mbit = 1, .rtt_ms = 1 } },
	{ "1 Mbit/s, 10 ms", { .mbit = 1, .rtt_ms = 10 } },
	{ "1 Mbit/s, 50 ms", { .mbit = 1, .rtt_ms = 50 } },
	{ "1 Mbit/s, 100 ms", { .mbit = 1, .rtt_ms = 100 } },
	{ "1 Mbit/s, 200 ms", { .mbit = 1, .rtt_ms = 200 } },
	{ "10 Mbit/s, 1 ms", { .mbit = 10, .rtt_ms = 1 } },
	{ "10 Mbit/s, 10 ms", { .mbit = 10, .rtt_ms = 10 } },
	{ "10 Mbit/s, 50 ms", { .mbit = 10, .rtt_ms = 50 } },
	{ "10 Mbit/s, 100 ms", { .mbit = 10, .rtt_ms = 100 } },
	{ "10 Mbit/s, 200 ms", { .mbit = 10, .rtt_ms = 200 } },
	{ "100 Mbit/s, 1 ms", { .mbit = 100, .rtt_ms = 1 } },
	{ "100 Mbit/s, 10 ms", { .mbit = 100, .rtt_ms = 10 } },
	{ "100 Mbit/s, 50 ms", { .mbit = 100, .rtt_ms = 50 } },
	{ "100 Mbit/s, 100 ms", { .mbit = 100, .rtt_ms = 100 } },
	{ "100 Mbit/s, 200 ms", { .mbit = 100, .rtt_ms = 200 } },
	{ "1 Gbit/s, 1 ms", { .mbit = 1000, .rtt_ms = 1 } },
	{ "1 Gbit/s, 10 ms", { .mbit = 1000, .rtt_ms = 10 } },
	{ "1 Gbit/s, 50 ms", { .mbit = 1000, .rtt_ms = 50 } },
	{ "1 Gbit/s, 100 ms", { .mbit = 1000, .rtt_ms = 100 } },
	{ "1 Gbit/s, 200 ms", { .mbit = 1000, .rtt_ms = 200 } },
	{ "20 Mbit/s, 40 ms, loss 0.1 %", { .mbit = 20, .rtt_ms = 40, .loss = 0.001 } },
	{ "20 Mbit/s, 40 ms, loss 1 %", { .mbit = 20, .rtt_ms = 40, .loss = 0.01 } },
	{ "20 Mbit/s, 40 ms, loss 5 %", { .mbit = 20, .rtt_ms = 40, .loss = 0.05 } },
	{ "20 Mbit/s, 40 ms, bursts of loss, 1 %",
	  { .mbit = 20, .rtt_ms = 40, .to_bad = 0.0026, .to_good = 0.125, .bad_loss = 0.5 } },
	{ "50 Mbit/s, 40 ms, CoDel", { .mbit = 50, .rtt_ms = 40, .aqm = SIM_CODEL } },
	{ "50 Mbit/s, 40 ms, 2 % held back 1-4 ms",
	  { .mbit = 50,
	    .rtt_ms = 40,
	    .reorder = 0.02,
	    .reorder_least_ms = 1,
	    .reorder_most_ms = 4 } },
	{ "50 Mbit/s, 40 ms, jitter 20 ms", { .mbit = 50, .rtt_ms = 40, .jitter_ms = 20 } },
	{ "50 Mbit/s, 40 ms, 10 % twice", { .mbit = 50, .rtt_ms = 40, .duplicate = 0.1 } },
	{ "50 Mbit/s, 40 ms, 1 % damaged", { .mbit = 50, .rtt_ms = 40, .corrupt = 0.01 } },
};
#define CONDITIONS (sizeof(conditions) / sizeof(*conditions))

static void head(const char *what, const char *columns)
{
	u32 i;

	printf("\n%-40s", what);
	for (i = 0; i < SENDERS; i++)
		printf(" | %-21s", senders[i].name);
	printf("\n%-40s", "");
	for (i = 0; i < SENDERS; i++)
		printf(" | %-21s", columns);
	printf("\n");
}

static void row_link(struct scenario_run *r, u32 condition)
{
	const struct net_conf *c = &conditions[condition].conf;
	u32 i;

	printf("%-40s", conditions[condition].name);
	for (i = 0; i < SENDERS; i++) {
		struct measure m = { .kind = senders[i].kind };

		m.warm_ms = m.run_ms = (c->mbit > 500 ? 3e3 : 20e3) + 20 * c->rtt_ms;
		measure(r, c, &m);
		if (m.failed)
			printf(" | %-21s", "gave up");
		else
			printf(" | %5.1f %6.1f %6.3f %%", m.share * 100, m.mean_sojourn_ms,
			       m.loss * 100);
		fflush(stdout);
	}
	printf("\n");
}

static void row_share(struct scenario_run *r, const char *name, enum flow_kind other, bool own,
		      double rtt_ms)
{
	const struct net_conf c = { .mbit = 10, .rtt_ms = rtt_ms };
	double rate[2];
	u32 i;

	printf("%-40s", name);
	for (i = 0; i < SENDERS; i++) {
		enum flow_kind kind[2] = { senders[i].kind, own ? senders[i].kind : other };

		share_link(r, &c, kind, "cubic", 120, 90, rate);
		printf(" | %5.2f %5.2f %9.3f", rate[0], rate[1], jain(rate, 2));
		fflush(stdout);
	}
	printf("\n");
}

static void row_outage(struct scenario_run *r, double seconds)
{
	const struct net_conf c = { .mbit = 20, .rtt_ms = 50 };
	char name[64];
	u32 i;

	snprintf(name, sizeof(name), "20 Mbit/s, 50 ms, %g s of nothing", seconds);
	printf("%-40s", name);
	for (i = 0; i < SENDERS; i++) {
		struct outage o;

		outage(r, &c, senders[i].kind, seconds, &o);
		if (o.failed)
			printf(" | %-21s", "gave up");
		else
			printf(" | %10.0f %10.0f", o.first_ms, o.full_ms);
		fflush(stdout);
	}
	printf("\n");
}

int compare(u64 seed, bool quick)
{
	struct scenario_run r = { .seed = seed, .quick = quick };
	u32 i;

	printf("share: of the link, per cent; queue: mean delay in ms; drops: by the queue\n");
	head("one flow, CUBIC", "share  queue     drops");
	for (i = 0; i < CONDITIONS; i++) {
		if (!quick || conditions[i].conf.mbit < 500)
			row_link(&r, i);
	}
	head("two flows, 10 Mbit/s, CUBIC", "shares          Jain");
	row_share(&r, "two of a kind, 20 ms", FLOW_TCP, true, 20);
	row_share(&r, "two of a kind, 100 ms", FLOW_TCP, true, 100);
	row_share(&r, "beside the reference TCP, 20 ms", FLOW_TCP, false, 20);
	row_share(&r, "beside the reference TCP, 100 ms", FLOW_TCP, false, 100);
	head("after an outage, ms", "  to first   to 80 %");
	row_outage(&r, 1);
	row_outage(&r, 20);
	return r.failed != 0;
}
