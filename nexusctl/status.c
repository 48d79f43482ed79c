// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * status and list. Rates need two samples: the text output takes them half a second apart if a
 * tunnel is up, the JSON output only on request, so that scripts get their answer at once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "status.h"

#define TEXT_INTERVAL_MS 500
#define INTERVAL_MS_MAX 60000

struct options {
	const char *name;
	bool json;
	long interval_ms; /* -1: the default of the output */
};

static int parse_options(int argc, char **argv, struct options *o)
{
	*o = (struct options){ .interval_ms = -1 };
	for (int i = 1; i < argc; i++) {
		char *end;

		if (!strcmp(argv[i], "--json") || !strcmp(argv[i], "-j")) {
			o->json = true;
		} else if (!strcmp(argv[i], "--interval") && i + 1 < argc) {
			errno = 0;
			o->interval_ms = strtol(argv[++i], &end, 10);
			if (errno || *end || end == argv[i] || o->interval_ms < 0 ||
			    o->interval_ms > INTERVAL_MS_MAX)
				return CTL_USAGE;
		} else if (argv[i][0] == '-' || o->name) {
			return CTL_USAGE;
		} else {
			o->name = argv[i];
		}
	}
	if (o->interval_ms < 0)
		o->interval_ms = o->json ? 0 : TEXT_INTERVAL_MS;
	return CTL_OK;
}

static bool wanted(const struct model_tunnel *t, const char *name)
{
	return !name || !strcmp(t->name, name);
}

static bool has_stats(const struct model_tunnel *t)
{
	return !strcmp(t->state, "connected") || !strcmp(t->state, "listening");
}

double status_rate(const struct model_tunnel *t, const char *counter)
{
	uint64_t now = model_stat(&t->stats, counter), then = model_stat(&t->earlier, counter);

	/* Counters start again when a tunnel reconnects. */
	if (!t->stats.valid || !t->earlier.valid || t->stats.at_us <= t->earlier.at_us ||
	    now < then)
		return -1;
	return (now - then) * 8e6 / (t->stats.at_us - t->earlier.at_us);
}

static void pause_ms(long ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

static int sample_tunnels(sd_bus *bus, struct model *m, const char *name, bool earlier)
{
	for (size_t i = 0; i < m->n_tunnels; i++) {
		struct model_tunnel *t = &m->tunnels[i];
		int r;

		if (!wanted(t, name) || !has_stats(t))
			continue;
		r = model_fetch_stats(bus, t->path, CTL_IFACE_TUNNEL,
				      earlier ? &t->earlier : &t->stats);
		if (r != CTL_OK)
			return r;
	}
	return CTL_OK;
}

static int sample_peers(sd_bus *bus, struct model *m, const char *name)
{
	for (size_t i = 0; i < m->n_tunnels; i++) {
		struct model_tunnel *t = &m->tunnels[i];

		for (size_t k = 0; wanted(t, name) && k < t->n_peers; k++) {
			int r = model_fetch_stats(bus, t->peers[k].path, CTL_IFACE_PEER,
						  &t->peers[k].stats);

			if (r != CTL_OK)
				return r;
		}
	}
	return CTL_OK;
}

static int fetch(sd_bus *bus, struct model *m, const struct options *o)
{
	bool found = !o->name, up = false;
	int r;

	r = model_fetch(bus, m);
	if (r != CTL_OK)
		return r;
	for (size_t i = 0; i < m->n_tunnels; i++) {
		found |= wanted(&m->tunnels[i], o->name);
		up |= wanted(&m->tunnels[i], o->name) && has_stats(&m->tunnels[i]);
	}
	if (!found) {
		ctl_error("There is no tunnel \"%s\" in the configuration.", o->name);
		return CTL_NO_SUCH_TUNNEL;
	}
	if (up && o->interval_ms > 0) {
		r = sample_tunnels(bus, m, o->name, true);
		if (r != CTL_OK)
			return r;
		pause_ms(o->interval_ms);
	}
	r = sample_tunnels(bus, m, o->name, false);
	return r == CTL_OK ? sample_peers(bus, m, o->name) : r;
}

static int print_json(sd_bus *bus, const struct model *m, const char *name)
{
	sd_bus_message *manager = NULL;
	int r;

	r = ctl_bus_call(bus, CTL_PATH, "org.freedesktop.DBus.Properties", "GetAll",
			 CTL_IFACE_MANAGER, &manager, NULL);
	if (r != CTL_OK)
		return r;
	r = status_print_json(m, name, manager);
	sd_bus_message_unref(manager);
	return r < 0 ? ctl_bus_bad_reply(r) : CTL_OK;
}

int cmd_status(int argc, char **argv)
{
	struct model m = { NULL };
	struct options o;
	sd_bus *bus;
	int r;

	r = parse_options(argc, argv, &o);
	if (r != CTL_OK)
		return r;
	r = ctl_bus_open(&bus);
	if (r != CTL_OK)
		return r;
	r = fetch(bus, &m, &o);
	if (r == CTL_OK && o.json)
		r = print_json(bus, &m, o.name);
	else if (r == CTL_OK)
		status_print_text(&m, o.name);
	model_free(&m);
	sd_bus_flush_close_unref(bus);
	return r;
}

int cmd_list(int argc, char **argv)
{
	struct model m;
	sd_bus *bus;
	int r;

	if (argc != 1)
		return CTL_USAGE;
	r = ctl_bus_open(&bus);
	if (r != CTL_OK)
		return r;
	r = model_fetch(bus, &m);
	for (size_t i = 0; r == CTL_OK && i < m.n_tunnels; i++)
		printf("%-31s %-6s %s\n", m.tunnels[i].name, m.tunnels[i].role, m.tunnels[i].state);
	model_free(&m);
	sd_bus_flush_close_unref(bus);
	return r;
}
