// SPDX-License-Identifier: GPL-2.0-or-later
/* monitor: one line for every change of a tunnel's state, until interrupted. Survives nexusd. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl.h"

static void print_time(void)
{
	time_t now = time(NULL);
	char text[40] = "?";
	struct tm tm;

	if (localtime_r(&now, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", &tm);
	printf("%s ", text);
}

static int on_state_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *old, *state, *reason, *text;
	char *name = NULL;

	if (sd_bus_message_read(m, "ssss", &old, &state, &reason, &text) < 0 ||
	    sd_bus_path_decode(sd_bus_message_get_path(m), CTL_PATH "/tunnel", &name) <= 0)
		return 0;
	print_time();
	printf("%s: %s -> %s", name, old, state);
	if (strcmp(reason, "none"))
		printf(" (%s)", reason);
	if (text[0]) {
		fputs(": ", stdout);
		ctl_print_clean(text);
	}
	putchar('\n');
	free(name);
	return 0;
}

static int on_tunnel(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *name;

	if (sd_bus_message_read(m, "s", &name) < 0)
		return 0;
	print_time();
	printf("%s: %s\n", name, (const char *)userdata);
	return 0;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *name, *old, *new;

	if (sd_bus_message_read(m, "sss", &name, &old, &new) < 0)
		return 0;
	print_time();
	printf("nexusd %s\n", !new[0] ? "stopped" : !old[0] ? "started" : "was replaced");
	return 0;
}

static int subscribe(sd_bus *bus)
{
	static char added[] = "added to the configuration";
	static char removed[] = "removed from the configuration";
	int r;

	r = sd_bus_match_signal(bus, NULL, CTL_BUS_NAME, NULL, CTL_IFACE_TUNNEL, "StateChanged",
				on_state_changed, NULL);
	if (r >= 0)
		r = sd_bus_match_signal(bus, NULL, CTL_BUS_NAME, CTL_PATH, CTL_IFACE_MANAGER,
					"TunnelAdded", on_tunnel, added);
	if (r >= 0)
		r = sd_bus_match_signal(bus, NULL, CTL_BUS_NAME, CTL_PATH, CTL_IFACE_MANAGER,
					"TunnelRemoved", on_tunnel, removed);
	if (r >= 0)
		r = sd_bus_add_match(bus, NULL,
				     "type='signal',sender='org.freedesktop.DBus',"
				     "member='NameOwnerChanged',arg0='" CTL_BUS_NAME "'",
				     on_owner_changed, NULL);
	return r;
}

int cmd_monitor(int argc, char **argv)
{
	sd_bus *bus;
	int r;

	if (argc != 1)
		return CTL_USAGE;
	r = ctl_bus_open(&bus);
	if (r != CTL_OK)
		return r;
	setvbuf(stdout, NULL, _IOLBF, 0);
	r = subscribe(bus);
	if (r >= 0) {
		/* Fails here, with a reason, if nexusd is not there. */
		r = ctl_bus_call(bus, CTL_PATH, "org.freedesktop.DBus.Peer", "Ping", NULL, NULL,
				 NULL);
		if (r != CTL_OK)
			goto out;
		print_time();
		printf("nexusd is running\n");
	}
	while (r >= 0 && !ferror(stdout)) {
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, UINT64_MAX);
		if (r == -EINTR)
			r = 0;
	}
	r = r < 0 ? ctl_bus_report(NULL, r) : CTL_ERROR;
out:
	sd_bus_flush_close_unref(bus);
	return r;
}
