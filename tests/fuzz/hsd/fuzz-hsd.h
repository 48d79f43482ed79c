/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the fuzz targets of the REALITY parts and their seed generator share: fixed keys and names. */
#ifndef FUZZ_HSD_H
#define FUZZ_HSD_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define FUZZ_NOW 1763600000ULL
#define FUZZ_SHORT_ID 0x0123456789abcdefULL
#define FUZZ_CID "fuzz-connection-id-0" /* 20 bytes */

static const uint8_t fuzz_server_secret[32] = { 0x11, 0x22, 0x33 };
static const uint8_t fuzz_client_secret[32] = { 0x44, 0x55, 0x66 };
static const uint8_t fuzz_cert_key[64] = { 0x77 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise that does not hold: let the fuzzer keep the input. */
static inline void promise(int holds)
{
	if (!holds)
		abort();
}

#endif /* FUZZ_HSD_H */
