/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the stack hands to a data plane becomes: one packet, the segments of a TSO or USO super-packet,
 * or the fragments of an IPv4 packet, written one by one into the burst with their own lengths, ids,
 * sequence numbers, flags and checksums.
 *
 * Pure functions on buffers; no state but struct dp_segs. In the kernel the packet is an sk_buff:
 * headers are linear, payload may be anywhere.
 */
#ifndef DP_SEGMENT_H
#define DP_SEGMENT_H

#include "inet.h"

#ifdef __KERNEL__
#include <linux/skbuff.h>
#endif

enum dp_seg_kind {
	DP_SEG_PLAIN,
	DP_SEG_FRAGMENT,
	DP_SEG_TCP,		/* from here on super-packets */
	DP_SEG_UDP,
};

struct dp_segs {
	u8 *pkt;		/* in the kernel its headers only */
#ifdef __KERNEL__
	const struct sk_buff *skb; /* set by the caller before dp_segs_next() */
#endif
	u32 len;
	u32 payload_len;	/* behind the headers */
	u32 pos;		/* payload bytes written */
	u32 left;		/* segments to come */
	u16 hdr_len;		/* IP and TCP/UDP headers */
	u16 l4_off;
	u16 gso_size;
	u16 index;
	u8 kind;
	u8 version;
	u64 l4_sum;		/* of header and pseudo header without the fields that vary */
	u64 ip_sum;
};

/*
 * Take one packet as read from the TUN. A checksum the kernel left open is completed in place.
 * 0, or -EINVAL if header and packet do not fit together: the packet is dropped.
 */
int dp_segs_init(struct dp_segs *s, const struct virtio_net_hdr *vh, u8 *pkt, u32 len);

/*
 * Cut a packet into fragments of at most @mtu bytes, as a router does (RFC 791) whose sender has not
 * said otherwise. False, and nothing is changed: it is IPv6, has DF or IP options, or is a
 * super-packet.
 */
bool dp_segs_fragment(struct dp_segs *s, u32 mtu);

/* Bytes of the largest segment. */
static inline u32 dp_segs_max_len(const struct dp_segs *s)
{
	u32 first = s->kind != DP_SEG_PLAIN && s->payload_len > s->gso_size ? s->gso_size :
									      s->payload_len;

	return s->hdr_len + first;
}

#ifdef __KERNEL__
/* The whole packet; a checksum that was left open is completed. */
static inline void dp_segs_copy(const struct dp_segs *s, u8 *out)
{
	u8 *csum;

	if (s->skb->ip_summed != CHECKSUM_PARTIAL) {
		skb_copy_bits(s->skb, 0, out, (int)s->len);
		return;
	}
	skb_copy_and_csum_dev(s->skb, out);
	/* For UDP 0 means "none", for TCP it and 0xffff are the same number. */
	csum = out + skb_checksum_start_offset(s->skb) + s->skb->csum_offset;
	if (!csum[0] && !csum[1])
		memset(csum, 0xff, 2);
}

/* The next @len bytes of payload; returns their sum. */
static inline u64 dp_segs_copy_payload(const struct dp_segs *s, u8 *out, u32 len)
{
	return (__force u32)skb_copy_and_csum_bits(s->skb, s->hdr_len + s->pos, out, len);
}
#else
static inline void dp_segs_copy(const struct dp_segs *s, u8 *out)
{
	memcpy(out, s->pkt, s->len);
}

static inline u64 dp_segs_copy_payload(const struct dp_segs *s, u8 *out, u32 len)
{
	return dp_csum_copy(out, s->pkt + s->hdr_len + s->pos, len);
}
#endif

/* Write the next segment (s->left > 0) at @out, which has room for dp_segs_max_len(). Returns its
 * length.
 */
u32 dp_segs_next(struct dp_segs *s, u8 *out);

/* As dp_segs_next(), but the segment is written nowhere: it is lost. */
void dp_segs_skip(struct dp_segs *s);

/* Mark what is left CE (RFC 3168). False, and nothing is changed: the packet is not ECN-capable. */
bool dp_segs_mark_ce(struct dp_segs *s);

#endif /* DP_SEGMENT_H */
