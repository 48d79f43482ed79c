// SPDX-License-Identifier: GPL-2.0-or-later
/* The monitor's descriptor store: see fd-store.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "fd-store.h"

void nx_fd_store_init(struct nx_fd_store *s)
{
	TAILQ_INIT(&s->entries);
	s->n = 0;
}

static void drop(struct nx_fd_store *s, struct nx_fd_entry *e)
{
	TAILQ_REMOVE(&s->entries, e, entry);
	s->n--;
	close(e->fd);
	free(e);
}

void nx_fd_store_remove(struct nx_fd_store *s, const char *name)
{
	struct nx_fd_entry *e;

	TAILQ_FOREACH (e, &s->entries, entry) {
		if (!strcmp(e->name, name)) {
			drop(s, e);
			return;
		}
	}
}

int nx_fd_store_put(struct nx_fd_store *s, const char *name, int fd)
{
	struct nx_fd_entry *e = NULL;
	int r = 0;

	if (!name[0] || strlen(name) >= sizeof(e->name))
		r = -EINVAL;
	else
		nx_fd_store_remove(s, name);
	if (!r && s->n >= NX_FD_STORE_MAX)
		r = -ENOSPC;
	if (!r) {
		e = calloc(1, sizeof(*e));
		r = e ? 0 : -ENOMEM;
	}
	if (r) {
		close(fd);
		return r;
	}
	e->fd = fd;
	strcpy(e->name, name);
	TAILQ_INSERT_TAIL(&s->entries, e, entry);
	s->n++;
	return 0;
}

void nx_fd_store_clear(struct nx_fd_store *s)
{
	while (!TAILQ_EMPTY(&s->entries))
		drop(s, TAILQ_FIRST(&s->entries));
}
