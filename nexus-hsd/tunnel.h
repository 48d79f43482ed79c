/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tunnel as nexus-hsd knows it: what HS_CMD_SET_TUNNEL said, the handshake sockets, and on a
 * server the gate. A new SET_TUNNEL replaces the configuration inside the object; the object, its
 * sockets and its replay cache live until DEL_TUNNEL.
 */
#ifndef HS_TUNNEL_H
#define HS_TUNNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <gnutls/gnutls.h>
#include <linux/nexus_quic_dco.h>
#include "lib/hs_proto.h"
#include "lib/ipc.h"
#include "budget.h"
#include "capsule.h"
#include "cidtable.h"
#include "loop.h"
#include "profile.h"
#include "reality.h"
#include "relay.h"
#include "udp.h"

#define HS_TUNNEL_NAME_MAX 31
#define HS_SERVER_NAMES_MAX 64
#define HS_USERS_MAX 4096
#define HS_USER_ADDRESSES_MAX 8
#define HS_PRIORITY_MAX 384
#define HS_TIME_WINDOW_S 90
#define HS_HANDSHAKE_TIMEOUT_MS 10000

struct hs_cert_private;
struct hsd;
struct hs_learner;

struct hs_user {
	char name[64];
	uint64_t short_id;
	uint8_t public_key[32];
	bool has_psk;
	struct hs_prefix addresses[HS_USER_ADDRESSES_MAX];
	size_t n_addresses;
};

/*
 * What one SET_TUNNEL message says, parsed; and the message itself to compare the next one with. A server's
 * keys are not in it: they are in the store (secrets.h) and in the gate.
 */
struct hs_config {
	uint8_t *attrs;
	size_t attrs_len;
	uint64_t secret_serial;

	char name[HS_TUNNEL_NAME_MAX + 1];
	bool server;
	char (*server_names)[254];
	size_t n_server_names;
	uint32_t idle_timeout_ms, keepalive_ms, handshake_timeout_ms, time_window_s;
	char priority_text[HS_PRIORITY_MAX];
	gnutls_priority_t priority;
	bool keylog;
	bool replay; /* its memory came along */
	uint32_t data_sockets; /* bit i: the data socket of pair i came along, to be read here */
	/* server: offered to clients; client: wanted (mtu only) */
	struct hs_net net;
	struct hs_user *users;
	size_t n_users;
	uint32_t max_auth_per_s, max_auth_per_site_per_s; /* server */
	struct hs_reality_client credential; /* client */
	uint64_t old_key_until_s; /* server: of its former key; 0 = none */
	struct hs_relay_limits relay; /* server */
	struct hs_profile profile; /* server: of the cache; empty without one */
};

struct hs_sock {
	struct hs_source src;
	/*
	 * The data socket of the same address, if the kernel module has it: what comes there for nobody
	 * the module knows. (nexus-dp reads its own and hands that over: punt.h.)
	 */
	struct hs_source data;
	struct hs_tunnel *tunnel;
	uint32_t index;
	union hs_addr name;
	uint64_t full_since_ns; /* no batch has emptied it since; 0: the last one did */
};

struct hs_stats {
	uint64_t initials, authenticated, handshakes_ok, handshakes_failed;
	uint64_t authenticated_old_key; /* of authenticated */
	uint64_t rejected[HS_REJECT_BUDGET + 1]; /* by enum hs_verdict */
};

struct hs_tunnel {
	TAILQ_ENTRY(hs_tunnel) entry;
	struct hsd *hsd;
	struct hs_config *config;
	struct hs_gate *gate; /* server */
	struct hs_relay *relay; /* server */
	struct hs_budget *budget; /* server */
	/* server: bytes of the IDs it gives to new connections, HS_CID_MIN_LEN to HS_CID_LEN */
	uint8_t server_cid_len;
	struct hs_cert_private *cert_private; /* server; NULL until first used */
	struct hs_learner *learner; /* server */
	gnutls_priority_t priority; /* server: the cover's choice first; NULL = the configuration's */
	struct hs_profile profile; /* server: what its flights follow; empty: nothing is known */
	/* server: a flight that could not follow, in words; "" = none yet */
	char deviation[HS_PROFILE_TEXT_LEN];
	struct hs_sock *socks[NX_IPC_MAX_FDS];
	unsigned int n_socks;
	int keylog_fd;
	struct hs_stats stats;
};

struct hs_tunnel *hs_tunnel_find(struct hsd *h, const char *name);
/*
 * The socket that is bound to @port (network order) for @family, any tunnel; of several the one
 * whose address is @local's (AF_UNSPEC: not known).
 */
struct hs_sock *hs_tunnel_sock_by_port(struct hsd *h, int family, uint16_t port,
				       const union hs_addr *local);
const struct hs_user *hs_tunnel_user(const struct hs_tunnel *t, uint64_t short_id);

/* Handle a batch of what lies in the socket. */
void hs_sock_read(struct hs_sock *sock);

/* Take over a parsed configuration and the descriptors (always consumed). 0 or negative errno. */
int hs_tunnel_set(struct hsd *h, struct hs_config *cfg, int *fds, unsigned int n_fds,
		  struct nxm_error *e);
void hs_tunnel_delete(struct hs_tunnel *t);
/* Former keys whose time is over are wiped; returns the next time to look. */
uint64_t hs_tunnels_run_timers(struct hsd *h);

/* Follow @p from now on and tell the control process. */
void hs_tunnel_set_profile(struct hs_tunnel *t, const struct hs_profile *p);
/* A flight was not as the profile has it. */
void hs_tunnel_note_deviation(struct hs_tunnel *t, const struct hs_profile_flight *want,
			      const struct hs_profile_flight *got);
/* What tells our flights from the cover's, line by line as hs_profile_line(). */
bool hs_tunnel_difference(const struct hs_tunnel *t, unsigned int i,
			  char out[HS_PROFILE_TEXT_LEN]);

/* ---- config.c ---- */
/* Parse the attributes of a SET_TUNNEL message, secrets included. 0 or negative errno with @e. */
int hs_config_parse(const uint8_t *attrs, size_t len, struct hs_config **out, struct nxm_error *e);
void hs_config_free(struct hs_config *cfg); /* wipes */

#endif /* HS_TUNNEL_H */
