/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reader of decrypted 1-RTT payloads: it takes out what ngtcp2 keeps to itself and the data plane
 * must know (connection IDs the peer offered, the largest number the peer acknowledged). It never
 * changes what ngtcp2 does with the packet. Total and bounded: a malformed payload ends the walk.
 * shape.c goes over the frames of other packets with it.
 */
#ifndef HS_FRAMES_H
#define HS_FRAMES_H

#include <stddef.h>
#include <stdint.h>
#include "reader.h"

enum hs_frame_type {
	HS_FRAME_PADDING = 0x00,
	HS_FRAME_PING = 0x01,
	HS_FRAME_ACK = 0x02,
	HS_FRAME_ACK_ECN = 0x03,
	HS_FRAME_CRYPTO = 0x06,
	HS_FRAME_STREAM = 0x08, /* and the seven after it */
	HS_FRAME_NEW_CONNECTION_ID = 0x18,
	HS_FRAME_CLOSE = 0x1c,
	HS_FRAME_CLOSE_APP = 0x1d,
	HS_FRAME_DATAGRAM = 0x30,
	HS_FRAME_DATAGRAM_LEN = 0x31,
};

struct hs_frame_cid {
	uint64_t seq, retire_prior_to;
	const uint8_t *id;
	size_t id_len; /* 1..20 */
	const uint8_t *token; /* 16 bytes */
};

struct hs_frame_sink {
	void (*ack)(void *arg, uint64_t largest);
	void (*new_cid)(void *arg, const struct hs_frame_cid *cid);
	void *arg;
};

/* One frame, PADDING byte by byte; it makes the cursor bad if it is malformed. @sink may be NULL. */
void hs_frame_read(struct hs_reader *r, const struct hs_frame_sink *sink);
/* 0, or -EBADMSG where the walk stopped early. */
int hs_frames_walk(const uint8_t *data, size_t len, const struct hs_frame_sink *sink);

#endif /* HS_FRAMES_H */
