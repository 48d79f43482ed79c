// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client's first flight in two passes: GnuTLS makes the ClientHello (its random and its SCID
 * carry the credential), the tag over it becomes the DCID, and only then a connection with that
 * DCID exists and sends it.
 */
#include <errno.h>
#include "client.h"
#include "clock.h"
#include "hsd.h"
#include "tls.h"

static int first_flight(struct hs_conn *c)
{
	const struct hs_config *cfg = c->tunnel->config;
	struct hs_reality_attempt a;
	uint8_t dcid[HS_CID_LEN];
	int err;

	err = hs_reality_attempt_init(&a, &cfg->credential, hs_unix_time_s());
	if (err < 0)
		return err;
	err = hs_quic_client_params(c, a.scid);
	if (err == 0)
		err = hs_tls_new_client(c, cfg->server_names[0], a.random);
	if (err == 0)
		err = hs_tls_client_hello(c);
	if (err == 0)
		err = hs_reality_attempt_dcid(&a, NGTCP2_PROTO_VER_V1, c->client_hello,
					      c->client_hello_len, dcid);
	if (err == 0)
		err = hs_reality_cert_key(a.k1, c->client_hello, c->client_hello_len, c->cert_key);
	if (err == 0)
		err = hs_quic_new_client(c, dcid, a.scid);
	hs_reality_attempt_wipe(&a);
	c->has_psk = cfg->credential.has_psk;
	return err;
}

int hs_client_connect(struct hs_sock *sock, uint64_t attempt, const union hs_addr *remote)
{
	struct hs_conn *c;
	int err;

	c = hs_conn_new(sock, &sock->name, remote, false);
	if (!c)
		return -ENOMEM;
	c->attempt = attempt;
	err = first_flight(c);
	if (err < 0) {
		hs_conn_free(c);
		return err;
	}
	/* The flight leaves with the next turn of the loop, after the request was acknowledged. */
	hs_conn_wake_at(c, 0);
	return 0;
}
