/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Source sites (IPv4 /24, IPv6 /56) and addresses as numbers for tables of fixed size, by a keyed hash so
 * that nobody can choose who shares a place; and a memory of which sites have asked for something lately.
 *
 * A flood comes from sites that ask again and again, somebody who wants to connect from one that hardly
 * ever does. hs_lately counts what each site asked in the last 10 to 20 s, in two rows of counters that
 * sites share (the lower of the two counts): a quiet site is taken for a busy one only if it shares both
 * places with busy ones, which for 30000 busy sites is one in a hundred. Never the other way round.
 */
#ifndef HS_SITE_H
#define HS_SITE_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"

#define HS_LATELY_CELLS (1 << 18)
#define HS_LATELY_WINDOW_S 10
/* Who asks no more than so often within a window is quiet. */
#define HS_LATELY_QUIET_MAX 8

struct hs_lately {
	uint8_t key[16];
	uint64_t began_ns; /* of the present window */
	uint8_t present; /* index of its counters */
	uint8_t counts[2][2][HS_LATELY_CELLS]; /* window, row; they stay at 255 */
};

/* Never 0. */
uint64_t hs_site_hash(const uint8_t key[16], const union hs_addr *from);
/* Of address and port. */
uint64_t hs_addr_hash(const uint8_t key[16], const union hs_addr *from);

/* Nobody has asked. 0, or -EIO without randomness. */
int hs_lately_init(struct hs_lately *l);
/* Somebody asks from there: count it. Is the site a quiet one? */
bool hs_lately_quiet(struct hs_lately *l, const union hs_addr *from, uint64_t now_ns);

#endif /* HS_SITE_H */
