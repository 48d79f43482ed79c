// SPDX-License-Identifier: GPL-2.0-or-later
/* CRYPTO reassembly: see reassembly.h. Bounded by HS_CH_PIECES pieces and HS_CH_MAX bytes. */
#include <string.h>

#include "reassembly.h"

#define HANDSHAKE_HEADER 4
#define CLIENT_HELLO 1

static size_t max_of(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t min_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Do the bytes of [first, end) that are known already agree with @data? */
static bool agrees(const struct hs_reassembly *r, size_t first, size_t end, const uint8_t *data)
{
	for (size_t i = 0; i < r->n_pieces; i++) {
		const size_t from = max_of(first, r->pieces[i].first);
		const size_t to = min_of(end, r->pieces[i].end);

		if (from < to && memcmp(r->data + from, data + (from - first), to - from))
			return false;
	}
	return true;
}

bool hs_reassembly_add(struct hs_reassembly *r, uint64_t offset, const uint8_t *data, uint64_t len)
{
	size_t first, end, low, high;

	if (offset > HS_CH_MAX || len > HS_CH_MAX - offset)
		return false;
	if (!len)
		return true;
	first = offset;
	end = offset + len;
	if (!agrees(r, first, end, data))
		return false;
	/* Pieces [low, high) overlap or touch the new one: they become one. */
	for (low = 0; low < r->n_pieces && r->pieces[low].end < first; low++)
		;
	for (high = low; high < r->n_pieces && r->pieces[high].first <= end; high++)
		;
	if (low == high && r->n_pieces == HS_CH_PIECES)
		return false;
	memcpy(r->data + first, data, len);
	if (low < high) {
		first = min_of(first, r->pieces[low].first);
		end = max_of(end, r->pieces[high - 1].end);
	}
	memmove(&r->pieces[low + 1], &r->pieces[high], (r->n_pieces - high) * sizeof(r->pieces[0]));
	r->n_pieces = (uint16_t)(r->n_pieces + 1 - (high - low));
	r->pieces[low].first = (uint16_t)first;
	r->pieces[low].end = (uint16_t)end;
	return true;
}

enum hs_initial_result hs_reassembly_state(const struct hs_reassembly *r, size_t *ch_len)
{
	size_t len;

	if (!r->n_pieces || r->pieces[0].first)
		return HS_INITIAL_MORE;
	if (r->data[0] != CLIENT_HELLO)
		return HS_INITIAL_BAD;
	if (r->pieces[0].end < HANDSHAKE_HEADER)
		return HS_INITIAL_MORE;
	len = HANDSHAKE_HEADER + ((size_t)r->data[1] << 16 | (size_t)r->data[2] << 8 | r->data[3]);
	/* A client says nothing after its ClientHello before it was answered. */
	if (len > HS_CH_MAX || r->pieces[r->n_pieces - 1].end > len)
		return HS_INITIAL_BAD;
	if (r->pieces[0].end < len)
		return HS_INITIAL_MORE;
	*ch_len = len;
	return HS_INITIAL_COMPLETE;
}
