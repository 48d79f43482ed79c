// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The capsule exchange on stream 0: the client asks, the server answers what the configuration
 * gives this user, both end the stream. Called from ngtcp2's callbacks: it only fills c->stream and
 * c->net.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "conn.h"
#include "hsd.h"

#define MTU_MIN 576
#define MTU_MAX 65535

int hs_stream_open(struct hs_conn *c)
{
	struct hs_net request = { .mtu = c->tunnel->config->net.mtu, .dp_caps = 1 };
	struct hs_conn_stream *s = &c->stream;
	int64_t id;
	ssize_t n;

	s->tx = malloc(HS_CAPSULES_MAX);
	if (!s->tx)
		return -ENOMEM;
	n = hs_capsules_encode_request(&request, s->tx, HS_CAPSULES_MAX);
	if (n < 0)
		return (int)n;
	s->tx_len = (size_t)n;
	if (ngtcp2_conn_open_bidi_stream(c->quic, &id, NULL) != 0 || id != 0)
		return -EPROTO;
	s->opened = true;
	return 0;
}

/* The smaller of two limits where 0 means none. */
static uint32_t min_nonzero(uint32_t a, uint32_t b)
{
	if (a == 0 || b == 0)
		return a | b;
	return a < b ? a : b;
}

static bool mtu_ok(uint32_t mtu)
{
	return mtu == 0 || (mtu >= MTU_MIN && mtu <= MTU_MAX);
}

/* Server: what this user gets. */
static int answer(struct hs_conn *c, const struct hs_net *request)
{
	const struct hs_user *u = hs_tunnel_user(c->tunnel, c->short_id);
	struct hs_conn_stream *s = &c->stream;
	struct hs_net *net = c->net;
	ssize_t n;

	if (!u) {
		hs_conn_note_failure(c, HS_REASON_REFUSED_CONFIG, "the user is gone");
		return -1;
	}
	if (!mtu_ok(request->mtu)) {
		hs_conn_note_failure(c, HS_REASON_REFUSED_CONFIG, "the client asks for MTU %u",
				     request->mtu);
		return -1;
	}
	*net = c->tunnel->config->net;
	memcpy(net->addresses, u->addresses, sizeof(u->addresses));
	net->n_addresses = u->n_addresses;
	net->mtu = min_nonzero(net->mtu, request->mtu);
	s->tx = malloc(HS_CAPSULES_MAX);
	n = s->tx ? hs_capsules_encode_answer(net, s->tx, HS_CAPSULES_MAX) : -ENOMEM;
	if (n < 0) {
		hs_conn_note_failure(c, HS_REASON_REFUSED_CONFIG, "the answer does not fit: %s",
				     strerror((int)-n));
		return -1;
	}
	s->tx_len = (size_t)n;
	s->opened = true;
	return 0;
}

/* Client: is that something to work with? */
static int check_answer(struct hs_conn *c, const struct hs_net *net)
{
	if (net->n_addresses == 0) {
		hs_conn_note_failure(c, HS_REASON_REFUSED_CONFIG, "the server assigned no address");
		return -1;
	}
	if (!mtu_ok(net->mtu)) {
		hs_conn_note_failure(c, HS_REASON_REFUSED_CONFIG, "the server offers MTU %u",
				     net->mtu);
		return -1;
	}
	return 0;
}

static int received_all(struct hs_conn *c)
{
	struct hs_conn_stream *s = &c->stream;
	const char *error = "malformed";
	struct hs_net *heard;
	int err;

	heard = calloc(1, sizeof(*heard));
	c->net = calloc(1, sizeof(*c->net));
	if (!heard || !c->net) {
		hs_conn_note_failure(c, HS_REASON_PROTOCOL, "out of memory");
		free(heard);
		return -1;
	}
	if (hs_capsules_parse(s->rx, s->rx_len, heard, &error) < 0) {
		hs_conn_note_failure(c, HS_REASON_REFUSED_CONFIG, "capsules: %s", error);
		free(heard);
		return -1;
	}
	err = c->server ? answer(c, heard) : check_answer(c, heard);
	if (!c->server)
		*c->net = *heard;
	free(heard);
	return err;
}

int hs_stream_receive(struct hs_conn *c, const uint8_t *data, size_t len, bool fin)
{
	struct hs_conn_stream *s = &c->stream;

	if (s->rx_fin)
		return 0;
	if (!s->rx)
		s->rx = malloc(HS_CAPSULES_MAX);
	if (!s->rx || len > HS_CAPSULES_MAX - s->rx_len) {
		hs_conn_note_failure(c, HS_REASON_PROTOCOL, "stream 0 carries more than %d bytes",
				     HS_CAPSULES_MAX);
		return -1;
	}
	if (len > 0)
		memcpy(s->rx + s->rx_len, data, len);
	s->rx_len += len;
	if (!fin)
		return 0;
	s->rx_fin = true;
	return received_all(c);
}
