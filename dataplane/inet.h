/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Offsets and accessors of the inner headers, and the virtio header in front of them. Packets stand
 * at any alignment, so fields are read and written by memcpy.
 */
#ifndef DP_INET_H
#define DP_INET_H

#ifdef __KERNEL__
#include <linux/in.h>
#include <linux/virtio_net.h>
#include <asm/byteorder.h>
#else
#include <arpa/inet.h>
#include <linux/virtio_net.h>
#endif

#include "checksum.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define DP_VNET_HDR_LEN		sizeof(struct virtio_net_hdr)
#define DP_IP_MAX_BYTES		65535
#define DP_IP4_HDR_LEN		20
#define DP_IP6_HDR_LEN		40
#define DP_UDP_HDR_LEN		8
#define DP_TCP_HDR_LEN		20
/* IPv4 or IPv6 without extension headers, and TCP, with all their options. */
#define DP_HDR_MAX_LEN		120

#define DP_TCP_FIN		0x01
#define DP_TCP_SYN		0x02
#define DP_TCP_RST		0x04
#define DP_TCP_PSH		0x08
#define DP_TCP_ACK		0x10
#define DP_TCP_URG		0x20
#define DP_TCP_ECE		0x40
#define DP_TCP_CWR		0x80

#define DP_IP4_DF		0x4000
#define DP_IP4_MF		0x2000
#define DP_IP4_OFFSET		0x1fff	/* in units of 8 bytes */

#define DP_ECN_MASK		3
#define DP_ECN_CE		3

static inline u16 dp_get16(const u8 *p)
{
	return (u16)(p[0] << 8 | p[1]);
}

static inline u32 dp_get32(const u8 *p)
{
	return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

static inline void dp_put16(u8 *p, u16 v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static inline void dp_put32(u8 *p, u32 v)
{
	p[0] = v >> 24;
	p[1] = v >> 16;
	p[2] = v >> 8;
	p[3] = v;
}

/* Write a folded sum, complemented, as a checksum field. */
static inline void dp_put_csum(u8 *p, u64 sum)
{
	u16 v = ~dp_csum_fold(sum);

	memcpy(p, &v, 2);
}

/* As above for UDP, where 0 means "none". */
static inline void dp_put_udp_csum(u8 *p, u64 sum)
{
	u16 v = ~dp_csum_fold(sum);

	if (!v)
		v = 0xffff;
	memcpy(p, &v, 2);
}

/* Addresses, protocol and length of the pseudo header. */
static inline u64 dp_csum_pseudo(const u8 *pkt, u8 proto, u32 l4_len)
{
	u64 sum = pkt[0] >> 4 == 4 ? dp_csum_words(pkt + 12, 8) : dp_csum_words(pkt + 8, 32);

	return sum + htons(proto) + htonl(l4_len);
}

/* Mark an IP packet CE; its IPv4 checksum follows. False, and nothing is changed: not ECN-capable. */
static inline bool dp_mark_ce(u8 *pkt)
{
	bool v4 = pkt[0] >> 4 == 4;
	u8 shift = v4 ? 0 : 4;

	if (!(pkt[1] >> shift & DP_ECN_MASK))
		return false;
	pkt[1] |= DP_ECN_CE << shift;
	if (v4) {
		memset(pkt + 10, 0, 2);
		dp_put_csum(pkt + 10, dp_csum_words(pkt, (pkt[0] & 15) * 4));
	}
	return true;
}

#endif /* DP_INET_H */
