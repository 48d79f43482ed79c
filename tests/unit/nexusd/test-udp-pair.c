// SPDX-License-Identifier: GPL-2.0-or-later
/* The selector of a socket pair: by the header-form bit, for both families, on loopback. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "prefix.h"
#include "udp-pair.h"

static int receive(int fd, uint8_t *first)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, 2000) != 1)
		return -1;
	return (int)recv(fd, first, 1, MSG_TRUNC);
}

static void check_selector(const char *local)
{
	struct nx_udp_pair pair, again;
	struct nx_endpoint e;
	uint8_t byte;
	int tx;

	assert_int_equal(nx_endpoint_parse(local, &e), 0);
	nx_endpoint_set_port(&e, 0);
	assert_int_equal(nx_udp_pair_open(&e, 0, &pair), 0);
	assert_true(nx_endpoint_port(&pair.local) != 0);
	tx = socket(e.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(tx >= 0);
	for (unsigned int b = 0; b < 256; b++) {
		uint8_t dgram[40] = { (uint8_t)b };
		int other = b & 0x80 ? pair.dp_fd : pair.hs_fd;

		assert_int_equal(sendto(tx, dgram, sizeof(dgram), 0, &pair.local.sa,
					nx_endpoint_len(&pair.local)),
				 sizeof(dgram));
		assert_int_equal(receive(b & 0x80 ? pair.hs_fd : pair.dp_fd, &byte), sizeof(dgram));
		assert_int_equal(byte, b);
		assert_int_equal(recv(other, &byte, 1, MSG_DONTWAIT), -1);
		assert_int_equal(errno, EAGAIN);
	}
	/* Nobody joins the group, not even we. */
	assert_int_equal(nx_udp_pair_open(&pair.local, 0, &again), -EADDRINUSE);
	close(tx);
	nx_udp_pair_close(&pair);
	assert_int_equal(pair.hs_fd, -1);
}

static void test_selector_ipv4(void **state)
{
	check_selector("127.0.0.1:1");
}

static void test_selector_ipv6(void **state)
{
	int probe = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct nx_endpoint e;

	assert_int_equal(nx_endpoint_parse("[::1]:1", &e), 0);
	nx_endpoint_set_port(&e, 0);
	if (probe < 0 || bind(probe, &e.sa, nx_endpoint_len(&e)) < 0)
		skip();
	close(probe);
	check_selector("[::1]:1");
}

static void test_adopt(void **state)
{
	struct nx_udp_pair pair, other, adopted;
	struct nx_endpoint e;

	assert_int_equal(nx_endpoint_parse("127.0.0.1:1", &e), 0);
	nx_endpoint_set_port(&e, 0);
	assert_int_equal(nx_udp_pair_open(&e, 0, &pair), 0);
	assert_int_equal(nx_udp_pair_open(&e, 0, &other), 0);
	assert_int_equal(nx_udp_pair_adopt(pair.hs_fd, pair.dp_fd, &adopted), 0);
	assert_true(nx_endpoint_equal(&adopted.local, &pair.local));
	assert_int_equal(nx_udp_pair_adopt(pair.hs_fd, other.dp_fd, &adopted), -EINVAL);
	nx_udp_pair_close(&pair);
	nx_udp_pair_close(&other);
}

static void test_path_mtu(void **state)
{
	struct nx_endpoint e;

	assert_int_equal(nx_endpoint_parse("127.0.0.1:9", &e), 0);
	assert_true(nx_udp_path_mtu(&e, 0) >= 1280);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_selector_ipv4),
		cmocka_unit_test(test_selector_ipv6),
		cmocka_unit_test(test_adopt),
		cmocka_unit_test(test_path_mtu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
