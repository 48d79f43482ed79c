// SPDX-License-Identifier: GPL-2.0-or-later
/* Long-term keys by name, see secrets.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "lib/keytext.h"
#include "secrets.h"

struct secret {
	LIST_ENTRY(secret) entry;
	uint64_t serial;
	char name[HS_SECRET_NAME_MAX + 1];
	uint8_t key[NX_KEY_LEN];
};

static LIST_HEAD(, secret) secrets = LIST_HEAD_INITIALIZER(secrets);
static uint64_t last_serial;

static struct secret *find(const char *name)
{
	struct secret *s;

	LIST_FOREACH(s, &secrets, entry)
	{
		if (strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

static struct secret *make(const char *name)
{
	struct secret *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	strcpy(s->name, name);
	LIST_INSERT_HEAD(&secrets, s, entry);
	return s;
}

int hs_secret_store(const char *name, int fd)
{
	uint8_t key[NX_KEY_LEN];
	struct secret *s;
	int err;

	if (strlen(name) > HS_SECRET_NAME_MAX)
		return -ENAMETOOLONG;
	err = nx_key_read_fd(fd, key);
	if (err < 0)
		goto out;
	s = find(name);
	if (s && memcmp(s->key, key, sizeof(key)) == 0)
		goto out;
	if (!s)
		s = make(name);
	if (!s) {
		err = -ENOMEM;
		goto out;
	}
	memcpy(s->key, key, sizeof(key));
	s->serial = ++last_serial;
out:
	explicit_bzero(key, sizeof(key));
	return err;
}

static struct secret *find_parts(const char *tunnel, const char *what, const char *user)
{
	char name[HS_SECRET_NAME_MAX + 1];
	int n;

	n = snprintf(name, sizeof(name), "secret:%s:%s%s%s", tunnel, what, user ? ":" : "",
		     user ? user : "");
	if (n < 0 || (size_t)n >= sizeof(name))
		return NULL;
	return find(name);
}

const uint8_t *hs_secret_get(const char *tunnel, const char *what, const char *user)
{
	struct secret *s = find_parts(tunnel, what, user);

	return s ? s->key : NULL;
}

/* Does @s belong to @tunnel (NULL = any)? */
static int is_of(const struct secret *s, const char *tunnel)
{
	size_t len;

	if (!tunnel)
		return 1;
	len = strlen(tunnel);
	return strncmp(s->name, "secret:", 7) == 0 && strncmp(s->name + 7, tunnel, len) == 0 &&
	       s->name[7 + len] == ':';
}

uint64_t hs_secret_serial(const char *tunnel)
{
	uint64_t serial = 0;
	struct secret *s;

	LIST_FOREACH(s, &secrets, entry)
	{
		if (is_of(s, tunnel) && s->serial > serial)
			serial = s->serial;
	}
	return serial;
}

static void wipe(struct secret *s)
{
	LIST_REMOVE(s, entry);
	explicit_bzero(s, sizeof(*s));
	free(s);
}

void hs_secret_forget_one(const char *tunnel, const char *what)
{
	struct secret *s = find_parts(tunnel, what, NULL);

	if (s)
		wipe(s);
}

void hs_secret_forget(const char *tunnel)
{
	struct secret *s, *next;

	for (s = LIST_FIRST(&secrets); s; s = next) {
		next = LIST_NEXT(s, entry);
		if (is_of(s, tunnel))
			wipe(s);
	}
}
