// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A cover profile as it comes back from a cache: whatever is accepted is within its bounds, is written
 * as the same bytes, and is lines of text that end.
 */
#include <string.h>
#include "fuzz-hsd.h"
#include "profile.h"

#define LINES_MAX 64

static void check_flight(const struct hs_profile_flight *f)
{
	unsigned int i;

	promise(f->n_dgrams <= HS_PROFILE_DGRAMS_MAX);
	for (i = 0; i < f->n_dgrams; i++) {
		promise(f->dgrams[i].n_packets <= HS_PROFILE_PACKETS_MAX);
		promise(hs_profile_dgram_bytes(&f->dgrams[i]) <= HS_PROFILE_DGRAM_BYTES_MAX);
	}
}

static void check_text(bool (*line)(const struct hs_profile *, unsigned int, char *),
		       const struct hs_profile *p)
{
	char text[HS_PROFILE_TEXT_LEN];
	unsigned int i;

	for (i = 0; line(p, i, text); i++)
		promise(memchr(text, '\0', sizeof(text)) != NULL);
	promise(i <= LINES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[HS_PROFILE_BLOB_MAX];
	struct hs_profile p;
	unsigned int i;

	if (hs_profile_decode(data, size, &p) == 0) {
		promise(hs_profile_encode(&p, again, sizeof(again)) == (ssize_t)size);
		promise(memcmp(again, data, size) == 0);
	}
	promise(p.n_flights <= HS_PROFILE_FLIGHTS_MAX && p.n_repeats <= HS_PROFILE_REPEATS_MAX);
	for (i = 0; i < p.n_flights; i++)
		check_flight(&p.flights[i]);
	check_flight(&p.finished);
	check_text(hs_profile_line, &p);
	check_text(hs_profile_difference, &p);
	return 0;
}
