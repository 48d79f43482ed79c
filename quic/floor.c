// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks of calm rounds, and how far chance takes a count from its average. See floor.h.
 */
#include "floor.h"
#include "isqrt.h"

static void end_block(struct nq_floor *f)
{
	u64 share = nq_min(div64_u64(f->lost * NQ_FLOOR_ONE, f->bytes), NQ_FLOOR_MAX);
	unsigned int i;

	for (i = 0; i + 1 < NQ_FLOOR_BLOCKS; i++)
		f->block[i] = f->block[i + 1];
	f->block[i] = (u32)share;
	for (i = 0; i < NQ_FLOOR_BLOCKS; i++)
		share = nq_min(share, f->block[i]);
	f->share = (u32)share;
	f->bytes = 0;
	f->lost = 0;
	f->rounds = 0;
}

void nq_floor_on_round(struct nq_floor *f, bool calm, bool next, u32 mss)
{
	if (f->open && calm) {
		f->bytes += f->round_bytes;
		f->lost += f->round_lost;
		f->rounds++;
		if (f->bytes >= (u64)NQ_FLOOR_BLOCK_PACKETS * mss &&
		    f->rounds >= NQ_FLOOR_BLOCK_ROUNDS)
			end_block(f);
	}
	f->round_bytes = 0;
	f->round_lost = 0;
	f->open = next;
}

u64 nq_floor_chance(const struct nq_floor *f, u64 bytes, u32 mss)
{
	/* The count of losses varies by its root; in bytes that is the root of bytes times size. */
	return NQ_FLOOR_DEVIATIONS * nq_isqrt(nq_floor_mean(f, bytes) * mss);
}
