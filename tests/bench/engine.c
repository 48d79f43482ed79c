// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the engine costs per packet: sending (reserve, frame header, seal, commit), receiving (open,
 * ACK state), writing an ACK and taking it in; with the null cipher, so without AEAD, then with each
 * cipher. In bursts of 1, 8 and 44, with clean and with bad loss histories, with one session and
 * with 10000 used in turn, whose state no cache holds.
 *
 * Prints nanoseconds per data packet, best of several rounds, and instructions where the kernel
 * counts them; tests/bench/engine-instructions counts with callgrind elsewhere. Then the bytes of a
 * session.
 *
 * Usage: bench-engine [BURST], which measures this burst with a clean history alone
 */
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../quic/conn.h"
#include "../unit/quic/pair.h"

/* Short rounds: other work on the machine spoils some, not all. */
#define PACKETS 8800
#define ROUNDS 50
#define SESSIONS 10000
#define TEXT 1372 /* fills a 1400-byte packet with the overhead */
#define RING 512 /* what a session of nexus-dp starts with */
#define STEP_US 100
#define TARGET_NS 80

enum phase {
	TX,
	RX,
	ACK_OUT,
	ACK_IN,
	PHASES,
};

struct history {
	const char *name;
	unsigned int loss_permille, late_permille;
};

static const struct history clean = { "no loss", 0, 0 };
static const struct history histories[] = {
	{ "no loss", 0, 0 },   { "loss 1 %", 10, 0 },	     { "loss 10 %", 100, 0 },
	{ "late 5 %", 0, 50 }, { "late, loss 1 %", 10, 50 },
};

struct session {
	struct nq_conn *a, *b;
};

struct bench {
	const struct nq_crypto_ops *crypto;
	u16 cipher;
	struct history history;
	unsigned int burst, n_sessions;
	struct session *sessions;
	u64 now_us, random;
	u64 cost[PHASES], packets;
	u64 (*counter)(void); /* nanoseconds or instructions */
	u64 overhead; /* of reading the counter */
};

static u8 bufs[NQ_BURST_MAX][1500], late_buf[1500];
static int perf_fd = -1;

/* ---- counters ---- */

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
}

static u64 instructions(void)
{
	u64 n;

	return read(perf_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void open_perf(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_HARDWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_HW_INSTRUCTIONS,
					.exclude_kernel = 1,
					.exclude_hv = 1 };

	perf_fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static void set_counter(struct bench *b, u64 (*counter)(void))
{
	u64 t, least = ~0ULL;
	int i;

	b->counter = counter;
	for (i = 0; i < 1000; i++) {
		t = counter();
		t = counter() - t;
		least = t < least ? t : least;
	}
	b->overhead = least;
}

static void charge(struct bench *b, enum phase p, u64 since)
{
	u64 t = b->counter() - since;

	b->cost[p] += t > b->overhead ? t - b->overhead : 0;
}

/* ---- sessions ---- */

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
	p->ring_packets = RING;
}

static struct nq_conn *start(const struct nq_conn_params *p)
{
	void *mem = aligned_alloc(64, (nq_conn_bytes(p) + 63) & ~(size_t)63);
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

static void open_sessions(struct bench *b)
{
	struct nq_conn_params p;
	unsigned int i;

	b->now_us = 1000;
	b->random = 1;
	b->sessions = calloc(b->n_sessions, sizeof(*b->sessions));
	if (!b->sessions)
		exit(1);
	fill_params(&p, b->crypto, b->cipher);
	for (i = 0; i < b->n_sessions; i++) {
		p.is_server = false;
		b->sessions[i].a = start(&p);
		p.is_server = true;
		b->sessions[i].b = start(&p);
	}
}

static void close_sessions(struct bench *b)
{
	unsigned int i;

	for (i = 0; i < b->n_sessions; i++) {
		nq_conn_fini(b->sessions[i].a);
		nq_conn_fini(b->sessions[i].b);
		free(b->sessions[i].a);
		free(b->sessions[i].b);
	}
	free(b->sessions);
}

/* ---- the four phases: names that a profile shows ---- */

static __attribute__((noinline)) void phase_tx(struct nq_conn *c, struct nq_tx_pkt *pkts,
					       unsigned int n, u64 now_us)
{
	struct nq_tx_burst b;
	unsigned int i;

	if (nq_tx_reserve(c, &b, n, 1400, now_us) != n)
		exit(1);
	for (i = 0; i < n; i++) {
		pkts[i].buf = bufs[i];
		nq_tx_datagram_header(c, bufs[i] + b.hdr_len);
		pkts[i].len = b.hdr_len + TEXT - 13;
	}
	if (nq_tx_seal(c, &b, pkts, n))
		exit(1);
	nq_tx_commit(c, &b, pkts, n, now_us);
}

static __attribute__((noinline)) void phase_rx(struct nq_conn *c, struct nq_rx_pkt *pkts,
					       unsigned int n, u64 now_us)
{
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	unsigned int n_dg;

	nq_rx_open(c, pkts, n, dg, NQ_BURST_MAX, &n_dg, now_us);
}

static __attribute__((noinline)) int phase_ack_out(struct nq_conn *c, u8 *buf, u64 now_us)
{
	if (!nq_tx_control_wanted(c, now_us))
		return 0;
	return nq_tx_control(c, buf, 1500, now_us);
}

static __attribute__((noinline)) void phase_ack_in(struct nq_conn *c, struct nq_rx_pkt *pkt,
						   u64 now_us)
{
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	unsigned int n_dg;

	nq_rx_open(c, pkt, 1, dg, NQ_BURST_MAX, &n_dg, now_us);
}

/* ---- one burst there, its ACK back ---- */

static u32 draw(struct bench *b)
{
	b->random = b->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(b->random >> 33) % 1000;
}

/* What arrives: some packets are lost; a late one comes behind the others of its burst. */
static unsigned int deliver(struct bench *b, const struct nq_tx_pkt *sent, struct nq_rx_pkt *got)
{
	unsigned int i, n = 0;
	u32 late_len = 0;

	for (i = 0; i < b->burst; i++) {
		if (b->history.loss_permille && draw(b) < b->history.loss_permille)
			continue;
		if (b->history.late_permille && !late_len && draw(b) < b->history.late_permille) {
			late_len = sent[i].len;
			memcpy(late_buf, sent[i].buf, late_len);
			continue;
		}
		got[n++] = (struct nq_rx_pkt){ .data = sent[i].buf, .len = sent[i].len };
	}
	if (late_len)
		got[n++] = (struct nq_rx_pkt){ .data = late_buf, .len = late_len };
	return n;
}

static void acknowledge(struct bench *b, struct nq_conn *from, struct nq_conn *to)
{
	struct nq_rx_pkt ack = { 0 };
	static u8 buf[1500];
	int len;
	u64 t;

	for (;;) {
		t = b->counter();
		len = phase_ack_out(from, buf, b->now_us);
		charge(b, ACK_OUT, t);
		if (len <= 0)
			return;
		ack.data = buf;
		ack.len = (u32)len;
		t = b->counter();
		phase_ack_in(to, &ack, b->now_us);
		charge(b, ACK_IN, t);
		if (ack.status != NQ_RX_OK)
			exit(1);
	}
}

static void round_trip(struct bench *b, const struct session *s)
{
	struct nq_tx_pkt sent[NQ_BURST_MAX];
	struct nq_rx_pkt got[NQ_BURST_MAX];
	unsigned int n, i;
	u64 t;

	/* The window is not what is measured. */
	s->a->cc.cwnd = s->a->cc.max_cwnd;
	s->a->pacer.rate = 0;
	t = b->counter();
	phase_tx(s->a, sent, b->burst, b->now_us);
	charge(b, TX, t);
	b->now_us += STEP_US;
	n = deliver(b, sent, got);
	t = b->counter();
	phase_rx(s->b, got, n, b->now_us);
	charge(b, RX, t);
	for (i = 0; i < n; i++) {
		if (got[i].status != NQ_RX_OK)
			exit(1);
	}
	acknowledge(b, s->b, s->a);
	if (nq_next_timeout_us(s->a) <= b->now_us)
		nq_on_timeout(s->a, b->now_us);
	acknowledge(b, s->a, s->b);
	b->now_us += STEP_US;
	b->packets += b->burst;
}

/* Fill @best with the cost per packet of each phase, in tenths. */
static void measure(struct bench *b, u64 (*counter)(void), u64 *best)
{
	unsigned int r, k, i, at = 0, bursts = PACKETS / b->burst;

	/* Of single packets every second one is acknowledged: two turns of each session. */
	if (bursts * b->burst < 2 * b->n_sessions)
		bursts = 2 * b->n_sessions / b->burst;
	set_counter(b, counter);
	memset(best, 0xff, PHASES * sizeof(*best));
	open_sessions(b);
	/* Every session has sent before it counts. */
	for (k = 0; k < b->n_sessions; k++)
		round_trip(b, &b->sessions[k]);
	for (r = 0; r < ROUNDS; r++) {
		memset(b->cost, 0, sizeof(b->cost));
		b->packets = 0;
		for (k = 0; k < bursts; k++)
			round_trip(b, &b->sessions[at++ % b->n_sessions]);
		for (i = 0; i < PHASES; i++)
			best[i] = nq_min(best[i], b->cost[i] * 10 / b->packets);
	}
	close_sessions(b);
}

static void print_row(struct bench *b, const char *name)
{
	u64 ns[PHASES], ins[PHASES];
	unsigned int i;

	measure(b, now_ns, ns);
	printf("%-10s %-18s %-14s %5u  %2u ", b->crypto->name, name, b->history.name, b->n_sessions,
	       b->burst);
	for (i = 0; i < PHASES; i++)
		printf(" %6.1f", (double)ns[i] / 10);
	if (perf_fd >= 0) {
		measure(b, instructions, ins);
		for (i = 0; i < PHASES; i++)
			printf(" %6.1f", (double)ins[i] / 10);
	}
	if (b->burst == 44 && b->crypto == &null_crypto)
		printf("  %s",
		       ns[TX] <= 10 * TARGET_NS && ns[RX] <= 10 * TARGET_NS ? "met" : "MISSED");
	puts("");
}

static void print_costs(void)
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
	struct bench b = { .crypto = &null_crypto, .cipher = NQ_AES_128_GCM, .n_sessions = 1 };
	unsigned int i, k, h;

	for (h = 0; h < sizeof(histories) / sizeof(histories[0]); h++) {
		b.history = histories[h];
		for (i = 0; i < 3; i++) {
			b.burst = bursts[i];
			print_row(&b, "no cipher");
		}
	}
	b.n_sessions = SESSIONS;
	for (h = 0; h < 2; h++) {
		b.history = histories[h];
		for (i = 0; i < 3; i++) {
			b.burst = bursts[i];
			print_row(&b, "no cipher");
		}
	}
	b.n_sessions = 1;
	b.history = clean;
	for (k = 0; k < 2; k++) {
		b.crypto = all[k];
		for (i = 0; b.crypto && i < 9; i++) {
			b.cipher = ciphers[i / 3].cipher;
			b.burst = bursts[i % 3];
			print_row(&b, ciphers[i / 3].name);
		}
	}
}

static void print_bytes(void)
{
	const struct nq_crypto_ops *crypto = nx_crypto_provider(NULL);
	size_t conn = sizeof(struct nq_conn), keys = (size_t)nq_keys_bytes(crypto), all;
	u32 ring;

	printf("\nbytes: struct nq_conn %zu, frames of its owner %u, keys (%s) %zu\n", conn,
	       NQ_OUT_BYTES, crypto->name, keys);
	for (ring = NQ_RING_MIN; ring <= NQ_RING_MAX; ring *= 2) {
		all = conn + NQ_OUT_BYTES + keys + nq_ring_bytes(ring);
		printf("  ring of %5u packets %7zu: session %7zu, %u sessions %5zu MiB\n", ring,
		       nq_ring_bytes(ring), all, SESSIONS, all * SESSIONS >> 20);
	}
}

int main(int argc, char **argv)
{
	struct bench b = { .crypto = &null_crypto, .cipher = NQ_AES_128_GCM, .n_sessions = 1 };

	if (argc == 2) {
		b.history = clean;
		b.burst = (unsigned int)atoi(argv[1]);
		if (!b.burst || b.burst > NQ_BURST_MAX) {
			fprintf(stderr, "Usage: bench-engine [BURST], 1 to %u\n", NQ_BURST_MAX);
			return 1;
		}
		print_row(&b, "no cipher");
		printf("%u packets\n", PACKETS / b.burst * b.burst * ROUNDS);
		return 0;
	}
	open_perf();
	printf("Per data packet, best of %u rounds: nanoseconds%s. Target at bursts of 44 without a cipher: %u ns.\n",
	       ROUNDS,
	       perf_fd >= 0 ? ", then instructions (perf_event_open)"
			    : "; no instruction counter here, see tests/bench/engine-instructions",
	       TARGET_NS);
	puts("provider   cipher             history        sessions burst  tx     rx  ack-out  ack-in");
	print_costs();
	print_bytes();
	return 0;
}
