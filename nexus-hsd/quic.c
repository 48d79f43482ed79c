// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ngtcp2 for both ends: parameters, callbacks, and the notes they take for the export (DESIGN: what
 * ngtcp2 has no getter for is seen by wrapping encrypt and decrypt). Packet numbers are read from
 * the nonce, which is the packet number XOR the direction's iv.
 *
 * A client's transport parameters are libcurl's; a server's are as small as the capsule exchange
 * needs: one bidirectional stream of HS_CAPSULES_MAX bytes, nothing else. Every ack-eliciting
 * packet is acknowledged at once (ack_thresh 1), so that at the hand-over no acknowledgement is
 * owed.
 */
#include <errno.h>
#include <gnutls/crypto.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <stdlib.h>
#include <string.h>
#include "clock.h"
#include "conn.h"
#include "frames.h"
#include "hsd.h"
#include "learn.h"

/* As libcurl sets them (lib/vquic/curl_ngtcp2.c). */
#define CURL_STREAM_WINDOW (10 * 1024 * 1024)
#define CURL_MAX_STREAMS (256 * 1024)

/* The wire sees this value of a server only encrypted; RFC 9221 asks for 65535 as "any". */
#define MAX_DATAGRAM_FRAME 65535

/* A new ID of 4 bytes is taken already once in 2^32 / IDs in use: never so often in a row. */
#define NEW_CID_TRIES 16

/* Of a short header's first byte, header protection removed (RFC 9000 17.3.1). */
#define KEY_PHASE_BIT 0x04

static _Thread_local struct hs_conn *current;

struct hs_conn *hs_quic_enter(struct hs_conn *c)
{
	struct hs_conn *previous = current;

	current = c;
	return previous;
}

void hs_quic_leave(struct hs_conn *previous)
{
	current = previous;
}

/* ---- notes ---- */

static uint64_t pn_of_nonce(const uint8_t *nonce, const uint8_t iv[NQD_IV_LEN])
{
	uint64_t pn = 0;
	size_t i;

	for (i = NQD_IV_LEN - 8; i < NQD_IV_LEN; i++)
		pn = pn << 8 | (uint8_t)(nonce[i] ^ iv[i]);
	return pn;
}

static bool is_short_header(const uint8_t *aad, size_t len)
{
	return len > 0 && !(aad[0] & 0x80);
}

static bool is_long_header(const uint8_t *aad, size_t len, uint8_t type)
{
	return len > 0 && aad[0] & 0x80 && (aad[0] >> 4 & 3) == type;
}

static int on_encrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
		      const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *plain, size_t plain_len,
		      const uint8_t *nonce, size_t nonce_len, const uint8_t *aad, size_t aad_len)
{
	struct hs_conn *c = current;
	uint64_t pn;

	if (c && c->tx_keys.ready && nonce_len == NQD_IV_LEN && is_short_header(aad, aad_len)) {
		pn = pn_of_nonce(nonce, c->tx_keys.iv);
		if (!c->sent_1rtt || pn >= c->next_pn)
			c->next_pn = pn + 1;
		c->sent_1rtt = true;
	}
	if (c && c->shape)
		hs_shape_note_packet(c->shape, aead, ctx, plain, plain_len, nonce, nonce_len, aad,
				     aad_len);
	return ngtcp2_crypto_encrypt_cb(dest, aead, ctx, plain, plain_len, nonce, nonce_len, aad,
					aad_len);
}

static int on_hp_mask(uint8_t *dest, const ngtcp2_crypto_cipher *hp,
		      const ngtcp2_crypto_cipher_ctx *ctx, const uint8_t *sample)
{
	if (current && current->shape)
		hs_shape_note_mask(current->shape, hp, ctx);
	return ngtcp2_crypto_hp_mask_cb(dest, hp, ctx, sample);
}

static void note_ack(void *arg, uint64_t largest)
{
	struct hs_conn *c = arg;

	if (!c->has_largest_acked || largest > c->largest_acked)
		c->largest_acked = largest;
	c->has_largest_acked = true;
}

static void forget_remote_cid(struct hs_conn *c, uint64_t below)
{
	size_t i, kept = 0;

	for (i = 0; i < c->n_remote_cids; i++) {
		if (c->remote_cids[i].seq >= below)
			c->remote_cids[kept++] = c->remote_cids[i];
	}
	c->n_remote_cids = kept;
}

static void note_new_cid(void *arg, const struct hs_frame_cid *f)
{
	struct hs_conn *c = arg;
	struct hs_conn_cid *cid;
	size_t i;

	forget_remote_cid(c, f->retire_prior_to);
	for (i = 0; i < c->n_remote_cids; i++) {
		if (c->remote_cids[i].seq == f->seq)
			return;
	}
	if (c->n_remote_cids == NQD_REMOTE_CIDS_MAX)
		return;
	cid = &c->remote_cids[c->n_remote_cids++];
	memset(cid, 0, sizeof(*cid));
	cid->seq = f->seq;
	cid->len = (uint8_t)f->id_len;
	memcpy(cid->id, f->id, f->id_len);
	cid->has_token = true;
	memcpy(cid->token, f->token, sizeof(cid->token));
}

static int on_decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
		      const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *data, size_t len,
		      const uint8_t *nonce, size_t nonce_len, const uint8_t *aad, size_t aad_len)
{
	struct hs_frame_sink sink = { .ack = note_ack, .new_cid = note_new_cid, .arg = current };
	struct hs_conn *c = current;
	int rv;

	rv = ngtcp2_crypto_decrypt_cb(dest, aead, ctx, data, len, nonce, nonce_len, aad, aad_len);
	if (rv != 0 || !c)
		return rv;
	c->heard = true;
	hs_follow_opened(c);
	if (is_long_header(aad, aad_len, HS_PACKET_HANDSHAKE))
		c->validated = true;
	if (c->visit && is_long_header(aad, aad_len, HS_PACKET_INITIAL))
		hs_visit_initial(c->visit, aad, aad_len, dest, len - aead->max_overhead);
	if (c->rx_keys.ready && nonce_len == NQD_IV_LEN && is_short_header(aad, aad_len)) {
		/* The export describes phase 0; no peer of ours updates keys this early. */
		if (aad[0] & KEY_PHASE_BIT)
			hs_conn_note_failure(c, HS_REASON_PROTOCOL,
					     "key update before the hand-over");
		hs_ranges_add(&c->rx_ranges, pn_of_nonce(nonce, c->rx_keys.iv));
		/* ngtcp2 reads the same bytes and complains about malformed ones. */
		hs_frames_walk(dest, len - aead->max_overhead, &sink);
	}
	return 0;
}

/* ---- callbacks ---- */

/*
 * Second pass: the ClientHello was made before the connection, for its tag is the connection's
 * DCID.
 */
static int on_client_initial(ngtcp2_conn *quic, void *arg)
{
	struct hs_conn *c = arg;

	if (ngtcp2_crypto_client_initial_cb(quic, arg) != 0)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	if (ngtcp2_conn_submit_crypto_data(quic, NGTCP2_ENCRYPTION_LEVEL_INITIAL, c->client_hello,
					   c->client_hello_len) != 0)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	return 0;
}

static int on_crypto_data(ngtcp2_conn *quic, ngtcp2_encryption_level level, uint64_t offset,
			  const uint8_t *data, size_t len, void *arg)
{
	struct hs_conn *c = arg;

	if (c->visit && level == NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE)
		hs_visit_crypto(c->visit, len);
	return ngtcp2_crypto_recv_crypto_data_cb(quic, level, offset, data, len, arg);
}

static int on_completed(ngtcp2_conn *quic, void *arg)
{
	struct hs_conn *c = arg;

	c->completed = true;
	/* A server has nothing to wait for (RFC 9001 4.1.2). */
	if (c->server)
		c->confirmed = true;
	return 0;
}

static int on_confirmed(ngtcp2_conn *quic, void *arg)
{
	struct hs_conn *c = arg;

	c->confirmed = true;
	return 0;
}

static void on_rand(uint8_t *dest, size_t len, const ngtcp2_rand_ctx *ctx)
{
	if (gnutls_rnd(GNUTLS_RND_NONCE, dest, len) < 0)
		memset(dest, 0, len);
}

/* An ID for the table: the lookup can tell it from every other. 0 or negative errno. */
static int make_local_cid(struct hs_conn *c, uint8_t *id, size_t len)
{
	unsigned int i;

	for (i = 0; i < NEW_CID_TRIES; i++) {
		if (gnutls_rnd(GNUTLS_RND_RANDOM, id, len) < 0)
			return -EIO;
		if (!hs_cidtable_ambiguous(&c->hsd->cids, id, len))
			return 0;
	}
	return -EEXIST;
}

static int on_new_local_cid(ngtcp2_conn *quic, ngtcp2_cid *cid, uint8_t *token, size_t len,
			    void *arg)
{
	struct hs_conn *c = arg;

	if (make_local_cid(c, cid->data, len) < 0 ||
	    gnutls_rnd(GNUTLS_RND_RANDOM, token, NGTCP2_STATELESS_RESET_TOKENLEN) < 0)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	cid->datalen = len;
	if (!hs_conn_add_local_cid(c, cid->data, len, token))
		return NGTCP2_ERR_CALLBACK_FAILURE;
	return 0;
}

static int on_local_cid_retired(ngtcp2_conn *quic, const ngtcp2_cid *cid, void *arg)
{
	struct hs_conn *c = arg;
	size_t i;

	for (i = 0; i < c->n_local_cids; i++) {
		if (c->local_cids[i].len == cid->datalen &&
		    memcmp(c->local_cids[i].id, cid->data, cid->datalen) == 0) {
			hs_cidtable_del(&c->local_cids[i].entry);
			c->local_cids[i].len = 0;
		}
	}
	return 0;
}

/* A client knows servers that speak HTTP/3 on the side, as far as that goes. */
static bool read_over(struct hs_conn *c, int64_t id, size_t len)
{
	if (c->visit)
		return true;
	c->peer_stream_bytes += len;
	return !c->server && !ngtcp2_is_bidi_stream(id) && id / 4 < HS_PEER_STREAMS_MAX &&
	       c->peer_stream_bytes <= HS_PEER_STREAM_BYTES_MAX;
}

static int on_stream_data(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t offset,
			  const uint8_t *data, size_t len, void *arg, void *stream_arg)
{
	struct hs_conn *c = arg;

	if (id != 0 && read_over(c, id, len))
		return 0;
	if (id != 0) {
		hs_conn_note_failure(c, HS_REASON_PROTOCOL, "the peer opened stream %lld",
				     (long long)id);
		return NGTCP2_ERR_CALLBACK_FAILURE;
	}
	if (hs_stream_receive(c, data, len, flags & NGTCP2_STREAM_DATA_FLAG_FIN) < 0)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	return 0;
}

static int on_stream_close(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t code, void *arg,
			   void *stream_arg)
{
	struct hs_conn *c = arg;

	if (flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET) {
		hs_conn_note_failure(c, HS_REASON_PROTOCOL, "the peer reset stream %lld",
				     (long long)id);
		return NGTCP2_ERR_CALLBACK_FAILURE;
	}
	if (id == 0)
		c->stream.closed = true;
	return 0;
}

/* The peer's data plane may already run: its first packets are kept for ours. */
static int on_datagram(ngtcp2_conn *quic, uint32_t flags, const uint8_t *data, size_t len,
		       void *arg)
{
	struct hs_conn *c = arg;
	uint8_t *copy;

	if (c->n_early == HS_EARLY_DATAGRAMS_MAX || len == 0)
		return 0;
	copy = malloc(len);
	if (!copy)
		return 0;
	memcpy(copy, data, len);
	c->early[c->n_early].data = copy;
	c->early[c->n_early++].len = len;
	return 0;
}

static const ngtcp2_callbacks callbacks = {
	.client_initial = on_client_initial,
	.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
	.recv_crypto_data = on_crypto_data,
	.handshake_completed = on_completed,
	.handshake_confirmed = on_confirmed,
	.encrypt = on_encrypt,
	.decrypt = on_decrypt,
	.hp_mask = on_hp_mask,
	.recv_stream_data = on_stream_data,
	.stream_close = on_stream_close,
	.recv_retry = ngtcp2_crypto_recv_retry_cb,
	.rand = on_rand,
	.get_new_connection_id = on_new_local_cid,
	.remove_connection_id = on_local_cid_retired,
	.update_key = ngtcp2_crypto_update_key_cb,
	.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
	.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
	.recv_datagram = on_datagram,
	.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
	.version_negotiation = ngtcp2_crypto_version_negotiation_cb,
};

/* ---- connections ---- */

/* As servers choose it that do: with room for as many again. */
static uint32_t random_pn(void)
{
	uint32_t pn = 0;

	on_rand((uint8_t *)&pn, sizeof(pn), NULL);
	return pn & INT32_MAX;
}

static void common_settings(struct hs_conn *c, ngtcp2_settings *s)
{
	ngtcp2_settings_default(s);
	s->initial_ts = hs_now_ns();
	s->max_tx_udp_payload_size = HS_UDP_PAYLOAD;
	s->no_pmtud = 1;
	s->ack_thresh = 1;
	if (c->follow) {
		/* A packet may be as large as the cover's; flush() asks for no more than ours. */
		s->max_tx_udp_payload_size = HS_PROFILE_DGRAM_BYTES_MAX;
		s->no_tx_udp_payload_size_shaping = 1;
		if (c->follow->style.random_pn)
			s->initial_pkt_num = random_pn();
		if (c->follow->n_repeats > 0)
			s->initial_rtt = c->follow->repeats[0].after_ms * HS_NS_PER_MS / 3 + 1;
	}
}

static void client_params(ngtcp2_transport_params *p)
{
	ngtcp2_transport_params_default(p);
	p->initial_max_data = 10 * CURL_STREAM_WINDOW;
	p->initial_max_stream_data_bidi_local = CURL_STREAM_WINDOW;
	p->initial_max_stream_data_bidi_remote = CURL_STREAM_WINDOW;
	p->initial_max_stream_data_uni = CURL_STREAM_WINDOW;
	p->initial_max_streams_bidi = CURL_MAX_STREAMS;
	p->initial_max_streams_uni = CURL_MAX_STREAMS;
}

static int new_client_conn(struct hs_conn *c, const uint8_t *dcid, const uint8_t *scid,
			   const ngtcp2_transport_params *params, ngtcp2_conn **out)
{
	ngtcp2_path path = {
		.local = { &c->local.sa, hs_addr_size(&c->local) },
		.remote = { &c->remote.sa, hs_addr_size(&c->remote) },
	};
	ngtcp2_settings settings;
	ngtcp2_cid d, s;

	ngtcp2_cid_init(&d, dcid, HS_CID_LEN);
	ngtcp2_cid_init(&s, scid, HS_CID_LEN);
	common_settings(c, &settings);
	if (ngtcp2_conn_client_new(out, &d, &s, &path, NGTCP2_PROTO_VER_V1, &callbacks, &settings,
				   params, NULL, c) != 0)
		return -ENOMEM;
	return 0;
}

/* Only a connection can encode parameters the way ngtcp2 sends them: make one for that. */
int hs_quic_client_params(struct hs_conn *c, const uint8_t scid[HS_CID_LEN])
{
	ngtcp2_transport_params params;
	uint8_t dcid[HS_CID_LEN];
	ngtcp2_conn *scratch;
	ngtcp2_ssize n;
	int err;

	client_params(&params);
	on_rand(dcid, sizeof(dcid), NULL);
	err = new_client_conn(c, dcid, scid, &params, &scratch);
	if (err < 0)
		return err;
	n = ngtcp2_conn_encode_local_transport_params(scratch, c->tp, sizeof(c->tp));
	ngtcp2_conn_del(scratch);
	if (n < 0)
		return -EPROTO;
	c->tp_len = (size_t)n;
	return 0;
}

int hs_quic_new_client(struct hs_conn *c, const uint8_t dcid[HS_CID_LEN],
		       const uint8_t scid[HS_CID_LEN])
{
	ngtcp2_transport_params params;
	int err;

	client_params(&params);
	params.max_datagram_frame_size = MAX_DATAGRAM_FRAME;
	err = new_client_conn(c, dcid, scid, &params, &c->quic);
	if (err < 0)
		return err;
	ngtcp2_conn_set_tls_native_handle(c->quic, c->tls);
	c->quic_started = true;
	return hs_conn_add_local_cid(c, scid, HS_CID_LEN, NULL) ? 0 : -EEXIST;
}

static void server_params(struct hs_conn *c, ngtcp2_transport_params *p)
{
	ngtcp2_transport_params_default(p);
	p->initial_max_data = HS_CAPSULES_MAX;
	p->initial_max_stream_data_bidi_remote = HS_CAPSULES_MAX;
	p->initial_max_streams_bidi = 1;
	p->max_idle_timeout = c->tunnel->config->idle_timeout_ms * HS_NS_PER_MS;
	p->max_datagram_frame_size = MAX_DATAGRAM_FRAME;
	p->stateless_reset_token_present = 1;
}

int hs_quic_new_server(struct hs_conn *c, const uint8_t *dcid, size_t dcid_len, const uint8_t *scid,
		       size_t scid_len)
{
	ngtcp2_path path = {
		.local = { &c->local.sa, hs_addr_size(&c->local) },
		.remote = { &c->remote.sa, hs_addr_size(&c->remote) },
	};
	ngtcp2_transport_params params;
	uint8_t ours[HS_CID_LEN], len = c->tunnel->server_cid_len;
	ngtcp2_settings settings;
	ngtcp2_cid peer, local;
	int err;

	server_params(c, &params);
	err = make_local_cid(c, ours, len);
	if (err < 0)
		return err;
	if (gnutls_rnd(GNUTLS_RND_RANDOM, params.stateless_reset_token,
		       sizeof(params.stateless_reset_token)) < 0)
		return -EIO;
	ngtcp2_cid_init(&params.original_dcid, dcid, dcid_len);
	params.original_dcid_present = 1;
	ngtcp2_cid_init(&peer, scid, scid_len);
	ngtcp2_cid_init(&local, ours, len);
	common_settings(c, &settings);
	if (ngtcp2_conn_server_new(&c->quic, &peer, &local, &path, NGTCP2_PROTO_VER_V1, &callbacks,
				   &settings, &params, NULL, c) != 0)
		return -ENOMEM;
	ngtcp2_conn_set_tls_native_handle(c->quic, c->tls);
	if (!hs_conn_add_local_cid(c, ours, len, params.stateless_reset_token))
		return -EEXIST;
	return 0;
}
