// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Segmentation and coalescing: a super-packet becomes right packets, packets become a right
 * super-packet, and one undoes the other. Checksums are judged by the naive ones of packets.h.
 */
#include <setjmp.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "coalesce.h"
#include "packets.h"
#include "segment.h"

#define BIG 70000

/* What the kernel hands to a TUN reader: whole packet, pseudo header's sum as checksum. */
static size_t make_super(const struct flow *f, u8 *pkt, size_t n, u16 mss,
			 struct virtio_net_hdr *vh)
{
	size_t len = make_packet(f, pkt, n), l4 = l4_at(pkt);
	u16 pseudo = (f->v6 ? naive_sum(pkt[6] + (u32)(len - l4), pkt + 8, 32)
			    : naive_sum(pkt[9] + (u32)(len - l4), pkt + 12, 8));

	put16(pkt + l4 + (f->udp ? 6 : 16), pseudo);
	*vh = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = f->udp  ? VIRTIO_NET_HDR_GSO_UDP_L4
			    : f->v6 ? VIRTIO_NET_HDR_GSO_TCPV6
				    : VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = headers_len(f),
		.gso_size = mss,
		.csum_start = l4,
		.csum_offset = f->udp ? 6 : 16,
	};
	return len;
}

static void check_segments(const struct flow *f, size_t n, u16 mss)
{
	u8 *pkt = malloc(BIG), *out;
	size_t pos = 0, hdr = headers_len(f), l4, len;
	struct virtio_net_hdr vh;
	struct dp_segs s;
	unsigned int i;

	len = make_super(f, pkt, n, mss, &vh);
	assert_int_equal(dp_segs_init(&s, &vh, pkt, len), 0);
	assert_int_equal(s.left, (n + mss - 1) / mss);
	assert_int_equal(dp_segs_max_len(&s), hdr + (n < mss ? n : mss));
	/* Exactly the promised room. */
	out = malloc(dp_segs_max_len(&s));
	for (i = 0; s.left; i++) {
		size_t part = n - pos < mss ? n - pos : mss;
		bool last = s.left == 1;
		u8 flags = f->flags;

		assert_int_equal(dp_segs_next(&s, out), hdr + part);
		l4 = l4_at(out);
		assert_true(naive_good(out, hdr + part));
		assert_memory_equal(out + hdr, pkt + hdr + pos, part);
		assert_int_equal(f->v6 ? dp_get16(out + 4) + 40 : dp_get16(out + 2), hdr + part);
		if (!f->v6)
			assert_int_equal(dp_get16(out + 4), (u16)(f->id + i));
		if (f->udp) {
			assert_int_equal(dp_get16(out + l4 + 4), 8 + part);
		} else {
			if (i)
				flags &= ~DP_TCP_CWR;
			if (!last)
				flags &= ~(DP_TCP_FIN | DP_TCP_PSH);
			assert_int_equal(dp_get32(out + l4 + 4), (u32)(f->seq + pos));
			assert_int_equal(out[l4 + 13], flags);
			assert_memory_equal(out + l4 + 20, pkt + l4 + 20, f->options);
		}
		pos += part;
	}
	assert_int_equal(pos, n);
	free(out);
	free(pkt);
}

static void super_packets(void **state)
{
	static const size_t sizes[] = { 1, 99, 100, 101, 199, 200, 1360, 2720, 2721, 64000, 65000 };
	static const u16 mss[] = { 1, 2, 99, 100, 1360, 1448, 9000 };
	unsigned int i, j, k;

	for (k = 0; k < 8; k++) {
		struct flow f = { .v6 = k & 1,
				  .udp = k & 2,
				  .seq = 0xffffff00,
				  .id = 0xfff0,
				  .options = k & 4 ? 12 : 0,
				  .flags = DP_TCP_ACK | DP_TCP_PSH | DP_TCP_FIN | DP_TCP_CWR };

		for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
			for (j = 0; j < sizeof(mss) / sizeof(*mss); j++)
				if (mss[j] > 50 || sizes[i] < 300)
					check_segments(&f, sizes[i], mss[j]);
	}
}

static void plain_packets(void **state)
{
	struct flow f = { .udp = true };
	struct virtio_net_hdr vh = { 0 };
	u8 pkt[300], want[300], out[300];
	size_t len = make_packet(&f, want, 101);
	struct dp_segs s;
	u16 pseudo;

	/* Complete already: passes unchanged. */
	memcpy(pkt, want, len);
	assert_int_equal(dp_segs_init(&s, &vh, pkt, len), 0);
	assert_int_equal(s.left, 1);
	assert_int_equal(dp_segs_max_len(&s), len);
	assert_int_equal(dp_segs_next(&s, out), len);
	assert_memory_equal(out, want, len);
	assert_int_equal(s.left, 0);
	/* Left to us: the same packet comes out. */
	pseudo = naive_sum(17 + (u32)(len - 20), pkt + 12, 8);
	put16(pkt + 26, pseudo);
	vh = (struct virtio_net_hdr){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				      .csum_start = 20,
				      .csum_offset = 6 };
	assert_int_equal(dp_segs_init(&s, &vh, pkt, len), 0);
	assert_memory_equal(pkt, want, len);
}

/* Fragments of @mtu bytes put together are the packet; each is a right one of itself. */
static void check_fragments(const u8 *want, size_t len, u16 field, u32 mtu)
{
	struct virtio_net_hdr vh = { 0 };
	u8 pkt[4000], got[4000], *out;
	size_t at = 20;
	struct dp_segs s;
	u32 n;

	memcpy(pkt, want, len);
	put16(pkt + 6, field);
	put16(pkt + 10, 0);
	put16(pkt + 10, ~naive_sum(0, pkt, 20));
	assert_int_equal(dp_segs_init(&s, &vh, pkt, len), 0);
	assert_true(dp_segs_fragment(&s, mtu));
	assert_int_equal(s.left, (len - 20 + (mtu - 20) / 8 * 8 - 1) / ((mtu - 20) / 8 * 8));
	out = malloc(dp_segs_max_len(&s));
	while (s.left) {
		bool last = s.left == 1;
		u16 f;

		n = dp_segs_next(&s, out);
		assert_true(n <= mtu);
		assert_int_equal(naive_sum(0, out, 20), 0xffff);
		assert_int_equal(out[2] << 8 | out[3], n);
		f = out[6] << 8 | out[7];
		assert_int_equal(f & 0x1fff, (field & 0x1fff) + (at - 20) / 8);
		assert_int_equal(f & 0xe000, last ? field & 0x2000 : 0x2000);
		assert_memory_equal(out + 4, pkt + 4, 2);
		memcpy(got + at, out + 20, n - 20);
		at += n - 20;
	}
	assert_int_equal(at, len);
	assert_memory_equal(got + 20, pkt + 20, len - 20);
	free(out);
}

static void fragments(void **state)
{
	static const u32 mtus[] = { 28, 576, 1157, 1280, 1406, 3019, 3020 };
	struct flow f = { .udp = true, .id = 0x4321 }, v6 = { .udp = true, .v6 = true };
	struct virtio_net_hdr vh = { 0 };
	struct dp_segs s;
	u8 pkt[4000];
	unsigned int i;
	size_t len;

	for (i = 0; i < sizeof(mtus) / sizeof(*mtus); i++) {
		len = make_packet(&f, pkt, 2992);
		check_fragments(pkt, len, 0, mtus[i]);
		/* One of several, the last of several. */
		check_fragments(pkt, len, 0x2000 | 100, mtus[i]);
		check_fragments(pkt, len, 100, mtus[i]);
	}
	/* DF; options; a length that is not the packet's; too little room; IPv6. */
	for (i = 0; i < 5; i++) {
		len = make_packet(i == 4 ? &v6 : &f, pkt, 1000);
		if (i == 0)
			put16(pkt + 6, 0x4000);
		if (i == 1)
			pkt[0] = 0x46;
		if (i == 2)
			put16(pkt + 2, len - 1);
		assert_int_equal(dp_segs_init(&s, &vh, pkt, len), 0);
		assert_false(dp_segs_fragment(&s, i == 3 ? 27 : 576));
		assert_int_equal(dp_segs_max_len(&s), len);
	}
}

static void refused_packets(void **state)
{
	struct flow f = { .flags = DP_TCP_ACK, .options = 12 };
	struct virtio_net_hdr good, vh;
	u8 pkt[3000], copy[3000];
	size_t len = make_super(&f, pkt, 2000, 500, &good);
	struct dp_segs s;

#define REFUSED(change)                                                      \
	do {                                                                 \
		vh = good;                                                   \
		memcpy(copy, pkt, len);                                      \
		change;                                                      \
		assert_int_equal(dp_segs_init(&s, &vh, copy, len), -EINVAL); \
	} while (0)
	vh = good;
	assert_int_equal(dp_segs_init(&s, &vh, pkt, len), 0);
	REFUSED(vh.gso_size = 0);
	REFUSED(vh.flags = 0);
	REFUSED(vh.gso_type = VIRTIO_NET_HDR_GSO_TCPV6);
	REFUSED(vh.gso_type = 77);
	REFUSED(vh.csum_start = 24);
	REFUSED(vh.csum_start = 65535);
	REFUSED(copy[0] = 0x55);
	REFUSED(copy[0] = 0x44);
	REFUSED(copy[0] = 0x4f);
	REFUSED(copy[32] = 0x40);
	REFUSED(copy[32] = 0xf0; vh.csum_start = len - 30);
	vh = good;
	assert_int_equal(dp_segs_init(&s, &vh, pkt, 19), -EINVAL);
	assert_int_equal(dp_segs_init(&s, &vh, pkt, 40), -EINVAL);
	assert_int_equal(dp_segs_init(&s, &vh, pkt, 52), -EINVAL); /* headers, no payload */
	vh = (struct virtio_net_hdr){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				      .csum_start = 20,
				      .csum_offset = 65535 };
	assert_int_equal(dp_segs_init(&s, &vh, pkt, len), -EINVAL);
	/* A checksum in the IP header would change what was judged. */
	vh.csum_start = 0;
	vh.csum_offset = 0;
	assert_int_equal(dp_segs_init(&s, &vh, pkt, len), -EINVAL);
	assert_int_equal(pkt[0], 0x45);
}

/* ---- coalescing ---- */

static size_t flatten(struct dp_coalesce *co, struct virtio_net_hdr *vh, u8 *out)
{
	const struct iovec *iov;
	unsigned int n = dp_co_finish(co, &iov), i;
	size_t len = 0;

	assert_int_equal(iov[0].iov_len, sizeof(*vh));
	memcpy(vh, iov[0].iov_base, sizeof(*vh));
	for (i = 1; i < n; i++) {
		memcpy(out + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return len;
}

/* @n packets of @size (the last @last) join, and segmenting the result gives them back. */
static void check_round_trip(struct flow f, unsigned int n, size_t size, size_t last)
{
	u8 *pkts = malloc(n * 1500), *joined = malloc(BIG), out[1500];
	struct dp_coalesce co;
	struct virtio_net_hdr vh;
	size_t lens[64], len;
	struct dp_segs s;
	unsigned int i;

	dp_co_init(&co, true);
	for (i = 0; i < n; i++) {
		size_t payload = i == n - 1 ? last : size;

		lens[i] = make_packet(&f, pkts + i * 1500, payload);
		assert_true(dp_co_add(&co, pkts + i * 1500, lens[i]));
		f.seq += payload;
		f.id++;
	}
	assert_int_equal(co.n, n);
	len = flatten(&co, &vh, joined);
	assert_int_equal(co.n, 0);
	if (n == 1) {
		assert_int_equal(vh.flags, 0);
		assert_memory_equal(joined, pkts, lens[0]);
	} else {
		assert_int_equal(vh.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(vh.gso_size, size);
		assert_int_equal(vh.hdr_len, headers_len(&f));
		if (!f.v6)
			assert_int_equal(naive_sum(0, joined, 20), 0xffff);
		assert_int_equal(dp_segs_init(&s, &vh, joined, len), 0);
		assert_int_equal(s.left, n);
		for (i = 0; i < n; i++) {
			assert_int_equal(dp_segs_next(&s, out), lens[i]);
			assert_memory_equal(out, pkts + i * 1500, lens[i]);
		}
	}
	free(pkts);
	free(joined);
}

static void runs(void **state)
{
	unsigned int k;

	for (k = 0; k < 8; k++) {
		struct flow f = { .v6 = k & 1,
				  .udp = k & 2,
				  .options = k & 4 ? 12 : 0,
				  .seq = 0xfffffff0,
				  .id = 65530,
				  .flags = DP_TCP_ACK };

		check_round_trip(f, 1, 1000, 1000);
		check_round_trip(f, 2, 1000, 1000);
		check_round_trip(f, 2, 1000, 1);
		check_round_trip(f, 44, 1360, 700);
		check_round_trip(f, 64, 900, 900);
	}
}

/* A first packet, then one that differs by @change: must not join. */
static void expect_apart(struct flow f, void (*change)(struct flow *, u8 *pkt, size_t *len))
{
	u8 a[1500], b[1500];
	size_t la = make_packet(&f, a, 500), lb;
	struct dp_coalesce co;

	f.seq += 500;
	f.id++;
	lb = make_packet(&f, b, 500);
	dp_co_init(&co, true);
	assert_true(dp_co_add(&co, a, la));
	change(&f, b, &lb);
	assert_false(dp_co_add(&co, b, lb));
	assert_int_equal(co.n, 1);
}

static void wrong_checksum(struct flow *f, u8 *pkt, size_t *len)
{
	pkt[*len - 1] ^= 1;
}

static void wrong_ip_checksum(struct flow *f, u8 *pkt, size_t *len)
{
	if (f->v6)
		*len = make_packet(f, pkt, 501);
	else
		pkt[11] ^= 1;
}

static void gap(struct flow *f, u8 *pkt, size_t *len)
{
	f->seq++;
	f->id += f->udp;
	f->sport = f->udp ? 5 : 0;
	*len = make_packet(f, pkt, 500);
}

static void longer(struct flow *f, u8 *pkt, size_t *len)
{
	*len = make_packet(f, pkt, 501);
}

static void other_port(struct flow *f, u8 *pkt, size_t *len)
{
	f->sport = 1001;
	*len = make_packet(f, pkt, 500);
}

static void other_tos(struct flow *f, u8 *pkt, size_t *len)
{
	f->tos = 3;
	*len = make_packet(f, pkt, 500);
}

static void reset_flag(struct flow *f, u8 *pkt, size_t *len)
{
	f->flags |= DP_TCP_RST;
	f->sport = f->udp ? 5 : 0;
	*len = make_packet(f, pkt, 500);
}

static void more_options(struct flow *f, u8 *pkt, size_t *len)
{
	f->options += 4;
	f->sport = f->udp ? 5 : 0;
	*len = make_packet(f, pkt, 500);
}

static void other_family(struct flow *f, u8 *pkt, size_t *len)
{
	f->v6 = !f->v6;
	*len = make_packet(f, pkt, 500);
}

static void no_payload(struct flow *f, u8 *pkt, size_t *len)
{
	*len = make_packet(f, pkt, 0);
}

static void what_stays_apart(void **state)
{
	static void (*const changes[])(struct flow *, u8 *, size_t *) = {
		wrong_checksum, wrong_ip_checksum, gap,		 longer,       other_port,
		other_tos,	reset_flag,	   more_options, other_family, no_payload,
	};
	unsigned int i, k;

	for (k = 0; k < 4; k++) {
		struct flow f = { .v6 = k & 1, .udp = k & 2, .seq = 1000, .flags = DP_TCP_ACK };

		for (i = 0; i < sizeof(changes) / sizeof(*changes); i++)
			expect_apart(f, changes[i]);
	}
}

/* A damaged packet never joins, neither as the first of a run, and leaves as it came. */
static void damage_is_not_laundered(void **state)
{
	struct flow f = { .seq = 1, .flags = DP_TCP_ACK };
	u8 a[1500], b[1500], out[1500], want[1500];
	struct virtio_net_hdr vh;
	struct dp_coalesce co;
	size_t la = make_packet(&f, a, 500), lb;

	a[100] ^= 4;
	memcpy(want, a, la);
	f.seq += 500;
	f.id++;
	lb = make_packet(&f, b, 500);
	dp_co_init(&co, true);
	assert_true(dp_co_add(&co, a, la));
	assert_false(dp_co_add(&co, b, lb));
	assert_int_equal(flatten(&co, &vh, out), la);
	assert_memory_equal(out, want, la);
	assert_int_equal(vh.flags, 0);
	assert_int_equal(vh.gso_type, 0);
}

static void runs_end(void **state)
{
	struct flow f = { .seq = 1, .flags = DP_TCP_ACK };
	u8 a[1500], b[1500], c[1500], out[3000];
	struct virtio_net_hdr vh;
	struct dp_coalesce co;
	size_t la = make_packet(&f, a, 500), lb, lc;

	f.seq += 500;
	f.id++;
	f.flags |= DP_TCP_PSH;
	lb = make_packet(&f, b, 500);
	f.seq += 500;
	f.id++;
	f.flags = DP_TCP_ACK;
	lc = make_packet(&f, c, 500);
	dp_co_init(&co, true);
	assert_true(dp_co_add(&co, a, la));
	assert_true(dp_co_add(&co, b, lb));
	assert_false(dp_co_add(&co, c, lc)); /* behind a PSH */
	flatten(&co, &vh, out);
	assert_int_equal(out[33], DP_TCP_ACK | DP_TCP_PSH);
	/* UDP only where the kernel takes it. */
	f.udp = true;
	la = make_packet(&f, a, 500);
	f.id++;
	lb = make_packet(&f, b, 500);
	dp_co_init(&co, false);
	assert_true(dp_co_add(&co, a, la));
	assert_false(dp_co_add(&co, b, lb));
	/* No checksum: must not get one. */
	dp_co_init(&co, true);
	memset(a + 26, 0, 2);
	assert_true(dp_co_add(&co, a, la));
	assert_false(dp_co_add(&co, b, lb));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(super_packets),
		cmocka_unit_test(plain_packets),
		cmocka_unit_test(fragments),
		cmocka_unit_test(refused_packets),
		cmocka_unit_test(runs),
		cmocka_unit_test(what_stays_apart),
		cmocka_unit_test(damage_is_not_laundered),
		cmocka_unit_test(runs_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
