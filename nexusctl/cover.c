// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cover: what nexusd knows of the cover site of its server tunnels, and in what the handshakes of
 * users still differ from it. The JSON object is documented in nexusctl(1), as that of status.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/texts.h"
#include "json.h"
#include "model.h"

struct options {
	const char *name;
	bool json;
};

struct profile {
	uint64_t learnt; /* seconds since 1970; 0 = not yet */
	char **lines, **differences;
};

static int parse_options(int argc, char **argv, struct options *o)
{
	*o = (struct options){ NULL };
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json") || !strcmp(argv[i], "-j"))
			o->json = true;
		else if (argv[i][0] == '-' || o->name)
			return CTL_USAGE;
		else
			o->name = argv[i];
	}
	return CTL_OK;
}

static void profile_free(struct profile *p)
{
	nx_texts_free(p->lines);
	nx_texts_free(p->differences);
}

static int fetch_profile(sd_bus *bus, const struct model_tunnel *t, struct profile *p)
{
	sd_bus_message *reply = NULL;
	int r;

	memset(p, 0, sizeof(*p));
	r = ctl_bus_call(bus, t->path, CTL_IFACE_TUNNEL, "GetCoverProfile", NULL, &reply, NULL);
	if (r != CTL_OK)
		return r;
	r = sd_bus_message_read(reply, "t", &p->learnt);
	if (r >= 0)
		r = sd_bus_message_read_strv(reply, &p->lines);
	if (r >= 0)
		r = sd_bus_message_read_strv(reply, &p->differences);
	sd_bus_message_unref(reply);
	if (r >= 0)
		return CTL_OK;
	profile_free(p);
	return ctl_bus_bad_reply(r);
}

/* ---- for people ---- */

static void print_list(const char *label, char **texts, const char *none)
{
	char *empty[] = { (char *)none, NULL };

	for (char **s = texts && *texts ? texts : empty; *s; s++) {
		printf("  %-11s ", s == texts || s == empty ? label : "");
		ctl_print_clean(*s);
		putchar('\n');
	}
}

static void print_learnt(uint64_t learnt)
{
	time_t then = learnt, now = time(NULL);
	char text[32];
	struct tm tm;

	if (!localtime_r(&then, &tm))
		return;
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	printf("  %-11s %s", "learnt", text);
	if (now >= then)
		printf(" (%s ago)", ctl_duration_str(now - then));
	putchar('\n');
}

static void print_text(const struct model_tunnel *t, const struct profile *p)
{
	ctl_print_clean(t->name);
	if (t->cover_address[0]) {
		fputs(": cover ", stdout);
		ctl_print_clean(t->cover_address);
		fputs(t->cover_state[0] ? " (" : "", stdout);
		ctl_print_clean(t->cover_state);
		puts(t->cover_state[0] ? ")" : "");
	} else {
		puts(": no address of the cover is known yet");
	}
	if (!p->learnt) {
		puts("  Nothing is learnt of the cover yet: handshakes of users do not follow it.");
		return;
	}
	print_learnt(p->learnt);
	print_list("profile", p->lines, "empty");
	print_list("differences", p->differences, "none");
}

/* ---- for programs ---- */

static void print_json(struct json *j, const struct model_tunnel *t, const struct profile *p)
{
	json_open(j, NULL, '{');
	json_string(j, "name", t->name);
	json_string(j, "cover_address", t->cover_address);
	json_string(j, "cover_state", t->cover_state);
	json_u64(j, "learnt", p->learnt);
	json_strings(j, "profile", p->lines);
	json_strings(j, "differences", p->differences);
	json_close(j, '}');
}

/* ---- the command ---- */

static bool is_server(const struct model_tunnel *t)
{
	return !strcmp(t->role, "server");
}

/* CTL_OK if there is something to show. */
static int check(const struct model *m, const struct options *o)
{
	for (size_t i = 0; i < m->n_tunnels; i++) {
		const struct model_tunnel *t = &m->tunnels[i];

		if (o->name ? !strcmp(t->name, o->name) : is_server(t)) {
			if (is_server(t))
				return CTL_OK;
			ctl_error("Tunnel \"%s\" is no server: it has no cover.", t->name);
			return CTL_ERROR;
		}
	}
	if (o->name)
		ctl_error("There is no tunnel \"%s\" in the configuration.", o->name);
	else
		ctl_error("There is no server tunnel in the configuration.");
	return CTL_NO_SUCH_TUNNEL;
}

static int show_all(sd_bus *bus, const struct model *m, const struct options *o, struct json *j)
{
	for (size_t i = 0; i < m->n_tunnels; i++) {
		const struct model_tunnel *t = &m->tunnels[i];
		struct profile p;
		int r;

		if (!is_server(t) || (o->name && strcmp(t->name, o->name)))
			continue;
		r = fetch_profile(bus, t, &p);
		if (r != CTL_OK)
			return r;
		if (j)
			print_json(j, t, &p);
		else
			print_text(t, &p);
		profile_free(&p);
	}
	return CTL_OK;
}

static int show_json(sd_bus *bus, const struct model *m, const struct options *o)
{
	struct json j;
	int end, r;

	r = json_begin(&j);
	if (r < 0)
		return ctl_bus_report(NULL, r);
	json_open(&j, NULL, '{');
	json_u64(&j, "schema", 1);
	json_open(&j, "tunnels", '[');
	r = show_all(bus, m, o, &j);
	json_close(&j, ']');
	json_close(&j, '}');
	end = json_end(&j, r == CTL_OK);
	return r == CTL_OK && end < 0 ? ctl_bus_report(NULL, end) : r;
}

int cmd_cover(int argc, char **argv)
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
	r = model_fetch(bus, &m);
	if (r == CTL_OK)
		r = check(&m, &o);
	if (r == CTL_OK)
		r = o.json ? show_json(bus, &m, &o) : show_all(bus, &m, &o, NULL);
	model_free(&m);
	sd_bus_flush_close_unref(bus);
	return r;
}
