// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The frame parser and writers: every truncation is refused or harmless, bounds are enforced.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pair.h"

struct sample {
	u32 len;
	u8 bytes[64];
};

/* One whole frame of each type whose length is fixed by its content. */
static const struct sample samples[] = {
	{ 1, { 0x01 } },
	{ 7, { 0x02, 0x14, 0x00, 0x01, 0x00, 0x00, 0x02 } },
	{ 8, { 0x03, 0x05, 0x00, 0x00, 0x05, 0x01, 0x00, 0x02 } },
	{ 4, { 0x04, 0x01, 0x02, 0x03 } },
	{ 3, { 0x05, 0x01, 0x02 } },
	{ 6, { 0x06, 0x00, 0x03, 0xaa, 0xbb, 0xcc } },
	{ 4, { 0x07, 0x02, 0xaa, 0xbb } },
	{ 5, { 0x0a, 0x00, 0x02, 0xaa, 0xbb } },
	{ 6, { 0x0f, 0x00, 0x07, 0x02, 0xaa, 0xbb } },
	{ 2, { 0x10, 0x05 } },
	{ 3, { 0x11, 0x00, 0x05 } },
	{ 2, { 0x12, 0x05 } },
	{ 2, { 0x13, 0x05 } },
	{ 2, { 0x14, 0x05 } },
	{ 3, { 0x15, 0x00, 0x05 } },
	{ 2, { 0x16, 0x05 } },
	{ 2, { 0x17, 0x05 } },
	{ 24, { 0x18, 0x02, 0x01, 0x04, 1, 2, 3, 4, 16, 15, 14, 13,
		12,   11,   10,	  9,	8, 7, 6, 5, 4,	3,  2,	1 } },
	{ 2, { 0x19, 0x01 } },
	{ 9, { 0x1a, 1, 2, 3, 4, 5, 6, 7, 8 } },
	{ 9, { 0x1b, 1, 2, 3, 4, 5, 6, 7, 8 } },
	{ 6, { 0x1c, 0x0a, 0x00, 0x02, 'n', 'o' } },
	{ 5, { 0x1d, 0x0a, 0x02, 'n', 'o' } },
	{ 1, { 0x1e } },
	{ 4, { 0x31, 0x02, 0xaa, 0xbb } },
};

static int parse(const u8 *bytes, u32 len, struct nq_frame *f)
{
	/* In memory of exactly that size, so that a sanitizer sees a byte too many. */
	u8 *exact = malloc(len ? len : 1);
	int err;

	assert_non_null(exact);
	memcpy(exact, bytes, len);
	err = nq_frame_parse(exact, exact + len, f);
	free(exact);
	return err;
}

static void test_whole_and_cut(void **state)
{
	struct nq_frame f;
	u32 i, len;

	for (i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		assert_int_equal(parse(samples[i].bytes, samples[i].len, &f), 0);
		assert_int_equal(f.len, samples[i].len);
		assert_int_equal(f.type, samples[i].bytes[0]);
		for (len = 0; len < samples[i].len; len++)
			assert_int_equal(parse(samples[i].bytes, len, &f), -EBADMSG);
	}
}

static void refuse(u32 len, const u8 *bytes, enum nq_error error)
{
	struct nq_frame f;

	assert_int_equal(parse(bytes, len, &f), -EBADMSG);
	assert_int_equal(f.error, error);
}

static void test_refused(void **state)
{
	/* A type in two bytes that fits one, unknown types. */
	refuse(2, (const u8[]){ 0x40, 0x01 }, NQ_PROTOCOL_VIOLATION);
	refuse(1, (const u8[]){ 0x1f }, NQ_FRAME_ENCODING_ERROR);
	refuse(1, (const u8[]){ 0x2f }, NQ_FRAME_ENCODING_ERROR);
	refuse(3, (const u8[]){ 0x32, 0x00, 0x00 }, NQ_FRAME_ENCODING_ERROR);
	/* ACK below zero: first range, gap, later range; a count beyond the packet. */
	refuse(5, (const u8[]){ 0x02, 0x03, 0x00, 0x00, 0x04 }, NQ_FRAME_ENCODING_ERROR);
	refuse(7, (const u8[]){ 0x02, 0x03, 0x00, 0x01, 0x01, 0x01, 0x00 },
	       NQ_FRAME_ENCODING_ERROR);
	refuse(7, (const u8[]){ 0x02, 0x09, 0x00, 0x01, 0x01, 0x01, 0x06 },
	       NQ_FRAME_ENCODING_ERROR);
	refuse(12,
	       (const u8[]){ 0x02, 0x09, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			     0x00 },
	       NQ_FRAME_ENCODING_ERROR);
	/* Connection IDs of 0 and 21 bytes, retire_prior_to above the sequence number. */
	refuse(40, (const u8[40]){ 0x18, 0x02, 0x01, 0x00 }, NQ_FRAME_ENCODING_ERROR);
	refuse(60, (const u8[60]){ 0x18, 0x02, 0x01, 21 }, NQ_FRAME_ENCODING_ERROR);
	refuse(40, (const u8[40]){ 0x18, 0x02, 0x03, 0x04 }, NQ_FRAME_ENCODING_ERROR);
	/* Lengths beyond the packet. */
	refuse(4, (const u8[]){ 0x31, 0x03, 0xaa, 0xbb }, NQ_FRAME_ENCODING_ERROR);
	refuse(10, (const u8[]){ 0x06, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
	       NQ_FRAME_ENCODING_ERROR);
}

static void test_padding_run(void **state)
{
	u8 bytes[40] = { 0 };
	struct nq_frame f;

	bytes[30] = 1;
	assert_int_equal(parse(bytes, sizeof(bytes), &f), 0);
	assert_int_equal(f.type, NQ_FRAME_PADDING);
	assert_int_equal(f.len, 30);
}

static void test_varint_edges(void **state)
{
	static const u64 values[] = {
		0, 63, 64, 16383, 16384, (1 << 30) - 1, 1 << 30, NQ_VARINT_MAX
	};
	static const u32 lens[] = { 1, 1, 2, 2, 4, 4, 8, 8 };
	u8 buf[8];
	u64 v;
	u32 i, cut;

	for (i = 0; i < 8; i++) {
		assert_int_equal(nq_put_varint(buf, values[i]) - buf, lens[i]);
		assert_int_equal(nq_varint_len(values[i]), lens[i]);
		assert_ptr_equal(nq_get_varint(buf, buf + lens[i], &v), buf + lens[i]);
		assert_true(v == values[i]);
		for (cut = 0; cut < lens[i]; cut++)
			assert_null(nq_get_varint(buf, buf + cut, &v));
	}
}

/* An ACK is never longer than its room, and what it reports is the top of the set. */
static void test_ack_fits(void **state)
{
	struct nq_ranges s = { 0 };
	struct nq_ack_iter it;
	struct nq_range r;
	struct nq_frame f;
	u8 *buf;
	u32 cap, len, i;

	for (i = 0; i < NQ_RANGES_MAX; i++)
		nq_ranges_add(&s, 1000000ULL * i, 1000000ULL * i + 500000);
	for (cap = 0; cap < 300; cap++) {
		buf = malloc(cap + 1);
		assert_non_null(buf);
		len = nq_put_ack(buf, cap, &s, 77, (u64[]){ 1, 2, 3 });
		assert_true(len <= cap);
		if (!len) {
			free(buf);
			continue;
		}
		assert_int_equal(nq_frame_parse(buf, buf + len, &f), 0);
		assert_int_equal(f.len, len);
		assert_int_equal(f.ack.ce, 3);
		memset(&it, 0, sizeof(it));
		for (i = 0; nq_ack_next(&f.ack, &it, &r); i++)
			assert_memory_equal(&r, &s.r[i], sizeof(r));
		assert_true(i >= 1);
		free(buf);
	}
	assert_int_equal(i, NQ_RANGES_MAX);
}

static void test_writers(void **state)
{
	struct nq_cid cid = { .seq = 70, .len = 20, .has_token = true };
	struct nq_frame f;
	u8 buf[128];
	u32 len;

	memset(cid.id, 0xab, 20);
	memset(cid.token, 0xcd, 16);
	assert_int_equal(nq_put_new_cid(buf, 30, &cid, 1), 0);
	len = nq_put_new_cid(buf, sizeof(buf), &cid, 1);
	assert_int_equal(nq_frame_parse(buf, buf + len, &f), 0);
	assert_int_equal(f.len, len);
	assert_int_equal(f.new_cid.seq, 70);
	assert_memory_equal(f.new_cid.token, cid.token, 16);
	len = nq_put_close(buf, sizeof(buf), false, 0x1234, "gone away");
	assert_int_equal(nq_frame_parse(buf, buf + len, &f), 0);
	assert_int_equal(f.len, len);
	assert_int_equal(f.close.code, 0x1234);
	assert_int_equal(f.close.reason_len, 9);
	assert_int_equal(nq_put_close(buf, 12, false, 1, "gone away"), 0);
	assert_int_equal(nq_put_retire_cid(buf, 8, 1), 0);
	assert_int_equal(nq_put_path(buf, 8, NQ_FRAME_PATH_RESPONSE, cid.id), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_and_cut), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_padding_run),   cmocka_unit_test(test_varint_edges),
		cmocka_unit_test(test_ack_fits),      cmocka_unit_test(test_writers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
