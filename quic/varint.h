/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Variable-length integers (RFC 9000 16) and big-endian words.
 *
 * nq_get_varint() never reads past @end: it returns the new position, or NULL if the bytes do not
 * suffice. nq_put_varint() writes the shortest form; the caller has checked nq_varint_len().
 */
#ifndef NQ_VARINT_H
#define NQ_VARINT_H

#include "nq_types.h"

#define NQ_VARINT_MAX ((1ULL << 62) - 1)

static inline u32 nq_get_be32(const u8 *p)
{
	return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

static inline void nq_put_be32(u8 *p, u32 v)
{
	p[0] = (u8)(v >> 24);
	p[1] = (u8)(v >> 16);
	p[2] = (u8)(v >> 8);
	p[3] = (u8)v;
}

static inline u64 nq_get_be64(const u8 *p)
{
	return (u64)nq_get_be32(p) << 32 | nq_get_be32(p + 4);
}

static inline void nq_put_be64(u8 *p, u64 v)
{
	nq_put_be32(p, (u32)(v >> 32));
	nq_put_be32(p + 4, (u32)v);
}

static inline u32 nq_varint_len(u64 v)
{
	return v < 64 ? 1 : v < 16384 ? 2 : v < (1 << 30) ? 4 : 8;
}

static inline const u8 *nq_get_varint(const u8 *p, const u8 *end, u64 *v)
{
	if (p >= end)
		return NULL;
	switch (*p >> 6) {
	case 0:
		*v = *p;
		return p + 1;
	case 1:
		if (end - p < 2)
			return NULL;
		*v = (u64)(p[0] & 0x3f) << 8 | p[1];
		return p + 2;
	case 2:
		if (end - p < 4)
			return NULL;
		*v = nq_get_be32(p) & 0x3fffffff;
		return p + 4;
	default:
		if (end - p < 8)
			return NULL;
		*v = nq_get_be64(p) & NQ_VARINT_MAX;
		return p + 8;
	}
}

static inline u8 *nq_put_varint(u8 *p, u64 v)
{
	switch (nq_varint_len(v)) {
	case 1:
		p[0] = (u8)v;
		return p + 1;
	case 2:
		p[0] = (u8)(0x40 | v >> 8);
		p[1] = (u8)v;
		return p + 2;
	case 4:
		nq_put_be32(p, 0x80000000u | (u32)v);
		return p + 4;
	default:
		nq_put_be64(p, 3ULL << 62 | v);
		return p + 8;
	}
}

#endif /* NQ_VARINT_H */
