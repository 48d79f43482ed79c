// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the engine costs per packet: sending (reserve, seal, commit), receiving (open, ACK state) and
 * the acknowledgements between the two, in bursts of 1, 8 and 44, without a cipher and with each.
 * Prints nanoseconds per packet, best of several rounds, and the bytes of a session.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../quic/conn.h"
#include "../unit/quic/pair.h"

#define PACKETS 44000
#define ROUNDS 9
#define TEXT 1372 /* fills a 1400-byte packet with the overhead */

struct cost {
	u64 tx_ns, rx_ns, ack_ns;
};

static u8 bufs[NQ_BURST_MAX][1500];

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
}

static void fill_params(struct nq_conn_params *p, const struct nq_crypto_ops *crypto, u16 cipher)
{
	memset(p, 0, sizeof(*p));
	p->crypto = crypto;
	p->cipher = cipher;
	p->local_cids[0].len = p->remote_cids[0].len = 20;
	p->n_local_cids = p->n_remote_cids = 1;
	p->peer_max_datagram_frame_bytes = 65535;
	p->peer_max_udp_payload_bytes = 65527;
	p->peer_max_ack_delay_us = p->max_ack_delay_us = 25000;
	p->path_mtu_bytes = 1452;
	p->prefix_len = 1;
	p->ring_packets = 4096;
}

static struct nq_conn *start(const struct nq_conn_params *p)
{
	void *mem = aligned_alloc(64, nq_conn_bytes(p));
	struct nq_conn *c;
	int err;

	if (!mem)
		exit(1);
	memset(mem, 0, nq_conn_bytes(p));
	c = nq_conn_init(mem, p, 1, &err);
	if (!c)
		exit(1);
	return c;
}

static unsigned int send_burst(struct nq_conn *c, struct nq_tx_pkt *pkts, unsigned int n,
			       u64 now_us)
{
	struct nq_tx_burst b;
	unsigned int i;

	n = nq_tx_reserve(c, &b, n, 1400, now_us);
	for (i = 0; i < n; i++) {
		pkts[i].buf = bufs[i];
		nq_tx_datagram_header(c, bufs[i] + b.hdr_len);
		pkts[i].len = b.hdr_len + TEXT - 13;
	}
	if (nq_tx_seal(c, &b, pkts, n))
		exit(1);
	nq_tx_commit(c, &b, pkts, n, now_us);
	return n;
}

static void receive_burst(struct nq_conn *c, u8 *const *data, const u32 *lens, unsigned int n,
			  u64 now_us)
{
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	struct nq_rx_pkt pkts[NQ_BURST_MAX];
	unsigned int i, n_dg;

	for (i = 0; i < n; i++)
		pkts[i] = (struct nq_rx_pkt){ .data = data[i], .len = lens[i] };
	nq_rx_open(c, pkts, n, dg, NQ_BURST_MAX, &n_dg, now_us);
	for (i = 0; i < n; i++) {
		if (pkts[i].status != NQ_RX_OK)
			exit(1);
	}
}

static void round_trip(struct nq_conn *a, struct nq_conn *b, unsigned int burst, struct cost *cost)
{
	struct nq_tx_pkt pkts[NQ_BURST_MAX];
	static u64 now_us = 1000;
	u64 t0, t1, t2, t3;
	u8 ack[1500], *data[NQ_BURST_MAX];
	u32 lens[NQ_BURST_MAX], i, n;
	int len;

	t0 = now_ns();
	n = send_burst(a, pkts, burst, now_us);
	t1 = now_ns();
	if (n != burst)
		exit(1);
	for (i = 0; i < n; i++) {
		data[i] = bufs[i];
		lens[i] = pkts[i].len;
	}
	now_us += 100;
	receive_burst(b, data, lens, n, now_us);
	t2 = now_ns();
	while ((len = nq_tx_control(b, ack, sizeof(ack), now_us)) > 0) {
		data[0] = ack;
		lens[0] = (u32)len;
		receive_burst(a, data, lens, 1, now_us);
	}
	while ((len = nq_tx_control(a, ack, sizeof(ack), now_us)) > 0) {
		data[0] = ack;
		lens[0] = (u32)len;
		receive_burst(b, data, lens, 1, now_us);
	}
	t3 = now_ns();
	cost->tx_ns += t1 - t0;
	cost->rx_ns += t2 - t1;
	cost->ack_ns += t3 - t2;
	now_us += 100;
}

static void measure(const char *name, const struct nq_crypto_ops *crypto, u16 cipher,
		    unsigned int burst)
{
	struct cost best = { ~0ULL, ~0ULL, ~0ULL }, cost;
	struct nq_conn_params p;
	struct nq_conn *a, *b;
	unsigned int k, r;

	for (r = 0; r < ROUNDS; r++) {
		fill_params(&p, crypto, cipher);
		a = start(&p);
		p.is_server = true;
		b = start(&p);
		/* The window is not what is measured. */
		a->cc.cwnd = a->cc.max_cwnd;
		memset(&cost, 0, sizeof(cost));
		for (k = 0; k < PACKETS / burst; k++)
			round_trip(a, b, burst, &cost);
		best.tx_ns = nq_min(best.tx_ns, cost.tx_ns);
		best.rx_ns = nq_min(best.rx_ns, cost.rx_ns);
		best.ack_ns = nq_min(best.ack_ns, cost.ack_ns);
		nq_conn_fini(a);
		nq_conn_fini(b);
		free(a);
		free(b);
	}
	printf("%-10s %-18s burst %2u: tx %4llu  rx %4llu  ack %4llu ns/packet\n", crypto->name,
	       name, burst, (unsigned long long)(best.tx_ns / PACKETS),
	       (unsigned long long)(best.rx_ns / PACKETS),
	       (unsigned long long)(best.ack_ns / PACKETS));
}

int main(void)
{
	static const unsigned int bursts[] = { 1, 8, 44 };
	static const struct {
		const char *name;
		u16 cipher;
	} ciphers[] = {
		{ "aes-128-gcm", NQ_AES_128_GCM },
		{ "aes-256-gcm", NQ_AES_256_GCM },
		{ "chacha20-poly1305", NQ_CHACHA20_POLY1305 },
	};
	const struct nq_crypto_ops *all[] = { nx_crypto_provider("ipsec-mb"),
					      nx_crypto_provider("gnutls") };
	struct nq_conn_params p;
	unsigned int i, k, b;

	fill_params(&p, nx_crypto_provider(NULL), NQ_AES_128_GCM);
	printf("session: %zu bytes, with a ring of %u packets and keys %zu bytes\n",
	       sizeof(struct nq_conn), p.ring_packets, nq_conn_bytes(&p));
	for (b = 0; b < 3; b++)
		measure("none", &null_crypto, NQ_AES_128_GCM, bursts[b]);
	for (i = 0; i < 2; i++) {
		for (k = 0; all[i] && k < 3; k++) {
			for (b = 0; b < 3; b++)
				measure(ciphers[k].name, all[i], ciphers[k].cipher, bursts[b]);
		}
	}
	return 0;
}
