/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Secrets of a session and all that QUIC derives from them, in a file that holds none of their bytes
 * as they are: so a search through all memory finds them only where somebody uses them.
 */
#ifndef MASKED_KEYS_H
#define MASKED_KEYS_H

#include <stdint.h>

#include "abi-client.h"

#define MASKED_MAX 64
#define MASKED_MAX_LEN NQD_SECRET_MAX_LEN
/* Key phases that are derived, the first included. */
#define MASKED_PHASES 5

static inline void masked_flip(uint8_t *bytes, unsigned int len)
{
	unsigned int i;

	for (i = 0; i < len; i++)
		bytes[i] ^= (uint8_t)(0xb3 + 7 * i);
}

struct masked_key {
	char name[24]; /* such as server-key-1, client-hp, server-token-0 */
	uint8_t len, bytes[MASKED_MAX_LEN];
};

struct masked_keys {
	uint32_t n;
	struct masked_key keys[MASKED_MAX];
	struct abi_secrets secrets; /* masked piece by piece */
};

#endif /* MASKED_KEYS_H */
