// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Talking to nexusd: the connection, calls, and the one place where a bus error becomes a sentence
 * and an exit code. Nothing here starts nexusd by bus activation: `nexusctl status` has no side
 * effect.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

static const struct {
	const char *name;
	int code;
} error_codes[] = {
	{ CTL_BUS_NAME ".Error.NoSuchTunnel", CTL_NO_SUCH_TUNNEL },
	{ CTL_BUS_NAME ".Error.AccessDenied", CTL_ACCESS_DENIED },
	{ SD_BUS_ERROR_ACCESS_DENIED, CTL_ACCESS_DENIED },
	{ SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, CTL_ACCESS_DENIED },
	{ SD_BUS_ERROR_SERVICE_UNKNOWN, CTL_NOT_RUNNING },
	{ SD_BUS_ERROR_NAME_HAS_NO_OWNER, CTL_NOT_RUNNING },
	{ SD_BUS_ERROR_DISCONNECTED, CTL_NOT_RUNNING },
	{ SD_BUS_ERROR_NO_REPLY, CTL_TIMEOUT },
	{ SD_BUS_ERROR_TIMEOUT, CTL_TIMEOUT },
};

int ctl_bus_open(sd_bus **bus)
{
	int r;

	r = sd_bus_open_system(bus);
	if (r < 0) {
		ctl_error("cannot connect to the system bus (%s); is dbus running?", strerror(-r));
		return CTL_NOT_RUNNING;
	}
	return CTL_OK;
}

int ctl_bus_report(const sd_bus_error *error, int r)
{
	int code = r == -ETIMEDOUT ? CTL_TIMEOUT : CTL_ERROR;

	for (size_t i = 0; i < sizeof(error_codes) / sizeof(error_codes[0]); i++) {
		if (sd_bus_error_has_name(error, error_codes[i].name))
			code = error_codes[i].code;
	}
	if (r == -ECONNRESET || r == -ENOTCONN)
		code = CTL_NOT_RUNNING;
	if (code == CTL_NOT_RUNNING)
		ctl_error("nexusd is not running; start it with \"systemctl start nexusd\""
			  " (and see \"journalctl -u nexusd\" if it does not stay)");
	else if (code == CTL_ACCESS_DENIED)
		ctl_error("%s Run it as root or as a member of the group nexus.", error->message);
	else if (code == CTL_TIMEOUT)
		ctl_error("nexusd does not answer");
	else
		ctl_error("%s", error && error->message ? error->message : strerror(-r));
	return code;
}

int ctl_bus_bad_reply(int r)
{
	ctl_error("nexusd's answer is not what this nexusctl expects (%s);"
		  " are both of the same version?",
		  strerror(-r));
	return CTL_ERROR;
}

int ctl_bus_call(sd_bus *bus, const char *path, const char *interface, const char *member,
		 const char *arg, sd_bus_message **reply, sd_bus_error *error)
{
	sd_bus_error own_error = SD_BUS_ERROR_NULL;
	sd_bus_error *e = error ? error : &own_error;
	sd_bus_message *m = NULL;
	int r;

	r = sd_bus_message_new_method_call(bus, &m, CTL_BUS_NAME, path, interface, member);
	if (r >= 0)
		r = sd_bus_message_set_auto_start(m, 0);
	if (r >= 0 && arg)
		r = sd_bus_message_append(m, "s", arg);
	if (r >= 0)
		r = sd_bus_call(bus, m, 0, e, reply);
	sd_bus_message_unref(m);
	if (r >= 0)
		return CTL_OK;
	if (error)
		return CTL_ERROR;
	r = ctl_bus_report(e, r);
	sd_bus_error_free(&own_error);
	return r;
}

int ctl_bus_tunnel_path(sd_bus *bus, const char *name, char **path)
{
	sd_bus_message *reply = NULL;
	const char *p;
	int r;

	r = ctl_bus_call(bus, CTL_PATH, CTL_IFACE_MANAGER, "GetTunnel", name, &reply, NULL);
	if (r != CTL_OK)
		return r;
	r = sd_bus_message_read(reply, "o", &p);
	if (r >= 0) {
		*path = strdup(p);
		r = *path ? 0 : -ENOMEM;
	}
	sd_bus_message_unref(reply);
	return r < 0 ? ctl_bus_bad_reply(r) : CTL_OK;
}
