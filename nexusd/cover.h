/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cover of a server tunnel: resolves its name now and then and makes the sockets that nexus-hsd
 * relays strangers through. They are connected to the cover before nexus-hsd gets them, so that
 * nothing nexus-hsd may become can reach anything else.
 */
#ifndef NX_COVER_H
#define NX_COVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "lib/hs_proto.h"
#include "resolve.h"

struct nx_tunnel;

struct nx_cover {
	bool running;
	bool known; /* address is set, sockets lead there */
	bool failure_logged;
	struct nx_endpoint address;
	enum hs_cover_state state;
	struct nx_resolve *resolve;
	sd_event_source *timer; /* next resolution */
	uint64_t resolved_us;
	sd_event_source *save_timer; /* the profile is to be written */
	uint64_t saved_us;
	/* Sockets that may still be made, and since when; bounds what nexus-hsd may ask for. */
	uint32_t allowance;
	uint64_t allowance_us;
};

/* nexus-hsd has just been told of the tunnel: resolve if need be and give it sockets. */
void nx_cover_start(struct nx_tunnel *t);
void nx_cover_stop(struct nx_tunnel *t);
/* nexus-hsd wants @n more. */
void nx_cover_wanted(struct nx_tunnel *t, uint32_t n);
/* nexus-hsd reports. */
void nx_cover_report(struct nx_tunnel *t, enum hs_cover_state state);
/* What is cached of this cover: for a new tunnel and a new configuration. */
void nx_cover_load_profile(struct nx_tunnel *t);
/* The tunnel is no longer configured: its file goes. */
void nx_cover_forget_profile(struct nx_tunnel *t);
/* nexus-hsd has learnt something: the attributes of its message. */
void nx_cover_learnt(struct nx_tunnel *t, const uint8_t *attrs, size_t len);
/* A non-blocking socket connected to @to, or -errno. */
int nx_cover_socket(const struct nx_endpoint *to, uint32_t mark);

#endif /* NX_COVER_H */
