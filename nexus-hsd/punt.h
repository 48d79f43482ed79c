/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The socket to nexus-dp: UDP payloads that landed on the wrong one of the two sockets of a port.
 */
#ifndef HS_PUNT_H
#define HS_PUNT_H

#include "addr.h"

struct hsd;

/* Take a new punt socket. */
void hs_punt_open(struct hsd *h, int fd);
/* To the data plane; lost if there is none or it is slow, as a datagram may be. */
void hs_punt_send(struct hsd *h, uint16_t local_port, const union hs_addr *remote, uint8_t ecn,
		  const uint8_t *data, size_t len);

#endif /* HS_PUNT_H */
