// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Keys of a session: from NQD_A_KEYS into the engine's parameters, derived from the traffic secrets
 * where those are given (see request.h). Every copy made here is wiped here.
 */
#include "request.h"

/* A key attribute of exactly @len bytes. */
static int copy_key(const struct nxa *k, u16 type, u8 *to, u32 len, struct nxm_error *e)
{
	int err = nxa_require(k, &nqd_keys_set, type, e);

	if (err)
		return err;
	if (k[type].len != len)
		return nxm_fail(e, -EINVAL, 0, "%s: length %u instead of %u",
				nqd_keys_set.policy[type].name, k[type].len, len);
	memcpy(to, k[type].data, len);
	return 0;
}

/* Keys of one direction from its secret. */
static int derive_keys(u16 cipher, nqd_derive_fn derive, const struct nqd_secret *secret,
		       struct nq_key_material *m)
{
	int err =
		derive(cipher, secret->bytes, secret->len, "quic key", m->key, nq_key_len(cipher));

	return err ?: derive(cipher, secret->bytes, secret->len, "quic iv", m->iv, NQ_IV_LEN);
}

/* RFC 9001 6.1 */
static int step(u16 cipher, nqd_derive_fn derive, struct nqd_secret *secret)
{
	struct nqd_secret updated = { .len = secret->len };
	int err = derive(cipher, secret->bytes, secret->len, "quic ku", updated.bytes, updated.len);

	if (!err)
		*secret = updated;
	nq_memzero(&updated, sizeof(updated));
	return err;
}

/* One direction from its traffic secret: keys of this phase and the next, and the next secret. */
static int derive_side(u16 cipher, nqd_derive_fn derive, struct nqd_secret *secret,
		       struct nq_key_material *now, u8 *hp, struct nq_key_material *next)
{
	int err = derive_keys(cipher, derive, secret, now);

	if (!err)
		err = derive(cipher, secret->bytes, secret->len, "quic hp", hp, nq_key_len(cipher));
	if (!err)
		err = step(cipher, derive, secret);
	return err ?: derive_keys(cipher, derive, secret, next);
}

static int from_secrets(const struct nxa *k, nqd_derive_fn derive, struct nq_conn_params *p,
			struct nqd_secrets *secrets, struct nxm_error *e)
{
	u32 len = p->cipher == NQ_AES_256_GCM ? 48 : 32;
	int err;

	secrets->has_secrets = true;
	secrets->tx.len = len;
	secrets->rx.len = len;
	err = copy_key(k, NQD_A_KEYS_TX_SECRET, secrets->tx.bytes, len, e);
	if (!err)
		err = copy_key(k, NQD_A_KEYS_RX_SECRET, secrets->rx.bytes, len, e);
	if (err)
		return err;
	err = derive_side(p->cipher, derive, &secrets->tx, &p->tx, p->tx_hp, &p->tx_next);
	if (!err)
		err = derive_side(p->cipher, derive, &secrets->rx, &p->rx, p->rx_hp, &p->rx_next);
	if (err)
		return nxm_fail(e, err, 0, "NQD_A_KEYS_TX_SECRET: keys cannot be derived");
	p->has_next = true;
	return 0;
}

static int next_keys(const struct nxa *k, u16 cipher, struct nq_key_material *tx,
		     struct nq_key_material *rx, struct nxm_error *e)
{
	u32 len = nq_key_len(cipher);
	int err;

	err = copy_key(k, NQD_A_KEYS_TX_NEXT_KEY, tx->key, len, e);
	if (!err)
		err = copy_key(k, NQD_A_KEYS_TX_NEXT_IV, tx->iv, NQ_IV_LEN, e);
	if (!err)
		err = copy_key(k, NQD_A_KEYS_RX_NEXT_KEY, rx->key, len, e);
	if (!err)
		err = copy_key(k, NQD_A_KEYS_RX_NEXT_IV, rx->iv, NQ_IV_LEN, e);
	return err;
}

static bool has_next_keys(const struct nxa *k)
{
	return k[NQD_A_KEYS_TX_NEXT_KEY].present || k[NQD_A_KEYS_TX_NEXT_IV].present ||
	       k[NQD_A_KEYS_RX_NEXT_KEY].present || k[NQD_A_KEYS_RX_NEXT_IV].present;
}

static int from_keys(const struct nxa *k, struct nq_conn_params *p, struct nxm_error *e)
{
	u32 len = nq_key_len(p->cipher);
	int err;

	err = copy_key(k, NQD_A_KEYS_TX_KEY, p->tx.key, len, e);
	if (!err)
		err = copy_key(k, NQD_A_KEYS_TX_IV, p->tx.iv, NQ_IV_LEN, e);
	if (!err)
		err = copy_key(k, NQD_A_KEYS_TX_HP, p->tx_hp, len, e);
	if (!err)
		err = copy_key(k, NQD_A_KEYS_RX_KEY, p->rx.key, len, e);
	if (!err)
		err = copy_key(k, NQD_A_KEYS_RX_IV, p->rx.iv, NQ_IV_LEN, e);
	if (!err)
		err = copy_key(k, NQD_A_KEYS_RX_HP, p->rx_hp, len, e);
	if (err || !has_next_keys(k))
		return err;
	p->has_next = true;
	return next_keys(k, p->cipher, &p->tx_next, &p->rx_next, e);
}

/* Are the keys of @k, all of one phase, those in @p? */
static int compare_keys(const struct nxa *k, const struct nq_conn_params *p, struct nxm_error *e)
{
	const u8 *const derived[] = {
		p->tx.key, p->tx.iv, p->tx_hp, p->rx.key, p->rx.iv, p->rx_hp
	};
	u16 type;

	for (type = NQD_A_KEYS_TX_KEY; type <= NQD_A_KEYS_RX_HP; type++) {
		u32 i = type - NQD_A_KEYS_TX_KEY,
		    len = i % 3 == 1 ? NQ_IV_LEN : nq_key_len(p->cipher);
		u8 given[NQ_KEY_MAX_LEN];
		int err = copy_key(k, type, given, len, e);
		bool differ = !err && nq_differ(given, derived[i], len);

		nq_memzero(given, sizeof(given));
		if (err)
			return err;
		if (differ)
			return nxm_fail(e, -EINVAL, 0, "%s: not the one of the secrets",
					nqd_keys_set.policy[type].name);
	}
	return 0;
}

/*
 * With traffic secrets everything is derived from them. Keys beside them must be the same ones:
 * what the two ends would do with different ones cannot be told from a failure of the network.
 */
int nqd_parse_keys(const struct nxa *nest, const void *msg, nqd_derive_fn derive,
		   struct nq_conn_params *p, struct nqd_secrets *secrets, struct nxm_error *e)
{
	struct nxa k[NQD_A_KEYS_MAX + 1];
	int err;

	memset(secrets, 0, sizeof(*secrets));
	err = nxa_parse_nest(nest, &nqd_keys_set, k, msg, e);
	if (err)
		return err;
	p->key_phase = k[NQD_A_KEYS_PHASE].present ? nxa_u8(&k[NQD_A_KEYS_PHASE]) : 0;
	if (!k[NQD_A_KEYS_TX_SECRET].present && !k[NQD_A_KEYS_RX_SECRET].present)
		return from_keys(k, p, e);
	err = from_secrets(k, derive, p, secrets, e);
	if (err || !k[NQD_A_KEYS_TX_KEY].present)
		return err;
	return compare_keys(k, p, e);
}

int nqd_parse_next_keys(const struct nxa *nest, const void *msg, u16 cipher,
			struct nq_key_material *tx, struct nq_key_material *rx, struct nxm_error *e)
{
	struct nxa k[NQD_A_KEYS_MAX + 1];
	int err = nxa_parse_nest(nest, &nqd_keys_set, k, msg, e);

	return err ?: next_keys(k, cipher, tx, rx, e);
}

int nqd_step_secrets(u16 cipher, nqd_derive_fn derive, struct nqd_secrets *secrets,
		     struct nq_key_material *tx, struct nq_key_material *rx)
{
	int err = step(cipher, derive, &secrets->tx);

	if (!err)
		err = step(cipher, derive, &secrets->rx);
	if (!err)
		err = derive_keys(cipher, derive, &secrets->tx, tx);
	return err ?: derive_keys(cipher, derive, &secrets->rx, rx);
}
