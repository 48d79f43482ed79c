/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cover profile: how the cover site answers a client of our shape, as everybody on the path sees
 * it. learn.c makes it, follow.c makes the flights of authenticated clients from it, the control
 * process keeps its bytes, `nexusctl cover` prints its lines. Pure data: no I/O, no clock.
 *
 * Sizes are bytes of UDP payloads and of QUIC packets (headers and tag included); times are
 * milliseconds after the first datagram of the flight. They are those of a client with connection
 * IDs of 20 bytes, as ours has.
 */
#ifndef HS_PROFILE_H
#define HS_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HS_PROFILE_FLIGHTS_MAX 4
#define HS_PROFILE_DGRAMS_MAX 6
#define HS_PROFILE_PACKETS_MAX 4
#define HS_PROFILE_REPEATS_MAX 8
/* The encoded form is never longer (lib/hs_proto.h). */
#define HS_PROFILE_BLOB_MAX 1024
#define HS_PROFILE_DGRAM_BYTES_MAX 1500
#define HS_PROFILE_TEXT_LEN 256
#define HS_PROFILE_NAME_HASH_LEN 8

/* The types of RFC 9000 17.2, and one for the short header. */
enum hs_packet_type {
	HS_PACKET_INITIAL,
	HS_PACKET_0RTT,
	HS_PACKET_HANDSHAKE,
	HS_PACKET_RETRY,
	HS_PACKET_1RTT,
};

struct hs_profile_dgram {
	uint8_t n_packets;
	struct {
		uint8_t type; /* enum hs_packet_type */
		uint16_t bytes;
	} packets[HS_PROFILE_PACKETS_MAX];
};

/* Datagrams without a pause between them. */
struct hs_profile_flight {
	uint8_t n_dgrams;
	struct hs_profile_dgram dgrams[HS_PROFILE_DGRAMS_MAX];
};

struct hs_profile_repeat {
	uint16_t after_ms;
	struct hs_profile_dgram dgram;
};

/* How its packets are written. */
struct hs_profile_style {
	bool initial_padded; /* its first Initial has PADDING */
	bool padding_first; /* and that is before CRYPTO */
	bool random_pn; /* packet numbers do not begin with 0 */
	bool long_length; /* the field Length has 4 bytes, not 2 */
};

struct hs_profile {
	uint64_t learned_s; /* Unix time; 0 = nothing is known */
	/* of the name the cover was asked for: another name, another answer */
	uint8_t name_hash[HS_PROFILE_NAME_HASH_LEN];
	uint16_t cipher, group; /* of the ServerHello, RFC 8446 B.4 and 4.2.7 */
	uint8_t scid_len;
	struct hs_profile_style style;
	uint16_t handshake_bytes; /* CRYPTO of all Handshake packets */
	uint8_t n_flights; /* what was seen, each as often as it is here */
	struct hs_profile_flight flights[HS_PROFILE_FLIGHTS_MAX];
	uint8_t n_repeats; /* of a flight that nobody answered, in order of time */
	struct hs_profile_repeat repeats[HS_PROFILE_REPEATS_MAX];
	struct hs_profile_flight finished; /* what follows the client's Finished */
};

/* Of a server name, for name_hash. */
void hs_profile_hash_name(uint8_t hash[HS_PROFILE_NAME_HASH_LEN], const char *name);

size_t hs_profile_dgram_bytes(const struct hs_profile_dgram *d);
/* Cut a datagram into packets as their headers say, whatever its bytes. False: not QUIC version 1. */
bool hs_profile_cut(const uint8_t *data, size_t len, struct hs_profile_dgram *out);

/* Bytes written, at most HS_PROFILE_BLOB_MAX, or -EMSGSIZE. */
ssize_t hs_profile_encode(const struct hs_profile *p, uint8_t *out, size_t cap);
/* 0 or -EBADMSG: then @p is empty. Whatever it accepts is within the bounds above. */
int hs_profile_decode(const uint8_t *data, size_t len, struct hs_profile *p);

/*
 * The profile as lines for people, and what of it our flights do not follow: the @i-th line, or false
 * where there is none.
 */
bool hs_profile_line(const struct hs_profile *p, unsigned int i, char out[HS_PROFILE_TEXT_LEN]);
bool hs_profile_difference(const struct hs_profile *p, unsigned int i,
			   char out[HS_PROFILE_TEXT_LEN]);

/* How a flight is written in those lines: "1252 (Initial 365 + Handshake 727 + 1-RTT 160), 44 (...)". */
void hs_profile_flight_text(const struct hs_profile_flight *f, char *out, size_t cap);

#endif /* HS_PROFILE_H */
