// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Words for what a server answers: packet types, connection ID lengths, and, because everybody can
 * open Initials, their frames and the ServerHello. What is random by design (server connection IDs,
 * random, key share, reserved versions, acknowledgement delays) is left out.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <nettle/aes.h>
#include <nettle/gcm.h>

#include "initial.h"
#include "kdf.h"
#include "prober.h"
#include "reader.h"

static void say(struct pr_answer *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct pr_answer *a, const char *format, ...)
{
	const size_t used = strlen(a->text);
	va_list ap;

	va_start(ap, format);
	vsnprintf(a->text + used, sizeof(a->text) - used, format, ap);
	va_end(ap);
}

size_t pr_open_initial(uint8_t *out, const struct pr_side *s, const uint8_t *packet,
		       size_t pn_offset, size_t packet_len)
{
	static const uint8_t salt[] = {
		0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
		0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a
	};
	const struct hs_bytes cid = { s->key_cid, s->key_cid_len };
	uint8_t secret[32], server[32], key[16], iv[12], hp_key[16], mask[16], tag[16];
	uint8_t head[PR_DATAGRAM];
	struct gcm_aes128_ctx gcm;
	struct aes128_ctx hp;
	size_t pn_len, n;

	if (packet_len > sizeof(head) || packet_len < pn_offset + 20)
		return 0;
	hs_hkdf_extract(secret, salt, sizeof(salt), &cid, 1);
	hs_hkdf_expand_label(server, 32, secret, "server in");
	hs_hkdf_expand_label(key, 16, server, "quic key");
	hs_hkdf_expand_label(iv, 12, server, "quic iv");
	hs_hkdf_expand_label(hp_key, 16, server, "quic hp");
	aes128_set_encrypt_key(&hp, hp_key);
	aes128_encrypt(&hp, 16, mask, packet + pn_offset + 4);
	memcpy(head, packet, pn_offset + 4);
	head[0] ^= mask[0] & 0x0f;
	pn_len = (head[0] & 3) + 1;
	for (size_t i = 0; i < pn_len; i++) {
		head[pn_offset + i] ^= mask[1 + i];
		iv[12 - pn_len + i] ^= head[pn_offset + i];
	}
	n = packet_len - pn_offset - pn_len - 16;
	gcm_aes128_set_key(&gcm, key);
	gcm_aes128_set_iv(&gcm, sizeof(iv), iv);
	gcm_aes128_update(&gcm, pn_offset + pn_len, head);
	gcm_aes128_decrypt(&gcm, n, out, packet + pn_offset + pn_len);
	gcm_aes128_digest(&gcm, sizeof(tag), tag);
	return memcmp(tag, packet + packet_len - 16, 16) ? 0 : n;
}

static void describe_extensions(struct pr_answer *a, struct hs_reader r)
{
	while (r.left && !r.bad) {
		const unsigned int type = (unsigned int)hs_read_be(&r, 2);
		struct hs_reader body = hs_read_sub(&r, hs_read_be(&r, 2));

		if (type == 51)
			say(a, " share-group-%u/%zu", (unsigned int)hs_read_be(&body, 2),
			    body.left);
		else
			say(a, " ext-%u/%zu", type, body.left);
	}
}

static void describe_crypto(struct pr_answer *a, struct hs_reader r, uint64_t offset)
{
	const size_t len = r.left;

	if (offset || hs_read_be(&r, 1) != 2) {
		say(a, "CRYPTO %u+%zu,", (unsigned int)offset, len);
		return;
	}
	hs_read_be(&r, 3);
	hs_read_be(&r, 2);
	hs_read(&r, 32);
	say(a, "CRYPTO 0+%zu ServerHello id-%zu", len,
	    (size_t)hs_read_sub(&r, hs_read_be(&r, 1)).left);
	say(a, " suite-%04x", (unsigned int)hs_read_be(&r, 2));
	hs_read_be(&r, 1);
	describe_extensions(a, hs_read_sub(&r, hs_read_be(&r, 2)));
	say(a, ",");
}

static void describe_ack(struct pr_answer *a, struct hs_reader *r)
{
	const unsigned int largest = (unsigned int)hs_read_varint(r);
	uint64_t ranges;

	hs_read_varint(r);
	ranges = hs_read_varint(r);
	say(a, "ACK %u", largest);
	say(a, "-%u,", (unsigned int)hs_read_varint(r));
	for (; ranges && !r->bad; ranges--) {
		hs_read_varint(r);
		hs_read_varint(r);
	}
}

static void describe_ecn(struct pr_answer *a, struct hs_reader *r)
{
	const unsigned int ect0 = (unsigned int)hs_read_varint(r);
	const unsigned int ect1 = (unsigned int)hs_read_varint(r);

	say(a, "ECN %u %u %u,", ect0, ect1, (unsigned int)hs_read_varint(r));
}

static void describe_close(struct pr_answer *a, struct hs_reader *r)
{
	const unsigned int code = (unsigned int)hs_read_varint(r);
	const unsigned int frame = (unsigned int)hs_read_varint(r);
	struct hs_reader reason = hs_read_sub(r, hs_read_varint(r));

	say(a, "CLOSE %#x frame-%#x \"%.*s\",", code, frame, reason.bad ? 0 : (int)reason.left,
	    reason.bad ? "" : (const char *)reason.at);
}

static void describe_frames(struct pr_answer *a, const uint8_t *data, size_t len)
{
	struct hs_reader r = hs_reader(data, len);
	bool padded = false;

	while (r.left && !r.bad) {
		const unsigned int type = (unsigned int)hs_read_varint(&r);
		uint64_t offset;

		switch (type) {
		case 0x00:
			padded = true;
			break;
		case 0x01:
			say(a, "PING,");
			break;
		case 0x02:
		case 0x03:
			describe_ack(a, &r);
			if (type == 0x03)
				describe_ecn(a, &r);
			break;
		case 0x06:
			offset = hs_read_varint(&r);
			describe_crypto(a, hs_read_sub(&r, hs_read_varint(&r)), offset);
			break;
		case 0x1c:
			describe_close(a, &r);
			break;
		default:
			say(a, "frame-%#x", type);
			return;
		}
	}
	if (padded)
		say(a, "PADDING");
}

static void describe_versions(struct pr_answer *a, const uint8_t *data, size_t len)
{
	struct hs_reader r = hs_reader(data, len);
	unsigned int version, reserved = 0;
	const uint8_t *dcid, *scid;
	size_t dcid_len, scid_len;

	hs_read(&r, 5);
	dcid_len = (size_t)hs_read_be(&r, 1);
	dcid = hs_read(&r, dcid_len);
	scid_len = (size_t)hs_read_be(&r, 1);
	scid = hs_read(&r, scid_len);
	say(a, "VersionNegotiation %zu/%zu%s", dcid_len, scid_len, dcid && scid ? "" : " cut");
	while (r.left >= 4) {
		version = (unsigned int)hs_read_be(&r, 4);
		if ((version & 0x0f0f0f0f) == 0x0a0a0a0a)
			reserved++;
		else
			say(a, " %08x", version);
	}
	say(a, " +%u reserved", reserved);
}

static size_t describe_long(struct pr_answer *a, const struct pr_side *s, const uint8_t *data,
			    size_t len)
{
	static const char *const names[] = { "Initial", "0-RTT", "Handshake", "Retry" };
	uint8_t payload[PR_DATAGRAM];
	struct hs_long_header h;
	size_t n;

	if (hs_long_header_parse(data, len, &h)) {
		if (len > 5 && !memcmp(data + 1, "\0\0\0\0", 4))
			describe_versions(a, data, len);
		else
			say(a, "unreadable");
		return len;
	}
	say(a, "%s %zu/%zu", names[h.type], h.dcid_len, h.scid_len);
	if (h.type == 3)
		return len;
	a->sealed = true;
	if (h.type == 0) {
		n = pr_open_initial(payload, s, data, h.pn_offset, h.packet_len);
		say(a, " token-%zu {", h.token_len);
		if (n)
			describe_frames(a, payload, n);
		say(a, n ? "}" : "not opened}");
	}
	return h.packet_len;
}

void pr_describe(struct pr_answer *a, const struct pr_side *s, const uint8_t *data, size_t len)
{
	size_t used;

	a->len = len;
	a->text[0] = '\0';
	if (!len)
		say(a, "empty");
	for (; len; data += used, len -= used) {
		if (a->text[0])
			say(a, " | ");
		if (!(data[0] & 0x80)) {
			say(a, "short");
			return;
		}
		used = describe_long(a, s, data, len);
		if (!used || used > len)
			return;
	}
}
