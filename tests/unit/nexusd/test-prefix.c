// SPDX-License-Identifier: GPL-2.0-or-later
/* Prefixes, endpoints, the choice of routes and the pauses between attempts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "backoff.h"
#include "prefix.h"
#include "route-plan.h"

static struct nx_prefix P(const char *s) {
	struct nx_prefix p;

	assert_int_equal(nx_prefix_parse(s, &p), 0);
	return p;
}

static struct nx_endpoint
E(const char *s) {
	struct nx_endpoint e;

	assert_int_equal(nx_endpoint_parse(s, &e), 0);
	return e;
}

static void
test_parse_prefix(void **state)
{
	static const char *const bad[] = {
		"",
		"/",
		"/24",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0.0/+1",
		"10.0.0.0/024",
		"10.0.0.0/8 ",
		" 10.0.0.0/8",
		"10.0.0/8",
		"fd00::/129",
		"fd00::1%lo",
		"fd00:::/64",
		"1.2.3.4.5",
		"::ffff:1.2.3.4.5/96",
		"10.0.0.0/8/8",
		"localhost",
	};
	static const struct {
		const char *in, *out;
	} good[] = {
		{ "10.0.0.0/8", "10.0.0.0/8" }, { "10.1.2.3", "10.1.2.3/32" },
		{ "0.0.0.0/0", "0.0.0.0/0" },	{ "fd00::1", "fd00::1/128" },
		{ "FD00::/64", "fd00::/64" },	{ "::/0", "::/0" },
		{ "10.0.0.1/8", "10.0.0.1/8" },
	};
	char buf[NX_ADDR_STRLEN];
	struct nx_prefix p;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(nx_prefix_parse(bad[i], &p), -EINVAL);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		p = P(good[i].in);
		assert_string_equal(nx_prefix_format(&p, buf), good[i].out);
	}
}

static void test_parse_endpoint(void **state)
{
	static const char *const bad[] = {
		"",
		":",
		"1.2.3.4",
		"1.2.3.4:",
		"1.2.3.4:0",
		"1.2.3.4:65536",
		"1.2.3.4:0443",
		"[::1]",
		"[::1]:",
		"::1:443",
		"[1.2.3.4]:443",
		"[::1:443",
		"host:443",
		"1.2.3.4:44a",
	};
	char buf[NX_ADDR_STRLEN], host[254], longest[400];
	struct nx_endpoint e;
	uint16_t port;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(nx_endpoint_parse(bad[i], &e), -EINVAL);
	e = E("[fd77:1::2]:65535");
	assert_string_equal(nx_endpoint_format(&e, buf), "[fd77:1::2]:65535");
	e = E("10.77.2.2:1");
	assert_string_equal(nx_endpoint_format(&e, buf), "10.77.2.2:1");

	assert_int_equal(nx_hostport_split("vpn.example.org:443", host, &port), 0);
	assert_string_equal(host, "vpn.example.org");
	assert_int_equal(port, 443);
	assert_int_equal(nx_hostport_split("vpn example:443", host, &port), -EINVAL);
	assert_int_equal(nx_hostport_split("[vpn]:443", host, &port), 0);
	memset(longest, 'a', sizeof(longest));
	strcpy(longest + 253, ":1");
	assert_int_equal(nx_hostport_split(longest, host, &port), 0);
	strcpy(longest + 253, "a:1");
	assert_int_equal(nx_hostport_split(longest, host, &port), -EINVAL);
}

static void test_endpoint_bytes(void **state)
{
	struct nx_endpoint e = E("[::1]:9"), out;

	assert_int_equal(nx_endpoint_from_bytes(&e, sizeof(struct sockaddr_in6), &out), 0);
	assert_true(nx_endpoint_equal(&e, &out));
	assert_int_equal(nx_endpoint_from_bytes(&e, sizeof(struct sockaddr_in), &out), -EINVAL);
	e = E("127.0.0.1:9");
	assert_int_equal(nx_endpoint_from_bytes(&e, sizeof(struct sockaddr_in), &out), 0);
	assert_int_equal(nx_endpoint_from_bytes(&e, sizeof(struct sockaddr_in6), &out), -EINVAL);
	assert_int_equal(nx_endpoint_from_bytes(&e, 4, &out), -EINVAL);
	assert_int_equal(nx_endpoint_from_bytes(&e, 200, &out), -EINVAL);
	e.sa.sa_family = AF_UNIX;
	assert_int_equal(nx_endpoint_from_bytes(&e, sizeof(struct sockaddr_in), &out), -EINVAL);
}

static void test_prefix_arithmetic(void **state)
{
	struct nx_prefix a = P("10.66.0.0/15"), b = P("10.67.255.255"), c = P("10.68.0.0/16");
	struct nx_prefix h = P("10.66.0.1/24"), all6 = P("::/0"), six = P("fd66::1/127"), out;

	assert_true(nx_prefix_contains(&a, &b));
	assert_false(nx_prefix_contains(&b, &a));
	assert_false(nx_prefix_contains(&a, &c));
	assert_true(nx_prefix_contains(&all6, &six));
	assert_false(nx_prefix_contains(&all6, &a));
	out = nx_prefix_network(&h);
	c = P("10.66.0.0/24");
	assert_true(nx_prefix_equal(&out, &c));
	assert_true(nx_prefix_intersect(&a, &c, &out));
	assert_true(nx_prefix_equal(&out, &c));
	assert_true(nx_prefix_intersect(&c, &a, &out));
	assert_true(nx_prefix_equal(&out, &c));
	assert_false(nx_prefix_intersect(&b, &c, &out));
	assert_int_equal(nx_prefix_from_bytes("\1\2\3\4", 4, 33, &out), -EINVAL);
	assert_int_equal(nx_prefix_from_bytes("\1\2\3\4", 3, 8, &out), -EINVAL);
	assert_int_equal(nx_prefix_from_bytes("\1\2\3\4", 4, 32, &out), 0);
}

static void test_endpoint_collisions(void **state)
{
	struct nx_endpoint any = E("0.0.0.0:443"), one = E("1.2.3.4:443"), two = E("1.2.3.5:443");
	struct nx_endpoint port = E("1.2.3.4:444"), six = E("[::]:443");

	assert_true(nx_endpoint_collides(&any, &one));
	assert_true(nx_endpoint_collides(&one, &one));
	assert_false(nx_endpoint_collides(&one, &two));
	assert_false(nx_endpoint_collides(&one, &port));
	assert_false(nx_endpoint_collides(&any, &six));
}

static void test_route_plan(void **state)
{
	const struct nx_prefix offered[] = { P("10.66.0.0/24"), P("10.66.0.7"), P("0.0.0.0/0"),
					     P("fd66::/64") };
	const struct nx_prefix allowed[] = { P("10.66.0.0/16"), P("fd66::/65"), P("10.66.0.0/25") };
	struct nx_endpoint endpoint = E("192.0.2.1:443");
	struct nx_planned_route *plan;
	struct nx_prefix want;
	size_t n;

	/* All that is offered: the default route covers the rest of its family and the endpoint. */
	assert_int_equal(nx_route_plan(offered, 4, NULL, 0, &endpoint, &plan, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(plan[0].prefix.len, 0);
	assert_true(plan[0].own_table);
	assert_false(plan[1].own_table);
	free(plan);

	/* Cut down: never more than allowed, never more than offered. */
	assert_int_equal(nx_route_plan(offered, 4, allowed, 3, &endpoint, &plan, &n), 0);
	assert_int_equal(n, 2);
	want = P("10.66.0.0/16");
	assert_true(nx_prefix_equal(&plan[0].prefix, &want));
	assert_false(plan[0].own_table);
	want = P("fd66::/65");
	assert_true(nx_prefix_equal(&plan[1].prefix, &want));
	free(plan);

	/* Nothing in common, nothing offered. */
	want = P("172.16.0.0/12");
	assert_int_equal(nx_route_plan(&offered[0], 1, &want, 1, &endpoint, &plan, &n), 0);
	assert_int_equal(n, 0);
	free(plan);
	assert_int_equal(nx_route_plan(NULL, 0, NULL, 0, &endpoint, &plan, &n), 0);
	assert_int_equal(n, 0);
	free(plan);

	/* A default route of the other family does not cover the endpoint but competes with the LAN's. */
	want = P("::/0");
	assert_int_equal(nx_route_plan(&want, 1, NULL, 0, &endpoint, &plan, &n), 0);
	assert_true(n == 1 && plan[0].own_table);
	free(plan);

	/* A route that is no default route may cover the endpoint as well. */
	endpoint = E("10.66.0.99:443");
	assert_int_equal(nx_route_plan(offered, 1, NULL, 0, &endpoint, &plan, &n), 0);
	assert_true(n == 1 && plan[0].own_table);
	free(plan);
}

static void test_backoff(void **state)
{
	assert_true(nx_backoff_us(1, false, 0) == 750000);
	assert_true(nx_backoff_us(1, false, 0xffff) == 1250000);
	assert_true(nx_backoff_us(2, false, 0) == 1500000);
	assert_true(nx_backoff_us(1, true, 0) == 7500000);
	for (unsigned int i = 1; i < 100; i++) {
		assert_true(nx_backoff_us(i, false, 0xffff) <= NX_BACKOFF_MAX_US * 5 / 4);
		assert_true(nx_backoff_us(i + 1, false, 0) >= nx_backoff_us(i, false, 0));
	}
	assert_true(nx_backoff_us(4000000000u, true, 0) == NX_BACKOFF_MAX_US * 3 / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_prefix),
		cmocka_unit_test(test_parse_endpoint),
		cmocka_unit_test(test_endpoint_bytes),
		cmocka_unit_test(test_prefix_arithmetic),
		cmocka_unit_test(test_endpoint_collisions),
		cmocka_unit_test(test_route_plan),
		cmocka_unit_test(test_backoff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
