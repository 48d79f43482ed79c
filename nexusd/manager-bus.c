// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The D-Bus face of the manager: the connection, the well-known name and the Manager object.
 *
 * The bus is a convenience: without one, or while it restarts, the tunnels run on and this file
 * tries again in the background, at most every RETRY_MAX_US. nx_manager.bus is set exactly while we
 * own the name on a live connection, so whoever emits a signal has only to look at it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "lib/log.h"
#include "nx-config.h"

#define RETRY_MIN_US UINT64_C(200000)
#define RETRY_MAX_US UINT64_C(5000000)

/* D-Bus specification, RequestName. */
#define REPLY_PRIMARY_OWNER 1
#define REPLY_ALREADY_OWNER 4

static const sd_bus_error_map error_map[] = {
	SD_BUS_ERROR_MAP(NX_BUS_ERROR_NO_SUCH_TUNNEL, ENOENT),
	SD_BUS_ERROR_MAP(NX_BUS_ERROR_NO_SUCH_PEER, ENXIO),
	SD_BUS_ERROR_MAP(NX_BUS_ERROR_ALREADY_CONNECTED, EALREADY),
	SD_BUS_ERROR_MAP(NX_BUS_ERROR_NOT_CONNECTED, ENOTCONN),
	SD_BUS_ERROR_MAP(NX_BUS_ERROR_CONFIGURATION_INVALID, EINVAL),
	SD_BUS_ERROR_MAP(NX_BUS_ERROR_DATA_PLANE_UNAVAILABLE, ENODEV),
	SD_BUS_ERROR_MAP(NX_BUS_ERROR_ACCESS_DENIED, EACCES),
	SD_BUS_ERROR_MAP(NX_BUS_ERROR_BUSY, EBUSY),
	SD_BUS_ERROR_MAP(NX_BUS_ERROR_FAILED, EIO),
	SD_BUS_ERROR_MAP_END,
};

/* ---- methods ---- */

static int append_tunnel(sd_bus_message *reply, const struct nx_tunnel *t)
{
	const char *role = t->config->role == NX_ROLE_SERVER ? "server" : "client";
	char *path = nx_tunnel_bus_path(t);
	int r;

	if (!path)
		return -ENOMEM;
	r = sd_bus_message_append(reply, "(soss)", t->config->name, path, role,
				  nx_tunnel_state_str(t->state));
	free(path);
	return r;
}

static int method_list_tunnels(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct nx_manager *manager = userdata;
	sd_bus_message *reply = NULL;
	struct nx_tunnel *t;
	int r;

	r = sd_bus_message_new_method_return(m, &reply);
	if (r < 0)
		return r;
	r = sd_bus_message_open_container(reply, 'a', "(soss)");
	if (r < 0)
		goto out;
	TAILQ_FOREACH (t, &manager->tunnels, entry) {
		r = append_tunnel(reply, t);
		if (r < 0)
			goto out;
	}
	r = sd_bus_message_close_container(reply);
	if (r < 0)
		goto out;
	r = sd_bus_send(NULL, reply, NULL);
out:
	sd_bus_message_unref(reply);
	return r;
}

static int method_get_tunnel(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct nx_manager *manager = userdata;
	struct nx_tunnel *t;
	const char *name;
	char *path;
	int r;

	r = sd_bus_message_read(m, "s", &name);
	if (r < 0)
		return r;
	t = nx_manager_find_tunnel(manager, name);
	if (!t)
		return sd_bus_error_setf(error, NX_BUS_ERROR_NO_SUCH_TUNNEL,
					 "There is no tunnel \"%s\" in the configuration.", name);
	path = nx_tunnel_bus_path(t);
	if (!path)
		return -ENOMEM;
	r = sd_bus_reply_method_return(m, "o", path);
	free(path);
	return r;
}

static int reload_authorized(sd_bus_message *m, struct nx_manager *manager, sd_bus_error *error)
{
	char text[512] = "", clean[NX_BUS_TEXT_LEN];
	int r;

	r = nx_manager_reload(manager, text, sizeof(text));
	if (r == -EINVAL)
		return sd_bus_error_set(error, NX_BUS_ERROR_CONFIGURATION_INVALID,
					nx_bus_text(text, clean));
	if (r < 0)
		return sd_bus_error_setf(error, NX_BUS_ERROR_FAILED, "Reload failed: %s",
					 text[0] ? nx_bus_text(text, clean) : strerror(-r));
	return sd_bus_reply_method_return(m, NULL);
}

static int method_reload(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return nx_bus_authorize(userdata, m, NX_BUS_ACTION_RELOAD, reload_authorized, error);
}

/* ---- properties ---- */

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
		       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "s", NX_VERSION);
}

static int get_config_file(sd_bus *bus, const char *path, const char *interface,
			   const char *property, sd_bus_message *reply, void *userdata,
			   sd_bus_error *error)
{
	struct nx_manager *manager = userdata;

	return sd_bus_message_append(reply, "s", manager->config_file);
}

static int get_dco_mode(sd_bus *bus, const char *path, const char *interface, const char *property,
			sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	static const char *const names[] = {
		[NX_DCO_DISABLED] = "disabled",
		[NX_DCO_PREFERRED] = "preferred",
		[NX_DCO_REQUIRED] = "required",
	};
	struct nx_manager *manager = userdata;

	return sd_bus_message_append(reply, "s",
				     manager->config ? names[manager->config->dco_mode] : "");
}

static int append_ciphers(sd_bus_message *reply, const struct nx_data_plane_info *d)
{
	const char *names[sizeof(d->ciphers) / sizeof(d->ciphers[0]) + 1] = { NULL };
	int r;

	for (size_t i = 0; i < d->n_ciphers; i++)
		names[i] = nx_bus_cipher_str(d->ciphers[i]);
	r = sd_bus_message_open_container(reply, 'e', "sv");
	if (r < 0)
		return r;
	r = sd_bus_message_append(reply, "s", "ciphers");
	if (r < 0)
		return r;
	r = sd_bus_message_open_container(reply, 'v', "as");
	if (r < 0)
		return r;
	r = sd_bus_message_append_strv(reply, (char **)names);
	if (r < 0)
		return r;
	r = sd_bus_message_close_container(reply);
	if (r < 0)
		return r;
	return sd_bus_message_close_container(reply);
}

/* An absent data plane has a reason and nothing else: what it could do is unknown. */
static int append_data_plane(sd_bus_message *reply, const struct nx_data_plane_info *d)
{
	char text[NX_BUS_TEXT_LEN];
	int r;

	r = sd_bus_message_open_container(reply, 'e', "sa{sv}");
	if (r < 0)
		return r;
	r = sd_bus_message_append(reply, "s", d->name);
	if (r < 0)
		return r;
	r = sd_bus_message_open_container(reply, 'a', "{sv}");
	if (r < 0)
		return r;
	r = sd_bus_message_append(reply, "{sv}", "available", "b", d->available);
	if (r < 0)
		return r;
	if (d->available) {
		r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "release", "s",
					  d->release, "provider", "s", d->provider, "abi-version",
					  "u", d->abi_version, "udp-gso", "b", d->udp_gso,
					  "udp-gro", "b", d->udp_gro, "tun-tso", "b", d->tun_tso,
					  "tun-uso", "b", d->tun_uso);
		if (r < 0)
			return r;
		r = append_ciphers(reply, d);
	} else {
		r = sd_bus_message_append(reply, "{sv}", "reason", "s",
					  nx_bus_text(d->reason, text));
		if (r >= 0 && d->abi_version)
			r = sd_bus_message_append(reply, "{sv}", "abi-version", "u",
						  d->abi_version);
	}
	if (r < 0)
		return r;
	r = sd_bus_message_close_container(reply);
	if (r < 0)
		return r;
	return sd_bus_message_close_container(reply);
}

static int get_data_planes(sd_bus *bus, const char *path, const char *interface,
			   const char *property, sd_bus_message *reply, void *userdata,
			   sd_bus_error *error)
{
	struct nx_manager *manager = userdata;
	int r;

	r = sd_bus_message_open_container(reply, 'a', "{sa{sv}}");
	if (r < 0)
		return r;
	for (size_t i = 0; i < manager->n_data_planes; i++) {
		r = append_data_plane(reply, &manager->data_planes[i]);
		if (r < 0)
			return r;
	}
	return sd_bus_message_close_container(reply);
}

/* DcoMode and DataPlanes announce no change: they are to be read when needed. */
const sd_bus_vtable nx_manager_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("ListTunnels", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(soss)", tunnels),
				method_list_tunnels, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("GetTunnel", SD_BUS_ARGS("s", name), SD_BUS_RESULT("o", tunnel),
				method_get_tunnel, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_reload,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("ConfigFile", "s", get_config_file, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("DcoMode", "s", get_dco_mode, 0, 0),
	SD_BUS_PROPERTY("DataPlanes", "a{sa{sv}}", get_data_planes, 0, 0),
	SD_BUS_SIGNAL_WITH_ARGS("TunnelAdded", SD_BUS_ARGS("s", name, "o", tunnel), 0),
	SD_BUS_SIGNAL_WITH_ARGS("TunnelRemoved", SD_BUS_ARGS("s", name, "o", tunnel), 0),
	SD_BUS_VTABLE_END,
};

/* ---- connection ---- */

static void connection_drop(struct nx_manager_bus *face)
{
	face->manager->bus = NULL;
	if (!face->bus)
		return;
	nx_bus_pending_cancel(face);
	if (sd_bus_is_ready(face->bus) > 0)
		sd_bus_flush(face->bus);
	face->bus = sd_bus_close_unref(face->bus);
}

static void retry_later(struct nx_manager_bus *face)
{
	int r;

	r = sd_event_source_set_time_relative(face->retry, face->retry_delay_us);
	if (r >= 0)
		r = sd_event_source_set_enabled(face->retry, SD_EVENT_ONESHOT);
	if (r < 0)
		nx_err("D-Bus: cannot arm the timer for the next attempt: %s", strerror(-r));
	face->retry_delay_us *= 2;
	if (face->retry_delay_us > RETRY_MAX_US)
		face->retry_delay_us = RETRY_MAX_US;
}

/* One line per outage, not per attempt. The connection itself is dropped by the timer, because this
 * may run inside one of its callbacks.
 */
static void connection_failed(struct nx_manager_bus *face, const char *what)
{
	face->manager->bus = NULL;
	if (!face->failure_logged)
		nx_log_full(LOG_WARNING, "BusUnavailable", NULL,
			    "D-Bus: %s; tunnels are not affected, trying again in the background",
			    what);
	face->failure_logged = true;
	retry_later(face);
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	connection_failed(userdata, "connection to the system bus lost");
	return 0;
}

static int on_name_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct nx_manager_bus *face = userdata;
	uint32_t code = 0;
	char text[256];
	int r;

	if (sd_bus_message_is_method_error(m, NULL)) {
		snprintf(text, sizeof(text), "the bus refuses the name " NX_BUS_NAME " (%s)",
			 sd_bus_message_get_error(m)->message);
		connection_failed(face, text);
		return 0;
	}
	r = sd_bus_message_read(m, "u", &code);
	if (r < 0 || (code != REPLY_PRIMARY_OWNER && code != REPLY_ALREADY_OWNER)) {
		connection_failed(face, "another process owns " NX_BUS_NAME);
		return 0;
	}
	face->manager->bus = face->bus;
	face->retry_delay_us = RETRY_MIN_US;
	face->failure_logged = false;
	nx_info("D-Bus: serving " NX_BUS_NAME);
	return 0;
}

/* PrepareForSleep(b start): true before the machine sleeps, false when it is awake again. */
static int on_prepare_for_sleep(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct nx_manager_bus *face = userdata;
	int start, r;

	/* The bus lets only logind's broadcasts through to us; anybody may send us a signal of our own. */
	if (sd_bus_message_get_destination(m))
		return 0;
	r = sd_bus_message_read(m, "b", &start);
	if (r >= 0 && !start)
		nx_manager_resumed(face->manager);
	return 0;
}

static int connection_setup(struct nx_manager_bus *face)
{
	struct nx_manager *manager = face->manager;
	sd_bus *bus = face->bus;
	int r;

	r = sd_bus_set_exit_on_disconnect(bus, 0);
	if (r < 0)
		return r;
	r = sd_bus_match_signal_async(bus, NULL, "org.freedesktop.DBus.Local",
				      "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
				      "Disconnected", on_disconnected, NULL, face);
	if (r < 0)
		return r;
	/* Whether there is a logind or not. Without one the clocks tell (sleep-clock.h), half a second later. */
	r = sd_bus_match_signal_async(bus, NULL, "org.freedesktop.login1",
				      "/org/freedesktop/login1", "org.freedesktop.login1.Manager",
				      "PrepareForSleep", on_prepare_for_sleep, NULL, face);
	if (r < 0)
		return r;
	r = sd_bus_add_object_manager(bus, NULL, NX_BUS_PATH);
	if (r < 0)
		return r;
	r = sd_bus_add_object_vtable(bus, NULL, NX_BUS_PATH, NX_BUS_IFACE_MANAGER,
				     nx_manager_vtable, manager);
	if (r < 0)
		return r;
	r = nx_tunnel_bus_register(bus, manager);
	if (r < 0)
		return r;
	r = nx_peer_bus_register(bus, manager);
	if (r < 0)
		return r;
	r = sd_bus_attach_event(bus, manager->event, SD_EVENT_PRIORITY_NORMAL);
	if (r < 0)
		return r;
	return sd_bus_request_name_async(bus, NULL, NX_BUS_NAME, 0, on_name_reply, face);
}

static void connection_open(struct nx_manager_bus *face)
{
	char text[256];
	int r;

	connection_drop(face);
	r = sd_bus_open_system_with_description(&face->bus, "nexusd");
	if (r >= 0)
		r = connection_setup(face);
	if (r < 0) {
		snprintf(text, sizeof(text), "no system bus (%s)", strerror(-r));
		connection_failed(face, text);
	}
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	connection_open(userdata);
	return 0;
}

int nx_manager_bus_start(struct nx_manager *m)
{
	struct nx_manager_bus *face;
	int r;

	r = sd_bus_error_add_map(error_map);
	if (r < 0)
		return r;
	face = calloc(1, sizeof(*face));
	if (!face)
		return -ENOMEM;
	face->manager = m;
	face->retry_delay_us = RETRY_MIN_US;
	TAILQ_INIT(&face->pending);
	r = sd_event_add_time(m->event, &face->retry, CLOCK_MONOTONIC, UINT64_MAX, 0, on_retry,
			      face);
	if (r < 0) {
		free(face);
		return r;
	}
	m->bus_face = face;
	connection_open(face);
	return 0;
}

void nx_manager_bus_stop(struct nx_manager *m)
{
	struct nx_manager_bus *face = m->bus_face;

	if (!face)
		return;
	connection_drop(face);
	sd_event_source_disable_unref(face->retry);
	m->bus_face = NULL;
	free(face);
}
