/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where inner packets stand from the TUN read until they have left: one behind the other in large
 * chunks. A packet that must wait stays where it was read; it is not copied, and as long as no more wait
 * than is usual nothing is allocated for it.
 *
 * As long as nothing waits, every read begins in the same chunk at its start, which is in the cache.
 * Otherwise a chunk is filled, then the next, and one from which all packets have gone is used again.
 * A packet that waits for long holds back a whole chunk; so before the chunks in use are more than
 * twice what waits, and DP_STORE_SLACK, the emptiest is closed up and filled again. At most one byte
 * is moved then for one that is read.
 *
 * Not for several threads.
 */
#ifndef DP_STORE_H
#define DP_STORE_H

#include <sys/queue.h>

#include "../../dataplane/segment.h"

/* A TUN read: virtio header and packet. */
#define DP_STORE_READ_MAX	(sizeof(struct virtio_net_hdr) + 65536)
#define DP_STORE_CHUNK_BYTES	(256 << 10)
#define DP_STORE_SLACK		(1 << 20)
/* So many chunks, and heads of packets, are there from the start, and kept. */
#define DP_STORE_KEEP		8
#define DP_STORE_KEEP_PKTS	4096

struct dp_chunk;
struct dp_store;

/* An inner packet or super-packet. */
struct dp_pkt {
	TAILQ_ENTRY(dp_pkt) entry;	/* of whoever has it */
	struct dp_segs segs;
	/* queue.c: */
	u64 queued_us;
	u32 hash;
	bool judged;
	/* store.c: */
	struct dp_chunk *chunk;
	TAILQ_ENTRY(dp_pkt) of_chunk;
	u32 at, bytes;			/* its place there */
};
TAILQ_HEAD(dp_pkt_list, dp_pkt);
TAILQ_HEAD(dp_chunk_list, dp_chunk);

struct dp_store {
	struct dp_chunk *current;	/* what is being filled, NULL: none */
	struct dp_chunk_list used, free;
	struct dp_pkt *pkts;		/* the kept heads; what goes beyond is allocated */
	struct dp_pkt_list free_pkts;	/* of them */
	unsigned int n_used, n_free;
	u64 bytes;			/* of all packets */
};

/* Touches what it begins with, so that what is used later is what waits. 0 or -ENOMEM. */
int dp_store_init(struct dp_store *st);
/* All packets were given back. */
void dp_store_fini(struct dp_store *st);
/* Room for DP_STORE_READ_MAX bytes until the next call; NULL: no memory. May move packets. */
u8 *dp_store_room(struct dp_store *st);
/*
 * What was read there, @len bytes, of which @segs are the packet, stays until dp_pkt_free(). NULL: no
 * memory, it does not.
 */
struct dp_pkt *dp_store_keep(struct dp_store *st, u32 len, const struct dp_segs *segs);
void dp_pkt_free(struct dp_store *st, struct dp_pkt *pkt);

#endif /* DP_STORE_H */
