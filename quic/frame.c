// SPDX-License-Identifier: GPL-2.0-only
/*
 * The frame parser and writers. See frame.h for what they promise.
 */
#include "frame.h"
#include "ranges.h"

/* How the fields of a frame that is only measured follow each other. */
enum skip_field {
	SKIP_END,
	SKIP_VARINT,
	SKIP_BYTES, /* a varint length and that many bytes */
};

static const u8 *skip_fields(const u8 *p, const u8 *end, const u8 *fields)
{
	u64 v;

	for (; *fields != SKIP_END; fields++) {
		p = nq_get_varint(p, end, &v);
		if (!p)
			return NULL;
		if (*fields == SKIP_BYTES) {
			if (v > (u64)(end - p))
				return NULL;
			p += v;
		}
	}
	return p;
}

static const u8 *skip_stream(const u8 *p, const u8 *end, u8 type)
{
	u8 fields[4], n = 0;

	fields[n++] = SKIP_VARINT;
	if (type & 0x04)
		fields[n++] = SKIP_VARINT;
	if (type & 0x02)
		fields[n++] = SKIP_BYTES;
	fields[n] = SKIP_END;
	p = skip_fields(p, end, fields);
	/* Without a length the data reach to the end of the packet. */
	return p && !(type & 0x02) ? end : p;
}

/* A frame the engine does not own; NULL if it is malformed or of no known type. */
static const u8 *skip_foreign(const u8 *p, const u8 *end, u8 type)
{
	static const u8 one[] = { SKIP_VARINT, SKIP_END };
	static const u8 two[] = { SKIP_VARINT, SKIP_VARINT, SKIP_END };
	static const u8 three[] = { SKIP_VARINT, SKIP_VARINT, SKIP_VARINT, SKIP_END };
	static const u8 bytes[] = { SKIP_BYTES, SKIP_END };
	static const u8 crypto[] = { SKIP_VARINT, SKIP_BYTES, SKIP_END };

	switch (type) {
	case NQ_FRAME_RESET_STREAM:
		return skip_fields(p, end, three);
	case NQ_FRAME_STOP_SENDING:
	case NQ_FRAME_MAX_STREAM_DATA:
	case NQ_FRAME_STREAM_DATA_BLOCKED:
		return skip_fields(p, end, two);
	case NQ_FRAME_CRYPTO:
		return skip_fields(p, end, crypto);
	case NQ_FRAME_NEW_TOKEN:
		return skip_fields(p, end, bytes);
	case NQ_FRAME_MAX_DATA:
	case NQ_FRAME_MAX_STREAMS:
	case NQ_FRAME_MAX_STREAMS + 1:
	case NQ_FRAME_DATA_BLOCKED:
	case NQ_FRAME_STREAMS_BLOCKED:
	case NQ_FRAME_STREAMS_BLOCKED + 1:
		return skip_fields(p, end, one);
	default:
		return (type & 0xf8) == NQ_FRAME_STREAM ? skip_stream(p, end, type) : NULL;
	}
}

bool nq_ack_next(const struct nq_ack_frame *a, struct nq_ack_iter *it, struct nq_range *r)
{
	u64 gap, len;

	if (it->i > a->n_ranges)
		return false;
	if (!it->i) {
		it->at = a->ranges;
		r->last = a->largest;
		len = a->first_range;
	} else {
		it->at = nq_get_varint(it->at, a->ranges_end, &gap);
		if (!it->at || it->smallest < gap + 2)
			return false;
		it->at = nq_get_varint(it->at, a->ranges_end, &len);
		if (!it->at)
			return false;
		r->last = it->smallest - gap - 2;
	}
	if (r->last < len)
		return false;
	r->first = r->last - len;
	it->smallest = r->first;
	it->i++;
	return true;
}

static const u8 *parse_ack(const u8 *p, const u8 *end, struct nq_ack_frame *a, bool ecn)
{
	struct nq_ack_iter it = { 0 };
	struct nq_range r;

	if (!(p = nq_get_varint(p, end, &a->largest)) || !(p = nq_get_varint(p, end, &a->delay)) ||
	    !(p = nq_get_varint(p, end, &a->n_ranges)) ||
	    !(p = nq_get_varint(p, end, &a->first_range)))
		return NULL;
	/* Each range takes two bytes at least: this bounds the loop by the packet's length. */
	if (a->n_ranges > (u64)(end - p) / 2)
		return NULL;
	a->ranges = p;
	a->ranges_end = end;
	while (nq_ack_next(a, &it, &r))
		;
	if (it.i != a->n_ranges + 1)
		return NULL;
	p = it.at;
	a->ranges_end = p;
	a->has_ecn = ecn;
	if (!ecn)
		return p;
	if (!(p = nq_get_varint(p, end, &a->ect0)) || !(p = nq_get_varint(p, end, &a->ect1)))
		return NULL;
	return nq_get_varint(p, end, &a->ce);
}

static const u8 *parse_datagram(const u8 *p, const u8 *end, struct nq_frame *f)
{
	u64 len = (u64)(end - p);

	if (f->type & 1) {
		p = nq_get_varint(p, end, &len);
		if (!p || len > (u64)(end - p))
			return NULL;
	}
	f->datagram.data = p;
	f->datagram.len = (u32)len;
	return p + len;
}

static const u8 *parse_new_cid(const u8 *p, const u8 *end, struct nq_frame *f)
{
	if (!(p = nq_get_varint(p, end, &f->new_cid.seq)) ||
	    !(p = nq_get_varint(p, end, &f->new_cid.retire_prior_to)) || p >= end)
		return NULL;
	f->new_cid.id_len = *p++;
	if (!f->new_cid.id_len || f->new_cid.id_len > NQ_CID_MAX_LEN ||
	    f->new_cid.retire_prior_to > f->new_cid.seq ||
	    end - p < f->new_cid.id_len + NQ_RESET_TOKEN_LEN)
		return NULL;
	f->new_cid.id = p;
	f->new_cid.token = p + f->new_cid.id_len;
	return f->new_cid.token + NQ_RESET_TOKEN_LEN;
}

static const u8 *parse_close(const u8 *p, const u8 *end, struct nq_frame *f)
{
	u64 v;

	p = nq_get_varint(p, end, &f->close.code);
	if (p && f->type == NQ_FRAME_CONNECTION_CLOSE)
		p = nq_get_varint(p, end, &v); /* the frame type that is blamed */
	if (!p || !(p = nq_get_varint(p, end, &v)) || v > (u64)(end - p))
		return NULL;
	f->close.reason = p;
	f->close.reason_len = (u32)v;
	return p + v;
}

static const u8 *parse_body(const u8 *p, const u8 *end, struct nq_frame *f)
{
	switch (f->type) {
	case NQ_FRAME_PADDING:
		while (p < end && !*p)
			p++;
		return p;
	case NQ_FRAME_PING:
	case NQ_FRAME_HANDSHAKE_DONE:
		return p;
	case NQ_FRAME_ACK:
	case NQ_FRAME_ACK_ECN:
		return parse_ack(p, end, &f->ack, f->type == NQ_FRAME_ACK_ECN);
	case NQ_FRAME_NEW_CONNECTION_ID:
		return parse_new_cid(p, end, f);
	case NQ_FRAME_RETIRE_CONNECTION_ID:
		return nq_get_varint(p, end, &f->retire_seq);
	case NQ_FRAME_PATH_CHALLENGE:
	case NQ_FRAME_PATH_RESPONSE:
		f->path_data = p;
		return end - p < NQ_PATH_DATA_LEN ? NULL : p + NQ_PATH_DATA_LEN;
	case NQ_FRAME_CONNECTION_CLOSE:
	case NQ_FRAME_CONNECTION_CLOSE + 1:
		return parse_close(p, end, f);
	case NQ_FRAME_DATAGRAM:
	case NQ_FRAME_DATAGRAM + 1:
		return parse_datagram(p, end, f);
	default:
		return skip_foreign(p, end, f->type);
	}
}

int nq_frame_parse(const u8 *p, const u8 *end, struct nq_frame *f)
{
	const u8 *start = p;
	u64 type;

	f->error = NQ_FRAME_ENCODING_ERROR;
	p = nq_get_varint(p, end, &type);
	if (!p)
		return -EBADMSG;
	/* RFC 9000 12.4: a type must use the shortest encoding. */
	if (p - start != (long)nq_varint_len(type)) {
		f->error = NQ_PROTOCOL_VIOLATION;
		return -EBADMSG;
	}
	if (type > 0x31)
		return -EBADMSG;
	f->type = (u8)type;
	p = parse_body(p, end, f);
	if (!p)
		return -EBADMSG;
	f->len = (u32)(p - start);
	return 0;
}

/* The ranges that do not fit are left out, lowest first: the peer learns of them later or never. */
u32 nq_put_ack(u8 *p, u32 cap, const struct nq_ranges *ranges, u64 delay, const u64 *ecn_counts)
{
	u8 *start = p, *limit = p + cap, *count_at;
	u32 tail = ecn_counts ? nq_varint_len(ecn_counts[0]) + nq_varint_len(ecn_counts[1]) +
					nq_varint_len(ecn_counts[2])
			      : 0;
	u32 i;

	if (!ranges->n || cap < 1 + 4 * 8 + tail)
		return 0;
	*p++ = ecn_counts ? NQ_FRAME_ACK_ECN : NQ_FRAME_ACK;
	p = nq_put_varint(p, ranges->r[0].last);
	p = nq_put_varint(p, delay);
	/* Fewer than 64 ranges: the count takes one byte and can be set afterwards. */
	count_at = p++;
	p = nq_put_varint(p, ranges->r[0].last - ranges->r[0].first);
	for (i = 1; i < ranges->n; i++) {
		if ((u64)(limit - p) < NQ_ACK_RANGE_BYTES_MAX + tail)
			break;
		p = nq_put_varint(p, ranges->r[i - 1].first - ranges->r[i].last - 2);
		p = nq_put_varint(p, ranges->r[i].last - ranges->r[i].first);
	}
	*count_at = (u8)(i - 1);
	for (i = 0; ecn_counts && i < 3; i++)
		p = nq_put_varint(p, ecn_counts[i]);
	return (u32)(p - start);
}

u32 nq_put_close(u8 *p, u32 cap, bool application, u64 code, const char *reason)
{
	u8 *start = p;
	u32 len = 0;

	while (reason[len])
		len++;
	if (cap < 1 + 8 + 1 + 2 + len || len > 16383)
		return 0;
	*p++ = NQ_FRAME_CONNECTION_CLOSE + application;
	p = nq_put_varint(p, code);
	if (!application)
		*p++ = 0; /* no particular frame is blamed */
	p = nq_put_varint(p, len);
	memcpy(p, reason, len);
	return (u32)(p - start) + len;
}

u32 nq_put_new_cid(u8 *p, u32 cap, const struct nq_cid *cid, u64 retire_prior_to)
{
	u8 *start = p;

	if (cap < 1 + 8 + 8 + 1 + NQ_CID_MAX_LEN + NQ_RESET_TOKEN_LEN)
		return 0;
	*p++ = NQ_FRAME_NEW_CONNECTION_ID;
	p = nq_put_varint(p, cid->seq);
	p = nq_put_varint(p, retire_prior_to);
	*p++ = cid->len;
	memcpy(p, cid->id, cid->len);
	p += cid->len;
	memcpy(p, cid->token, NQ_RESET_TOKEN_LEN);
	return (u32)(p - start) + NQ_RESET_TOKEN_LEN;
}

u32 nq_put_retire_cid(u8 *p, u32 cap, u64 seq)
{
	if (cap < 1 + 8)
		return 0;
	*p = NQ_FRAME_RETIRE_CONNECTION_ID;
	return (u32)(nq_put_varint(p + 1, seq) - p);
}

u32 nq_put_path(u8 *p, u32 cap, u8 type, const u8 *data)
{
	if (cap < 1 + NQ_PATH_DATA_LEN)
		return 0;
	*p = type;
	memcpy(p + 1, data, NQ_PATH_DATA_LEN);
	return 1 + NQ_PATH_DATA_LEN;
}

u32 nq_put_stream(u8 *p, u32 cap, const u8 *frame, u32 len)
{
	const u8 *end = frame + len, *data = frame + 1;
	u8 *start = p;
	u32 head;
	u64 v;

	data = nq_get_varint(data, end, &v);
	if (data && *frame & 0x04)
		data = nq_get_varint(data, end, &v);
	if (!data)
		return 0;
	head = (u32)(data - frame);
	len -= head;
	if (cap < head + nq_varint_len(len) + len)
		return 0;
	memcpy(p, frame, head);
	*p |= 0x02;
	p = nq_put_varint(p + head, len);
	memcpy(p, data, len);
	return (u32)(p - start) + len;
}
