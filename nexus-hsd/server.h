/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where every datagram enters: to the connection it belongs to, or, on a server tunnel, to the
 * gate. Nothing leaves for a sender that the gate has not let in.
 */
#ifndef HS_SERVER_H
#define HS_SERVER_H

#include "udp.h"

struct hsd;

/* Connections of one source site (IPv4 /24, IPv6 /56) and of all in handshake at a time. */
#define HS_PENDING_SITE_MAX 64
#define HS_PENDING_MAX 1024

void hs_server_datagram(struct hsd *h, const struct hs_dgram *d);

#endif /* HS_SERVER_H */
