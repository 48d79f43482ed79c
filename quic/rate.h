/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Samples of the delivery rate (draft-ietf-ccwg-bbr 4.1): how much was delivered between the
 * sending of a packet and its acknowledgement, over the longer of the times it took to send and
 * to report.
 *
 * What has to be remembered about a packet stands in a point that all packets share which were
 * sent between two changes of what was delivered or lost: bursts between two ACKs. Points are a
 * ring; the record of a packet (struct nq_sent, which does not grow) holds the number of its
 * point. A point whose place was given to a later one yields no sample, never a wrong one.
 */
#ifndef NQ_RATE_H
#define NQ_RATE_H

#include "nq_types.h"

struct nq_rate_point {
	u64 first_pn;
	u64 delivered, lost; /* bytes, when the first packet was sent */
	u64 delivered_us; /* when that much was delivered */
	u64 first_sent_us; /* of the packet that was delivered last */
	u64 in_flight; /* bytes, without the packets of this point */
	u32 id;
	bool app_limited;
};

struct nq_rate {
	struct nq_rate_point *points;
	u64 delivered, lost; /* bytes so far */
	u64 delivered_us;
	u64 first_sent_us;
	u64 app_limited; /* samples are until this much is delivered; 0: they are not */
	u32 mask; /* of the ring */
	u32 next; /* id of the next point */
	bool moved; /* something a point holds has changed */
};

struct nq_rate_sample {
	u64 delivered, prior_delivered; /* bytes since, and until the packet was sent */
	u64 lost; /* bytes since the packet was sent */
	u64 tx_in_flight; /* bytes, with the packet, when it was sent */
	u64 bytes_per_s; /* 0: the interval is too short to say */
	bool app_limited;
};

/* A packet as its record knows it. */
struct nq_rate_packet {
	u64 pn, sent_us;
	u32 bytes;
	u32 id;
};

#define NQ_RATE_POINTS_MIN 128

static inline u32 nq_rate_points(u32 ring_packets)
{
	u32 n = ring_packets / 8;

	return n < NQ_RATE_POINTS_MIN ? NQ_RATE_POINTS_MIN : n;
}

/* @n points, a power of two, in @mem. */
void nq_rate_init(struct nq_rate *r, void *mem, u32 n);
/* Packets @pn and up leave, with @in_flight bytes before them: the id that their records keep. */
u32 nq_rate_on_sent(struct nq_rate *r, u64 pn, u64 in_flight, u64 now_us);
/* @bytes in all were acknowledged, or lost. */
void nq_rate_on_acked(struct nq_rate *r, u64 bytes, u64 now_us);
void nq_rate_on_lost(struct nq_rate *r, u64 bytes);
/* The sample of packet @p, acknowledged now, the latest sent of its ACK. False: none. */
bool nq_rate_sample_acked(struct nq_rate *r, const struct nq_rate_packet *p, u32 min_rtt_us,
			  struct nq_rate_sample *s);
/* What @p met, lost now: no rate. */
bool nq_rate_sample_lost(const struct nq_rate *r, const struct nq_rate_packet *p,
			 struct nq_rate_sample *s);
/* The sender has nothing more to send: what is in flight does not show what the path can do. */
void nq_rate_app_limited(struct nq_rate *r, u64 in_flight);

#endif /* NQ_RATE_H */
