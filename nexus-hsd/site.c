// SPDX-License-Identifier: GPL-2.0-or-later
/* Source sites, see site.h. */
#include <errno.h>
#include <string.h>
#include <gnutls/crypto.h>

#include "clock.h"
#include "site.h"

#define WINDOW_NS (HS_LATELY_WINDOW_S * HS_NS_PER_S)

static uint64_t rotate(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static void sip_rounds(uint64_t v[4], int n)
{
	while (n--) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

/* SipHash-2-4 of @n words, never 0. */
static uint64_t keyed_hash(const uint8_t key[16], const uint64_t *words, unsigned int n)
{
	const uint64_t length = (uint64_t)n * sizeof(*words) << 56;
	uint64_t k[2], v[4], h;

	memcpy(k, key, sizeof(k));
	v[0] = k[0] ^ 0x736f6d6570736575ULL;
	v[1] = k[1] ^ 0x646f72616e646f6dULL;
	v[2] = k[0] ^ 0x6c7967656e657261ULL;
	v[3] = k[1] ^ 0x7465646279746573ULL;
	for (unsigned int i = 0; i < n; i++) {
		v[3] ^= words[i];
		sip_rounds(v, 2);
		v[0] ^= words[i];
	}
	v[3] ^= length;
	sip_rounds(v, 2);
	v[0] ^= length;
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	h = v[0] ^ v[1] ^ v[2] ^ v[3];
	return h ? h : 1;
}

uint64_t hs_site_hash(const uint8_t key[16], const union hs_addr *from)
{
	const uint64_t site = hs_addr_site(from);

	return keyed_hash(key, &site, 1);
}

uint64_t hs_addr_hash(const uint8_t key[16], const union hs_addr *from)
{
	uint64_t words[3] = { hs_addr_port(from) };

	if (from->sa.sa_family == AF_INET)
		memcpy(&words[1], &from->in.sin_addr, sizeof(from->in.sin_addr));
	else
		memcpy(&words[1], &from->in6.sin6_addr, sizeof(from->in6.sin6_addr));
	return keyed_hash(key, words, 3);
}

int hs_lately_init(struct hs_lately *l)
{
	memset(l, 0, sizeof(*l));
	return gnutls_rnd(GNUTLS_RND_KEY, l->key, sizeof(l->key)) < 0 ? -EIO : 0;
}

static void begin_window(struct hs_lately *l, uint64_t now_ns)
{
	/* Nobody asked for a whole window: that one is forgotten as well. */
	if (now_ns - l->began_ns >= 2 * WINDOW_NS)
		memset(l->counts, 0, sizeof(l->counts));
	l->present ^= 1;
	memset(l->counts[l->present], 0, sizeof(l->counts[0]));
	l->began_ns = now_ns;
}

bool hs_lately_quiet(struct hs_lately *l, const union hs_addr *from, uint64_t now_ns)
{
	const uint64_t site = hs_site_hash(l->key, from);
	const uint32_t cell[2] = { (uint32_t)site % HS_LATELY_CELLS,
				   (uint32_t)(site >> 32) % HS_LATELY_CELLS };
	unsigned int lowest = UINT32_MAX;

	if (now_ns - l->began_ns >= WINDOW_NS)
		begin_window(l, now_ns);
	for (int row = 0; row < 2; row++) {
		uint8_t *count = &l->counts[l->present][row][cell[row]];
		unsigned int both;

		if (*count < UINT8_MAX)
			++*count;
		both = *count + l->counts[!l->present][row][cell[row]];
		if (both < lowest)
			lowest = both;
	}
	return lowest <= HS_LATELY_QUIET_MAX;
}
