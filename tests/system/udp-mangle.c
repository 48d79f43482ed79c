/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * udp-mangle PORT SECONDS SEED DEVICE...: the hostile router of hostile.test. It watches the IPv4 UDP
 * packets to and from PORT that arrive on the devices and sends damaged copies of them on, with the
 * original addresses: replayed, truncated, oversized, bit-flipped, relabelled as every packet type,
 * and plain garbage. At the end it prints how many of each kind were sent.
 *
 * At most one copy per millisecond and device is made, so that the genuine traffic is not starved.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_DEVICES 4
#define MAX_PAYLOAD 1472
#define CID_LEN 20
#define KEPT 64

struct packet {
	struct in_addr src, dst;
	uint16_t sport, dport; /* network order */
	size_t len;
	uint8_t payload[MAX_PAYLOAD];
};

enum kind {
	REPLAYED,
	TRUNCATED,
	CUT_SHORT,
	OVERSIZED,
	BIT_FLIPPED,
	FIRST_BYTE,
	BAD_CID,
	AS_INITIAL,
	AS_ZERO_RTT,
	AS_HANDSHAKE,
	AS_RETRY,
	AS_VERSION_NEGOTIATION,
	UNKNOWN_VERSION,
	GARBAGE,
	EMPTY,
	OLD_LONG_HEADER,
	N_KINDS,
};

static const char *const kind_names[N_KINDS] = {
	"replayed",    "truncated",  "cut-short", "oversized",	  "bit-flipped", "first-byte",
	"bad-cid",     "as-initial", "as-0rtt",	  "as-handshake", "as-retry",	 "as-vn",
	"bad-version", "garbage",    "empty",	  "old-long",
};

static uint64_t rng_state;

static uint32_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (uint32_t)(rng_state >> 32);
}

static void fill_random(uint8_t *p, size_t n)
{
	while (n--)
		*p++ = (uint8_t)rng();
}

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ll + ts.tv_nsec / 1000;
}

static int open_device(const char *name)
{
	struct sockaddr_ll sll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP) };
	int one = 1, fd;

	sll.sll_ifindex = (int)if_nametoindex(name);
	if (!sll.sll_ifindex)
		return -ENODEV;
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sll, sizeof(sll)) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* A UDP packet to or from @port, whole and not too large. */
static bool parse(const uint8_t *buf, size_t n, uint16_t port, struct packet *p)
{
	const struct iphdr *ip = (const struct iphdr *)buf;
	const struct udphdr *udp;
	size_t hl, len;

	if (n < sizeof(*ip) || ip->version != 4 || ip->protocol != IPPROTO_UDP)
		return false;
	hl = ip->ihl * 4u;
	if (n < hl + sizeof(*udp))
		return false;
	udp = (const struct udphdr *)(buf + hl);
	len = ntohs(udp->len);
	if (len <= sizeof(*udp) || hl + len > n || len - sizeof(*udp) > MAX_PAYLOAD)
		return false;
	if (udp->source != port && udp->dest != port)
		return false;
	p->src.s_addr = ip->saddr;
	p->dst.s_addr = ip->daddr;
	p->sport = udp->source;
	p->dport = udp->dest;
	p->len = len - sizeof(*udp);
	memcpy(p->payload, udp + 1, p->len);
	return true;
}

/* A long header of @type in front of random bytes, with the connection ID of the short-header @p. */
static void relabel(struct packet *p, uint8_t type, uint32_t version)
{
	uint8_t cid[CID_LEN], *b = p->payload;
	size_t at = 0;

	memset(cid, 0, sizeof(cid));
	if (p->len > CID_LEN)
		memcpy(cid, b + 1, CID_LEN);
	p->len = 1200;
	fill_random(b, p->len);
	b[at++] = 0xc0 | (uint8_t)(type << 4) | (rng() & 0xf);
	version = htonl(version);
	memcpy(b + at, &version, 4);
	at += 4;
	b[at++] = CID_LEN;
	memcpy(b + at, cid, CID_LEN);
	at += CID_LEN;
	b[at++] = (uint8_t)(rng() % 24);
}

static void mangle(struct packet *p, enum kind kind)
{
	size_t i, n, old = p->len;

	switch (kind) {
	case TRUNCATED:
		p->len = 1 + rng() % p->len;
		break;
	case CUT_SHORT:
		p->len = 1 + rng() % (p->len < 24 ? p->len : 24);
		break;
	case OVERSIZED:
		p->len = old + rng() % (MAX_PAYLOAD - old + 1);
		fill_random(p->payload + old, p->len - old);
		break;
	case BIT_FLIPPED:
		n = 1 + rng() % 8;
		for (i = 0; i < n; i++)
			p->payload[rng() % p->len] ^= (uint8_t)(1u << (rng() & 7));
		break;
	case FIRST_BYTE:
		p->payload[0] = (uint8_t)rng();
		break;
	case BAD_CID:
		if (p->len > CID_LEN)
			fill_random(p->payload + 1, CID_LEN);
		break;
	case AS_INITIAL:
		relabel(p, 0, 1);
		break;
	case AS_ZERO_RTT:
		relabel(p, 1, 1);
		break;
	case AS_HANDSHAKE:
		relabel(p, 2, 1);
		break;
	case AS_RETRY:
		relabel(p, 3, 1);
		break;
	case AS_VERSION_NEGOTIATION:
		relabel(p, rng() & 3, 0);
		break;
	case UNKNOWN_VERSION:
		relabel(p, rng() & 3, rng());
		break;
	case GARBAGE:
		p->len = 1 + rng() % MAX_PAYLOAD;
		fill_random(p->payload, p->len);
		break;
	case EMPTY:
		p->len = 0;
		break;
	case OLD_LONG_HEADER:
		/* A packet of the handshake, much later, with one flipped bit every other time. */
		if (rng() & 1)
			p->payload[rng() % p->len] ^= (uint8_t)(1u << (rng() & 7));
		break;
	case REPLAYED:
	default:
		break;
	}
}

static bool send_packet(int raw, const struct packet *p)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = p->dst };
	uint8_t buf[sizeof(struct iphdr) + sizeof(struct udphdr) + MAX_PAYLOAD];
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP };
	struct udphdr udp = { .source = p->sport, .dest = p->dport };
	size_t len = sizeof(ip) + sizeof(udp) + p->len;

	ip.tot_len = htons((uint16_t)len);
	ip.frag_off = htons(IP_DF);
	ip.saddr = p->src.s_addr;
	ip.daddr = p->dst.s_addr;
	udp.len = htons((uint16_t)(sizeof(udp) + p->len)); /* checksum 0: none */
	memcpy(buf, &ip, sizeof(ip));
	memcpy(buf + sizeof(ip), &udp, sizeof(udp));
	memcpy(buf + sizeof(ip) + sizeof(udp), p->payload, p->len);
	return sendto(raw, buf, len, 0, (struct sockaddr *)&to, sizeof(to)) == (ssize_t)len;
}

static struct packet kept[KEPT];
static size_t n_kept;
static unsigned long sent[N_KINDS];

/* One damaged copy of @p. */
static void hostile_copy(int raw, const struct packet *p, enum kind kind)
{
	struct packet copy = *p;

	if (kind == OLD_LONG_HEADER) {
		if (!n_kept)
			return;
		copy = kept[rng() % n_kept];
	}
	mangle(&copy, kind);
	if (send_packet(raw, &copy))
		sent[kind]++;
}

static void watch(struct pollfd *fds, nfds_t n, int raw, uint16_t port, int64_t end_us)
{
	static uint8_t buf[65536];
	int64_t next_us[MAX_DEVICES] = { 0 }, now;
	unsigned int turn[MAX_DEVICES] = { 0 };
	struct packet p;

	while ((now = now_us()) < end_us) {
		if (poll(fds, n, (int)((end_us - now) / 1000) + 1) <= 0)
			continue;
		for (nfds_t i = 0; i < n; i++) {
			ssize_t got = recv(fds[i].fd, buf, sizeof(buf), MSG_DONTWAIT);

			if (got <= 0 || !parse(buf, (size_t)got, port, &p))
				continue;
			if ((p.payload[0] & 0x80) && n_kept < KEPT)
				kept[n_kept++] = p;
			if (!(p.payload[0] & 0x80) && now < next_us[i])
				continue;
			/* Every kind in turn, in both directions. */
			hostile_copy(raw, &p, (enum kind)(turn[i]++ % N_KINDS));
			next_us[i] = now + 1000;
		}
	}
}

int main(int argc, char **argv)
{
	struct pollfd fds[MAX_DEVICES];
	nfds_t n = 0;
	int raw;

	if (argc < 5 || argc > 4 + MAX_DEVICES) {
		fprintf(stderr, "usage: udp-mangle PORT SECONDS SEED DEVICE...\n");
		return 2;
	}
	rng_state = strtoull(argv[3], NULL, 0) * 2654435761u + 88172645463325252ull;
	raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (raw < 0) {
		perror("raw socket");
		return 1;
	}
	for (int i = 4; i < argc; i++) {
		int fd = open_device(argv[i]);

		if (fd < 0) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(-fd));
			return 1;
		}
		fds[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
	}
	printf("watching\n");
	fflush(stdout);
	watch(fds, n, raw, htons((uint16_t)atoi(argv[1])), now_us() + atoi(argv[2]) * 1000000ll);
	for (int k = 0; k < N_KINDS; k++)
		printf("%s %lu\n", kind_names[k], sent[k]);
	return 0;
}
