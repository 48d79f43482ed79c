// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Preloaded into a nexus-hsd under test, or into that of a client in a system test: its ClientHello has one
 * more extension, of an unassigned number and as long as a key share of X25519MLKEM768, so that it takes two
 * datagrams. Servers ignore extensions they do not know (RFC 8446 4.2).
 */
#include <dlfcn.h>
#include <gnutls/gnutls.h>
#include <stddef.h>
#include <stdint.h>

#define EXTENSION 0xff51
#define EXTENSION_LEN 1216

static typeof(gnutls_session_ext_register) *real;

__attribute__((constructor)) static void find_real(void)
{
	real = dlsym(RTLD_NEXT, "gnutls_session_ext_register");
}

static int put(gnutls_session_t session, gnutls_buffer_t out)
{
	static const uint8_t zero[EXTENSION_LEN];

	return gnutls_buffer_append_data(out, zero, sizeof(zero)) < 0 ? -1 : 0;
}

static int ignore(gnutls_session_t session, const unsigned char *data, size_t len)
{
	return 0;
}

/* Called once for each session, for the transport parameters. */
int gnutls_session_ext_register(gnutls_session_t session, const char *name, int id,
				gnutls_ext_parse_type_t parse_point, gnutls_ext_recv_func recv_func,
				gnutls_ext_send_func send_func, gnutls_ext_deinit_data_func deinit,
				gnutls_ext_pack_func pack, gnutls_ext_unpack_func unpack,
				unsigned int flags)
{
	int rv = real(session, name, id, parse_point, recv_func, send_func, deinit, pack, unpack,
		      flags);

	if (rv < 0)
		return rv;
	return real(session, "long", EXTENSION, GNUTLS_EXT_TLS, ignore, put, NULL, NULL, NULL,
		    GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO);
}
