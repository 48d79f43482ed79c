/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The shape of the golden vectors. Plain tables on kernel types, for CMocka now and KUnit later.
 */
#ifndef NQ_VECTORS_H
#define NQ_VECTORS_H

#include "../../quic/nq_types.h"

/* One protected packet with everything that goes into it. */
struct nq_vector {
	const char *name;
	u16 cipher;
	u8 pn_at; /* offset of the packet number */
	u8 pn_bytes;
	u64 pn;
	u32 secret_len;
	u8 secret[48];
	u8 key[32], iv[12], hp[32];
	u8 ku[48]; /* the secret after a key update */
	const u8 *header; /* before header protection; pn_at + pn_bytes long */
	const u8 *plain;
	const u8 *packet;
	u32 plain_len, packet_len;
};

#endif /* NQ_VECTORS_H */
