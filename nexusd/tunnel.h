/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tunnel of the control process: its configuration, its state and its sessions. tunnel.c owns the
 * state machine; tunnel-bus.c is its D-Bus face and only reads it, or calls nx_tunnel_connect() and
 * nx_tunnel_disconnect(). Everything runs on the one sd-event loop: no locks.
 *
 * Lifetime: created by nx_manager_apply_config(), destroyed there when the configuration drops it.
 */
#ifndef NX_TUNNEL_H
#define NX_TUNNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include "config.h"
#include "cover-profile.h"
#include "id-index.h"
#include "net.h"

struct nx_manager;
struct nx_dp;
struct nx_recount;

enum nx_tunnel_state {
	NX_TUNNEL_DISCONNECTED,
	NX_TUNNEL_CONNECTING,
	NX_TUNNEL_CONNECTED,
	NX_TUNNEL_RECONNECTING,
	NX_TUNNEL_DISCONNECTING,
	NX_TUNNEL_LISTENING,
	NX_TUNNEL_FAILED,
};

enum nx_reason {
	NX_REASON_NONE,
	NX_REASON_REQUESTED,
	NX_REASON_TIMEOUT,
	NX_REASON_AUTH_REFUSED,
	NX_REASON_SERVER_PROOF,
	NX_REASON_PROTOCOL,
	NX_REASON_CONFIGURATION,
	NX_REASON_SOCKET,
	NX_REASON_IDLE_TIMEOUT,
	NX_REASON_PEER_CLOSED,
	NX_REASON_STATELESS_RESET,
	NX_REASON_DATA_PLANE_LOST,
	NX_REASON_KEY_LIMIT,
	NX_REASON_REVOKED,
};

/* One established session: a client tunnel has at most one, a server one per connected client. */
struct nx_session {
	TAILQ_ENTRY(nx_session) entry;
	struct nx_id_node by_id, by_user; /* of the tunnel's; by_user: when it is installed */
	struct nx_id_node by_left;	/* of the tunnel's, while it has @left */
	struct nx_tunnel *tunnel;
	uint64_t id;			/* NQD_A_SESSION_ID */
	struct nx_dp *dp;		/* who carries it */
	uint64_t user;			/* short id, 0 on a client */
	char user_name[64];
	struct nx_endpoint remote, local; /* net.h */
	struct nx_prefix *addresses;	/* inner addresses of the client end */
	size_t n_addresses;
	uint16_t cipher, key_exchange;	/* TLS numbers, 0 = not known */
	bool has_psk;			/* one is mixed into the authentication */
	uint32_t idle_timeout_ms;	/* negotiated, 0 = not known */
	uint32_t overhead;		/* bytes of a packet around an inner one */
	uint32_t mtu;			/* inner packets the path carries now; 0 = not known */
	uint32_t path_limit;		/* UDP payload the data plane may try; 0 = not known */
	uint64_t connected_since_s;	/* wall clock; of the first session of the line */
	uint64_t last_handshake_s;	/* wall clock */
	uint64_t peer_id;		/* of its D-Bus object: that of the session it replaced */
	bool installed;			/* the data plane has it */
	bool old_key;			/* came in with the server's old key; false if adopted */
	bool heard;			/* adopted: the peer has it as well */
	bool waits;			/* to take the place of another, which carries on */
	sd_event_source *age_timer;	/* server: when it is too old */
	struct nx_recount *recount;	/* the data plane was asked, and has not named it yet */
	TAILQ_ENTRY(nx_session) unlisted; /* of @recount */
	uint64_t hear_until_us;		/* waits: for a DATAGRAM, on another data plane; 0 = not so */
	uint64_t left;			/* id on the data plane it came from, where that drains; 0 = none */
	sd_event_source *left_timer;
	bool settling, settled;		/* server that moves: the other data plane is told of it, and knows */
	int refused;			/* errno: the other data plane cannot be told; it ends. 0 = not so */
	bool superseded;		/* by one whose installation was not answered yet */
	uint64_t attempt;		/* of nexus-hsd, while it is being installed */
};

struct nx_tunnel {
	TAILQ_ENTRY(nx_tunnel) entry;
	struct nx_manager *manager;
	struct nx_tunnel_config *config; /* owned */
	enum nx_tunnel_state state;
	enum nx_reason reason;
	char text[256];			/* for people; never a secret */
	const char *data_plane;		/* "nexus-dp", "nexus_quic_dco" or "" */
	char data_plane_reason[192];	/* why not the module; "" = it is the module */
	char ifname[16];
	int ifindex;
	uint32_t mtu;
	struct nx_prefix *addresses, *routes;	/* in use now */
	size_t n_addresses, n_routes;
	char **dns, **dns_domains;		/* NULL-terminated */
	TAILQ_HEAD(, nx_session) sessions;
	char cover_address[NX_ADDR_STRLEN];	/* server: "" = not resolved yet */
	const char *cover_state;	/* "unknown", "alive", "dead"; NULL = none */
	struct nx_cover_profile cover_profile;	/* server */
	struct nx_tunnel_private *priv;	/* tunnel.c: sockets, timers, attempts */
};

const char *nx_tunnel_state_str(enum nx_tunnel_state state);
const char *nx_reason_str(enum nx_reason reason);

/* Start connecting (client) or listening (server). 0, -EALREADY, or -errno with tunnel->text set. */
int nx_tunnel_connect(struct nx_tunnel *t);
/* Close the sessions with CONNECTION_CLOSE, remove addresses, routes and device. 0 or -EALREADY. */
int nx_tunnel_disconnect(struct nx_tunnel *t);
int nx_session_disconnect(struct nx_session *s);
/*
 * Lock a server's user out, ending his sessions at once, or let him in again. 0; -EINVAL: not a
 * server; -ENOENT: no such user; other -errno: done, but it will not survive a restart.
 */
int nx_tunnel_revoke(struct nx_tunnel *t, const char *user, bool revoked);

/*
 * Asynchronous statistics: @done is called once from the event loop with name/value pairs (names as
 * in the D-Bus dictionary: "l3-tx-packets", "srtt-us" ...), or with err < 0.
 */
struct nx_stat {
	const char *name;
	uint64_t value;
};
typedef void (*nx_stats_fn)(void *userdata, int err, const struct nx_stat *stats, size_t n);
int nx_tunnel_get_stats(struct nx_tunnel *t, nx_stats_fn done, void *userdata);
int nx_session_get_stats(struct nx_session *s, nx_stats_fn done, void *userdata);

/* ---- tunnel-bus.c: called by tunnel.c ---- */
void nx_tunnel_bus_added(struct nx_tunnel *t);
void nx_tunnel_bus_removed(struct nx_tunnel *t);
/* After every state change; emits StateChanged and PropertiesChanged. */
void nx_tunnel_bus_state_changed(struct nx_tunnel *t, enum nx_tunnel_state old);
/* Other properties (NULL-terminated D-Bus names) changed. */
void nx_tunnel_bus_properties_changed(struct nx_tunnel *t, char **names);
void nx_session_bus_added(struct nx_session *s);
void nx_session_bus_removed(struct nx_session *s);
/* The session of a peer has other addresses. */
void nx_session_bus_moved(struct nx_session *s);
/* Another session took its place: what concerns keys and handshake has changed. */
void nx_session_bus_changed(struct nx_session *s);

#endif /* NX_TUNNEL_H */
