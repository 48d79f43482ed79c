/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reader of decrypted 1-RTT payloads: it takes out what ngtcp2 keeps to itself and the data plane
 * must know (connection IDs the peer offered, the largest number the peer acknowledged). It never
 * changes what ngtcp2 does with the packet. Total and bounded: a malformed payload ends the walk.
 */
#ifndef HS_FRAMES_H
#define HS_FRAMES_H

#include <stddef.h>
#include <stdint.h>

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

/* 0, or -EBADMSG where the walk stopped early. */
int hs_frames_walk(const uint8_t *data, size_t len, const struct hs_frame_sink *sink);

#endif /* HS_FRAMES_H */
