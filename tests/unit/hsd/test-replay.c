// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The replay cache against a model: a plain list that never forgets. Whatever the clock does, the
 * cache may refuse more than the model, but never accept what the model has seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "hsd-test.h"
#include "replay.h"

static void number_random(uint8_t random[32], uint32_t n)
{
	memset(random, 0, 32);
	memcpy(random, &n, sizeof(n));
}

static bool enter(struct hs_replay *c, uint32_t n, int64_t made, int64_t now, uint32_t window)
{
	uint8_t random[32];

	number_random(random, n);
	return hs_replay_enter(c, random, made, now, window);
}

static void test_bounds(void **state)
{
	struct hs_replay *c;

	assert_null(hs_replay_new(0));
	assert_null(hs_replay_new((1U << 24) + 1));
	c = hs_replay_new(1);
	assert_non_null(c);
	assert_true(enter(c, 1, 100, 100, 10));
	assert_false(enter(c, 1, 100, 100, 10));
	assert_false(enter(c, 2, 100, 100, 10)); /* full */
	assert_false(enter(c, 2, 110, 110, 10)); /* still needed */
	assert_true(enter(c, 2, 111, 111, 10));
	assert_int_equal(hs_replay_count(c), 1);
	hs_replay_free(c);
	hs_replay_free(NULL);
}

/* Steady load in a small ring: it goes around many times. */
static void test_ring(void **state)
{
	struct hs_replay *c = hs_replay_new(100);

	assert_non_null(c);
	for (uint32_t n = 0; n < 5000; n++) {
		const int64_t now = 1000 + n / 4;

		assert_true(enter(c, n, now, now, 10));
		assert_false(enter(c, n, now, now, 10));
		if (n > 8)
			assert_false(enter(c, n - 8, now - 2, now, 10));
		assert_in_range(hs_replay_count(c), 1, 100);
	}
	hs_replay_free(c);
}

/* A credential from a clock that is ahead stays until its own time has left the window. */
static void test_ahead(void **state)
{
	struct hs_replay *c = hs_replay_new(8);

	assert_non_null(c);
	assert_true(enter(c, 1, 1010, 1000, 10));
	assert_true(enter(c, 2, 1000, 1000, 10));
	assert_false(enter(c, 1, 1010, 1020, 10));
	assert_true(enter(c, 3, 1021, 1021, 10));
	assert_int_equal(hs_replay_count(c), 1);
	assert_false(enter(c, 1, 1010, 1015, 10));
	assert_false(enter(c, 2, 1000, 1005, 10));
	hs_replay_free(c);
}

static void test_inherit(void **state)
{
	struct hs_replay *a = hs_replay_new(16), *b = hs_replay_new(64), *small = hs_replay_new(4);

	assert_true(a && b && small);
	for (uint32_t n = 0; n < 10; n++)
		assert_true(enter(a, n, 1000, 1000, 10));
	assert_true(enter(b, 100, 1000, 1000, 10));
	hs_replay_inherit(&b, &a);
	assert_int_equal(hs_replay_count(b), 11);
	assert_int_equal(hs_replay_count(a), 0);
	for (uint32_t n = 0; n < 10; n++)
		assert_false(enter(b, n, 1000, 1000, 10));
	assert_true(enter(b, 10, 1000, 1000, 10));
	/* Does not fit: they exchange places. */
	hs_replay_inherit(&small, &b);
	assert_int_equal(hs_replay_count(small), 12);
	assert_int_equal(hs_replay_count(b), 0);
	assert_false(enter(small, 3, 1000, 1000, 10));
	/* What was forgotten stays forgotten through an inheritance. */
	assert_true(enter(small, 11, 1100, 1100, 10));
	hs_replay_inherit(&a, &small);
	assert_false(enter(a, 4, 1000, 1000, 200));
	hs_replay_free(a);
	hs_replay_free(b);
	hs_replay_free(small);
}

static int sealed_memory(size_t entries, int seals)
{
	int fd = memfd_create("t-replay", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)HS_REPLAY_RING_LEN(entries)), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static struct hs_replay *attach(int fd, int64_t now, uint32_t window, int expected)
{
	struct hs_replay *c = NULL;

	assert_int_equal(hs_replay_attach(fd, now, window, &c), expected);
	assert_non_null(c);
	return c;
}

/* The process ends without a word and another one attaches, many times around the ring. */
static void test_attach(void **state)
{
	int fd = sealed_memory(32, F_SEAL_SHRINK | F_SEAL_GROW), other;
	struct hs_replay *c = attach(fd, 1000, 10, 0), *fresh;

	other = sealed_memory(32, F_SEAL_SHRINK | F_SEAL_GROW);
	assert_true(hs_replay_is_at(c, fd));
	assert_false(hs_replay_is_at(c, other));
	close(other);
	for (uint32_t n = 0; n < 500; n++) {
		const int64_t now = 1000 + n / 2;

		assert_true(enter(c, n, now, now, 10));
		if (n % 7 == 0) {
			const size_t count = hs_replay_count(c);

			hs_replay_free(c);
			c = attach(fd, now, 10, 0);
			assert_int_equal(hs_replay_count(c), count);
		}
		for (uint32_t k = n > 15 ? n - 15 : 0; k <= n; k++)
			assert_false(enter(c, k, 1000 + k / 2, now, 10));
		/* forgotten, and this is remembered */
		if (n >= 60)
			assert_false(enter(c, n - 50, now - 25, now, 100));
	}
	/* A reload keeps the lasting memory, whichever side has it. */
	fresh = hs_replay_new(64);
	assert_true(enter(fresh, 7000, 1300, 1300, 10));
	hs_replay_inherit(&fresh, &c);
	assert_true(hs_replay_is_at(fresh, fd));
	assert_false(hs_replay_is_at(c, fd));
	assert_false(enter(fresh, 7000, 1300, 1300, 10));
	hs_replay_free(c);
	hs_replay_free(fresh);
	c = attach(fd, 1300, 10, 0);
	assert_false(enter(c, 7000, 1300, 1300, 10));
	hs_replay_free(c);
	close(fd);
}

/*
 * New memory knows nothing of what was before its first use: whatever was made then is refused, from that
 * second on nothing is.
 */
static void test_new_memory(void **state)
{
	int fd = sealed_memory(32, F_SEAL_SHRINK | F_SEAL_GROW);
	struct hs_replay *c = attach(fd, 1000, 10, 0), *fresh;

	assert_false(enter(c, 1, 999, 1000, 10));
	assert_true(enter(c, 2, 1000, 1000, 10));
	assert_false(enter(c, 3, 995, 1005, 10));
	/* A client whose clock is slow comes again. */
	assert_true(enter(c, 4, 1000, 1009, 10));
	/* Also after a restart and a reload, and in a wider window. */
	hs_replay_free(c);
	c = attach(fd, 1009, 10, 0);
	assert_false(enter(c, 5, 999, 1009, 10));
	fresh = hs_replay_new(64);
	hs_replay_inherit(&fresh, &c);
	assert_false(enter(fresh, 6, 999, 1009, 3600));
	hs_replay_free(c);
	hs_replay_free(fresh);
	/* The clock was an hour ahead at the start. */
	c = attach(fd, 1009, 10, 0);
	assert_false(enter(c, 7, 995, 990, 10));
	assert_true(enter(c, 8, 985, 989, 10));
	hs_replay_free(c);
	close(fd);
	/* An attached one handed to another. */
	fd = sealed_memory(8, F_SEAL_SHRINK | F_SEAL_GROW);
	c = attach(fd, 1000, 10, 0);
	close(fd);
	fd = sealed_memory(8, F_SEAL_SHRINK | F_SEAL_GROW);
	fresh = attach(fd, 900, 10, 0);
	hs_replay_inherit(&fresh, &c);
	assert_false(enter(fresh, 9, 999, 1000, 10));
	hs_replay_free(c);
	hs_replay_free(fresh);
	close(fd);
}

static void test_refused_memory(void **state)
{
	struct hs_replay *c = NULL;
	int fd, p[2];

	fd = sealed_memory(8, F_SEAL_GROW);
	assert_int_equal(hs_replay_attach(fd, 1000, 10, &c), -EPERM);
	close(fd);
	fd = sealed_memory(8, F_SEAL_SHRINK);
	assert_int_equal(hs_replay_attach(fd, 1000, 10, &c), -EPERM);
	close(fd);
	fd = sealed_memory(0, F_SEAL_GROW | F_SEAL_SHRINK);
	assert_int_equal(hs_replay_attach(fd, 1000, 10, &c), -EINVAL);
	close(fd);
	fd = sealed_memory((1U << 24) + 1, F_SEAL_GROW | F_SEAL_SHRINK);
	assert_int_equal(hs_replay_attach(fd, 1000, 10, &c), -EINVAL);
	close(fd);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(hs_replay_attach(p[0], 1000, 10, &c), -ESPIPE);
	assert_int_equal(hs_replay_attach(-1, 1000, 10, &c), -EBADF);
	close(p[0]);
	close(p[1]);
	assert_null(c);
}

/*
 * Any byte changed, or everything: never a crash. A ring found damaged lets nobody in for one window;
 * one found whole still knows what it knew.
 */
static void test_damage(void **state)
{
	enum { ENTRIES = 16, LEN = HS_REPLAY_RING_LEN(ENTRIES) };
	static uint8_t good[LEN], bad[LEN];
	int fd = sealed_memory(ENTRIES, F_SEAL_GROW | F_SEAL_SHRINK), r;
	struct hs_replay *c = attach(fd, 1000, 10, 0);
	unsigned int damaged = 0;

	for (uint32_t n = 0; n < 20; n++)
		assert_true(enter(c, n, 1000 + n, 1000 + n, 10));
	hs_replay_free(c);
	assert_int_equal(pread(fd, good, LEN, 0), LEN);
	for (uint32_t i = 0; i < LEN + 50; i++) {
		memcpy(bad, good, LEN);
		if (i < LEN)
			bad[i] ^= (uint8_t)(1 + t_random_below(255));
		else
			t_random(bad, LEN);
		assert_int_equal(pwrite(fd, bad, LEN, 0), LEN);
		r = hs_replay_attach(fd, 1020, 10, &c);
		assert_in_range(r, 0, 1);
		damaged += r == 1;
		for (uint32_t n = 10; n < 20; n++)
			assert_false(enter(c, n, 1000 + n, 1020, 10));
		if (r == 1) {
			assert_int_equal(hs_replay_count(c), 0);
			assert_false(enter(c, 100, 1030, 1030, 10));
			assert_true(enter(c, 100, 1031, 1031, 10));
			hs_replay_free(c);
			c = attach(fd, 1031, 10, 0);
			assert_false(enter(c, 100, 1031, 1031, 10));
		}
		hs_replay_free(c);
	}
	assert_in_range(damaged, 50 + 10 * 48, LEN + 50);
	close(fd);
}

/*
 * The end comes between any two stores: a child enters and is stopped by SIGKILL at a random moment;
 * what it has said to be entered is found again, and the ring is never taken for a damaged one.
 */
static void test_killed(void **state)
{
	int fd = sealed_memory(32, F_SEAL_GROW | F_SEAL_SHRINK);
	volatile uint32_t *said =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint32_t n = 0;

	assert_ptr_not_equal((void *)said, MAP_FAILED);
	for (unsigned int round = 0; round < 100; round++) {
		const uint32_t until = n + 50 + t_random_below(3000);
		struct hs_replay *c;
		pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (pid == 0) {
			c = attach(fd, 1000 + n, 20, 0);
			for (;; n++)
				if (enter(c, n, 1000 + n, 1000 + n, 20))
					*said = n + 1;
		}
		while (*said < until)
			;
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		n = *said;
		c = attach(fd, 1000 + n, 20, 0);
		assert_in_range(hs_replay_count(c), 20, 22);
		for (uint32_t k = n - 15; k < n; k++)
			assert_false(enter(c, k, 1000 + k, 1000 + n, 20));
		hs_replay_free(c);
		n++; /* may be in there, not said */
	}
	munmap((void *)said, 4096);
	close(fd);
}

/* Random clocks, windows, repeats, reloads. */
static void test_model(void **state)
{
	enum { ROUNDS = 20000 };
	static bool seen[ROUNDS];
	static int64_t made_at[ROUNDS];
	struct hs_replay *c = hs_replay_new(64), *next;
	unsigned int accepted = 0;
	int64_t now = 100000;

	assert_non_null(c);
	memset(seen, 0, sizeof(seen));
	for (uint32_t i = 0; i < ROUNDS; i++) {
		const uint32_t window = 1 + t_random_below(50);
		uint32_t n = i;
		int64_t made = now + t_random_below(2 * window + 1) - window;

		if (i && t_random_below(2)) { /* a repeat: with its own time, which is signed */
			n = i - 1 - t_random_below(i < 40 ? i : 40);
			made = made_at[n];
		}
		made_at[n] = made;
		if (made >= now - window && made <= now + window &&
		    enter(c, n, made, now, window)) {
			assert_false(seen[n]);
			seen[n] = true;
			accepted++;
		}
		now += t_random_below(4);
		if (t_random_below(50) == 0)
			now -= t_random_below(30);
		if (t_random_below(500) == 0) {
			next = hs_replay_new(32 + t_random_below(64));
			assert_non_null(next);
			hs_replay_inherit(&next, &c);
			hs_replay_free(c);
			c = next;
		}
	}
	assert_in_range(accepted, ROUNDS / 20, ROUNDS);
	hs_replay_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),	       cmocka_unit_test(test_ring),
		cmocka_unit_test(test_ahead),	       cmocka_unit_test(test_inherit),
		cmocka_unit_test(test_model),	       cmocka_unit_test(test_attach),
		cmocka_unit_test(test_damage),	       cmocka_unit_test(test_new_memory),
		cmocka_unit_test(test_refused_memory), cmocka_unit_test(test_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
