/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A known packet through a cipher provider. A provider is used only after it has sealed and opened
 * it with every cipher: an implementation that miscomputes on this machine is never trusted with
 * traffic. Called once when a data plane starts.
 */
#ifndef NQ_SELFTEST_H
#define NQ_SELFTEST_H

#include "nq_crypto.h"

/* Header, text and tag; memory that a provider may work on. */
#define NQ_SELFTEST_BYTES	64

/* The key of the test, NQ_KEY_MAX_LEN bytes: 00 01 02... */
void nq_selftest_key(u8 *key);

/*
 * Does @ops seal, open and refuse under @ctx, which holds the test's key for @cipher? @scratch:
 * NQ_SELFTEST_BYTES.
 */
bool nq_selftest(const struct nq_crypto_ops *ops, void *ctx, u16 cipher, u8 *scratch);

#endif /* NQ_SELFTEST_H */
