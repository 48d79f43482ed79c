/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Total parser of a TLS ClientHello (RFC 8446 4.1.2) as the gate needs it; pointers into the message. */
#ifndef HS_CLIENTHELLO_H
#define HS_CLIENTHELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hs_client_hello {
	const uint8_t *random;		/* 32 bytes */
	const uint8_t *server_name;	/* not NUL-terminated; NULL if absent */
	size_t server_name_len;
	const uint8_t *transport_params; /* extension 0x39 */
	size_t transport_params_len;
	bool tls13;			/* supported_versions holds 0x0304 */
	bool alpn_h3;
	bool x25519_share;
	bool hybrid_share;		/* X25519MLKEM768 */
	size_t session_id_len;
};

/* 0 or -EBADMSG: truncated, trailing bytes, duplicate extension, length mismatch. */
int hs_client_hello_parse(const uint8_t *msg, size_t len, struct hs_client_hello *ch);

/* initial_source_connection_id (0x0f) of encoded transport parameters (RFC 9000 18). 0, -ENOENT, -EBADMSG. */
int hs_tp_initial_scid(const uint8_t *tp, size_t len, const uint8_t **scid, size_t *scid_len);

#endif /* HS_CLIENTHELLO_H */
