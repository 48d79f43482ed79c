/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opener of client Initial packets (RFC 9001 5.2) and reassembly of their CRYPTO frames into a
 * ClientHello, before any TLS object exists. Takes datagrams in any order, coalesced packets, PING,
 * PADDING, ACK and scattered CRYPTO frames between; bounded: HS_CH_MAX bytes, HS_CH_PIECES gaps.
 */
#ifndef HS_INITIAL_H
#define HS_INITIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HS_CH_MAX	4096
#define HS_CH_PIECES	32

/* The cleartext part of a long header; pointers into the datagram. */
struct hs_long_header {
	uint8_t type;			/* 0 Initial, 1 0-RTT, 2 Handshake, 3 Retry */
	uint32_t version;
	const uint8_t *dcid, *scid, *token;
	size_t dcid_len, scid_len, token_len;
	size_t pn_offset;		/* Initial: where the protected packet number starts */
	size_t packet_len;		/* Initial/0-RTT/Handshake: whole packet in the datagram */
};

/* 0, -EBADMSG (malformed), -EPROTONOSUPPORT (a version other than 1: only version and CIDs are set). */
int hs_long_header_parse(const uint8_t *data, size_t len, struct hs_long_header *h);

/* A flow's ClientHello in the making. Plain memory: without pieces it starts. */
struct hs_reassembly {
	uint16_t n_pieces;
	struct { uint16_t first, end; } pieces[HS_CH_PIECES];
	uint8_t data[HS_CH_MAX];
};

enum hs_initial_result {
	HS_INITIAL_MORE,	/* valid so far, ClientHello incomplete */
	HS_INITIAL_COMPLETE,	/* hs_reassembly.data holds the ClientHello; *@ch_len bytes */
	HS_INITIAL_BAD,		/* does not open, malformed frames, or beyond a bound */
};

/* Open every Initial of one datagram with the keys of @dcid (the first Initial's). @data is not
 * changed. Packets of other types are skipped.
 */
enum hs_initial_result hs_initial_feed(struct hs_reassembly *r, const uint8_t *data, size_t len,
				       const uint8_t *dcid, size_t dcid_len, size_t *ch_len);

#endif /* HS_INITIAL_H */
