// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The D-Bus face of a tunnel. Objects are not registered one by one: a fallback vtable looks the
 * tunnel up by the name in its path, so an object exists exactly as long as its tunnel is on the
 * manager's list. tunnel.c calls the nx_tunnel_bus_*() functions after it changed something;
 * without a bus they do nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "lib/log.h"
#include "linux/nexus_quic_dco.h"

char *nx_tunnel_bus_path(const struct nx_tunnel *t)
{
	char *path = NULL;

	if (sd_bus_path_encode(NX_BUS_TUNNEL_PREFIX, t->config->name, &path) < 0)
		return NULL;
	return path;
}

static struct nx_tunnel *tunnel_by_path(struct nx_manager *manager, const char *path)
{
	struct nx_tunnel *t;
	char *name = NULL;

	if (sd_bus_path_decode_many(path, NX_BUS_TUNNEL_PREFIX "/%", &name) <= 0)
		return NULL;
	t = nx_manager_find_tunnel(manager, name);
	free(name);
	return t;
}

const char *nx_bus_cipher_str(uint16_t cipher)
{
	switch (cipher) {
	case 0:
		return "";
	case NQD_CIPHER_AES_128_GCM:
		return "aes-128-gcm";
	case NQD_CIPHER_AES_256_GCM:
		return "aes-256-gcm";
	case NQD_CIPHER_CHACHA20_POLY1305:
		return "chacha20-poly1305";
	default:
		return "unknown";
	}
}

/* The names of the IANA registry of TLS supported groups. */
const char *nx_bus_key_exchange_str(uint16_t group)
{
	switch (group) {
	case 0:
		return "";
	case 0x0017:
		return "secp256r1";
	case 0x0018:
		return "secp384r1";
	case 0x0019:
		return "secp521r1";
	case 0x001d:
		return "X25519";
	case 0x11ec:
		return "X25519MLKEM768";
	default:
		return "unknown";
	}
}

int nx_bus_append_prefixes(sd_bus_message *m, const struct nx_prefix *prefixes, size_t n)
{
	char text[NX_ADDR_STRLEN];
	int r;

	r = sd_bus_message_open_container(m, 'a', "s");
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = sd_bus_message_append(m, "s", nx_prefix_format(&prefixes[i], text));
	return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Bytes of the UTF-8 character at @s (RFC 3629), 0 if it is none. */
static size_t utf8_char_len(const unsigned char *s)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t len;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		len = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		len = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		len = 4;
	else
		return 0;
	/* No overlong forms, no surrogates, nothing above U+10FFFF. */
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	for (size_t i = 1; i < len; i++) {
		if (s[i] < low || s[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return len;
}

const char *nx_bus_text(const char *text, char buf[NX_BUS_TEXT_LEN])
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n = 0;

	while (*s) {
		size_t len = utf8_char_len(s);

		if (n + (len ? len : 1) >= NX_BUS_TEXT_LEN)
			break;
		if (len == 0) {
			buf[n++] = '?';
			s++;
			continue;
		}
		memcpy(buf + n, s, len);
		n += len;
		s += len;
	}
	buf[n] = '\0';
	return buf;
}

/* ---- methods ---- */

static int no_such_tunnel(sd_bus_message *m, sd_bus_error *error)
{
	return sd_bus_error_setf(error, NX_BUS_ERROR_NO_SUCH_TUNNEL, "There is no tunnel at %s.",
				 sd_bus_message_get_path(m));
}

static const char *connect_error_name(const struct nx_tunnel *t)
{
	switch (t->reason) {
	case NX_REASON_CONFIGURATION:
		return NX_BUS_ERROR_CONFIGURATION_INVALID;
	case NX_REASON_DATA_PLANE_LOST:
		return NX_BUS_ERROR_DATA_PLANE_UNAVAILABLE;
	default:
		return NX_BUS_ERROR_FAILED;
	}
}

static int connect_authorized(sd_bus_message *m, struct nx_manager *manager, sd_bus_error *error)
{
	struct nx_tunnel *t = tunnel_by_path(manager, sd_bus_message_get_path(m));
	char text[NX_BUS_TEXT_LEN];
	int r;

	if (!t)
		return no_such_tunnel(m, error);
	r = nx_tunnel_connect(t);
	if (r == -EALREADY)
		return sd_bus_error_setf(error, NX_BUS_ERROR_ALREADY_CONNECTED,
					 "Tunnel \"%s\" is %s already.", t->config->name,
					 nx_tunnel_state_str(t->state));
	if (r < 0)
		return sd_bus_error_set(error, connect_error_name(t),
					t->text[0] ? nx_bus_text(t->text, text) : strerror(-r));
	return sd_bus_reply_method_return(m, NULL);
}

static int disconnect_authorized(sd_bus_message *m, struct nx_manager *manager, sd_bus_error *error)
{
	struct nx_tunnel *t = tunnel_by_path(manager, sd_bus_message_get_path(m));
	int r;

	if (!t)
		return no_such_tunnel(m, error);
	r = nx_tunnel_disconnect(t);
	if (r == -EALREADY)
		return sd_bus_error_setf(error, NX_BUS_ERROR_NOT_CONNECTED,
					 "Tunnel \"%s\" is not connected.", t->config->name);
	if (r < 0)
		return sd_bus_error_setf(error, NX_BUS_ERROR_FAILED,
					 "Tunnel \"%s\" cannot be closed: %s.", t->config->name,
					 strerror(-r));
	return sd_bus_reply_method_return(m, NULL);
}

static int revoke_authorized(sd_bus_message *m, struct nx_manager *manager, sd_bus_error *error)
{
	struct nx_tunnel *t = tunnel_by_path(manager, sd_bus_message_get_path(m));
	bool revoke = !strcmp(sd_bus_message_get_member(m), "RevokeUser");
	const char *user;
	int r;

	if (!t)
		return no_such_tunnel(m, error);
	r = sd_bus_message_rewind(m, true);
	if (r >= 0)
		r = sd_bus_message_read(m, "s", &user);
	if (r < 0)
		return r;
	r = nx_tunnel_revoke(t, user, revoke);
	if (r == -EINVAL)
		return sd_bus_error_setf(error, NX_BUS_ERROR_FAILED,
					 "Tunnel \"%s\" is no server: it has no users.",
					 t->config->name);
	if (r == -ENOENT)
		return sd_bus_error_setf(error, NX_BUS_ERROR_FAILED,
					 "Tunnel \"%s\" has no user of that name.",
					 t->config->name);
	if (r < 0)
		return sd_bus_error_setf(error, NX_BUS_ERROR_FAILED,
					 "Done, but a restart of nexusd will undo it: the list of "
					 "revoked users cannot be written: %s.",
					 strerror(-r));
	return sd_bus_reply_method_return(m, NULL);
}

static int method_revoke(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct nx_tunnel *t = userdata;

	return nx_bus_authorize(t->manager, m, NX_BUS_ACTION_CONNECT, revoke_authorized, error);
}

static int method_connect(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct nx_tunnel *t = userdata;

	return nx_bus_authorize(t->manager, m, NX_BUS_ACTION_CONNECT, connect_authorized, error);
}

static int method_disconnect(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct nx_tunnel *t = userdata;

	return nx_bus_authorize(t->manager, m, NX_BUS_ACTION_DISCONNECT, disconnect_authorized,
				error);
}

static int method_get_statistics(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct nx_bus_pending *request = NULL;
	struct nx_tunnel *t = userdata;
	int r;

	r = nx_bus_statistics_begin(t->manager, m, &request, error);
	if (r < 0)
		return r;
	r = nx_tunnel_get_stats(t, nx_bus_statistics_done, request);
	if (r < 0) {
		nx_bus_statistics_abort(request);
		if (r == -ENOTCONN)
			return sd_bus_error_setf(error, NX_BUS_ERROR_NOT_CONNECTED,
						 "Tunnel \"%s\" is not connected.",
						 t->config->name);
		return sd_bus_error_setf(error, NX_BUS_ERROR_FAILED,
					 "The data plane gave no statistics: %s.", strerror(-r));
	}
	return 1;
}

static int append_texts(sd_bus_message *m, char **texts)
{
	char text[NX_BUS_TEXT_LEN];
	int r = sd_bus_message_open_container(m, 'a', "s");

	for (; r >= 0 && texts && *texts; texts++)
		r = sd_bus_message_append(m, "s", nx_bus_text(*texts, text));
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int method_get_cover_profile(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct nx_tunnel *t = userdata;
	const struct nx_cover_profile *p = &t->cover_profile;
	sd_bus_message *reply = NULL;
	int r;

	if (t->config->role != NX_ROLE_SERVER)
		return sd_bus_error_setf(error, NX_BUS_ERROR_FAILED,
					 "Tunnel \"%s\" is no server: it has no cover.",
					 t->config->name);
	r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = sd_bus_message_append(reply, "t", p->learnt_s);
	if (r >= 0)
		r = append_texts(reply, p->lines);
	if (r >= 0)
		r = append_texts(reply, p->differences);
	if (r >= 0)
		r = sd_bus_message_send(reply);
	sd_bus_message_unref(reply);
	return r;
}

/* ---- properties ---- */

/* The signature all getters share; the body reads @t and appends to @reply. */
#define GETTER(getter)                                                                 \
	static int getter(sd_bus *bus, const char *path, const char *interface,        \
			  const char *property, sd_bus_message *reply, void *userdata, \
			  sd_bus_error *error)

/* A client's one session, NULL without one and on a server. */
static const struct nx_session *client_session(const struct nx_tunnel *t)
{
	return t->config->role == NX_ROLE_CLIENT ? TAILQ_FIRST(&t->sessions) : NULL;
}

GETTER(get_name)
{
	struct nx_tunnel *t = userdata;

	return sd_bus_message_append(reply, "s", t->config->name);
}

GETTER(get_role)
{
	struct nx_tunnel *t = userdata;

	return sd_bus_message_append(reply, "s",
				     t->config->role == NX_ROLE_SERVER ? "server" : "client");
}

GETTER(get_state)
{
	struct nx_tunnel *t = userdata;

	return sd_bus_message_append(reply, "s", nx_tunnel_state_str(t->state));
}

GETTER(get_state_reason)
{
	struct nx_tunnel *t = userdata;

	return sd_bus_message_append(reply, "s", nx_reason_str(t->reason));
}

GETTER(get_state_text)
{
	struct nx_tunnel *t = userdata;
	char text[NX_BUS_TEXT_LEN];

	return sd_bus_message_append(reply, "s", nx_bus_text(t->text, text));
}

GETTER(get_data_plane)
{
	struct nx_tunnel *t = userdata;

	return sd_bus_message_append(reply, "s", t->data_plane ? t->data_plane : "");
}

GETTER(get_data_plane_reason)
{
	struct nx_tunnel *t = userdata;
	char text[NX_BUS_TEXT_LEN];

	return sd_bus_message_append(reply, "s", nx_bus_text(t->data_plane_reason, text));
}

GETTER(get_interface)
{
	struct nx_tunnel *t = userdata;

	return sd_bus_message_append(reply, "s", t->ifname);
}

/* Client: the server's address in use, else as configured. Server: its clients are the peers. */
GETTER(get_endpoint)
{
	struct nx_tunnel *t = userdata;
	const struct nx_session *s = client_session(t);
	const char *configured = t->config->endpoint ? t->config->endpoint : "";
	char text[NX_ADDR_STRLEN];

	return sd_bus_message_append(reply, "s",
				     s ? nx_endpoint_format(&s->remote, text) : configured);
}

/* Client: the address its packets leave from. Server: where it listens, separated by blanks. */
GETTER(get_local_endpoint)
{
	struct nx_tunnel *t = userdata;
	const struct nx_session *s = client_session(t);
	char one[NX_ADDR_STRLEN], *all = NULL;
	size_t len;
	FILE *out;
	int r;

	if (s)
		return sd_bus_message_append(reply, "s", nx_endpoint_format(&s->local, one));
	out = open_memstream(&all, &len);
	if (!out)
		return -ENOMEM;
	for (size_t i = 0; t->config->role == NX_ROLE_SERVER && i < t->config->n_listen; i++)
		fprintf(out, "%s%s", i ? " " : "", nx_endpoint_format(&t->config->listen[i], one));
	if (fclose(out))
		r = -ENOMEM;
	else
		r = sd_bus_message_append(reply, "s", all);
	free(all);
	return r;
}

GETTER(get_addresses)
{
	struct nx_tunnel *t = userdata;

	return nx_bus_append_prefixes(reply, t->addresses, t->n_addresses);
}

GETTER(get_routes)
{
	struct nx_tunnel *t = userdata;

	return nx_bus_append_prefixes(reply, t->routes, t->n_routes);
}

GETTER(get_dns)
{
	struct nx_tunnel *t = userdata;

	return sd_bus_message_append_strv(reply, t->dns);
}

GETTER(get_dns_domains)
{
	struct nx_tunnel *t = userdata;

	return sd_bus_message_append_strv(reply, t->dns_domains);
}

GETTER(get_mtu)
{
	struct nx_tunnel *t = userdata;

	return sd_bus_message_append(reply, "u", t->mtu);
}

GETTER(get_cipher)
{
	const struct nx_session *s = client_session(userdata);

	return sd_bus_message_append(reply, "s", nx_bus_cipher_str(s ? s->cipher : 0));
}

GETTER(get_congestion)
{
	const struct nx_tunnel *t = userdata;
	const char *name = t->config->congestion;

	return sd_bus_message_append(
		reply, "s", t->config->fixed_rate_mbit ? NX_FIXED_RATE " (test only)" : name);
}

GETTER(get_key_exchange)
{
	const struct nx_session *s = client_session(userdata);

	return sd_bus_message_append(reply, "s", nx_bus_key_exchange_str(s ? s->key_exchange : 0));
}

GETTER(get_preshared_key)
{
	const struct nx_session *s = client_session(userdata);

	return sd_bus_message_append(reply, "b", s ? s->has_psk : false);
}

GETTER(get_connected_since)
{
	const struct nx_session *s = client_session(userdata);

	return sd_bus_message_append(reply, "t", s ? s->connected_since_s : 0);
}

GETTER(get_last_handshake)
{
	const struct nx_session *s = client_session(userdata);

	return sd_bus_message_append(reply, "t", s ? s->last_handshake_s : 0);
}

GETTER(get_cover_address)
{
	struct nx_tunnel *t = userdata;

	return sd_bus_message_append(reply, "s", t->cover_address);
}

GETTER(get_cover_state)
{
	struct nx_tunnel *t = userdata;

	return sd_bus_message_append(reply, "s", t->cover_state ? t->cover_state : "");
}

GETTER(get_cover_learnt)
{
	struct nx_tunnel *t = userdata;

	return sd_bus_message_append(reply, "t", t->cover_profile.learnt_s);
}

GETTER(get_revoked_users)
{
	struct nx_tunnel *t = userdata;
	int r = sd_bus_message_open_container(reply, 'a', "s");

	for (size_t i = 0; r >= 0 && i < t->config->n_users; i++)
		if (t->config->users[i].revoked)
			r = sd_bus_message_append(reply, "s", t->config->users[i].name);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

#define CONST SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

const sd_bus_vtable nx_tunnel_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("Connect", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_connect,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Disconnect", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_disconnect,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("RevokeUser", SD_BUS_ARGS("s", user), SD_BUS_NO_RESULT,
				method_revoke, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("RestoreUser", SD_BUS_ARGS("s", user), SD_BUS_NO_RESULT,
				method_revoke, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("GetStatistics", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", statistics),
				method_get_statistics, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("GetCoverProfile", SD_BUS_NO_ARGS,
				SD_BUS_RESULT("t", learnt, "as", profile, "as", differences),
				method_get_cover_profile, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY("Name", "s", get_name, 0, CONST),
	SD_BUS_PROPERTY("Role", "s", get_role, 0, CONST),
	SD_BUS_PROPERTY("State", "s", get_state, 0, CHANGES),
	SD_BUS_PROPERTY("StateReason", "s", get_state_reason, 0, CHANGES),
	SD_BUS_PROPERTY("StateText", "s", get_state_text, 0, CHANGES),
	SD_BUS_PROPERTY("DataPlane", "s", get_data_plane, 0, CHANGES),
	SD_BUS_PROPERTY("DataPlaneReason", "s", get_data_plane_reason, 0, CHANGES),
	SD_BUS_PROPERTY("Interface", "s", get_interface, 0, CHANGES),
	SD_BUS_PROPERTY("Endpoint", "s", get_endpoint, 0, CHANGES),
	SD_BUS_PROPERTY("LocalEndpoint", "s", get_local_endpoint, 0, CHANGES),
	SD_BUS_PROPERTY("Addresses", "as", get_addresses, 0, CHANGES),
	SD_BUS_PROPERTY("Routes", "as", get_routes, 0, CHANGES),
	SD_BUS_PROPERTY("Dns", "as", get_dns, 0, CHANGES),
	SD_BUS_PROPERTY("DnsDomains", "as", get_dns_domains, 0, CHANGES),
	SD_BUS_PROPERTY("Mtu", "u", get_mtu, 0, CHANGES),
	SD_BUS_PROPERTY("Cipher", "s", get_cipher, 0, CHANGES),
	SD_BUS_PROPERTY("KeyExchange", "s", get_key_exchange, 0, CHANGES),
	SD_BUS_PROPERTY("Congestion", "s", get_congestion, 0, CHANGES),
	SD_BUS_PROPERTY("PresharedKey", "b", get_preshared_key, 0, CHANGES),
	SD_BUS_PROPERTY("ConnectedSince", "t", get_connected_since, 0, CHANGES),
	SD_BUS_PROPERTY("LastHandshake", "t", get_last_handshake, 0, CHANGES),
	SD_BUS_PROPERTY("RevokedUsers", "as", get_revoked_users, 0, CHANGES),
	SD_BUS_PROPERTY("CoverAddress", "s", get_cover_address, 0, CHANGES),
	SD_BUS_PROPERTY("CoverState", "s", get_cover_state, 0, CHANGES),
	SD_BUS_PROPERTY("CoverLearnt", "t", get_cover_learnt, 0, CHANGES),
	SD_BUS_SIGNAL_WITH_ARGS("StateChanged",
				SD_BUS_ARGS("s", old, "s", new, "s", reason, "s", text), 0),
	SD_BUS_VTABLE_END,
};

/* ---- objects ---- */

static int tunnel_find(sd_bus *bus, const char *path, const char *interface, void *userdata,
		       void **found, sd_bus_error *error)
{
	struct nx_tunnel *t = tunnel_by_path(userdata, path);

	*found = t;
	return t != NULL;
}

int nx_bus_push_path(char ***paths, size_t *n, char *path)
{
	char **grown;

	if (!path)
		return -ENOMEM;
	grown = reallocarray(*paths, *n + 2, sizeof(*grown));
	if (!grown) {
		free(path);
		return -ENOMEM;
	}
	grown[(*n)++] = path;
	grown[*n] = NULL;
	*paths = grown;
	return 0;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***nodes,
		     sd_bus_error *error)
{
	struct nx_manager *manager = userdata;
	char **paths = NULL;
	struct nx_tunnel *t;
	size_t n = 0;
	int r = 0;

	TAILQ_FOREACH (t, &manager->tunnels, entry) {
		r = nx_bus_push_path(&paths, &n, nx_tunnel_bus_path(t));
		if (r >= 0)
			r = nx_peer_bus_enumerate(t, &paths, &n);
		if (r < 0)
			break;
	}
	if (r < 0) {
		for (size_t i = 0; i < n; i++)
			free(paths[i]);
		free(paths);
		return r;
	}
	*nodes = paths;
	return 0;
}

int nx_tunnel_bus_register(sd_bus *bus, struct nx_manager *manager)
{
	int r;

	r = sd_bus_add_fallback_vtable(bus, NULL, NX_BUS_TUNNEL_PREFIX, NX_BUS_IFACE_TUNNEL,
				       nx_tunnel_vtable, tunnel_find, manager);
	if (r < 0)
		return r;
	return sd_bus_add_node_enumerator(bus, NULL, NX_BUS_TUNNEL_PREFIX, enumerate, manager);
}

/* ---- signals ---- */

static void log_emit(const struct nx_tunnel *t, const char *what, int r)
{
	if (r < 0)
		nx_log_full(LOG_DEBUG, NULL, t->config->name, "D-Bus: cannot send %s: %s", what,
			    strerror(-r));
}

/* PropertiesChanged for @names, or for all that may change if it is NULL. */
static void emit_changed(struct nx_tunnel *t, const char *path, char **names)
{
	int r;

	r = sd_bus_emit_properties_changed_strv(t->manager->bus, path, NX_BUS_IFACE_TUNNEL, names);
	log_emit(t, "PropertiesChanged", r);
}

static void emit_manager_signal(struct nx_tunnel *t, const char *path, const char *signal)
{
	int r;

	r = sd_bus_emit_signal(t->manager->bus, NX_BUS_PATH, NX_BUS_IFACE_MANAGER, signal, "so",
			       t->config->name, path);
	log_emit(t, signal, r);
}

void nx_tunnel_bus_added(struct nx_tunnel *t)
{
	sd_bus *bus = t->manager->bus;
	char *path = bus ? nx_tunnel_bus_path(t) : NULL;

	if (!path)
		return;
	log_emit(t, "InterfacesAdded", sd_bus_emit_object_added(bus, path));
	emit_manager_signal(t, path, "TunnelAdded");
	free(path);
}

/* The interfaces are named one by one: the tunnel may have left the manager's list by now, so
 * sd-bus could not find them.
 */
void nx_tunnel_bus_removed(struct nx_tunnel *t)
{
	sd_bus *bus = t->manager->bus;
	char *path = bus ? nx_tunnel_bus_path(t) : NULL;
	int r;

	if (!path)
		return;
	r = sd_bus_emit_interfaces_removed(
		bus, path, NX_BUS_IFACE_TUNNEL, "org.freedesktop.DBus.Peer",
		"org.freedesktop.DBus.Introspectable", "org.freedesktop.DBus.Properties", NULL);
	log_emit(t, "InterfacesRemoved", r);
	emit_manager_signal(t, path, "TunnelRemoved");
	free(path);
}

/* The properties go first, so that who acts on StateChanged finds them current. */
void nx_tunnel_bus_state_changed(struct nx_tunnel *t, enum nx_tunnel_state old)
{
	sd_bus *bus = t->manager->bus;
	char *path = bus ? nx_tunnel_bus_path(t) : NULL;
	char text[NX_BUS_TEXT_LEN];
	int r;

	if (!path)
		return;
	emit_changed(t, path, NULL);
	r = sd_bus_emit_signal(bus, path, NX_BUS_IFACE_TUNNEL, "StateChanged", "ssss",
			       nx_tunnel_state_str(old), nx_tunnel_state_str(t->state),
			       nx_reason_str(t->reason), nx_bus_text(t->text, text));
	log_emit(t, "StateChanged", r);
	free(path);
}

void nx_tunnel_bus_properties_changed(struct nx_tunnel *t, char **names)
{
	char *path = t->manager->bus ? nx_tunnel_bus_path(t) : NULL;

	if (!path)
		return;
	emit_changed(t, path, names);
	free(path);
}
