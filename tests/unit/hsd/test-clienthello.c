// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ClientHello and transport parameter parsers: a real hello of GnuTLS, hand-made ones for each
 * rule, and every truncation and bit flip.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "clienthello.h"
#include "hsd-test.h"

static const uint8_t scid[20] = "source-cid-012345678";

/* A hello with these extensions (hex), everything else plain; its length. */
static size_t build(uint8_t *out, const char *extensions)
{
	const size_t n = strlen(extensions) / 2;
	size_t len = 4;

	t_unhex("0303", out + len, 2);
	memset(out + len + 2, 0x77, 32);
	len += 34;
	t_unhex("00"
		"0004"
		"13010a0a"
		"0100",
		out + len, 9);
	len += 9;
	out[len++] = (uint8_t)(n >> 8);
	out[len++] = (uint8_t)n;
	t_unhex(extensions, out + len, n);
	len += n;
	out[0] = 1;
	out[1] = 0;
	out[2] = (uint8_t)((len - 4) >> 8);
	out[3] = (uint8_t)(len - 4);
	return len;
}

static int parse_ext(const char *extensions, struct hs_client_hello *ch)
{
	static uint8_t msg[4096];

	return hs_client_hello_parse(msg, build(msg, extensions), ch);
}

static void test_real(void **state)
{
	uint8_t msg[2048], random[32];
	struct hs_client_hello ch;
	const uint8_t *found;
	size_t len, n;

	t_random(random, 32);
	len = t_client_hello(msg, sizeof(msg), random, scid, 20, "cover.example.net");
	assert_int_equal(hs_client_hello_parse(msg, len, &ch), 0);
	assert_ptr_equal(ch.random, msg + 6);
	assert_memory_equal(ch.random, random, 32);
	assert_int_equal(ch.server_name_len, 17);
	assert_memory_equal(ch.server_name, "cover.example.net", 17);
	assert_true(ch.tls13 && ch.alpn_h3 && ch.x25519_share);
	assert_int_equal(ch.session_id_len, 0);
	assert_int_equal(
		hs_tp_initial_scid(ch.transport_params, ch.transport_params_len, &found, &n), 0);
	assert_int_equal(n, 20);
	assert_memory_equal(found, scid, 20);
}

/* In a buffer of exactly its size, so that the sanitizer sees a read beyond. */
static void test_truncated(void **state)
{
	uint8_t msg[2048], random[32] = { 0 };
	struct hs_client_hello ch;
	size_t len = t_client_hello(msg, sizeof(msg), random, scid, 20, "cover.example.net");

	for (size_t i = 0; i < len; i++) {
		uint8_t *cut = malloc(i ? i : 1);

		assert_non_null(cut);
		memcpy(cut, msg, i);
		assert_int_equal(hs_client_hello_parse(cut, i, &ch), -EBADMSG);
		/* The same with a message length that fits what is left. */
		if (i > 4) {
			cut[2] = (uint8_t)((i - 4) >> 8);
			cut[3] = (uint8_t)(i - 4);
			assert_int_equal(hs_client_hello_parse(cut, i, &ch), -EBADMSG);
			assert_null(ch.random);
		}
		free(cut);
	}
	msg[len] = 0;
	assert_int_equal(hs_client_hello_parse(msg, len + 1, &ch), -EBADMSG);
}

/* Whatever a flip does, pointers stay inside the message. */
static void test_bit_flips(void **state)
{
	uint8_t msg[2048], random[32] = { 0 };
	struct hs_client_hello ch;
	size_t len = t_client_hello(msg, sizeof(msg), random, scid, 20, "cover.example.net");

	for (size_t i = 0; i < 8 * len; i++) {
		msg[i / 8] ^= (uint8_t)(1U << i % 8);
		if (!hs_client_hello_parse(msg, len, &ch)) {
			assert_ptr_equal(ch.random, msg + 6);
			if (ch.server_name)
				assert_true(ch.server_name + ch.server_name_len <= msg + len);
			if (ch.transport_params)
				assert_true(ch.transport_params + ch.transport_params_len <=
					    msg + len);
		}
		msg[i / 8] ^= (uint8_t)(1U << i % 8);
	}
}

static void test_extensions(void **state)
{
	static const struct {
		const char *hex;
		bool good;
	} cases[] = {
		{ "", true },
		{ "0a0a0000"
		  "1a1a000100",
		  true }, /* GREASE */
		{ "0a0a0000"
		  "0a0a0000",
		  false }, /* twice */
		{ "ffff0000"
		  "ffff0000",
		  false },
		{ "0000000600040000"
		  "0161",
		  true }, /* server name "a" */
		{ "000000050003000000", false }, /* empty name */
		{ "000000020000", false }, /* empty list */
		{ "00000000", false },
		{ "0000000a0008"
		  "00000161"
		  "00000162",
		  false }, /* two host names */
		{ "0000000a0008"
		  "00000161"
		  "01000162",
		  true }, /* another type */
		{ "0000000600050000"
		  "0161",
		  false },
		{ "0000000700040000"
		  "016100",
		  false }, /* trailing byte */
		{ "00100005000302"
		  "6833",
		  true }, /* h3 */
		{ "00100003000100", false }, /* empty protocol */
		{ "001000020000", false },
		{ "00100005000303"
		  "6833",
		  false },
		{ "002b0003020304", true },
		{ "002b00050402030a0a", true },
		{ "002b000100", false },
		{ "002b000403030403", false }, /* odd */
		{ "00330002"
		  "0000",
		  true }, /* no share: a request for a retry */
		{ "00330006"
		  "0004"
		  "0a0a0000",
		  false }, /* empty share */
		{ "00330007"
		  "0005"
		  "0a0a000100",
		  true },
		{ "00330007"
		  "0006"
		  "0a0a000100",
		  false },
		{ "00390000", true },
		{ "0039000101", true },
		{ "00390002", false },
		{ "0039", false },
		{ "00", false },
	};
	struct hs_client_hello ch;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (parse_ext(cases[i].hex, &ch) != (cases[i].good ? 0 : -EBADMSG))
			fail_msg("extensions %s", cases[i].hex);
	}
}

static void test_found(void **state)
{
	struct hs_client_hello ch;

	assert_int_equal(parse_ext("", &ch), 0);
	assert_false(ch.tls13 || ch.alpn_h3 || ch.x25519_share);
	assert_null(ch.server_name);
	assert_null(ch.transport_params);
	/* h3 among others; not its prefixes. */
	assert_int_equal(parse_ext("0010000b0009"
				   "0568332d3239"
				   "026833",
				   &ch),
			 0);
	assert_true(ch.alpn_h3);
	assert_int_equal(parse_ext("001000080006"
				   "0568332d3239",
				   &ch),
			 0);
	assert_false(ch.alpn_h3);
	assert_int_equal(parse_ext("002b0005040304"
				   "0303",
				   &ch),
			 0);
	assert_true(ch.tls13);
	assert_int_equal(parse_ext("002b0003020303", &ch), 0);
	assert_false(ch.tls13);
	/* An X25519 share has 32 bytes. */
	assert_int_equal(parse_ext("003300070005"
				   "001d000100",
				   &ch),
			 0);
	assert_false(ch.x25519_share);
	assert_int_equal(
		parse_ext("00330026"
			  "0024"
			  "001d0020"
			  "0101010101010101010101010101010101010101010101010101010101010101",
			  &ch),
		0);
	assert_true(ch.x25519_share);
	assert_false(ch.hybrid_share);
	assert_int_equal(parse_ext("00390000", &ch), 0);
	assert_non_null(ch.transport_params);
	assert_int_equal(ch.transport_params_len, 0);
}

/* X25519MLKEM768 alone, with X25519 behind it, and of a wrong length. */
static void test_hybrid_share(void **state)
{
	static const struct {
		size_t len;
		bool with_x25519, hybrid;
	} cases[] = { { 1216, false, true },
		      { 1216, true, true },
		      { 1215, false, false },
		      { 1217, true, false } };
	struct hs_client_hello ch;
	char hex[4096];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const size_t list = 4 + cases[i].len + (cases[i].with_x25519 ? 36 : 0);
		size_t n;

		n = (size_t)sprintf(hex, "0033%04zx%04zx11ec%04zx", list + 2, list, cases[i].len);
		memset(hex + n, '7', 2 * cases[i].len);
		n += 2 * cases[i].len;
		if (cases[i].with_x25519)
			n += (size_t)sprintf(hex + n, "001d0020%064d", 1);
		hex[n] = '\0';
		assert_int_equal(parse_ext(hex, &ch), 0);
		assert_int_equal(ch.hybrid_share, cases[i].hybrid);
		assert_int_equal(ch.x25519_share, cases[i].with_x25519);
	}
}

/* Let the vector whose length byte is at @at grow by @n bytes; the message's new length. */
static size_t insert(uint8_t *msg, size_t len, size_t at, size_t n)
{
	memmove(msg + at + 1 + n, msg + at + 1, len - at - 1);
	memset(msg + at + 1, 0x5a, n);
	msg[at] = (uint8_t)(msg[at] + n);
	msg[3] = (uint8_t)(msg[3] + n);
	return len + n;
}

static void test_fixed_part(void **state)
{
	struct hs_client_hello ch;
	uint8_t msg[256];
	size_t len;

	len = build(msg, "");
	msg[0] = 2;
	assert_int_equal(hs_client_hello_parse(msg, len, &ch), -EBADMSG);
	len = build(msg, "");
	msg[38] = 33; /* session id */
	assert_int_equal(hs_client_hello_parse(msg, len, &ch), -EBADMSG);
	len = build(msg, "");
	msg[40] = 3; /* odd cipher list */
	assert_int_equal(hs_client_hello_parse(msg, len, &ch), -EBADMSG);
	len = build(msg, "");
	msg[40] = 0;
	assert_int_equal(hs_client_hello_parse(msg, len, &ch), -EBADMSG);
	len = build(msg, "");
	msg[45] = 0; /* no compression method */
	assert_int_equal(hs_client_hello_parse(msg, len, &ch), -EBADMSG);
	len = build(msg, "");
	msg[len - 1] = 1; /* extensions beyond the message */
	assert_int_equal(hs_client_hello_parse(msg, len, &ch), -EBADMSG);
	/* The message's length in its own header. */
	for (int off = -1; off <= 1; off++) {
		len = build(msg, "");
		msg[3] = (uint8_t)(msg[3] + off);
		assert_int_equal(hs_client_hello_parse(msg, len, &ch), off ? -EBADMSG : 0);
	}
	/* Whole, but against the rules: a session id of 33 bytes, ciphers of 3. */
	len = build(msg, "");
	assert_int_equal(hs_client_hello_parse(msg, insert(msg, len, 38, 32), &ch), 0);
	assert_int_equal(ch.session_id_len, 32);
	len = build(msg, "");
	assert_int_equal(hs_client_hello_parse(msg, insert(msg, len, 38, 33), &ch), -EBADMSG);
	len = build(msg, "");
	assert_int_equal(hs_client_hello_parse(msg, insert(msg, len, 40, 1), &ch), -EBADMSG);
	len = build(msg, "");
	assert_int_equal(hs_client_hello_parse(msg, insert(msg, len, 40, 2), &ch), 0);
}

static void test_transport_params(void **state)
{
	static const struct {
		const char *hex;
		int result;
		size_t len;
	} cases[] = {
		{ "", -ENOENT, 0 },
		{ "010100", -ENOENT, 0 },
		{ "0f00", 0, 0 },
		{ "0f0411223344", 0, 4 },
		{ "01024104"
		  "0f0411223344"
		  "0e0102",
		  0, 4 },
		{ "400f4004"
		  "11223344",
		  0, 4 }, /* longer forms of the numbers */
		{ "c000000000000017"
		  "00"
		  "0f0161",
		  0, 1 }, /* GREASE */
		{ "0f0161"
		  "0f0161",
		  -EBADMSG, 0 },
		{ "0f15"
		  "000102030405060708090a0b0c0d0e0f1011121314",
		  -EBADMSG, 0 },
		{ "0f14"
		  "000102030405060708090a0b0c0d0e0f10111213",
		  0, 20 },
		{ "0f0511223344", -EBADMSG, 0 },
		{ "0f", -EBADMSG, 0 },
		{ "0f0161"
		  "40",
		  -EBADMSG, 0 },
		{ "0f0161"
		  "01",
		  -EBADMSG, 0 },
		{ "0f0161"
		  "01ffffffffffffffff",
		  -EBADMSG, 0 },
	};
	uint8_t tp[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const size_t n = strlen(cases[i].hex) / 2;
		const uint8_t *found = NULL;
		size_t len = 99;

		t_unhex(cases[i].hex, tp, n);
		if (hs_tp_initial_scid(tp, n, &found, &len) != cases[i].result)
			fail_msg("parameters %s", cases[i].hex);
		if (!cases[i].result)
			assert_int_equal(len, cases[i].len);
		else
			assert_null(found);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real),	   cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_bit_flips),  cmocka_unit_test(test_extensions),
		cmocka_unit_test(test_found),	   cmocka_unit_test(test_hybrid_share),
		cmocka_unit_test(test_fixed_part), cmocka_unit_test(test_transport_params),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
