// SPDX-License-Identifier: GPL-2.0-or-later
/* The list of revoked users and its file, see revoked.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "revoked.h"

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

static int path_of(const struct nx_revoked *r, const char *name, char path[PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s/%s", r->dir, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int nx_revoked_load(struct nx_revoked *r, const char *dir)
{
	char path[PATH_MAX], line[128];
	int err;
	FILE *f;

	memset(r, 0, sizeof(*r));
	r->dir = dir;
	if (!dir)
		return 0;
	err = path_of(r, "revoked", path);
	if (err)
		return err;
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

static int write_list(const struct nx_revoked *r, FILE *f)
{
	for (size_t i = 0; i < r->n; i++)
		fprintf(f, "%s %s\n", r->users[i].tunnel, r->users[i].user);
	if (fflush(f) || fsync(fileno(f)) < 0)
		return errno ? -errno : -EIO;
	return 0;
}

static int save(const struct nx_revoked *r)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	int err, fd;
	FILE *f;

	if (!r->dir)
		return -ENOENT;
	err = path_of(r, "revoked", path);
	if (!err)
		err = path_of(r, "revoked.new", fresh);
	if (err)
		return err;
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	err = write_list(r, f);
	if (fclose(f) && !err)
		err = -EIO;
	if (!err && rename(fresh, path) < 0)
		err = -errno;
	if (err)
		(void)unlink(fresh);
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
