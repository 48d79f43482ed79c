/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What nexusd says about its tunnels, fetched once and owned by the caller: plain structures for
 * the two ways `status` prints them. A property that nexusd did not send is "" or 0.
 */
#ifndef CTL_MODEL_H
#define CTL_MODEL_H

#include "ctl.h"

struct model_stat {
	char *name;
	uint64_t value;
};

struct model_stats {
	bool valid; /* nexusd gave an answer */
	uint64_t at_us; /* CLOCK_MONOTONIC of the answer */
	struct model_stat *stats;
	size_t n;
};

struct model_peer {
	char *path;
	char *user, *endpoint, *cipher, *key_exchange;
	int preshared_key; /* as sd-bus reads a boolean */
	char **addresses;
	uint64_t connected_since, last_handshake;
	int old_server_key; /* boolean as sd-bus has it */
	struct model_stats stats;
};

struct model_tunnel {
	char *path;
	char *name, *role, *state, *reason, *text;
	char *data_plane, *data_plane_reason, *interface, *endpoint, *local_endpoint, *cipher;
	char *congestion;
	char *key_exchange;
	int preshared_key;
	char *cover_address, *cover_state;
	char **addresses, **routes, **dns, **dns_domains, **revoked_users;
	uint32_t mtu;
	uint64_t connected_since, last_handshake, cover_learnt;
	struct model_stats stats, earlier;
	struct model_peer *peers;
	size_t n_peers;
};

struct model {
	struct model_tunnel *tunnels; /* by name */
	size_t n_tunnels;
};

/* How the fields of a structure are called on D-Bus and in JSON. */
struct model_field {
	const char *property, *key;
	char type; /* 's', 'a' (of strings), 'b', 'u', 't' */
	size_t offset;
};
extern const struct model_field model_tunnel_fields[], model_peer_fields[]; /* end: property NULL */

/* Exit codes; on any but CTL_OK the model is empty. */
int model_fetch(sd_bus *bus, struct model *m);
void model_free(struct model *m);
/* Replace @stats by what the object at @path has counted now; an answer "not connected" is no
 * error. */
int model_fetch_stats(sd_bus *bus, const char *path, const char *interface,
		      struct model_stats *stats);
void model_stats_free(struct model_stats *stats);
/* Does the exchange resist a quantum computer? By the name of its TLS group. */
bool model_is_post_quantum(const char *key_exchange);
/* The counter, or 0. */
uint64_t model_stat(const struct model_stats *stats, const char *name);

#endif /* CTL_MODEL_H */
