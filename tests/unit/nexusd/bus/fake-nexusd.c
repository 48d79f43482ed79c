// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A nexusd of air for the tests of nexusctl and of the bus policy: the real D-Bus face over the
 * fake manager, with one tunnel for every outcome. Ends with its standard input. "--introspect"
 * prints the XML of the vtables instead; "--bad-config" makes every reload fail.
 */
#include <string.h>
#include <unistd.h>

#include "fake.h"

static int on_stdin(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	char buf[64];

	if (read(fd, buf, sizeof(buf)) <= 0)
		sd_event_exit(sd_event_source_get_event(source), 0);
	return 0;
}

static void add_tunnels(struct nx_manager *m)
{
	static char *lines[] = { (char *)"connection ID 4 bytes", (char *)"first \x01 flight",
				 NULL };
	static char *differences[] = { (char *)"session tickets: none", NULL };
	struct nx_tunnel *t;

	fake_tunnel_add(m, "office", NX_ROLE_CLIENT, FAKE_CONNECTS);
	fake_tunnel_add(m, "my-vpn_2", NX_ROLE_CLIENT, FAKE_CONNECTS);
	fake_tunnel_add(m, "refused", NX_ROLE_CLIENT, FAKE_REFUSED);
	fake_tunnel_add(m, "silent", NX_ROLE_CLIENT, FAKE_SILENT);
	fake_tunnel_add(m, "broken", NX_ROLE_CLIENT, FAKE_BROKEN);
	fake_tunnel_add(m, "planeless", NX_ROLE_CLIENT, FAKE_NO_DATA_PLANE);
	t = fake_tunnel_add(m, "public", NX_ROLE_SERVER, FAKE_CONNECTS);
	nx_tunnel_connect(t);
	fake_session_add(t, 7, "alice \"a\" \x01", "10.66.0.2/32");
	fake_session_add(t, 8, "bob", "fd66::2/128");
	snprintf(t->cover_address, sizeof(t->cover_address), "192.0.2.80:443");
	t->cover_state = "alive";
	fake_cover_learnt(t, 1700000000, lines, differences);
	fake_tunnel_add(m, "fresh", NX_ROLE_SERVER, FAKE_CONNECTS);
}

int main(int argc, char **argv)
{
	sd_event_source *input = NULL;
	sd_event *event = NULL;
	struct nx_manager *m;
	int r;

	if (argc > 1 && !strcmp(argv[1], "--introspect"))
		return nx_bus_introspect(stdout) < 0;
	if (sd_event_default(&event) < 0)
		return 1;
	m = fake_manager_new(event);
	if (argc > 1 && !strcmp(argv[1], "--bad-config"))
		m->priv->reload_error = "/etc/nexus/nexus.conf:7: mtu: 70000 is out of range";
	add_tunnels(m);
	r = sd_event_add_io(event, &input, STDIN_FILENO, EPOLLIN, on_stdin, NULL);
	if (r >= 0)
		r = nx_manager_bus_start(m);
	if (r >= 0)
		r = sd_event_loop(event);
	nx_manager_bus_stop(m);
	fake_manager_free(m);
	sd_event_source_unref(input);
	sd_event_unref(event);
	return r < 0;
}
