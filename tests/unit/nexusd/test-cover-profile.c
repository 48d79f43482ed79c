// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The cached profile of a cover: what is written is read, by the same tunnel with the same cover
 * only; whatever else the file holds is found damaged or is not there, and nothing of it is used.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "cover-profile.h"
#include "lib/hs_proto.h"
#include "state-file.h"

#define COVER "www.example.org:443"
#define FILE_NAME "cover-vpn"
#define FILE_MAX 4096

static char dir[] = "/tmp/nexus-test-XXXXXX";

static int setup(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	nx_state_file_remove(dir, FILE_NAME);
	return rmdir(dir);
}

/* The attributes nexus-hsd would send; returns their length. */
static size_t make_attrs(uint8_t *buf, size_t cap, const uint8_t *blob, size_t blob_len,
			 unsigned int lines)
{
	struct nxm_hdr hdr = { .type = NXM_FAMILY_HS, .cmd = HS_CMD_COVER_PROFILE };
	struct nxm_error e;
	ssize_t len;
	struct nxm m;

	nxm_begin(&m, buf, cap, &hdr);
	nxm_put_str(&m, HS_A_TUNNEL, "vpn");
	if (blob_len)
		nxm_put(&m, HS_A_COVER_PROFILE, blob, blob_len);
	for (unsigned int i = 0; i < lines; i++)
		nxm_put_str(&m, HS_A_TEXT, i ? "another line" : "a line");
	nxm_put_str(&m, HS_A_DIFFERENCE, "a difference");
	len = nxm_end(&m);
	assert_true(len > 0);
	assert_int_equal(nxm_parse_hdr(buf, (size_t)len, &hdr, &e), 0);
	memmove(buf, hdr.attrs, hdr.attrs_len);
	return hdr.attrs_len;
}

static void make(struct nx_cover_profile *p, const uint8_t *blob, size_t blob_len)
{
	uint8_t attrs[8192];
	size_t len = make_attrs(attrs, sizeof(attrs), blob, blob_len, 2);

	assert_int_equal(nx_cover_profile_parse(p, attrs, len), 0);
}

static void test_parse(void **state)
{
	uint8_t attrs[16384], blob[NX_COVER_BLOB_MAX];
	struct nx_cover_profile p, q;
	size_t len;

	memset(blob, 0xa5, sizeof(blob));
	make(&p, blob, sizeof(blob));
	assert_int_equal(p.blob_len, sizeof(blob));
	assert_memory_equal(p.blob, blob, sizeof(blob));
	assert_string_equal(p.lines[0], "a line");
	assert_string_equal(p.lines[1], "another line");
	assert_null(p.lines[2]);
	assert_string_equal(p.differences[0], "a difference");
	assert_null(p.differences[1]);

	/* One byte, one line: each makes another profile of it. */
	make(&q, blob, sizeof(blob));
	assert_true(nx_cover_profile_equal(&p, &q));
	q.blob[0] ^= 1;
	assert_false(nx_cover_profile_equal(&p, &q));
	q.blob[0] ^= 1;
	free(q.lines[1]);
	q.lines[1] = NULL;
	assert_false(nx_cover_profile_equal(&p, &q));
	nx_cover_profile_free(&q);
	assert_false(nx_cover_profile_equal(&p, &q));
	nx_cover_profile_free(&p);
	assert_true(nx_cover_profile_equal(&p, &q));

	/* Nothing known: the words about it do not count. */
	len = make_attrs(attrs, sizeof(attrs), blob, 0, 2);
	assert_int_equal(nx_cover_profile_parse(&p, attrs, len), 0);
	assert_true(nx_cover_profile_equal(&p, &q));

	len = make_attrs(attrs, sizeof(attrs), blob, 1, NX_COVER_LINES_MAX);
	assert_int_equal(nx_cover_profile_parse(&p, attrs, len), 0);
	nx_cover_profile_free(&p);
	len = make_attrs(attrs, sizeof(attrs), blob, 1, NX_COVER_LINES_MAX + 1);
	assert_int_equal(nx_cover_profile_parse(&p, attrs, len), -E2BIG);
	assert_null(p.lines);
}

static void test_file(void **state)
{
	struct nx_cover_profile p, q;
	char name[300], path[128];
	struct stat st;

	make(&p, (const uint8_t *)"some bytes", 10);
	p.learnt_s = 1700000000;
	assert_int_equal(nx_cover_profile_load(&q, dir, "vpn", COVER), -ENOENT);
	assert_int_equal(nx_cover_profile_save(&p, dir, "vpn", COVER), 0);
	snprintf(path, sizeof(path), "%s/" FILE_NAME, dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	strcat(path, ".new");
	assert_int_equal(access(path, F_OK), -1);

	assert_int_equal(nx_cover_profile_load(&q, dir, "vpn", COVER), 0);
	assert_true(nx_cover_profile_equal(&p, &q));
	assert_int_equal(q.learnt_s, 1700000000);
	nx_cover_profile_free(&q);

	assert_int_equal(nx_cover_profile_load(&q, dir, "vpn", "www.example.net:443"), -ENOENT);
	assert_int_equal(nx_cover_profile_load(&q, dir, "vpn2", COVER), -ENOENT);
	assert_int_equal(nx_cover_profile_load(&q, NULL, "vpn", COVER), -ENOENT);
	assert_int_equal(nx_cover_profile_save(&p, NULL, "vpn", COVER), -ENOENT);
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(nx_cover_profile_save(&p, dir, "vpn", name), -ENAMETOOLONG);
	/* The longest that a configuration can hold. */
	name[253 + 1 + 5] = '\0';
	assert_int_equal(nx_cover_profile_save(&p, dir, "vpn", name), 0);
	assert_int_equal(nx_cover_profile_load(&q, dir, "vpn", name), 0);
	nx_cover_profile_free(&q);
	nx_cover_profile_free(&p);
	assert_int_equal(nx_cover_profile_remove(dir, "vpn"), 0);
	assert_int_equal(nx_cover_profile_remove(dir, "vpn"), 0);
	assert_int_equal(nx_cover_profile_load(&q, dir, "vpn", COVER), -ENOENT);
}

static void expect_damaged(const void *data, size_t len)
{
	struct nx_cover_profile q;
	char path[128];
	FILE *f;

	/* Not with nx_state_file_write(), which waits for the disk. */
	snprintf(path, sizeof(path), "%s/" FILE_NAME, dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(nx_cover_profile_load(&q, dir, "vpn", COVER), -EBADMSG);
	assert_null(q.lines);
	assert_int_equal(q.learnt_s, 0);
	assert_int_equal(q.blob_len, 0);
}

/* Cut at every length, a bit of every byte turned, and bytes behind the end. */
static void test_damage(void **state)
{
	static uint8_t file[FILE_MAX], big[200000];
	struct nx_cover_profile p;
	ssize_t len;

	make(&p, (const uint8_t *)"some bytes", 10);
	p.learnt_s = 1700000000;
	assert_int_equal(nx_cover_profile_save(&p, dir, "vpn", COVER), 0);
	nx_cover_profile_free(&p);
	len = nx_state_file_read(dir, FILE_NAME, file, sizeof(file) - 1);
	assert_true(len > 0);
	for (ssize_t i = 0; i < len; i++)
		expect_damaged(file, (size_t)i);
	for (ssize_t i = 0; i < len; i++) {
		file[i] ^= 1 << i % 8;
		expect_damaged(file, (size_t)len);
		file[i] ^= 1 << i % 8;
	}
	expect_damaged(file, (size_t)len + 1);
	memcpy(big, file, (size_t)len);
	expect_damaged(big, sizeof(big));
	assert_int_equal(nx_state_file_read(dir, FILE_NAME, file, sizeof(file)), -EFBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
