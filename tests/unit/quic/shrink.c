// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random sequences and their shrinking. See shrink.h.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#include "shrink.h"

#define SEED 0x6e65787573ULL

#if defined(__SANITIZE_ADDRESS__)
#define SHARE 10
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SHARE 10
#endif
#endif
#ifndef SHARE
#define SHARE 1
#endif

static u32 draw(u64 *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(*state >> 32);
}

static void remove_ops(struct shrink_op *to, const struct shrink_op *ops, int n, int at, int some)
{
	memcpy(to, ops, (size_t)at * sizeof(*ops));
	memcpy(to + at, ops + at + some, (size_t)(n - at - some) * sizeof(*ops));
}

int shrink(shrink_run_fn run, struct shrink_op *ops, int n)
{
	struct shrink_op *try = malloc((size_t)n * sizeof(*try));
	int some, at, failed = run(ops, n);

	assert_non_null(try);
	assert_true(failed >= 0);
	n = failed + 1;
	for (some = n / 2; some; some = some > 1 ? (some + 1) / 2 : 0) {
		for (at = 0; at + some <= n;) {
			remove_ops(try, ops, n, at, some);
			failed = run(try, n - some);
			if (failed < 0) {
				at += some;
				continue;
			}
			n = failed + 1;
			memcpy(ops, try, (size_t)n * sizeof(*ops));
		}
	}
	free(try);
	return n;
}

void shrink_check(const char *name, shrink_run_fn run, u32 kinds, int per_sequence, u64 total)
{
	struct shrink_op *ops = malloc((size_t)per_sequence * sizeof(*ops));
	u64 seed = SEED, done;
	int i, n;

	assert_non_null(ops);
	for (done = 0; done < total / SHARE; done += (u64)per_sequence) {
		for (i = 0; i < per_sequence; i++) {
			ops[i].kind = draw(&seed) % kinds;
			ops[i].a = draw(&seed);
			ops[i].b = draw(&seed);
		}
		if (run(ops, per_sequence) < 0)
			continue;
		n = shrink(run, ops, per_sequence);
		for (i = 0; i < n; i++)
			print_message("  { %u, %u, %u },\n", ops[i].kind, ops[i].a, ops[i].b);
		fail_msg("%s: %d operations disagree with the model", name, n);
	}
	print_message("  %s: %llu operations\n", name, (unsigned long long)done);
	free(ops);
}
