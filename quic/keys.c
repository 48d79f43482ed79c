// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packet-protection keys and their phases (RFC 9001 6).
 *
 * The engine derives nothing: the owner installs the keys of the phase after the current one with
 * nq_set_next_keys(), so a peer's update costs no key schedule while a packet waits. Three receive
 * keys are held: previous (until three PTOs after the first packet of the new phase), current,
 * next. An update rotates both directions at once; which receive key opens a packet follows from
 * its phase bit and, when that is the other phase, from its packet number (6.5).
 */
#include "conn.h"

/* RFC 9001 6.6: packets sealed with one AES-GCM key, forged packets opened with any key. */
#define GCM_SEAL_LIMIT (1ULL << 23)
#define GCM_OPEN_LIMIT (1ULL << 52)
#define CHACHA_SEAL_LIMIT (1ULL << 62)
#define CHACHA_OPEN_LIMIT (1ULL << 36)
/* Kept free below the limit for what the engine must say itself. */
#define SEAL_MARGIN 1024
/* And of that, for CONNECTION_CLOSE, which is repeated ever more rarely. */
#define CLOSE_MARGIN 64

u64 nq_keys_bytes(const struct nq_crypto_ops *crypto)
{
	return 5ULL * crypto->aead_ctx_bytes + 2ULL * crypto->hp_ctx_bytes;
}

void nq_nonce(u8 *nonce, const u8 *iv, u64 pn)
{
	memcpy(nonce, iv, 4);
	nq_put_be64(nonce + 4, nq_get_be64(iv + 4) ^ pn);
}

static int install(struct nq_conn *c, struct nq_keys *k, const struct nq_key_material *m)
{
	int err = c->crypto->aead_init(k->ctx, c->keys.cipher, m->key);

	if (err)
		return err;
	memcpy(k->iv, m->iv, NQ_IV_LEN);
	k->valid = true;
	return 0;
}

static void discard(struct nq_conn *c, struct nq_keys *k)
{
	if (k->ctx)
		c->crypto->aead_wipe(k->ctx);
	nq_memzero(k->iv, NQ_IV_LEN);
	k->valid = false;
}

int nq_keys_init(struct nq_conn *c, const struct nq_conn_params *p, u8 *mem)
{
	struct nq_keyset *ks = &c->keys;
	struct nq_keys *all[] = { &ks->tx, &ks->tx_next, &ks->rx_prev, &ks->rx, &ks->rx_next };
	unsigned int i;
	int err;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++, mem += p->crypto->aead_ctx_bytes)
		all[i]->ctx = mem;
	ks->tx_hp = mem;
	ks->rx_hp = mem + p->crypto->hp_ctx_bytes;
	ks->cipher = p->cipher;
	ks->phase = p->key_phase;
	ks->rx_seen = true;
	ks->rx_acked = true;
	ks->drop_prev_us = NQ_TIME_NEVER;
	err = install(c, &ks->tx, &p->tx);
	if (!err)
		err = install(c, &ks->rx, &p->rx);
	if (!err)
		err = p->crypto->hp_init(ks->tx_hp, p->cipher, p->tx_hp);
	if (!err)
		err = p->crypto->hp_init(ks->rx_hp, p->cipher, p->rx_hp);
	if (!err && p->has_next)
		err = nq_set_next_keys(c, &p->tx_next, &p->rx_next);
	return err;
}

void nq_keys_wipe(struct nq_conn *c)
{
	struct nq_keyset *ks = &c->keys;

	discard(c, &ks->tx);
	discard(c, &ks->tx_next);
	discard(c, &ks->rx_prev);
	discard(c, &ks->rx);
	discard(c, &ks->rx_next);
	if (ks->tx_hp)
		c->crypto->hp_wipe(ks->tx_hp);
	if (ks->rx_hp)
		c->crypto->hp_wipe(ks->rx_hp);
}

int nq_set_next_keys(struct nq_conn *c, const struct nq_key_material *tx,
		     const struct nq_key_material *rx)
{
	int err;

	if (c->keys.tx_next.valid)
		return -EALREADY;
	err = install(c, &c->keys.tx_next, tx);
	if (err)
		return err;
	err = install(c, &c->keys.rx_next, rx);
	if (err)
		discard(c, &c->keys.tx_next);
	else
		c->keys.wanted = false;
	return err;
}

u32 nq_key_updates(const struct nq_conn *c)
{
	return c->keys.rotations;
}

/* ---- updates ---- */

static void swap_keys(struct nq_keys *a, struct nq_keys *b)
{
	struct nq_keys t = *a;

	*a = *b;
	*b = t;
	nq_memzero(&t, sizeof(t));
}

/* next -> current -> previous, both directions; the next ones are then missing. */
static void rotate(struct nq_conn *c)
{
	struct nq_keyset *ks = &c->keys;

	discard(c, &ks->tx);
	swap_keys(&ks->tx, &ks->tx_next);
	discard(c, &ks->rx_prev);
	swap_keys(&ks->rx_prev, &ks->rx);
	swap_keys(&ks->rx, &ks->rx_next);
	ks->rotations++;
	ks->phase ^= 1;
	ks->tx_first_pn = c->next_pn;
	ks->tx_sealed = 0;
	ks->rx_seen = false;
	ks->rx_acked = false;
	ks->wanted = false;
	ks->drop_prev_us = NQ_TIME_NEVER;
	c->stats.key_updates++;
	c->events |= NQ_EV_KEY_UPDATED;
}

int nq_key_update(struct nq_conn *c, u64 now_us)
{
	struct nq_keyset *ks = &c->keys;

	if (!ks->tx_next.valid)
		return -ENOKEY;
	/* RFC 9001 6.1: not before the peer acknowledged a packet of this phase; 6.5: not while
	 * packets of the previous phase may still come.
	 */
	if (c->state != NQ_ACTIVE || ks->rx_prev.valid || !ks->rx_seen ||
	    !c->loss.has_largest_acked || c->loss.largest_acked < ks->tx_first_pn)
		return -EAGAIN;
	rotate(c);
	return 0;
}

bool nq_keys_follow(struct nq_conn *c, u64 now_us)
{
	/* RFC 9001 6.2: it cannot know yet that we have the keys it uses now. */
	if (!c->keys.rx_acked) {
		nq_conn_error(c, NQ_CLOSE_PROTOCOL, NQ_KEY_UPDATE_ERROR, "key update too soon",
			      now_us);
		return false;
	}
	rotate(c);
	return true;
}

void nq_keys_on_ack_sent(struct nq_conn *c)
{
	if (c->keys.rx_seen)
		c->keys.rx_acked = true;
}

void nq_keys_on_opened(struct nq_conn *c, u64 pn, u64 now_us)
{
	struct nq_keyset *ks = &c->keys;

	if (unlikely(!ks->rx_seen)) {
		ks->rx_seen = true;
		ks->rx_first_pn = pn;
		ks->drop_prev_us = now_us + 3 * nq_pto_us(c);
	} else if (unlikely(pn < ks->rx_first_pn)) {
		ks->rx_first_pn = pn;
	}
}

void nq_keys_on_failed(struct nq_conn *c, u64 now_us)
{
	u64 limit = c->keys.cipher == NQ_CHACHA20_POLY1305 ? CHACHA_OPEN_LIMIT : GCM_OPEN_LIMIT;

	c->stats.open_failures++;
	if (++c->keys.failed_opens >= limit)
		nq_conn_error(c, NQ_CLOSE_KEYS, NQ_AEAD_LIMIT_REACHED, "integrity limit", now_us);
}

static u64 seal_limit(const struct nq_keyset *ks)
{
	return ks->cipher == NQ_CHACHA20_POLY1305 ? CHACHA_SEAL_LIMIT : GCM_SEAL_LIMIT;
}

bool nq_keys_allow(struct nq_conn *c, unsigned int n, u64 now_us)
{
	struct nq_keyset *ks = &c->keys;
	u64 limit = seal_limit(ks);

	if (likely(ks->tx_sealed < limit / 2))
		return true;
	if (nq_key_update(c, now_us) == -ENOKEY && !ks->wanted) {
		ks->wanted = true;
		c->events |= NQ_EV_KEY_UPDATE_NEEDED;
	}
	return ks->tx_sealed + n + SEAL_MARGIN <= limit;
}

void nq_keys_before_control(struct nq_conn *c, u64 now_us)
{
	if (likely(nq_keys_allow(c, 1, now_us)) || c->state != NQ_ACTIVE)
		return;
	if (c->keys.tx_sealed + CLOSE_MARGIN >= seal_limit(&c->keys))
		nq_conn_error(c, NQ_CLOSE_KEYS, NQ_AEAD_LIMIT_REACHED, "confidentiality limit",
			      now_us);
}

u64 nq_keys_timeout_us(const struct nq_conn *c)
{
	return c->keys.drop_prev_us;
}

void nq_keys_on_timeout(struct nq_conn *c, u64 now_us)
{
	if (now_us < c->keys.drop_prev_us)
		return;
	discard(c, &c->keys.rx_prev);
	c->keys.drop_prev_us = NQ_TIME_NEVER;
}
