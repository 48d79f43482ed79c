// SPDX-License-Identifier: GPL-2.0-or-later
/* The list of revoked users and its file, see revoked.h. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "revoked.h"
#include "state-file.h"

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@-"

static size_t find(const struct nx_revoked *r, const char *tunnel, const char *user)
{
	size_t i = 0;

	while (i < r->n && (strcmp(r->users[i].tunnel, tunnel) || strcmp(r->users[i].user, user)))
		i++;
	return i;
}

bool nx_revoked_has(const struct nx_revoked *r, const char *tunnel, const char *user)
{
	return find(r, tunnel, user) < r->n;
}

static bool valid(const char *name, size_t max)
{
	return name[0] && strlen(name) <= max && !name[strspn(name, NAME_CHARS)];
}

static int add(struct nx_revoked *r, const char *tunnel, const char *user)
{
	struct nx_revoked_user *grown;

	if (!valid(tunnel, sizeof(grown->tunnel) - 1) || !valid(user, sizeof(grown->user) - 1))
		return -EINVAL;
	if (nx_revoked_has(r, tunnel, user))
		return 0;
	if (r->n >= NX_REVOKED_MAX)
		return -ENOSPC;
	grown = reallocarray(r->users, r->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	r->users = grown;
	snprintf(grown[r->n].tunnel, sizeof(grown->tunnel), "%s", tunnel);
	snprintf(grown[r->n].user, sizeof(grown->user), "%s", user);
	r->n++;
	return 0;
}

int nx_revoked_load(struct nx_revoked *r, const char *dir)
{
	char path[PATH_MAX], line[128];
	int err = 0;
	FILE *f;

	memset(r, 0, sizeof(*r));
	r->dir = dir;
	if (!dir)
		return 0;
	if (snprintf(path, sizeof(path), "%s/revoked", dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? 0 : -errno;
	while (fgets(line, sizeof(line), f)) {
		char *user = strchr(line, ' '), *end = strchr(line, '\n');

		if (user)
			*user++ = '\0';
		if (end)
			*end = '\0';
		if (!user || !end || add(r, line, user) < 0)
			err = -EBADMSG;
	}
	if (ferror(f))
		err = -EIO;
	fclose(f);
	return err;
}

void nx_revoked_free(struct nx_revoked *r)
{
	free(r->users);
	memset(r, 0, sizeof(*r));
}

static int save(const struct nx_revoked *r)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f;
	int err;

	f = open_memstream(&text, &len);
	if (!f)
		return -ENOMEM;
	for (size_t i = 0; i < r->n; i++)
		fprintf(f, "%s %s\n", r->users[i].tunnel, r->users[i].user);
	err = fclose(f) ? -ENOMEM : nx_state_file_write(r->dir, "revoked", text, len);
	free(text);
	return err;
}

int nx_revoked_set(struct nx_revoked *r, const char *tunnel, const char *user, bool revoked)
{
	size_t i = find(r, tunnel, user);
	int err;

	if (revoked) {
		err = add(r, tunnel, user);
		if (err)
			return err;
	} else if (i < r->n) {
		r->users[i] = r->users[--r->n];
	}
	return save(r);
}
