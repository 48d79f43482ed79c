// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * SET_KEYS and KEY_UPDATE. Every copy of a key made here is wiped here; the message itself is wiped
 * by dp_control_message().
 */
#include <errno.h>
#include <string.h>

#include "control-internal.h"

int dp_cmd_set_keys(struct dp *dp, struct dp_request *r)
{
	struct nxa attrs[NQD_A_SESSION_MAX + 1];
	struct dp_session *s = dp_request_session(dp, r, attrs);
	struct nq_conn_params params;
	struct nqd_secrets secrets;
	int err;

	if (!s)
		return r->e.err;
	if (s->conn)
		return dp_fail(&r->e, -EALREADY, "NQD_A_KEYS: the session has its keys");
	params = *s->waiting;
	err = nqd_parse_keys(&r->top[NQD_A_KEYS], r->msg, nx_quic_derive, &params, &secrets, &r->e);
	if (!err)
		err = dp_session_start(dp, s, &params, &secrets);
	explicit_bzero(&params, sizeof(params));
	explicit_bzero(&secrets, sizeof(secrets));
	if (err)
		return r->e.err ? err
				: dp_fail(&r->e, err, "NQD_A_KEYS: the engine refuses: %s",
					  strerror(-err));
	dp_session_installed(dp, s);
	return 0;
}

int dp_cmd_key_update(struct dp *dp, struct dp_request *r)
{
	struct nxa attrs[NQD_A_SESSION_MAX + 1];
	struct dp_session *s = dp_request_session(dp, r, attrs);
	struct nq_key_material tx = { 0 }, rx = { 0 };
	int err = 0;

	if (!s)
		return r->e.err;
	if (!s->conn)
		return dp_fail(&r->e, -ENOKEY, "NQD_A_SESSION_ID: the session has no keys");
	if (r->top[NQD_A_KEYS].present) {
		err = nqd_parse_next_keys(&r->top[NQD_A_KEYS], r->msg, s->cipher, &tx, &rx, &r->e);
		if (!err)
			err = nq_set_next_keys(s->conn, &tx, &rx);
		explicit_bzero(&tx, sizeof(tx));
		explicit_bzero(&rx, sizeof(rx));
		if (err)
			return r->e.err ? err
					: dp_fail(&r->e, err, "NQD_A_KEYS: next keys refused: %s",
						  strerror(-err));
	}
	err = nq_key_update(s->conn, dp->now_us);
	if (err)
		return dp_fail(&r->e, err, "key update not possible now: %s", strerror(-err));
	s->generation++;
	dp_mark_dirty(dp, s);
	return 0;
}
