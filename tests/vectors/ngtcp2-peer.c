// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ngtcp2 + GnuTLS test partner. See ngtcp2-peer.h.
 *
 * ngtcp2 has no getter for packet numbers: the encrypt and decrypt callbacks are wrapped and the
 * number is taken from the nonce. They get no user pointer, so the endpoint at work is a global.
 */
#include "ngtcp2-peer.h"

#include <stdlib.h>

#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include "../../lib/crypto.h"
#include "../../quic/varint.h"

#define PEER_PACKET 1400
#define PEER_IDLE_S 30
#define HANDSHAKE_DELAY_US 5000

static struct peer *at_work;

/* ---- wrapped packet protection ---- */

static u64 pn_of(const u8 *nonce, const u8 *iv)
{
	return nq_get_be64(nonce + 4) ^ nq_get_be64(iv + 4);
}

static int on_encrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
		      const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *text, size_t text_len,
		      const uint8_t *nonce, size_t nonce_len, const uint8_t *aad, size_t aad_len)
{
	u64 pn;

	if (!(aad[0] & 0x80)) {
		pn = pn_of(nonce, at_work->tx_iv);
		at_work->next_pn = pn + 1;
		at_work->sent_any = true;
		at_work->plain_len = (u32)text_len;
		memcpy(at_work->plain, text, text_len);
		at_work->header_len = (u32)aad_len;
		memcpy(at_work->header, aad, aad_len);
	}
	return ngtcp2_crypto_encrypt_cb(dest, aead, ctx, text, text_len, nonce, nonce_len, aad,
					aad_len);
}

static int on_decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
		      const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *text, size_t text_len,
		      const uint8_t *nonce, size_t nonce_len, const uint8_t *aad, size_t aad_len)
{
	int rv = ngtcp2_crypto_decrypt_cb(dest, aead, ctx, text, text_len, nonce, nonce_len, aad,
					  aad_len);
	u64 pn;

	if (rv || aad[0] & 0x80)
		return rv;
	pn = pn_of(nonce, at_work->rx_iv);
	if (pn < PEER_RANGES * 64)
		at_work->rx_seen[pn / 64] |= 1ULL << (pn % 64);
	return 0;
}

/* ---- other callbacks ---- */

static void on_rand(uint8_t *dest, size_t len, const ngtcp2_rand_ctx *ctx)
{
	memset(dest, 0x5a, len);
}

static void make_cid(struct nq_cid *cid, bool server, u64 seq)
{
	memset(cid, 0, sizeof(*cid));
	cid->seq = seq;
	cid->len = PEER_CID_LEN;
	memset(cid->id, (server ? 0xa0 : 0xc0) + (int)seq, PEER_CID_LEN);
	cid->has_token = true;
	memset(cid->token, (server ? 0x20 : 0x40) + (int)seq, NQ_RESET_TOKEN_LEN);
}

static int on_new_cid(ngtcp2_conn *conn, ngtcp2_cid *cid, uint8_t *token, size_t len, void *user)
{
	struct peer *p = user;
	struct nq_cid more, *own = p->n_local < NQ_CIDS_MAX ? &p->local[p->n_local] : &more;

	if (len != PEER_CID_LEN)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	make_cid(own, p->server, p->n_local++);
	ngtcp2_cid_init(cid, own->id, own->len);
	memcpy(token, own->token, NQ_RESET_TOKEN_LEN);
	return 0;
}

static int on_path_data(ngtcp2_conn *conn, uint8_t *data, void *user)
{
	memset(data, 0x77, NGTCP2_PATH_CHALLENGE_DATALEN);
	return 0;
}

static int on_datagram(ngtcp2_conn *conn, uint32_t flags, const uint8_t *data, size_t len,
		       void *user)
{
	struct peer *p = user;
	u32 at = p->index_at ? p->index_at : 1;
	u64 index;

	p->received++;
	if (!p->seen || len < at + 8)
		return 0;
	index = nq_get_be64(data + at);
	if (index >= p->seen_size)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	p->duplicates += p->seen[index];
	p->seen[index] = 1;
	return 0;
}

static int on_stream(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset,
		     const uint8_t *data, size_t len, void *user, void *stream_user)
{
	((struct peer *)user)->stream_bytes += len;
	ngtcp2_conn_extend_max_offset(conn, len);
	return ngtcp2_conn_extend_max_stream_offset(conn, id, len);
}

static int on_datagram_acked(ngtcp2_conn *conn, uint64_t id, void *user)
{
	((struct peer *)user)->acked++;
	return 0;
}

static int on_datagram_lost(ngtcp2_conn *conn, uint64_t id, void *user)
{
	((struct peer *)user)->lost++;
	return 0;
}

static ngtcp2_conn *get_conn(ngtcp2_crypto_conn_ref *ref)
{
	return ((struct peer *)ref->user_data)->conn;
}

/* ---- TLS ---- */

static ngtcp2_encryption_level level_of(gnutls_record_encryption_level_t level)
{
	return ngtcp2_crypto_gnutls_from_gnutls_record_encryption_level(level);
}

/* 1-RTT secrets of the golden packets: client 01 02 03..., server ff fe fd.... */
static void fix_secret(u8 *secret, bool of_server, u32 len)
{
	u32 i;

	for (i = 0; i < len; i++)
		secret[i] = of_server ? (u8)(0xff - i) : (u8)(i + 1);
}

static int on_secret(gnutls_session_t tls, gnutls_record_encryption_level_t gnutls_level,
		     const void *rx, const void *tx, size_t len)
{
	ngtcp2_crypto_conn_ref *ref = gnutls_session_get_ptr(tls);
	ngtcp2_encryption_level level = level_of(gnutls_level);
	struct peer *p = ref->user_data;
	u8 *rx_iv = NULL, *tx_iv = NULL;

	if (level == NGTCP2_ENCRYPTION_LEVEL_1RTT) {
		rx_iv = p->rx_iv;
		tx_iv = p->tx_iv;
		p->secret_len = (u32)len;
		if (rx)
			memcpy(p->rx_secret, rx, len);
		if (tx)
			memcpy(p->tx_secret, tx, len);
		if (p->fixed_secrets) {
			fix_secret(p->rx_secret, !p->server, p->secret_len);
			fix_secret(p->tx_secret, p->server, p->secret_len);
		}
		rx = rx ? p->rx_secret : NULL;
		tx = tx ? p->tx_secret : NULL;
	}
	if (rx &&
	    ngtcp2_crypto_derive_and_install_rx_key(p->conn, NULL, rx_iv, NULL, level, rx, len))
		return -1;
	if (tx &&
	    ngtcp2_crypto_derive_and_install_tx_key(p->conn, NULL, tx_iv, NULL, level, tx, len))
		return -1;
	return 0;
}

static const char *priority_of(u16 cipher)
{
	switch (cipher) {
	case NQ_AES_128_GCM:
		return "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:-GROUP-ALL:"
		       "+GROUP-X25519:%DISABLE_TLS13_COMPAT_MODE";
	case NQ_AES_256_GCM:
		return "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-256-GCM:-GROUP-ALL:"
		       "+GROUP-X25519:%DISABLE_TLS13_COMPAT_MODE";
	default:
		return "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305:-GROUP-ALL:"
		       "+GROUP-X25519:%DISABLE_TLS13_COMPAT_MODE";
	}
}

static int start_tls(struct peer *p, gnutls_certificate_credentials_t cred)
{
	gnutls_datum_t alpn = { .data = (u8 *)"nq", .size = 2 };

	if (gnutls_init(&p->tls,
			p->server ? GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET : GNUTLS_CLIENT) ||
	    gnutls_priority_set_direct(p->tls, priority_of(p->cipher), NULL) ||
	    gnutls_credentials_set(p->tls, GNUTLS_CRD_CERTIFICATE, cred) ||
	    gnutls_alpn_set_protocols(p->tls, &alpn, 1, GNUTLS_ALPN_MANDATORY))
		return -1;
	if (p->server ? ngtcp2_crypto_gnutls_configure_server_session(p->tls)
		      : ngtcp2_crypto_gnutls_configure_client_session(p->tls))
		return -1;
	gnutls_handshake_set_secret_function(p->tls, on_secret);
	p->ref.get_conn = get_conn;
	p->ref.user_data = p;
	gnutls_session_set_ptr(p->tls, &p->ref);
	return 0;
}

static int accept_certificate(gnutls_session_t tls)
{
	return 0;
}

static int self_signed(gnutls_certificate_credentials_t cred)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	int err;

	if (gnutls_x509_privkey_init(&key))
		return -1;
	if (gnutls_x509_crt_init(&crt)) {
		gnutls_x509_privkey_deinit(key);
		return -1;
	}
	err = gnutls_x509_privkey_generate(key, GNUTLS_PK_EDDSA_ED25519, 0, 0) ||
	      gnutls_x509_crt_set_version(crt, 3) || gnutls_x509_crt_set_serial(crt, "\1", 1) ||
	      gnutls_x509_crt_set_activation_time(crt, 1700000000) ||
	      gnutls_x509_crt_set_expiration_time(crt, 4000000000) ||
	      gnutls_x509_crt_set_dn(crt, "CN=peer", NULL) || gnutls_x509_crt_set_key(crt, key) ||
	      gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA512, 0) ||
	      gnutls_certificate_set_x509_key(cred, &crt, 1, key);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
	return err ? -1 : 0;
}

/* ---- connections ---- */

static void set_path(ngtcp2_path_storage *ps, bool server, u32 client_addr)
{
	struct sockaddr_in here = { .sin_family = AF_INET }, client = here;

	client.sin_addr.s_addr = htonl(client_addr >> 16);
	client.sin_port = htons((u16)client_addr);
	ngtcp2_path_storage_init(ps, (struct sockaddr *)(server ? &here : &client), sizeof(here),
				 (struct sockaddr *)(server ? &client : &here), sizeof(here), NULL);
}

static u32 client_addr(const ngtcp2_path *path, bool server)
{
	const struct sockaddr_in *in = (void *)(server ? path->remote.addr : path->local.addr);

	return ntohl(in->sin_addr.s_addr) << 16 | ntohs(in->sin_port);
}

static u64 ns(const struct peer *p)
{
	return *p->now_us * 1000;
}

static void set_callbacks(ngtcp2_callbacks *cb, bool server)
{
	memset(cb, 0, sizeof(*cb));
	if (server)
		cb->recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
	else
		cb->client_initial = ngtcp2_crypto_client_initial_cb;
	cb->recv_retry = ngtcp2_crypto_recv_retry_cb;
	cb->recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
	cb->encrypt = on_encrypt;
	cb->decrypt = on_decrypt;
	cb->hp_mask = ngtcp2_crypto_hp_mask_cb;
	cb->update_key = ngtcp2_crypto_update_key_cb;
	cb->delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
	cb->delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
	cb->version_negotiation = ngtcp2_crypto_version_negotiation_cb;
	cb->get_path_challenge_data = on_path_data;
	cb->rand = on_rand;
	cb->get_new_connection_id = on_new_cid;
	cb->recv_datagram = on_datagram;
	cb->recv_stream_data = on_stream;
	cb->ack_datagram = on_datagram_acked;
	cb->lost_datagram = on_datagram_lost;
}

static void set_params(struct peer *p, ngtcp2_settings *s, ngtcp2_transport_params *tp)
{
	const struct peer_options *o = p->options;

	ngtcp2_settings_default(s);
	s->initial_ts = ns(p);
	s->no_pmtud = 1;
	s->max_tx_udp_payload_size = PEER_PACKET;
	s->no_tx_udp_payload_size_shaping = 1;
	ngtcp2_transport_params_default(tp);
	tp->max_datagram_frame_size = 65535;
	tp->max_idle_timeout = (o->idle_s ? o->idle_s : PEER_IDLE_S) * NGTCP2_SECONDS;
	tp->initial_max_data = 65536;
	if (o->has_congestion)
		s->cc_algo = o->congestion;
	if (!o->stream_window)
		return;
	tp->initial_max_data = tp->initial_max_stream_data_uni = o->stream_window;
	tp->initial_max_streams_uni = 1;
	s->max_window = s->max_stream_window = o->stream_window;
}

static int start_conn(struct peer *p, const ngtcp2_cid *odcid)
{
	ngtcp2_transport_params tp;
	ngtcp2_cid dcid, scid;
	ngtcp2_path_storage ps;
	ngtcp2_callbacks cb;
	ngtcp2_settings s;
	struct nq_cid *own = &p->local[p->n_local];
	int rv;

	make_cid(own, p->server, p->n_local++);
	ngtcp2_cid_init(&scid, own->id, own->len);
	set_path(&ps, p->server, 0);
	set_callbacks(&cb, p->server);
	set_params(p, &s, &tp);
	if (p->server) {
		tp.original_dcid = *odcid;
		tp.original_dcid_present = 1;
		tp.stateless_reset_token_present = 1;
		memcpy(tp.stateless_reset_token, own->token, NQ_RESET_TOKEN_LEN);
		ngtcp2_cid_init(&dcid, p->local[0].id, 0);
		memset(dcid.data, 0xc0, PEER_CID_LEN);
		dcid.datalen = PEER_CID_LEN;
		rv = ngtcp2_conn_server_new(&p->conn, &dcid, &scid, &ps.path, NGTCP2_PROTO_VER_V1,
					    &cb, &s, &tp, NULL, p);
	} else {
		rv = ngtcp2_conn_client_new(&p->conn, odcid, &scid, &ps.path, NGTCP2_PROTO_VER_V1,
					    &cb, &s, &tp, NULL, p);
	}
	if (rv)
		return rv;
	ngtcp2_conn_set_tls_native_handle(p->conn, p->tls);
	return 0;
}

/* What every packet that was written has told; returns @n. */
static long written(struct peer *p, const ngtcp2_path_storage *ps, long n)
{
	if (n > 0) {
		ngtcp2_conn_update_pkt_tx_time(p->conn, ns(p));
		p->addr = client_addr(&ps->path, p->server);
	}
	return n;
}

long peer_write(struct peer *p, u8 *buf, u32 cap)
{
	ngtcp2_path_storage ps;
	ngtcp2_pkt_info pi;
	long n;

	at_work = p;
	ngtcp2_path_storage_zero(&ps);
	n = ngtcp2_conn_write_pkt(p->conn, &ps.path, &pi, buf, cap, ns(p));
	return written(p, &ps, n);
}

long peer_write_datagram(struct peer *p, u8 *buf, u32 cap, u64 id, const u8 *data, u32 len,
			 int *accepted)
{
	ngtcp2_vec vec = { .base = (u8 *)data, .len = len };
	ngtcp2_path_storage ps;
	ngtcp2_pkt_info pi;
	long n;

	at_work = p;
	*accepted = 0;
	ngtcp2_path_storage_zero(&ps);
	n = ngtcp2_conn_writev_datagram(p->conn, &ps.path, &pi, buf, cap, accepted, 0, id, &vec, 1,
					ns(p));
	return written(p, &ps, n);
}

long peer_write_stream(struct peer *p, u8 *buf, u32 cap, s64 id, const u8 *data, u32 len,
		       ngtcp2_ssize *taken)
{
	ngtcp2_vec vec = { .base = (u8 *)data, .len = len };
	ngtcp2_path_storage ps;
	ngtcp2_pkt_info pi;
	long n;

	at_work = p;
	ngtcp2_path_storage_zero(&ps);
	n = ngtcp2_conn_writev_stream(p->conn, &ps.path, &pi, buf, cap, taken,
				      NGTCP2_WRITE_STREAM_FLAG_NONE, id, &vec, 1, ns(p));
	return written(p, &ps, n);
}

int peer_read(struct peer *p, const u8 *pkt, u32 len, u8 ecn)
{
	return peer_read_at(p, pkt, len, ecn, 0);
}

int peer_migrate(struct peer *p, u32 addr)
{
	ngtcp2_path_storage ps;

	at_work = p;
	set_path(&ps, p->server, addr);
	return ngtcp2_conn_initiate_migration(p->conn, &ps.path, ns(p));
}

int peer_read_at(struct peer *p, const u8 *pkt, u32 len, u8 ecn, u32 addr)
{
	ngtcp2_pkt_info pi = { .ecn = ecn };
	ngtcp2_path_storage ps;

	at_work = p;
	set_path(&ps, p->server, addr);
	return ngtcp2_conn_read_pkt(p->conn, &ps.path, &pi, pkt, len, ns(p));
}

/* ---- handshake ---- */

static int start_server(struct peer_pair *pp, const u8 *pkt, u32 len)
{
	ngtcp2_pkt_hd hd;

	if (ngtcp2_accept(&hd, pkt, len))
		return -1;
	return start_conn(&pp->server, &hd.dcid);
}

static int pass(struct peer_pair *pp, struct peer *from, struct peer *to, bool *any)
{
	u8 buf[PEER_PACKET];
	long n;

	for (;;) {
		n = peer_write(from, buf, sizeof(buf));
		if (n <= 0)
			return n < 0 ? -1 : 0;
		*any = true;
		if (!to->conn && start_server(pp, buf, (u32)n))
			return -1;
		if (peer_read(to, buf, (u32)n, 0))
			return -1;
	}
}

static bool quiet(struct peer *p)
{
	ngtcp2_conn_info info;

	ngtcp2_conn_get_conn_info(p->conn, &info);
	return p->sent_any && !info.bytes_in_flight;
}

static int handshake(struct peer_pair *pp)
{
	bool any;
	int i;

	for (i = 0; i < 100; i++) {
		any = false;
		if (pass(pp, &pp->client, &pp->server, &any))
			return -1;
		pp->now_us += pp->options.delay_us;
		if (pass(pp, &pp->server, &pp->client, &any))
			return -1;
		pp->now_us += pp->options.delay_us;
		if (!any && ngtcp2_conn_get_handshake_completed(pp->client.conn) &&
		    quiet(&pp->client) && quiet(&pp->server))
			return 0;
		ngtcp2_conn_handle_expiry(pp->client.conn, pp->now_us * 1000);
		ngtcp2_conn_handle_expiry(pp->server.conn, pp->now_us * 1000);
	}
	return -1;
}

int peer_pair_start(struct peer_pair *pp, u16 cipher, bool fixed_secrets)
{
	const struct peer_options usual = { 0 };

	return peer_pair_start_with(pp, cipher, fixed_secrets, &usual);
}

int peer_pair_start_with(struct peer_pair *pp, u16 cipher, bool fixed_secrets,
			 const struct peer_options *options)
{
	struct peer *both[] = { &pp->client, &pp->server };
	ngtcp2_cid odcid;
	u8 first_dcid[PEER_CID_LEN];
	int i;

	memset(pp, 0, sizeof(*pp));
	pp->options = *options;
	if (!pp->options.delay_us)
		pp->options.delay_us = HANDSHAKE_DELAY_US;
	memset(first_dcid, 0xdd, sizeof(first_dcid));
	pp->now_us = 1000000;
	for (i = 0; i < 2; i++) {
		both[i]->server = i == 1;
		both[i]->cipher = cipher;
		both[i]->fixed_secrets = fixed_secrets;
		both[i]->now_us = &pp->now_us;
		both[i]->options = &pp->options;
	}
	if (gnutls_certificate_allocate_credentials(&pp->server_cred) ||
	    gnutls_certificate_allocate_credentials(&pp->client_cred) ||
	    self_signed(pp->server_cred))
		return -1;
	gnutls_certificate_set_verify_function(pp->client_cred, accept_certificate);
	if (start_tls(&pp->client, pp->client_cred) || start_tls(&pp->server, pp->server_cred))
		return -1;
	ngtcp2_cid_init(&odcid, first_dcid, sizeof(first_dcid));
	if (start_conn(&pp->client, &odcid))
		return -1;
	return handshake(pp);
}

void peer_pair_stop(struct peer_pair *pp)
{
	struct peer *both[] = { &pp->client, &pp->server };
	int i;

	for (i = 0; i < 2; i++) {
		if (both[i]->conn)
			ngtcp2_conn_del(both[i]->conn);
		if (both[i]->tls)
			gnutls_deinit(both[i]->tls);
		free(both[i]->seen);
	}
	if (pp->server_cred)
		gnutls_certificate_free_credentials(pp->server_cred);
	if (pp->client_cred)
		gnutls_certificate_free_credentials(pp->client_cred);
}

/* ---- export ---- */

static int export_keys(struct peer *p, struct nq_conn_params *out)
{
	u32 key_len = nq_key_len(p->cipher);
	u8 next[2][PEER_SECRET_MAX];
	const u8 *secrets[] = { p->tx_secret, p->rx_secret };
	struct nq_key_material *now[] = { &out->tx, &out->rx };
	struct nq_key_material *then[] = { &out->tx_next, &out->rx_next };
	u8 *hp[] = { out->tx_hp, out->rx_hp };
	int i, err = 0;

	for (i = 0; i < 2; i++) {
		u32 n = p->secret_len;

		err |= nx_quic_derive(p->cipher, secrets[i], n, "quic key", now[i]->key, key_len);
		err |= nx_quic_derive(p->cipher, secrets[i], n, "quic iv", now[i]->iv, NQ_IV_LEN);
		err |= nx_quic_derive(p->cipher, secrets[i], n, "quic hp", hp[i], key_len);
		err |= nx_quic_derive(p->cipher, secrets[i], n, "quic ku", next[i], n);
		err |= nx_quic_derive(p->cipher, next[i], n, "quic key", then[i]->key, key_len);
		err |= nx_quic_derive(p->cipher, next[i], n, "quic iv", then[i]->iv, NQ_IV_LEN);
	}
	out->has_next = true;
	return err;
}

static u32 export_ranges(const struct peer *p, struct nq_range *ranges, u32 cap)
{
	u32 n = 0;
	int pn;

	for (pn = PEER_RANGES * 64 - 1; pn >= 0 && n < cap; pn--) {
		if (!(p->rx_seen[pn / 64] >> (pn % 64) & 1))
			continue;
		if (n && ranges[n - 1].first == (u64)pn + 1) {
			ranges[n - 1].first = (u64)pn;
			continue;
		}
		ranges[n].first = ranges[n].last = (u64)pn;
		n++;
	}
	return n;
}

int peer_export(struct peer *p, const struct nq_crypto_ops *crypto, struct nq_conn_params *out,
		struct nq_range *ranges, u32 cap)
{
	const ngtcp2_transport_params *tp = ngtcp2_conn_get_remote_transport_params(p->conn);
	const ngtcp2_cid *dcid = ngtcp2_conn_get_dcid(p->conn);
	ngtcp2_conn_info info;

	memset(out, 0, sizeof(*out));
	ngtcp2_conn_get_conn_info(p->conn, &info);
	out->crypto = crypto;
	out->cipher = p->cipher;
	out->is_server = p->server;
	memcpy(out->local_cids, p->local, sizeof(p->local));
	out->n_local_cids = p->n_local;
	out->remote_cids[0].len = (u8)dcid->datalen;
	memcpy(out->remote_cids[0].id, dcid->data, dcid->datalen);
	out->n_remote_cids = 1;
	out->peer_active_cid_limit = (u32)tp->active_connection_id_limit;
	out->next_pn = p->next_pn;
	out->rx_ranges = ranges;
	out->n_rx_ranges = export_ranges(p, ranges, cap);
	out->ack_pending = true;
	out->max_idle_timeout_ms = PEER_IDLE_S * 1000;
	out->peer_ack_delay_exponent = (u8)tp->ack_delay_exponent;
	out->peer_max_ack_delay_us = (u32)(tp->max_ack_delay / 1000);
	out->peer_max_datagram_frame_bytes = (u32)tp->max_datagram_frame_size;
	out->peer_max_udp_payload_bytes = 65527;
	out->max_ack_delay_us = 25000;
	out->ack_delay_exponent = 3;
	out->srtt_us = (u32)(info.smoothed_rtt / 1000);
	out->rttvar_us = (u32)(info.rttvar / 1000);
	out->min_rtt_us = (u32)(info.min_rtt / 1000);
	out->path_mtu_bytes = PEER_PACKET;
	out->prefix_len = 1;
	out->congestion = "cubic";
	out->ring_packets = 8192;
	return export_keys(p, out) ? -EIO : 0;
}
