/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is left of a connection after its hand-over: its connection IDs, for a few seconds. Short
 * packets that still come here wait (bounded) until the data plane carries the session, then go
 * over the punt socket; long ones are late handshake packets and are dropped.
 */
#ifndef HS_TOMBSTONE_H
#define HS_TOMBSTONE_H

#include <sys/queue.h>
#include "conn.h"

#define HS_TOMB_BUCKETS 1024

struct hs_tomb;

struct hs_tombs {
	TAILQ_HEAD(, hs_tomb) list; /* oldest first */
	LIST_HEAD(, hs_tomb) by_attempt[HS_TOMB_BUCKETS];
	unsigned int n, n_dgrams;
};

void hs_tombs_init(struct hs_tombs *t);
/* @c hands its connection IDs over to a new tombstone. Best effort. */
void hs_tomb_bury(struct hs_conn *c);
/* Does the data plane carry the session? */
bool hs_tomb_is_installed(const struct hs_tomb *t);
/* A datagram for one of them. */
void hs_tomb_receive(struct hsd *h, struct hs_tomb *t, const struct hs_dgram *d);
/* HS_CMD_INSTALLED: pass on what waited, and from now on at once. */
void hs_tomb_installed(struct hsd *h, const char *tunnel, uint64_t attempt);
/* Drop what is too old; returns the next time something will be. */
uint64_t hs_tombs_run_timers(struct hsd *h);
void hs_tombs_clear(struct hsd *h);

#endif /* HS_TOMBSTONE_H */
