// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How sessions take each other's place, without engines: random sequences of what can happen to the
 * sessions of two users, and after each step what must always hold. What is counted here on sessions
 * stands for their counters.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "replace.h"

#define N 12
#define USERS 2
#define STEPS 200000

struct fake {
	struct nqd_line line;
	bool used, engine, down, gone, closed, sends, greeted;
	u64 user, deadline_us, last_rx_us, counted;
};

static struct fake s[N];
static struct nqd_lines all;
static u64 now, total, ended;

static struct fake *of(const struct nqd_line *l)
{
	return (struct fake *)((char *)l - offsetof(struct fake, line));
}

static u64 now_us(struct nqd_lines *lines)
{
	return now;
}

static struct nqd_line *next(struct nqd_lines *lines, struct nqd_line *l)
{
	struct fake *f = l ? of(l) + 1 : s;

	for (; f < s + N; f++)
		if (f->used)
			return &f->line;
	return NULL;
}

static void view(const struct nqd_line *l, struct nqd_line_view *v)
{
	const struct fake *f = of(l);

	*v = (struct nqd_line_view){ .device = s,
				     .user = f->user,
				     .flags = NQD_SESSION_F_REPLACE,
				     .has_engine = f->engine,
				     .down = f->down,
				     .gone = f->gone };
}

static void publish(struct nqd_line *l)
{
	assert_true(of(l)->used);
}

static void set_deadline(struct nqd_lines *lines, struct nqd_line *l, u64 at_us)
{
	of(l)->deadline_us = at_us;
}

static void kick(struct nqd_lines *lines, struct nqd_line *l)
{
}

static void begin(struct nqd_lines *lines, struct nqd_line *l)
{
	assert_false(of(l)->sends);
	of(l)->sends = true;
}

static void stop(struct nqd_lines *lines, struct nqd_line *l)
{
	assert_true(of(l)->sends);
	of(l)->sends = false;
}

static void move_counters(struct nqd_lines *lines, struct nqd_line *to, struct nqd_line *from)
{
	of(to)->counted += of(from)->counted;
	of(from)->counted = 0;
}

static void greet(struct nqd_lines *lines, struct nqd_line *l)
{
	assert_true(of(l)->engine);
}

static bool greeted(struct nqd_line *l)
{
	return of(l)->engine && of(l)->greeted;
}

static void silence(struct nqd_lines *lines, struct nqd_line *l, u64 *pto_us, u64 *last_rx_us)
{
	assert_true(of(l)->engine);
	*pto_us = 100000;
	*last_rx_us = of(l)->last_rx_us;
}

/* As both data planes do. */
static void down(struct nqd_lines *lines, struct nqd_line *l, u8 reason, const char *why)
{
	struct fake *f = of(l);

	if (f->down)
		return;
	if (l->heir && !l->replaced) {
		nqd_take_over(lines, l->heir);
		return;
	}
	f->down = true;
	nqd_replace_down(lines, l);
}

static void close_line(struct nqd_lines *lines, struct nqd_line *l, const char *why)
{
	struct fake *f = of(l);

	assert_true(f->down);
	if (f->engine)
		f->closed = true;
	else
		f->gone = true;
}

static void free_line(struct nqd_lines *lines, struct nqd_line *l)
{
	struct fake *f = of(l);

	nqd_replace_free(lines, l);
	ended += f->counted;
	memset(f, 0, sizeof(*f));
}

static const struct nqd_line_ops ops = {
	.now_us = now_us,
	.next = next,
	.view = view,
	.publish = publish,
	.set_deadline = set_deadline,
	.kick = kick,
	.begin = begin,
	.stop = stop,
	.inherit = move_counters,
	.move_counters = move_counters,
	.greet = greet,
	.greeted = greeted,
	.silence = silence,
	.down = down,
	.close = close_line,
	.free = free_line,
};

/* ---- what can happen ---- */

static void install(struct fake *f)
{
	f->engine = true;
	nqd_replace_installed(&all, &f->line);
}

static void add(struct fake *f)
{
	*f = (struct fake){ .user = 1 + rand() % USERS, .deadline_us = NQ_TIME_NEVER };
	f->line.started_us = now;
	f->used = true;
	nqd_replace_link(&all, &f->line);
	if (!f->line.unheard)
		begin(&all, &f->line);
	if (rand() % 4)
		install(f);
}

static void packet(struct fake *f)
{
	struct fake *to = f;

	f->last_rx_us = now;
	if (f->line.unheard)
		nqd_take_over(&all, &f->line);
	if (f->line.replaced)
		to = f->line.heir ? of(f->line.heir) : NULL;
	/* What its engine counts, and the inner packet. */
	f->counted++;
	total++;
	if (!to)
		return;
	to->counted++;
	total++;
}

/* A round of each, as far as time is concerned; those that are closed end at some time. */
static void pass_time(void)
{
	unsigned int i;

	now += rand() % 400000;
	for (i = 0; i < N; i++) {
		if (s[i].used && s[i].engine && now >= s[i].deadline_us)
			nqd_replace_timeout(&all, &s[i].line);
		if (s[i].used && (s[i].gone || (s[i].closed && rand() % 2)))
			free_line(&all, &s[i].line);
	}
}

static void step(void)
{
	struct fake *f = &s[rand() % N];

	if (!f->used) {
		add(f);
		return;
	}
	switch (rand() % 8) {
	case 0:
		down(&all, &f->line, NQD_DOWN_DELETED, "end");
		free_line(&all, &f->line);
		break;
	case 1:
		down(&all, &f->line, NQD_DOWN_DELETED, "end");
		if (f->down)
			close_line(&all, &f->line, "end");
		break;
	case 2:
		if (!f->engine && !f->down)
			install(f);
		break;
	case 3:
		f->greeted = true;
		break;
	case 4:
		if (f->down)
			nqd_replace_end_drain(&all, &f->line);
		break;
	case 5:
		pass_time();
		break;
	default:
		if (f->engine && !f->closed)
			packet(f);
		break;
	}
}

/* ---- what must always hold ---- */

static void check_links(const struct fake *f)
{
	unsigned int i, n_old = 0, waiting = 0;

	for (i = 0; i < N; i++) {
		if (!s[i].used || s[i].line.heir != &f->line)
			continue;
		n_old++;
		waiting += !s[i].line.replaced;
	}
	assert_int_equal(f->line.n_old, n_old);
	/* One that waits waits for somebody, and its time runs once it has keys. */
	assert_true(f->line.unheard == (waiting > 0));
	if (f->line.unheard && f->engine)
		assert_true(f->deadline_us != NQ_TIME_NEVER);
	if (f->line.heir)
		assert_true(of(f->line.heir)->used && of(f->line.heir)->user == f->user);
	/* Nothing is lost with one that has gone its way. */
	if (f->line.replaced && !f->line.heir)
		assert_int_equal(f->counted, 0);
	/* What drains has a time at which it is looked at. */
	if (f->line.replaced && f->line.heir)
		assert_true(f->deadline_us != NQ_TIME_NEVER);
}

static void check_all(void)
{
	u64 sum = ended;
	unsigned int i, sending[1 + USERS] = { 0 };

	for (i = 0; i < N; i++) {
		if (!s[i].used)
			continue;
		sum += s[i].counted;
		check_links(&s[i]);
		if (!s[i].down) {
			sending[s[i].user] += s[i].sends;
			/* Nobody is left who neither sends nor waits. */
			assert_true(s[i].sends || s[i].line.unheard);
		}
	}
	for (i = 1; i <= USERS; i++)
		assert_true(sending[i] <= 1);
	assert_int_equal(sum, total);
}

static void random_sequences(void **state)
{
	unsigned int i;

	all.ops = &ops;
	srand(3);
	for (i = 0; i < STEPS; i++) {
		step();
		check_all();
	}
}

/* The course of things, with its times. */
static void renewal(void **state)
{
	struct fake *old = &s[0], *new = &s[1];

	memset(s, 0, sizeof(s));
	all.ops = &ops;
	now = 1000;
	old->used = new->used = true;
	old->user = new->user = 1;
	old->engine = true;
	new->used = false;
	old->deadline_us = new->deadline_us = NQ_TIME_NEVER;
	begin(&all, &old->line);
	new->used = true;
	nqd_replace_link(&all, &new->line);
	assert_true(new->line.unheard && old->sends && !old->down);
	assert_int_equal(nqd_check_settled(&new->line, &(struct nxm_error){ 0 }), -EBUSY);
	assert_int_equal(nqd_check_settled(&old->line, &(struct nxm_error){ 0 }), -EBUSY);
	install(new);
	assert_int_equal(new->deadline_us, now + 5000000);
	nqd_take_over(&all, &new->line);
	assert_true(new->sends && !old->sends && old->down && !old->closed);
	assert_int_equal(nqd_check_settled(&new->line, &(struct nxm_error){ 0 }), 0);
	assert_int_equal(old->deadline_us, now + 200000);
	/* Not before the peer has the greeting, and not while packets come; 3 PTOs are 300 ms. */
	now += 400000;
	nqd_replace_timeout(&all, &old->line);
	assert_false(old->closed);
	new->greeted = true;
	old->last_rx_us = now - 100000;
	nqd_replace_timeout(&all, &old->line);
	assert_false(old->closed);
	assert_int_equal(old->deadline_us, old->last_rx_us + 300000);
	now = old->deadline_us;
	nqd_replace_timeout(&all, &old->line);
	assert_true(old->closed && !old->line.heir && !new->line.n_old);
}

/* The peer's data plane is never heard: the older one stays. */
static void not_heard(void **state)
{
	struct fake *old = &s[0], *new = &s[1];

	memset(s, 0, sizeof(s));
	all.ops = &ops;
	old->used = old->engine = true;
	old->user = new->user = 1;
	begin(&all, &old->line);
	new->used = true;
	nqd_replace_link(&all, &new->line);
	install(new);
	now = new->deadline_us;
	nqd_replace_timeout(&all, &new->line);
	assert_true(new->closed && !new->sends && old->sends && !old->down && !old->line.heir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(renewal),
		cmocka_unit_test(not_heard),
		cmocka_unit_test(random_sequences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
