/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of the data-plane ABI as a fuzzer makes them: with the policies of lib/nqd_policy.c it knows
 * which attributes a set has, what they hold and how they nest, and changes one thing at a time.
 *
 * An input is a sequence of messages, each behind two bytes of length (big-endian), as in the corpus
 * of fuzz-dp-control. Memory is static: not for two threads.
 */
#ifndef NQD_GRAMMAR_H
#define NQD_GRAMMAR_H

#include <stddef.h>
#include <stdint.h>

/*
 * Change @size bytes of @data, which has room for @cap, in one to three places chosen by @seed.
 * @mutate_bytes changes plain bytes (LLVMFuzzerMutate()). Returns the new size, not 0.
 */
size_t grammar_mutate(uint8_t *data, size_t size, size_t cap, uint32_t seed,
		      size_t (*mutate_bytes)(uint8_t *data, size_t size, size_t cap));

#endif /* NQD_GRAMMAR_H */
