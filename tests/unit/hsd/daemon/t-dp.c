// SPDX-License-Identifier: GPL-2.0-or-later
/* A data plane for the tests, see t-dp.h. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <cmocka.h>
#include "lib/crypto.h"
#include "t-dp.h"

static u64 now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000 + (u64)ts.tv_nsec / 1000;
}

static void copy(void *to, size_t cap, const struct nxa *a)
{
	assert_true(a->present && a->len <= cap);
	memcpy(to, a->data, a->len);
}

static u32 read_cids(const struct nxa *list, struct nq_cid *out)
{
	struct nxa tb[NQD_A_CID_MAX + 1], a;
	const uint8_t *pos = NULL;
	struct nxm_error e;
	u32 n = 0;

	while (nxa_next(list->data, list->len, NQD_A_CIDS_CID, &pos, &a)) {
		assert_int_equal(nxa_parse_nest(&a, &nqd_cid_set, tb, list->data, &e), 0);
		out[n].seq = nxa_u64(&tb[NQD_A_CID_SEQ]);
		out[n].len = (u8)tb[NQD_A_CID_ID].len;
		copy(out[n].id, sizeof(out[n].id), &tb[NQD_A_CID_ID]);
		out[n].has_token = tb[NQD_A_CID_RESET_TOKEN].present;
		if (out[n].has_token)
			copy(out[n].token, sizeof(out[n].token), &tb[NQD_A_CID_RESET_TOKEN]);
		n++;
	}
	return n;
}

static void read_keys(struct nq_conn_params *p, const struct nxa *k)
{
	copy(p->tx.key, sizeof(p->tx.key), &k[NQD_A_KEYS_TX_KEY]);
	copy(p->tx.iv, sizeof(p->tx.iv), &k[NQD_A_KEYS_TX_IV]);
	copy(p->tx_hp, sizeof(p->tx_hp), &k[NQD_A_KEYS_TX_HP]);
	copy(p->rx.key, sizeof(p->rx.key), &k[NQD_A_KEYS_RX_KEY]);
	copy(p->rx.iv, sizeof(p->rx.iv), &k[NQD_A_KEYS_RX_IV]);
	copy(p->rx_hp, sizeof(p->rx_hp), &k[NQD_A_KEYS_RX_HP]);
	copy(p->tx_next.key, sizeof(p->tx_next.key), &k[NQD_A_KEYS_TX_NEXT_KEY]);
	copy(p->tx_next.iv, sizeof(p->tx_next.iv), &k[NQD_A_KEYS_TX_NEXT_IV]);
	copy(p->rx_next.key, sizeof(p->rx_next.key), &k[NQD_A_KEYS_RX_NEXT_KEY]);
	copy(p->rx_next.iv, sizeof(p->rx_next.iv), &k[NQD_A_KEYS_RX_NEXT_IV]);
	p->has_next = true;
}

static void read_params(struct nq_conn_params *p, const struct t_session *s,
			struct nq_range *ranges)
{
	const struct nxa *a = s->s;

	p->crypto = nx_crypto_provider("gnutls");
	assert_non_null(p->crypto);
	p->cipher = nxa_u16(&a[NQD_A_SESSION_CIPHER]);
	p->is_server = nxa_u8(&a[NQD_A_SESSION_ROLE]) == NQD_ROLE_SERVER;
	read_keys(p, s->k);
	p->n_local_cids = read_cids(&a[NQD_A_SESSION_LOCAL_CIDS], p->local_cids);
	p->n_remote_cids = read_cids(&a[NQD_A_SESSION_REMOTE_CIDS], p->remote_cids);
	p->peer_active_cid_limit = nxa_u32(&a[NQD_A_SESSION_PEER_ACTIVE_CID_LIMIT]);
	p->next_pn = nxa_u64(&a[NQD_A_SESSION_NEXT_PN]);
	p->has_largest_acked = a[NQD_A_SESSION_LARGEST_ACKED].present;
	if (p->has_largest_acked)
		p->largest_acked = nxa_u64(&a[NQD_A_SESSION_LARGEST_ACKED]);
	copy(ranges, NQD_RX_RANGES_MAX * sizeof(*ranges), &a[NQD_A_SESSION_RX_RANGES]);
	p->rx_ranges = ranges;
	p->n_rx_ranges = a[NQD_A_SESSION_RX_RANGES].len / sizeof(*ranges);
	p->ack_pending = nxa_u32(&a[NQD_A_SESSION_FLAGS]) & NQD_SESSION_F_ACK_PENDING;
	p->max_idle_timeout_ms = nxa_u32(&a[NQD_A_SESSION_MAX_IDLE_TIMEOUT_MS]);
	p->peer_ack_delay_exponent = nxa_u8(&a[NQD_A_SESSION_PEER_ACK_DELAY_EXPONENT]);
	p->peer_max_ack_delay_us = nxa_u32(&a[NQD_A_SESSION_PEER_MAX_ACK_DELAY_US]);
	p->peer_max_datagram_frame_bytes = nxa_u32(&a[NQD_A_SESSION_PEER_MAX_DATAGRAM_FRAME_BYTES]);
	p->peer_max_udp_payload_bytes = nxa_u32(&a[NQD_A_SESSION_PEER_MAX_UDP_PAYLOAD_BYTES]);
	p->max_ack_delay_us = 25000;
	p->ack_delay_exponent = 3;
	p->path_mtu_bytes = nxa_u32(&a[NQD_A_SESSION_PATH_MTU_BYTES]);
	copy(p->prefix, sizeof(p->prefix), &a[NQD_A_SESSION_CONTEXT_PREFIX]);
	p->prefix_len = (u8)a[NQD_A_SESSION_CONTEXT_PREFIX].len;
	p->congestion = "cubic";
	p->ring_packets = 1024;
}

static void got(struct t_dp *dp, const uint8_t *data, size_t len)
{
	assert_true(len <= sizeof(dp->last));
	memcpy(dp->last, data, len);
	dp->last_len = len;
	dp->datagrams++;
}

/* DATAGRAMs that came before the hand-over; the context prefix is still on. */
static void take_early(struct t_dp *dp, const struct nxa *session)
{
	const uint8_t *pos = NULL;
	struct nxa a;

	while (nxa_next(session->data, session->len, NQD_A_SESSION_RX_DATAGRAM, &pos, &a)) {
		assert_true(a.len > 1 && a.data[0] == 0);
		got(dp, a.data + 1, a.len - 1);
	}
}

void t_dp_install(struct t_dp *dp, struct t_hsd *h, const struct t_session *s, int sock)
{
	struct nq_range ranges[NQD_RX_RANGES_MAX];
	struct nq_conn_params p = { 0 };
	size_t size;
	int err = 0;

	memset(dp, 0, sizeof(*dp));
	dp->hsd = h;
	dp->sock = sock;
	copy(&dp->remote, sizeof(dp->remote), &s->s[NQD_A_SESSION_REMOTE_ADDR]);
	read_params(&p, s, ranges);
	memcpy(dp->cids, p.local_cids, sizeof(dp->cids));
	dp->n_cids = p.n_local_cids;
	size = (nq_conn_bytes(&p) + 63) / 64 * 64;
	dp->mem = aligned_alloc(64, size + NQ_PUNT_BYTES);
	assert_non_null(dp->mem);
	memset(dp->mem, 0, size);
	dp->conn = nq_conn_init(dp->mem, &p, now_us(), &err);
	assert_int_equal(err, 0);
	assert_non_null(dp->conn);
	assert_true(nq_lend_punt(dp->conn, (u8 *)dp->mem + size));
	take_early(dp, &s->top[HS_A_SESSION]);
	assert_int_equal(t_installed(h, s->attempt), 0);
	explicit_bzero(&p, sizeof(p));
}

void t_dp_free(struct t_dp *dp)
{
	if (!dp->conn)
		return;
	nq_conn_fini(dp->conn);
	free(dp->mem);
	dp->conn = NULL;
}

static void put(struct t_dp *dp, const u8 *buf, size_t len)
{
	socklen_t size = dp->remote.ss_family == AF_INET ? sizeof(struct sockaddr_in)
							 : sizeof(struct sockaddr_in6);

	sendto(dp->sock, buf, len, MSG_DONTWAIT, (struct sockaddr *)&dp->remote, size);
}

void t_dp_packet(struct t_dp *dp, uint8_t *data, size_t len)
{
	struct nq_rx_datagram out[NQ_BURST_MAX];
	struct nq_rx_pkt pkt = { .data = data, .len = (u32)len };
	unsigned int n, i;

	nq_rx_open(dp->conn, &pkt, 1, out, NQ_BURST_MAX, &n, now_us());
	for (i = 0; i < n; i++)
		got(dp, out[i].data, out[i].len);
}

bool t_dp_owns(const struct t_dp *dp, const uint8_t *data, size_t len)
{
	unsigned int i;

	for (i = 0; i < dp->n_cids; i++) {
		if (len > dp->cids[i].len && memcmp(data + 1, dp->cids[i].id, dp->cids[i].len) == 0)
			return true;
	}
	return false;
}

uint8_t *t_dp_punted(struct t_hsd *h, uint8_t *buf, size_t *len)
{
	struct hs_punt_hdr hdr;
	ssize_t n;

	n = nx_ipc_recv(h->punt, buf, NX_IPC_MAX_LEN, NULL, NULL);
	if (n <= 0)
		return NULL;
	assert_true((size_t)n > sizeof(hdr));
	memcpy(&hdr, buf, sizeof(hdr));
	assert_int_equal(hdr.to_dp, 1);
	assert_int_equal(hdr.len, (size_t)n - sizeof(hdr));
	*len = hdr.len;
	return buf + sizeof(hdr);
}

void t_dp_run(struct t_dp *dp)
{
	u8 buf[1500];
	int n;

	if (nq_next_timeout_us(dp->conn) <= now_us())
		nq_on_timeout(dp->conn, now_us());
	while (nq_tx_control_wanted(dp->conn, now_us())) {
		n = nq_tx_control(dp->conn, buf, sizeof(buf), now_us());
		if (n <= 0)
			break;
		put(dp, buf, (size_t)n);
	}
	if (nq_take_events(dp->conn) & NQ_EV_CLOSED)
		dp->closed = true;
}

void t_dp_pump(struct t_dp *dp)
{
	static uint8_t buf[NX_IPC_MAX_LEN];
	uint8_t *data;
	size_t len;

	if (!dp->conn)
		return;
	while ((data = t_dp_punted(dp->hsd, buf, &len)))
		t_dp_packet(dp, data, len);
	t_dp_run(dp);
}

void t_dp_send(struct t_dp *dp, const void *data, size_t len)
{
	struct nq_tx_burst b;
	struct nq_tx_pkt pkt;
	u8 buf[1500];
	u32 at;

	if (nq_tx_reserve(dp->conn, &b, 1, 1200, now_us()) != 1)
		return;
	pkt.buf = buf;
	at = b.hdr_len;
	at += nq_tx_datagram_header(dp->conn, buf + at);
	memcpy(buf + at, data, len);
	pkt.len = at + (u32)len;
	assert_int_equal(nq_tx_seal(dp->conn, &b, &pkt, 1), 0);
	put(dp, buf, pkt.len);
	nq_tx_commit(dp->conn, &b, &pkt, 1, now_us());
}

void t_wait_both(struct t_hsd *client, struct t_session *cs, int sock, struct t_hsd *server,
		 struct t_session *ss)
{
	uint64_t limit = t_now_ms() + T_WAIT_MS;
	struct t_dp dp;
	struct t_msg m;

	t_wait_session(client, cs);
	t_dp_install(&dp, client, cs, sock);
	while (!t_next_msg(server, &m, 5)) {
		assert_true(t_now_ms() < limit);
		t_dp_pump(&dp);
	}
	t_parse_session(&m, ss);
	t_dp_free(&dp);
}
