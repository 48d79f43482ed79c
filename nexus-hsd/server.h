/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where every datagram enters: to the connection it belongs to, or, on a server tunnel, to the
 * gate. Whoever the gate does not let in talks to the cover (relay.h); without a cover nothing
 * leaves for him.
 */
#ifndef HS_SERVER_H
#define HS_SERVER_H

#include "udp.h"

struct hsd;

/* Connections of one source site (IPv4 /24, IPv6 /56) and of all in handshake at a time. */
#define HS_PENDING_SITE_MAX 64
#define HS_PENDING_MAX 1024

/* Who calls this owes a hs_relay_flush() before the datagram's bytes go. */
void hs_server_datagram(struct hsd *h, const struct hs_dgram *d);
/* The same for a copy that is ours only if its ID is that of a connection not yet handed over. */
void hs_server_copy(struct hsd *h, const struct hs_dgram *d);
/* First flights that waited too long go to the cover; returns the next time one will. */
uint64_t hs_server_run_timers(struct hsd *h);

#endif /* HS_SERVER_H */
