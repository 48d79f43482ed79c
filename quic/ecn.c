// SPDX-License-Identifier: GPL-2.0-only
/*
 * Validation of ECN on the path (RFC 9000 13.4.2, A.4).
 *
 * Packets are marked ECT(0). As long as the counts in the peer's ACK frames account for every
 * marked packet it acknowledges, marking goes on; if they do not, or the first ten marked packets
 * are lost, marking stops for good: a path that bleaches or mangles the field gives no signal to
 * rely on.
 */
#include "conn.h"

#define ECN_TEST_PACKETS 10

bool nq_tx_ecn(const struct nq_conn *c)
{
	return c->ecn.state == NQ_ECN_TESTING || c->ecn.state == NQ_ECN_CAPABLE;
}

/* Only acknowledgements and losses change the answer, so that a caller may ask before or after it
 * builds a packet.
 */
void nq_ecn_on_lost(struct nq_ecn *e)
{
	if (e->state == NQ_ECN_TESTING && ++e->testing_lost >= ECN_TEST_PACKETS)
		e->state = NQ_ECN_FAILED;
}

void nq_ecn_restart(struct nq_ecn *e)
{
	if (e->state != NQ_ECN_OFF)
		e->state = NQ_ECN_TESTING;
	e->testing_lost = 0;
}

bool nq_ecn_on_ack(struct nq_conn *c, const struct nq_ack_frame *a, u64 newly_ect0)
{
	struct nq_ecn *e = &c->ecn;
	bool ce;

	if (e->state == NQ_ECN_OFF || e->state == NQ_ECN_FAILED)
		return false;
	if (!a->has_ecn) {
		if (newly_ect0)
			e->state = NQ_ECN_FAILED;
		return false;
	}
	/* Fewer than before: a peer that was handed over counts anew. Nothing to learn yet. */
	if (a->ect0 + a->ce < e->peer_ect0 + e->peer_ce)
		return false;
	if (a->ect1 || a->ect0 + a->ce > e->sent_ect0 || a->ce < e->peer_ce ||
	    a->ect0 + a->ce < e->peer_ect0 + e->peer_ce + newly_ect0) {
		e->state = NQ_ECN_FAILED;
		return false;
	}
	ce = a->ce > e->peer_ce;
	e->peer_ect0 = a->ect0;
	e->peer_ce = a->ce;
	if (newly_ect0 && e->state != NQ_ECN_CAPABLE)
		e->state = NQ_ECN_CAPABLE;
	return ce;
}
