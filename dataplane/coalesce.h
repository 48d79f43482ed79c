/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way back: consecutive packets of one flow become one super-packet for one write to the TUN.
 * Payload is not copied; the result is an array of pieces that point into the packets.
 *
 * Order is kept: a packet that does not continue the run ends it. A run has the packets it was
 * given and nothing else: if the kernel segments the super-packet again, the same bytes come out
 * (IPv4 ids of DF packets aside).
 *
 * Checksums: a super-packet goes to the kernel as NEEDS_CSUM, that is "trusted, fill in when it
 * leaves". A wrong inner checksum must not become a right one on the way, whether the peer forged
 * it or a wire behind the peer damaged the packet: so every packet's own checksum is verified, over
 * all its bytes, before it joins a run. A packet that fails travels alone and unchanged, without
 * any flag, and the kernel that receives it judges it. So does every packet that stays alone.
 */
#ifndef DP_COALESCE_H
#define DP_COALESCE_H

#ifdef __KERNEL__
#include <linux/uio.h>
#define dp_iovec kvec
#else
#include <sys/uio.h>
#define dp_iovec iovec
#endif

#include "inet.h"

#define DP_CO_MAX_SEGS	64

struct dp_coalesce {
	struct virtio_net_hdr vnet;
	u8 hdr[DP_HDR_MAX_LEN];
	struct dp_iovec iov[DP_CO_MAX_SEGS + 2];
	const u8 *first;
	u32 first_len;
	u32 payload_len;	/* of all */
	u32 next_seq;
	u16 next_id;
	u16 hdr_len;
	u16 l4_off;
	u16 seg_len;		/* payload of every packet but the last */
	u8 n;			/* packets in the run; 0 = empty */
	u8 proto;		/* IPPROTO_TCP, IPPROTO_UDP; 0 = does not coalesce */
	bool closed;		/* takes no more */
	bool verified;		/* the first packet's checksum was checked */
	bool allow_udp;		/* the kernel takes GSO_UDP_L4 */
};

/* Version and lengths of an inner packet; it must fill its datagram. */
bool dp_inner_sane(const u8 *pkt, u32 len);

void dp_co_init(struct dp_coalesce *co, bool allow_udp);

/* Add a packet (dp_inner_sane(); stays valid until flushed). False: flush, then add. */
bool dp_co_add(struct dp_coalesce *co, u8 *pkt, u32 len);

/* The run (co->n > 0) as pieces for one writev(), the virtio header first; empties it. */
unsigned int dp_co_finish(struct dp_coalesce *co, const struct dp_iovec **iov);

#endif /* DP_COALESCE_H */
