// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Capsules: exact bytes of RFC 9484, what goes in comes out, ranges become prefixes, and each rule a
 * receiver must enforce.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "capsule.h"
#include "hsd-test.h"
#include "iprange.h"

static uint8_t wire[HS_CAPSULES_MAX + 16];
static struct hs_net in, out;

static struct hs_prefix prefix(const char *text)
{
	struct hs_prefix p = { 0 };
	unsigned int len;
	char addr[64];

	assert_int_equal(sscanf(text, "%63[^/]/%u", addr, &len), 2);
	p.family = strchr(addr, ':') ? AF_INET6 : AF_INET;
	p.len = (uint8_t)len;
	assert_int_equal(inet_pton(p.family, addr, p.addr), 1);
	return p;
}

static void assert_prefix(const struct hs_prefix *p, const char *text)
{
	const struct hs_prefix want = prefix(text);

	assert_memory_equal(p, &want, sizeof(want));
}

static int parse_hex(const char *hex)
{
	const size_t n = strlen(hex) / 2;
	const char *error = NULL;
	uint8_t *exact;
	int err;

	exact = malloc(n ? n : 1);
	assert_non_null(exact);
	t_unhex(hex, exact, n);
	err = hs_capsules_parse(exact, n, &out, &error);
	assert_true(err == 0 || err == -EBADMSG || err == -E2BIG);
	assert_int_equal(err != 0, error != NULL);
	free(exact);
	return err;
}

static int reset(void **state)
{
	memset(&in, 0, sizeof(in));
	memset(&out, 0xa5, sizeof(out));
	return 0;
}

static void test_exact_answer(void **state)
{
	static const char hex[] = "01"
				  "8000001a"
				  "01"
				  "04"
				  "0a420002"
				  "20" /* assigned to request 1 */
				  "02"
				  "06"
				  "00000000000000000000000000000000"
				  "80" /* none for request 2 */
				  "03"
				  "8000002c"
				  "04"
				  "0a420000"
				  "0a4200ff"
				  "00"
				  "06"
				  "fd660000000000000000000000000000"
				  "fd66000000000000ffffffffffffffff"
				  "00"
				  "c00000004e585631"
				  "80000025"
				  "03"
				  "02"
				  "4578"
				  "04"
				  "04"
				  "800061a8"
				  "05"
				  "01"
				  "03"
				  "06"
				  "01"
				  "01"
				  "01"
				  "05"
				  "04"
				  "0a420001"
				  "02"
				  "0c"
				  "636f72702e6578616d706c65";
	const size_t len = sizeof(hex) / 2;
	uint8_t want[256];
	ssize_t n;

	in.addresses[in.n_addresses++] = prefix("10.66.0.2/32");
	in.routes[in.n_routes++] = prefix("fd66::/64");
	in.routes[in.n_routes++] = prefix("10.66.0.0/24");
	in.dns[in.n_dns++] = prefix("10.66.0.1/32");
	strcpy(in.domains[in.n_domains++], "corp.example");
	in.mtu = 1400;
	in.keepalive_ms = 25000;
	in.route_epoch = 3;
	in.dp_caps = 1;
	n = hs_capsules_encode_answer(&in, wire, sizeof(wire));
	t_unhex(hex, want, len);
	assert_int_equal(n, len);
	assert_memory_equal(wire, want, len);
}

static void test_exact_request(void **state)
{
	static const char hex[] = "02"
				  "8000001a"
				  "01"
				  "04"
				  "00000000"
				  "20"
				  "02"
				  "06"
				  "00000000000000000000000000000000"
				  "80"
				  "c00000004e585631"
				  "8000000c"
				  "030100"
				  "040100"
				  "050100"
				  "060100";
	const size_t len = sizeof(hex) / 2;
	uint8_t want[256];
	ssize_t n = hs_capsules_encode_request(&in, wire, sizeof(wire));

	t_unhex(hex, want, len);
	assert_int_equal(n, len);
	assert_memory_equal(wire, want, len);
	assert_int_equal(hs_capsules_parse(wire, (size_t)n, &out, &(const char *){ NULL }), 0);
	assert_int_equal(out.n_addresses, 0);
}

/* Fill @in with as much as it can hold. */
static void fill(void)
{
	for (unsigned int i = 0; i < HS_NET_PREFIXES_MAX; i++) {
		char text[64];

		snprintf(text, sizeof(text), i % 2 ? "10.1.%u.0/%u" : "fd00:%u::/%u", i,
			 i % 2 ? 24 + i % 8 : 32 + i);
		in.addresses[in.n_addresses++] = prefix(text);
	}
	for (unsigned int i = 0; i < HS_NET_ROUTES_MAX; i++) {
		char text[64];

		snprintf(text, sizeof(text), i < 64 ? "10.%u.0.0/16" : "fd%02u::/16", i);
		if (i >= 100)
			snprintf(text, sizeof(text), "fe80:0:0:%u::/64", i);
		in.routes[in.n_routes++] = prefix(text);
	}
	for (unsigned int i = 0; i < HS_NET_DNS_MAX; i++)
		in.dns[in.n_dns++] = prefix(i % 2 ? "fd00::53/128" : "10.0.0.53/32");
	for (unsigned int i = 0; i < HS_NET_DOMAINS_MAX; i++) {
		char *d = in.domains[in.n_domains++];

		memset(d, 'a' + (int)i, 253);
		d[63] = d[127] = d[191] = '.';
		d[252] = (char)('a' + (int)i);
		d[253] = '\0';
	}
	in.mtu = 65535;
	in.keepalive_ms = in.route_epoch = in.dp_caps = in.max_age_s = UINT32_MAX;
}

static void test_round_trip_full(void **state)
{
	const char *error = NULL;
	ssize_t n;

	fill();
	for (int answer = 0; answer < 2; answer++) {
		n = answer ? hs_capsules_encode_answer(&in, wire, sizeof(wire))
			   : hs_capsules_encode_request(&in, wire, sizeof(wire));
		assert_true(n > 0 && n <= HS_CAPSULES_MAX);
		assert_int_equal(hs_capsules_parse(wire, (size_t)n, &out, &error), 0);
		assert_memory_equal(&out, &in, sizeof(in));
		/* Too little room, by any amount. */
		for (size_t cap = 0; cap < (size_t)n; cap += 1 + cap / 50)
			assert_int_equal(answer ? hs_capsules_encode_answer(&in, wire, cap)
						: hs_capsules_encode_request(&in, wire, cap),
					 -EMSGSIZE);
		assert_int_equal(answer ? hs_capsules_encode_answer(&in, wire, (size_t)n)
					: hs_capsules_encode_request(&in, wire, (size_t)n),
				 n);
	}
	in.n_routes = HS_NET_ROUTES_MAX + 1;
	assert_int_equal(hs_capsules_encode_answer(&in, wire, sizeof(wire)), -EMSGSIZE);
}

/* Sorted, host bits cleared, nested and repeated ones left out. */
static void test_routes_normalized(void **state)
{
	static const char *const given[] = { "10.2.3.4/8",     "192.168.0.0/16", "10.9.0.0/16",
					     "192.168.7.1/32", "192.169.0.0/16", "192.168.0.0/16",
					     "0.0.0.0/5",      "fd00::1/8",	 "fd00::/8" };
	static const char *const want[] = { "0.0.0.0/5", "10.0.0.0/8", "192.168.0.0/16",
					    "192.169.0.0/16", "fd00::/8" };
	const char *error;
	ssize_t n;

	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++)
		in.routes[in.n_routes++] = prefix(given[i]);
	n = hs_capsules_encode_answer(&in, wire, sizeof(wire));
	assert_true(n > 0);
	assert_int_equal(hs_capsules_parse(wire, (size_t)n, &out, &error), 0);
	assert_int_equal(out.n_routes, sizeof(want) / sizeof(want[0]));
	for (size_t i = 0; i < out.n_routes; i++)
		assert_prefix(&out.routes[i], want[i]);
	/* Everything. */
	memset(&in, 0, sizeof(in));
	in.routes[in.n_routes++] = prefix("::/0");
	in.routes[in.n_routes++] = prefix("0.0.0.0/0");
	in.routes[in.n_routes++] = prefix("255.255.255.255/32");
	n = hs_capsules_encode_answer(&in, wire, sizeof(wire));
	assert_int_equal(hs_capsules_parse(wire, (size_t)n, &out, &error), 0);
	assert_int_equal(out.n_routes, 2);
	assert_prefix(&out.routes[0], "0.0.0.0/0");
	assert_prefix(&out.routes[1], "::/0");
}

static void check_split(const char *first, const char *last, const char *const *want, int n)
{
	const uint8_t family = strchr(first, ':') ? AF_INET6 : AF_INET;
	struct hs_prefix got[256];
	uint8_t a[16], b[16];

	assert_int_equal(inet_pton(family, first, a), 1);
	assert_int_equal(inet_pton(family, last, b), 1);
	assert_int_equal(hs_range_split(family, a, b, got, 256), n);
	for (int i = 0; want && i < n; i++)
		assert_prefix(&got[i], want[i]);
	assert_int_equal(hs_range_split(family, a, b, got, (size_t)n), n);
	assert_int_equal(hs_range_split(family, a, b, got, (size_t)n - 1), -E2BIG);
}

static void test_split(void **state)
{
	check_split("10.0.0.7", "10.0.0.7", (const char *[]){ "10.0.0.7/32" }, 1);
	check_split("0.0.0.0", "255.255.255.255", (const char *[]){ "0.0.0.0/0" }, 1);
	check_split("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", (const char *[]){ "::/0" }, 1);
	check_split("10.0.0.1", "10.0.0.6",
		    (const char *[]){ "10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/31", "10.0.0.6/32" },
		    4);
	check_split("10.0.0.0", "10.0.2.255", (const char *[]){ "10.0.0.0/23", "10.0.2.0/24" }, 2);
	check_split("255.255.255.254", "255.255.255.255", (const char *[]){ "255.255.255.254/31" },
		    1);
	check_split("0.0.0.1", "255.255.255.255", NULL, 32);
	/* The worst: all but the first and the last address. */
	check_split("0.0.0.1", "255.255.255.254", NULL, 62);
	check_split("::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", NULL, 254);
}

/* The pieces of a random range cover it exactly, in order. */
static void test_split_random(void **state)
{
	struct hs_prefix got[64];

	for (int i = 0; i < 2000; i++) {
		uint32_t v[2], first, last, next;
		uint8_t a[4], b[4];
		int n;

		t_random(v, sizeof(v));
		v[1] = t_random_below(2) ? v[1] : v[0] + v[1] % 1000;
		first = v[0] < v[1] ? v[0] : v[1];
		last = v[0] < v[1] ? v[1] : v[0];
		memcpy(a, &(uint32_t){ htonl(first) }, 4);
		memcpy(b, &(uint32_t){ htonl(last) }, 4);
		n = hs_range_split(AF_INET, a, b, got, 64);
		assert_in_range(n, 1, 62);
		next = first;
		for (int j = 0; j < n; j++) {
			uint8_t lo[16], hi[16];
			uint32_t w;

			hs_prefix_bounds(&got[j], lo, hi);
			memcpy(&w, lo, 4);
			assert_int_equal(ntohl(w), next);
			memcpy(&w, hi, 4);
			next = ntohl(w) + 1;
		}
		assert_int_equal(next - 1, last);
	}
}

static void test_cases(void **state)
{
	static const struct {
		const char *hex;
		int result;
	} cases[] = {
		{ "", 0 },
		{ "1f03010203", 0 }, /* unknown capsule */
		{ "1f04010203", -EBADMSG },
		{ "1f", -EBADMSG },
		{ "c0", -EBADMSG },
		{ "1fffffffffffffffff", -EBADMSG },
		{ "0100", 0 }, /* all addresses withdrawn */
		{ "0200", -EBADMSG }, /* empty request */
		{ "0107"
		  "01"
		  "04"
		  "0a000001"
		  "20",
		  0 },
		{ "0107"
		  "01"
		  "04"
		  "0a000001"
		  "21",
		  -EBADMSG },
		{ "0107"
		  "01"
		  "04"
		  "0a000001"
		  "1f",
		  -EBADMSG }, /* bits behind the prefix */
		{ "0107"
		  "01"
		  "04"
		  "0a000000"
		  "08",
		  0 },
		{ "0107"
		  "01"
		  "05"
		  "0a000001"
		  "20",
		  -EBADMSG },
		{ "0106"
		  "01"
		  "04"
		  "0a000001",
		  -EBADMSG },
		{ "0108"
		  "01"
		  "04"
		  "0a000001"
		  "20"
		  "00",
		  -EBADMSG },
		{ "0207"
		  "00"
		  "04"
		  "0a000001"
		  "20",
		  -EBADMSG }, /* request 0 */
		{ "020e"
		  "01"
		  "04"
		  "0a000001"
		  "20"
		  "01"
		  "04"
		  "0a000002"
		  "20",
		  -EBADMSG },
		{ "020e"
		  "01"
		  "04"
		  "0a000001"
		  "20"
		  "02"
		  "04"
		  "0a000002"
		  "20",
		  0 },
		{ "010e"
		  "00"
		  "04"
		  "0a000001"
		  "20"
		  "00"
		  "04"
		  "0a000002"
		  "20",
		  0 },
		{ "0100"
		  "0207"
		  "01"
		  "04"
		  "0a000001"
		  "20",
		  -EBADMSG }, /* both */
		{ "0113"
		  "01"
		  "06"
		  "fd000000000000000000000000000001"
		  "81",
		  -EBADMSG },
		{ "0113"
		  "01"
		  "06"
		  "fd000000000000000000000000000001"
		  "80",
		  0 },
		{ "0300", 0 },
		{ "030a"
		  "04"
		  "0a000000"
		  "0a0000ff"
		  "00",
		  0 },
		{ "030a"
		  "04"
		  "0a0000ff"
		  "0a000000"
		  "00",
		  -EBADMSG },
		{ "030a"
		  "07"
		  "0a000000"
		  "0a0000ff"
		  "00",
		  -EBADMSG },
		{ "0309"
		  "04"
		  "0a000000"
		  "0a0000ff",
		  -EBADMSG },
		{ "0314"
		  "04"
		  "0a000000"
		  "0a0000ff"
		  "00"
		  "04"
		  "0a000100"
		  "0a0001ff"
		  "00",
		  0 },
		{ "0314"
		  "04"
		  "0a000000"
		  "0a0000ff"
		  "00"
		  "04"
		  "0a0000ff"
		  "0a0001ff"
		  "00",
		  -EBADMSG }, /* overlap */
		{ "0314"
		  "04"
		  "0a000100"
		  "0a0001ff"
		  "00"
		  "04"
		  "0a000000"
		  "0a0000ff"
		  "00",
		  -EBADMSG }, /* order */
		{ "0314"
		  "04"
		  "0a000100"
		  "0a0001ff"
		  "06"
		  "04"
		  "0a000000"
		  "0a0000ff"
		  "11",
		  0 },
		{ "0314"
		  "04"
		  "0a000100"
		  "0a0001ff"
		  "06"
		  "04"
		  "0a000000"
		  "0a0000ff"
		  "00",
		  -EBADMSG }, /* protocols fall */
		{ "c00000004e58563100", 0 },
		{ "c00000004e58563100"
		  "c00000004e58563100",
		  -EBADMSG },
		{ "c00000004e58563103"
		  "030140",
		  -EBADMSG }, /* number cut short */
		{ "c00000004e58563104"
		  "03024578",
		  0 },
		{ "c00000004e58563103"
		  "030107",
		  -EBADMSG }, /* MTU of 7 */
		{ "c00000004e58563103"
		  "030100",
		  0 },
		{ "c00000004e58563106"
		  "0304"
		  "80010000",
		  -EBADMSG }, /* MTU of 65536 */
		{ "c00000004e58563106"
		  "030100"
		  "030100",
		  -EBADMSG }, /* twice */
		{ "c00000004e5856310a"
		  "0408"
		  "c000000100000000",
		  -EBADMSG }, /* 2^32 */
		{ "c00000004e5856310a"
		  "0408"
		  "c0000000ffffffff",
		  0 },
		{ "c00000004e58563104"
		  "04020000",
		  -EBADMSG }, /* trailing byte */
		{ "c00000004e58563102"
		  "0400",
		  -EBADMSG },
		{ "c00000004e58563107"
		  "0105"
		  "040a000001",
		  0 },
		{ "c00000004e58563106"
		  "0104"
		  "040a0000",
		  -EBADMSG },
		{ "c00000004e58563108"
		  "0106"
		  "040a00000101",
		  -EBADMSG },
		{ "c00000004e58563107"
		  "0105"
		  "060a000001",
		  -EBADMSG },
		{ "c00000004e58563102"
		  "0100",
		  -EBADMSG },
		{ "c00000004e58563102"
		  "0200",
		  -EBADMSG }, /* empty domain */
		{ "c00000004e58563105"
		  "0203612e62",
		  0 }, /* a.b */
		{ "c00000004e58563105"
		  "02032e6162",
		  -EBADMSG }, /* .ab */
		{ "c00000004e58563105"
		  "020361622e",
		  -EBADMSG }, /* ab. */
		{ "c00000004e58563106"
		  "0204612e2e62",
		  -EBADMSG }, /* a..b */
		{ "c00000004e58563105"
		  "0203610062",
		  -EBADMSG }, /* NUL */
		{ "c00000004e58563105"
		  "0203612062",
		  -EBADMSG }, /* space */
		{ "c00000004e58563105"
		  "0203610a62",
		  -EBADMSG }, /* newline */
		{ "c00000004e58563105"
		  "0203612f62",
		  -EBADMSG },
		{ "c00000004e58563104"
		  "02022d61",
		  -EBADMSG }, /* -a: would read as an option */
		{ "c00000004e58563105"
		  "3f03616263",
		  0 }, /* unknown setting */
		{ "c00000004e58563105"
		  "3f04616263",
		  -EBADMSG },
		{ "c00000004e58563101"
		  "3f",
		  -EBADMSG },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (parse_hex(cases[i].hex) != cases[i].result)
			fail_msg("capsules %s", cases[i].hex);
		if (cases[i].result) {
			const struct hs_net zero = { 0 };

			assert_memory_equal(&out, &zero, sizeof(zero));
		}
	}
}

static void test_meaning(void **state)
{
	static const struct hs_net none;

	/* A rejected request is no address; any address may be asked for with a length. */
	assert_int_equal(parse_hex("010e"
				   "01"
				   "04"
				   "00000000"
				   "20"
				   "02"
				   "04"
				   "0a000001"
				   "20"),
			 0);
	assert_int_equal(out.n_addresses, 1);
	assert_prefix(&out.addresses[0], "10.0.0.1/32");
	assert_int_equal(parse_hex("0207"
				   "01"
				   "04"
				   "00000000"
				   "18"),
			 0);
	assert_int_equal(out.n_addresses, 0);
	/* 0.0.0.0/0 assigned: every source. */
	assert_int_equal(parse_hex("0107"
				   "00"
				   "04"
				   "00000000"
				   "00"),
			 0);
	assert_int_equal(out.n_addresses, 1);
	/* The last list counts, and nothing is left of an earlier one. */
	assert_int_equal(parse_hex("0107"
				   "00"
				   "04"
				   "0a000001"
				   "20"
				   "0100"),
			 0);
	assert_memory_equal(&out, &none, sizeof(none));
	assert_int_equal(parse_hex("030a"
				   "04"
				   "0a000000"
				   "0a0000ff"
				   "00"
				   "0300"),
			 0);
	assert_memory_equal(&out, &none, sizeof(none));
	/* A range is split; one for TCP alone is left out. */
	assert_int_equal(parse_hex("0314"
				   "04"
				   "0a000000"
				   "0a0002ff"
				   "00"
				   "04"
				   "0b000000"
				   "0b0000ff"
				   "06"),
			 0);
	assert_int_equal(out.n_routes, 2);
	assert_prefix(&out.routes[0], "10.0.0.0/23");
	assert_prefix(&out.routes[1], "10.0.2.0/24");
	assert_int_equal(parse_hex("c00000004e58563109"
				   "0105"
				   "040a000001"
				   "3f00"),
			 0);
	assert_prefix(&out.dns[0], "10.0.0.1/32");
}

static void test_too_many(void **state)
{
	static const uint8_t range[] = { 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };
	const char *error;
	size_t n = 0;

	/* One range that splits into 254 prefixes. */
	wire[n++] = 3;
	wire[n++] = 34;
	memcpy(wire + n, range, sizeof(range));
	memset(wire + n + 17, 0xff, 15);
	wire[n + 32] = 0xfe;
	wire[n + 33] = 0;
	n += 34;
	assert_int_equal(hs_capsules_parse(wire, n, &out, &error), -E2BIG);
	assert_string_equal(error, "too many routes");
	/* 33 addresses, 9 DNS servers, 17 domains. */
	n = 0;
	wire[n++] = 1;
	wire[n++] = 0x40;
	wire[n++] = 33 * 7;
	for (int i = 0; i < 33; i++, n += 7)
		memcpy(wire + n, "\0\4\12\0\0\1\40", 7);
	assert_int_equal(hs_capsules_parse(wire, n, &out, &error), -E2BIG);
	memcpy(wire, "\xc0\0\0\0\x4e\x58\x56\x31\x3f", 9);
	for (n = 9; n < 9 + 63; n += 7)
		memcpy(wire + n, "\1\5\4\12\0\0\1", 7);
	assert_int_equal(hs_capsules_parse(wire, n, &out, &error), -E2BIG);
	wire[8] = 17 * 3;
	for (n = 9; n < 9 + 17 * 3; n += 3)
		memcpy(wire + n, "\2\1a", 3);
	assert_int_equal(hs_capsules_parse(wire, n, &out, &error), -E2BIG);
	/* More bytes than an exchange may have. */
	memset(wire, 0x1f, sizeof(wire));
	for (n = 0; n < HS_CAPSULES_MAX; n += 2)
		wire[n + 1] = 0;
	assert_int_equal(hs_capsules_parse(wire, HS_CAPSULES_MAX, &out, &error), 0);
	assert_int_equal(hs_capsules_parse(wire, HS_CAPSULES_MAX + 1, &out, &error), -E2BIG);
}

static void test_truncated_and_flipped(void **state)
{
	const char *error;
	ssize_t n;

	in.addresses[in.n_addresses++] = prefix("10.66.0.2/32");
	in.addresses[in.n_addresses++] = prefix("fd66::2/128");
	in.routes[in.n_routes++] = prefix("10.0.0.0/8");
	in.dns[in.n_dns++] = prefix("fd66::1/128");
	strcpy(in.domains[in.n_domains++], "corp.example");
	n = hs_capsules_encode_answer(&in, wire, sizeof(wire));
	assert_true(n > 0);
	for (ssize_t i = 0; i < n; i++) {
		uint8_t *cut = malloc(i ? (size_t)i : 1);
		int err;

		assert_non_null(cut);
		memcpy(cut, wire, (size_t)i);
		err = hs_capsules_parse(cut, (size_t)i, &out, &error);
		/* Whole capsules are a message: only their ends are good places to stop. */
		assert_true(err == -EBADMSG || (err == 0 && (i == 0 || i == 31 || i == 46)));
		free(cut);
	}
	for (ssize_t i = 0; i < 8 * n; i++) {
		wire[i / 8] ^= (uint8_t)(1U << i % 8);
		hs_capsules_parse(wire, (size_t)n, &out, &error);
		wire[i / 8] ^= (uint8_t)(1U << i % 8);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, reset)
	const struct CMUnitTest tests[] = {
		T(test_exact_answer),	 T(test_exact_request),
		T(test_round_trip_full), T(test_routes_normalized),
		T(test_split),		 T(test_split_random),
		T(test_cases),		 T(test_meaning),
		T(test_too_many),	 T(test_truncated_and_flipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
