/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine's cipher provider on the kernel's crypto (quic/nq_crypto.h), and key derivation.
 *
 * Transforms are made and freed in process context; the engine installs and wipes keys in softirq.
 * So a key is an object with a reference count, struct nqd_key: nqd_keys_load() puts references in
 * place of the raw keys of a struct nq_conn_params, aead_init() and hp_init() take references of
 * their own, and the last reference hands the object to a worker that frees it. The engine never
 * sees a raw key.
 *
 * A key may be used on several CPUs at a time: what a cipher works with belongs to the CPU. seal,
 * open and hp_mask are called with bottom halves off, complete before they return and do not sleep;
 * they may be called only while nqd_crypto_usable() says so on this CPU. A context that was lent
 * (nq_tx_take(), nq_rx_lend()) is good until the end of the RCU read-side section it was lent in: a
 * key is wiped a grace period after the engine has dropped it.
 */
#ifndef NQD_CRYPTO_H
#define NQD_CRYPTO_H

#include "../quic/nq.h"

/* Places of sessions at every CPU: see nqd_keys_load(). */
#define NQD_KEY_SEATS 4

extern const struct nq_crypto_ops nqd_crypto_ops;

/* Module init: 0, or -errno if a cipher is missing (it is then logged which) or miscomputes. */
int nqd_crypto_init(void);
/* Is it so? For tests, which some kernels run before module init. */
bool nqd_crypto_is_up(void);
/* Which of a CPU's transforms takes on a key that has been loaded in place of @bytes; for tests. */
u8 nqd_key_place(const u8 *bytes);
/* Every key has been dropped; waits until all are freed. May sleep. */
void nqd_crypto_exit(void);

/*
 * May packets be sealed and opened here and now? False in a softirq that interrupted a user of the
 * vector registers: the work is then left to a worker of this CPU, instead of running a cipher
 * without them.
 */
bool nqd_crypto_usable(void);

/*
 * Replace every key of @p (next keys where p->has_next) by a reference; the raw bytes are wiped. On
 * error @p holds neither. May sleep. 0, -EOPNOTSUPP, -ENOMEM.
 *
 * @seat, chosen here: where every CPU has the session's keys while it works with them. Transforms
 * for AES are a CPU's, not a key's: they take on the key of who needs them, and sessions share
 * seats. At a seat the three receive keys that a session may have at once find room together, so
 * that a packet takes the same time with each (nq_crypto_ops.ready).
 */
int nqd_keys_load(struct nq_conn_params *p, u8 *seat);
/* Drop the references of nqd_keys_load() once nq_conn_init() has taken its own; wipes @p's keys. */
void nqd_keys_unload(struct nq_conn_params *p);

/* The same for nq_set_next_keys(). @updates: nq_key_updates() as it will be once they are used. */
int nqd_next_keys_load(u16 cipher, u8 seat, u32 updates, struct nq_key_material *tx,
		       struct nq_key_material *rx);
void nqd_next_keys_unload(struct nq_key_material *tx, struct nq_key_material *rx);

/*
 * RFC 9001 5.1 and 6.1, HKDF-Expand-Label: "quic key", "quic iv", "quic hp", "quic ku". @out_len at
 * most the length of the cipher suite's hash. May sleep. 0 or -errno.
 */
int nqd_quic_derive(u16 cipher, const u8 *secret, u32 secret_len, const char *label, u8 *out,
		    u32 out_len);

#endif /* NQD_CRYPTO_H */
