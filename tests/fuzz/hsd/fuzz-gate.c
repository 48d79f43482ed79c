// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The gate: DCID 20, SCID 20, ClientHello. A seed is a good flight for the fixed keys, so that every
 * check is reached; whatever is made of it, a second try is a replay and a refusal tells nothing.
 */
#include <string.h>

#include "elligator.h"
#include "fuzz-hsd.h"
#include "reality.h"

static struct hs_gate *new_gate(void)
{
	struct hs_reality_user u = { .name = "fuzz", .short_id = FUZZ_SHORT_ID };
	struct hs_gate *g = hs_gate_new(fuzz_server_secret, 90, 4);

	promise(g != NULL);
	/* Whatever the present key refuses is judged with an old one too. */
	promise(!hs_gate_set_old_key(g, fuzz_client_secret, FUZZ_NOW + 1));
	hs_x25519_base(u.public_key, fuzz_client_secret);
	promise(!hs_gate_add_user(g, &u));
	return g;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct hs_gate_result zero;
	static struct hs_gate *gate;
	struct hs_first_flight f = { .quic_version = 1, .dcid_len = 20, .scid_len = 20 };
	struct hs_gate_result r;
	enum hs_verdict v, begin;

	if (size < 40)
		return 0;
	if (!gate)
		gate = new_gate();
	f.dcid = data;
	f.scid = data + 20;
	f.client_hello = data + 40;
	f.client_hello_len = size - 40;
	f.random = size >= 46 ? data + 46 : NULL;
	begin = hs_gate_check_begin(gate, &f, FUZZ_NOW);
	v = hs_gate_check(gate, &f, FUZZ_NOW, &r);
	/* Who is let in was not sent away before. */
	promise(v != HS_ACCEPT || begin == HS_ACCEPT);
	if (v != HS_ACCEPT) {
		promise(!memcmp(&r, &zero, sizeof(r)));
		return 0;
	}
	promise(r.user && r.user->short_id == FUZZ_SHORT_ID);
	promise(hs_gate_check(gate, &f, FUZZ_NOW, &r) == HS_REJECT_REPLAY);
	hs_gate_free(gate); /* or the good seed would be a replay from now on */
	gate = NULL;
	return 0;
}
