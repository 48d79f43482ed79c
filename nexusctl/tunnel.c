// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * up, down, reload. With --wait the StateChanged signals decide: they are subscribed to before the
 * method is called, so none is missed, and the state at that moment is read as if it were a signal.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <systemd/sd-event.h>

#include "ctl.h"

#define TIMEOUT_S_DEFAULT 30
#define TIMEOUT_S_MAX 86400

struct request {
	const char *name;
	bool up, wait;
	long timeout_s;
	sd_bus *bus;
	sd_event *event;
	char *path;
	char state[32], text[256]; /* last seen, for the message at timeout */
	bool ending; /* somebody disconnects while we wait for the connection */
};

static int parse(int argc, char **argv, struct request *q)
{
	q->timeout_s = TIMEOUT_S_DEFAULT;
	for (int i = 1; i < argc; i++) {
		char *end;

		if (!strcmp(argv[i], "--wait") || !strcmp(argv[i], "-w")) {
			q->wait = true;
		} else if (!strcmp(argv[i], "--timeout") && i + 1 < argc) {
			errno = 0;
			q->timeout_s = strtol(argv[++i], &end, 10);
			if (errno || *end || end == argv[i] || q->timeout_s < 1 ||
			    q->timeout_s > TIMEOUT_S_MAX)
				return CTL_USAGE;
			q->wait = true;
		} else if (argv[i][0] == '-' || q->name) {
			return CTL_USAGE;
		} else {
			q->name = argv[i];
		}
	}
	return q->name ? CTL_OK : CTL_USAGE;
}

/* ---- what a state means for the one who waits ---- */

#define GO_ON (-1)

static bool in(const char *s, const char *a, const char *b)
{
	return !strcmp(s, a) || !strcmp(s, b);
}

static int judge_up(const struct request *q, const char *reason)
{
	bool refused = in(reason, "authentication-refused", "server-proof");
	const char *text = q->text[0] ? q->text : reason;

	if (in(q->state, "connected", "listening"))
		return CTL_OK;
	if (in(q->state, "failed", "disconnected")) {
		ctl_error("%s: %s: %s", q->name, q->state, text);
		if (refused)
			return CTL_AUTH_REFUSED;
		return !strcmp(reason, "timeout") ? CTL_TIMEOUT : CTL_ERROR;
	}
	if (refused && in(q->state, "connecting", "reconnecting")) {
		ctl_error("%s: %s: %s (nexusd keeps trying; \"nexusctl down %s\" ends that)",
			  q->name, reason, text, q->name);
		return CTL_AUTH_REFUSED;
	}
	return GO_ON;
}

static int judge(struct request *q, const char *state, const char *reason, const char *text)
{
	snprintf(q->state, sizeof(q->state), "%s", state);
	snprintf(q->text, sizeof(q->text), "%s", text);
	/* The text may come from the other end: no control characters on the terminal. */
	for (char *c = q->text; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	}
	if (q->up)
		return judge_up(q, reason);
	return in(state, "disconnected", "failed") ? CTL_OK : GO_ON;
}

/* ---- waiting ---- */

static int on_state_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *old, *state, *reason, *text;
	struct request *q = userdata;
	int r;

	r = sd_bus_message_read(m, "ssss", &old, &state, &reason, &text);
	if (r < 0)
		return sd_event_exit(q->event, ctl_bus_bad_reply(r));
	q->ending |= !strcmp(state, "disconnecting");
	/* The end of a Disconnect from before our Connect, not the answer to it. */
	if (q->up && !q->ending && !strcmp(old, "disconnecting") && !strcmp(state, "disconnected"))
		return 0;
	r = judge(q, state, reason, text);
	return r == GO_ON ? 0 : sd_event_exit(q->event, r);
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct request *q = userdata;

	ctl_error("nexusd went away");
	return sd_event_exit(q->event, CTL_NOT_RUNNING);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct request *q = userdata;

	ctl_error("%s: still %s after %ld s%s%s", q->name, q->state[0] ? q->state : "busy",
		  q->timeout_s, q->text[0] ? ": " : "", q->text);
	return sd_event_exit(q->event, CTL_TIMEOUT);
}

static int subscribe(struct request *q)
{
	char owner_match[160];
	int r;

	snprintf(owner_match, sizeof(owner_match),
		 "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'",
		 CTL_BUS_NAME);
	r = sd_event_default(&q->event);
	if (r >= 0)
		r = sd_bus_attach_event(q->bus, q->event, 0);
	if (r >= 0)
		r = sd_bus_add_match(q->bus, NULL, owner_match, on_owner_changed, q);
	if (r >= 0)
		r = sd_bus_match_signal(q->bus, NULL, CTL_BUS_NAME, q->path, CTL_IFACE_TUNNEL,
					"StateChanged", on_state_changed, q);
	if (r >= 0)
		r = sd_event_add_time_relative(q->event, NULL, CLOCK_MONOTONIC,
					       q->timeout_s * UINT64_C(1000000), 0, on_timeout, q);
	return r < 0 ? ctl_bus_report(NULL, r) : CTL_OK;
}

static int judge_now(struct request *q)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char *state = NULL, *reason = NULL, *text = NULL;
	int r;

	r = sd_bus_get_property_string(q->bus, CTL_BUS_NAME, q->path, CTL_IFACE_TUNNEL, "State",
				       &error, &state);
	if (r >= 0)
		r = sd_bus_get_property_string(q->bus, CTL_BUS_NAME, q->path, CTL_IFACE_TUNNEL,
					       "StateReason", &error, &reason);
	if (r >= 0)
		r = sd_bus_get_property_string(q->bus, CTL_BUS_NAME, q->path, CTL_IFACE_TUNNEL,
					       "StateText", &error, &text);
	r = r < 0 ? ctl_bus_report(&error, r) : judge(q, state, reason, text);
	sd_bus_error_free(&error);
	free(state);
	free(reason);
	free(text);
	return r;
}

/* CTL_OK also where there was nothing to do; *@already tells. */
static int call(struct request *q, bool *already)
{
	const char *member = q->up ? "Connect" : "Disconnect";
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = CTL_OK;

	*already = false;
	if (ctl_bus_call(q->bus, q->path, CTL_IFACE_TUNNEL, member, NULL, NULL, &error) != CTL_OK) {
		*already =
			sd_bus_error_has_name(&error, q->up ? CTL_BUS_NAME ".Error.AlreadyConnected"
							    : CTL_BUS_NAME ".Error.NotConnected");
		if (!*already)
			r = ctl_bus_report(&error, -sd_bus_error_get_errno(&error));
		else if (!q->wait)
			printf("%s\n", error.message);
	}
	sd_bus_error_free(&error);
	return r;
}

static int run(struct request *q)
{
	bool already;
	int r;

	r = ctl_bus_tunnel_path(q->bus, q->name, &q->path);
	if (r == CTL_OK && q->wait)
		r = subscribe(q);
	if (r == CTL_OK)
		r = call(q, &already);
	if (r != CTL_OK || !q->wait)
		return r;
	/* Without a change there may be no signal. */
	if (already) {
		r = judge_now(q);
		if (r != GO_ON)
			return r;
	}
	r = sd_event_loop(q->event);
	return r < 0 ? ctl_bus_report(NULL, r) : r;
}

static int up_or_down(int argc, char **argv, bool up)
{
	struct request q = { .up = up };
	int r;

	r = parse(argc, argv, &q);
	if (r != CTL_OK)
		return r;
	r = ctl_bus_open(&q.bus);
	if (r != CTL_OK)
		return r;
	r = run(&q);
	sd_bus_flush_close_unref(q.bus);
	sd_event_unref(q.event);
	free(q.path);
	return r;
}

int cmd_up(int argc, char **argv)
{
	return up_or_down(argc, argv, true);
}

int cmd_down(int argc, char **argv)
{
	return up_or_down(argc, argv, false);
}

static int change_user(int argc, char **argv, const char *member)
{
	char *path = NULL;
	sd_bus *bus;
	int r;

	if (argc != 3)
		return CTL_USAGE;
	r = ctl_bus_open(&bus);
	if (r != CTL_OK)
		return r;
	r = ctl_bus_tunnel_path(bus, argv[1], &path);
	if (r == CTL_OK)
		r = ctl_bus_call(bus, path, CTL_IFACE_TUNNEL, member, argv[2], NULL, NULL);
	sd_bus_flush_close_unref(bus);
	free(path);
	return r;
}

int cmd_revoke(int argc, char **argv)
{
	return change_user(argc, argv, "RevokeUser");
}

int cmd_restore(int argc, char **argv)
{
	return change_user(argc, argv, "RestoreUser");
}

int cmd_reload(int argc, char **argv)
{
	sd_bus *bus;
	int r;

	if (argc != 1)
		return CTL_USAGE;
	r = ctl_bus_open(&bus);
	if (r != CTL_OK)
		return r;
	r = ctl_bus_call(bus, CTL_PATH, CTL_IFACE_MANAGER, "Reload", NULL, NULL, NULL);
	sd_bus_flush_close_unref(bus);
	return r;
}
