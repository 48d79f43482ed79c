// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Segmentation in software: see segment.h. The kernel's own rules are followed (net/ipv4/
 * tcp_offload.c): IPv4 ids count up, CWR stays on the first segment, FIN and PSH on the last.
 *
 * The parts of each checksum that are the same in all segments are summed once; a segment then
 * costs one pass over its payload, which is the copy into the burst.
 */
#include "segment.h"

/* Complete a partial checksum: the field holds the pseudo header's sum. */
static int complete_csum(const struct virtio_net_hdr *vh, u8 *pkt, u32 len)
{
	u32 at = (u32)vh->csum_start + vh->csum_offset;
	u16 v;

	/* Not over what has been looked at already. */
	if (at + 2 > len || vh->csum_start >= len || vh->csum_start < DP_IP4_HDR_LEN)
		return -EINVAL;
	v = ~dp_csum_fold(dp_csum(pkt + vh->csum_start, len - vh->csum_start));
	/* Right for UDP, and for TCP 0 and 0xffff are the same number. */
	if (!v)
		v = 0xffff;
	memcpy(pkt + at, &v, 2);
	return 0;
}

/* What all segments of a super-packet have in common of the IPv4 header. */
static u64 common_ip_sum(const u8 *pkt, u32 hdr_len)
{
	u8 hdr[60];

	memcpy(hdr, pkt, hdr_len);
	memset(hdr + 2, 0, 4); /* length, id */
	memset(hdr + 10, 0, 2); /* checksum */
	return dp_csum_words(hdr, hdr_len);
}

/* What all fragments have: the id is theirs too. */
static u64 fragment_ip_sum(const u8 *pkt)
{
	u8 hdr[DP_IP4_HDR_LEN];

	memcpy(hdr, pkt, sizeof(hdr));
	memset(hdr + 2, 0, 2); /* length */
	memset(hdr + 6, 0, 2); /* flags and offset */
	memset(hdr + 10, 0, 2); /* checksum */
	return dp_csum_words(hdr, sizeof(hdr));
}

static int init_ip(struct dp_segs *s)
{
	if (s->version == 6)
		return s->l4_off < DP_IP6_HDR_LEN ? -EINVAL : 0;
	if (s->l4_off != (s->pkt[0] & 15) * 4 || s->l4_off < DP_IP4_HDR_LEN)
		return -EINVAL;
	s->ip_sum = common_ip_sum(s->pkt, s->l4_off);
	return 0;
}

static int init_tcp(struct dp_segs *s)
{
	const u8 *tcp = s->pkt + s->l4_off;
	u8 hdr[60];
	u32 len;

	if (s->l4_off + DP_TCP_HDR_LEN > s->len)
		return -EINVAL;
	len = (tcp[12] >> 4) * 4;
	if (len < DP_TCP_HDR_LEN || s->l4_off + len > s->len)
		return -EINVAL;
	s->hdr_len = s->l4_off + len;
	memcpy(hdr, tcp, len);
	memset(hdr + 4, 0, 4); /* sequence number */
	hdr[13] = 0; /* flags */
	memset(hdr + 16, 0, 2); /* checksum */
	s->l4_sum = dp_csum_words(hdr, len) + dp_csum_pseudo(s->pkt, IPPROTO_TCP, 0);
	return 0;
}

static int init_udp(struct dp_segs *s)
{
	if (s->l4_off + DP_UDP_HDR_LEN > s->len)
		return -EINVAL;
	s->hdr_len = s->l4_off + DP_UDP_HDR_LEN;
	s->l4_sum = dp_csum_words(s->pkt + s->l4_off, 4) + dp_csum_pseudo(s->pkt, IPPROTO_UDP, 0);
	return 0;
}

static int init_gso(struct dp_segs *s, const struct virtio_net_hdr *vh)
{
	u8 type = vh->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
	int err;

	/* A super-packet always leaves its checksum to us, and that says where layer 4 begins. */
	if (!(vh->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || !vh->gso_size)
		return -EINVAL;
	if (type == VIRTIO_NET_HDR_GSO_UDP_L4)
		s->kind = DP_SEG_UDP;
	else if ((type == VIRTIO_NET_HDR_GSO_TCPV4 && s->version == 4) ||
		 (type == VIRTIO_NET_HDR_GSO_TCPV6 && s->version == 6))
		s->kind = DP_SEG_TCP;
	else
		return -EINVAL;
	s->l4_off = vh->csum_start;
	s->gso_size = vh->gso_size;
	if (s->l4_off >= s->len)
		return -EINVAL;
	err = init_ip(s);
	if (!err)
		err = s->kind == DP_SEG_TCP ? init_tcp(s) : init_udp(s);
	if (err)
		return err;
	s->payload_len = s->len - s->hdr_len;
	if (!s->payload_len)
		return -EINVAL;
	s->left = (s->payload_len + s->gso_size - 1) / s->gso_size;
	return 0;
}

int dp_segs_init(struct dp_segs *s, const struct virtio_net_hdr *vh, u8 *pkt, u32 len)
{
	*s = (struct dp_segs){ .pkt = pkt, .len = len };
	if (len < DP_IP4_HDR_LEN || len > DP_IP_MAX_BYTES + DP_IP6_HDR_LEN)
		return -EINVAL;
	s->version = pkt[0] >> 4;
	if (s->version != 4 && (s->version != 6 || len < DP_IP6_HDR_LEN))
		return -EINVAL;
	if (vh->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return init_gso(s, vh);
	if (vh->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && complete_csum(vh, pkt, len))
		return -EINVAL;
	s->payload_len = len;
	s->left = 1;
	return 0;
}

bool dp_segs_fragment(struct dp_segs *s, u32 mtu)
{
	if (s->kind != DP_SEG_PLAIN || s->version != 4 || (s->pkt[0] & 15) * 4 != DP_IP4_HDR_LEN ||
	    dp_get16(s->pkt + 6) & DP_IP4_DF || dp_get16(s->pkt + 2) != s->len ||
	    mtu < DP_IP4_HDR_LEN + 8)
		return false;
	s->ip_sum = fragment_ip_sum(s->pkt);
	s->kind = DP_SEG_FRAGMENT;
	s->hdr_len = DP_IP4_HDR_LEN;
	s->payload_len = s->len - DP_IP4_HDR_LEN;
	s->gso_size = (mtu - DP_IP4_HDR_LEN) & ~7u;
	s->left = (s->payload_len + s->gso_size - 1) / s->gso_size;
	return true;
}

static void write_fragment(const struct dp_segs *s, u8 *out, u32 len, bool last)
{
	u16 field = dp_get16(s->pkt + 6);

	/* What is itself a fragment keeps its place, and is followed by others if it was. */
	field = (field & DP_IP4_OFFSET) + s->pos / 8 + (last ? field & DP_IP4_MF : DP_IP4_MF);
	dp_put16(out + 2, len);
	dp_put16(out + 6, field);
	dp_put_csum(out + 10, s->ip_sum + htons(len) + htons(field));
}

static void write_ip(const struct dp_segs *s, u8 *out, u32 len)
{
	u16 id;

	if (s->version == 6) {
		dp_put16(out + 4, len - DP_IP6_HDR_LEN);
		return;
	}
	id = dp_get16(s->pkt + 4) + s->index;
	dp_put16(out + 2, len);
	dp_put16(out + 4, id);
	dp_put_csum(out + 10, s->ip_sum + htons(len) + htons(id));
}

static void write_tcp(const struct dp_segs *s, u8 *out, u64 payload_sum, u32 l4_len, bool last)
{
	const u8 *from = s->pkt + s->l4_off;
	u8 *tcp = out + s->l4_off;
	u32 seq = dp_get32(from + 4) + s->pos;
	u8 flags = from[13];

	if (s->index)
		flags &= ~DP_TCP_CWR;
	if (!last)
		flags &= ~(DP_TCP_FIN | DP_TCP_PSH);
	dp_put32(tcp + 4, seq);
	tcp[13] = flags;
	dp_put_csum(tcp + 16, s->l4_sum + htonl(seq) + htons(flags) + htonl(l4_len) + payload_sum);
}

static void write_udp(const struct dp_segs *s, u8 *out, u64 payload_sum, u32 l4_len)
{
	u8 *udp = out + s->l4_off;

	dp_put16(udp + 4, l4_len);
	/* The length counts twice: in the header and in the pseudo header. */
	dp_put_udp_csum(udp + 6, s->l4_sum + htons(l4_len) + htonl(l4_len) + payload_sum);
}

/* Bytes of payload in the next segment. */
static u32 next_payload(const struct dp_segs *s)
{
	u32 n = s->payload_len - s->pos;

	return n > s->gso_size ? s->gso_size : n;
}

static void advance(struct dp_segs *s, u32 payload)
{
	s->pos += payload;
	s->index++;
	s->left--;
}

void dp_segs_skip(struct dp_segs *s)
{
	if (s->kind == DP_SEG_PLAIN)
		s->left = 0;
	else
		advance(s, next_payload(s));
}

bool dp_segs_mark_ce(struct dp_segs *s)
{
	u32 ihl = (s->pkt[0] & 15) * 4;

	if (s->version == 4 && (ihl < DP_IP4_HDR_LEN || ihl > s->len))
		return false;
	if (!dp_mark_ce(s->pkt))
		return false;
	if (s->version == 4 && s->kind == DP_SEG_FRAGMENT)
		s->ip_sum = fragment_ip_sum(s->pkt);
	else if (s->version == 4 && s->kind != DP_SEG_PLAIN)
		s->ip_sum = common_ip_sum(s->pkt, s->l4_off);
	return true;
}

u32 dp_segs_next(struct dp_segs *s, u8 *out)
{
	u32 n = next_payload(s);
	bool last = s->left == 1;
	u64 sum;

	if (s->kind == DP_SEG_PLAIN) {
		dp_segs_copy(s, out);
		s->left = 0;
		return s->len;
	}
	memcpy(out, s->pkt, s->hdr_len);
	sum = dp_segs_copy_payload(s, out + s->hdr_len, n);
	if (s->kind == DP_SEG_FRAGMENT)
		write_fragment(s, out, s->hdr_len + n, last);
	else
		write_ip(s, out, s->hdr_len + n);
	if (s->kind == DP_SEG_TCP)
		write_tcp(s, out, sum, s->hdr_len - s->l4_off + n, last);
	else if (s->kind == DP_SEG_UDP)
		write_udp(s, out, sum, DP_UDP_HDR_LEN + n);
	advance(s, n);
	return s->hdr_len + n;
}
