// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The codec with the policy of every set: the first byte picks the set, the rest is a message. What
 * is accepted is walked the way the receivers do, and re-built: the copy must be accepted too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hs_proto.h"
#include "mon_proto.h"
#include "nlcodec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct nxa_set *const sets[] = {
	&nqd_top_set,	&nqd_device_set, &nqd_session_set, &nqd_cids_set,  &nqd_cid_set,
	&nqd_keys_set,	&nqd_route_set,	 &nqd_stats_set,   &nqd_caps_set,  &nqd_event_set,
	&nqd_debug_set, &hs_set,	 &hs_user_set,	   &hs_prefix_set, &hs_net_set,
	&hs_stats_set,	&mon_set,
};

static volatile uint64_t sink;

static void read_value(const struct nxa_policy *p, const struct nxa *a)
{
	switch (p->type) {
	case NXA_U8:
		sink += nxa_u8(a);
		break;
	case NXA_U16:
		sink += nxa_u16(a);
		break;
	case NXA_U32:
		sink += nxa_u32(a);
		break;
	case NXA_U64:
		sink += nxa_u64(a);
		break;
	case NXA_STRING:
		sink += strlen(nxa_str(a));
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t copy[1 << 17];
	struct nxa tb[64], again[64], each;
	const struct nxa_set *set;
	struct nxm_error e = { 0 };
	struct nxm_hdr hdr;
	const uint8_t *pos;
	struct nxm m;
	uint32_t seq;
	ssize_t len;
	int i;

	if (!size)
		return 0;
	set = sets[data[0] % (sizeof(sets) / sizeof(*sets))];
	data++;
	size--;
	nxm_parse_ack(data, size, &seq, &e);
	if (nxm_parse_hdr(data, size, &hdr, &e))
		return 0;
	if (nxa_parse(hdr.attrs, hdr.attrs_len, set, tb, data, &e)) {
		if (!e.err || !e.text[0])
			abort();
		return 0;
	}
	nxm_begin(&m, copy, sizeof(copy), &hdr);
	for (i = 1; i <= set->max; i++) {
		for (pos = NULL; nxa_next(hdr.attrs, hdr.attrs_len, i, &pos, &each);) {
			read_value(&set->policy[i], &each);
			if (set->policy[i].type == NXA_NEST)
				nxm_put_nest(&m, i, &each);
			else
				nxm_put(&m, i, each.data, each.len);
		}
	}
	len = nxm_end(&m);
	if (len < 0 || nxm_parse_hdr(copy, len, &hdr, &e) ||
	    nxa_parse(hdr.attrs, hdr.attrs_len, set, again, copy, &e))
		abort();
	for (i = 0; i <= set->max; i++)
		if (tb[i].present != again[i].present)
			abort();
	return 0;
}
