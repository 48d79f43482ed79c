// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A stream of ACK frames against an engine that goes on sending: bytes in flight must always add up,
 * and acknowledging what was never sent must be noticed.
 */
#include "engine.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

static void send_more(struct nq_conn *c, unsigned int n, u64 now_us)
{
	static u8 buf[NQ_BURST_MAX][100];
	struct nq_tx_pkt pkts[NQ_BURST_MAX];
	struct nq_tx_burst b;
	unsigned int i;

	n = nq_tx_reserve(c, &b, n, 100, now_us);
	for (i = 0; i < n; i++) {
		pkts[i].buf = buf[i];
		pkts[i].len = 60;
	}
	if (nq_tx_seal(c, &b, pkts, n))
		abort();
	/* The last is not sent: its number is burnt. */
	nq_tx_commit(c, &b, pkts, n > 4 ? n - 1 : n, now_us);
}

/* A peer that sends much and acknowledges late: ACK-only packets pass what is in flight. A part of a
 * reservation is given back on the way.
 */
static void answer_much(struct nq_conn *c, unsigned int n, u64 now_us)
{
	u64 pn = c->ack.ranges.n ? c->ack.ranges.r[0].last + 2 : 0;
	struct nq_rx_meta m = { .eliciting = true };
	struct nq_tx_burst b;
	u8 buf[1500];

	nq_tx_reserve(c, &b, n, 100, now_us);
	nq_tx_commit(c, &b, NULL, 0, now_us);
	for (; n > 0; n--, pn += 2) {
		m.pn = pn;
		nq_ack_on_received(c, &m, now_us);
		if (c->state == NQ_ACTIVE && nq_ack_due(c, now_us) &&
		    nq_tx_control(c, buf, sizeof(buf), now_us) <= 0)
			abort();
		if (c->next_pn - c->loss.base_pn > c->ring_mask + 1ULL)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	const u8 *p = data, *end = data + len;
	struct nq_conn *c = fuzz_engine(false, 8);
	u64 now_us = FUZZ_NOW_US;
	struct nq_frame f;
	u8 head[2];

	while (end - p > 2) {
		head[0] = p[0];
		head[1] = p[1];
		p += 2;
		now_us += (u64)head[1] * 100;
		send_more(c, head[0] & 0x3f, now_us);
		if (head[0] & 0x40)
			answer_much(c, head[1], now_us);
		if (nq_frame_parse(p, end, &f))
			break;
		p += f.len;
		if (f.type != NQ_FRAME_ACK && f.type != NQ_FRAME_ACK_ECN)
			continue;
		if (nq_loss_on_ack(c, &f.ack, now_us))
			break;
		if (f.ack.largest >= c->next_pn)
			abort();
		fuzz_check(c);
		if (head[0] & 0x80 && nq_next_timeout_us(c) != NQ_TIME_NEVER) {
			now_us = nq_next_timeout_us(c) > now_us ? nq_next_timeout_us(c) : now_us;
			nq_on_timeout(c, now_us);
			fuzz_check(c);
		}
	}
	nq_conn_fini(c);
	return 0;
}
