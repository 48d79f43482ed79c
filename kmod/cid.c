// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connection IDs: which session a packet is for.
 *
 * The table's key is the first NQ_CID_LOOKUP_LEN bytes, which every ID has; those that share them
 * are a list. Its hash has a random seed, and IDs are random bytes of ours, so nobody who sends
 * packets can choose which list grows. Lookups are for packets, under RCU; changes are under
 * nqd_net.lock.
 */
#include <linux/random.h>
#include <linux/slab.h>

#include "nqd.h"

/* A new ID of 4 bytes is taken already once in 2^32 / IDs in use: never so often in a row. */
#define NEW_CID_TRIES 16

static const struct rhashtable_params cid_params = {
	.key_len = sizeof(u32),
	.key_offset = offsetof(struct nqd_cid, id),
	.head_offset = offsetof(struct nqd_cid, node),
	.automatic_shrinking = true,
};

static u32 key_of(const u8 *id)
{
	u32 key;

	memcpy(&key, id, sizeof(key));
	return key;
}

/*
 * Is there one of which @cid is the beginning, or the other way round, and which @s may not have
 * beside it? Short IDs meet by chance. The client that was given a taken one can not help it, and
 * the two are told apart by their addresses; with long ones it is an error of the caller.
 * @s NULL: any that is like it counts.
 */
static bool has_rival(struct nqd_net *nn, const struct nqd_socket *sock,
		      const struct nqd_session *s, const struct nq_cid *cid)
{
	u32 key = key_of(cid->id);
	struct rhlist_head *list, *pos;
	struct nqd_cid *c;
	bool found = false;

	rcu_read_lock();
	list = rhltable_lookup(&nn->cids, &key, cid_params);
	rhl_for_each_entry_rcu(c, pos, list, node) {
		if (!nqd_session_on(c->session, sock) ||
		    memcmp(c->id, cid->id, min(c->len, cid->len)))
			continue;
		if (!s || c->session == s ||
		    (c->len >= NQD_CID_CERTAIN_LEN && cid->len >= NQD_CID_CERTAIN_LEN)) {
			found = true;
			break;
		}
	}
	rcu_read_unlock();
	return found;
}

/* The socket that is asked about is that of the active path, which changes under the lock. */
static const struct nqd_socket *active_socket(struct nqd_session *s)
{
	const struct nqd_socket *sock;

	spin_lock_bh(&s->lock);
	sock = nqd_active_path(s)->sock;
	spin_unlock_bh(&s->lock);
	return sock;
}

int nqd_cid_add(struct nqd_session *s, const struct nq_cid *cid)
{
	struct nqd_net *nn = s->nn;
	struct nqd_cid *c;
	int err;

	lockdep_assert_held(&nn->lock);
	if (cid->len < NQ_CID_LOOKUP_LEN)
		return -EINVAL;
	if (has_rival(nn, active_socket(s), s, cid))
		return -EEXIST;
	c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);
	if (!c)
		return -ENOMEM;
	memcpy(c->id, cid->id, cid->len);
	c->len = cid->len;
	c->session = s;
	err = rhltable_insert(&nn->cids, &c->node, cid_params);
	if (err) {
		kfree(c);
		return err;
	}
	list_add(&c->of_session, &s->cids);
	return 0;
}

void nqd_cid_free(struct nqd_cid *c)
{
	struct nqd_net *nn = c->session->nn;

	lockdep_assert_held(&nn->lock);
	rhltable_remove(&nn->cids, &c->node, cid_params);
	list_del(&c->of_session);
	kfree_rcu(c, rcu);
}

bool nqd_cid_make(struct nqd_session *s, struct nq_cid *cid)
{
	unsigned int i;

	for (i = 0; i < NEW_CID_TRIES; i++) {
		get_random_bytes(cid->id, cid->len);
		if (!has_rival(s->nn, active_socket(s), NULL, cid))
			return true;
	}
	return false;
}

static bool is_known(struct nqd_session *s, const struct nqd_socket *sock,
		     const union nqd_addr *from)
{
	bool known;

	spin_lock_bh(&s->lock);
	known = nqd_path_number(s, sock, from) < NQ_PATHS_MAX;
	spin_unlock_bh(&s->lock);
	return known;
}

struct nqd_session *nqd_session_by_cid(const struct nqd_socket *sock, const u8 *id, u32 len,
				       const union nqd_addr *from, u32 *id_len)
{
	struct nqd_session *best = NULL;
	struct rhlist_head *list, *pos;
	struct nqd_cid *c;
	u32 longest = 0, key;

	*id_len = 0;
	if (len < NQ_CID_LOOKUP_LEN)
		return NULL;
	key = key_of(id);
	list = rhltable_lookup(&sock->nn->cids, &key, cid_params);
	rhl_for_each_entry_rcu(c, pos, list, node) {
		if (c->len > len || memcmp(c->id, id, c->len) || !nqd_session_on(c->session, sock))
			continue;
		if (c->len >= NQD_CID_CERTAIN_LEN || is_known(c->session, sock, from)) {
			*id_len = c->len;
			return c->session;
		}
		/* From elsewhere: the beginning of a longer one is a shorter one's by chance. */
		if (c->len > longest) {
			longest = c->len;
			best = c->session;
		}
	}
	*id_len = longest;
	return best;
}

int nqd_cids_init(struct nqd_net *nn)
{
	return rhltable_init(&nn->cids, &cid_params);
}
