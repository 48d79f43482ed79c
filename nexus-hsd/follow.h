/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An authenticated flight in the cover's shape: a server's first flight and, as long as the client
 * says nothing, its repeats, in the datagrams of the profile (profile.h) at its times. From the
 * client's first word on ngtcp2 decides alone. What cannot be opened, or came before, is no word:
 * everybody can send that.
 *
 * Repeats are ngtcp2's own probes. So that they come when the cover's do, the connection's clock is
 * moved ahead to the end of ngtcp2's probe timeout, or the timeout is left waiting.
 *
 * RFC 9000 8.1 lets a server send three times what it has received. Here, as in many servers, a
 * datagram may leave while that much is not reached yet: the cover's answer to everybody is not
 * larger.
 */
#ifndef HS_FOLLOW_H
#define HS_FOLLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "profile.h"

struct hs_conn;

/* HTTP/3 streams that a server may open at once: control and QPACK's two (RFC 9114 6.2). */
#define HS_FOLLOW_STREAMS_MAX 3

/* RFC 9000 8.1 */
#define HS_FOLLOW_AMPLIFICATION 3

struct hs_follow {
	struct hs_profile_flight flight;
	struct hs_profile_repeat repeats[HS_PROFILE_REPEATS_MAX];
	unsigned int n_repeats, next_repeat, n_streams;
	uint16_t handshake_bytes;
	struct hs_profile_style style;
	bool begun, answered;
	uint64_t begun_ns;
	size_t received_bytes, sent_bytes;
};

/* Choose a flight of the tunnel's profile for a server's connection: c->follow, NULL without one. */
int hs_follow_start(struct hs_conn *c);
/*
 * How long the certificate may be so that the Handshake packets have the profile's sizes, at most
 * HS_CERT_MAX; 0 = any.
 */
size_t hs_follow_cert_len(const struct hs_conn *c);
/* A datagram is about to be read, whoever sent it. */
void hs_follow_heard(struct hs_conn *c, size_t bytes);
/* A packet was opened. ngtcp2 does not open one whose number it knows already. */
void hs_follow_opened(struct hs_conn *c);
/*
 * After the client's first word, until its address is valid: may so much leave, and has it left? ngtcp2's
 * own account is not to be had, see follow.c.
 */
bool hs_follow_may_send(const struct hs_conn *c, size_t bytes);
void hs_follow_sent(struct hs_conn *c, size_t bytes);
/* The profile decides what is sent: until the client has answered the first flight. */
bool hs_follow_rules(const struct hs_conn *c);
/* Send what is due. 0 or an ngtcp2 error. Only while hs_follow_rules(). */
int hs_follow_drive(struct hs_conn *c);
/* When something is due next; UINT64_MAX = never. */
uint64_t hs_follow_expiry(const struct hs_conn *c);

#endif /* HS_FOLLOW_H */
