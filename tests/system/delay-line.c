/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * delay-line [OPTIONS] DEVICE MILLISECONDS: a line of a certain length. It makes the TUN device
 * DEVICE; every packet routed into it comes out of it again, unchanged and in order, that much
 * later. "ready" is printed when the device is there. A packet beyond the 4096 that are on their
 * way is lost.
 *
 * What happens to a packet of its own, each with a chance of N in 1000:
 *	-l N		it is lost
 *	-d N		it comes out twice
 *	-r N -x MS	it takes MS milliseconds more, and others overtake it
 *	-s SEED		another sequence of chances
 * On SIGTERM "passed lost doubled late" are printed, in packets.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define LINE_PACKETS 4096
#define PACKET_MAX 65536
#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

struct packet {
	uint64_t out_ns;
	size_t len;
	uint8_t *data;
};

/* Packets that take the same time, so the first is the next. */
struct line {
	struct packet packets[LINE_PACKETS];
	unsigned int first, n;
	uint64_t delay_ns;
};

static struct line usual, slow;
static unsigned int loss, twice, late;
static uint64_t seed = 1;
static uint64_t n_passed, n_lost, n_doubled, n_late;
static volatile sig_atomic_t stop;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int make_device(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0) {
		perror(name);
		exit(1);
	}
	return fd;
}

/* SplitMix64. */
static bool chance(unsigned int per_mille)
{
	uint64_t z = seed += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (z ^ (z >> 31)) % 1000 < per_mille;
}

static void append(struct line *l, const uint8_t *data, size_t len)
{
	struct packet *p = &l->packets[(l->first + l->n) % LINE_PACKETS];

	if (l->n < LINE_PACKETS)
		p->data = malloc(len);
	if (l->n == LINE_PACKETS || !p->data) {
		n_lost++;
		return;
	}
	memcpy(p->data, data, len);
	p->len = len;
	p->out_ns = now_ns() + l->delay_ns;
	l->n++;
}

static void take_in(int fd)
{
	static uint8_t buf[PACKET_MAX];
	ssize_t len;

	while ((len = read(fd, buf, sizeof(buf))) > 0) {
		if (chance(loss)) {
			n_lost++;
			continue;
		}
		n_passed++;
		if (chance(twice)) {
			n_doubled++;
			append(&usual, buf, len);
		}
		if (chance(late)) {
			n_late++;
			append(&slow, buf, len);
		} else {
			append(&usual, buf, len);
		}
	}
}

static void let_out(int fd, struct line *l)
{
	struct packet *p;

	while (l->n && l->packets[l->first].out_ns <= now_ns()) {
		p = &l->packets[l->first];
		if (write(fd, p->data, p->len) < 0 && errno != EIO)
			perror("write");
		free(p->data);
		l->first = (l->first + 1) % LINE_PACKETS;
		l->n--;
	}
}

static uint64_t next_ns(const struct line *l)
{
	return l->n ? l->packets[l->first].out_ns : UINT64_MAX;
}

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static void run(int fd, const sigset_t *waiting)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	while (!stop) {
		uint64_t now = now_ns(), next = next_ns(&usual), wait = 0;
		struct timespec ts;

		if (next_ns(&slow) < next)
			next = next_ns(&slow);
		if (next > now)
			wait = next - now;
		ts = (struct timespec){ wait / NS_PER_S, wait % NS_PER_S };
		if (ppoll(&pfd, 1, next == UINT64_MAX ? NULL : &ts, waiting) < 0 && errno != EINTR)
			exit(1);
		take_in(fd);
		let_out(fd, &usual);
		let_out(fd, &slow);
	}
}

static void usage(void)
{
	fprintf(stderr,
		"usage: delay-line [-l N] [-d N] [-r N -x MS] [-s SEED] DEVICE MILLISECONDS\n");
	exit(2);
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_term };
	uint64_t more_ns = 0;
	sigset_t term, before;
	int fd, opt;

	while ((opt = getopt(argc, argv, "l:d:r:x:s:")) != -1) {
		switch (opt) {
		case 'l':
			loss = strtoul(optarg, NULL, 10);
			break;
		case 'd':
			twice = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			late = strtoul(optarg, NULL, 10);
			break;
		case 'x':
			more_ns = strtoull(optarg, NULL, 10) * NS_PER_MS;
			break;
		case 's':
			seed = strtoull(optarg, NULL, 10);
			break;
		default:
			usage();
		}
	}
	if (argc - optind != 2)
		usage();
	usual.delay_ns = strtoull(argv[optind + 1], NULL, 10) * NS_PER_MS;
	slow.delay_ns = usual.delay_ns + more_ns;
	/* Only while it waits, or it might wait with the signal behind it. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &before);
	sigaction(SIGTERM, &sa, NULL);
	fd = make_device(argv[optind]);
	puts("ready");
	fflush(stdout);
	run(fd, &before);
	printf("%ju %ju %ju %ju\n", (uintmax_t)n_passed, (uintmax_t)n_lost, (uintmax_t)n_doubled,
	       (uintmax_t)n_late);
	return 0;
}
