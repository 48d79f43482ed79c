// SPDX-License-Identifier: GPL-2.0-or-later
/* Receive coalescing without copies: see coalesce.h. Called by rx.c. */
#include "coalesce.h"

#define NEVER_TCP_FLAGS (DP_TCP_SYN | DP_TCP_RST | DP_TCP_URG | DP_TCP_CWR)
#define END_TCP_FLAGS (DP_TCP_FIN | DP_TCP_PSH)

bool dp_inner_sane(const u8 *pkt, u32 len)
{
	u32 ihl;

	if (len < DP_IP4_HDR_LEN)
		return false;
	if (pkt[0] >> 4 == 6)
		return len >= DP_IP6_HDR_LEN && dp_get16(pkt + 4) == len - DP_IP6_HDR_LEN;
	ihl = (pkt[0] & 15) * 4;
	return pkt[0] >> 4 == 4 && ihl >= DP_IP4_HDR_LEN && ihl <= len && dp_get16(pkt + 2) == len;
}

void dp_co_init(struct dp_coalesce *co, bool allow_udp)
{
	memset(&co->vnet, 0, sizeof(co->vnet));
	co->n = 0;
	co->allow_udp = allow_udp;
}

/* Offset of layer 4 in a packet that may be coalesced, 0 otherwise; *proto is set. */
static u32 l4_offset(const u8 *pkt, u32 len, u8 *proto)
{
	if (pkt[0] >> 4 == 4) {
		/* No options, no fragment. */
		if (pkt[0] != 0x45 || dp_get16(pkt + 6) & ~DP_IP4_DF)
			return 0;
		*proto = pkt[9];
		return DP_IP4_HDR_LEN;
	}
	if (len < DP_IP6_HDR_LEN)
		return 0;
	*proto = pkt[6];
	return DP_IP6_HDR_LEN;
}

/* Length of all headers if it is a data packet that can be part of a run, 0 otherwise. */
static u32 headers_len(const struct dp_coalesce *co, const u8 *pkt, u32 len, u32 l4, u8 proto)
{
	u32 hdr;

	if (proto == IPPROTO_TCP && len >= l4 + DP_TCP_HDR_LEN) {
		hdr = l4 + (pkt[l4 + 12] >> 4) * 4;
		if (hdr < l4 + DP_TCP_HDR_LEN || hdr >= len || pkt[l4 + 13] & NEVER_TCP_FLAGS ||
		    !(pkt[l4 + 13] & DP_TCP_ACK))
			return 0;
		return hdr;
	}
	if (proto == IPPROTO_UDP && co->allow_udp && len > l4 + DP_UDP_HDR_LEN) {
		/* A UDP packet without checksum would get one. */
		if (dp_get16(pkt + l4 + 4) != len - l4 || !dp_get16(pkt + l4 + 6))
			return 0;
		return l4 + DP_UDP_HDR_LEN;
	}
	return 0;
}

/* Right IP and TCP or UDP checksums? */
static bool checksums_good(const u8 *pkt, u32 len, u32 l4, u8 proto)
{
	if (l4 == DP_IP4_HDR_LEN && dp_csum_fold(dp_csum_words(pkt, l4)) != 0xffff)
		return false;
	return dp_csum_fold(dp_csum_pseudo(pkt, proto, len - l4) + dp_csum(pkt + l4, len - l4)) ==
	       0xffff;
}

static void start(struct dp_coalesce *co, u8 *pkt, u32 len)
{
	u8 proto = 0;
	u32 l4 = l4_offset(pkt, len, &proto);
	u32 hdr = l4 ? headers_len(co, pkt, len, l4, proto) : 0;

	co->n = 1;
	co->first = pkt;
	co->first_len = len;
	co->iov[1] = (struct dp_iovec){ pkt, len };
	co->proto = hdr ? proto : 0;
	co->closed = !hdr || (proto == IPPROTO_TCP && pkt[l4 + 13] & END_TCP_FLAGS);
	if (co->closed)
		return;
	co->verified = false;
	co->l4_off = l4;
	co->hdr_len = hdr;
	co->seg_len = len - hdr;
	co->payload_len = len - hdr;
	if (proto == IPPROTO_TCP)
		co->next_seq = dp_get32(pkt + l4 + 4) + co->seg_len;
	if (l4 == DP_IP4_HDR_LEN)
		co->next_id = dp_get16(pkt + 4) + 1;
}

/* Same flow, same header but for length, id, checksum and sequence number. */
static bool same_ip(const struct dp_coalesce *co, const u8 *pkt)
{
	const u8 *f = co->first;

	if (co->l4_off == DP_IP6_HDR_LEN)
		return !memcmp(f, pkt, 4) && !memcmp(f + 6, pkt + 6, 34);
	if (memcmp(f, pkt, 2) || memcmp(f + 6, pkt + 6, 4) || memcmp(f + 12, pkt + 12, 8))
		return false;
	return dp_get16(pkt + 4) == co->next_id || dp_get16(f + 6) & DP_IP4_DF;
}

static bool same_l4(const struct dp_coalesce *co, const u8 *pkt)
{
	const u8 *f = co->first + co->l4_off, *p = pkt + co->l4_off;

	if (co->proto == IPPROTO_UDP)
		return !memcmp(f, p, 4);
	/* Ports; acknowledgement and header length; flags; window; urgent pointer and options. */
	return !memcmp(f, p, 4) && dp_get32(p + 4) == co->next_seq && !memcmp(f + 8, p + 8, 4) &&
	       f[12] == p[12] && !((f[13] ^ p[13]) & ~END_TCP_FLAGS) &&
	       !memcmp(f + 14, p + 14, 2) && !memcmp(f + 18, p + 18, co->hdr_len - co->l4_off - 18);
}

static bool continues(struct dp_coalesce *co, const u8 *pkt, u32 len)
{
	u8 proto = 0;

	if (co->closed || co->n == DP_CO_MAX_SEGS || pkt[0] >> 4 != co->first[0] >> 4 ||
	    len <= co->hdr_len || len - co->hdr_len > co->seg_len ||
	    co->payload_len + len > DP_IP_MAX_BYTES)
		return false;
	if (l4_offset(pkt, len, &proto) != co->l4_off || proto != co->proto ||
	    headers_len(co, pkt, len, co->l4_off, proto) != co->hdr_len)
		return false;
	if (!same_ip(co, pkt) || !same_l4(co, pkt))
		return false;
	if (!co->verified && !checksums_good(co->first, co->first_len, co->l4_off, co->proto))
		return false;
	co->verified = true;
	return checksums_good(pkt, len, co->l4_off, co->proto);
}

bool dp_co_add(struct dp_coalesce *co, u8 *pkt, u32 len)
{
	u32 payload;

	if (!co->n) {
		start(co, pkt, len);
		return true;
	}
	if (!continues(co, pkt, len))
		return false;
	if (co->n == 1) {
		memcpy(co->hdr, co->first, co->hdr_len);
		co->iov[1] = (struct dp_iovec){ co->hdr, co->hdr_len };
		co->iov[2] = (struct dp_iovec){ (u8 *)co->first + co->hdr_len, co->seg_len };
	}
	payload = len - co->hdr_len;
	co->iov[co->n + 2] = (struct dp_iovec){ pkt + co->hdr_len, payload };
	co->n++;
	co->payload_len += payload;
	co->next_seq += payload;
	co->next_id++;
	if (payload < co->seg_len)
		co->closed = true;
	if (co->proto == IPPROTO_TCP && pkt[co->l4_off + 13] & END_TCP_FLAGS) {
		co->hdr[co->l4_off + 13] |= pkt[co->l4_off + 13];
		co->closed = true;
	}
	return true;
}

/* The header of the super-packet: whole lengths, pseudo header's sum in the checksum field. */
static void finish_headers(struct dp_coalesce *co)
{
	u32 len = co->hdr_len + co->payload_len;
	u8 *l4 = co->hdr + co->l4_off;
	u16 pseudo = dp_csum_fold(dp_csum_pseudo(co->hdr, co->proto, len - co->l4_off));
	bool v4 = co->l4_off == DP_IP4_HDR_LEN;

	if (v4) {
		dp_put16(co->hdr + 2, len);
		memset(co->hdr + 10, 0, 2);
		dp_put_csum(co->hdr + 10, dp_csum_words(co->hdr, DP_IP4_HDR_LEN));
	} else {
		dp_put16(co->hdr + 4, len - DP_IP6_HDR_LEN);
	}
	co->vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	co->vnet.hdr_len = co->hdr_len;
	co->vnet.gso_size = co->seg_len;
	co->vnet.csum_start = co->l4_off;
	if (co->proto == IPPROTO_TCP) {
		co->vnet.gso_type = v4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
		co->vnet.csum_offset = 16;
		memcpy(l4 + 16, &pseudo, 2);
	} else {
		co->vnet.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
		co->vnet.csum_offset = 6;
		dp_put16(l4 + 4, len - co->l4_off);
		memcpy(l4 + 6, &pseudo, 2);
	}
}

unsigned int dp_co_finish(struct dp_coalesce *co, const struct dp_iovec **iov)
{
	unsigned int n = co->n == 1 ? 2 : co->n + 2;

	memset(&co->vnet, 0, sizeof(co->vnet));
	if (co->n > 1)
		finish_headers(co);
	co->iov[0] = (struct dp_iovec){ &co->vnet, DP_VNET_HDR_LEN };
	co->n = 0;
	*iov = co->iov;
	return n;
}
