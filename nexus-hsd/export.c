// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hand-over: everything ADD_SESSION wants, as one message. The keys exist in two places here,
 * the connection and the message; both are wiped before this returns, and so is the stack that
 * GnuTLS and ngtcp2 have used.
 */
#include <errno.h>
#include <string.h>
#include "clock.h"
#include "control.h"
#include "export.h"
#include "hsd.h"
#include "lib/log.h"
#include "tls.h"
#include "wipe.h"

/* The smaller of two limits where 0 means none. */
static uint64_t min_nonzero(uint64_t a, uint64_t b)
{
	if (a == 0 || b == 0)
		return a | b;
	return a < b ? a : b;
}

static void put_cid(struct nxm *m, const struct hs_conn_cid *cid)
{
	size_t nest = nxm_nest_begin(m, NQD_A_CIDS_CID);

	nxm_put_u64(m, NQD_A_CID_SEQ, cid->seq);
	nxm_put(m, NQD_A_CID_ID, cid->id, cid->len);
	if (cid->has_token)
		nxm_put(m, NQD_A_CID_RESET_TOKEN, cid->token, sizeof(cid->token));
	nxm_nest_end(m, nest);
}

static void put_local_cids(struct nxm *m, const struct hs_conn *c)
{
	size_t nest = nxm_nest_begin(m, NQD_A_SESSION_LOCAL_CIDS), i;

	for (i = 0; i < c->n_local_cids; i++) {
		if (c->local_cids[i].len > 0)
			put_cid(m, &c->local_cids[i]);
	}
	nxm_nest_end(m, nest);
}

/* The one in use first: ngtcp2 knows it; the unused ones were seen in NEW_CONNECTION_ID. */
static void put_remote_cids(struct nxm *m, const struct hs_conn *c)
{
	const ngtcp2_transport_params *tp = ngtcp2_conn_get_remote_transport_params(c->quic);
	size_t nest = nxm_nest_begin(m, NQD_A_SESSION_REMOTE_CIDS), i;
	struct hs_conn_cid active = { .seq = 0 };
	ngtcp2_cid_token list[8];

	if (ngtcp2_conn_get_active_dcid(c->quic, NULL) <= sizeof(list) / sizeof(list[0]) &&
	    ngtcp2_conn_get_active_dcid(c->quic, list) > 0) {
		active.seq = list[0].seq;
		active.len = (uint8_t)list[0].cid.datalen;
		memcpy(active.id, list[0].cid.data, list[0].cid.datalen);
		active.has_token = list[0].token_present;
		memcpy(active.token, list[0].token, sizeof(active.token));
	}
	if (active.seq == 0 && !active.has_token && tp->stateless_reset_token_present) {
		active.has_token = true;
		memcpy(active.token, tp->stateless_reset_token, sizeof(active.token));
	}
	put_cid(m, &active);
	for (i = 0; i < c->n_remote_cids; i++) {
		if (c->remote_cids[i].seq != active.seq)
			put_cid(m, &c->remote_cids[i]);
	}
	nxm_nest_end(m, nest);
}

static void put_peer_params(struct nxm *m, const struct hs_conn *c)
{
	const ngtcp2_transport_params *tp = ngtcp2_conn_get_remote_transport_params(c->quic);
	const struct hs_config *cfg = c->tunnel->config;
	uint64_t idle = min_nonzero(cfg->idle_timeout_ms, tp->max_idle_timeout / HS_NS_PER_MS);
	/* A client does not advertise it and takes any (tls.c). */
	uint64_t datagram = c->server ? 65535 : tp->max_datagram_frame_size;

	nxm_put_u32(m, NQD_A_SESSION_MAX_IDLE_TIMEOUT_MS, (uint32_t)idle);
	nxm_put_u8(m, NQD_A_SESSION_PEER_ACK_DELAY_EXPONENT, (uint8_t)tp->ack_delay_exponent);
	nxm_put_u32(m, NQD_A_SESSION_PEER_MAX_ACK_DELAY_US, (uint32_t)(tp->max_ack_delay / 1000));
	nxm_put_u32(m, NQD_A_SESSION_PEER_MAX_DATAGRAM_FRAME_BYTES,
		    (uint32_t)(datagram < UINT32_MAX ? datagram : UINT32_MAX));
	nxm_put_u32(
		m, NQD_A_SESSION_PEER_MAX_UDP_PAYLOAD_BYTES,
		(uint32_t)(tp->max_udp_payload_size < 65535 ? tp->max_udp_payload_size : 65535));
	nxm_put_u32(m, NQD_A_SESSION_PEER_ACTIVE_CID_LIMIT,
		    (uint32_t)(tp->active_connection_id_limit < 8 ? tp->active_connection_id_limit
								  : 8));
}

static void put_rtt(struct nxm *m, const struct hs_conn *c)
{
	ngtcp2_conn_info info;

	ngtcp2_conn_get_conn_info(c->quic, &info);
	/* No sample yet: ngtcp2 says UINT64_MAX. */
	if (info.min_rtt == UINT64_MAX)
		return;
	nxm_put_u32(m, NQD_A_SESSION_SRTT_US, (uint32_t)(info.smoothed_rtt / 1000));
	nxm_put_u32(m, NQD_A_SESSION_RTTVAR_US, (uint32_t)(info.rttvar / 1000));
	nxm_put_u32(m, NQD_A_SESSION_MIN_RTT_US, (uint32_t)(info.min_rtt / 1000));
}

static void put_session(struct nxm *m, const struct hs_conn *c)
{
	static const uint8_t context_prefix[] = { 0x00 };
	size_t nest = nxm_nest_begin(m, HS_A_SESSION), i;
	const struct hs_config *cfg = c->tunnel->config;
	uint32_t keepalive_ms = 0, flags = NQD_SESSION_F_ACK_PENDING;

	/* Keeping alive is the client's part; it takes the server's advice if it has no opinion. */
	if (!c->server)
		keepalive_ms = cfg->keepalive_ms ? cfg->keepalive_ms : c->net->keepalive_ms;
	nxm_put_u64(m, NQD_A_SESSION_USER, c->short_id);
	nxm_put_u8(m, NQD_A_SESSION_ROLE, c->server ? NQD_ROLE_SERVER : NQD_ROLE_CLIENT);
	if (c->has_psk)
		flags |= NQD_SESSION_F_PRESHARED_KEY;
	nxm_put_u32(m, NQD_A_SESSION_FLAGS, flags);
	nxm_put_u32(m, NQD_A_SESSION_QUIC_VERSION, 1);
	nxm_put(m, NQD_A_SESSION_LOCAL_ADDR, &c->local, hs_addr_size(&c->local));
	nxm_put(m, NQD_A_SESSION_REMOTE_ADDR, &c->remote, hs_addr_size(&c->remote));
	put_local_cids(m, c);
	put_remote_cids(m, c);
	nxm_put_u16(m, NQD_A_SESSION_CIPHER, hs_tls_cipher(c));
	nxm_put_u16(m, NQD_A_SESSION_KEY_EXCHANGE, hs_tls_group(c));
	nxm_put_u64(m, NQD_A_SESSION_NEXT_PN, c->next_pn);
	if (c->has_largest_acked)
		nxm_put_u64(m, NQD_A_SESSION_LARGEST_ACKED, c->largest_acked);
	nxm_put(m, NQD_A_SESSION_RX_RANGES, c->rx_ranges.r,
		c->rx_ranges.n * sizeof(c->rx_ranges.r[0]));
	nxm_put_u32(m, NQD_A_SESSION_KEEPALIVE_MS, keepalive_ms);
	put_peer_params(m, c);
	put_rtt(m, c);
	nxm_put(m, NQD_A_SESSION_CONTEXT_PREFIX, context_prefix, sizeof(context_prefix));
	nxm_put_u32(m, NQD_A_SESSION_PATH_MTU_BYTES, HS_UDP_PAYLOAD);
	nxm_put_u32(m, NQD_A_SESSION_ROUTE_EPOCH, c->net->route_epoch);
	for (i = 0; i < c->n_early; i++)
		nxm_put(m, NQD_A_SESSION_RX_DATAGRAM, c->early[i].data, c->early[i].len);
	nxm_nest_end(m, nest);
}

static int put_keys(struct nxm *m, const struct hs_conn *c)
{
	const struct hs_conn_keys *tx = &c->tx_keys, *rx = &c->rx_keys;
	struct hs_conn_keys next_tx, next_rx;
	size_t nest;
	int err;

	err = hs_tls_next_keys(c, tx, &next_tx);
	if (err == 0)
		err = hs_tls_next_keys(c, rx, &next_rx);
	if (err < 0)
		goto out;
	nest = nxm_nest_begin(m, HS_A_KEYS);
	nxm_put_u8(m, NQD_A_KEYS_PHASE, 0);
	nxm_put(m, NQD_A_KEYS_TX_KEY, tx->key, tx->key_len);
	nxm_put(m, NQD_A_KEYS_TX_IV, tx->iv, sizeof(tx->iv));
	nxm_put(m, NQD_A_KEYS_TX_HP, tx->hp, tx->key_len);
	nxm_put(m, NQD_A_KEYS_RX_KEY, rx->key, rx->key_len);
	nxm_put(m, NQD_A_KEYS_RX_IV, rx->iv, sizeof(rx->iv));
	nxm_put(m, NQD_A_KEYS_RX_HP, rx->hp, rx->key_len);
	nxm_put(m, NQD_A_KEYS_TX_NEXT_KEY, next_tx.key, next_tx.key_len);
	nxm_put(m, NQD_A_KEYS_TX_NEXT_IV, next_tx.iv, sizeof(next_tx.iv));
	nxm_put(m, NQD_A_KEYS_RX_NEXT_KEY, next_rx.key, next_rx.key_len);
	nxm_put(m, NQD_A_KEYS_RX_NEXT_IV, next_rx.iv, sizeof(next_rx.iv));
	nxm_put(m, NQD_A_KEYS_TX_SECRET, tx->secret, tx->secret_len);
	nxm_put(m, NQD_A_KEYS_RX_SECRET, rx->secret, rx->secret_len);
	nxm_nest_end(m, nest);
out:
	explicit_bzero(&next_tx, sizeof(next_tx));
	explicit_bzero(&next_rx, sizeof(next_rx));
	return err;
}

static void put_prefix(struct nxm *m, uint16_t type, const struct hs_prefix *p)
{
	size_t nest = nxm_nest_begin(m, type);

	nxm_put(m, HS_A_PREFIX_ADDR, p->addr, p->family == AF_INET ? 4 : 16);
	nxm_put_u8(m, HS_A_PREFIX_LEN, p->len);
	nxm_nest_end(m, nest);
}

static void put_net(struct nxm *m, const struct hs_net *n)
{
	size_t nest = nxm_nest_begin(m, HS_A_NET), i;

	for (i = 0; i < n->n_addresses; i++)
		put_prefix(m, HS_A_NET_ADDRESS, &n->addresses[i]);
	for (i = 0; i < n->n_routes; i++)
		put_prefix(m, HS_A_NET_ROUTE, &n->routes[i]);
	for (i = 0; i < n->n_dns; i++)
		nxm_put(m, HS_A_NET_DNS, n->dns[i].addr, n->dns[i].family == AF_INET ? 4 : 16);
	for (i = 0; i < n->n_domains; i++)
		nxm_put_str(m, HS_A_NET_DNS_DOMAIN, n->domains[i]);
	nxm_put_u32(m, HS_A_NET_MTU, n->mtu);
	nxm_put_u32(m, HS_A_NET_KEEPALIVE_MS, n->keepalive_ms);
	nxm_put_u32(m, HS_A_NET_ROUTE_EPOCH, n->route_epoch);
	nxm_put_u32(m, HS_A_NET_MAX_AGE_S, n->max_age_s);
	nxm_nest_end(m, nest);
}

static ssize_t build(const struct hs_conn *c, uint8_t *buf, size_t cap)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_HS, .cmd = HS_CMD_SESSION, .version = 1 };
	struct nxm m;
	int err;

	nxm_begin(&m, buf, cap, &hdr);
	nxm_put_str(&m, HS_A_TUNNEL, c->tunnel->config->name);
	nxm_put_u64(&m, HS_A_ATTEMPT, c->attempt);
	nxm_put_u32(&m, HS_A_SOCKET, c->sock->index);
	if (c->old_key)
		nxm_put_flag(&m, HS_A_OLD_KEY);
	put_net(&m, c->net);
	put_session(&m, c);
	err = put_keys(&m, c);
	if (err < 0)
		return err;
	return nxm_end(&m);
}

int hs_export(struct hs_conn *c)
{
	static uint8_t buf[NX_IPC_MAX_LEN];
	char addr[HS_ADDR_STRLEN];
	ssize_t len;
	int err;

	if (!c->tx_keys.ready || !c->rx_keys.ready || hs_tls_cipher(c) == 0)
		return -EPROTO;
	len = build(c, buf, sizeof(buf));
	err = len < 0 ? (int)len : hs_control_send_session(c->hsd, buf, (size_t)len);
	/* All that was ever written to it. */
	explicit_bzero(buf, len < 0 ? sizeof(buf) : (size_t)len);
	if (err < 0)
		return err;
	c->tunnel->stats.handshakes_ok++;
	if (c->server)
		hs_budget_remember(c->tunnel->budget, &c->remote, hs_now_ns());
	nx_log_full(LOG_INFO, "HandshakeDone", c->tunnel->config->name, "session with %s%s%s",
		    c->server ? c->user_name : "the server", c->server ? " at " : "",
		    c->server ? hs_addr_str(&c->remote, addr) : "");
	hs_tomb_bury(c);
	hs_conn_free(c);
	hs_wipe_stack();
	return 0;
}
