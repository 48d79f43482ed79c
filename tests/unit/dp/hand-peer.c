// SPDX-License-Identifier: GPL-2.0-or-later
/* The engine as a session's peer: see hand-peer.h. */
#include "hand-peer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../../lib/crypto.h"

u64 hand_peer_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ull + ts.tv_nsec / 1000;
}

static void set_keys(struct nq_conn_params *c, bool server)
{
	u8 out = server ? 0x50 : 0xc0, in = server ? 0xc0 : 0x50;

	memset(c->tx.key, out, 16);
	memset(c->tx.iv, out + 1, 12);
	memset(c->tx_hp, out + 2, 16);
	memset(c->rx.key, in, 16);
	memset(c->rx.iv, in + 1, 12);
	memset(c->rx_hp, in + 2, 16);
}

static void set_cids(struct nq_conn_params *c, const struct hand_peer *how)
{
	int i;

	for (i = 0; i < 2; i++) {
		struct nq_cid *clients = how->server ? c->remote_cids : c->local_cids;
		struct nq_cid *servers = how->server ? c->local_cids : c->remote_cids;

		clients[i] = (struct nq_cid){ .seq = i, .len = 20, .has_token = true };
		servers[i] = clients[i];
		servers[i].len = how->cid_len;
		memset(clients[i].id, 0x10 + 4 * how->number + i, 20);
		memset(servers[i].id, 0x80 + 4 * how->number + i, how->cid_len);
	}
}

struct nq_conn *hand_peer_make(const struct hand_peer *how, u64 now_us, void **mem)
{
	static const struct nq_range received = { 0, 9 };
	struct nq_conn_params c = {
		.crypto = nx_crypto_provider("gnutls"),
		.cipher = NQ_AES_128_GCM,
		.is_server = how->server,
		.migration = how->server,
		.peer_active_cid_limit = 2,
		.n_local_cids = 2,
		.n_remote_cids = 2,
		.next_pn = 10,
		.rx_ranges = &received,
		.n_rx_ranges = 1,
		.peer_ack_delay_exponent = 3,
		.ack_delay_exponent = 3,
		.peer_max_ack_delay_us = 25000,
		.max_ack_delay_us = 25000,
		.peer_max_datagram_frame_bytes = 65535,
		.peer_max_udp_payload_bytes = 65527,
		.path_mtu_bytes = how->path_mtu,
		.prefix_len = 1,
		.congestion = how->fixed_rate_bytes_per_s ? "fixed_rate_test" : "cubic",
		.fixed_rate_bytes_per_s = how->fixed_rate_bytes_per_s,
		.ring_packets = 1024,
	};
	struct nq_conn *conn;
	size_t bytes;
	int err;

	set_keys(&c, how->server);
	set_cids(&c, how);
	bytes = (nq_conn_bytes(&c) + 63) & ~63ul;
	*mem = aligned_alloc(64, bytes + NQ_PUNT_BYTES);
	if (!*mem)
		return NULL;
	memset(*mem, 0, bytes);
	conn = nq_conn_init(*mem, &c, now_us, &err);
	if (conn)
		nq_lend_punt(conn, (u8 *)*mem + bytes);
	return conn;
}

/* Of a reserved burst of one: @len bytes of header and frames are in @buf. */
static u32 seal_one(struct nq_conn *c, struct nq_tx_burst *b, u8 *buf, u32 len)
{
	struct nq_tx_pkt out = { buf, len };
	int err = nq_tx_seal(c, b, &out, 1);

	nq_tx_commit(c, b, &out, err ? 0 : 1, hand_peer_now_us());
	return err ? 0 : out.len;
}

u32 hand_peer_seal(struct nq_conn *c, u8 *buf, u8 context, const void *payload, u32 len)
{
	struct nq_tx_burst b;
	u32 at;

	if (nq_tx_reserve(c, &b, 1, len + nq_tx_overhead_bytes(c), hand_peer_now_us()) != 1)
		return 0;
	at = b.hdr_len + nq_tx_datagram_header(c, buf + b.hdr_len);
	buf[at - 1] = context;
	memcpy(buf + at, payload, len);
	return seal_one(c, &b, buf, at + len);
}

u32 hand_peer_seal_frames(struct nq_conn *c, u8 *buf, const void *frames, u32 len)
{
	struct nq_tx_burst b;

	if (nq_tx_reserve(c, &b, 1, len + nq_tx_overhead_bytes(c), hand_peer_now_us()) != 1)
		return 0;
	memcpy(buf + b.hdr_len, frames, len);
	return seal_one(c, &b, buf, b.hdr_len + len);
}
