/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a module that is built for fuzzing shares with the fuzzer: /sys/kernel/debug/nexus-coverage,
 * mapped. One counter for each place of the module's code where a basic block begins.
 */
#ifndef COVERAGE_ABI_H
#define COVERAGE_ABI_H

#define COVERAGE_FILE "nexus-coverage"
#define COVERAGE_COUNTERS (1 << 18)
/* No two calls of the compiler's hook are nearer to one another. */
#define COVERAGE_STEP 4

enum coverage_mode {
	COVERAGE_OFF,
	COVERAGE_TASK, /* what the task that opened the file executes */
	COVERAGE_ALL, /* what anybody does, softirqs and workers too */
};

struct coverage {
	unsigned char counters[COVERAGE_COUNTERS]; /* they stop at 255 */
	unsigned int mode;
};

#endif /* COVERAGE_ABI_H */
