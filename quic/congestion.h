/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Congestion control (RFC 9002 7) behind a table of functions.
 *
 * congestion.c holds what all controllers share: one reduction per round trip, persistent
 * congestion, no growth while the window is not used, the limits of the window. A controller
 * decides only how the window grows and how far it falls. Called by recovery.c.
 */
#ifndef NQ_CONGESTION_H
#define NQ_CONGESTION_H

#include "nq_types.h"

#define NQ_CC_INFINITE (~(u64)0)
/* RFC 9002 7.2 */
#define NQ_CC_INITIAL_PACKETS 10
#define NQ_CC_MIN_PACKETS 2

enum nq_cc_state {
	NQ_CC_OPEN,
	NQ_CC_RECOVERY,
	NQ_CC_PERSISTENT,
};

struct nq_cc;

struct nq_cc_ops {
	const char *name;
	void (*init)(struct nq_cc *cc);
	/* @bytes were acknowledged outside recovery while the window was in full use. */
	void (*on_ack)(struct nq_cc *cc, u64 bytes, u64 now_us, u32 srtt_us);
	/* The window was not in use since the last call: its clock, if it has one, must not run. */
	void (*on_idle)(struct nq_cc *cc, u64 now_us);
	/* A congestion event: set ssthresh and cwnd. */
	void (*on_congestion)(struct nq_cc *cc, u64 now_us);
};

struct nq_cc {
	const struct nq_cc_ops *ops;
	u64 cwnd, ssthresh; /* bytes */
	u64 max_cwnd; /* what the ring of sent packets can account for */
	u64 recovery_start_us;
	u32 mss; /* bytes of a full packet */
	u8 state; /* enum nq_cc_state */
	bool had_recovery;
	union {
		struct {
			u64 acked;
		} newreno;
		struct {
			u64 w_max, w_est, cwnd_prior;
			u64 epoch_us, last_us;
			u64 acked; /* not yet turned into growth of w_est */
			u64 k_ms;
			bool in_epoch;
		} cubic;
	};
};

extern const struct nq_cc_ops nq_cc_newreno, nq_cc_cubic;

/* By name, NULL or "" is the default; NULL if there is none. */
const struct nq_cc_ops *nq_cc_find(const char *name);

void nq_cc_init(struct nq_cc *cc, const struct nq_cc_ops *ops, u32 mss, u64 max_cwnd);
void nq_cc_set_mss(struct nq_cc *cc, u32 mss);
/* Begin with the window that @old has now, growing from there as it would. */
void nq_cc_continue(struct nq_cc *cc, const struct nq_cc *old);

/* Was a packet sent at @sent_us sent before the present reduction? */
static inline bool nq_cc_in_recovery(const struct nq_cc *cc, u64 sent_us)
{
	return cc->had_recovery && sent_us <= cc->recovery_start_us;
}

static inline bool nq_cc_slow_start(const struct nq_cc *cc)
{
	return cc->cwnd < cc->ssthresh;
}

/* @bytes of packets sent outside recovery were acknowledged; @in_use: they filled the window. */
void nq_cc_on_ack(struct nq_cc *cc, u64 bytes, bool in_use, u64 now_us, u32 srtt_us);
/* Loss or CE of a packet sent at @sent_us. True if the window was reduced. */
bool nq_cc_on_congestion(struct nq_cc *cc, u64 sent_us, u64 now_us);
void nq_cc_on_persistent(struct nq_cc *cc);

/* Bytes per second at which the window is spread over a round trip (RFC 9002 7.7); 0: unpaced. */
u64 nq_cc_pacing_rate(const struct nq_cc *cc, u32 srtt_us);

#endif /* NQ_CONGESTION_H */
