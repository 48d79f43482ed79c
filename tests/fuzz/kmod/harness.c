// SPDX-License-Identifier: GPL-2.0-or-later
/* Coverage, the input in hand and chance: see harness.h. */
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* libFuzzer reads these after each input, as if they were counters of its own coverage. */
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[COVERAGE_COUNTERS];

static struct coverage *coverage;
static uint8_t covered[COVERAGE_COUNTERS]; /* by any input */
static const char *covered_file;
static int last_input = -1;
static uint32_t random_state;

void fatal(const char *what)
{
	perror(what);
	exit(2);
}

/* For covered-functions. */
static void tell_covered(void)
{
	FILE *f = fopen(covered_file, "w");
	unsigned int i;

	if (!f)
		return;
	for (i = 0; i < COVERAGE_COUNTERS; i++)
		if (covered[i])
			fprintf(f, "%u\n", i * COVERAGE_STEP);
	fclose(f);
}

void harness_open(void)
{
	const char *last = getenv("FUZZER_LAST");
	int fd = open("/sys/kernel/debug/" COVERAGE_FILE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fatal(COVERAGE_FILE);
	coverage = mmap(NULL, sizeof(*coverage), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (coverage == MAP_FAILED)
		fatal("coverage");
	close(fd);
	covered_file = getenv("FUZZER_COVERED");
	if (covered_file)
		atexit(tell_covered);
	if (last)
		last_input = open(last, O_RDWR | O_CREAT | O_TRUNC | O_SYNC | O_CLOEXEC, 0600);
}

void harness_note(const uint8_t *data, size_t size)
{
	if (last_input >= 0 &&
	    (ftruncate(last_input, 0) || pwrite(last_input, data, size, 0) != (ssize_t)size))
		fatal("FUZZER_LAST");
}

void coverage_start(enum coverage_mode mode)
{
	memset(coverage->counters, 0, sizeof(coverage->counters));
	__atomic_store_n(&coverage->mode, mode, __ATOMIC_RELEASE);
}

void coverage_stop(void)
{
	unsigned int i;

	__atomic_store_n(&coverage->mode, COVERAGE_OFF, __ATOMIC_RELEASE);
	memcpy(counters, coverage->counters, sizeof(counters));
	for (i = 0; i < COVERAGE_COUNTERS; i++)
		covered[i] |= counters[i];
}

void chance_seed(uint32_t seed)
{
	random_state = seed | 1;
	any(0);
}

uint32_t any(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return below ? random_state % below : random_state;
}
