// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ICMP (RFC 792, 1191) and ICMPv6 (RFC 4443) "too big". The error seems to come from the packet's
 * own destination: the data plane does not know the addresses of the device, and the receiver only
 * looks at the quoted packet.
 */
#include "icmp.h"

#define ICMP4_QUOTE 548
#define IP4_TTL 64

static u32 too_big_4(const u8 *pkt, u32 len, u32 mtu, u8 *out)
{
	u32 ihl = (pkt[0] & 15) * 4, quote = len < ICMP4_QUOTE ? len : ICMP4_QUOTE;
	u8 *icmp = out + DP_IP4_HDR_LEN;

	if (ihl < DP_IP4_HDR_LEN || len < ihl + 8 || dp_get16(pkt + 6) & DP_IP4_OFFSET ||
	    pkt[12] >= 224 || !dp_get32(pkt + 12) || pkt[16] >= 224)
		return 0;
	/* Only queries are answered, not errors. */
	if (pkt[9] == IPPROTO_ICMP && pkt[ihl] != 8 && pkt[ihl] != 0)
		return 0;
	memset(out, 0, DP_IP4_HDR_LEN + 8);
	out[0] = 0x45;
	dp_put16(out + 2, DP_IP4_HDR_LEN + 8 + quote);
	out[8] = IP4_TTL;
	out[9] = IPPROTO_ICMP;
	memcpy(out + 12, pkt + 16, 4);
	memcpy(out + 16, pkt + 12, 4);
	dp_put_csum(out + 10, dp_csum_portable(out, DP_IP4_HDR_LEN));
	icmp[0] = 3;
	icmp[1] = 4;
	dp_put16(icmp + 6, mtu);
	memcpy(icmp + 8, pkt, quote);
	dp_put_csum(icmp + 2, dp_csum_portable(icmp, 8 + quote));
	return DP_IP4_HDR_LEN + 8 + quote;
}

static u32 too_big_6(const u8 *pkt, u32 len, u32 mtu, u8 *out)
{
	u32 quote = DP_ICMP_MAX_LEN - DP_IP6_HDR_LEN - 8;
	u8 *icmp = out + DP_IP6_HDR_LEN;
	static const u8 none[16];

	if (len < DP_IP6_HDR_LEN + 8 || pkt[8] == 0xff || !memcmp(pkt + 8, none, 16))
		return 0;
	if (pkt[6] == IPPROTO_ICMPV6 && pkt[DP_IP6_HDR_LEN] < 128)
		return 0;
	if (quote > len)
		quote = len;
	memset(out, 0, DP_IP6_HDR_LEN + 8);
	out[0] = 0x60;
	dp_put16(out + 4, 8 + quote);
	out[6] = IPPROTO_ICMPV6;
	out[7] = IP4_TTL;
	/* A multicast destination cannot be a source: answer as the sender's own host. */
	memcpy(out + 8, pkt[24] == 0xff ? pkt + 8 : pkt + 24, 16);
	memcpy(out + 24, pkt + 8, 16);
	icmp[0] = 2;
	dp_put32(icmp + 4, mtu);
	memcpy(icmp + 8, pkt, quote);
	dp_put_csum(icmp + 2, dp_csum_pseudo(out, IPPROTO_ICMPV6, 8 + quote) +
				      dp_csum_portable(icmp, 8 + quote));
	return DP_IP6_HDR_LEN + 8 + quote;
}

u32 dp_icmp_too_big(const u8 *pkt, u32 len, u32 mtu, u8 *out)
{
	return pkt[0] >> 4 == 4 ? too_big_4(pkt, len, mtu, out) : too_big_6(pkt, len, mtu, out);
}
