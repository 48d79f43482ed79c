/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packet memory, and the bursts written into it.
 *
 * Memory is handed out from pages of 32 KiB, a few per CPU, that are used again as soon as nobody
 * else holds them: a page that comes from the allocator is zeroed first on most systems, which
 * costs as much as a checksum. Everything here is called with bottom halves off, and what belongs
 * to the CPU is used up before anything else can run on it.
 *
 * A burst is an array of packets for the engine. nqd_burst_build() makes skbs of it: packets of
 * equal size, back to back, leave as one UDP GSO skb, the last of them may be shorter.
 */
#ifndef NQD_BURST_H
#define NQD_BURST_H

#include <linux/skbuff.h>

#include "../quic/nq.h"
#include "datapath.h"

/* The engine's burst and control packets behind it. */
#define NQD_BURST_PACKETS	(NQ_BURST_MAX + 8)
/* If there are only single pages, two packets go into one. */
#define NQD_BURST_PAGES		48
/* UDP payload of one outer skb. */
#define NQD_GSO_MAX_BYTES	65000
#define NQD_GSO_MAX_SEGS	64

struct nqd_burst {
	struct nq_tx_pkt pkts[NQD_BURST_PACKETS];
	u32 off[NQD_BURST_PACKETS];	/* in their page */
	u8 page_of[NQD_BURST_PACKETS];
	unsigned int n;			/* packets */
	u32 bytes;
	struct page *pages[NQD_BURST_PAGES]; /* a reference each */
	unsigned int n_pages;
	struct nq_sealer sealer;	/* of the packets that were taken */
};

int nqd_burst_init(void);
void nqd_burst_exit(void);

/* This CPU's, empty. */
struct nqd_burst *nqd_burst_begin(void);
/* Memory for the next packet, @bytes (<= NQD_PACKET_MAX) with its tag; NULL: no more fits. */
u8 *nqd_burst_room(struct nqd_burst *b, u32 bytes);
/* It was filled: @len bytes of it will leave. */
void nqd_burst_add(struct nqd_burst *b, u8 *buf, u32 len);
/* Skbs of all packets at the end of @out; the burst is empty then. Packets for which there is no
 * memory are lost, as on the wire.
 */
void nqd_burst_build(struct nqd_burst *b, struct sk_buff_head *out);
void nqd_burst_drop(struct nqd_burst *b);

/*
 * Copy @len bytes into this CPU's pages, as fragments at the end of @skb. 0 or -ENOMEM (what was
 * added stays).
 */
int nqd_skb_append(struct sk_buff *skb, const u8 *data, u32 len);

#endif /* NQD_BURST_H */
