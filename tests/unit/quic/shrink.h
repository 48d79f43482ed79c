/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random sequences of operations against a model, with shrinking: of a sequence that fails, the
 * shortest is sought that still does, and printed.
 *
 * An operation is three numbers. What they mean is up to the run function; it must be able to run
 * any subset of any sequence, so operands are relative to the state they meet.
 */
#ifndef TEST_SHRINK_H
#define TEST_SHRINK_H

#include "pair.h"

struct shrink_op {
	u32 kind, a, b;
};

/* Run @ops from a fresh state: the index of the first that breaks the agreement, -1 if none. */
typedef int (*shrink_run_fn)(const struct shrink_op *ops, int n);

/* At least @total operations of @kinds kinds, @per_sequence in a row; fails the test on the first
 * disagreement. A sanitizer build runs a tenth.
 */
void shrink_check(const char *name, shrink_run_fn run, u32 kinds, int per_sequence, u64 total);
/* The shortest failing sequence that removing operations from @ops finds; returns its length. */
int shrink(shrink_run_fn run, struct shrink_op *ops, int n);

#endif /* TEST_SHRINK_H */
