// SPDX-License-Identifier: GPL-2.0-or-later
/* Among very many sessions of a tunnel each is found, whatever came and went before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tunnel-internal.h"

#define MANY 4096
/* So most users have a session or two, some more. */
#define USERS 3000
#define STEPS 100000
/* All sessions are looked through to know what is right. */
#define CHECK_EVERY 50

static struct nx_tunnel_config config = { .name = "many", .role = NX_ROLE_CLIENT };
static struct nx_tunnel_private private;
static struct nx_manager manager;
static struct nx_tunnel tunnel = { .manager = &manager, .config = &config, .priv = &private };
static struct nx_dp dp;
static struct nx_session *sessions[MANY];

static void up(void *userdata, struct nx_dp *d)
{
}

static const struct nx_dp_ops ops = { .up = up };

static uint64_t rnd(void)
{
	static uint64_t state = 1;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* What the lists say. */
static struct nx_session *first_of(uint64_t user, const struct nx_session *but)
{
	struct nx_session *s;

	TAILQ_FOREACH (s, &tunnel.sessions, entry)
		if (s != but && s->user == user)
			return s;
	return NULL;
}

static void check(uint64_t id, uint64_t user)
{
	struct nx_session *s, *found = NULL;

	TAILQ_FOREACH (s, &tunnel.sessions, entry)
		if (s->id == id)
			found = s;
	TAILQ_FOREACH (s, &private.installing, entry)
		if (s->id == id)
			found = s;
	assert_ptr_equal(nx_tunnel_find_session(&tunnel, id), found);
	assert_ptr_equal(nx_session_of_user(&tunnel, user), first_of(user, NULL));
	if (found)
		assert_ptr_equal(nx_session_other(found), first_of(found->user, found));
}

static void begin(void)
{
	TAILQ_INIT(&tunnel.sessions);
	TAILQ_INIT(&private.installing);
	nx_dp_init(&dp, NULL, "nexus-dp", false, &ops, &manager);
	private.dp = &dp;
}

static struct nx_session *new_session(uint64_t id, uint64_t user)
{
	struct nx_session *s = nx_session_new(&tunnel, id);

	assert_non_null(s);
	s->user = user;
	return s;
}

/* One is installed, or ends, or another is reported. */
static void come_and_go(void **state)
{
	struct nx_session **s;
	unsigned int i;
	uint64_t id;

	begin();
	for (i = 0; i < STEPS; i++) {
		s = &sessions[rnd() % MANY];
		id = *s ? (*s)->id : rnd();
		if (!*s) {
			*s = new_session(id, rnd() % USERS);
		} else if (!(*s)->installed && rnd() % 4) {
			nx_session_set_installed(*s);
		} else {
			nx_session_free(*s);
			*s = NULL;
		}
		if (i % CHECK_EVERY == 0)
			check(id, *s ? (*s)->user : rnd() % USERS);
	}
	nx_tunnel_drop_sessions(&tunnel);
	assert_true(TAILQ_EMPTY(&tunnel.sessions) && TAILQ_EMPTY(&private.installing));
	assert_int_equal(private.by_id.n + private.by_user.n, 0);
	assert_null(nx_session_of_user(&tunnel, 0));
}

/* Of three of one user the others are found in the order in which they were installed. */
static void three_of_a_user(void **state)
{
	struct nx_session *a, *b, *c;

	begin();
	c = new_session(3, 7);
	b = new_session(2, 7);
	a = new_session(1, 7);
	assert_null(nx_session_other(a));
	assert_true(nx_session_installing(&tunnel, 7));
	nx_session_set_installed(a);
	assert_null(nx_session_other(a));
	/* Who is not installed yet has another, and is none. */
	assert_ptr_equal(nx_session_other(c), a);
	nx_session_set_installed(b);
	nx_session_set_installed(c);
	assert_false(nx_session_installing(&tunnel, 7));
	assert_ptr_equal(nx_session_of_user(&tunnel, 7), a);
	assert_ptr_equal(nx_session_other(a), b);
	assert_ptr_equal(nx_session_other(b), a);
	assert_ptr_equal(nx_session_other(c), a);
	nx_session_free(a);
	assert_null(nx_tunnel_find_session(&tunnel, 1));
	assert_ptr_equal(nx_session_other(b), c);
	assert_ptr_equal(nx_session_other(c), b);
	nx_session_free(b);
	assert_null(nx_session_other(c));
	nx_session_free(c);
	assert_null(nx_session_of_user(&tunnel, 7));
}

/* All of a server's sessions end: what the others carry is looked at once, when that is over. */
static void all_end_at_once(void **state)
{
	unsigned int i;

	begin();
	config.role = NX_ROLE_SERVER;
	assert_true(sd_event_new(&manager.event) >= 0);
	for (i = 0; i < MANY; i++)
		nx_session_set_installed(new_session(i, i));
	nx_tunnel_drop_sessions(&tunnel);
	assert_non_null(private.mtu_due);
	assert_true(sd_event_run(manager.event, 0) > 0);
	assert_null(private.mtu_due);
	assert_int_equal(sd_event_run(manager.event, 0), 0);
	manager.event = sd_event_unref(manager.event);
	config.role = NX_ROLE_CLIENT;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(come_and_go),
		cmocka_unit_test(three_of_a_user),
		cmocka_unit_test(all_end_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
