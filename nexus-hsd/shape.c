// SPDX-License-Identifier: GPL-2.0-or-later
/* Packets of ngtcp2 in another size, see shape.h. */
#include <errno.h>
#include <string.h>
#include "frames.h"
#include "profile.h"
#include "shape.h"

#define FORM_LONG 0x80
#define PN_LEN_MASK 0x03
#define MASK_LONG 0x0f
#define MASK_SHORT 0x1f
#define SAMPLE_OFFSET 4
/* RFC 9000 16: the two top bits of the first byte */
#define VARINT_2 0x40
#define VARINT_4 0x80

static uint8_t type_of(uint8_t first)
{
	return first & FORM_LONG ? first >> 4 & 3 : HS_PACKET_1RTT;
}

static struct hs_shape_packet *free_place(struct hs_shape *s)
{
	unsigned int i;

	for (i = 0; i < HS_SHAPE_PACKETS_MAX; i++) {
		if (!s->packets[i].kept)
			return &s->packets[i];
	}
	return NULL;
}

void hs_shape_note_packet(struct hs_shape *s, const ngtcp2_crypto_aead *aead,
			  const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *plain, size_t plain_len,
			  const uint8_t *nonce, size_t nonce_len, const uint8_t *header,
			  size_t header_len)
{
	struct hs_shape_packet *p = free_place(s);

	s->last = NULL;
	if (!p || header_len == 0 || header_len > sizeof(p->header) ||
	    plain_len > sizeof(p->plain) || nonce_len != sizeof(p->nonce))
		return;
	s->last = p;
	p->kept = true;
	p->complete = false;
	p->type = type_of(header[0]);
	p->pn_len = (header[0] & PN_LEN_MASK) + 1;
	memcpy(p->header, header, header_len);
	p->header_len = header_len;
	memcpy(p->plain, plain, plain_len);
	p->plain_len = plain_len;
	memcpy(p->nonce, nonce, nonce_len);
	p->aead = *aead;
	p->aead_ctx = *ctx;
}

void hs_shape_note_mask(struct hs_shape *s, const ngtcp2_crypto_cipher *hp,
			const ngtcp2_crypto_cipher_ctx *ctx)
{
	struct hs_shape_packet *p = s->last;

	if (!p || p->complete)
		return;
	p->hp = *hp;
	p->hp_ctx = *ctx;
	p->complete = true;
}

struct hs_shape_packet *hs_shape_take(struct hs_shape *s, uint8_t type)
{
	unsigned int i;

	for (i = 0; i < HS_SHAPE_PACKETS_MAX; i++) {
		if (!s->packets[i].kept || !s->packets[i].complete || s->packets[i].type != type)
			continue;
		s->packets[i].kept = false;
		return &s->packets[i];
	}
	return NULL;
}

void hs_shape_wipe(struct hs_shape *s)
{
	explicit_bzero(s, sizeof(*s));
}

ssize_t hs_shape_strip_padding(const uint8_t *plain, size_t len, uint8_t *out)
{
	struct hs_reader r = hs_reader(plain, len);
	const uint8_t *from;
	size_t n = 0;

	while (r.left) {
		from = r.at;
		hs_frame_read(&r, NULL);
		if (r.bad)
			return -EBADMSG;
		if (*from == HS_FRAME_PADDING)
			continue;
		memcpy(out + n, from, (size_t)(r.at - from));
		n += (size_t)(r.at - from);
	}
	return (ssize_t)n;
}

/* Where the first CRYPTO frame of a payload begins; @len if there is none. */
static size_t find_crypto(const uint8_t *plain, size_t len)
{
	struct hs_reader r = hs_reader(plain, len);

	while (r.left && *r.at != HS_FRAME_CRYPTO)
		hs_frame_read(&r, NULL);
	return r.bad ? len : len - r.left;
}

static bool has_padding(const uint8_t *plain, size_t len)
{
	uint8_t frames[HS_SHAPE_PACKET_MAX];

	return len <= sizeof(frames) && hs_shape_strip_padding(plain, len, frames) != (ssize_t)len;
}

void hs_shape_find_padding(const uint8_t *plain, size_t len, struct hs_profile_style *style)
{
	size_t at = find_crypto(plain, len);

	style->initial_padded = has_padding(plain, len);
	style->padding_first = style->initial_padded && at < len && has_padding(plain, at);
}

/* Where the Length of a long header is, and behind it. */
static bool find_length(const struct hs_shape_packet *p, size_t *at, size_t *end)
{
	struct hs_reader r = hs_reader(p->header, p->header_len);

	hs_read(&r, 1 + 4);
	hs_read(&r, hs_read_be(&r, 1)); /* DCID */
	hs_read(&r, hs_read_be(&r, 1)); /* SCID */
	if (p->type == HS_PACKET_INITIAL)
		hs_read(&r, hs_read_varint(&r)); /* token */
	*at = p->header_len - r.left;
	hs_read_varint(&r);
	*end = p->header_len - r.left;
	return !r.bad && r.left == p->pn_len;
}

static int seal(const struct hs_shape_packet *p, uint8_t *out, size_t header_len,
		const uint8_t *plain, size_t plain_len)
{
	uint8_t mask[NGTCP2_HP_SAMPLELEN], *pn = out + header_len - p->pn_len;
	size_t i;

	if (ngtcp2_crypto_encrypt_cb(out + header_len, &p->aead, &p->aead_ctx, plain, plain_len,
				     p->nonce, sizeof(p->nonce), out, header_len) != 0 ||
	    ngtcp2_crypto_hp_mask_cb(mask, &p->hp, &p->hp_ctx, pn + SAMPLE_OFFSET) != 0)
		return -EIO;
	out[0] ^= mask[0] & (out[0] & FORM_LONG ? MASK_LONG : MASK_SHORT);
	for (i = 0; i < p->pn_len; i++)
		pn[i] ^= mask[1 + i];
	return 0;
}

/* Its parts without padding, as they will be. */
struct parts {
	size_t length_at, length_end, length_bytes, header_len, plain_len;
	uint8_t plain[HS_SHAPE_PACKET_MAX];
};

static bool take_apart(const struct hs_shape_packet *p, const struct hs_profile_style *style,
		       struct parts *t)
{
	ssize_t n;

	memset(t->plain, 0, sizeof(t->plain));
	n = hs_shape_strip_padding(p->plain, p->plain_len, t->plain);
	if (n < 0)
		return false;
	t->plain_len = (size_t)n;
	/* Header protection samples 16 bytes from 4 behind the start of the packet number. */
	if (t->plain_len + p->pn_len < SAMPLE_OFFSET)
		t->plain_len = SAMPLE_OFFSET - p->pn_len;
	t->header_len = p->header_len;
	t->length_bytes = 0;
	t->length_at = t->length_end = p->header_len - p->pn_len;
	if (p->type == HS_PACKET_1RTT)
		return true;
	if (!find_length(p, &t->length_at, &t->length_end))
		return false;
	t->length_bytes = style->long_length ? 4 : 2;
	t->header_len = t->length_at + t->length_bytes + p->pn_len;
	return true;
}

/* The header, with the Length of a packet that has @body bytes behind its packet number. */
static void put_header(const struct hs_shape_packet *p, const struct parts *t, size_t body,
		       uint8_t *out)
{
	size_t length = p->pn_len + body, i, n = t->length_at;

	memcpy(out, p->header, n);
	for (i = t->length_bytes; i-- > 0;)
		out[n++] = (uint8_t)(length >> 8 * i);
	if (t->length_bytes > 0)
		out[t->length_at] |= t->length_bytes == 4 ? VARINT_4 : VARINT_2;
	memcpy(out + n, p->header + t->length_end, p->header_len - t->length_end);
}

/* The frames from CRYPTO on to the end; @pad bytes of PADDING come in front of them. */
static void move_crypto(struct parts *t, size_t pad)
{
	size_t frames_len = t->plain_len - pad, at = find_crypto(t->plain, frames_len);

	memmove(t->plain + at + pad, t->plain + at, frames_len - at);
	memset(t->plain + at, 0, pad);
}

ssize_t hs_shape_build(const struct hs_shape_packet *p, size_t bytes,
		       const struct hs_profile_style *style, uint8_t *out, size_t cap)
{
	size_t natural, pad = 0;
	ssize_t n = -EBADMSG;
	struct parts t;

	if (!take_apart(p, style, &t))
		goto out;
	natural = t.header_len + t.plain_len + HS_SHAPE_TAG_LEN;
	if (bytes > natural)
		pad = bytes - natural;
	t.plain_len += pad;
	n = (ssize_t)(t.header_len + t.plain_len + HS_SHAPE_TAG_LEN);
	if (t.plain_len > sizeof(t.plain) || (size_t)n > cap) {
		n = -EMSGSIZE;
		goto out;
	}
	if (style->padding_first && p->type == HS_PACKET_INITIAL)
		move_crypto(&t, pad);
	put_header(p, &t, t.plain_len + HS_SHAPE_TAG_LEN, out);
	if (seal(p, out, t.header_len, t.plain, t.plain_len) < 0)
		n = -EIO;
out:
	explicit_bzero(t.plain, sizeof(t.plain));
	return n;
}
