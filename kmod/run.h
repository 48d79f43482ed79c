/* SPDX-License-Identifier: GPL-2.0-only */
/* What tx.c, rx.c and run.c share: rounds of a session (see datapath.h). */
#ifndef NQD_RUN_H
#define NQD_RUN_H

#include "nqd.h"
#include "trace.h"

/* What the data path keeps in an inner packet while it waits. */
struct nqd_skb_cb {
	codel_time_t queued;
	u32 max_len;			/* of its segments */
	u16 segs;
};

static inline struct nqd_skb_cb *nqd_skb_cb(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct nqd_skb_cb) > sizeof_field(struct sk_buff, cb));
	return (struct nqd_skb_cb *)skb->cb;
}

/* A session may outlive its device: NULL, and it has no inner packets any more. */
static inline struct net_device *nqd_session_dev(const struct nqd_session *s)
{
	const struct nqd_device *nd = READ_ONCE(s->nd);

	return nd ? nd->dev : NULL;
}

static inline void nqd_trace_drop(const struct nqd_session *s, enum nqd_drop_reason why)
{
	const struct net_device *dev = nqd_session_dev(s);

	trace_nqd_drop(dev ? dev->ifindex : 0, s->id, why);
}

static inline void nqd_add_counters(struct nqd_counters *to, const struct nqd_counters *from)
{
	const u64 *f = (const u64 *)from;
	u64 *t = (u64 *)to;
	unsigned int i;

	for (i = 0; i < sizeof(*to) / sizeof(u64); i++)
		t[i] += f[i];
}

/*
 * tx.c: as many bursts as the engine admits, and what it has to say itself. With the turn, and
 * under s->lock, which it lets go and takes again.
 */
void nqd_tx_flush(struct nqd_session *s, u64 now_us);
/* Its queue is empty enough: let the stack send again. */
void nqd_tx_resume(struct nqd_session *s);
/* What waits is dropped; goes to another session. With the turns of both, not under s->lock. */
void nqd_tx_purge(struct nqd_session *s);
void nqd_tx_move(struct nqd_session *to, struct nqd_session *from);
/* The time to gather packets is over: is there one? In softirq. */
bool nqd_tx_gathered(struct nqd_session *s);
/* What of a session is tx.c's. */
void nqd_tx_start(struct nqd_session_dp *dp);
void nqd_tx_init(void);

/*
 * run.c: packets of @s go to the stack; NULL: they have gone. Rounds that it asks for on this CPU
 * meanwhile are left to the nqd_dp_session_wake() that must follow: what is answered at once leaves
 * in one burst, and not from the depth of the stack's receive path. Bottom halves are off.
 */
void nqd_run_delivering(struct nqd_session *s);
bool nqd_run_is_delivering(const struct nqd_session *s);

#endif /* NQD_RUN_H */
