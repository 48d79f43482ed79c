/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Congestion control (RFC 9002 7) behind a table of functions.
 *
 * congestion.c holds what window-based controllers share: slow start with HyStart++, one
 * reduction per round trip, persistent congestion, undoing a reduction whose losses were none,
 * no growth while the window is not used, the limits of the window. Such a controller decides
 * only how the window grows and how far it falls. A controller with a model of the path (BBR)
 * sees every ACK and loss, with samples of the delivery rate, and sets window and pacing rate
 * itself. Called by recovery.c.
 */
#ifndef NQ_CONGESTION_H
#define NQ_CONGESTION_H

#include "nq.h"
#include "hystart.h"
#include "rate.h"

#define NQ_CC_INFINITE (~(u64)0)
/* RFC 9002 7.2 */
#define NQ_CC_INITIAL_PACKETS 10
#define NQ_CC_MIN_PACKETS 2

enum nq_cc_state {
	NQ_CC_OPEN,
	NQ_CC_RECOVERY,
	NQ_CC_PERSISTENT,
};

enum nq_cc_cause {
	NQ_CC_LOSS,
	NQ_CC_CE,
};

struct nq_cc;
struct nq_bbr;

/* What one ACK frame showed, losses included: they are told before it. */
struct nq_cc_ack {
	u64 now_us;
	u64 bytes; /* newly acknowledged */
	u64 open_bytes; /* of these sent outside recovery */
	u64 in_flight; /* bytes left */
	u64 largest_pn; /* newly acknowledged */
	u64 next_pn; /* of the next packet to be sent */
	u32 srtt_us;
	u32 rtt_us; /* sample of this ACK, 0: none */
	bool in_use; /* some were sent while the window was full */
	bool in_recovery; /* the largest was sent before the present reduction */
	const struct nq_rate_sample *rate; /* NULL: none */
};

struct nq_cc_loss {
	u64 now_us;
	u64 pn;
	u32 bytes;
	const struct nq_rate_sample *rate; /* of this packet; NULL: none */
};

struct nq_cc_ops {
	const char *name;
	bool has_model; /* sees every ACK, also in recovery; gets samples of the delivery rate */
	void (*init)(struct nq_cc *cc, u64 now_us);
	void (*on_ack)(struct nq_cc *cc, const struct nq_cc_ack *a);
	/* The window was not in use since the last call: its clock, if it has one, must not run. */
	void (*on_idle)(struct nq_cc *cc, u64 now_us);
	/* A congestion event: set ssthresh and cwnd. */
	void (*on_congestion)(struct nq_cc *cc, enum nq_cc_cause cause, u64 now_us);
	/* The path collapsed: the window is down to its least. */
	void (*on_persistent)(struct nq_cc *cc);
	/*
	 * With a model: a packet was lost; a packet is sent while nothing is in flight; the
	 * losses of the last congestion event were none; bytes per second.
	 */
	void (*on_lost)(struct nq_cc *cc, const struct nq_cc_loss *l);
	void (*on_restart)(struct nq_cc *cc, u64 now_us);
	void (*on_undo)(struct nq_cc *cc, u64 now_us);
	u64 (*pacing_rate)(const struct nq_cc *cc, u32 srtt_us);
};

struct nq_cubic {
	u64 w_max, w_est, cwnd_prior;
	u64 epoch_us, last_us;
	u64 acked; /* not yet turned into growth of w_est */
	u64 k_ms;
	bool in_epoch;
};

/* The last reduction for loss: its packets, and what was before it (RFC 9438 4.9). */
struct nq_cc_undo {
	u64 first_pn, end_pn; /* losses of these numbers belong to it */
	u64 cwnd, ssthresh;
	struct nq_cubic cubic;
	u32 lost; /* packets not known to have arrived */
	bool valid;
};

struct nq_cc {
	const struct nq_cc_ops *ops;
	u64 cwnd, ssthresh; /* bytes */
	u64 max_cwnd; /* what the ring of sent packets can account for */
	u64 recovery_start_us;
	u32 mss; /* bytes of a full packet */
	u8 state; /* enum nq_cc_state */
	bool had_recovery;
	struct nq_hystart hystart;
	struct nq_cc_undo undo;
	union {
		struct {
			u64 acked;
		} newreno;
		struct nq_cubic cubic;
		struct {
			u64 bytes_per_s;
		} fixed;
		struct nq_bbr *bbr;
	};
};

extern const struct nq_cc_ops nq_cc_newreno, nq_cc_cubic, nq_cc_bbr, nq_cc_fixed;

/* By name, NULL or "" is the default; NULL if there is none. */
const struct nq_cc_ops *nq_cc_find(const char *name);

/* Memory that a controller needs beside struct nq_cc, 64-byte aligned and zeroed. */
size_t nq_cc_bytes(const struct nq_cc_ops *ops, u32 ring_packets);
void nq_cc_init(struct nq_cc *cc, const struct nq_cc_ops *ops, u32 mss, u32 ring_packets, void *mem,
		u64 now_us);
/* Begin anew on another path; what the caller of fixed_rate_test set stays. */
void nq_cc_on_new_path(struct nq_cc *cc, u32 mss, u32 ring_packets, void *mem, u64 now_us);
void nq_cc_set_mss(struct nq_cc *cc, u32 mss);
/* Samples of the delivery rate, NULL for a controller that wants none. */
struct nq_rate *nq_cc_rate(const struct nq_cc *cc);
/* Go on with the window that @old has now, right after nq_cc_init(). */
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

void nq_cc_on_ack(struct nq_cc *cc, const struct nq_cc_ack *a);
void nq_cc_on_lost(struct nq_cc *cc, const struct nq_cc_loss *l);
/* The first packet after a pause leaves. */
void nq_cc_on_restart(struct nq_cc *cc, u64 now_us);

/*
 * Packets @first_pn and above were lost, @lost of them, the last sent at @sent_us. Reduces the
 * window if that begins a congestion event; true if so. @next_pn is that of the next packet.
 */
bool nq_cc_on_loss_event(struct nq_cc *cc, u64 first_pn, u32 lost, u64 next_pn, u64 sent_us,
			 u64 now_us);
/* A CE mark on packets sent up to @sent_us. True if it reduced the window. */
bool nq_cc_on_ce(struct nq_cc *cc, u64 sent_us, u64 now_us);
/* Packet @pn, declared lost, arrived after all. True if that undid the last reduction. */
bool nq_cc_on_spurious(struct nq_cc *cc, u64 pn, u64 now_us);
void nq_cc_on_persistent(struct nq_cc *cc);

/* Bytes per second at which the window is spread over a round trip (RFC 9002 7.7); 0: unpaced. */
u64 nq_cc_pacing_rate(const struct nq_cc *cc, u32 srtt_us);

#endif /* NQ_CONGESTION_H */
