// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nexus-hsd as the client of any QUIC server, for the handshake benchmark: it takes every
 * certificate, ignores what the server says on streams, and as soon as the handshake is confirmed it
 * closes the connection and reports "cancelled". Up to there, every packet is what a client of ours
 * sends. Linked with --wrap for the functions below.
 */
#include "nexus-hsd/certproof.h"
#include "nexus-hsd/conn.h"

int __wrap_hs_cert_verify(const uint8_t *der, size_t len, const uint8_t key[64]);
int __wrap_hs_stream_open(struct hs_conn *c);
int __real_ngtcp2_conn_client_new_versioned(ngtcp2_conn **out, const ngtcp2_cid *dcid,
					    const ngtcp2_cid *scid, const ngtcp2_path *path,
					    uint32_t version, int callbacks_version,
					    const ngtcp2_callbacks *callbacks, int settings_version,
					    const ngtcp2_settings *settings, int params_version,
					    const ngtcp2_transport_params *params,
					    const ngtcp2_mem *mem, void *arg);
int __wrap_ngtcp2_conn_client_new_versioned(ngtcp2_conn **out, const ngtcp2_cid *dcid,
					    const ngtcp2_cid *scid, const ngtcp2_path *path,
					    uint32_t version, int callbacks_version,
					    const ngtcp2_callbacks *callbacks, int settings_version,
					    const ngtcp2_settings *settings, int params_version,
					    const ngtcp2_transport_params *params,
					    const ngtcp2_mem *mem, void *arg);

int __wrap_hs_cert_verify(const uint8_t *der, size_t len, const uint8_t key[64])
{
	return 0;
}

/* Asked whenever the handshake is complete and no stream is open. */
int __wrap_hs_stream_open(struct hs_conn *c)
{
	if (c->confirmed)
		hs_conn_note_failure(c, HS_REASON_CANCELLED, "finished");
	return 0;
}

static int ignore_data(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t offset,
		       const uint8_t *data, size_t len, void *arg, void *stream_arg)
{
	return 0;
}

static int ignore_close(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t code, void *arg,
			void *stream_arg)
{
	return 0;
}

int __wrap_ngtcp2_conn_client_new_versioned(ngtcp2_conn **out, const ngtcp2_cid *dcid,
					    const ngtcp2_cid *scid, const ngtcp2_path *path,
					    uint32_t version, int callbacks_version,
					    const ngtcp2_callbacks *callbacks, int settings_version,
					    const ngtcp2_settings *settings, int params_version,
					    const ngtcp2_transport_params *params,
					    const ngtcp2_mem *mem, void *arg)
{
	ngtcp2_callbacks own = *callbacks;

	own.recv_stream_data = ignore_data;
	own.stream_close = ignore_close;
	return __real_ngtcp2_conn_client_new_versioned(out, dcid, scid, path, version,
						       callbacks_version, &own, settings_version,
						       settings, params_version, params, mem, arg);
}
