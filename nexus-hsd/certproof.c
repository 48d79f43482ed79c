// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The certificate that proves the server's static key (certproof.h): DER written and read by hand.
 *
 * Writing goes backwards, from the end of the buffer to its start, so that every length is known when
 * its header is written. Reading looks only at the outermost structure: the proof covers the rest.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <gnutls/crypto.h>

#include "certproof.h"
#include "kdf.h"
#include "reader.h"

enum {
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_UTF8_STRING = 0x0c,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_DNS_NAME = 0x82, /* [2] IMPLICIT IA5String of GeneralName */
	DER_CONTEXT_0 = 0xa0,
	DER_CONTEXT_3 = 0xa3,
};

#define SIGNATURE_LEN 64
#define SERIAL_LEN 16
#define NAME_MAX_LEN 253
#define CN_MAX_LEN 64 /* ub-common-name */
#define DAY_S 86400
#define LIFETIME_S (90 * DAY_S)
#define YEAR_2050_S 2524608000 /* RFC 5280 4.1.2.5: UTCTime before, GeneralizedTime from then on */
/* Header bytes of the padding extension that are not padding. */
#define PADDING_OVERHEAD 33

/* AlgorithmIdentifier of Ed25519 (RFC 8410). */
static const uint8_t alg_ed25519[] = { 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70 };
static const uint8_t oid_cn[] = { 0x06, 0x03, 0x55, 0x04, 0x03 };
static const uint8_t oid_san[] = { 0x06, 0x03, 0x55, 0x1d, 0x11 };
/* 1.3.6.1.4.1.11129.2.4.2, the list of certificate timestamps of RFC 6962: opaque to its readers,
 * of any length, and in every certificate of a public authority.
 */
static const uint8_t oid_sct[] = { 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04,
				   0x01, 0xd6, 0x79, 0x02, 0x04, 0x02 };

/* Free space is [buf, buf + at); written bytes follow. at = SIZE_MAX: did not fit. */
struct der {
	uint8_t *buf;
	size_t at;
};

static uint8_t *der_room(struct der *d, size_t len)
{
	if (d->at == SIZE_MAX || len > d->at) {
		d->at = SIZE_MAX;
		return NULL;
	}
	d->at -= len;
	return d->buf + d->at;
}

static void der_put(struct der *d, const void *data, size_t len)
{
	uint8_t *p = der_room(d, len);

	if (p)
		memcpy(p, data, len);
}

static void der_put_u8(struct der *d, uint8_t v)
{
	der_put(d, &v, 1);
}

/* Where a value that is about to be written will end: for der_wrap(). */
static size_t der_mark(const struct der *d)
{
	return d->at;
}

/* Put tag and length before everything written since @mark. */
static void der_wrap(struct der *d, uint8_t tag, size_t mark)
{
	const size_t len = mark - d->at;

	if (d->at == SIZE_MAX)
		return;
	if (len < 0x80) {
		der_put_u8(d, (uint8_t)len);
	} else if (len < 0x100) {
		der_put_u8(d, (uint8_t)len);
		der_put_u8(d, 0x81);
	} else {
		der_put_u8(d, (uint8_t)len);
		der_put_u8(d, (uint8_t)(len >> 8));
		der_put_u8(d, 0x82);
	}
	der_put_u8(d, tag);
}

static void put_time(struct der *d, uint64_t unix_time_s)
{
	const bool generalized = unix_time_s >= YEAR_2050_S;
	const size_t mark = der_mark(d);
	const time_t t = (time_t)unix_time_s;
	const char *from;
	char text[32];
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm)) {
		d->at = SIZE_MAX;
		return;
	}
	from = generalized ? text : text + 2; /* UTCTime has two digits of the year */
	der_put(d, from, strlen(from));
	der_wrap(d, generalized ? DER_GENERALIZED_TIME : DER_UTC_TIME, mark);
}

static void put_validity(struct der *d, uint64_t unix_time_s, uint32_t random)
{
	/* Between 1 and 60 days old, issued at an odd second. */
	const uint64_t age_s = DAY_S + random % (59 * DAY_S);
	const uint64_t from_s = unix_time_s > age_s ? unix_time_s - age_s : 0;
	const size_t mark = der_mark(d);

	put_time(d, from_s + LIFETIME_S - 1);
	put_time(d, from_s);
	der_wrap(d, DER_SEQUENCE, mark);
}

static void put_name(struct der *d, const char *name, size_t len)
{
	const size_t mark = der_mark(d);
	const size_t cn_len = len < CN_MAX_LEN ? len : CN_MAX_LEN;

	der_put(d, name + len - cn_len, cn_len);
	der_wrap(d, DER_UTF8_STRING, mark);
	der_put(d, oid_cn, sizeof(oid_cn));
	der_wrap(d, DER_SEQUENCE, mark);
	der_wrap(d, DER_SET, mark);
	der_wrap(d, DER_SEQUENCE, mark);
}

static void put_public_key(struct der *d, const uint8_t public_key[32])
{
	const size_t mark = der_mark(d);

	der_put(d, public_key, 32);
	der_put_u8(d, 0); /* unused bits */
	der_wrap(d, DER_BIT_STRING, mark);
	der_put(d, alg_ed25519, sizeof(alg_ed25519));
	der_wrap(d, DER_SEQUENCE, mark);
}

static int put_padding(struct der *d, size_t len)
{
	const size_t mark = der_mark(d);
	uint8_t *p = der_room(d, len);

	if (p && gnutls_rnd(GNUTLS_RND_NONCE, p, len) < 0)
		return -EIO;
	/* SignedCertificateTimestampList: one opaque element. */
	der_put_u8(d, (uint8_t)len);
	der_put_u8(d, (uint8_t)(len >> 8));
	der_put_u8(d, (uint8_t)(len + 2));
	der_put_u8(d, (uint8_t)((len + 2) >> 8));
	der_wrap(d, DER_OCTET_STRING, mark);
	der_wrap(d, DER_OCTET_STRING, mark);
	der_put(d, oid_sct, sizeof(oid_sct));
	der_wrap(d, DER_SEQUENCE, mark);
	return 0;
}

static int put_extensions(struct der *d, const char *name, size_t name_len, size_t padding)
{
	const size_t mark = der_mark(d);
	size_t san;
	int err;

	if (padding) {
		err = put_padding(d, padding);
		if (err)
			return err;
	}
	san = der_mark(d);
	der_put(d, name, name_len);
	der_wrap(d, DER_DNS_NAME, san);
	der_wrap(d, DER_SEQUENCE, san);
	der_wrap(d, DER_OCTET_STRING, san);
	der_put(d, oid_san, sizeof(oid_san));
	der_wrap(d, DER_SEQUENCE, san);
	der_wrap(d, DER_SEQUENCE, mark);
	der_wrap(d, DER_CONTEXT_3, mark);
	return 0;
}

static int put_tbs(struct der *d, const uint8_t public_key[32], const char *name,
		   uint64_t unix_time_s, size_t padding)
{
	const size_t mark = der_mark(d), name_len = strlen(name);
	uint8_t random[SERIAL_LEN + 4];
	uint32_t age;
	size_t part;
	int err;

	if (gnutls_rnd(GNUTLS_RND_NONCE, random, sizeof(random)) < 0)
		return -EIO;
	memcpy(&age, random + SERIAL_LEN, sizeof(age));
	random[0] = (random[0] & 0x7f) | 0x40; /* positive, minimal */
	err = put_extensions(d, name, name_len, padding);
	if (err)
		return err;
	put_public_key(d, public_key);
	put_name(d, name, name_len); /* subject */
	put_validity(d, unix_time_s, age);
	put_name(d, name, name_len); /* issuer */
	der_put(d, alg_ed25519, sizeof(alg_ed25519));
	part = der_mark(d);
	der_put(d, random, SERIAL_LEN);
	der_wrap(d, DER_INTEGER, part);
	part = der_mark(d);
	der_put_u8(d, 2); /* v3 */
	der_wrap(d, DER_INTEGER, part);
	der_wrap(d, DER_CONTEXT_0, part);
	der_wrap(d, DER_SEQUENCE, mark);
	return 0;
}

/* One certificate with @padding bytes of padding, at the start of @out. Bytes or -errno. */
static ssize_t build(uint8_t *out, size_t cap, const uint8_t public_key[32], const char *name,
		     const uint8_t key[64], uint64_t unix_time_s, size_t padding)
{
	struct der d = { .buf = out, .at = cap };
	uint8_t mac[HS_SHA512_LEN], *signature;
	struct hs_bytes tbs;
	size_t len;
	int err;

	signature = der_room(&d, SIGNATURE_LEN);
	der_put_u8(&d, 0); /* unused bits */
	der_wrap(&d, DER_BIT_STRING, cap);
	der_put(&d, alg_ed25519, sizeof(alg_ed25519));
	len = d.at;
	err = put_tbs(&d, public_key, name, unix_time_s, padding);
	if (err)
		return err;
	if (d.at == SIZE_MAX)
		return -EMSGSIZE;
	tbs = (struct hs_bytes){ out + d.at, len - d.at };
	hs_hmac_sha512(mac, key, 64, &tbs, 1);
	memcpy(signature, mac, SIGNATURE_LEN);
	explicit_bzero(mac, sizeof(mac));
	der_wrap(&d, DER_SEQUENCE, cap);
	if (d.at == SIZE_MAX)
		return -EMSGSIZE;
	memmove(out, out + d.at, cap - d.at);
	return (ssize_t)(cap - d.at);
}

ssize_t hs_cert_build(uint8_t *out, size_t cap, const uint8_t public_key[32], const char *name,
		      const uint8_t key[64], uint64_t unix_time_s, size_t target_len)
{
	const size_t name_len = strlen(name);
	ssize_t len;

	if (!name_len || name_len > NAME_MAX_LEN || target_len > HS_CERT_MAX)
		return -EINVAL;
	if (cap > HS_CERT_MAX)
		cap = HS_CERT_MAX;
	len = build(out, cap, public_key, name, key, unix_time_s, 0);
	if (len < 0 || (size_t)len + PADDING_OVERHEAD >= target_len)
		return len;
	return build(out, cap, public_key, name, key, unix_time_s,
		     target_len - (size_t)len - PADDING_OVERHEAD);
}

/* The value of the next element if it has @tag and a minimal length; else a bad cursor. */
static struct hs_reader der_read(struct hs_reader *r, uint8_t tag)
{
	const uint8_t got = (uint8_t)hs_read_be(r, 1);
	uint64_t len = hs_read_be(r, 1);

	if (len == 0x81) {
		len = hs_read_be(r, 1);
		r->bad |= len < 0x80;
	} else if (len == 0x82) {
		len = hs_read_be(r, 2);
		r->bad |= len < 0x100;
	} else if (len >= 0x80) {
		r->bad = true;
	}
	r->bad |= got != tag;
	return hs_read_sub(r, len);
}

int hs_cert_verify(const uint8_t *der, size_t len, const uint8_t key[64])
{
	struct hs_reader outer = hs_reader(der, len), cert, tbs, signature;
	uint8_t mac[HS_SHA512_LEN];
	const uint8_t *alg;
	struct hs_bytes part;
	int err;

	cert = der_read(&outer, DER_SEQUENCE);
	part.data = cert.at;
	tbs = der_read(&cert, DER_SEQUENCE);
	if (tbs.bad)
		return -EBADMSG;
	part.len = (size_t)(tbs.at + tbs.left - (const uint8_t *)part.data);
	alg = hs_read(&cert, sizeof(alg_ed25519));
	signature = der_read(&cert, DER_BIT_STRING);
	if (!alg || memcmp(alg, alg_ed25519, sizeof(alg_ed25519)) || signature.bad ||
	    signature.left != 1 + SIGNATURE_LEN || hs_read_be(&signature, 1) != 0 ||
	    !hs_read_done(&cert) || !hs_read_done(&outer))
		return -EBADMSG;
	hs_hmac_sha512(mac, key, 64, &part, 1);
	err = gnutls_memcmp(mac, signature.at, SIGNATURE_LEN) ? -EKEYREJECTED : 0;
	explicit_bzero(mac, sizeof(mac));
	return err;
}
