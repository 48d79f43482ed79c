/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets for the tests of segmentation and coalescing, and checksums the slow and obvious way:
 * byte by byte in network order, sharing no code with the data plane.
 */
#ifndef PACKETS_H
#define PACKETS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct flow {
	bool v6, udp;
	uint32_t seq;
	uint16_t id;
	uint8_t flags, tos;
	uint8_t options; /* bytes of TCP options, multiple of 4 */
	uint16_t sport;
};

static inline uint16_t naive_sum(uint32_t sum, const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static inline size_t l4_at(const uint8_t *pkt)
{
	return pkt[0] >> 4 == 4 ? (pkt[0] & 15) * 4 : 40;
}

/* The sum over pseudo header and layer 4, checksum included: 0xffff if it is right. */
static inline uint16_t naive_l4_sum(const uint8_t *pkt, size_t len)
{
	bool v4 = pkt[0] >> 4 == 4;
	size_t l4 = l4_at(pkt);
	uint32_t sum = (v4 ? pkt[9] : pkt[6]) + (uint32_t)(len - l4);

	sum += v4 ? naive_sum(0, pkt + 12, 8) : naive_sum(0, pkt + 8, 32);
	return naive_sum(sum, pkt + l4, len - l4);
}

static inline bool naive_good(const uint8_t *pkt, size_t len)
{
	if (pkt[0] >> 4 == 4 && naive_sum(0, pkt, l4_at(pkt)) != 0xffff)
		return false;
	return naive_l4_sum(pkt, len) == 0xffff;
}

static inline void put16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static inline size_t headers_len(const struct flow *f)
{
	return (f->v6 ? 40 : 20) + (f->udp ? 8 : 20 + f->options);
}

/* One packet of @f with @n bytes of payload that depend on the sequence number; its length. */
static inline size_t make_packet(const struct flow *f, uint8_t *pkt, size_t n)
{
	size_t l4 = f->v6 ? 40 : 20, len = headers_len(f) + n, i;
	uint8_t *t = pkt + l4;

	memset(pkt, 0, headers_len(f));
	if (f->v6) {
		pkt[0] = 0x60 | f->tos >> 4;
		pkt[1] = f->tos << 4;
		put16(pkt + 4, len - 40);
		pkt[6] = f->udp ? 17 : 6;
		pkt[7] = 64;
		for (i = 8; i < 40; i++)
			pkt[i] = i < 24 ? 0x20 : 0x30;
	} else {
		pkt[0] = 0x45;
		pkt[1] = f->tos;
		put16(pkt + 2, len);
		put16(pkt + 4, f->id);
		pkt[8] = 64;
		pkt[9] = f->udp ? 17 : 6;
		memcpy(pkt + 12, "\x0a\x01\x00\x01\x0a\x01\x00\x02", 8);
		put16(pkt + 10, ~naive_sum(0, pkt, 20));
	}
	put16(t, f->sport ? f->sport : 1000);
	put16(t + 2, 2000);
	if (f->udp) {
		put16(t + 4, 8 + n);
	} else {
		put16(t + 4, f->seq >> 16);
		put16(t + 6, f->seq);
		put16(t + 10, 77);
		t[12] = (5 + f->options / 4) << 4;
		t[13] = f->flags;
		put16(t + 14, 512);
		memset(t + 20, 1, f->options);
	}
	for (i = 0; i < n; i++)
		pkt[headers_len(f) + i] = (f->seq + i) * 7 + 3;
	put16(t + (f->udp ? 6 : 16), ~naive_l4_sum(pkt, len));
	return len;
}

/* A UDP packet from 10.7.0.@from to 10.7.0.@to:2000; its length. */
static inline uint32_t udp_packet(uint8_t *pkt, uint8_t from, uint8_t to, uint32_t payload)
{
	struct flow f = { .udp = true, .seq = from };
	uint32_t len = make_packet(&f, pkt, payload);

	memcpy(pkt + 12, (uint8_t[]){ 10, 7, 0, from, 10, 7, 0, to }, 8);
	memset(pkt + 10, 0, 2);
	put16(pkt + 10, ~naive_sum(0, pkt, 20));
	memset(pkt + 26, 0, 2);
	put16(pkt + 26, ~naive_l4_sum(pkt, len));
	return len;
}

#endif /* PACKETS_H */
