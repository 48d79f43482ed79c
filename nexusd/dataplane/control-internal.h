/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the control side share: how sessions and events look in messages. */
#ifndef DP_CONTROL_INTERNAL_H
#define DP_CONTROL_INTERNAL_H

#include "dp.h"

/* Generation, SESSION_UP, first flush: after ADD_SESSION with keys, or SET_KEYS. */
void dp_session_installed(struct dp *dp, struct dp_session *s);
/* NQD_A_EVENT */
void dp_put_event(struct nxm *m, u8 type, const struct dp_last_event *e, const u8 *frames,
		  u32 frames_len);
/* NQD_A_SESSION with what identifies it, and what of it the event is about. */
void dp_put_session_id(struct nxm *m, u64 id, u64 user, u64 generation, const char *tunnel,
		       const struct dp_last_event *e);

#endif /* DP_CONTROL_INTERNAL_H */
