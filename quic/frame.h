/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frames of 1-RTT packets (RFC 9000 19, RFC 9221): parse one, write one.
 *
 * The parser is total: it accepts any bytes, reads none past @end and never loops more than once
 * over the input. A parsed frame points into the packet. Frames of streams and of the handshake
 * are measured, not understood: rxframe.c hands them up whole.
 */
#ifndef NQ_FRAME_H
#define NQ_FRAME_H

#include "nq.h"
#include "varint.h"

enum nq_frame_type {
	NQ_FRAME_PADDING = 0x00,
	NQ_FRAME_PING = 0x01,
	NQ_FRAME_ACK = 0x02,
	NQ_FRAME_ACK_ECN = 0x03,
	NQ_FRAME_RESET_STREAM = 0x04,
	NQ_FRAME_STOP_SENDING = 0x05,
	NQ_FRAME_CRYPTO = 0x06,
	NQ_FRAME_NEW_TOKEN = 0x07,
	NQ_FRAME_STREAM = 0x08, /* to 0x0f */
	NQ_FRAME_MAX_DATA = 0x10,
	NQ_FRAME_MAX_STREAM_DATA = 0x11,
	NQ_FRAME_MAX_STREAMS = 0x12, /* and 0x13 */
	NQ_FRAME_DATA_BLOCKED = 0x14,
	NQ_FRAME_STREAM_DATA_BLOCKED = 0x15,
	NQ_FRAME_STREAMS_BLOCKED = 0x16, /* and 0x17 */
	NQ_FRAME_NEW_CONNECTION_ID = 0x18,
	NQ_FRAME_RETIRE_CONNECTION_ID = 0x19,
	NQ_FRAME_PATH_CHALLENGE = 0x1a,
	NQ_FRAME_PATH_RESPONSE = 0x1b,
	NQ_FRAME_CONNECTION_CLOSE = 0x1c, /* and 0x1d */
	NQ_FRAME_HANDSHAKE_DONE = 0x1e,
	NQ_FRAME_DATAGRAM = 0x30, /* and 0x31 */
};

/* Transport error codes (RFC 9000 20.1) that the engine raises. */
enum nq_error {
	NQ_NO_ERROR = 0x0,
	NQ_INTERNAL_ERROR = 0x1,
	NQ_FRAME_ENCODING_ERROR = 0x7,
	NQ_CONNECTION_ID_LIMIT_ERROR = 0x9,
	NQ_PROTOCOL_VIOLATION = 0xa,
	NQ_KEY_UPDATE_ERROR = 0xe,
	NQ_AEAD_LIMIT_REACHED = 0xf,
};

#define NQ_PATH_DATA_LEN 8
/* Gap and length of one range of an ACK, at most. */
#define NQ_ACK_RANGE_BYTES_MAX 16

struct nq_ack_frame {
	u64 largest;
	u64 delay; /* as on the wire */
	u64 first_range;
	u64 n_ranges; /* behind the first */
	const u8 *ranges, *ranges_end;
	bool has_ecn;
	u64 ect0, ect1, ce;
};

struct nq_frame {
	u8 type;
	u32 len; /* of the whole frame */
	enum nq_error error; /* when nq_frame_parse() failed */
	union {
		struct nq_ack_frame ack;
		struct {
			const u8 *data;
			u32 len;
		} datagram;
		struct {
			u64 seq, retire_prior_to;
			const u8 *id, *token;
			u8 id_len;
		} new_cid;
		u64 retire_seq;
		const u8 *path_data;
		struct {
			u64 code;
			const u8 *reason;
			u32 reason_len;
		} close;
	};
};

/* Parse the frame at @p (a run of PADDING counts as one). 0, or -EBADMSG with @f->error set. */
int nq_frame_parse(const u8 *p, const u8 *end, struct nq_frame *f);

static inline bool nq_frame_elicits_ack(u8 type)
{
	return type != NQ_FRAME_PADDING && type != NQ_FRAME_ACK && type != NQ_FRAME_ACK_ECN &&
	       type != NQ_FRAME_CONNECTION_CLOSE && type != NQ_FRAME_CONNECTION_CLOSE + 1;
}

/* Probing frames (RFC 9000 9.1): a packet of these alone does not say that its sender has moved. */
static inline bool nq_frame_probes(u8 type)
{
	return type == NQ_FRAME_PADDING || type == NQ_FRAME_PATH_CHALLENGE ||
	       type == NQ_FRAME_PATH_RESPONSE || type == NQ_FRAME_NEW_CONNECTION_ID;
}

/* Does a frame of this type have no length and so reach to the end of its packet? */
static inline bool nq_frame_open_ended(u8 type)
{
	return type == NQ_FRAME_DATAGRAM || (type & ~0x05) == NQ_FRAME_STREAM;
}

/* The ranges of a parsed ACK frame, highest first; @it starts at zero. */
struct nq_ack_iter {
	u64 i;
	u64 smallest;
	const u8 *at;
};

bool nq_ack_next(const struct nq_ack_frame *a, struct nq_ack_iter *it, struct nq_range *r);

/* Writers: bytes written, or 0 if @cap does not suffice. */
struct nq_ranges;
u32 nq_put_ack(u8 *p, u32 cap, const struct nq_ranges *ranges, u64 delay, const u64 *ecn_counts);
u32 nq_put_close(u8 *p, u32 cap, bool application, u64 code, const char *reason);
u32 nq_put_new_cid(u8 *p, u32 cap, const struct nq_cid *cid, u64 retire_prior_to);
u32 nq_put_retire_cid(u8 *p, u32 cap, u64 seq);
u32 nq_put_path(u8 *p, u32 cap, u8 type, const u8 *data);
/* The STREAM frame at @frame, which is open-ended, with a length: others may follow it. */
u32 nq_put_stream(u8 *p, u32 cap, const u8 *frame, u32 len);

#endif /* NQ_FRAME_H */
