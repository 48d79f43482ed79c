/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cursor over hostile bytes. The first read beyond the end makes it bad, and it stays bad: reads
 * then return 0 or NULL, so a parser may read a whole structure and ask once. Every parser of this
 * folder is built on it.
 */
#ifndef HS_READER_H
#define HS_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hs_reader {
	const uint8_t *at;
	size_t left;
	bool bad;
};

static inline struct hs_reader hs_reader(const uint8_t *data, size_t len)
{
	return (struct hs_reader){ .at = data, .left = len };
}

/* The next @n bytes, consumed; NULL makes the cursor bad. Never NULL for n = 0 on a good cursor of
 * real data.
 */
static inline const uint8_t *hs_read(struct hs_reader *r, uint64_t n)
{
	const uint8_t *p = r->at;

	if (r->bad || n > r->left) {
		r->bad = true;
		r->left = 0;
		return NULL;
	}
	r->at += n;
	r->left -= n;
	return p;
}

/* Big endian, @n of 1..8 bytes. */
static inline uint64_t hs_read_be(struct hs_reader *r, unsigned int n)
{
	const uint8_t *p = hs_read(r, n);
	uint64_t v = 0;

	for (unsigned int i = 0; p && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* RFC 9000 16. */
static inline uint64_t hs_read_varint(struct hs_reader *r)
{
	const unsigned int n = r->left ? 1U << (*r->at >> 6) : 1;

	return hs_read_be(r, n) & (UINT64_MAX >> (64 - 8 * n + 2));
}

/* A cursor over the next @n bytes, which are consumed. Bad (and empty) if there are fewer. */
static inline struct hs_reader hs_read_sub(struct hs_reader *r, uint64_t n)
{
	const uint8_t *p = hs_read(r, n);

	return (struct hs_reader){ .at = p, .left = p ? (size_t)n : 0, .bad = !p };
}

/* Nothing was missing and nothing is left. */
static inline bool hs_read_done(const struct hs_reader *r)
{
	return !r->bad && !r->left;
}

#endif /* HS_READER_H */
