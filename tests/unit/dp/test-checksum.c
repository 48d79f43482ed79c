// SPDX-License-Identifier: GPL-2.0-or-later
/* Every length and alignment of the fast checksums against the slow one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "checksum.h"
#include "inet.h"
#include "packets.h"

static u16 folded(u64 sum)
{
	u16 v = dp_csum_fold(sum);

	return ntohs(v);
}

/* 0 and 0xffff are the same number in one's complement. */
static u16 norm(u16 v)
{
	return v == 0xffff ? 0 : v;
}

static void all_lengths(void **state)
{
	u8 *buf = malloc(4096 + 64), *copy = malloc(4096 + 64);
	unsigned int len, off;

	srand(1);
	for (len = 0; len < 4096 + 64; len++)
		buf[len] = rand();
	for (off = 0; off < 33; off += 3) {
		for (len = 0; len <= 1600; len += len < 300 ? 1 : 17) {
			u16 want = norm(naive_sum(0, buf + off, len));

			assert_int_equal(norm(folded(dp_csum(buf + off, len))), want);
			assert_int_equal(norm(folded(dp_csum_portable(buf + off, len))), want);
			if (len % 4 == 0)
				assert_int_equal(norm(folded(dp_csum_words(buf + off, len))), want);
			memset(copy, 0xaa, 4096);
			assert_int_equal(norm(folded(dp_csum_copy(copy + 1, buf + off, len))),
					 want);
			assert_memory_equal(copy + 1, buf + off, len);
			assert_int_equal(copy[0], 0xaa);
			assert_int_equal(copy[len + 1], 0xaa);
		}
	}
	free(buf);
	free(copy);
}

static void extremes(void **state)
{
	static u8 ones[65536];

	memset(ones, 0xff, sizeof(ones));
	assert_int_equal(folded(dp_csum(ones, sizeof(ones))), 0xffff);
	assert_int_equal(dp_csum_fold(~0ull), 0xffff);
	assert_int_equal(dp_csum_fold(0), 0);
	assert_int_equal(dp_csum_fold(0x10000), 1);
	assert_true(dp_csum_add(~0ull, 5) == 5);
}

/* A damaged byte is seen, wherever it is. */
static void damage(void **state)
{
	struct flow f = { .flags = DP_TCP_ACK, .options = 12 };
	u8 pkt[1500];
	size_t len = make_packet(&f, pkt, 777), i;

	assert_true(naive_good(pkt, len));
	for (i = 12; i < len; i += 5) {
		pkt[i] ^= 0x40;
		assert_int_not_equal(dp_csum_fold(dp_csum_pseudo(pkt, 6, len - 20) +
						  dp_csum(pkt + 20, len - 20)),
				     0xffff);
		pkt[i] ^= 0x40;
	}
	assert_int_equal(
		dp_csum_fold(dp_csum_pseudo(pkt, 6, len - 20) + dp_csum(pkt + 20, len - 20)),
		0xffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_lengths),
		cmocka_unit_test(extremes),
		cmocka_unit_test(damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
