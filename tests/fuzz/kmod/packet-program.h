/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An input of packet-fuzzer: steps, each of a head and a payload. And how such inputs are made from
 * others.
 */
#ifndef PACKET_PROGRAM_H
#define PACKET_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#define STEP_SESSIONS 4
#define STEP_PAYLOAD_MAX 1600

enum step_op {
	STEP_RAW, /* the payload is a datagram */
	STEP_FRAMES, /* the payload is sealed by the session's peer */
	STEP_INNER, /* the same with a DATAGRAM frame around it */
	STEP_DEVICE, /* a virtio header and a packet, written into the device */
	STEP_UDP, /* a socket sends into the device: segment and length, of 2 bytes each */
	STEP_ANSWER, /* the peer reads what has come, and answers as a peer does */
	STEP_KEY_UPDATE, /* the module is told to update its keys */
	STEP_WAIT, /* until it says something, at most where / 4 ms: timers and workers */
	STEP_OPS,
};

enum step_flags {
	STEP_F_JOIN = 1 << 0, /* leaves with those of the next step, as one buffer */
	STEP_F_FIX = 1 << 1, /* lengths and checksums of the packet are made right */
	STEP_F_NEXT_KEYS = 1 << 2, /* the peer updates its keys before */
	STEP_F_DAMAGE = 1 << 3, /* one bit of the datagram is wrong */
	STEP_F_CUT = 1 << 4, /* its end is missing */
	STEP_F_OTHER_ID = 1 << 5, /* the second connection ID */
	STEP_F_PAD = 1 << 6, /* PADDING, up to the length of what it leaves with */
};

#define STEP_PN_ZERO (-128) /* packet number 0 */
#define STEP_PN_FAR 127 /* a million on */
#define STEP_COPIES 0x3f

struct step {
	uint8_t op; /* modulo STEP_OPS */
	uint8_t session; /* modulo STEP_SESSIONS */
	uint8_t bits; /* changes of the first byte; the lower two: so much shorter is the number */
	uint8_t flags;
	int8_t pn; /* added to what the next packet number would be */
	uint8_t copies; /* & STEP_COPIES, + 1; TCP's go on where the one before ended */
	uint8_t where; /* in 1/256 of the datagram: damage, the cut */
	uint8_t from; /* bits 0-2: 0 the session's address, else another; 4-5: ECN */
	uint8_t len[2]; /* of the payload, big-endian */
};

/* The step at @data and where its payload is; returns the bytes of both, 0 if there is none. */
size_t step_parse(const uint8_t *data, size_t size, struct step *s, const uint8_t **payload,
		  size_t *len);

/* Right lengths and checksums of an IP packet of TCP or UDP, as far as there is one. */
void step_fix(uint8_t *pkt, size_t len);

/* See grammar_mutate(). */
size_t program_mutate(uint8_t *data, size_t size, size_t cap, uint32_t seed,
		      size_t (*mutate_bytes)(uint8_t *data, size_t size, size_t cap));

#endif /* PACKET_PROGRAM_H */
