// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flooder: a flood of first flights from many addresses that are not ours.
 *
 *	flooder -k KIND -t ADDRESS:PORT -s PREFIX/LEN [-r PER_S] [-d SECONDS] [-n DATAGRAMS]
 *		[-S NAME] [-K SERVER_PUBLIC -i SHORT_ID -f KEY_FILE]
 *
 * IPv4, through a raw socket: each datagram has a random source address of PREFIX and a random port.
 * KIND: short    8-byte connection IDs, otherwise a good Initial
 *       random   20-byte IDs, opens, a well-formed ClientHello, no credential
 *       piece    20-byte IDs, opens, the first half of a ClientHello
 *       garbage  half of it random bytes, half pieces of Initials
 *       valid    credentials of the client whose keys are given, each sent once
 * Without -r as fast as it goes. Prints "DATAGRAMS SECONDS" at the end, also on SIGTERM.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "hsd-test.h"
#include "lib/keytext.h"
#include "reality.h"

#define DATAGRAM_BYTES 1200
#define PREPARED 4096 /* different datagrams of a kind that may come again */
#define BATCH 64
#define TICK_NS 500000

enum kind { KIND_SHORT, KIND_RANDOM, KIND_PIECE, KIND_GARBAGE, KIND_VALID };

struct headers {
	struct iphdr ip;
	struct udphdr udp;
};

static struct {
	enum kind kind;
	struct sockaddr_in to;
	uint32_t source, n_sources;
	double per_s, seconds;
	uint64_t n_datagrams;
	const char *server_name;
	struct hs_reality_client client;
	uint8_t (*data)[DATAGRAM_BYTES];
	uint16_t *len;
	unsigned int n;
	uint64_t random;
	int fd;
} f = { .per_s = 1e9, .seconds = 10, .n_datagrams = UINT64_MAX, .server_name = "www.example.org" };

static volatile sig_atomic_t stop;

static void die(const char *what)
{
	fprintf(stderr, "flooder: %s\n", what);
	exit(1);
}

static void on_signal(int signo)
{
	stop = 1;
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* xorshift64: fast, and good enough for addresses. */
static uint32_t next_random(void)
{
	f.random ^= f.random << 13;
	f.random ^= f.random >> 7;
	f.random ^= f.random << 17;
	return (uint32_t)(f.random >> 32);
}

/* ---- what is sent ---- */

/* A ClientHello once, then only what is of one flight in it changes. */
struct hello {
	uint8_t data[1000];
	size_t len;
	uint8_t *scid;
};

static void make_hello(struct hello *h)
{
	uint8_t random[32], scid[20];

	t_random(random, sizeof(random));
	t_random(scid, sizeof(scid));
	h->len =
		t_client_hello(h->data, sizeof(h->data), random, scid, sizeof(scid), f.server_name);
	h->scid = memmem(h->data, h->len, scid, sizeof(scid));
	if (!h->scid)
		die("no connection ID in the ClientHello");
}

static size_t seal(const struct hello *h, struct t_initial *p, uint8_t *out)
{
	uint8_t payload[DATAGRAM_BYTES] = { 0 }, sealed[DATAGRAM_BYTES + 64];
	size_t overhead, len;

	t_crypto_frame(payload, 0, h->data, f.kind == KIND_PIECE ? h->len / 2 : h->len);
	overhead = 1 + 4 + 1 + p->dcid_len + 1 + p->scid_len + 1 + 2 + p->pn_len + 16;
	len = t_seal_initial(sealed, sizeof(sealed), p, payload, DATAGRAM_BYTES - overhead);
	memcpy(out, sealed, len);
	return len;
}

static void make_initial(struct hello *h, unsigned int i, size_t cid_len)
{
	struct hs_reality_attempt a;
	uint8_t dcid[20];
	struct t_initial p = {
		.pn_len = 1,
		.dcid = dcid,
		.dcid_len = cid_len,
		.scid = h->scid,
		.scid_len = cid_len,
	};

	if (f.kind == KIND_VALID) {
		if (hs_reality_attempt_init(&a, &f.client, (uint64_t)time(NULL)) < 0)
			die("no credential");
		memcpy(h->data + 6, a.random, sizeof(a.random));
		memcpy(h->scid, a.scid, sizeof(a.scid));
		if (hs_reality_attempt_dcid(&a, 1, h->data, h->len, dcid) < 0)
			die("no tag");
	} else {
		t_random(h->data + 6, 32);
		t_random(h->scid, 20);
		t_random(dcid, sizeof(dcid));
	}
	f.len[i] = (uint16_t)seal(h, &p, f.data[i]);
}

/* With the form bit, so that it is for the handshake daemon. */
static void spoil(unsigned int i)
{
	if (i % 2)
		t_random(f.data[i], DATAGRAM_BYTES);
	f.data[i][0] |= 0x80;
	f.len[i] = (uint16_t)(1 + t_random_below(DATAGRAM_BYTES));
}

static void prepare(void)
{
	struct hello h;

	f.n = f.kind == KIND_VALID ? (unsigned int)f.n_datagrams : PREPARED;
	f.data = calloc(f.n, sizeof(*f.data));
	f.len = calloc(f.n, sizeof(*f.len));
	if (!f.data || !f.len)
		die("no memory");
	make_hello(&h);
	for (unsigned int i = 0; i < f.n; i++) {
		make_initial(&h, i, f.kind == KIND_SHORT ? 8 : 20);
		if (f.kind == KIND_GARBAGE)
			spoil(i);
	}
}

/* ---- sending ---- */

static void set_headers(struct headers *h, uint16_t len)
{
	uint32_t from = f.source + (uint32_t)((uint64_t)next_random() * f.n_sources >> 32);

	memset(h, 0, sizeof(*h));
	h->ip.version = 4;
	h->ip.ihl = 5;
	h->ip.ttl = 64;
	h->ip.protocol = IPPROTO_UDP;
	h->ip.frag_off = htons(IP_DF);
	h->ip.tot_len = htons((uint16_t)(sizeof(*h) + len));
	h->ip.saddr = htonl(from);
	h->ip.daddr = f.to.sin_addr.s_addr;
	h->udp.source = htons((uint16_t)(1024 + next_random() % 64512));
	h->udp.dest = f.to.sin_port;
	h->udp.len = htons((uint16_t)(sizeof(h->udp) + len)); /* IPv4 needs no checksum */
}

/* @n datagrams from the @at-th on; how many went. */
static unsigned int send_some(uint64_t at, unsigned int n)
{
	struct sockaddr_in to = f.to;
	struct headers headers[BATCH];
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH][2];
	int sent;

	to.sin_port = 0;
	memset(msgs, 0, sizeof(msgs));
	for (unsigned int i = 0; i < n; i++) {
		const uint64_t which = (at + i) % f.n;

		set_headers(&headers[i], f.len[which]);
		iov[i][0] = (struct iovec){ &headers[i], sizeof(headers[i]) };
		iov[i][1] = (struct iovec){ f.data[which], f.len[which] };
		msgs[i].msg_hdr.msg_name = &to;
		msgs[i].msg_hdr.msg_namelen = sizeof(to);
		msgs[i].msg_hdr.msg_iov = iov[i];
		msgs[i].msg_hdr.msg_iovlen = 2;
	}
	sent = sendmmsg(f.fd, msgs, n, 0);
	if (sent < 0 && errno != EINTR && errno != ENOBUFS)
		die(strerror(errno));
	return sent < 0 ? 0 : (unsigned int)sent;
}

static void flood(void)
{
	const struct timespec tick = { .tv_nsec = TICK_NS };
	const double start = now_s();
	uint64_t sent = 0, due;
	double passed = 0;

	while (!stop && passed < f.seconds && sent < f.n_datagrams) {
		due = (uint64_t)(passed * f.per_s) + 1;
		if (due > f.n_datagrams)
			due = f.n_datagrams;
		if (due <= sent)
			nanosleep(&tick, NULL);
		else
			sent += send_some(sent,
					  due - sent < BATCH ? (unsigned int)(due - sent) : BATCH);
		passed = now_s() - start;
	}
	printf("%llu %.3f\n", (unsigned long long)sent, passed);
}

/* ---- the command line ---- */

static enum kind kind_of(const char *name)
{
	static const char *const names[] = { "short", "random", "piece", "garbage", "valid" };

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], name) == 0)
			return (enum kind)i;
	die("unknown kind");
	return KIND_SHORT;
}

static void set_target(char *text)
{
	char *port = strchr(text, ':');

	if (!port)
		die("-t takes ADDRESS:PORT");
	*port++ = '\0';
	f.to.sin_family = AF_INET;
	f.to.sin_port = htons((uint16_t)atoi(port));
	if (inet_pton(AF_INET, text, &f.to.sin_addr) != 1)
		die("-t: no IPv4 address");
}

static void set_sources(char *text)
{
	char *len = strchr(text, '/');
	struct in_addr a;

	if (!len || atoi(len + 1) < 1 || atoi(len + 1) > 32)
		die("-s takes PREFIX/LEN");
	*len++ = '\0';
	if (inet_pton(AF_INET, text, &a) != 1)
		die("-s: no IPv4 prefix");
	f.source = ntohl(a.s_addr);
	f.n_sources = 1u << (32 - atoi(len));
}

static void read_client_key(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || nx_key_read_fd(fd, f.client.secret) < 0)
		die("-f: no key");
	close(fd);
}

static void set_option(int option, char *arg)
{
	switch (option) {
	case 'k':
		f.kind = kind_of(arg);
		break;
	case 't':
		set_target(arg);
		break;
	case 's':
		set_sources(arg);
		break;
	case 'r':
		f.per_s = atof(arg);
		break;
	case 'd':
		f.seconds = atof(arg);
		break;
	case 'n':
		f.n_datagrams = strtoull(arg, NULL, 10);
		break;
	case 'S':
		f.server_name = arg;
		break;
	case 'K':
		if (nx_key_decode(arg, f.client.server_public) < 0)
			die("-K: no key");
		break;
	case 'i':
		if (nx_short_id_decode(arg, &f.client.short_id) < 0)
			die("-i: no short id");
		break;
	case 'f':
		read_client_key(arg);
		break;
	default:
		exit(2);
	}
}

int main(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "k:t:s:r:d:n:S:K:i:f:")) != -1)
		set_option(option, optarg);
	if (!f.to.sin_port || !f.n_sources)
		die("-t and -s are needed");
	if (f.kind == KIND_VALID && (!f.client.short_id || f.n_datagrams > 1000000))
		die("valid: -K, -i, -f and -n are needed");
	f.random = (uint64_t)time(NULL) << 20 | (uint64_t)getpid();
	f.fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (f.fd < 0)
		die(strerror(errno));
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	prepare();
	printf("ready\n");
	fflush(stdout);
	flood();
	return 0;
}
