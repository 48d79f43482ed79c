// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ClientHello (RFC 8446 4.1.2) and transport parameters (RFC 9000 18) as far as the gate looks: see
 * clienthello.h. Unknown ciphers, extensions, groups and parameters (GREASE included) are accepted;
 * only broken structure is refused.
 */
#include <errno.h>
#include <string.h>

#include "clienthello.h"
#include "reader.h"

enum {
	EXT_SERVER_NAME = 0,
	EXT_ALPN = 16,
	EXT_SUPPORTED_VERSIONS = 43,
	EXT_KEY_SHARE = 51,
	EXT_TRANSPORT_PARAMS = 57,
};

#define GROUP_X25519 0x001d
#define X25519_SHARE_LEN 32
/* An ML-KEM-768 encapsulation key, then an X25519 key (draft-ietf-tls-ecdhe-mlkem). */
#define GROUP_X25519MLKEM768 0x11ec
#define X25519MLKEM768_SHARE_LEN (1184 + X25519_SHARE_LEN)
#define TP_INITIAL_SCID 0x0f
#define CID_MAX 20

/* RFC 6066 3: at most one name of each type; only host names are defined. */
static bool parse_server_name(struct hs_reader *ext, struct hs_client_hello *ch)
{
	struct hs_reader list = hs_read_sub(ext, hs_read_be(ext, 2));

	if (!list.left)
		return false;
	while (list.left) {
		const uint8_t type = (uint8_t)hs_read_be(&list, 1);
		const size_t len = hs_read_be(&list, 2);
		const uint8_t *name = hs_read(&list, len);

		if (!name || !len || (type == 0 && ch->server_name))
			return false;
		if (type == 0) {
			ch->server_name = name;
			ch->server_name_len = len;
		}
	}
	return !list.bad;
}

static bool parse_alpn(struct hs_reader *ext, struct hs_client_hello *ch)
{
	struct hs_reader list = hs_read_sub(ext, hs_read_be(ext, 2));

	if (!list.left)
		return false;
	while (list.left) {
		const size_t len = hs_read_be(&list, 1);
		const uint8_t *name = hs_read(&list, len);

		if (!name || !len)
			return false;
		if (len == 2 && !memcmp(name, "h3", 2))
			ch->alpn_h3 = true;
	}
	return !list.bad;
}

static bool parse_supported_versions(struct hs_reader *ext, struct hs_client_hello *ch)
{
	struct hs_reader list = hs_read_sub(ext, hs_read_be(ext, 1));

	if (!list.left)
		return false;
	while (list.left) {
		if (hs_read_be(&list, 2) == 0x0304)
			ch->tls13 = true;
	}
	return !list.bad;
}

static bool parse_key_share(struct hs_reader *ext, struct hs_client_hello *ch)
{
	struct hs_reader list = hs_read_sub(ext, hs_read_be(ext, 2));

	while (list.left) {
		const uint16_t group = (uint16_t)hs_read_be(&list, 2);
		const size_t len = hs_read_be(&list, 2);

		if (!hs_read(&list, len) || !len)
			return false;
		if (group == GROUP_X25519 && len == X25519_SHARE_LEN)
			ch->x25519_share = true;
		if (group == GROUP_X25519MLKEM768 && len == X25519MLKEM768_SHARE_LEN)
			ch->hybrid_share = true;
	}
	return !list.bad;
}

static bool parse_extension(uint16_t type, struct hs_reader *ext, struct hs_client_hello *ch)
{
	switch (type) {
	case EXT_SERVER_NAME:
		return parse_server_name(ext, ch) && hs_read_done(ext);
	case EXT_ALPN:
		return parse_alpn(ext, ch) && hs_read_done(ext);
	case EXT_SUPPORTED_VERSIONS:
		return parse_supported_versions(ext, ch) && hs_read_done(ext);
	case EXT_KEY_SHARE:
		return parse_key_share(ext, ch) && hs_read_done(ext);
	case EXT_TRANSPORT_PARAMS:
		ch->transport_params = ext->at;
		ch->transport_params_len = ext->left;
		return true;
	default:
		return true;
	}
}

static bool parse_extensions(struct hs_reader *list, struct hs_client_hello *ch)
{
	uint8_t seen[65536 / 8] = { 0 };

	while (list->left) {
		const uint16_t type = (uint16_t)hs_read_be(list, 2);
		struct hs_reader ext = hs_read_sub(list, hs_read_be(list, 2));
		const uint8_t bit = (uint8_t)(1U << (type & 7));

		if (ext.bad || seen[type / 8] & bit || !parse_extension(type, &ext, ch))
			return false;
		seen[type / 8] |= bit;
	}
	return !list->bad;
}

int hs_client_hello_parse(const uint8_t *msg, size_t len, struct hs_client_hello *ch)
{
	struct hs_reader r = hs_reader(msg, len), list;
	size_t n;

	memset(ch, 0, sizeof(*ch));
	if (hs_read_be(&r, 1) != 1)
		goto bad;
	n = hs_read_be(&r, 3); /* on its own: what is left changes with it */
	if (n != r.left)
		goto bad;
	hs_read(&r, 2); /* legacy_version */
	ch->random = hs_read(&r, 32);
	ch->session_id_len = hs_read_be(&r, 1);
	if (ch->session_id_len > 32)
		goto bad;
	hs_read(&r, ch->session_id_len);
	n = hs_read_be(&r, 2); /* cipher_suites */
	if (!n || n % 2)
		goto bad;
	hs_read(&r, n);
	n = hs_read_be(&r, 1); /* legacy_compression_methods */
	if (!n)
		goto bad;
	hs_read(&r, n);
	list = hs_read_sub(&r, hs_read_be(&r, 2));
	if (!hs_read_done(&r) || !parse_extensions(&list, ch))
		goto bad;
	return 0;
bad:
	memset(ch, 0, sizeof(*ch));
	return -EBADMSG;
}

int hs_tp_initial_scid(const uint8_t *tp, size_t len, const uint8_t **scid, size_t *scid_len)
{
	struct hs_reader r = hs_reader(tp, len);
	const uint8_t *found = NULL;
	size_t found_len = 0;

	while (r.left) {
		const uint64_t id = hs_read_varint(&r), n = hs_read_varint(&r);
		const uint8_t *value = hs_read(&r, n);

		if (!value)
			return -EBADMSG;
		if (id != TP_INITIAL_SCID)
			continue;
		if (found || n > CID_MAX)
			return -EBADMSG;
		found = value;
		found_len = n;
	}
	if (r.bad)
		return -EBADMSG;
	if (!found)
		return -ENOENT;
	*scid = found;
	*scid_len = found_len;
	return 0;
}
