// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every golden vector, on every cipher provider that works on this machine.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include <gnutls/crypto.h>

#include "../../lib/crypto.h"
#include "../../quic/frame.h"
#include "../../quic/pn.h"
#include "../../quic/ranges.h"
#include "frames.h"
#include "ngtcp2-packets.h"
#include "rfc9001.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct nq_crypto_ops *providers[2];
static unsigned int n_providers;

struct contexts {
	void *aead, *hp;
};

static void open_contexts(struct contexts *c, const struct nq_crypto_ops *ops,
			  const struct nq_vector *v)
{
	c->aead = aligned_alloc(64, ops->aead_ctx_bytes);
	c->hp = aligned_alloc(64, ops->hp_ctx_bytes);
	assert_non_null(c->aead);
	assert_non_null(c->hp);
	memset(c->aead, 0, ops->aead_ctx_bytes);
	memset(c->hp, 0, ops->hp_ctx_bytes);
	assert_int_equal(ops->aead_init(c->aead, v->cipher, v->key), 0);
	assert_int_equal(ops->hp_init(c->hp, v->cipher, v->hp), 0);
}

static void close_contexts(struct contexts *c, const struct nq_crypto_ops *ops)
{
	ops->aead_wipe(c->aead);
	ops->hp_wipe(c->hp);
	free(c->aead);
	free(c->hp);
}

static void set_op(struct nq_aead_op *op, const struct nq_vector *v, u8 *packet)
{
	u32 header_len = v->pn_at + v->pn_bytes;

	memset(op, 0, sizeof(*op));
	memcpy(op->nonce, v->iv, NQ_IV_LEN);
	nq_put_be64(op->nonce + 4, nq_get_be64(v->iv + 4) ^ v->pn);
	op->aad = packet;
	op->aad_len = header_len;
	op->text = packet + header_len;
	op->text_len = v->plain_len;
}

static void toggle_header(const struct nq_crypto_ops *ops, struct contexts *c,
			  const struct nq_vector *v, u8 *packet)
{
	const u8 *sample = packet + v->pn_at + 4;
	u8 mask[1][NQ_HP_MASK_LEN];
	u32 i;

	ops->hp_mask(c->hp, &sample, mask, 1);
	packet[0] ^= mask[0][0] & (packet[0] & 0x80 ? 0x0f : 0x1f);
	for (i = 0; i < v->pn_bytes; i++)
		packet[v->pn_at + i] ^= mask[0][1 + i];
}

static void seal_one(const struct nq_crypto_ops *ops, const struct nq_vector *v)
{
	u32 header_len = v->pn_at + v->pn_bytes;
	struct contexts c;
	struct nq_aead_op op;
	u8 packet[1500];

	assert_int_equal(header_len + v->plain_len + NQ_TAG_LEN, v->packet_len);
	open_contexts(&c, ops, v);
	memcpy(packet, v->header, header_len);
	memcpy(packet + header_len, v->plain, v->plain_len);
	set_op(&op, v, packet);
	ops->seal(c.aead, &op, 1);
	assert_int_equal(op.status, 0);
	toggle_header(ops, &c, v, packet);
	assert_memory_equal(packet, v->packet, v->packet_len);
	close_contexts(&c, ops);
}

static void open_one(const struct nq_crypto_ops *ops, const struct nq_vector *v, u32 damage)
{
	u32 header_len = v->pn_at + v->pn_bytes;
	struct contexts c;
	struct nq_aead_op op;
	u8 packet[1500];

	open_contexts(&c, ops, v);
	memcpy(packet, v->packet, v->packet_len);
	toggle_header(ops, &c, v, packet);
	assert_memory_equal(packet, v->header, header_len);
	if (damage)
		packet[damage - 1] ^= 1;
	set_op(&op, v, packet);
	ops->open(c.aead, &op, 1);
	assert_int_equal(op.status, damage ? -EBADMSG : 0);
	if (!damage)
		assert_memory_equal(packet + header_len, v->plain, v->plain_len);
	close_contexts(&c, ops);
}

static void derive_one(const struct nq_vector *v)
{
	static const u8 zero[48];
	u8 out[48];

	assert_int_equal(nx_quic_derive(v->cipher, v->secret, v->secret_len, "quic key", out,
					nq_key_len(v->cipher)),
			 0);
	assert_memory_equal(out, v->key, nq_key_len(v->cipher));
	nx_quic_derive(v->cipher, v->secret, v->secret_len, "quic iv", out, NQ_IV_LEN);
	assert_memory_equal(out, v->iv, NQ_IV_LEN);
	nx_quic_derive(v->cipher, v->secret, v->secret_len, "quic hp", out, nq_key_len(v->cipher));
	assert_memory_equal(out, v->hp, nq_key_len(v->cipher));
	if (!memcmp(v->ku, zero, v->secret_len))
		return;
	nx_quic_derive(v->cipher, v->secret, v->secret_len, "quic ku", out, v->secret_len);
	assert_memory_equal(out, v->ku, v->secret_len);
}

static void each(const struct nq_vector *v, unsigned int n)
{
	const struct nq_crypto_ops *ops;
	unsigned int i, p;
	u32 at;

	for (i = 0; i < n; i++) {
		derive_one(&v[i]);
		for (p = 0; p < n_providers; p++) {
			ops = providers[p];
			seal_one(ops, &v[i]);
			open_one(ops, &v[i], 0);
			/* A changed bit anywhere is refused: header, text, tag. */
			for (at = 1; at <= v[i].packet_len; at += 1 + v[i].packet_len / 50)
				open_one(ops, &v[i], at);
			open_one(ops, &v[i], v[i].packet_len);
		}
	}
}

static void test_rfc9001(void **state)
{
	each(rfc9001_vectors, COUNT(rfc9001_vectors));
}

static void test_ngtcp2(void **state)
{
	each(ngtcp2_vectors, COUNT(ngtcp2_vectors));
}

/* The golden packets of ngtcp2 parse as ACK and DATAGRAM frames. */
static void test_ngtcp2_frames(void **state)
{
	const struct nq_vector *v;
	struct nq_frame f;
	const u8 *p;
	u32 acks = 0, datagrams;

	for (v = ngtcp2_vectors; v < ngtcp2_vectors + COUNT(ngtcp2_vectors); v++) {
		datagrams = 0;
		for (p = v->plain; p < v->plain + v->plain_len; p += f.len) {
			assert_int_equal(nq_frame_parse(p, v->plain + v->plain_len, &f), 0);
			acks += f.type == NQ_FRAME_ACK;
			datagrams += (f.type & ~1) == NQ_FRAME_DATAGRAM;
		}
		assert_int_equal(datagrams, 1);
	}
	assert_true(acks >= 3);
}

static void test_initial_secrets(void **state)
{
	gnutls_datum_t ikm = { (u8 *)rfc9001_a1_dcid, sizeof(rfc9001_a1_dcid) };
	gnutls_datum_t salt = { (u8 *)rfc9001_a1_salt, sizeof(rfc9001_a1_salt) };
	u8 secret[32], out[32];

	assert_int_equal(gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &ikm, &salt, secret), 0);
	assert_memory_equal(secret, rfc9001_a1_initial_secret, 32);
	assert_int_equal(nx_quic_derive(NQ_AES_128_GCM, secret, 32, "client in", out, 32), 0);
	assert_memory_equal(out, rfc9001_a1_client_secret, 32);
	assert_int_equal(nx_quic_derive(NQ_AES_128_GCM, secret, 32, "server in", out, 32), 0);
	assert_memory_equal(out, rfc9001_a1_server_secret, 32);
}

static void test_derive_refuses(void **state)
{
	u8 secret[48] = { 0 }, out[64];

	assert_int_equal(nx_quic_derive(0x1304, secret, 32, "quic key", out, 16), -EOPNOTSUPP);
	assert_int_equal(nx_quic_derive(NQ_AES_128_GCM, secret, 48, "quic key", out, 16), -EINVAL);
	assert_int_equal(nx_quic_derive(NQ_AES_256_GCM, secret, 32, "quic key", out, 32), -EINVAL);
	assert_int_equal(nx_quic_derive(NQ_AES_128_GCM, secret, 32, "quic key", out, 0), -EINVAL);
}

static void test_retry_tag(void **state)
{
	u32 tag_at = sizeof(rfc9001_a4_packet) - NQ_TAG_LEN;
	u8 aad[sizeof(rfc9001_a4_pseudo)], tag[NQ_TAG_LEN];
	struct nq_aead_op op = { .aad = aad, .aad_len = sizeof(aad), .text = tag };
	unsigned int p;
	void *ctx;

	memcpy(aad, rfc9001_a4_pseudo, sizeof(aad));
	memcpy(op.nonce, rfc9001_retry_nonce, NQ_IV_LEN);
	for (p = 0; p < n_providers; p++) {
		ctx = aligned_alloc(64, providers[p]->aead_ctx_bytes);
		assert_non_null(ctx);
		memset(ctx, 0, providers[p]->aead_ctx_bytes);
		assert_int_equal(providers[p]->aead_init(ctx, NQ_AES_128_GCM, rfc9001_retry_key),
				 0);
		providers[p]->seal(ctx, &op, 1);
		assert_memory_equal(tag, rfc9001_a4_packet + tag_at, NQ_TAG_LEN);
		providers[p]->aead_wipe(ctx);
		free(ctx);
	}
}

static void test_packet_numbers(void **state)
{
	unsigned int i;

	for (i = 0; i < COUNT(rfc9000_pn_decode); i++)
		assert_int_equal(nq_pn_decode(rfc9000_pn_decode[i].largest + 1,
					      rfc9000_pn_decode[i].truncated,
					      rfc9000_pn_decode[i].bytes),
				 rfc9000_pn_decode[i].pn);
}

static void test_ack_encodings(void **state)
{
	const struct nq_ack_vector *v;
	struct nq_ack_iter it;
	struct nq_ranges set;
	struct nq_range r;
	struct nq_frame f;
	u8 out[128];
	u32 i;

	for (v = ack_vectors; v < ack_vectors + COUNT(ack_vectors); v++) {
		assert_int_equal(nq_frame_parse(v->bytes, v->bytes + v->len, &f), 0);
		assert_int_equal(f.len, v->len);
		assert_int_equal(f.ack.delay, v->delay);
		assert_int_equal(f.ack.has_ecn, v->has_ecn);
		memset(&it, 0, sizeof(it));
		memset(&set, 0, sizeof(set));
		for (i = 0; nq_ack_next(&f.ack, &it, &r); i++) {
			assert_int_equal(r.first, v->ranges[i].first);
			assert_int_equal(r.last, v->ranges[i].last);
			nq_ranges_add(&set, r.first, r.last);
		}
		assert_int_equal(i, v->n_ranges);
		assert_int_equal(
			nq_put_ack(out, sizeof(out), &set, v->delay, v->has_ecn ? v->ecn : NULL),
			v->len);
		assert_memory_equal(out, v->bytes, v->len);
	}
}

static void test_datagram_encodings(void **state)
{
	const struct nq_datagram_vector *v;
	struct nq_frame f;

	for (v = datagram_vectors; v < datagram_vectors + COUNT(datagram_vectors); v++) {
		assert_int_equal(nq_frame_parse(v->bytes, v->bytes + v->len, &f), 0);
		assert_int_equal(f.len, v->frame_len);
		assert_ptr_equal(f.datagram.data, v->bytes + v->data_at);
		assert_int_equal(f.datagram.len, v->data_len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc9001),
		cmocka_unit_test(test_ngtcp2),
		cmocka_unit_test(test_ngtcp2_frames),
		cmocka_unit_test(test_initial_secrets),
		cmocka_unit_test(test_derive_refuses),
		cmocka_unit_test(test_retry_tag),
		cmocka_unit_test(test_packet_numbers),
		cmocka_unit_test(test_ack_encodings),
		cmocka_unit_test(test_datagram_encodings),
	};

	providers[0] = nx_crypto_provider("gnutls");
	providers[1] = nx_crypto_provider("ipsec-mb");
	if (!providers[0])
		return 1;
	n_providers = providers[1] ? 2 : 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
