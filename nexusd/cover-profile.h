/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What nexus-hsd has learnt of a server tunnel's cover: its own bytes, which only nexus-hsd reads, and
 * the same for people. The control process keeps it, so that it outlives every process: as the file
 * "cover-TUNNEL" in the state folder, which holds the cover's name as well, because another cover
 * answers in another way.
 */
#ifndef NX_COVER_PROFILE_H
#define NX_COVER_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NX_COVER_BLOB_MAX 1024
#define NX_COVER_LINES_MAX 64

struct nx_cover_profile {
	uint64_t learnt_s; /* wall clock; 0 = nothing is known, all others are empty */
	uint8_t blob[NX_COVER_BLOB_MAX];
	size_t blob_len;
	/* NULL-terminated, or NULL: the profile, and what tells our handshakes from the cover's */
	char **lines, **differences;
};

void nx_cover_profile_free(struct nx_cover_profile *p);
bool nx_cover_profile_equal(const struct nx_cover_profile *a, const struct nx_cover_profile *b);
/*
 * From the attributes of a HS_CMD_COVER_PROFILE that nxa_parse() has accepted. 0, also for a cover of
 * which nothing is known (blob_len 0); -E2BIG, -ENOMEM: @p is empty. The time is the caller's.
 */
int nx_cover_profile_parse(struct nx_cover_profile *p, const uint8_t *attrs, size_t len);

/*
 * -ENOENT: there is none, none of this cover, or no folder (@dir NULL); -EBADMSG: it is damaged. On
 * every error @p is empty.
 */
int nx_cover_profile_load(struct nx_cover_profile *p, const char *dir, const char *tunnel,
			  const char *cover);
/* 0 or -errno. */
int nx_cover_profile_save(const struct nx_cover_profile *p, const char *dir, const char *tunnel,
			  const char *cover);
int nx_cover_profile_remove(const char *dir, const char *tunnel);

#endif /* NX_COVER_PROFILE_H */
