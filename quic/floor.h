/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The loss floor: the share of packets that a path loses though nobody fills it, as radio does.
 *
 * Learned only in rounds in which the sender keeps below the rate that the path delivered and the
 * round trip is near the least one, from blocks of many packets and rounds; the floor is the lowest
 * of the last four blocks. A sender that answers to losses above the floor has slowed down long
 * before a block is full: losses of a queue are gone by then, and only those stay that do not
 * depend on it. Nothing above NQ_FLOOR_MAX counts as floor, whatever the path does. Used by bbr.c.
 */
#ifndef NQ_FLOOR_H
#define NQ_FLOOR_H

#include "nq_types.h"

/* Shares are in parts of this. */
#define NQ_FLOOR_ONE 65536
#define NQ_FLOOR_MAX (NQ_FLOOR_ONE / 10)
#define NQ_FLOOR_BLOCKS 4
#define NQ_FLOOR_DEVIATIONS 3
#define NQ_FLOOR_BLOCK_PACKETS 512
#define NQ_FLOOR_BLOCK_ROUNDS 8

/* Zeroed: nothing is known. */
struct nq_floor {
	u64 bytes, lost; /* of this block; bytes with those lost */
	u64 round_bytes, round_lost;
	u32 rounds; /* of this block */
	u32 block[NQ_FLOOR_BLOCKS]; /* shares, the latest last */
	u32 share; /* the lowest of them; 0 until there are so many */
	bool open; /* this round counts */
};

static inline void nq_floor_on_acked(struct nq_floor *f, u64 bytes)
{
	f->round_bytes += bytes;
}

static inline void nq_floor_on_lost(struct nq_floor *f, u64 bytes)
{
	f->round_bytes += bytes;
	f->round_lost += bytes;
}

/* A round ended that was @calm; does the next one count? @mss: bytes of a packet. */
void nq_floor_on_round(struct nq_floor *f, bool calm, bool next, u32 mss);

/* Of @bytes sent so many are lost on the average. */
static inline u64 nq_floor_mean(const struct nq_floor *f, u64 bytes)
{
	return bytes * f->share / NQ_FLOOR_ONE;
}

/* And by chance so many more: three standard deviations of a count of packets. */
u64 nq_floor_chance(const struct nq_floor *f, u64 bytes, u32 mss);

#endif /* NQ_FLOOR_H */
