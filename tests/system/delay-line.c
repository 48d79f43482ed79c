/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * delay-line DEVICE MILLISECONDS: a line of a certain length. It makes the TUN device DEVICE; every
 * packet routed into it comes out of it again, unchanged and in order, that much later. "ready" is
 * printed when the device is there. A packet beyond the 4096 that are on their way is lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
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

static struct packet line[LINE_PACKETS];
static unsigned int first, n;

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

static void take_in(int fd, uint64_t delay_ns)
{
	static uint8_t buf[PACKET_MAX];
	struct packet *p;
	ssize_t len;

	while ((len = read(fd, buf, sizeof(buf))) > 0) {
		if (n == LINE_PACKETS)
			continue;
		p = &line[(first + n) % LINE_PACKETS];
		p->data = malloc(len);
		if (!p->data)
			continue;
		memcpy(p->data, buf, len);
		p->len = len;
		p->out_ns = now_ns() + delay_ns;
		n++;
	}
}

static void let_out(int fd)
{
	while (n && line[first].out_ns <= now_ns()) {
		if (write(fd, line[first].data, line[first].len) < 0 && errno != EIO)
			perror("write");
		free(line[first].data);
		first = (first + 1) % LINE_PACKETS;
		n--;
	}
}

int main(int argc, char **argv)
{
	struct pollfd pfd = { .events = POLLIN };
	uint64_t delay_ns;

	if (argc != 3) {
		fprintf(stderr, "usage: delay-line DEVICE MILLISECONDS\n");
		return 2;
	}
	delay_ns = strtoull(argv[2], NULL, 10) * NS_PER_MS;
	pfd.fd = make_device(argv[1]);
	puts("ready");
	fflush(stdout);
	for (;;) {
		uint64_t now = now_ns(), wait = 0;
		struct timespec ts;

		if (n && line[first].out_ns > now)
			wait = line[first].out_ns - now;
		ts = (struct timespec){ wait / NS_PER_S, wait % NS_PER_S };
		if (ppoll(&pfd, 1, n ? &ts : NULL, NULL) < 0 && errno != EINTR)
			return 1;
		take_in(pfd.fd, delay_ns);
		let_out(pfd.fd);
	}
}
