// SPDX-License-Identifier: GPL-2.0-or-later
/* Prefixes and ranges: see iprange.h. Addresses are numbers of 32 or 128 bits here. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "iprange.h"

typedef unsigned __int128 u128;

size_t hs_addr_len(uint8_t family)
{
	return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

/* The lowest @n bits, n in 0..128. */
static u128 low_bits(unsigned int n)
{
	return n ? ~(u128)0 >> (128 - n) : 0;
}

static u128 load(const uint8_t *addr, size_t len)
{
	u128 v = 0;

	for (size_t i = 0; i < len; i++)
		v = v << 8 | addr[i];
	return v;
}

static void store(uint8_t *addr, size_t len, u128 v)
{
	for (size_t i = len; i-- > 0; v >>= 8)
		addr[i] = (uint8_t)v;
}

bool hs_prefix_normalize(struct hs_prefix *p)
{
	const size_t len = hs_addr_len(p->family);

	if (!len || p->len > 8 * len)
		return false;
	store(p->addr, len, load(p->addr, len) & ~low_bits(8 * len - p->len));
	memset(p->addr + len, 0, sizeof(p->addr) - len);
	return true;
}

void hs_prefix_bounds(const struct hs_prefix *p, uint8_t first[16], uint8_t last[16])
{
	const size_t len = hs_addr_len(p->family);

	memcpy(first, p->addr, len);
	store(last, len, load(p->addr, len) | low_bits(8 * len - p->len));
}

int hs_range_split(uint8_t family, const uint8_t *first, const uint8_t *last, struct hs_prefix *out,
		   size_t max)
{
	const size_t len = hs_addr_len(family);
	const u128 end = load(last, len);
	u128 at = load(first, len);
	size_t n = 0;

	for (;;) {
		unsigned int host = 0;

		/* The largest block that starts at @at and does not pass the end. */
		while (host < 8 * len && !(at & low_bits(host + 1)) &&
		       (at | low_bits(host + 1)) <= end)
			host++;
		if (n == max)
			return -E2BIG;
		memset(&out[n], 0, sizeof(out[n]));
		out[n].family = family;
		out[n].len = (uint8_t)(8 * len - host);
		store(out[n].addr, len, at);
		n++;
		at |= low_bits(host);
		if (at >= end)
			return (int)n;
		at++;
	}
}
