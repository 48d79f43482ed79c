/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A manager and tunnels without network, configuration or children, behind the functions that
 * nexusd/manager.h and nexusd/tunnel.h declare. The D-Bus face runs on it in test-bus.c and in
 * fake-nexusd, which the tests of nexusctl talk to.
 */
#ifndef FAKE_H
#define FAKE_H

#include "nexusd/bus.h"

/* What Connect leads to. */
enum fake_outcome {
	FAKE_CONNECTS, /* connecting, then connected (client) or listening (server) */
	FAKE_REFUSED, /* connecting, then reconnecting for ever: authentication-refused */
	FAKE_SILENT, /* connecting for ever */
	FAKE_BROKEN, /* refuses to start: configuration */
	FAKE_NO_DATA_PLANE, /* refuses to start: no data plane */
};

struct nx_tunnel_private {
	enum fake_outcome outcome;
	sd_event_source *step; /* what follows connecting and disconnecting */
	bool hold_stats; /* keep requests until fake_release_stats() */
	nx_stats_fn stats_fn[4];
	void *stats_userdata[4];
	size_t n_stats;
	uint64_t polls; /* makes the counters grow */
};

struct nx_manager_private {
	const char *reload_error;
	unsigned int reloads, resumes;
};

struct nx_manager *fake_manager_new(sd_event *event);
void fake_manager_free(struct nx_manager *m);

struct nx_tunnel *fake_tunnel_add(struct nx_manager *m, const char *name, enum nx_role role,
				  enum fake_outcome outcome);
void fake_tunnel_remove(struct nx_tunnel *t);
void fake_tunnel_set_state(struct nx_tunnel *t, enum nx_tunnel_state state, enum nx_reason reason,
			   const char *text);
struct nx_session *fake_session_add(struct nx_tunnel *t, uint64_t id, const char *user,
				    const char *address);
/* The fake has learnt something of a server's cover; the texts are not copied. */
void fake_cover_learnt(struct nx_tunnel *t, uint64_t learnt_s, char **lines, char **differences);
/* Answer everything held, with @err or with counters. */
void fake_release_stats(struct nx_tunnel *t, int err);

#endif /* FAKE_H */
