// SPDX-License-Identifier: GPL-2.0-or-later
/* Keys and short ids as text: one text for each key, nothing else accepted. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <gnutls/gnutls.h>

#include "hsd-test.h"
#include "keytext.h"

static void test_round_trip(void **state)
{
	uint8_t key[32], back[32];
	char text[NX_KEY_STRLEN];

	for (int i = 0; i < 500; i++) {
		const gnutls_datum_t in = { key, 32 };
		gnutls_datum_t want;

		t_random(key, sizeof(key));
		if (i == 0)
			memset(key, 0, sizeof(key));
		if (i == 1)
			memset(key, 0xff, sizeof(key));
		nx_key_encode(key, text);
		assert_int_equal(strlen(text), 44);
		/* An independent encoder says the same. */
		assert_int_equal(gnutls_base64_encode2(&in, &want), 0);
		assert_int_equal(want.size, 44);
		assert_memory_equal(text, want.data, 44);
		gnutls_free(want.data);
		assert_int_equal(nx_key_decode(text, back), 0);
		assert_memory_equal(back, key, 32);
	}
}

/* Every byte value at every position: accepted only where it is the canonical text of a key. */
static void test_every_character(void **state)
{
	uint8_t key[32], back[32];
	char text[NX_KEY_STRLEN], again[NX_KEY_STRLEN];
	unsigned int good = 0;

	t_random(key, sizeof(key));
	nx_key_encode(key, text);
	for (int i = 0; i < 44; i++) {
		const char was = text[i];

		for (int c = 0; c < 256; c++) {
			text[i] = (char)c;
			if (nx_key_decode(text, back))
				continue;
			nx_key_encode(back, again);
			assert_string_equal(text, again);
			good++;
		}
		text[i] = was;
	}
	assert_int_equal(good, 42 * 64 + 16 + 1);
}

static void test_shape(void **state)
{
	static const char *const bad[] = {
		"",
		"=",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", /* 43 */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", /* no padding */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=", /* bits behind the key */
		"AAAAAAAAAAAAAAAAAAAAA AAAAAAAAAAAAAAAAAAAAA=",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=x",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= AAAA",
	};
	const uint8_t zero[32] = { 0 };
	uint8_t key[32];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(nx_key_decode(bad[i], key), -EINVAL);
	memset(key, 1, sizeof(key));
	assert_int_equal(
		nx_key_decode(" \t\r\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n \n", key), 0);
	assert_memory_equal(key, zero, 32);
}

static int read_text(const char *text, size_t len, uint8_t key[32])
{
	int fd = memfd_create("key", MFD_CLOEXEC), err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len); /* leaves the offset at the end */
	err = nx_key_read_fd(fd, key);
	close(fd);
	return err;
}

static void test_file(void **state)
{
	uint8_t key[32], want[32];
	char text[400];
	int fds[2];

	t_random(want, 32);
	memset(text, '\n', sizeof(text));
	nx_key_encode(want, text);
	assert_int_equal(read_text(text, 44, key), 0);
	assert_memory_equal(key, want, 32);
	text[44] = '\n';
	assert_int_equal(read_text(text, 45, key), 0);
	assert_int_equal(read_text(text, 256, key), 0);
	assert_int_equal(read_text(text, 257, key), -EINVAL);
	assert_int_equal(read_text(text, 43, key), -EINVAL);
	assert_int_equal(read_text("", 0, key), -EINVAL);
	text[20] = '\0';
	assert_int_equal(read_text(text, 45, key), -EINVAL);
	assert_int_equal(nx_key_read_fd(-1, key), -EBADF);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(nx_key_read_fd(fds[0], key), -ESPIPE);
	close(fds[0]);
	close(fds[1]);
}

static void test_short_id(void **state)
{
	static const char *const bad[] = { "",
					   "0",
					   "0000000000000000",
					   "123456789abcdef",
					   "0123456789abcdef0",
					   "0123456789abcdeg",
					   " 123456789abcdef",
					   "0123456789abcdef\n",
					   "0x23456789abcdef" };
	uint64_t id = 7;
	char text[17];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(nx_short_id_decode(bad[i], &id), -EINVAL);
	assert_int_equal(id, 7);
	assert_int_equal(nx_short_id_decode("0123456789abcDEF", &id), 0);
	assert_true(id == 0x0123456789abcdefULL);
	nx_short_id_encode(id, text);
	assert_string_equal(text, "0123456789abcdef");
	assert_int_equal(nx_short_id_decode("ffffffffffffffff", &id), 0);
	assert_true(id == UINT64_MAX);
	nx_short_id_encode(1, text);
	assert_string_equal(text, "0000000000000001");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_every_character),
		cmocka_unit_test(test_shape),	   cmocka_unit_test(test_file),
		cmocka_unit_test(test_short_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
