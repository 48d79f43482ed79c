// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control process and what a server's nexus-hsd learns of its cover: kept over restarts of both,
 * dropped when it is damaged, of another cover, or of no use.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "state-file.h"
#include "t-control.h"

#define COVER "127.0.0.1:8443"

static const char server_text[] =
	"tunnel = { office = { role = \"server\"; listen = [ \"0.0.0.0:443\" ];\n"
	"cover = \"%s\"; server_names = [ \"www.example.org\" ];\n"
	"private_key_file = \"/k/server.key\"; addresses = [ \"10.66.0.1/24\" ];\n"
	"interface = \"nxtest0\"; users = ( ); }; };\n";

static int setup_server(void **state)
{
	char text[1024];

	snprintf(text, sizeof(text), server_text, COVER);
	return t_setup_with(state, text, true);
}

/* Be monitor and data plane until nexus-hsd is told of the tunnel; its attributes into @tb. */
static void expect_set_tunnel(struct fake *f, struct nxa *tb)
{
	struct nxm_error e;
	ssize_t n;
	int fd;

	for (int i = 0; i < T_STEPS_MAX; i++) {
		assert_true(sd_event_run(f->event, 20000) >= 0);
		while ((n = nx_ipc_recv(f->mon, f->buf, sizeof(f->buf), f->fds, &f->n_fds)) > 0) {
			assert_int_equal(nxm_parse_hdr(f->buf, (size_t)n, &f->hdr, &e), 0);
			nx_close_fds(f->fds, f->n_fds);
			if (f->hdr.cmd == MON_CMD_OPEN_SECRET)
				t_mon_send(f, MON_CMD_SECRET_RESULT, -1,
					   "secret:office:private-key", 0, -1);
			if (f->hdr.cmd != MON_CMD_OPEN_TUN)
				continue;
			fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
			t_mon_send(f, MON_CMD_STORED, -1, "tun:office", 0, fd);
			close(fd);
		}
		while ((n = nx_ipc_recv(f->dp, f->buf, sizeof(f->buf), f->fds, &f->n_fds)) > 0) {
			assert_int_equal(nxm_parse_hdr(f->buf, (size_t)n, &f->hdr, &e), 0);
			nx_close_fds(f->fds, f->n_fds);
			t_acknowledge(f, f->dp, 0);
		}
		while ((n = nx_ipc_recv(f->hsd, f->buf, sizeof(f->buf), f->fds, &f->n_fds)) > 0) {
			assert_int_equal(nxm_parse_hdr(f->buf, (size_t)n, &f->hdr, &e), 0);
			nx_close_fds(f->fds, f->n_fds);
			t_acknowledge(f, f->hsd, 0);
			if (f->hdr.cmd != HS_CMD_SET_TUNNEL)
				continue;
			assert_int_equal(
				nxa_parse(f->hdr.attrs, f->hdr.attrs_len, &hs_set, tb, f->buf, &e),
				0);
			return;
		}
	}
	fail_msg("the tunnel was not set");
}

static void start_server(struct fake *f, struct nxa *tb)
{
	f->hsd = t_connect_peer(f, MON_PEER_HSD);
	f->dp = t_connect_peer(f, MON_PEER_DP);
	t_mon_send(f, MON_CMD_START, -1, NULL, 0, -1);
	expect_set_tunnel(f, tb);
}

static void restart_hsd(struct fake *f, struct nxa *tb)
{
	close(f->hsd);
	f->hsd = t_connect_peer(f, MON_PEER_HSD);
	expect_set_tunnel(f, tb);
}

static void restart_control(struct fake *f, struct nxa *tb)
{
	t_close_control(f);
	assert_int_equal(t_open_control(f), 0);
	start_server(f, tb);
}

static void expect_blob(const struct nxa *tb, const char *blob)
{
	const struct nxa *a = &tb[HS_A_COVER_PROFILE];

	assert_int_equal(a->present, blob != NULL);
	if (blob) {
		assert_int_equal(a->len, strlen(blob));
		assert_memory_equal(a->data, blob, a->len);
	}
}

/* nexus-hsd has learnt @blob, or (NULL) knows nothing; until the control process knows it too. */
static void report_profile(struct fake *f, const char *blob, const char *difference)
{
	struct nx_tunnel *t = nx_manager_find_tunnel(f->m, "office");
	const struct nx_cover_profile *p = &t->cover_profile;
	uint8_t buf[4096];
	struct nxm m;

	t_begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_COVER_PROFILE, 0);
	nxm_put_str(&m, HS_A_TUNNEL, "office");
	if (blob)
		nxm_put(&m, HS_A_COVER_PROFILE, blob, strlen(blob));
	nxm_put_str(&m, HS_A_TEXT, "a line");
	if (difference)
		nxm_put_str(&m, HS_A_DIFFERENCE, difference);
	t_send_to(f->hsd, &m, NULL);
	for (int i = 0; i < T_STEPS_MAX; i++) {
		bool differs = p->differences && p->differences[0];

		if (p->blob_len == (blob ? strlen(blob) : 0) && differs == (blob && difference))
			return;
		assert_true(sd_event_run(f->event, 20000) >= 0);
	}
	fail_msg("the profile was not taken");
}

static ino_t file_number(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static void test_cover_profile(void **state)
{
	struct fake *f = *state;
	struct nxa tb[HS_A_MAX + 1];
	struct nx_cover_profile *p;
	char path[128], text[1024];
	uint64_t learnt;
	ino_t file;

	T_NEED(f);
	snprintf(path, sizeof(path), "%s/cover-office", f->state_dir);
	start_server(f, tb);
	expect_blob(tb, NULL);
	p = &nx_manager_find_tunnel(f->m, "office")->cover_profile;
	assert_int_equal(p->learnt_s, 0);
	t_cover_changes = 0;
	report_profile(f, "blob 1", NULL);
	assert_int_equal(t_cover_changes, 1);
	assert_true(p->learnt_s > 0);
	assert_string_equal(p->lines[0], "a line");

	/* A difference makes the profile no younger. It is written, but not before some time has passed. */
	file = file_number(path);
	p->learnt_s = learnt = 1700000000;
	report_profile(f, "blob 1", "a difference");
	assert_int_equal(t_cover_changes, 2);
	assert_int_equal(p->learnt_s, learnt);
	assert_true(file_number(path) == file);

	/* Restarts of nexus-hsd, of the control process, of all. */
	restart_hsd(f, tb);
	expect_blob(tb, "blob 1");
	restart_control(f, tb);
	expect_blob(tb, "blob 1");
	p = &nx_manager_find_tunnel(f->m, "office")->cover_profile;
	assert_int_equal(p->learnt_s, learnt);
	assert_string_equal(p->lines[0], "a line");
	assert_string_equal(p->differences[0], "a difference");
	report_profile(f, "another blob", NULL);
	assert_true(p->learnt_s > learnt);

	/* A damaged file is not used, and replaced by the next profile. */
	t_close_control(f);
	assert_int_equal(truncate(path, 400), 0);
	assert_int_equal(t_open_control(f), 0);
	start_server(f, tb);
	expect_blob(tb, NULL);
	report_profile(f, "blob 3", NULL);
	restart_control(f, tb);
	expect_blob(tb, "blob 3");

	/* nexus-hsd did not believe it. */
	report_profile(f, NULL, NULL);
	assert_int_equal(access(path, F_OK), -1);
	report_profile(f, "blob 4", NULL);

	/* Another cover has another profile; then the tunnel goes, and with it the file. */
	t_close_control(f);
	snprintf(text, sizeof(text), server_text, "127.0.0.1:9443");
	assert_int_equal(t_write_config(f, text), 0);
	assert_int_equal(t_open_control(f), 0);
	start_server(f, tb);
	expect_blob(tb, NULL);
	report_profile(f, "blob 5", NULL);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(t_write_config(f, "tunnel = { };\n"), 0);
	assert_int_equal(nx_manager_reload(f->m, text, sizeof(text)), 0);
	assert_int_equal(access(path, F_OK), -1);
}

/* A profile of a client, of nobody, and more lines than can be: nothing happens. */
static void test_bad_profiles(void **state)
{
	struct fake *f = *state;
	struct nxa tb[HS_A_MAX + 1];
	uint8_t buf[4096];
	struct nxm m;

	T_NEED(f);
	start_server(f, tb);
	t_begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_COVER_PROFILE, 0);
	nxm_put_str(&m, HS_A_TUNNEL, "nobody");
	nxm_put(&m, HS_A_COVER_PROFILE, "b", 1);
	t_send_to(f->hsd, &m, NULL);
	t_begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_COVER_PROFILE, 0);
	nxm_put(&m, HS_A_COVER_PROFILE, "b", 1);
	t_send_to(f->hsd, &m, NULL);
	t_begin(&m, buf, sizeof(buf), NXM_FAMILY_HS, HS_CMD_COVER_PROFILE, 0);
	nxm_put_str(&m, HS_A_TUNNEL, "office");
	nxm_put(&m, HS_A_COVER_PROFILE, "b", 1);
	for (int i = 0; i <= NX_COVER_LINES_MAX; i++)
		nxm_put_str(&m, HS_A_TEXT, "line");
	t_send_to(f->hsd, &m, NULL);
	report_profile(f, "good", NULL);
	assert_null(nx_manager_find_tunnel(f->m, "office")->cover_profile.lines[1]);
	nx_state_file_remove(f->state_dir, "cover-office");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cover_profile, setup_server, t_teardown),
		cmocka_unit_test_setup_teardown(test_bad_profiles, setup_server, t_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
