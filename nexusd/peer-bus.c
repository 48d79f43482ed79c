// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The D-Bus face of a server's session: one Peer object per connected client, below the tunnel's
 * object, found by the session's number in its path. A client's own session is not a peer: its
 * properties are those of the tunnel.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "lib/log.h"

#define PEER_PATH NX_BUS_TUNNEL_PREFIX "/%/peer/%"

static char *peer_path(const struct nx_session *s)
{
	char *path = NULL;
	char id[21];

	snprintf(id, sizeof(id), "%" PRIu64, s->peer_id);
	if (sd_bus_path_encode_many(&path, PEER_PATH, s->tunnel->config->name, id) < 0)
		return NULL;
	return path;
}

static struct nx_session *peer_by_path(struct nx_manager *manager, const char *path)
{
	char *name = NULL, *id = NULL, text[21];
	struct nx_session *s = NULL;
	struct nx_tunnel *t;

	if (sd_bus_path_decode_many(path, PEER_PATH, &name, &id) <= 0)
		return NULL;
	t = nx_manager_find_tunnel(manager, name);
	if (t && t->config->role == NX_ROLE_SERVER) {
		TAILQ_FOREACH (s, &t->sessions, entry) {
			snprintf(text, sizeof(text), "%" PRIu64, s->peer_id);
			if (!s->waits && !strcmp(text, id))
				break;
		}
	}
	free(name);
	free(id);
	return s;
}

/* ---- methods ---- */

static int disconnect_authorized(sd_bus_message *m, struct nx_manager *manager, sd_bus_error *error)
{
	struct nx_session *s = peer_by_path(manager, sd_bus_message_get_path(m));
	int r;

	if (!s)
		return sd_bus_error_setf(error, NX_BUS_ERROR_NO_SUCH_PEER,
					 "There is no peer at %s.", sd_bus_message_get_path(m));
	r = nx_session_disconnect(s);
	if (r < 0)
		return sd_bus_error_setf(error, NX_BUS_ERROR_FAILED,
					 "The session cannot be closed: %s.", strerror(-r));
	return sd_bus_reply_method_return(m, NULL);
}

static int method_disconnect(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct nx_session *s = userdata;

	return nx_bus_authorize(s->tunnel->manager, m, NX_BUS_ACTION_DISCONNECT,
				disconnect_authorized, error);
}

static int method_get_statistics(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct nx_bus_pending *request = NULL;
	struct nx_session *s = userdata;
	int r;

	r = nx_bus_statistics_begin(s->tunnel->manager, m, &request, error);
	if (r < 0)
		return r;
	r = nx_session_get_stats(s, nx_bus_statistics_done, request);
	if (r < 0) {
		nx_bus_statistics_abort(request);
		return sd_bus_error_setf(error, NX_BUS_ERROR_FAILED,
					 "The data plane gave no statistics: %s.", strerror(-r));
	}
	return 1;
}

/* ---- properties ---- */

static int get_user(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct nx_session *s = userdata;
	char text[NX_BUS_TEXT_LEN];

	return sd_bus_message_append(reply, "s", nx_bus_text(s->user_name, text));
}

static int get_endpoint(sd_bus *bus, const char *path, const char *interface, const char *property,
			sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct nx_session *s = userdata;
	char text[NX_ADDR_STRLEN];

	return sd_bus_message_append(reply, "s", nx_endpoint_format(&s->remote, text));
}

static int get_addresses(sd_bus *bus, const char *path, const char *interface, const char *property,
			 sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct nx_session *s = userdata;

	return nx_bus_append_prefixes(reply, s->addresses, s->n_addresses);
}

static int get_cipher(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct nx_session *s = userdata;

	return sd_bus_message_append(reply, "s", nx_bus_cipher_str(s->cipher));
}

static int get_key_exchange(sd_bus *bus, const char *path, const char *interface,
			    const char *property, sd_bus_message *reply, void *userdata,
			    sd_bus_error *error)
{
	struct nx_session *s = userdata;

	return sd_bus_message_append(reply, "s", nx_bus_key_exchange_str(s->key_exchange));
}

static int get_preshared_key(sd_bus *bus, const char *path, const char *interface,
			     const char *property, sd_bus_message *reply, void *userdata,
			     sd_bus_error *error)
{
	struct nx_session *s = userdata;

	return sd_bus_message_append(reply, "b", s->has_psk);
}

static int get_connected_since(sd_bus *bus, const char *path, const char *interface,
			       const char *property, sd_bus_message *reply, void *userdata,
			       sd_bus_error *error)
{
	struct nx_session *s = userdata;

	return sd_bus_message_append(reply, "t", s->connected_since_s);
}

static int get_old_server_key(sd_bus *bus, const char *path, const char *interface,
			      const char *property, sd_bus_message *reply, void *userdata,
			      sd_bus_error *error)
{
	struct nx_session *s = userdata;

	return sd_bus_message_append(reply, "b", s->old_key);
}

static int get_last_handshake(sd_bus *bus, const char *path, const char *interface,
			      const char *property, sd_bus_message *reply, void *userdata,
			      sd_bus_error *error)
{
	struct nx_session *s = userdata;

	return sd_bus_message_append(reply, "t", s->last_handshake_s);
}

#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

const sd_bus_vtable nx_peer_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("GetStatistics", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", statistics),
				method_get_statistics, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Disconnect", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_disconnect,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY("User", "s", get_user, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Endpoint", "s", get_endpoint, 0, CHANGES),
	SD_BUS_PROPERTY("Addresses", "as", get_addresses, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Cipher", "s", get_cipher, 0, CHANGES),
	SD_BUS_PROPERTY("KeyExchange", "s", get_key_exchange, 0, CHANGES),
	SD_BUS_PROPERTY("PresharedKey", "b", get_preshared_key, 0, CHANGES),
	SD_BUS_PROPERTY("ConnectedSince", "t", get_connected_since, 0,
			SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("OldServerKey", "b", get_old_server_key, 0, CHANGES),
	SD_BUS_PROPERTY("LastHandshake", "t", get_last_handshake, 0, CHANGES),
	SD_BUS_VTABLE_END,
};

/* ---- objects ---- */

static int peer_find(sd_bus *bus, const char *path, const char *interface, void *userdata,
		     void **found, sd_bus_error *error)
{
	struct nx_session *s = peer_by_path(userdata, path);

	*found = s;
	return s != NULL;
}

int nx_peer_bus_register(sd_bus *bus, struct nx_manager *manager)
{
	return sd_bus_add_fallback_vtable(bus, NULL, NX_BUS_TUNNEL_PREFIX, NX_BUS_IFACE_PEER,
					  nx_peer_vtable, peer_find, manager);
}

int nx_peer_bus_enumerate(struct nx_tunnel *t, char ***paths, size_t *n)
{
	struct nx_session *s;
	int r;

	if (t->config->role != NX_ROLE_SERVER)
		return 0;
	TAILQ_FOREACH (s, &t->sessions, entry) {
		if (s->waits)
			continue;
		r = nx_bus_push_path(paths, n, peer_path(s));
		if (r < 0)
			return r;
	}
	return 0;
}

static void log_emit(const struct nx_session *s, const char *what, int r)
{
	if (r < 0)
		nx_log_full(LOG_DEBUG, NULL, s->tunnel->config->name, "D-Bus: cannot send %s: %s",
			    what, strerror(-r));
}

static char *path_to_emit(const struct nx_session *s)
{
	if (!s->tunnel->manager->bus || s->tunnel->config->role != NX_ROLE_SERVER)
		return NULL;
	return peer_path(s);
}

void nx_session_bus_added(struct nx_session *s)
{
	char *path = path_to_emit(s);

	if (!path)
		return;
	log_emit(s, "InterfacesAdded", sd_bus_emit_object_added(s->tunnel->manager->bus, path));
	free(path);
}

void nx_session_bus_changed(struct nx_session *s)
{
	char *path = path_to_emit(s);

	if (!path)
		return;
	log_emit(s, "PropertiesChanged",
		 sd_bus_emit_properties_changed(s->tunnel->manager->bus, path, NX_BUS_IFACE_PEER,
						"Cipher", "KeyExchange", "PresharedKey",
						"OldServerKey", "LastHandshake", NULL));
	free(path);
}

/* As with tunnels, the session may be off the list by now. */
void nx_session_bus_removed(struct nx_session *s)
{
	char *path = path_to_emit(s);
	int r;

	if (!path)
		return;
	r = sd_bus_emit_interfaces_removed(
		s->tunnel->manager->bus, path, NX_BUS_IFACE_PEER, "org.freedesktop.DBus.Peer",
		"org.freedesktop.DBus.Introspectable", "org.freedesktop.DBus.Properties", NULL);
	log_emit(s, "InterfacesRemoved", r);
	free(path);
}

void nx_session_bus_moved(struct nx_session *s)
{
	char *path = path_to_emit(s);

	if (!path)
		return;
	log_emit(s, "PropertiesChanged",
		 sd_bus_emit_properties_changed(s->tunnel->manager->bus, path, NX_BUS_IFACE_PEER,
						"Endpoint", NULL));
	free(path);
}
