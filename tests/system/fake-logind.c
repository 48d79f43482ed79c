// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logind on the bus of roam.test: takes its name, tells that the machine goes to sleep and that it
 * is awake again, and ends when the bus has the signals.
 */
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

static int say(sd_bus *bus, int start)
{
	return sd_bus_emit_signal(bus, "/org/freedesktop/login1", "org.freedesktop.login1.Manager",
				  "PrepareForSleep", "b", start);
}

int main(void)
{
	sd_bus *bus = NULL;
	int r = sd_bus_open_system(&bus);

	if (r >= 0)
		r = sd_bus_request_name(bus, "org.freedesktop.login1", 0);
	if (r >= 0)
		r = say(bus, 1);
	if (r >= 0)
		r = say(bus, 0);
	if (r >= 0)
		r = sd_bus_flush(bus);
	if (r < 0)
		fprintf(stderr, "fake-logind: %s\n", strerror(-r));
	sd_bus_flush_close_unref(bus);
	return r < 0;
}
