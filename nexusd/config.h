/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration file (libconfig), read into plain structures; conf/ has commented examples and
 * nexus.conf(5) every setting. Errors carry "file:line: setting: what is wrong, what would be right";
 * unknown settings are errors. Nothing here touches the system, so --check-config is this and the
 * checks of the files it names.
 */
#ifndef NX_CONFIG_H
#define NX_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "id-index.h"
#include "net.h"

enum nx_dco_mode { NX_DCO_DISABLED, NX_DCO_PREFERRED, NX_DCO_REQUIRED };
enum nx_role { NX_ROLE_CLIENT, NX_ROLE_SERVER };

/* A setting that may be left to another one. */
enum nx_choice { NX_CHOICE_NONE, NX_CHOICE_NO, NX_CHOICE_YES };

struct nx_user_config {
	char *name;
	uint8_t public_key[32];
	uint64_t short_id;
	char *preshared_key_file;	/* NULL = none */
	struct nx_prefix *addresses, *allowed_ips;
	size_t n_addresses, n_allowed_ips;
	char *group;			/* NULL = reaches nobody */
	enum nx_choice roaming;		/* NX_CHOICE_NONE: as the tunnel has it */
	bool revoked;			/* not of the file: locked out for now (revoked.h) */
	struct nx_id_node by_short_id;	/* of the tunnel's */
};

/* Bounds of a server's relay to its cover. */
struct nx_relay_config {
	uint32_t max_flows, max_flows_per_site, idle_timeout_s, max_rate_mbit;
};

/* Bounds of what strangers can make a server calculate. */
struct nx_gate_config {
	uint32_t max_auth_per_s, max_auth_per_site_per_s;
};

struct nx_tunnel_config {
	char *name;			/* [a-zA-Z0-9_-]{1,31} */
	unsigned int line;
	enum nx_role role;
	char *interface;
	char *private_key_file;
	uint32_t mtu;			/* 0 = from the path */
	uint32_t keepalive_s, idle_timeout_s;
	char **ciphers;			/* NULL = default order */
	char *congestion;
	uint32_t fixed_rate_mbit;	/* of congestion = NX_FIXED_RATE alone, else 0 */
	uint32_t fwmark;		/* 0 = default mark */
	char *insecure_keylog_file;	/* refused without --insecure-keylog */

	/* client */
	char *endpoint;			/* host:port as written */
	char *server_name;
	uint8_t server_public_key[32];
	uint64_t short_id;
	char *preshared_key_file;
	bool autoconnect;
	uint32_t rekey_interval_s;	/* 0 = never */
	struct nx_prefix *allowed_ips;	/* n == 0: all the server offers */
	size_t n_allowed_ips;

	/* server */
	struct nx_endpoint *listen;
	size_t n_listen;
	char *old_private_key_file;	/* NULL = none */
	uint64_t old_key_until_s;	/* since 1970: the old key is accepted before; 0 = never */
	char *cover;
	char **server_names;
	struct nx_prefix *addresses, *routes;
	size_t n_addresses, n_routes;
	char **dns, **dns_domains;
	uint32_t time_window_s;
	bool roaming;			/* sessions follow clients to other addresses */
	uint32_t max_session_age_s;	/* 0 = no end */
	struct nx_relay_config relay;
	struct nx_gate_config gate;
	struct nx_user_config *users;
	size_t n_users;
	struct nx_id_index by_short_id;	/* the users, when all have been checked */
};

struct nx_config {
	enum nx_dco_mode dco_mode;
	struct nx_tunnel_config **tunnels;
	size_t n_tunnels;
};

/* The congestion controller that controls nothing. */
#define NX_FIXED_RATE "fixed_rate_test"

/* What the options --insecure-... of nexusd allow. */
enum nx_insecure {
	NX_INSECURE_KEYLOG = 1 << 0,
	NX_INSECURE_FIXED_RATE = 1 << 1,
};

/* 0, or -errno with @error filled: one line for people. On error *@out stays NULL. */
int nx_config_load(const char *path, unsigned int insecure, struct nx_config **out, char *error,
		   size_t error_len);
void nx_config_free(struct nx_config *c);
/* The user with this short id; or NULL. */
const struct nx_user_config *nx_config_user(const struct nx_tunnel_config *t, uint64_t short_id);
/* Are two tunnels configured alike (so that a reload leaves the running one alone)? */
bool nx_tunnel_config_equal(const struct nx_tunnel_config *a, const struct nx_tunnel_config *b);

#endif /* NX_CONFIG_H */
