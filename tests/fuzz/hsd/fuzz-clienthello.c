// SPDX-License-Identifier: GPL-2.0-or-later
/* The ClientHello parser, and the transport parameters it finds. */
#include "clienthello.h"
#include "fuzz-hsd.h"

static void inside(const uint8_t *p, size_t n, const uint8_t *data, size_t size)
{
	promise(p >= data && n <= size && (size_t)(p - data) <= size - n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hs_client_hello ch;
	const uint8_t *scid;
	size_t scid_len;

	if (hs_client_hello_parse(data, size, &ch))
		return 0;
	promise(ch.random == data + 6 && ch.session_id_len <= 32);
	inside(ch.random, 32, data, size);
	if (ch.server_name)
		inside(ch.server_name, ch.server_name_len, data, size);
	if (!ch.transport_params)
		return 0;
	inside(ch.transport_params, ch.transport_params_len, data, size);
	if (!hs_tp_initial_scid(ch.transport_params, ch.transport_params_len, &scid, &scid_len))
		inside(scid, scid_len, ch.transport_params, ch.transport_params_len);
	return 0;
}
