// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stateless resets (RFC 9000 10.3): a datagram with a connection ID that is nobody's, but whose last
 * 16 bytes are the token a peer gave us with the ID we use for it. The table finds the session by its
 * token; it is asked only about packets that belong to nobody.
 *
 * The token is a secret of the peer's: which bucket it is in depends on a key of this process, and
 * the engine compares it in constant time, so that answers and their times tell nothing.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "dp.h"

/* Of a short header with a packet number, and a token (RFC 9000 10.3). */
#define RESET_MIN 21

int dp_reset_init(struct dp *dp)
{
	ssize_t n = getrandom(dp->token_key, sizeof(dp->token_key), 0);

	return n == sizeof(dp->token_key) ? 0 : -EIO;
}

/* Multiply-shift hashing with secret odd factors: universal, which is all that is needed. */
static struct dp_token_list *bucket_of(struct dp *dp, const u8 *token)
{
	u64 a, b;

	memcpy(&a, token, sizeof(a));
	memcpy(&b, token + sizeof(a), sizeof(b));
	a = (a ^ dp->token_key[0]) * (dp->token_key[1] | 1);
	b = (b ^ dp->token_key[2]) * (dp->token_key[3] | 1);
	return &dp->tokens[(a + b) >> 32 & (DP_TOKEN_BUCKETS - 1)];
}

void dp_reset_forget(struct dp_session *s)
{
	if (s->token_list)
		SLIST_REMOVE(s->token_list, s, dp_session, token_entry);
	s->token_list = NULL;
}

void dp_reset_update(struct dp *dp, struct dp_session *s)
{
	u64 seq = 0;
	const u8 *token = nq_active_reset_token(s->conn, &seq);

	if (s->token_list && token && seq == s->token_seq)
		return;
	dp_reset_forget(s);
	if (!token)
		return;
	s->token_list = bucket_of(dp, token);
	s->token_seq = seq;
	SLIST_INSERT_HEAD(s->token_list, s, token_entry);
}

bool dp_reset_received(struct dp *dp, const union nqd_addr *from, const u8 *data, u32 len)
{
	const u8 *token = data + len - NQ_RESET_TOKEN_LEN;
	struct dp_session *s;

	if (len < RESET_MIN || data[0] & 0x80)
		return false;
	SLIST_FOREACH(s, bucket_of(dp, token), token_entry)
	{
		if (!nqd_addr_equal(&dp_active_path(s)->remote, from) ||
		    !nq_check_stateless_reset(s->conn, token, dp->now_us))
			continue;
		dp_mark_dirty(dp, s);
		return true;
	}
	return false;
}
