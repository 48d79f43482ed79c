/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the REALITY parts share: hex, a seedable generator, a sealer of client Initials
 * (the counterpart of the opener under test) and real ClientHellos made by GnuTLS. Aborts on misuse.
 */
#ifndef HSD_TEST_H
#define HSD_TEST_H

#include <stddef.h>
#include <stdint.h>

/* Decode exactly @len bytes. */
void t_unhex(const char *hex, uint8_t *out, size_t len);
/*
 * Deterministic bytes: the same in every run unless NEXUS_TEST_SEED (any text) is set. The sequence
 * is one per process.
 */
void t_random(void *out, size_t len);
uint32_t t_random_below(uint32_t n);

struct t_initial {
	const uint8_t *dcid, *scid, *token;
	size_t dcid_len, scid_len, token_len;
	/* Keys are of this CID, if it is not dcid. */
	const uint8_t *key_cid;
	size_t key_cid_len;
	uint32_t pn;
	unsigned int pn_len; /* 1..4 */
	uint8_t first_bits; /* xored into the first byte before protection */
};

/* A protected Initial with @payload (frames); its length. */
size_t t_seal_initial(uint8_t *out, size_t cap, const struct t_initial *p, const uint8_t *payload,
		      size_t len);
/* A CRYPTO frame; its length. */
size_t t_crypto_frame(uint8_t *out, uint32_t offset, const uint8_t *data, size_t len);
/*
 * A ClientHello as nexus-hsd's client sends it: @random, server name, ALPN h3, transport parameters
 * with @scid. The handshake message with its header; its length.
 */
size_t t_client_hello(uint8_t *out, size_t cap, const uint8_t random[32], const uint8_t *scid,
		      size_t scid_len, const char *server_name);

/* A ClientHello that is sent in pieces. */
struct t_pieces {
	uint8_t dcid[20], scid[20], hello[1024];
	size_t hello_len;
};
/* With that random and SCID, or with some that nobody knows; to the DCID that is there. */
void t_pieces_with(struct t_pieces *f, const char *server_name, const uint8_t random[32],
		   const uint8_t scid[20]);
void t_pieces_make(struct t_pieces *f, const char *server_name);
/* Bytes [first, end) of it as an Initial of 1200 bytes; its length. */
size_t t_piece(const struct t_pieces *f, uint8_t packet[1500], size_t first, size_t end,
	       uint32_t pn);

/* A recorded first flight: datagrams, each behind its length in two bytes, as seeds hold them. */
#define T_FLIGHT_DGRAMS_MAX 4
struct t_flight {
	unsigned int n_dgrams;
	const uint8_t *dgrams[T_FLIGHT_DGRAMS_MAX];
	size_t lens[T_FLIGHT_DGRAMS_MAX];
	uint8_t data[8192];
};
void t_read_flight(const char *path, struct t_flight *f);

#endif /* HSD_TEST_H */
