/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fuzzers of the kernel module have in common. They run as root in a guest of tests/vm
 * whose module counts its coverage (module/coverage.c); a kernel that complains should panic, so
 * that the input which did it is the one in the file that FUZZER_LAST names. FUZZER_COVERED names
 * another one for all places that were executed.
 */
#ifndef FUZZ_HARNESS_H
#define FUZZ_HARNESS_H

#include <stddef.h>
#include <stdint.h>

#include "coverage-abi.h"

/* The end, of the run too: it is not the input's fault. */
void fatal(const char *what);

void harness_open(void);
/* The input that comes now. */
void harness_note(const uint8_t *data, size_t size);
/* What is executed from here on is libFuzzer's feedback, until coverage_stop(). */
void coverage_start(enum coverage_mode mode);
void coverage_stop(void);

/* xorshift32: the fuzzer's seed alone decides. A number below @below, which is any for 0. */
void chance_seed(uint32_t seed);
uint32_t any(uint32_t below);

#endif /* FUZZ_HARNESS_H */
