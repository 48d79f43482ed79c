// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A whole control message into the handler of nexus-dp, with one device that reads nothing and one
 * UDP socket as descriptor 0, so that messages get as far as a running engine. Several messages may
 * follow each other, each behind two bytes of length; everything is torn down between inputs.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dp.h"
#include "log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct dp dp;
static int udp;

static void init(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	struct dp_device *dev = calloc(1, sizeof(*dev));

	nx_log_init("fuzz", LOG_EMERG);
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	dp.crypto = nx_crypto_provider("gnutls");
	if (!dev || bind(udp, (struct sockaddr *)&any, sizeof(any)) || dp_init(&dp) || !dp.crypto)
		abort();
	strcpy(dev->ifname, "fuzz0");
	dev->queues[0].watch.fd = open("/dev/null", O_RDWR);
	dev->n_queues = 1;
	TAILQ_INSERT_TAIL(&dp.devices, dev, entry);
	dp.n_devices = 1;
}

static void message(const uint8_t *data, size_t size)
{
	/* An own allocation of the exact size. */
	u8 *msg = malloc(size ? size : 1);
	int fds[1] = { dup(udp) };

	memcpy(msg, data, size);
	dp_control_message(&dp, msg, size, fds, 1);
	if (fds[0] != -1)
		abort();
	for (size_t i = 0; i < size; i++)
		if (msg[i])
			abort();
	free(msg);
	dp_run_dirty(&dp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dp_device *dev;

	if (!dp.heap)
		init();
	dev = TAILQ_FIRST(&dp.devices);
	while (size >= 2) {
		size_t len = data[0] << 8 | data[1];

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		message(data, len);
		data += len;
		size -= len;
		if (TAILQ_EMPTY(&dp.devices)) {
			/* NQD_CMD_DELETE_DEVICE found it. */
			dp_fini(&dp);
			close(udp);
			memset(&dp, 0, sizeof(dp));
			return 0;
		}
	}
	while (!TAILQ_EMPTY(&dp.sessions))
		dp_session_free(&dp, TAILQ_FIRST(&dp.sessions));
	while (dev->n_sockets)
		dp_socket_put(&dp, dev->sockets[--dev->n_sockets]);
	dp.n_ended = 0;
	return 0;
}
