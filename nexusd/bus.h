/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the D-Bus files of the control process share: names, errors, the vtables, and the two things
 * a method may have to wait for (who the caller is, what the data plane has counted). Nothing here
 * is called by the rest of nexusd, which uses the bus functions of manager.h and tunnel.h.
 *
 * No function blocks on the bus: the caller's credentials are asked for asynchronously, and the
 * method then runs as if it had just arrived, looking its object up again.
 */
#ifndef NX_BUS_H
#define NX_BUS_H

#include <stdio.h>
#include <sys/queue.h>
#include "manager.h"

#define NX_BUS_NAME "org.nexusvpn.Nexus1"
#define NX_BUS_PATH "/org/nexusvpn/Nexus1"
#define NX_BUS_TUNNEL_PREFIX NX_BUS_PATH "/tunnel"
#define NX_BUS_IFACE_MANAGER NX_BUS_NAME ".Manager"
#define NX_BUS_IFACE_TUNNEL NX_BUS_NAME ".Tunnel"
#define NX_BUS_IFACE_PEER NX_BUS_NAME ".Peer"

#define NX_BUS_ERROR_NO_SUCH_TUNNEL NX_BUS_NAME ".Error.NoSuchTunnel"
#define NX_BUS_ERROR_NO_SUCH_PEER NX_BUS_NAME ".Error.NoSuchPeer"
#define NX_BUS_ERROR_ALREADY_CONNECTED NX_BUS_NAME ".Error.AlreadyConnected"
#define NX_BUS_ERROR_NOT_CONNECTED NX_BUS_NAME ".Error.NotConnected"
#define NX_BUS_ERROR_CONFIGURATION_INVALID NX_BUS_NAME ".Error.ConfigurationInvalid"
#define NX_BUS_ERROR_DATA_PLANE_UNAVAILABLE NX_BUS_NAME ".Error.DataPlaneUnavailable"
#define NX_BUS_ERROR_ACCESS_DENIED NX_BUS_NAME ".Error.AccessDenied"
#define NX_BUS_ERROR_BUSY NX_BUS_NAME ".Error.Busy"
#define NX_BUS_ERROR_FAILED NX_BUS_NAME ".Error.Failed"

/* What a caller wants to do; the names will be the polkit actions. */
#define NX_BUS_ACTION_CONNECT NX_BUS_NAME ".connect"
#define NX_BUS_ACTION_DISCONNECT NX_BUS_NAME ".disconnect"
#define NX_BUS_ACTION_RELOAD NX_BUS_NAME ".reload"

/* Requests of either kind that may wait at a time; one more is refused with Error.Busy. */
#define NX_BUS_PENDING_MAX 128

struct nx_bus_pending;
TAILQ_HEAD(nx_bus_pending_list, nx_bus_pending);

/* The bus side of the manager; nx_manager.bus_face. */
struct nx_manager_bus {
	struct nx_manager *manager;
	sd_bus *bus; /* open, perhaps still without the name */
	sd_event_source *retry;
	uint64_t retry_delay_us;
	bool failure_logged;
	struct nx_bus_pending_list pending;
	unsigned int n_pending;
};

/* ---- bus-pending.c: requests whose reply comes later ---- */
/* The body of a method that was let through: replies itself, or returns -errno with or without
 * @error set. It has to look its object up by the path of @m.
 */
typedef int (*nx_bus_method_fn)(sd_bus_message *m, struct nx_manager *manager, sd_bus_error *error);

/*
 * Run @fn for @m if its sender may do @action: root, the uid of the daemon, members of its group.
 * The answer of the bus is awaited in the background. Returns what a method handler returns. This
 * is the only place that decides about access.
 */
int nx_bus_authorize(struct nx_manager *manager, sd_bus_message *m, const char *action,
		     nx_bus_method_fn fn, sd_bus_error *error);

/*
 * Statistics: nx_bus_statistics_begin() makes the userdata for nx_bus_statistics_done(), which is
 * the callback for nx_tunnel_get_stats() and nx_session_get_stats() and sends the reply. If those
 * functions fail at once, nx_bus_statistics_abort() forgets it again.
 */
int nx_bus_statistics_begin(struct nx_manager *manager, sd_bus_message *m,
			    struct nx_bus_pending **request, sd_bus_error *error);
void nx_bus_statistics_done(void *userdata, int err, const struct nx_stat *stats, size_t n);
void nx_bus_statistics_abort(struct nx_bus_pending *request);

/* The bus is going away: no reply will be sent any more. */
void nx_bus_pending_cancel(struct nx_manager_bus *face);

/* ---- bus-introspect.c ---- */
/* The committed dbus/org.nexusvpn.Nexus1.xml without its comments. 0 or -errno. */
int nx_bus_introspect(FILE *out);

/* ---- manager-bus.c ---- */
extern const sd_bus_vtable nx_manager_vtable[];

/* ---- tunnel-bus.c ---- */
extern const sd_bus_vtable nx_tunnel_vtable[];
/* Export all tunnels (and peers) of @manager on @bus: they come and go with the manager's lists. */
int nx_tunnel_bus_register(sd_bus *bus, struct nx_manager *manager);
/* The object path, to be freed; NULL if out of memory. */
char *nx_tunnel_bus_path(const struct nx_tunnel *t);
/* Append @n prefixes as "as". */
int nx_bus_append_prefixes(sd_bus_message *m, const struct nx_prefix *prefixes, size_t n);
/* "aes-128-gcm" for 0x1301 ..., "" for 0, "unknown" otherwise. */
const char *nx_bus_cipher_str(uint16_t cipher);
/* "X25519" for 0x001d ..., "" for 0, "unknown" otherwise. */
const char *nx_bus_key_exchange_str(uint16_t group);

/*
 * @text as D-Bus wants it, in @buf: a bus refuses messages that are not UTF-8, and texts may hold
 * words of the other end or be cut short. What is no UTF-8 becomes '?'.
 */
#define NX_BUS_TEXT_LEN 512
const char *nx_bus_text(const char *text, char buf[NX_BUS_TEXT_LEN]);

/* ---- peer-bus.c ---- */
extern const sd_bus_vtable nx_peer_vtable[];
int nx_peer_bus_register(sd_bus *bus, struct nx_manager *manager);
/* Append the paths of all peers of @t to the NULL-terminated @paths of *@n entries. 0 or -ENOMEM.
 */
int nx_peer_bus_enumerate(struct nx_tunnel *t, char ***paths, size_t *n);
/* Append @path (taken over, NULL = out of memory) to a NULL-terminated vector. 0 or -ENOMEM. */
int nx_bus_push_path(char ***paths, size_t *n, char *path);

#endif /* NX_BUS_H */
