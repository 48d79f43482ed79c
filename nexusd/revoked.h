/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The users that are locked out although the configuration has them: a list that survives restarts
 * as the file "revoked" in the state folder, one "TUNNEL USER" a line. The file is replaced as a
 * whole, so it is always the old list or the new one. Used by the server tunnels.
 */
#ifndef NX_REVOKED_H
#define NX_REVOKED_H

#include <stdbool.h>
#include <stddef.h>

#define NX_REVOKED_MAX 16384

struct nx_revoked_user {
	char tunnel[32], user[64];
};

struct nx_revoked {
	const char *dir; /* of the state, not owned */
	struct nx_revoked_user *users;
	size_t n;
};

/* 0 also without a file, or without a folder (NULL: nothing lasts); -EBADMSG: it is damaged, what could be read is in force; -errno. */
int nx_revoked_load(struct nx_revoked *r, const char *dir);
void nx_revoked_free(struct nx_revoked *r);
bool nx_revoked_has(const struct nx_revoked *r, const char *tunnel, const char *user);
/* In force at once, whatever it returns: 0 when it is in the file as well, or why not (-errno). */
int nx_revoked_set(struct nx_revoked *r, const char *tunnel, const char *user, bool revoked);

#endif /* NX_REVOKED_H */
