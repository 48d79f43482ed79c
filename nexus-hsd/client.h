/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A client's attempt to connect. */
#ifndef HS_CLIENT_H
#define HS_CLIENT_H

#include "tunnel.h"

/* Start: 0 (the end comes as HS_CMD_SESSION or HS_CMD_FAILED), or negative errno. */
int hs_client_connect(struct hs_sock *sock, uint64_t attempt, const union hs_addr *remote);

#endif /* HS_CLIENT_H */
