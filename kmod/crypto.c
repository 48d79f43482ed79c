// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packet protection with the kernel's ciphers: see crypto.h.
 *
 * AES-GCM. On x86 before 7.0 the implementation with vector instructions is registered as an
 * internal algorithm; what carries the public name is a wrapper that may complete asynchronously,
 * and what the public name gives when asynchronous ones are excluded computes table look-ups. Here
 * the internal one is taken, which is synchronous and needs what nqd_crypto_usable() tells. Where
 * there is none (later kernels, other architectures), the public name's is synchronous and fast.
 * ChaCha20-Poly1305 is in crypto-chacha.c.
 */
#include <linux/types.h>
#include <asm/simd.h>
#include <crypto/aead.h>
#include <crypto/internal/simd.h>
#include <crypto/skcipher.h>
#include <linux/kmod.h>
#include <linux/llist.h>
#include <linux/module.h>
#include <linux/refcount.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "../quic/selftest.h"
#include "crypto-chacha.h"
#include "crypto.h"

/* Samples masked with one request. */
#define MASK_MAX 16
/* Transforms of a seat for the two uses of keys. */
#define SEAT_AEAD (NQ_RX_KEYS + 1) /* the last one seals */
#define SEAT_HP 2

enum key_use {
	KEY_AEAD,
	KEY_HP,
};

/* What the engine's contexts are. */
struct key_ctx {
	struct nqd_key *key;
};

/*
 * Lifetime: nqd_keys_load() makes it with one reference, every context of the engine holds one.
 * CPUs that seal and open with it outside the engine hold none, but RCU: so it is freed a grace
 * period after the last put, which may come in softirq.
 */
struct nqd_key {
	refcount_t refs;
	u16 cipher;
	u8 use; /* enum key_use */
	u8 slot; /* of the use, in struct scratch */
	struct llist_node dead;
	struct key_ctx lent; /* of itself */
	struct crypto_aead *aead; /* its own; NULL: the CPUs take it on */
	union {
		u8 bytes[NQ_KEY_MAX_LEN] __aligned(16); /* no implementation has to copy it */
		u32 chacha[CHACHA_KEY_SIZE / sizeof(u32)];
	};
};

static_assert(sizeof(struct nqd_key) == 64, "a session has six of them");

/*
 * What a CPU works with, bottom halves off: a key may be in use on several, so its requests are
 * theirs. Not on a stack and not per-CPU memory: a transform wants memory with pages of its own.
 *
 * Transforms are the CPU's too, and take on the keys they are to work with: a transform is ten
 * times the size of a key, and to expand one costs little beside a burst. Few sessions do not
 * disturb each other: each has its seat.
 */
struct slot {
	union {
		struct crypto_aead *aead;
		struct crypto_skcipher *ecb;
	};
	struct nqd_key *loaded; /* whose key it holds; NULL: nobody's */
};

struct scratch {
	struct aead_request *aead;
	struct skcipher_request *masks;
	struct scatterlist sg; /* of one piece: only where it is changes */
	spinlock_t lock; /* of slots */
	struct slot aead_slots[NQD_KEY_SEATS * SEAT_AEAD];
	struct slot hp_slots[NQD_KEY_SEATS * SEAT_HP];
	union {
		u8 blocks[MASK_MAX][NQ_HP_SAMPLE_LEN];
		u8 stride[NQD_CHACHA_STRIDE];
	};
};

static DEFINE_PER_CPU(struct scratch *, scratch);

/*
 * Which algorithms, chosen once: a name that nobody has makes the crypto layer look for a module
 * each time it is asked for, and a better one that comes later may want larger requests.
 */
struct algorithm {
	char name[CRYPTO_MAX_ALG_NAME];
	u32 type;
};

static struct algorithm gcm, ecb;

/*
 * May softirq have a transform for AES-GCM take on another key? Those of the kernel's template
 * allocate memory and wait meanwhile. Where it may not, every key has a transform of its own.
 */
static bool gcm_takes_on;

/* Frees keys; drained at exit, so that no module is left with work of ours. */
static void free_dead(struct work_struct *work);
static struct workqueue_struct *free_wq;
static DECLARE_WORK(free_work, free_dead);
static LLIST_HEAD(dead);

#if IS_ENABLED(CONFIG_KUNIT)
/* Tests: as if every second softirq had interrupted a user of the vector registers. */
static bool refuse_softirq;
module_param(refuse_softirq, bool, 0600);

static bool is_refused(void)
{
	static unsigned int asked;

	return READ_ONCE(refuse_softirq) && asked++ % 2;
}
#else
static inline bool is_refused(void)
{
	return false;
}
#endif

bool nqd_crypto_usable(void)
{
	return crypto_simd_usable() && !is_refused();
}

/* ---- keys ---- */

static bool is_gcm(const struct nqd_key *key)
{
	return key->use == KEY_AEAD && key->cipher != NQ_CHACHA20_POLY1305;
}

static struct slot *slot_of(struct scratch *cpu, const struct nqd_key *key)
{
	return &(key->use == KEY_AEAD ? cpu->aead_slots : cpu->hp_slots)[key->slot];
}

/* Of a length that is one, without memory or waiting: nothing is left to fail. Under the lock. */
static void set_slot(struct slot *slot, enum key_use use, const u8 *bytes, u32 len)
{
	WARN_ON_ONCE(use == KEY_AEAD ? crypto_aead_setkey(slot->aead, bytes, len)
				     : crypto_skcipher_setkey(slot->ecb, bytes, len));
}

/* The longest key covers all of every other. */
static void clear_slot(struct slot *slot, enum key_use use)
{
	static const u8 zero[NQ_KEY_MAX_LEN] __aligned(16);

	set_slot(slot, use, zero, sizeof(zero));
	slot->loaded = NULL;
}

static void load_slot(struct slot *slot, struct nqd_key *key)
{
	if (slot->loaded == key)
		return;
	/* Of a longer one something would be left, and nobody would know. */
	if (slot->loaded && slot->loaded->cipher != key->cipher)
		clear_slot(slot, key->use);
	set_slot(slot, key->use, key->bytes, nq_key_len(key->cipher));
	slot->loaded = key;
}

/* Nobody works with @key any more, but a CPU may hold it still, as the last one there. */
static void forget(const struct nqd_key *key)
{
	struct scratch *cpu;
	struct slot *slot;
	int i;

	for_each_possible_cpu(i) {
		cpu = per_cpu(scratch, i);
		slot = slot_of(cpu, key);
		spin_lock_bh(&cpu->lock);
		if (slot->loaded == key)
			clear_slot(slot, key->use);
		spin_unlock_bh(&cpu->lock);
	}
}

static void free_key(struct nqd_key *key)
{
	/* It wipes what it held. */
	crypto_free_aead(key->aead);
	if (key->cipher != NQ_CHACHA20_POLY1305)
		forget(key);
	kfree_sensitive(key);
}

static void free_dead(struct work_struct *work)
{
	struct llist_node *list = llist_del_all(&dead);
	struct nqd_key *key;

	/* CPUs may seal and open with them still. */
	synchronize_rcu();
	while (list) {
		key = llist_entry(list, struct nqd_key, dead);
		list = list->next;
		free_key(key);
	}
}

static void put_key(struct nqd_key *key)
{
	if (!key || !refcount_dec_and_test(&key->refs))
		return;
	llist_add(&key->dead, &dead);
	queue_work(free_wq, &free_work);
}

static struct crypto_aead *alloc_gcm(void)
{
	return crypto_alloc_aead(gcm.name, gcm.type, gcm.type | CRYPTO_ALG_ASYNC);
}

static struct crypto_skcipher *alloc_ecb(void)
{
	return crypto_alloc_skcipher(ecb.name, ecb.type, ecb.type | CRYPTO_ALG_ASYNC);
}

/* A transform of its own. */
static int set_gcm(struct nqd_key *key)
{
	struct crypto_aead *tfm = alloc_gcm();
	int err;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	err = crypto_aead_setkey(tfm, key->bytes, nq_key_len(key->cipher));
	err = err ?: crypto_aead_setauthsize(tfm, NQ_TAG_LEN);
	if (err)
		crypto_free_aead(tfm);
	else
		key->aead = tfm;
	return err;
}

static struct nqd_key *make_key(u16 cipher, enum key_use use, const u8 *bytes, u8 slot)
{
	struct nqd_key *key;
	unsigned int i;
	int err = 0;

	if (!nq_key_len(cipher))
		return ERR_PTR(-EOPNOTSUPP);
	key = kzalloc(sizeof(*key), GFP_KERNEL);
	if (!key)
		return ERR_PTR(-ENOMEM);
	refcount_set(&key->refs, 1);
	key->lent.key = key;
	key->cipher = cipher;
	key->use = use;
	key->slot = slot;
	if (cipher == NQ_CHACHA20_POLY1305)
		for (i = 0; i < ARRAY_SIZE(key->chacha); i++)
			key->chacha[i] = get_unaligned_le32(bytes + 4 * i);
	else
		memcpy(key->bytes, bytes, nq_key_len(cipher));
	if (is_gcm(key) && !gcm_takes_on)
		err = set_gcm(key);
	if (!err)
		return key;
	kfree_sensitive(key);
	return ERR_PTR(err == -ENOENT ? -EOPNOTSUPP : err);
}

/* A reference stands at the beginning of what was the key's bytes. */
static struct nqd_key *key_of(const u8 *bytes)
{
	struct nqd_key *key;

	memcpy(&key, bytes, sizeof(key));
	return key;
}

#if IS_ENABLED(CONFIG_KUNIT)
u8 nqd_key_place(const u8 *bytes)
{
	return key_of(bytes)->slot;
}
#endif

static int load(u16 cipher, enum key_use use, u8 *bytes, u8 slot)
{
	struct nqd_key *key = make_key(cipher, use, bytes, slot);

	memzero_explicit(bytes, NQ_KEY_MAX_LEN);
	if (IS_ERR(key))
		return PTR_ERR(key);
	memcpy(bytes, &key, sizeof(key));
	return 0;
}

static void unload(u8 *bytes)
{
	put_key(key_of(bytes));
	memzero_explicit(bytes, NQ_KEY_MAX_LEN);
}

int nqd_next_keys_load(u16 cipher, u8 seat, u32 updates, struct nq_key_material *tx,
		       struct nq_key_material *rx)
{
	u8 first = seat * SEAT_AEAD;
	int err = load(cipher, KEY_AEAD, tx->key, first + NQ_RX_KEYS);

	if (err) {
		memzero_explicit(rx->key, sizeof(rx->key));
		return err;
	}
	err = load(cipher, KEY_AEAD, rx->key, first + updates % NQ_RX_KEYS);
	if (err)
		unload(tx->key);
	return err;
}

void nqd_next_keys_unload(struct nq_key_material *tx, struct nq_key_material *rx)
{
	unload(tx->key);
	unload(rx->key);
	memzero_explicit(tx, sizeof(*tx));
	memzero_explicit(rx, sizeof(*rx));
}

int nqd_keys_load(struct nq_conn_params *p, u8 *seat)
{
	static atomic_t seated;
	int err;

	*seat = (unsigned int)atomic_inc_return(&seated) % NQD_KEY_SEATS;
	err = nqd_next_keys_load(p->cipher, *seat, 0, &p->tx, &p->rx);
	if (err)
		goto wipe;
	err = load(p->cipher, KEY_HP, p->tx_hp, *seat * SEAT_HP);
	if (err)
		goto unload_current;
	err = load(p->cipher, KEY_HP, p->rx_hp, *seat * SEAT_HP + 1);
	if (err)
		goto unload_tx_hp;
	if (p->has_next)
		err = nqd_next_keys_load(p->cipher, *seat, 1, &p->tx_next, &p->rx_next);
	if (!err)
		return 0;
	unload(p->rx_hp);
unload_tx_hp:
	unload(p->tx_hp);
unload_current:
	nqd_next_keys_unload(&p->tx, &p->rx);
wipe:
	memzero_explicit(p->tx_hp, sizeof(p->tx_hp));
	memzero_explicit(p->rx_hp, sizeof(p->rx_hp));
	memzero_explicit(&p->tx_next, sizeof(p->tx_next));
	memzero_explicit(&p->rx_next, sizeof(p->rx_next));
	return err;
}

void nqd_keys_unload(struct nq_conn_params *p)
{
	nqd_next_keys_unload(&p->tx, &p->rx);
	unload(p->tx_hp);
	unload(p->rx_hp);
	if (p->has_next)
		nqd_next_keys_unload(&p->tx_next, &p->rx_next);
}

/* ---- the engine's contexts ---- */

static int ctx_init(void *ctx, u16 cipher, enum key_use use, const u8 *bytes)
{
	struct nqd_key *key = key_of(bytes);
	struct key_ctx *kc = ctx;

	if (WARN_ON_ONCE(!key || key->cipher != cipher || key->use != use))
		return -EINVAL;
	refcount_inc(&key->refs);
	kc->key = key;
	return 0;
}

static int aead_ctx_init(void *ctx, u16 cipher, const u8 *bytes)
{
	return ctx_init(ctx, cipher, KEY_AEAD, bytes);
}

static int hp_ctx_init(void *ctx, u16 cipher, const u8 *bytes)
{
	return ctx_init(ctx, cipher, KEY_HP, bytes);
}

static void ctx_wipe(void *ctx)
{
	struct key_ctx *kc = ctx;

	put_key(kc->key);
	kc->key = NULL;
}

static void *ctx_lend(void *ctx)
{
	return &((struct key_ctx *)ctx)->key->lent;
}

/* ---- AES-GCM ---- */

static int gcm_crypt(struct crypto_aead *tfm, struct nq_aead_op *op, bool seal)
{
	struct scratch *cpu = this_cpu_read(scratch);
	struct scatterlist *sg = &cpu->sg, two[2];
	struct aead_request *req = cpu->aead;
	u32 len = op->text_len + NQ_TAG_LEN;

	/* A packet is one piece of memory, which is what the fast implementations want. */
	if (likely(op->text == op->aad + op->aad_len)) {
		sg_set_buf(sg, op->aad, op->aad_len + len);
	} else {
		sg = two;
		sg_init_table(two, 2);
		sg_set_buf(&two[0], op->aad, op->aad_len);
		sg_set_buf(&two[1], op->text, len);
	}
	aead_request_set_tfm(req, tfm);
	aead_request_set_ad(req, op->aad_len);
	aead_request_set_crypt(req, sg, sg, seal ? op->text_len : len, op->nonce);
	return seal ? crypto_aead_encrypt(req) : crypto_aead_decrypt(req);
}

static void gcm_burst(struct nqd_key *key, struct nq_aead_op *ops, unsigned int n, bool seal)
{
	struct scratch *cpu = this_cpu_read(scratch);
	struct crypto_aead *tfm = key->aead;
	struct slot *slot;
	unsigned int i;

	spin_lock(&cpu->lock);
	if (likely(!tfm)) {
		slot = slot_of(cpu, key);
		load_slot(slot, key);
		tfm = slot->aead;
	}
	for (i = 0; i < n; i++)
		ops[i].status = gcm_crypt(tfm, &ops[i], seal);
	spin_unlock(&cpu->lock);
}

/* All receive keys of a session are there before one of them is used: see nqd_keys_load(). */
static void ready(void *ctx)
{
	struct nqd_key *key = ((struct key_ctx *)ctx)->key;
	struct scratch *cpu = this_cpu_read(scratch);

	if (!is_gcm(key) || key->aead)
		return;
	spin_lock(&cpu->lock);
	load_slot(slot_of(cpu, key), key);
	spin_unlock(&cpu->lock);
}

/* ---- bursts ---- */

static void seal(void *ctx, struct nq_aead_op *ops, unsigned int n)
{
	struct nqd_key *key = ((struct key_ctx *)ctx)->key;
	u8 *stride = this_cpu_read(scratch)->stride;
	struct nq_aead_op *op;

	if (key->cipher != NQ_CHACHA20_POLY1305)
		gcm_burst(key, ops, n, true);
	else
		for (op = ops; op < ops + n; op++)
			op->status = nqd_chacha_seal(key->chacha, op, stride);
}

static void open(void *ctx, struct nq_aead_op *ops, unsigned int n)
{
	struct nqd_key *key = ((struct key_ctx *)ctx)->key;
	u8 *stride = this_cpu_read(scratch)->stride;
	struct nq_aead_op *op;

	if (key->cipher != NQ_CHACHA20_POLY1305)
		gcm_burst(key, ops, n, false);
	else
		for (op = ops; op < ops + n; op++)
			op->status = nqd_chacha_open(key->chacha, op, stride);
	for (op = ops; op < ops + n; op++)
		if (op->status)
			op->status = -EBADMSG;
}

/* ---- header protection (RFC 9001 5.4) ---- */

static void mask_aes(struct nqd_key *key, const u8 *const *samples, u8 (*masks)[NQ_HP_MASK_LEN],
		     unsigned int n)
{
	struct scratch *cpu = this_cpu_read(scratch);
	struct slot *slot = slot_of(cpu, key);
	u32 len = n * NQ_HP_SAMPLE_LEN;
	unsigned int i;
	int err;

	for (i = 0; i < n; i++)
		memcpy(cpu->blocks[i], samples[i], NQ_HP_SAMPLE_LEN);
	sg_set_buf(&cpu->sg, cpu->blocks, len);
	skcipher_request_set_tfm(cpu->masks, slot->ecb);
	skcipher_request_set_crypt(cpu->masks, &cpu->sg, &cpu->sg, len, NULL);
	spin_lock(&cpu->lock);
	load_slot(slot, key);
	err = crypto_skcipher_encrypt(cpu->masks);
	spin_unlock(&cpu->lock);
	/*
	 * Synchronous, whole blocks, a key that was set: nothing is left to fail. Were it to, the
	 * samples would be the masks, and packets unreadable for everybody.
	 */
	WARN_ON_ONCE(err);
	for (i = 0; i < n; i++)
		memcpy(masks[i], cpu->blocks[i], NQ_HP_MASK_LEN);
}

static void hp_mask(void *ctx, const u8 *const *samples, u8 (*masks)[NQ_HP_MASK_LEN],
		    unsigned int n)
{
	struct nqd_key *key = ((struct key_ctx *)ctx)->key;
	unsigned int i, some;

	if (key->cipher == NQ_CHACHA20_POLY1305) {
		nqd_chacha_mask(key->chacha, samples, masks, n);
		return;
	}
	for (i = 0; i < n; i += some) {
		some = min_t(unsigned int, n - i, MASK_MAX);
		mask_aes(key, samples + i, masks + i, some);
	}
}

const struct nq_crypto_ops nqd_crypto_ops = {
	.name = "kernel",
	.aead_ctx_bytes = sizeof(struct key_ctx),
	.hp_ctx_bytes = sizeof(struct key_ctx),
	.aead_init = aead_ctx_init,
	.hp_init = hp_ctx_init,
	.aead_wipe = ctx_wipe,
	.hp_wipe = ctx_wipe,
	.lend = ctx_lend,
	.ready = ready,
	.seal = seal,
	.open = open,
	.hp_mask = hp_mask,
};

/* ---- self test ---- */

static int check_cipher(u16 cipher, u8 *memory)
{
	struct key_ctx ctx = {};
	u8 bytes[NQ_KEY_MAX_LEN];
	int err;

	nq_selftest_key(bytes);
	ctx.key = make_key(cipher, KEY_AEAD, bytes, 0);
	if (IS_ERR(ctx.key))
		return PTR_ERR(ctx.key);
	local_bh_disable();
	err = nq_selftest(&nqd_crypto_ops, &ctx, cipher, memory) ? 0 : -EIO;
	local_bh_enable();
	ctx_wipe(&ctx);
	return err;
}

static int check_ciphers(void)
{
	static const u16 ciphers[] = { NQ_AES_128_GCM, NQ_AES_256_GCM, NQ_CHACHA20_POLY1305 };
	u8 *memory = kmalloc(NQ_SELFTEST_BYTES, GFP_KERNEL);
	unsigned int i;
	int err = 0;

	if (!memory)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(ciphers) && !err; i++) {
		err = check_cipher(ciphers[i], memory);
		if (err)
			pr_err("cipher suite 0x%04x %s: %d\n", ciphers[i],
			       err == -EIO ? "miscomputes" : "cannot be used", err);
	}
	kfree(memory);
	return err;
}

/* ---- what CPUs work with ---- */

static void free_scratch(void)
{
	struct scratch *cpu;
	unsigned int k;
	int i;

	for_each_possible_cpu(i) {
		cpu = per_cpu(scratch, i);
		if (!cpu)
			continue;
		per_cpu(scratch, i) = NULL;
		aead_request_free(cpu->aead);
		skcipher_request_free(cpu->masks);
		for (k = 0; k < ARRAY_SIZE(cpu->aead_slots); k++)
			crypto_free_aead(cpu->aead_slots[k].aead);
		for (k = 0; k < ARRAY_SIZE(cpu->hp_slots); k++)
			crypto_free_skcipher(cpu->hp_slots[k].ecb);
		kfree_sensitive(cpu);
	}
}

static int make_slots(struct scratch *cpu)
{
	struct crypto_skcipher *ecb;
	struct crypto_aead *aead;
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(cpu->hp_slots); i++) {
		ecb = alloc_ecb();
		if (IS_ERR(ecb))
			return PTR_ERR(ecb);
		cpu->hp_slots[i].ecb = ecb;
	}
	for (i = 0; gcm_takes_on && i < ARRAY_SIZE(cpu->aead_slots); i++) {
		aead = alloc_gcm();
		if (IS_ERR(aead))
			return PTR_ERR(aead);
		cpu->aead_slots[i].aead = aead;
		err = crypto_aead_setauthsize(aead, NQ_TAG_LEN);
		if (err)
			return err;
	}
	return 0;
}

static int make_scratch(int i, struct crypto_aead *aead)
{
	struct scratch *cpu = kzalloc_node(sizeof(*cpu), GFP_KERNEL, cpu_to_node(i));
	int err;

	if (!cpu)
		return -ENOMEM;
	spin_lock_init(&cpu->lock);
	sg_init_table(&cpu->sg, 1);
	per_cpu(scratch, i) = cpu;
	err = make_slots(cpu);
	if (err)
		return err;
	cpu->aead = aead_request_alloc(aead, GFP_KERNEL);
	cpu->masks = skcipher_request_alloc(cpu->hp_slots[0].ecb, GFP_KERNEL);
	if (!cpu->aead || !cpu->masks)
		return -ENOMEM;
	aead_request_set_callback(cpu->aead, 0, NULL, NULL);
	skcipher_request_set_callback(cpu->masks, 0, NULL, NULL);
	return 0;
}

/*
 * Those of x86, by the names of their drivers: they expand a key where they stand. Of others
 * nothing is known, and nothing can be asked.
 */
static bool takes_on_keys(const char *driver)
{
	return strstarts(driver, "generic-gcm-") || strstarts(driver, "__generic-gcm-");
}

/* For the implementations that are the best now, which all keys get from then on. */
static int make_scratches(void)
{
	struct crypto_skcipher *skcipher;
	struct crypto_aead *aead;
	int err = 0, i;

	aead = alloc_gcm();
	if (IS_ERR(aead))
		return PTR_ERR(aead);
	skcipher = alloc_ecb();
	if (IS_ERR(skcipher)) {
		crypto_free_aead(aead);
		return PTR_ERR(skcipher);
	}
	strscpy(gcm.name, crypto_tfm_alg_driver_name(crypto_aead_tfm(aead)), sizeof(gcm.name));
	strscpy(ecb.name, crypto_tfm_alg_driver_name(crypto_skcipher_tfm(skcipher)),
		sizeof(ecb.name));
	gcm_takes_on = takes_on_keys(gcm.name);
	for_each_possible_cpu(i) {
		err = make_scratch(i, aead);
		if (err)
			break;
	}
	crypto_free_skcipher(skcipher);
	crypto_free_aead(aead);
	return err;
}

/* ---- module ---- */

static void choose_algorithms(void)
{
	static const struct algorithm internal_gcm = { "__gcm(aes)", CRYPTO_ALG_INTERNAL };
	static const struct algorithm internal_ecb = { "__ecb(aes)", CRYPTO_ALG_INTERNAL };
	u32 mask = CRYPTO_ALG_INTERNAL | CRYPTO_ALG_ASYNC;

	gcm = (struct algorithm){ "gcm(aes)", 0 };
	ecb = (struct algorithm){ "ecb(aes)", 0 };
	/* Nothing names the internal algorithms' module when they are asked for. */
	request_module("crypto-aes");
	if (crypto_has_alg(internal_gcm.name, CRYPTO_ALG_INTERNAL, mask))
		gcm = internal_gcm;
	if (crypto_has_alg(internal_ecb.name, CRYPTO_ALG_INTERNAL, mask))
		ecb = internal_ecb;
}

int nqd_crypto_init(void)
{
	int err;

	choose_algorithms();
	free_wq = alloc_workqueue("nexusq_keys", WQ_UNBOUND, 0);
	if (!free_wq)
		return -ENOMEM;
	err = make_scratches();
	if (err)
		pr_err("AES cannot be used: %d\n", err);
	else
		err = check_ciphers();
	if (err)
		nqd_crypto_exit();
	return err;
}

bool nqd_crypto_is_up(void)
{
	return free_wq;
}

void nqd_crypto_exit(void)
{
	destroy_workqueue(free_wq);
	free_wq = NULL;
	free_scratch();
}
