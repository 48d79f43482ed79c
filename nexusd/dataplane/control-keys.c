// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Keys of a session: from NQD_A_KEYS into the engine's parameters, derived from the traffic secrets
 * where those are given. Every copy made here is wiped by whoever owns it; the message itself is
 * wiped by dp_control_message().
 */
#include <errno.h>
#include <string.h>

#include "control-internal.h"

/* A key attribute of exactly @len bytes. */
static int copy_key(struct dp_request *r, const struct nxa *k, u16 type, u8 *to, u32 len)
{
	int err = nxa_require(k, &nqd_keys_set, type, &r->e);

	if (err)
		return err;
	if (k[type].len != len)
		return dp_fail(&r->e, -EINVAL, "%s: length %u instead of %u",
			       nqd_keys_set.policy[type].name, k[type].len, len);
	memcpy(to, k[type].data, len);
	return 0;
}

static int derive(struct dp_request *r, u16 cipher, const struct dp_secret *secret,
		  const char *label, u8 *out, u32 len)
{
	int err = nx_quic_derive(cipher, secret->bytes, secret->len, label, out, len);

	return err ? dp_fail(&r->e, err, "NQD_A_KEYS_TX_SECRET: \"%s\" cannot be derived", label)
		   : 0;
}

/* One direction from its traffic secret: keys of this phase and the next, and the next secret. */
static int derive_side(struct dp_request *r, struct nq_conn_params *p, struct dp_secret *secret,
		       struct nq_key_material *now, u8 *hp, struct nq_key_material *next)
{
	struct dp_secret updated = { .len = secret->len };
	u32 len = nq_key_len(p->cipher);
	int err;

	err = derive(r, p->cipher, secret, "quic key", now->key, len);
	if (!err)
		err = derive(r, p->cipher, secret, "quic iv", now->iv, NQ_IV_LEN);
	if (!err)
		err = derive(r, p->cipher, secret, "quic hp", hp, len);
	if (!err)
		err = derive(r, p->cipher, secret, "quic ku", updated.bytes, updated.len);
	if (!err)
		err = derive(r, p->cipher, &updated, "quic key", next->key, len);
	if (!err)
		err = derive(r, p->cipher, &updated, "quic iv", next->iv, NQ_IV_LEN);
	*secret = updated;
	explicit_bzero(&updated, sizeof(updated));
	return err;
}

static int from_secrets(struct dp_request *r, const struct nxa *k, struct nq_conn_params *p,
			struct dp_keys *secrets)
{
	u32 len = p->cipher == NQ_AES_256_GCM ? 48 : 32;
	int err;

	secrets->has_secrets = true;
	secrets->tx.len = len;
	secrets->rx.len = len;
	err = copy_key(r, k, NQD_A_KEYS_TX_SECRET, secrets->tx.bytes, len);
	if (!err)
		err = copy_key(r, k, NQD_A_KEYS_RX_SECRET, secrets->rx.bytes, len);
	if (!err)
		err = derive_side(r, p, &secrets->tx, &p->tx, p->tx_hp, &p->tx_next);
	if (!err)
		err = derive_side(r, p, &secrets->rx, &p->rx, p->rx_hp, &p->rx_next);
	p->has_next = !err;
	return err;
}

/* The next keys come in pairs for both directions or not at all. */
static int next_keys(struct dp_request *r, const struct nxa *k, u16 cipher,
		     struct nq_key_material *tx, struct nq_key_material *rx)
{
	u32 len = nq_key_len(cipher);
	int err;

	err = copy_key(r, k, NQD_A_KEYS_TX_NEXT_KEY, tx->key, len);
	if (!err)
		err = copy_key(r, k, NQD_A_KEYS_TX_NEXT_IV, tx->iv, NQ_IV_LEN);
	if (!err)
		err = copy_key(r, k, NQD_A_KEYS_RX_NEXT_KEY, rx->key, len);
	if (!err)
		err = copy_key(r, k, NQD_A_KEYS_RX_NEXT_IV, rx->iv, NQ_IV_LEN);
	return err;
}

static bool has_next_keys(const struct nxa *k)
{
	return k[NQD_A_KEYS_TX_NEXT_KEY].present || k[NQD_A_KEYS_TX_NEXT_IV].present ||
	       k[NQD_A_KEYS_RX_NEXT_KEY].present || k[NQD_A_KEYS_RX_NEXT_IV].present;
}

static int from_keys(struct dp_request *r, const struct nxa *k, struct nq_conn_params *p)
{
	u32 len = nq_key_len(p->cipher);
	int err;

	err = copy_key(r, k, NQD_A_KEYS_TX_KEY, p->tx.key, len);
	if (!err)
		err = copy_key(r, k, NQD_A_KEYS_TX_IV, p->tx.iv, NQ_IV_LEN);
	if (!err)
		err = copy_key(r, k, NQD_A_KEYS_TX_HP, p->tx_hp, len);
	if (!err)
		err = copy_key(r, k, NQD_A_KEYS_RX_KEY, p->rx.key, len);
	if (!err)
		err = copy_key(r, k, NQD_A_KEYS_RX_IV, p->rx.iv, NQ_IV_LEN);
	if (!err)
		err = copy_key(r, k, NQD_A_KEYS_RX_HP, p->rx_hp, len);
	if (err || !has_next_keys(k))
		return err;
	p->has_next = true;
	return next_keys(r, k, p->cipher, &p->tx_next, &p->rx_next);
}

/*
 * With traffic secrets everything is derived from them. Keys beside them must be the same ones:
 * what the two ends would do with different ones cannot be told from a failure of the network.
 */
int dp_parse_keys(struct dp_request *r, struct nq_conn_params *p, struct dp_keys *secrets)
{
	struct nq_conn_params given = { .cipher = p->cipher };
	struct nxa k[NQD_A_KEYS_MAX + 1];
	u32 len = nq_key_len(p->cipher);
	int err;

	memset(secrets, 0, sizeof(*secrets));
	err = nxa_parse_nest(&r->top[NQD_A_KEYS], &nqd_keys_set, k, r->msg, &r->e);
	if (err)
		return err;
	p->key_phase = k[NQD_A_KEYS_PHASE].present ? nxa_u8(&k[NQD_A_KEYS_PHASE]) : 0;
	if (!k[NQD_A_KEYS_TX_SECRET].present && !k[NQD_A_KEYS_RX_SECRET].present)
		return from_keys(r, k, p);
	err = from_secrets(r, k, p, secrets);
	if (err || !k[NQD_A_KEYS_TX_KEY].present)
		return err;
	err = from_keys(r, k, &given);
	if (!err && (memcmp(given.tx.key, p->tx.key, len) || memcmp(given.rx.key, p->rx.key, len)))
		err = dp_fail(&r->e, -EINVAL,
			      "NQD_A_KEYS_TX_KEY: the keys are not those of the secrets");
	explicit_bzero(&given, sizeof(given));
	return err;
}

int dp_cmd_set_keys(struct dp *dp, struct dp_request *r)
{
	struct nxa attrs[NQD_A_SESSION_MAX + 1];
	struct dp_session *s = dp_request_session(dp, r, attrs);
	struct nq_conn_params params;
	struct dp_keys secrets;
	int err;

	if (!s)
		return r->e.err;
	if (s->conn)
		return dp_fail(&r->e, -EALREADY, "NQD_A_KEYS: the session has its keys");
	params = *s->waiting;
	err = dp_parse_keys(r, &params, &secrets);
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
	struct nxa attrs[NQD_A_SESSION_MAX + 1], k[NQD_A_KEYS_MAX + 1];
	struct dp_session *s = dp_request_session(dp, r, attrs);
	struct nq_key_material tx = { 0 }, rx = { 0 };
	int err = 0;

	if (!s)
		return r->e.err;
	if (!s->conn)
		return dp_fail(&r->e, -ENOKEY, "NQD_A_SESSION_ID: the session has no keys");
	if (r->top[NQD_A_KEYS].present) {
		err = nxa_parse_nest(&r->top[NQD_A_KEYS], &nqd_keys_set, k, r->msg, &r->e);
		if (!err)
			err = next_keys(r, k, s->cipher, &tx, &rx);
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
