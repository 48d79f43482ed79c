// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stateless resets (RFC 9000 10.3): a datagram with a connection ID that is nobody's, but whose
 * last 16 bytes are the token a peer gave us with the ID we use for it. The table finds the session
 * by its token; it is asked only about packets that belong to nobody. Its hash has a random seed,
 * and the engine compares the token in constant time, so that answers and their times tell nothing.
 */
#include <linux/slab.h>

#include "nqd.h"

/* Of a short header with a packet number, and a token (RFC 9000 10.3). */
#define RESET_MIN 21

static const struct rhashtable_params token_params = {
	.key_len = NQ_RESET_TOKEN_LEN,
	.key_offset = offsetof(struct nqd_token, token),
	.head_offset = offsetof(struct nqd_token, node),
	.automatic_shrinking = true,
};

void nqd_reset_forget(struct nqd_session *s)
{
	struct nqd_token *t = s->token;

	lockdep_assert_held(&s->nn->lock);
	if (!t)
		return;
	s->token = NULL;
	rhltable_remove(&s->nn->tokens, &t->node, token_params);
	/* A lookup that is at it finds that it is another token. */
	memzero_explicit(t->token, sizeof(t->token));
	kfree_rcu(t, rcu);
}

/* Without memory a reset is not recognized: the session ends by its timeout. */
void nqd_reset_update(struct nqd_session *s)
{
	u8 copy[NQ_RESET_TOKEN_LEN];
	const u8 *token;
	struct nqd_token *t;
	u64 seq = 0;

	lockdep_assert_held(&s->nn->lock);
	spin_lock_bh(&s->lock);
	token = s->conn ? nq_active_reset_token(s->conn, &seq) : NULL;
	if (token)
		memcpy(copy, token, sizeof(copy));
	spin_unlock_bh(&s->lock);
	if (s->token && token && seq == s->token->seq)
		goto wipe;
	nqd_reset_forget(s);
	t = token ? kzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT) : NULL;
	if (!t)
		goto wipe;
	memcpy(t->token, copy, sizeof(copy));
	t->session = s;
	t->seq = seq;
	if (rhltable_insert(&s->nn->tokens, &t->node, token_params))
		kfree_sensitive(t);
	else
		s->token = t;
wipe:
	memzero_explicit(copy, sizeof(copy));
}

bool nqd_reset_received(struct nqd_net *nn, const union nqd_addr *from, const u8 *data, u32 len)
{
	const u8 *token = data + len - NQ_RESET_TOKEN_LEN;
	struct rhlist_head *list, *pos;
	struct nqd_token *t;
	bool ended = false;

	if (len < RESET_MIN || data[0] & 0x80)
		return false;
	list = rhltable_lookup(&nn->tokens, token, token_params);
	rhl_for_each_entry_rcu(t, pos, list, node) {
		struct nqd_session *s = t->session;

		spin_lock_bh(&s->lock);
		ended = s->conn && nqd_addr_equal(&nqd_active_path(s)->remote, from) &&
			nq_check_stateless_reset(s->conn, token, nqd_now_us());
		spin_unlock_bh(&s->lock);
		if (!ended)
			continue;
		nqd_session_kick(s);
		return true;
	}
	return false;
}

int nqd_tokens_init(struct nqd_net *nn)
{
	return rhltable_init(&nn->tokens, &token_params);
}
