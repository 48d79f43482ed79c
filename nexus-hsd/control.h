/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The socket to the control process (lib/hs_proto.h): requests in, answers and results out. Losing
 * it changes nothing for handshakes in progress; what became ready meanwhile waits for the next
 * socket.
 */
#ifndef HS_CONTROL_H
#define HS_CONTROL_H

#include <stddef.h>
#include <stdint.h>
#include "lib/hs_proto.h"

struct hsd;
struct hs_tunnel;

/* Take a new control socket. */
void hs_control_open(struct hsd *h, int fd);
void hs_control_close(struct hsd *h);
/* HS_CMD_SESSION: 0, or -EAGAIN if there is no control process or it is slow. Not queued: it holds
 * keys. */
int hs_control_send_session(struct hsd *h, const void *msg, size_t len);
/* HS_CMD_FAILED. */
void hs_control_failed(struct hsd *h, const char *tunnel, uint64_t attempt, enum hs_reason reason,
		       const char *text);
/* HS_CMD_RELAY_WANTED, HS_CMD_COVER_PROFILE and HS_CMD_COVER_STATE. */
void hs_control_relay_wanted(struct hsd *h, const char *tunnel, uint32_t count);
void hs_control_cover_profile(struct hsd *h, const struct hs_tunnel *t);
void hs_control_cover_state(struct hsd *h, const char *tunnel, enum hs_cover_state state);

#endif /* HS_CONTROL_H */
