// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit: packet protection and key derivation on every golden vector, byte for byte; and two
 * engines that talk through the provider over key updates. The tables are those of tests/vectors.
 */
#include <crypto/poly1305.h>
#include <kunit/test.h>
#include <linux/slab.h>

#include "../../quic/frame.h"
#include "../../quic/pn.h"
#include "../../quic/ranges.h"
#include "../../quic/varint.h"
#include "../../tests/vectors/frames.h"
#include "../../tests/vectors/ngtcp2-packets.h"
#include "../../tests/vectors/rfc9001.h"
#include "../compat/chacha.h"
#include "../crypto.h"

#define PACKET_MAX 1500

/* What one vector is tried with; on the heap, because a transform works on it. */
struct bench {
	struct nq_conn_params p;
	u8 aead[64], hp[64];
	u8 seat;
	u8 packet[PACKET_MAX];
};

static void bench_open(struct kunit *test, struct bench *b, const struct nq_vector *v)
{
	memset(&b->p, 0, sizeof(b->p));
	memset(b->aead, 0, sizeof(b->aead));
	memset(b->hp, 0, sizeof(b->hp));
	b->p.cipher = v->cipher;
	memcpy(b->p.tx.key, v->key, sizeof(v->key));
	memcpy(b->p.tx_hp, v->hp, sizeof(v->hp));
	KUNIT_ASSERT_EQ(test, nqd_keys_load(&b->p, &b->seat), 0);
	KUNIT_EXPECT_EQ(test, nqd_crypto_ops.aead_init(b->aead, v->cipher, b->p.tx.key), 0);
	KUNIT_EXPECT_EQ(test, nqd_crypto_ops.hp_init(b->hp, v->cipher, b->p.tx_hp), 0);
	/* The contexts keep the keys. */
	nqd_keys_unload(&b->p);
}

static void bench_close(struct bench *b)
{
	nqd_crypto_ops.aead_wipe(b->aead);
	nqd_crypto_ops.hp_wipe(b->hp);
}

static struct nq_aead_op bench_op(struct bench *b, const struct nq_vector *v)
{
	u32 header_len = v->pn_at + v->pn_bytes;
	struct nq_aead_op op = {
		.aad = b->packet,
		.aad_len = header_len,
		.text = b->packet + header_len,
		.text_len = v->plain_len,
		.status = -EINPROGRESS,
	};

	memcpy(op.nonce, v->iv, NQ_IV_LEN);
	nq_put_be64(op.nonce + 4, nq_get_be64(v->iv + 4) ^ v->pn);
	return op;
}

/* Put header protection on the packet, or take it off. */
static void toggle_header(struct bench *b, const struct nq_vector *v)
{
	const u8 *sample = b->packet + v->pn_at + 4;
	u8 mask[1][NQ_HP_MASK_LEN];
	unsigned int i;

	nqd_crypto_ops.hp_mask(b->hp, &sample, mask, 1);
	b->packet[0] ^= mask[0][0] & (b->packet[0] & 0x80 ? 0x0f : 0x1f);
	for (i = 0; i < v->pn_bytes; i++)
		b->packet[v->pn_at + i] ^= mask[0][1 + i];
}

static void seal_one(struct kunit *test, struct bench *b, const struct nq_vector *v)
{
	u32 header_len = v->pn_at + v->pn_bytes;
	struct nq_aead_op op = bench_op(b, v);

	bench_open(test, b, v);
	memcpy(b->packet, v->header, header_len);
	memcpy(b->packet + header_len, v->plain, v->plain_len);
	local_bh_disable();
	nqd_crypto_ops.seal(b->aead, &op, 1);
	toggle_header(b, v);
	local_bh_enable();
	KUNIT_EXPECT_EQ_MSG(test, op.status, 0, "%s", v->name);
	KUNIT_EXPECT_EQ_MSG(test, memcmp(b->packet, v->packet, v->packet_len), 0, "%s", v->name);
	bench_close(b);
}

static void open_one(struct kunit *test, struct bench *b, const struct nq_vector *v, u32 damage)
{
	u32 header_len = v->pn_at + v->pn_bytes;
	struct nq_aead_op op = bench_op(b, v);

	bench_open(test, b, v);
	memcpy(b->packet, v->packet, v->packet_len);
	local_bh_disable();
	toggle_header(b, v);
	KUNIT_EXPECT_EQ_MSG(test, memcmp(b->packet, v->header, header_len), 0, "%s", v->name);
	if (damage)
		b->packet[damage - 1] ^= 1;
	nqd_crypto_ops.open(b->aead, &op, 1);
	local_bh_enable();
	KUNIT_EXPECT_EQ_MSG(test, op.status, damage ? -EBADMSG : 0, "%s, byte %u", v->name, damage);
	if (!damage)
		KUNIT_EXPECT_EQ_MSG(test, memcmp(b->packet + header_len, v->plain, v->plain_len), 0,
				    "%s", v->name);
	bench_close(b);
}

static void expect_derived(struct kunit *test, u16 cipher, const u8 *secret, u32 secret_len,
			   const char *label, const u8 *want, u32 len)
{
	u8 out[48] = {};
	int err = nqd_quic_derive(cipher, secret, secret_len, label, out, len);

	KUNIT_EXPECT_EQ_MSG(test, err, 0, "%s", label);
	KUNIT_EXPECT_EQ_MSG(test, memcmp(out, want, len), 0, "%s", label);
}

static void derive_one(struct kunit *test, const struct nq_vector *v)
{
	u32 key_len = nq_key_len(v->cipher), len = v->secret_len;
	static const u8 zero[48];

	expect_derived(test, v->cipher, v->secret, len, "quic key", v->key, key_len);
	expect_derived(test, v->cipher, v->secret, len, "quic iv", v->iv, NQ_IV_LEN);
	expect_derived(test, v->cipher, v->secret, len, "quic hp", v->hp, key_len);
	if (memcmp(v->ku, zero, len))
		expect_derived(test, v->cipher, v->secret, len, "quic ku", v->ku, len);
}

static void each(struct kunit *test, const struct nq_vector *v, unsigned int n)
{
	struct bench *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);
	unsigned int i;
	u32 at;

	KUNIT_ASSERT_NOT_NULL(test, b);
	for (i = 0; i < n; i++, v++) {
		KUNIT_ASSERT_LE(test, v->packet_len, PACKET_MAX);
		derive_one(test, v);
		seal_one(test, b, v);
		open_one(test, b, v, 0);
		/* A changed bit anywhere is refused: header, text, tag. */
		for (at = 1; at <= v->packet_len; at += 1 + v->packet_len / 20)
			open_one(test, b, v, at);
		open_one(test, b, v, v->packet_len);
	}
}

static void rfc9001(struct kunit *test)
{
	each(test, rfc9001_vectors, ARRAY_SIZE(rfc9001_vectors));
}

static void ngtcp2(struct kunit *test)
{
	each(test, ngtcp2_vectors, ARRAY_SIZE(ngtcp2_vectors));
}

static void initial_secrets(struct kunit *test)
{
	const u8 *secret = rfc9001_a1_initial_secret;

	expect_derived(test, NQ_AES_128_GCM, secret, 32, "client in", rfc9001_a1_client_secret, 32);
	expect_derived(test, NQ_AES_128_GCM, secret, 32, "server in", rfc9001_a1_server_secret, 32);
}

static void expect_refused(struct kunit *test, u16 cipher, u32 secret_len, const char *label,
			   u32 len, int why)
{
	static const u8 secret[48];
	u8 out[64];

	KUNIT_EXPECT_EQ(test, nqd_quic_derive(cipher, secret, secret_len, label, out, len), why);
}

static void derive_refuses(struct kunit *test)
{
	static const char long_label[] =
		"a label that leaves no room for the rest of the structure";

	expect_refused(test, 0x1304, 32, "quic key", 16, -EOPNOTSUPP);
	expect_refused(test, NQ_AES_128_GCM, 48, "quic key", 16, -EINVAL);
	expect_refused(test, NQ_AES_256_GCM, 32, "quic key", 32, -EINVAL);
	expect_refused(test, NQ_AES_128_GCM, 32, "quic key", 0, -EINVAL);
	expect_refused(test, NQ_AES_128_GCM, 32, "quic key", 33, -EINVAL);
	expect_refused(test, NQ_AES_128_GCM, 32, long_label, 16, -EINVAL);
}

static void unknown_cipher(struct kunit *test)
{
	struct nq_conn_params *p = kunit_kzalloc(test, sizeof(*p), GFP_KERNEL);
	u8 seat;

	KUNIT_ASSERT_NOT_NULL(test, p);
	p->cipher = 0x1304;
	memset(p->tx.key, 0xaa, sizeof(p->tx.key));
	memset(p->rx_hp, 0xaa, sizeof(p->rx_hp));
	KUNIT_EXPECT_EQ(test, nqd_keys_load(p, &seat), -EOPNOTSUPP);
	/* What could not be loaded is wiped all the same. */
	KUNIT_EXPECT_PTR_EQ(test, memchr_inv(p->tx.key, 0, sizeof(p->tx.key)), NULL);
	KUNIT_EXPECT_PTR_EQ(test, memchr_inv(p->rx_hp, 0, sizeof(p->rx_hp)), NULL);
}

/* Header and text in different places: the tag alone is the text. */
static void retry_tag(struct kunit *test)
{
	u32 tag_at = sizeof(rfc9001_a4_packet) - NQ_TAG_LEN;
	struct nq_vector v = { .name = "retry", .cipher = NQ_AES_128_GCM };
	struct bench *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);
	struct nq_aead_op op = { .aad_len = sizeof(rfc9001_a4_pseudo) };

	KUNIT_ASSERT_NOT_NULL(test, b);
	memcpy(v.key, rfc9001_retry_key, 16);
	memcpy(op.nonce, rfc9001_retry_nonce, NQ_IV_LEN);
	bench_open(test, b, &v);
	op.aad = b->packet;
	op.text = b->packet + 1000;
	memcpy(op.aad, rfc9001_a4_pseudo, sizeof(rfc9001_a4_pseudo));
	local_bh_disable();
	nqd_crypto_ops.seal(b->aead, &op, 1);
	local_bh_enable();
	KUNIT_EXPECT_EQ(test, op.status, 0);
	KUNIT_EXPECT_EQ(test, memcmp(op.text, rfc9001_a4_packet + tag_at, NQ_TAG_LEN), 0);
	bench_close(b);
}

/* RFC 8439 2.8 word for word, key and nonce are zeros. */
static void chacha_by_the_book(struct nq_aead_op *op)
{
	static const u8 zero[CHACHA_BLOCK_SIZE];
	__le64 lens[2] = { cpu_to_le64(op->aad_len), cpu_to_le64(op->text_len) };
	u32 key[CHACHA_KEY_SIZE / sizeof(u32)] = {};
	struct poly1305_desc_ctx mac;
	u8 block[CHACHA_BLOCK_SIZE];
	struct nqd_chacha state;

	nqd_chacha_init(&state, key, zero);
	nqd_chacha20_crypt(&state, block, zero, sizeof(block));
	poly1305_init(&mac, block);
	nqd_chacha20_crypt(&state, op->text, op->text, op->text_len);
	poly1305_update(&mac, op->aad, op->aad_len);
	poly1305_update(&mac, zero, -op->aad_len % POLY1305_BLOCK_SIZE);
	poly1305_update(&mac, op->text, op->text_len);
	poly1305_update(&mac, zero, -op->text_len % POLY1305_BLOCK_SIZE);
	poly1305_update(&mac, (const u8 *)lens, sizeof(lens));
	poly1305_final(&mac, op->text + op->text_len);
}

/* A text is worked on in pieces, and its end and the header's fill blocks or not. */
static void chacha_lengths(struct kunit *test)
{
	static const u16 lens[] = { 0,	 1,   15,  16,	17,  63,  64,  65,  447,
				    448, 449, 511, 512, 513, 959, 960, 961, 1400 };
	static const u8 aad_lens[] = { 0, 5, 16, 25, 32 };
	struct nq_vector v = { .name = "lengths", .cipher = NQ_CHACHA20_POLY1305 };
	struct bench *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);
	u8 *want = kunit_kzalloc(test, PACKET_MAX, GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, b);
	KUNIT_ASSERT_NOT_NULL(test, want);
	bench_open(test, b, &v);
	for (i = 0; i < ARRAY_SIZE(lens) * ARRAY_SIZE(aad_lens); i++) {
		struct nq_aead_op op = {
			.aad_len = aad_lens[i % ARRAY_SIZE(aad_lens)],
			.text_len = lens[i / ARRAY_SIZE(aad_lens)],
		};

		memset(b->packet, i, PACKET_MAX);
		memset(want, i, PACKET_MAX);
		op.aad = want;
		op.text = want + op.aad_len;
		local_bh_disable();
		chacha_by_the_book(&op);
		op.aad = b->packet;
		op.text = b->packet + op.aad_len;
		nqd_crypto_ops.seal(b->aead, &op, 1);
		KUNIT_EXPECT_EQ_MSG(test, memcmp(b->packet, want, PACKET_MAX), 0, "%u and %u bytes",
				    op.aad_len, op.text_len);
		nqd_crypto_ops.open(b->aead, &op, 1);
		local_bh_enable();
		KUNIT_EXPECT_EQ(test, op.status, 0);
		KUNIT_EXPECT_PTR_EQ(test, memchr_inv(op.text, (u8)i, op.text_len), NULL);
	}
	bench_close(b);
}

/* More masks than fit one request are those of the samples one by one. */
static void mask_burst(struct kunit *test)
{
	static const u16 ciphers[] = { NQ_AES_128_GCM, NQ_AES_256_GCM, NQ_CHACHA20_POLY1305 };
	u8(*masks)[NQ_HP_MASK_LEN] =
		kunit_kzalloc(test, 2 * NQ_BURST_MAX * NQ_HP_MASK_LEN, GFP_KERNEL);
	const u8 **samples = kunit_kzalloc(test, NQ_BURST_MAX * sizeof(*samples), GFP_KERNEL);
	struct bench *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);
	struct nq_vector v = { .name = "masks" };
	unsigned int i, c;

	KUNIT_ASSERT_NOT_NULL(test, b);
	KUNIT_ASSERT_NOT_NULL(test, masks);
	KUNIT_ASSERT_NOT_NULL(test, samples);
	for (i = 0; i < sizeof(b->packet); i++)
		b->packet[i] = i * 31;
	for (i = 0; i < NQ_BURST_MAX; i++)
		samples[i] = b->packet + 17 * i;
	for (c = 0; c < ARRAY_SIZE(ciphers); c++) {
		v.cipher = ciphers[c];
		bench_open(test, b, &v);
		local_bh_disable();
		nqd_crypto_ops.hp_mask(b->hp, samples, masks, NQ_BURST_MAX);
		for (i = 0; i < NQ_BURST_MAX; i++)
			nqd_crypto_ops.hp_mask(b->hp, &samples[i], &masks[NQ_BURST_MAX + i], 1);
		local_bh_enable();
		KUNIT_EXPECT_EQ(test,
				memcmp(masks, masks + NQ_BURST_MAX, NQ_BURST_MAX * NQ_HP_MASK_LEN),
				0);
		bench_close(b);
	}
}

/* What one key makes of nothing: a mask and a tag. */
struct made {
	u8 mask[1][NQ_HP_MASK_LEN];
	u8 tag[NQ_TAG_LEN];
};

static void make(struct bench *b, struct made *m)
{
	const u8 *sample = b->packet;
	struct nq_aead_op op = {
		.aad = b->packet,
		.aad_len = 16,
		.text = b->packet + 16,
		.text_len = 64,
	};

	memset(b->packet, 0, 16 + 64);
	nqd_crypto_ops.hp_mask(b->hp, &sample, m->mask, 1);
	nqd_crypto_ops.seal(b->aead, &op, 1);
	memcpy(m->tag, b->packet + 16 + 64, NQ_TAG_LEN);
}

/* A CPU takes on one key after the other, of any length: each gives what it gave before. */
static void keys_in_turn(struct kunit *test)
{
	static const u16 ciphers[] = { NQ_AES_128_GCM, NQ_AES_256_GCM, NQ_AES_128_GCM };
	const unsigned int n = ARRAY_SIZE(ciphers) * NQD_KEY_SEATS;
	struct bench *b = kunit_kcalloc(test, n, sizeof(*b), GFP_KERNEL);
	struct made *made = kunit_kcalloc(test, 2 * n, sizeof(*made), GFP_KERNEL);
	struct nq_vector v = { .name = "in turn" };
	unsigned int i, k;

	KUNIT_ASSERT_NOT_NULL(test, b);
	KUNIT_ASSERT_NOT_NULL(test, made);
	for (k = 0; k < n; k++) {
		v.cipher = ciphers[k % ARRAY_SIZE(ciphers)];
		v.hp[0] = k;
		v.key[0] = k;
		bench_open(test, b + k, &v);
	}
	local_bh_disable();
	for (i = 0; i < 2; i++)
		for (k = 0; k < n; k++)
			make(b + k, &made[i * n + k]);
	local_bh_enable();
	KUNIT_EXPECT_EQ(test, memcmp(made, made + n, n * sizeof(*made)), 0);
	for (k = 0; k < n; k++) {
		/* Who sits at the same seat. */
		i = (k + NQD_KEY_SEATS) % n;
		KUNIT_EXPECT_NE(test, memcmp(made[k].mask, made[i].mask, NQ_HP_MASK_LEN), 0);
		KUNIT_EXPECT_NE(test, memcmp(made[k].tag, made[i].tag, NQ_TAG_LEN), 0);
		bench_close(b + k);
	}
}

/* The receive keys that a session may have at once are at places of their own. */
static void phases_beside(struct kunit *test)
{
	struct nq_conn_params *p = kunit_kzalloc(test, sizeof(*p), GFP_KERNEL);
	struct nq_key_material tx = {}, rx = {};
	u8 seat, at[3]; /* of the phase before, the current and the next one */
	u32 updates;

	KUNIT_ASSERT_NOT_NULL(test, p);
	p->cipher = NQ_AES_128_GCM;
	p->has_next = true;
	KUNIT_ASSERT_EQ(test, nqd_keys_load(p, &seat), 0);
	at[1] = nqd_key_place(p->rx.key);
	at[2] = nqd_key_place(p->rx_next.key);
	KUNIT_EXPECT_NE(test, at[1], at[2]);
	nqd_keys_unload(p);
	for (updates = 1; updates < 8; updates++) {
		at[0] = at[1];
		at[1] = at[2];
		KUNIT_ASSERT_EQ(test, nqd_next_keys_load(p->cipher, seat, updates + 1, &tx, &rx),
				0);
		at[2] = nqd_key_place(rx.key);
		nqd_next_keys_unload(&tx, &rx);
		KUNIT_EXPECT_NE(test, at[0], at[2]);
		KUNIT_EXPECT_NE(test, at[1], at[2]);
	}
}

static void packet_numbers(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rfc9000_pn_decode); i++)
		KUNIT_EXPECT_EQ(test,
				nq_pn_decode(rfc9000_pn_decode[i].largest + 1,
					     rfc9000_pn_decode[i].truncated,
					     rfc9000_pn_decode[i].bytes),
				rfc9000_pn_decode[i].pn);
}

static void ack_encodings(struct kunit *test)
{
	struct nq_ranges *set = kunit_kzalloc(test, sizeof(*set), GFP_KERNEL);
	const struct nq_ack_vector *v;
	struct nq_ack_iter it;
	struct nq_range r;
	struct nq_frame f;
	u8 out[128];
	u32 i, len;

	KUNIT_ASSERT_NOT_NULL(test, set);
	for (v = ack_vectors; v < ack_vectors + ARRAY_SIZE(ack_vectors); v++) {
		KUNIT_ASSERT_EQ(test, nq_frame_parse(v->bytes, v->bytes + v->len, &f), 0);
		KUNIT_EXPECT_EQ(test, f.len, v->len);
		memset(&it, 0, sizeof(it));
		memset(set, 0, sizeof(*set));
		for (i = 0; nq_ack_next(&f.ack, &it, &r); i++) {
			KUNIT_EXPECT_EQ(test, r.first, v->ranges[i].first);
			KUNIT_EXPECT_EQ(test, r.last, v->ranges[i].last);
			nq_ranges_add(set, r.first, r.last);
		}
		KUNIT_EXPECT_EQ(test, i, v->n_ranges);
		len = nq_put_ack(out, sizeof(out), set, v->delay, v->has_ecn ? v->ecn : NULL);
		KUNIT_EXPECT_EQ(test, len, v->len);
		KUNIT_EXPECT_EQ(test, memcmp(out, v->bytes, v->len), 0);
	}
}

static void datagram_encodings(struct kunit *test)
{
	const struct nq_datagram_vector *v;
	struct nq_frame f;

	for (v = datagram_vectors; v < datagram_vectors + ARRAY_SIZE(datagram_vectors); v++) {
		KUNIT_ASSERT_EQ(test, nq_frame_parse(v->bytes, v->bytes + v->len, &f), 0);
		KUNIT_EXPECT_EQ(test, f.len, v->frame_len);
		KUNIT_EXPECT_PTR_EQ(test, (void *)f.datagram.data, (void *)(v->bytes + v->data_at));
		KUNIT_EXPECT_EQ(test, f.datagram.len, v->data_len);
	}
}

/* ---- two engines ---- */

#define PAIR_MTU 1300
#define PAIR_TEXT 1000

struct pair {
	struct nq_conn_params p[2];
	struct nq_conn *conn[2];
	void *mem[2];
	u8 seats[2];
	struct nq_tx_pkt out[NQ_BURST_MAX];
	struct nq_rx_pkt in[NQ_BURST_MAX];
	struct nq_rx_datagram datagrams[NQ_BURST_MAX];
	u8 *bufs;
	u64 now_us;
};

static void pair_keys(struct nq_conn_params *p, u8 tx, u8 rx)
{
	memset(p->tx.key, tx, sizeof(p->tx.key));
	memset(p->tx.iv, tx + 1, sizeof(p->tx.iv));
	memset(p->tx_hp, tx + 2, sizeof(p->tx_hp));
	memset(p->rx.key, rx, sizeof(p->rx.key));
	memset(p->rx.iv, rx + 1, sizeof(p->rx.iv));
	memset(p->rx_hp, rx + 2, sizeof(p->rx_hp));
	memset(p->tx_next.key, tx + 3, sizeof(p->tx_next.key));
	memset(p->tx_next.iv, tx + 4, sizeof(p->tx_next.iv));
	memset(p->rx_next.key, rx + 3, sizeof(p->rx_next.key));
	memset(p->rx_next.iv, rx + 4, sizeof(p->rx_next.iv));
	p->has_next = true;
}

static void pair_side(struct kunit *test, struct pair *pair, int i, u16 cipher)
{
	struct nq_conn_params *p = &pair->p[i];
	int err;

	*p = (struct nq_conn_params){
		.crypto = &nqd_crypto_ops,
		.cipher = cipher,
		.is_server = i,
		.local_cids = { { .len = 8, .id = { i + 1 } } },
		.remote_cids = { { .len = 8, .id = { 2 - i } } },
		.n_local_cids = 1,
		.n_remote_cids = 1,
		.peer_active_cid_limit = 2,
		.max_ack_delay_us = 25000,
		.ack_delay_exponent = 3,
		.peer_ack_delay_exponent = 3,
		.peer_max_ack_delay_us = 25000,
		.peer_max_datagram_frame_bytes = 65535,
		.peer_max_udp_payload_bytes = 65527,
		.path_mtu_bytes = PAIR_MTU,
		.ring_packets = NQ_RING_MIN,
		.path_secret = { 1, 2 },
	};
	pair_keys(p, i ? 0x20 : 0x10, i ? 0x10 : 0x20);
	KUNIT_ASSERT_EQ(test, nqd_keys_load(p, &pair->seats[i]), 0);
	pair->mem[i] = kunit_kzalloc(test, nq_conn_bytes(p) + 64, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pair->mem[i]);
	pair->conn[i] = nq_conn_init(PTR_ALIGN(pair->mem[i], 64), p, pair->now_us, &err);
	KUNIT_EXPECT_NOT_NULL(test, pair->conn[i]);
	nqd_keys_unload(p);
}

/* One side sends @n datagrams; how many the other got. */
static unsigned int pair_send(struct kunit *test, struct pair *pair, int from, unsigned int n)
{
	struct nq_conn *tx = pair->conn[from], *rx = pair->conn[!from];
	struct nq_tx_burst b;
	unsigned int i, got;
	u32 at;

	n = nq_tx_reserve(tx, &b, n, PAIR_MTU, pair->now_us);
	for (i = 0; i < n; i++) {
		pair->out[i].buf = pair->bufs + i * PACKET_MAX;
		at = b.hdr_len + nq_tx_datagram_header(tx, pair->out[i].buf + b.hdr_len);
		memset(pair->out[i].buf + at, from + i, PAIR_TEXT);
		pair->out[i].len = at + PAIR_TEXT;
	}
	KUNIT_EXPECT_EQ(test, nq_tx_seal(tx, &b, pair->out, n), 0);
	nq_tx_commit(tx, &b, pair->out, n, pair->now_us);
	for (i = 0; i < n; i++)
		pair->in[i] =
			(struct nq_rx_pkt){ .data = pair->out[i].buf, .len = pair->out[i].len };
	nq_rx_open(rx, pair->in, n, pair->datagrams, NQ_BURST_MAX, &got, pair->now_us);
	for (i = 0; i < got; i++) {
		KUNIT_EXPECT_EQ(test, pair->datagrams[i].len, PAIR_TEXT);
		KUNIT_EXPECT_PTR_EQ(test, memchr_inv(pair->datagrams[i].data, from + i, PAIR_TEXT),
				    NULL);
	}
	return got;
}

/* What @from has to say goes to the other side. */
static void pair_control(struct pair *pair, int from)
{
	struct nq_conn *tx = pair->conn[from], *rx = pair->conn[!from];
	unsigned int got;
	int len;

	while (nq_tx_control_wanted(tx, pair->now_us)) {
		len = nq_tx_control(tx, pair->bufs, PACKET_MAX, pair->now_us);
		if (len <= 0)
			return;
		pair->in[0] = (struct nq_rx_pkt){ .data = pair->bufs, .len = len };
		nq_rx_open(rx, pair->in, 1, pair->datagrams, NQ_BURST_MAX, &got, pair->now_us);
	}
}

static void pair_round(struct kunit *test, struct pair *pair)
{
	unsigned int n = 4;

	local_bh_disable();
	KUNIT_EXPECT_EQ(test, pair_send(test, pair, 0, n), n);
	KUNIT_EXPECT_EQ(test, pair_send(test, pair, 1, n), n);
	pair->now_us += 30000;
	pair_control(pair, 1);
	pair_control(pair, 0);
	pair->now_us += 30000;
	nq_on_timeout(pair->conn[0], pair->now_us);
	nq_on_timeout(pair->conn[1], pair->now_us);
	local_bh_enable();
}

static void update_keys(struct kunit *test, struct pair *pair, int i, u8 tx, u8 rx)
{
	u32 updates = nq_key_updates(pair->conn[i]) + 1;
	struct nq_key_material next[2] = {};
	int err;

	memset(next[0].key, tx, sizeof(next[0].key));
	memset(next[1].key, rx, sizeof(next[1].key));
	err = nqd_next_keys_load(pair->p[i].cipher, pair->seats[i], updates, &next[0], &next[1]);
	KUNIT_ASSERT_EQ(test, err, 0);
	local_bh_disable();
	KUNIT_EXPECT_EQ(test, nq_set_next_keys(pair->conn[i], &next[0], &next[1]), 0);
	local_bh_enable();
	nqd_next_keys_unload(&next[0], &next[1]);
}

static void pair_talk(struct kunit *test, struct pair *pair, u16 cipher)
{
	struct nq_stats st;
	unsigned int phase;

	pair->now_us = 1000000;
	pair_side(test, pair, 0, cipher);
	pair_side(test, pair, 1, cipher);
	for (phase = 0; phase < 4; phase++) {
		pair_round(test, pair);
		pair_round(test, pair);
		local_bh_disable();
		KUNIT_EXPECT_EQ(test, nq_key_update(pair->conn[0], pair->now_us), 0);
		local_bh_enable();
		pair_round(test, pair);
		update_keys(test, pair, 0, 0x40 + phase, 0x60 + phase);
		update_keys(test, pair, 1, 0x60 + phase, 0x40 + phase);
		/* The keys of the phase before go. */
		pair->now_us += 2000000;
		nq_on_timeout(pair->conn[0], pair->now_us);
		nq_on_timeout(pair->conn[1], pair->now_us);
	}
	nq_get_stats(pair->conn[1], &st, pair->now_us);
	KUNIT_EXPECT_EQ(test, st.count.key_updates, 4);
	KUNIT_EXPECT_EQ(test, st.count.open_failures, 0);
	KUNIT_EXPECT_EQ(test, st.count.datagram_rx, 4 * 3 * 4);
	nq_conn_fini(pair->conn[0]);
	nq_conn_fini(pair->conn[1]);
	kunit_kfree(test, pair->mem[0]);
	kunit_kfree(test, pair->mem[1]);
}

static void engines(struct kunit *test)
{
	struct pair *pair = kunit_kzalloc(test, sizeof(*pair), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, pair);
	pair->bufs = kunit_kzalloc(test, NQ_BURST_MAX * PACKET_MAX, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pair->bufs);
	pair_talk(test, pair, NQ_AES_128_GCM);
	pair_talk(test, pair, NQ_AES_256_GCM);
	pair_talk(test, pair, NQ_CHACHA20_POLY1305);
}

static struct kunit_case crypto_cases[] = { KUNIT_CASE(rfc9001),
					    KUNIT_CASE(ngtcp2),
					    KUNIT_CASE(initial_secrets),
					    KUNIT_CASE(derive_refuses),
					    KUNIT_CASE(unknown_cipher),
					    KUNIT_CASE(retry_tag),
					    KUNIT_CASE(chacha_lengths),
					    KUNIT_CASE(mask_burst),
					    KUNIT_CASE(keys_in_turn),
					    KUNIT_CASE(phases_beside),
					    KUNIT_CASE(packet_numbers),
					    KUNIT_CASE(ack_encodings),
					    KUNIT_CASE(datagram_encodings),
					    KUNIT_CASE(engines),
					    {} };

static bool started_here;

static int crypto_suite_init(struct kunit_suite *suite)
{
	started_here = !nqd_crypto_is_up();
	return started_here ? nqd_crypto_init() : 0;
}

static void crypto_suite_exit(struct kunit_suite *suite)
{
	if (started_here)
		nqd_crypto_exit();
}

static struct kunit_suite crypto_suite = {
	.name = "nexusq-crypto",
	.suite_init = crypto_suite_init,
	.suite_exit = crypto_suite_exit,
	.test_cases = crypto_cases,
};

kunit_test_suite(crypto_suite);
