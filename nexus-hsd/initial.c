// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Opens client Initial packets and hands their frames to the reassembly (initial.h). Keys of Initial
 * packets are public (anyone who sees the DCID has them), so nothing here is secret.
 *
 * Only what RFC 9000 17.2.2 and 12.4 allow in an Initial is accepted; a packet with anything else is
 * bad as a whole. Whether the datagram had the 1200 bytes that RFC 9000 14.1 demands is the caller's
 * question, as is what to do with packets of other types.
 */
#include <string.h>
#include <nettle/aes.h>
#include <nettle/gcm.h>

#include "initial.h"
#include "kdf.h"
#include "reader.h"
#include "reassembly.h"

/* More than any path MTU that a client can know at its first flight. */
#define PACKET_MAX 2048
#define TAG_LEN 16
#define SAMPLE_OFFSET 4
#define RESERVED_BITS 0x0c
#define IV_LEN 12

enum { FRAME_PADDING, FRAME_PING, FRAME_ACK, FRAME_ACK_ECN, FRAME_CRYPTO = 6, FRAME_CLOSE = 0x1c };

struct initial_keys {
	struct gcm_aes128_ctx gcm;
	struct aes128_ctx hp;
	uint8_t iv[IV_LEN];
};

/* RFC 9001 5.2 */
static void derive_keys(struct initial_keys *k, const uint8_t *dcid, size_t dcid_len)
{
	static const uint8_t salt[20] = {
		0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
		0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a,
	};
	const struct hs_bytes ikm = { dcid, dcid_len };
	uint8_t initial[32], client[32], key[16];

	hs_hkdf_extract(initial, salt, sizeof(salt), &ikm, 1);
	hs_hkdf_expand_label(client, sizeof(client), initial, "client in");
	hs_hkdf_expand_label(key, sizeof(key), client, "quic key");
	gcm_aes128_set_key(&k->gcm, key);
	hs_hkdf_expand_label(k->iv, sizeof(k->iv), client, "quic iv");
	hs_hkdf_expand_label(key, sizeof(key), client, "quic hp");
	aes128_set_encrypt_key(&k->hp, key);
}

/*
 * Open one packet into @plain (as long as the packet). Its length, or -1: too short, too long, does
 * not authenticate, reserved bits set.
 */
static int open_packet(struct initial_keys *k, const uint8_t *packet,
		       const struct hs_long_header *h, uint8_t plain[PACKET_MAX])
{
	uint8_t header[PACKET_MAX], mask[AES_BLOCK_SIZE], nonce[IV_LEN], tag[TAG_LEN];
	size_t pn_len, header_len, cipher_len;

	if (h->packet_len > PACKET_MAX ||
	    h->packet_len - h->pn_offset < SAMPLE_OFFSET + AES_BLOCK_SIZE)
		return -1;
	aes128_encrypt(&k->hp, sizeof(mask), mask, packet + h->pn_offset + SAMPLE_OFFSET);
	pn_len = ((packet[0] ^ mask[0]) & 3) + 1;
	header_len = h->pn_offset + pn_len;
	cipher_len = h->packet_len - header_len - TAG_LEN;
	memcpy(header, packet, header_len);
	header[0] ^= mask[0] & 0x0f;
	memcpy(nonce, k->iv, sizeof(nonce));
	for (size_t i = 0; i < pn_len; i++) {
		header[h->pn_offset + i] ^= mask[1 + i];
		/* In a client's first packets the truncated number is the number. */
		nonce[IV_LEN - pn_len + i] ^= header[h->pn_offset + i];
	}
	gcm_aes128_set_iv(&k->gcm, sizeof(nonce), nonce);
	gcm_aes128_update(&k->gcm, header_len, header);
	gcm_aes128_decrypt(&k->gcm, cipher_len, plain, packet + header_len);
	gcm_aes128_digest(&k->gcm, sizeof(tag), tag);
	if (memcmp(tag, packet + header_len + cipher_len, sizeof(tag)) || header[0] & RESERVED_BITS)
		return -1;
	return (int)cipher_len;
}

/* RFC 9000 19.3: every acknowledged number must be at least zero. */
static void skip_ack(struct hs_reader *r, bool ecn)
{
	uint64_t largest = hs_read_varint(r), count, first;

	hs_read_varint(r); /* delay */
	count = hs_read_varint(r);
	first = hs_read_varint(r);
	if (first > largest)
		r->bad = true;
	largest -= first;
	for (; count && !r->bad; count--) {
		const uint64_t gap = hs_read_varint(r), length = hs_read_varint(r);

		if (largest < gap + 2 || largest - gap - 2 < length)
			r->bad = true;
		largest -= gap + 2 + length;
	}
	for (int i = 0; ecn && i < 3; i++)
		hs_read_varint(r);
}

static bool take_crypto(struct hs_reassembly *ra, struct hs_reader *r)
{
	const uint64_t offset = hs_read_varint(r), len = hs_read_varint(r);
	const uint8_t *data = hs_read(r, len);

	return data && hs_reassembly_add(ra, offset, data, len);
}

/* Half of a client's first flight is this. */
static void skip_padding(struct hs_reader *r)
{
	while (r->left && *r->at == FRAME_PADDING) {
		r->at++;
		r->left--;
	}
}

static bool take_frames(struct hs_reassembly *ra, const uint8_t *plain, size_t len)
{
	struct hs_reader r = hs_reader(plain, len);

	if (!len)
		return false; /* RFC 9000 12.4: a packet holds at least one frame */
	while (r.left && !r.bad) {
		switch (hs_read_be(&r, 1)) {
		case FRAME_PADDING:
			skip_padding(&r);
			break;
		case FRAME_PING:
			break;
		case FRAME_ACK:
			skip_ack(&r, false);
			break;
		case FRAME_ACK_ECN:
			skip_ack(&r, true);
			break;
		case FRAME_CRYPTO:
			if (!take_crypto(ra, &r))
				return false;
			break;
		case FRAME_CLOSE:
			hs_read_varint(&r); /* error */
			hs_read_varint(&r); /* frame type */
			hs_read(&r, hs_read_varint(&r)); /* reason */
			break;
		default:
			return false;
		}
	}
	return !r.bad;
}

enum hs_initial_result hs_initial_feed(struct hs_reassembly *r, const uint8_t *data, size_t len,
				       const uint8_t *dcid, size_t dcid_len, size_t *ch_len)
{
	uint8_t plain[PACKET_MAX];
	struct initial_keys keys;
	struct hs_long_header h;
	bool have_keys = false;
	int plain_len;

	/* A short header ends the datagram's part that is ours. */
	for (size_t at = 0; at < len && data[at] & 0x80; at += h.packet_len) {
		if (hs_long_header_parse(data + at, len - at, &h))
			return HS_INITIAL_BAD;
		if (h.type != 0)
			continue;
		if (!have_keys)
			derive_keys(&keys, dcid, dcid_len);
		have_keys = true;
		plain_len = open_packet(&keys, data + at, &h, plain);
		if (plain_len < 0 || !take_frames(r, plain, (size_t)plain_len))
			return HS_INITIAL_BAD;
	}
	return hs_reassembly_state(r, ch_len);
}
