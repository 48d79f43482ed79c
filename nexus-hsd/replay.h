/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The gate's memory of accepted ClientHello randoms.
 *
 * Promise: once hs_replay_enter() has accepted a random of a credential made at time t, it never
 * accepts that random again with the same or an earlier t: not after the clock stepped back, not
 * after the window grew, not after a reload (hs_replay_inherit()). When the cache forgets an entry it
 * remembers the latest time forgotten, and no credential that old is accepted any more. Bounded: a
 * full cache refuses. All operations take constant time on average; buckets are chosen by a keyed
 * hash, so that a user who chooses his randoms cannot make long chains.
 *
 * Attached to a descriptor, the cache keeps its promise also through a sudden end of the process
 * (hs_replay_attach()); of what was accepted before the memory's first use it knows nothing, and so refuses
 * every credential made before that second. What is kept there are the randoms and the times, which everybody on the
 * path has seen or could guess; no secret.
 */
#ifndef HS_REPLAY_H
#define HS_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the memory for a ring of @n entries. */
#define HS_REPLAY_RING_LEN(n) (64 + (n)*48)

struct hs_replay;

/* @capacity 1 .. 2^24. NULL without memory or randomness. */
struct hs_replay *hs_replay_new(size_t capacity);
void hs_replay_free(struct hs_replay *c);
/*
 * The cache whose ring is the shared memory @fd (not consumed), with what an earlier process had put
 * there; it has one user at a time. The memory must be sealed against changes of its size. 0; 1: the
 * ring was damaged, for one window nothing is accepted; -EPERM (seals), -EINVAL (size), -errno.
 */
int hs_replay_attach(int fd, int64_t now_s, uint32_t window_s, struct hs_replay **out);
/* Is this the memory @c is attached to? */
bool hs_replay_is_at(const struct hs_replay *c, int fd);
/*
 * Enter @random of a credential made at @made_s (within @window_s of @now_s: the caller's check).
 * False: it is known, may have been forgotten, or there is no room.
 */
bool hs_replay_enter(struct hs_replay *c, const uint8_t random[32], int64_t made_s, int64_t now_s,
		     uint32_t window_s);
/*
 * Move the memory of *@old into *@c. If it does not fit, the two exchange places: the larger, older
 * cache serves on. Likewise if only the older one is attached to a descriptor.
 */
void hs_replay_inherit(struct hs_replay **c, struct hs_replay **old);
size_t hs_replay_count(const struct hs_replay *c);

#endif /* HS_REPLAY_H */
