// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Cover profiles as bytes and as text, see profile.h.
 *
 * The encoded form, numbers big endian: format 1 | learned_s 8 | name_hash 8 | cipher 2 | group 2 |
 * scid_len 1 | flags 1 | handshake_bytes 2 | flights 1, each a flight | repeats 1, each after_ms 2 and a
 * datagram | flight `finished`. A flight is datagrams 1, each a datagram; a datagram is packets 1,
 * each type 1 and bytes 2. It comes back from a cache, so it is read as hostile bytes are.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "cidtable.h"
#include "initial.h"
#include "kdf.h"
#include "profile.h"
#include "reader.h"
#include "suites.h"

#define FORMAT 1
#define FORM_LONG 0x80
#define FLAG_INITIAL_PADDED 1
#define FLAG_PADDING_FIRST 2
#define FLAG_RANDOM_PN 4
#define FLAG_LONG_LENGTH 8
#define FLAGS_ALL 15

static const char *const type_names[] = {
	[HS_PACKET_INITIAL] = "Initial",     [HS_PACKET_0RTT] = "0-RTT",
	[HS_PACKET_HANDSHAKE] = "Handshake", [HS_PACKET_RETRY] = "Retry",
	[HS_PACKET_1RTT] = "1-RTT",
};

void hs_profile_hash_name(uint8_t hash[HS_PROFILE_NAME_HASH_LEN], const char *name)
{
	const struct hs_bytes part = { name, strlen(name) };
	uint8_t full[32];

	hs_hkdf_extract(full, (const uint8_t *)"cover", 5, &part, 1);
	memcpy(hash, full, HS_PROFILE_NAME_HASH_LEN);
}

size_t hs_profile_dgram_bytes(const struct hs_profile_dgram *d)
{
	size_t i, sum = 0;

	for (i = 0; i < d->n_packets; i++)
		sum += d->packets[i].bytes;
	return sum;
}

bool hs_profile_cut(const uint8_t *data, size_t len, struct hs_profile_dgram *out)
{
	struct hs_long_header h;
	size_t at, part;

	memset(out, 0, sizeof(*out));
	if (len == 0 || len > HS_PROFILE_DGRAM_BYTES_MAX)
		return false;
	for (at = 0; at < len; at += part) {
		if (out->n_packets == HS_PROFILE_PACKETS_MAX)
			return false;
		out->packets[out->n_packets].type = HS_PACKET_1RTT;
		part = len - at;
		if (data[at] & FORM_LONG) {
			if (hs_long_header_parse(data + at, len - at, &h) < 0)
				return false;
			/* A Retry has no length: it is the rest (RFC 9000 17.2.5). */
			if (h.type != HS_PACKET_RETRY)
				part = h.packet_len;
			out->packets[out->n_packets].type = h.type;
		}
		if (part == 0)
			return false;
		out->packets[out->n_packets++].bytes = (uint16_t)part;
	}
	return true;
}

/* ---- bytes ---- */

struct out {
	uint8_t *at;
	size_t left;
	bool full;
};

static void put_be(struct out *o, uint64_t v, unsigned int n)
{
	if (o->left < n) {
		o->full = true;
		return;
	}
	o->left -= n;
	while (n--)
		*o->at++ = (uint8_t)(v >> 8 * n);
}

static void put_dgram(struct out *o, const struct hs_profile_dgram *d)
{
	unsigned int i;

	put_be(o, d->n_packets, 1);
	for (i = 0; i < d->n_packets; i++) {
		put_be(o, d->packets[i].type, 1);
		put_be(o, d->packets[i].bytes, 2);
	}
}

static void put_flight(struct out *o, const struct hs_profile_flight *f)
{
	unsigned int i;

	put_be(o, f->n_dgrams, 1);
	for (i = 0; i < f->n_dgrams; i++)
		put_dgram(o, &f->dgrams[i]);
}

static uint8_t flags_of(const struct hs_profile_style *s)
{
	return (s->initial_padded ? FLAG_INITIAL_PADDED : 0) |
	       (s->padding_first ? FLAG_PADDING_FIRST : 0) | (s->random_pn ? FLAG_RANDOM_PN : 0) |
	       (s->long_length ? FLAG_LONG_LENGTH : 0);
}

ssize_t hs_profile_encode(const struct hs_profile *p, uint8_t *out, size_t cap)
{
	struct out o = { .at = out, .left = cap };
	unsigned int i;

	put_be(&o, FORMAT, 1);
	put_be(&o, p->learned_s, 8);
	for (i = 0; i < sizeof(p->name_hash); i++)
		put_be(&o, p->name_hash[i], 1);
	put_be(&o, p->cipher, 2);
	put_be(&o, p->group, 2);
	put_be(&o, p->scid_len, 1);
	put_be(&o, flags_of(&p->style), 1);
	put_be(&o, p->handshake_bytes, 2);
	put_be(&o, p->n_flights, 1);
	for (i = 0; i < p->n_flights; i++)
		put_flight(&o, &p->flights[i]);
	put_be(&o, p->n_repeats, 1);
	for (i = 0; i < p->n_repeats; i++) {
		put_be(&o, p->repeats[i].after_ms, 2);
		put_dgram(&o, &p->repeats[i].dgram);
	}
	put_flight(&o, &p->finished);
	return o.full ? -EMSGSIZE : (ssize_t)(cap - o.left);
}

/* A number of things, at most @max. */
static uint8_t get_count(struct hs_reader *r, unsigned int min, unsigned int max)
{
	uint8_t n = (uint8_t)hs_read_be(r, 1);

	if (n < min || n > max)
		r->bad = true;
	return r->bad ? 0 : n;
}

static void get_dgram(struct hs_reader *r, struct hs_profile_dgram *d)
{
	unsigned int i;

	d->n_packets = get_count(r, 1, HS_PROFILE_PACKETS_MAX);
	for (i = 0; i < d->n_packets; i++) {
		d->packets[i].type = (uint8_t)hs_read_be(r, 1);
		d->packets[i].bytes = (uint16_t)hs_read_be(r, 2);
		if (d->packets[i].type > HS_PACKET_1RTT || d->packets[i].bytes == 0)
			r->bad = true;
	}
	if (hs_profile_dgram_bytes(d) > HS_PROFILE_DGRAM_BYTES_MAX)
		r->bad = true;
}

static void get_flight(struct hs_reader *r, struct hs_profile_flight *f, unsigned int min)
{
	unsigned int i;

	f->n_dgrams = get_count(r, min, HS_PROFILE_DGRAMS_MAX);
	for (i = 0; i < f->n_dgrams; i++)
		get_dgram(r, &f->dgrams[i]);
}

static void get_repeats(struct hs_reader *r, struct hs_profile *p)
{
	uint16_t before = 0;
	unsigned int i;

	p->n_repeats = get_count(r, 0, HS_PROFILE_REPEATS_MAX);
	for (i = 0; i < p->n_repeats; i++) {
		p->repeats[i].after_ms = (uint16_t)hs_read_be(r, 2);
		if (p->repeats[i].after_ms < before)
			r->bad = true;
		before = p->repeats[i].after_ms;
		get_dgram(r, &p->repeats[i].dgram);
	}
}

int hs_profile_decode(const uint8_t *data, size_t len, struct hs_profile *p)
{
	struct hs_reader r = hs_reader(data, len);
	const uint8_t *hash;
	unsigned int i;
	uint8_t flags;

	memset(p, 0, sizeof(*p));
	r.bad = hs_read_be(&r, 1) != FORMAT;
	p->learned_s = hs_read_be(&r, 8);
	hash = hs_read(&r, sizeof(p->name_hash));
	if (hash)
		memcpy(p->name_hash, hash, sizeof(p->name_hash));
	p->cipher = (uint16_t)hs_read_be(&r, 2);
	p->group = (uint16_t)hs_read_be(&r, 2);
	p->scid_len = get_count(&r, 0, HS_CID_LEN);
	flags = get_count(&r, 0, FLAGS_ALL);
	p->style.initial_padded = flags & FLAG_INITIAL_PADDED;
	p->style.padding_first = flags & FLAG_PADDING_FIRST;
	p->style.random_pn = flags & FLAG_RANDOM_PN;
	p->style.long_length = flags & FLAG_LONG_LENGTH;
	p->handshake_bytes = (uint16_t)hs_read_be(&r, 2);
	p->n_flights = get_count(&r, 1, HS_PROFILE_FLIGHTS_MAX);
	for (i = 0; i < p->n_flights; i++)
		get_flight(&r, &p->flights[i], 1);
	get_repeats(&r, p);
	get_flight(&r, &p->finished, 0);
	if (hs_read_done(&r) && p->learned_s != 0)
		return 0;
	memset(p, 0, sizeof(*p));
	return -EBADMSG;
}

/* ---- text ---- */

__attribute__((format(printf, 3, 4))) static void append(char *out, size_t cap, const char *fmt,
							 ...)
{
	size_t used = strlen(out);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out + used, cap - used, fmt, ap);
	va_end(ap);
}

static void dgram_text(const struct hs_profile_dgram *d, char *out, size_t cap)
{
	unsigned int i;

	append(out, cap, "%zu (", hs_profile_dgram_bytes(d));
	for (i = 0; i < d->n_packets; i++)
		append(out, cap, "%s%s %u", i ? " + " : "", type_names[d->packets[i].type],
		       d->packets[i].bytes);
	append(out, cap, ")");
}

void hs_profile_flight_text(const struct hs_profile_flight *f, char *out, size_t cap)
{
	unsigned int i;

	for (i = 0; i < f->n_dgrams; i++) {
		append(out, cap, "%s", i ? ", " : "");
		dgram_text(&f->dgrams[i], out, cap);
	}
	if (f->n_dgrams == 0)
		append(out, cap, "nothing");
}

static void hello_text(const struct hs_profile *p, char *out)
{
	const struct hs_suite *suite = hs_suite_find(p->cipher);
	const struct hs_group *group = hs_group_find(p->group);

	append(out, HS_PROFILE_TEXT_LEN, "ServerHello: ");
	if (suite)
		append(out, HS_PROFILE_TEXT_LEN, "%s, ", suite->name);
	else
		append(out, HS_PROFILE_TEXT_LEN, "cipher 0x%04x, ", p->cipher);
	if (group)
		append(out, HS_PROFILE_TEXT_LEN, "%s", group->name);
	else
		append(out, HS_PROFILE_TEXT_LEN, "group %u", p->group);
}

static void learned_text(const struct hs_profile *p, char *out)
{
	time_t t = (time_t)p->learned_s;
	char when[32] = "?";
	struct tm tm;

	if (gmtime_r(&t, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm);
	append(out, HS_PROFILE_TEXT_LEN, "learned: %s", when);
}

/* Line @i of the part with a line for each flight and repeat; false behind it. */
static bool flight_line(const struct hs_profile *p, unsigned int i, char *out)
{
	if (i < p->n_flights) {
		append(out, HS_PROFILE_TEXT_LEN, "first flight: ");
		hs_profile_flight_text(&p->flights[i], out, HS_PROFILE_TEXT_LEN);
		return true;
	}
	i -= p->n_flights;
	if (p->n_repeats == 0 && i == 0) {
		append(out, HS_PROFILE_TEXT_LEN, "unanswered: nothing is repeated");
		return true;
	}
	i -= p->n_repeats == 0;
	if (i < p->n_repeats) {
		append(out, HS_PROFILE_TEXT_LEN,
		       "unanswered, after %u ms: ", p->repeats[i].after_ms);
		dgram_text(&p->repeats[i].dgram, out, HS_PROFILE_TEXT_LEN);
		return true;
	}
	if (i > p->n_repeats)
		return false;
	append(out, HS_PROFILE_TEXT_LEN, "after the client's Finished: ");
	hs_profile_flight_text(&p->finished, out, HS_PROFILE_TEXT_LEN);
	return true;
}

bool hs_profile_line(const struct hs_profile *p, unsigned int i, char out[HS_PROFILE_TEXT_LEN])
{
	out[0] = '\0';
	if (p->learned_s == 0)
		return false;
	switch (i) {
	case 0:
		learned_text(p, out);
		return true;
	case 1:
		hello_text(p, out);
		return true;
	case 2:
		append(out, HS_PROFILE_TEXT_LEN, "server's connection ID: %u bytes", p->scid_len);
		return true;
	case 3:
		append(out, HS_PROFILE_TEXT_LEN, "Initial: %s, packet numbers from %s",
		       !p->style.initial_padded ? "no PADDING"
		       : p->style.padding_first ? "PADDING before CRYPTO"
						: "PADDING behind CRYPTO",
		       p->style.random_pn ? "a random one" : "0");
		return true;
	case 4:
		append(out, HS_PROFILE_TEXT_LEN, "Handshake: %u bytes of TLS", p->handshake_bytes);
		return true;
	default:
		return flight_line(p, i - 5, out);
	}
}

/* ---- differences ---- */

/* Short headers of a first flight beyond what we have something to say in: our IDs, three streams. */
#define SHORT_HEADERS_MAX 4

static bool has_type(const struct hs_profile *p, uint8_t type)
{
	unsigned int i, k, j;

	for (i = 0; i < p->n_flights; i++) {
		for (k = 0; k < p->flights[i].n_dgrams; k++) {
			for (j = 0; j < p->flights[i].dgrams[k].n_packets; j++) {
				if (p->flights[i].dgrams[k].packets[j].type == type)
					return true;
			}
		}
	}
	return false;
}

static unsigned int short_headers(const struct hs_profile_flight *f)
{
	unsigned int i, k, n = 0;

	for (i = 0; i < f->n_dgrams; i++) {
		for (k = 0; k < f->dgrams[i].n_packets; k++)
			n += f->dgrams[i].packets[k].type == HS_PACKET_1RTT;
	}
	return n;
}

static bool nothing_known(const struct hs_profile *p, char *out)
{
	append(out, HS_PROFILE_TEXT_LEN,
	       "nothing is known of the cover yet: handshakes have a shape of their own");
	return p->learned_s == 0;
}

static bool other_cipher(const struct hs_profile *p, char *out)
{
	append(out, HS_PROFILE_TEXT_LEN,
	       "ServerHello: the data plane does not have the cover's "
	       "cipher");
	return p->learned_s != 0 && !hs_suite_find(p->cipher);
}

static bool other_group(const struct hs_profile *p, char *out)
{
	append(out, HS_PROFILE_TEXT_LEN, "ServerHello: the cover's group is none of ours");
	return p->learned_s != 0 && !hs_group_find(p->group);
}

static bool short_scid(const struct hs_profile *p, char *out)
{
	append(out, HS_PROFILE_TEXT_LEN, "server's connection ID: %u bytes instead of %u",
	       HS_CID_MIN_LEN, p->scid_len);
	return p->learned_s != 0 && p->scid_len < HS_CID_MIN_LEN;
}

static bool retry(const struct hs_profile *p, char *out)
{
	append(out, HS_PROFILE_TEXT_LEN, "first flight: the cover sends Retry, we do not");
	return has_type(p, HS_PACKET_RETRY);
}

static bool many_short(const struct hs_profile *p, char *out)
{
	unsigned int i, n = 0;

	for (i = 0; i < p->n_flights; i++) {
		if (short_headers(&p->flights[i]) > n)
			n = short_headers(&p->flights[i]);
	}
	append(out, HS_PROFILE_TEXT_LEN,
	       "first flight: %d packets with a short header instead of %u", SHORT_HEADERS_MAX, n);
	return n > SHORT_HEADERS_MAX;
}

static bool finished(const struct hs_profile *p, char *out)
{
	append(out, HS_PROFILE_TEXT_LEN,
	       "after the client's Finished: our packets have the sizes of the tunnel, the cover "
	       "sends ");
	hs_profile_flight_text(&p->finished, out, HS_PROFILE_TEXT_LEN);
	return p->learned_s != 0;
}

bool hs_profile_difference(const struct hs_profile *p, unsigned int i,
			   char out[HS_PROFILE_TEXT_LEN])
{
	static bool (*const checks[])(const struct hs_profile *p, char *out) = {
		nothing_known, other_cipher, other_group, short_scid, retry, many_short, finished,
	};
	size_t k;

	for (k = 0; k < sizeof(checks) / sizeof(checks[0]); k++) {
		out[0] = '\0';
		if (checks[k](p, out) && i-- == 0)
			return true;
	}
	return false;
}
