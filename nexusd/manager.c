// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The manager: makes the tunnels match the configuration, keeps the list of stored descriptors.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "config-internal.h"
#include "lib/log.h"
#include "tunnel-internal.h"

uint64_t nx_random_id(void)
{
	uint64_t id = 0;

	while (!id)
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			id = 0;
	return id;
}

uint64_t nx_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

struct nx_tunnel *nx_manager_find_tunnel(struct nx_manager *m, const char *name)
{
	struct nx_tunnel *t;

	TAILQ_FOREACH (t, &m->tunnels, entry)
		if (!strcmp(t->config->name, name))
			return t;
	return NULL;
}

/* ---- descriptors kept by the monitor ---- */

int nx_manager_claim(struct nx_manager *m, const char *fmt, ...)
{
	struct nx_stored *s;
	char name[96];
	va_list ap;
	int fd;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	TAILQ_FOREACH (s, &m->priv->stored, entry) {
		if (strcmp(s->name, name))
			continue;
		TAILQ_REMOVE(&m->priv->stored, s, entry);
		fd = s->fd;
		free(s);
		return fd;
	}
	return -1;
}

void nx_manager_store(struct nx_manager *m, int fd, const char *fmt, ...)
{
	char name[96];
	va_list ap;
	int r;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	r = nx_mon_store(&m->priv->mon, name, fd);
	if (r)
		nx_warn("descriptor %s cannot be stored: %s", name, strerror(-r));
}

void nx_manager_unstore(struct nx_manager *m, const char *fmt, ...)
{
	char name[96];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	(void)nx_mon_unstore(&m->priv->mon, name);
}

/* ---- configuration ---- */

static struct nx_tunnel_config *take_tunnel(struct nx_config *c, const char *name)
{
	for (size_t i = 0; i < c->n_tunnels; i++) {
		struct nx_tunnel_config *t = c->tunnels[i];

		if (t && !strcmp(t->name, name)) {
			c->tunnels[i] = NULL;
			return t;
		}
	}
	return NULL;
}

void nx_manager_apply_config(struct nx_manager *m, struct nx_config *c)
{
	bool changed = m->config && m->config->dco_mode != c->dco_mode;
	struct nx_tunnel *t, *next;

	nx_config_free(m->config);
	m->config = c;
	for (t = TAILQ_FIRST(&m->tunnels); t; t = next) {
		struct nx_tunnel_config *tc = take_tunnel(c, t->config->name);

		next = TAILQ_NEXT(t, entry);
		if (tc)
			nx_tunnel_reconfigure(t, tc);
		else
			nx_tunnel_remove(t);
	}
	for (size_t i = 0; i < c->n_tunnels; i++) {
		if (!c->tunnels[i])
			continue;
		t = nx_tunnel_new(m, c->tunnels[i]);
		c->tunnels[i] = NULL;
		if (!t)
			nx_err("out of memory");
		else if (m->priv->started &&
			 (t->config->role == NX_ROLE_SERVER || t->config->autoconnect))
			(void)nx_tunnel_connect(t);
	}
	/* The tunnels own their parts now. */
	free(c->tunnels);
	c->tunnels = NULL;
	c->n_tunnels = 0;
	if (changed)
		nx_planes_mode_changed(m);
}

int nx_manager_reload(struct nx_manager *m, char *error, size_t error_len)
{
	struct nx_config *c;
	int r;

	if (m->priv->stopping || m->priv->adopting) {
		snprintf(error, error_len, "nexusd is %s; try again",
			 m->priv->stopping ? "stopping" : "starting");
		return -EBUSY;
	}
	r = nx_config_load(m->config_file, m->priv->insecure, &c, error, error_len);
	if (r)
		return -EINVAL;
	nx_manager_apply_config(m, c);
	/* A module that was not there may be by now. */
	nx_planes_look(m);
	nx_log_full(LOG_NOTICE, "Reloaded", NULL, "configuration reloaded");
	return 0;
}
