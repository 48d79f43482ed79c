/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Encodings of DATAGRAM and ACK frames, written out by hand from RFC 9000 19.3 and RFC 9221 4.
 */
#ifndef NQ_VECTORS_FRAMES_H
#define NQ_VECTORS_FRAMES_H

#include "vectors.h"

struct nq_ack_vector {
	const char *name;
	u32 len, n_ranges;
	u8 bytes[32];
	u64 delay;
	struct {
		u64 first, last;
	} ranges[4]; /* highest first */
	bool has_ecn;
	u64 ecn[3];
};

static const struct nq_ack_vector ack_vectors[] = {
	{
		.name = "one packet",
		.len = 5,
		.bytes = { 0x02, 0x00, 0x00, 0x00, 0x00 },
		.n_ranges = 1,
		.ranges = { { 0, 0 } },
	},
	{
		.name = "two-byte largest, delay 1000",
		.len = 8,
		.bytes = { 0x02, 0x44, 0xd2, 0x43, 0xe8, 0x00, 0x40 | 0x00, 0x64 },
		.n_ranges = 1,
		.delay = 1000,
		.ranges = { { 1134, 1234 } },
	},
	{
		.name = "gaps of one and of five",
		.len = 9,
		.bytes = { 0x02, 0x14, 0x03, 0x02, 0x00, 0x00, 0x02, 0x04, 0x01 },
		.n_ranges = 3,
		.delay = 3,
		.ranges = { { 20, 20 }, { 16, 18 }, { 9, 10 } },
	},
	{
		.name = "ECN counts",
		.len = 9,
		.bytes = { 0x03, 0x09, 0x01, 0x00, 0x09, 0x07, 0x00, 0x40, 0x41 },
		.n_ranges = 1,
		.delay = 1,
		.ranges = { { 0, 9 } },
		.has_ecn = true,
		.ecn = { 7, 0, 65 },
	},
	{
		.name = "eight-byte largest",
		.len = 12,
		.bytes = { 0x02, 0xc0, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x05, 0x00, 0x02 },
		.n_ranges = 1,
		.delay = 5,
		.ranges = { { 0xfffffffeULL, 0x100000000ULL } },
	},
};

struct nq_datagram_vector {
	const char *name;
	u32 len;
	u8 bytes[80];
	u32 data_at, data_len, frame_len;
};

static const struct nq_datagram_vector datagram_vectors[] = {
	{ "to the end of the packet", 4, { 0x30, 0x00, 0x45, 0x11 }, 1, 3, 4 },
	{ "empty, to the end", 1, { 0x30 }, 1, 0, 1 },
	{ "with a length, another frame behind", 5, { 0x31, 0x02, 0xaa, 0xbb, 0x01 }, 2, 2, 4 },
	{ "empty with a length", 3, { 0x31, 0x00, 0x01 }, 2, 0, 2 },
	{ "two-byte length", 67, { 0x31, 0x40, 0x40, 0x77 }, 3, 64, 67 },
};

#endif /* NQ_VECTORS_FRAMES_H */
