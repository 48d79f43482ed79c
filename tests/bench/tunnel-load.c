// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Both ends of a load in one process, so that a guest with one CPU spends nothing on switching between
 * them: TCP streams or small UDP packets from namespace a to b, for tests/bench/kernel.
 *
 * Usage: tunnel-load tcp|udp FLOWS BYTES SIZE SOURCE DESTINATION
 * BYTES are sent in all, in writes or datagrams of SIZE. Flow i goes from SOURCE + i to DESTINATION + i
 * (IPv4), which must be local addresses. Prints
 *	MICROSECONDS BYTES-RECEIVED MESSAGES-SENT MESSAGES-RECEIVED
 * of which the last two are for UDP. Fails if nothing moves for ten seconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../lib/netns.h"

#define PORT 5300
#define CHUNK (256 * 1024)
/* Datagrams that are sent before the receiver looks. */
#define UDP_ROUND 32
#define STALL_MS 10000
/* Nothing more comes. */
#define SILENCE_MS 200

struct flow {
	int out, in;
};

static uint8_t buf[CHUNK];
static struct flow *flows;
static unsigned long n_flows;

static void fail(const char *what)
{
	fprintf(stderr, "tunnel-load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ULL + t.tv_nsec / 1000;
}

static struct sockaddr_in address(const char *first, unsigned long i, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (inet_pton(AF_INET, first, &a.sin_addr) != 1)
		fail(first);
	a.sin_addr.s_addr = htonl(ntohl(a.sin_addr.s_addr) + i);
	return a;
}

/* A socket of the namespace the process is in, bound to @at. */
static int bound(int type, struct sockaddr_in at)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1, size = 4 << 20;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
		fail("socket");
	if (type == SOCK_DGRAM)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		fail("bind");
	return fd;
}

static void open_flow(struct flow *f, int type, unsigned long i, const char *from, const char *to)
{
	struct sockaddr_in dst = address(to, i, PORT);
	int in;

	if (!netns_enter("b"))
		fail("b");
	in = bound(type, dst);
	if (type == SOCK_STREAM && listen(in, 1) < 0)
		fail("listen");
	if (!netns_enter("a"))
		fail("a");
	f->out = bound(type, address(from, i, 0));
	if (connect(f->out, (struct sockaddr *)&dst, sizeof(dst)) < 0)
		fail("connect");
	f->in = in;
	if (type == SOCK_STREAM) {
		f->in = accept(in, NULL, NULL);
		if (f->in < 0)
			fail("accept");
		close(in);
	}
	fcntl(f->out, F_SETFL, O_NONBLOCK);
	fcntl(f->in, F_SETFL, O_NONBLOCK);
}

/* Wait for something to read, or for room where @left (bytes of each flow) says that there is more to send. */
static void wait_ready(const uint64_t *left)
{
	static struct pollfd *p;
	unsigned long i;

	if (!p)
		p = calloc(2 * n_flows, sizeof(*p));
	if (!p)
		fail("memory");
	for (i = 0; i < n_flows; i++) {
		p[2 * i] = (struct pollfd){ .fd = flows[i].in, .events = POLLIN };
		p[2 * i + 1] =
			(struct pollfd){ .fd = left[i] ? flows[i].out : -1, .events = POLLOUT };
	}
	if (poll(p, 2 * n_flows, STALL_MS) <= 0) {
		errno = ETIMEDOUT;
		fail("nothing moves");
	}
}

/* What waits at @f: bytes. */
static uint64_t drain(const struct flow *f, uint64_t *messages)
{
	uint64_t bytes = 0;
	ssize_t n;

	while ((n = recv(f->in, buf, sizeof(buf), 0)) > 0) {
		bytes += n;
		++*messages;
	}
	if (!n || errno != EAGAIN)
		fail("recv");
	return bytes;
}

/* One write to @f, of what is left for it, if TCP takes any: bytes. */
static size_t write_some(const struct flow *f, uint64_t left, size_t size)
{
	ssize_t n = left ? send(f->out, buf, left < size ? left : size, 0) : 0;

	if (n < 0 && errno != EAGAIN)
		fail("send");
	return n > 0 ? n : 0;
}

/*
 * A write to each flow, then what has come of it is read, and so on: a flow gets its share of @total
 * and no more. As many writes as a flow takes would be as many as the state allows that TCP happens
 * to be in.
 */
static void run_tcp(uint64_t total, size_t size, uint64_t *got, uint64_t *messages)
{
	uint64_t *left = calloc(n_flows, sizeof(*left)), came, wrote;
	unsigned long i;
	size_t n;

	if (!left)
		fail("memory");
	for (i = 0; i < n_flows; i++)
		left[i] = total / n_flows;
	total = total / n_flows * n_flows;
	while (*got < total) {
		came = wrote = 0;
		for (i = 0; i < n_flows; i++) {
			n = write_some(&flows[i], left[i], size);
			left[i] -= n;
			wrote += n;
			came += drain(&flows[i], messages);
		}
		*got += came;
		if (!came && !wrote)
			wait_ready(left);
	}
	free(left);
}

static void run_udp(uint64_t count, size_t size, uint64_t *got, uint64_t *messages)
{
	unsigned long i, j, next = 0, oldest = 0;

	for (i = 0; i < count; i++) {
		if (send(flows[next].out, buf, size, 0) < 0 && errno != EAGAIN && errno != ENOBUFS)
			fail("send");
		next = next + 1 == n_flows ? 0 : next + 1;
		if ((i + 1) % UDP_ROUND && i + 1 < count)
			continue;
		/* Only those that were sent to: to ask all of very many would be the measurement. */
		for (j = 0; j < UDP_ROUND && j < n_flows; j++) {
			*got += drain(&flows[oldest], messages);
			oldest = oldest + 1 == n_flows ? 0 : oldest + 1;
		}
	}
}

/* What is on its way when all has been sent: when the last of it came. */
static uint64_t take_rest(uint64_t count, uint64_t *got, uint64_t *messages)
{
	struct pollfd *fds = calloc(n_flows, sizeof(*fds));
	uint64_t last_us = now_us();
	unsigned long i;

	if (!fds)
		fail("memory");
	for (i = 0; i < n_flows; i++)
		fds[i] = (struct pollfd){ .fd = flows[i].in, .events = POLLIN };
	while (*messages < count && poll(fds, n_flows, SILENCE_MS) > 0) {
		for (i = 0; i < n_flows; i++)
			if (fds[i].revents)
				*got += drain(&flows[i], messages);
		last_us = now_us();
	}
	free(fds);
	return last_us;
}

int main(int argc, char **argv)
{
	uint64_t got = 0, received = 0, started, ended, total, count;
	struct rlimit many = { 65536, 65536 };
	unsigned long i;
	size_t size;
	int type;

	if (argc != 7 || (strcmp(argv[1], "tcp") && strcmp(argv[1], "udp"))) {
		fprintf(stderr, "Usage: tunnel-load tcp|udp FLOWS BYTES SIZE SOURCE DESTINATION\n");
		return 1;
	}
	type = strcmp(argv[1], "tcp") ? SOCK_DGRAM : SOCK_STREAM;
	n_flows = strtoul(argv[2], NULL, 10);
	total = strtoull(argv[3], NULL, 10);
	size = strtoul(argv[4], NULL, 10);
	if (!n_flows || !size || size > sizeof(buf))
		fail("arguments");
	setrlimit(RLIMIT_NOFILE, &many);
	flows = calloc(n_flows, sizeof(*flows));
	if (!flows)
		fail("memory");
	for (i = 0; i < n_flows; i++)
		open_flow(&flows[i], type, i, argv[5], argv[6]);
	count = type == SOCK_DGRAM ? total / size : 0;
	started = now_us();
	if (type == SOCK_STREAM)
		run_tcp(total, size, &got, &received);
	else
		run_udp(count, size, &got, &received);
	ended = type == SOCK_STREAM ? now_us() : take_rest(count, &got, &received);
	printf("%llu %llu %llu %llu\n", (unsigned long long)(ended - started),
	       (unsigned long long)got, (unsigned long long)count, (unsigned long long)received);
	return 0;
}
