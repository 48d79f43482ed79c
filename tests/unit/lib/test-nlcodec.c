// SPDX-License-Identifier: GPL-2.0-or-later
/* The message codec: what it builds it parses, and what is not well-formed it refuses by name. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "hs_proto.h"
#include "mon_proto.h"
#include "nlcodec.h"
#include <linux/nexus_quic_dco.h>

#define HDR_LEN (NLMSG_HDRLEN + GENL_HDRLEN)

static const struct nxm_hdr req = { .type = NXM_FAMILY_DCO,
				    .flags = NLM_F_REQUEST | NLM_F_ACK,
				    .seq = 7,
				    .portid = 9,
				    .cmd = NQD_CMD_ADD_SESSION,
				    .version = 1 };

/* Parse a whole message as a receiver would. */
static int parse(const void *buf, ssize_t len, const struct nxa_set *set, struct nxa *tb,
		 struct nxm_error *e)
{
	struct nxm_hdr hdr;
	int err;

	assert_true(len >= 0);
	memset(e, 0, sizeof(*e));
	err = nxm_parse_hdr(buf, len, &hdr, e);
	if (err)
		return err;
	return nxa_parse(hdr.attrs, hdr.attrs_len, set, tb, buf, e);
}

static void expect_refusal(struct nxm *m, const struct nxa_set *set, int want, const char *word)
{
	struct nxa tb[64];
	struct nxm_error e;
	int err = parse(m->buf, nxm_end(m), set, tb, &e);

	assert_int_equal(err, want);
	assert_int_equal(e.err, want);
	if (!strstr(e.text, word))
		fail_msg("\"%s\" does not name %s", e.text, word);
}

static void round_trip(void **state)
{
	struct nxa tb[NQD_A_MAX + 1], s[NQD_A_SESSION_MAX + 1], again;
	const uint8_t *pos = NULL;
	uint8_t buf[512], addr[4] = { 10, 0, 0, 1 };
	struct nxm_error e;
	struct nxm_hdr hdr;
	struct nxm m;
	ssize_t len;
	size_t nest;
	int i;

	nxm_begin(&m, buf, sizeof(buf), &req);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, 0x1122334455667788);
	nxm_put_str(&m, NQD_A_SESSION_TUNNEL, "office");
	nxm_put_u8(&m, NQD_A_SESSION_ROLE, NQD_ROLE_SERVER);
	nxm_put_u16(&m, NQD_A_SESSION_CIPHER, NQD_CIPHER_AES_256_GCM);
	nxm_put_u32(&m, NQD_A_SESSION_PATH_MTU_BYTES, 1400);
	nxm_nest_end(&m, nest);
	for (i = 0; i < 3; i++) {
		addr[3] = i;
		nest = nxm_nest_begin(&m, NQD_A_ROUTE);
		nxm_put(&m, NQD_A_ROUTE_ADDR, addr, 4);
		nxm_put_u8(&m, NQD_A_ROUTE_PREFIX_LEN, 32);
		nxm_nest_end(&m, nest);
	}
	len = nxm_end(&m);
	assert_true(len > HDR_LEN && !(len & 3));

	assert_int_equal(nxm_parse_hdr(buf, len, &hdr, &e), 0);
	assert_int_equal(hdr.type, NXM_FAMILY_DCO);
	assert_int_equal(hdr.seq, 7);
	assert_int_equal(hdr.portid, 9);
	assert_int_equal(hdr.cmd, NQD_CMD_ADD_SESSION);
	assert_int_equal(nxa_parse(hdr.attrs, hdr.attrs_len, &nqd_top_set, tb, buf, &e), 0);
	assert_true(tb[NQD_A_SESSION].present && !tb[NQD_A_KEYS].present);
	assert_int_equal(nxa_parse_nest(&tb[NQD_A_SESSION], &nqd_session_set, s, buf, &e), 0);
	assert_true(nxa_u64(&s[NQD_A_SESSION_ID]) == 0x1122334455667788);
	assert_string_equal(nxa_str(&s[NQD_A_SESSION_TUNNEL]), "office");
	assert_int_equal(nxa_u8(&s[NQD_A_SESSION_ROLE]), NQD_ROLE_SERVER);
	assert_int_equal(nxa_u16(&s[NQD_A_SESSION_CIPHER]), NQD_CIPHER_AES_256_GCM);
	assert_int_equal(nxa_u32(&s[NQD_A_SESSION_PATH_MTU_BYTES]), 1400);
	for (i = 0; nxa_next(hdr.attrs, hdr.attrs_len, NQD_A_ROUTE, &pos, &again); i++) {
		struct nxa r[NQD_A_ROUTE_MAX + 1];

		assert_int_equal(nxa_parse_nest(&again, &nqd_route_set, r, buf, &e), 0);
		assert_int_equal(r[NQD_A_ROUTE_ADDR].data[3], i);
		if (!i)
			assert_ptr_equal(again.data, tb[NQD_A_ROUTE].data);
	}
	assert_int_equal(i, 3);
}

static void building_is_bounded(void **state)
{
	static uint8_t payload[65532], big[70000];
	uint8_t buf[HDR_LEN + 16];
	size_t cap;
	struct nxm m;

	for (cap = 0; cap <= sizeof(buf); cap++) {
		/* Exactly allocated, so that ASan sees a byte too many. */
		uint8_t *exact = malloc(cap ? cap : 1);

		nxm_begin(&m, exact, cap, &req);
		nxm_put(&m, 1, "abcde", 5);
		if (cap < HDR_LEN + 12)
			assert_int_equal(nxm_end(&m), -EMSGSIZE);
		else
			assert_int_equal(nxm_end(&m), HDR_LEN + 12);
		free(exact);
	}
	nxm_begin(&m, big, sizeof(big), &req);
	nxm_put(&m, 1, payload, 65532);
	nxm_put_u8(&m, 2, 1); /* the first error sticks */
	assert_int_equal(nxm_end(&m), -EMSGSIZE);

	nxm_begin(&m, big, sizeof(big), &req);
	cap = nxm_nest_begin(&m, 1);
	nxm_put(&m, 2, payload, 40000);
	nxm_put(&m, 2, payload, 26000);
	nxm_nest_end(&m, cap);
	assert_int_equal(nxm_end(&m), -EMSGSIZE);
}

static void headers_must_fit(void **state)
{
	struct nxm_error e;
	struct nxm_hdr hdr;
	uint8_t buf[64];
	struct nxm m;
	ssize_t len;
	size_t cut;

	nxm_begin(&m, buf, sizeof(buf), &req);
	nxm_put_u32(&m, 1, 1);
	len = nxm_end(&m);
	for (cut = 0; cut < (size_t)len; cut++) {
		uint8_t *exact = malloc(cut ? cut : 1);

		memcpy(exact, buf, cut);
		assert_int_equal(nxm_parse_hdr(exact, cut, &hdr, &e), -EBADMSG);
		free(exact);
	}
	assert_int_equal(nxm_parse_hdr(buf, len + 4, &hdr, &e), -EBADMSG);
	assert_int_equal(nxm_parse_hdr(buf, len, &hdr, &e), 0);
}

static void wrong_sizes_are_named(void **state)
{
	static const struct {
		uint16_t type;
		unsigned int len;
		int err;
		const char *name;
	} cases[] = {
		{ NQD_A_SESSION_ID, 4, -ERANGE, "NQD_A_SESSION_ID" },
		{ NQD_A_SESSION_ID, 9, -ERANGE, "NQD_A_SESSION_ID" },
		{ NQD_A_SESSION_ROLE, 4, -ERANGE, "NQD_A_SESSION_ROLE" },
		{ NQD_A_SESSION_CIPHER, 1, -ERANGE, "NQD_A_SESSION_CIPHER" },
		{ NQD_A_SESSION_FLAGS, 0, -ERANGE, "NQD_A_SESSION_FLAGS" },
		{ NQD_A_SESSION_LOCAL_ADDR, 15, -ERANGE, "NQD_A_SESSION_LOCAL_ADDR" },
		{ NQD_A_SESSION_LOCAL_ADDR, 29, -ERANGE, "NQD_A_SESSION_LOCAL_ADDR" },
		{ NQD_A_SESSION_CONTEXT_PREFIX, 17, -ERANGE, "NQD_A_SESSION_CONTEXT_PREFIX" },
		{ NQD_A_SESSION_TUNNEL, 0, -EINVAL, "NQD_A_SESSION_TUNNEL" },
		{ NQD_A_SESSION_TUNNEL, 5, -EINVAL, "NQD_A_SESSION_TUNNEL" },
		{ NQD_A_SESSION_RX_DATAGRAM, 0, -ERANGE, "NQD_A_SESSION_RX_DATAGRAM" },
		{ NQD_A_SESSION_MAX + 1, 4, -EOPNOTSUPP, "unknown attribute" },
		{ 0, 4, -EOPNOTSUPP, "unknown attribute" },
		{ NQD_ATTR_OPTIONAL_BASE - 1, 4, -EOPNOTSUPP, "unknown attribute" },
	};
	uint8_t zero[64] = { 0 }, buf[256];
	unsigned int i;
	struct nxm m;
	size_t nest;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		nxm_begin(&m, buf, sizeof(buf), &req);
		nest = nxm_nest_begin(&m, NQD_A_SESSION);
		nxm_put(&m, cases[i].type, zero, cases[i].len);
		nxm_nest_end(&m, nest);
		expect_refusal(&m, &nqd_top_set, cases[i].err, cases[i].name);
	}
}

static void values_have_bounds(void **state)
{
	static const struct {
		uint32_t v;
		bool good;
	} mtu[] = {
		{ 0, false }, { 1199, false }, { 1200, true }, { 65527, true }, { 65528, false }
	};
	struct nxa tb[NQD_A_SESSION_MAX + 1];
	struct nxm_error e;
	unsigned int i;
	uint8_t buf[64];
	struct nxm m;

	for (i = 0; i < sizeof(mtu) / sizeof(*mtu); i++) {
		nxm_begin(&m, buf, sizeof(buf), &req);
		nxm_put_u32(&m, NQD_A_SESSION_PATH_MTU_BYTES, mtu[i].v);
		if (mtu[i].good)
			assert_int_equal(parse(buf, nxm_end(&m), &nqd_session_set, tb, &e), 0);
		else
			expect_refusal(&m, &nqd_session_set, -ERANGE, "PATH_MTU_BYTES");
	}
}

static void repeats_and_optional(void **state)
{
	struct nxa tb[NQD_A_MAX + 1];
	struct nxm_error e;
	uint8_t buf[256];
	struct nxm m;
	size_t nest;

	nxm_begin(&m, buf, sizeof(buf), &req);
	nxm_nest_end(&m, nxm_nest_begin(&m, NQD_A_SESSION));
	nxm_nest_end(&m, nxm_nest_begin(&m, NQD_A_SESSION));
	expect_refusal(&m, &nqd_top_set, -EINVAL, "NQD_A_SESSION: given twice");

	nxm_begin(&m, buf, sizeof(buf), &req);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put(&m, NQD_ATTR_OPTIONAL_BASE, "xyz", 3);
	nxm_put_u64(&m, NQD_A_SESSION_ID, 1);
	nxm_put(&m, NQD_ATTR_OPTIONAL_BASE, "xyz", 3);
	nxm_nest_end(&m, nest);
	nxm_put_u64(&m, 0x3fff, 1);
	assert_int_equal(parse(buf, nxm_end(&m), &nqd_top_set, tb, &e), 0);
	assert_true(tb[NQD_A_SESSION].present);

	nxm_begin(&m, buf, sizeof(buf), &req);
	nxm_put_u32(&m, NQD_A_SESSION, 1);
	expect_refusal(&m, &nqd_top_set, -EINVAL, "NQD_A_SESSION: must be a nest");
	nxm_begin(&m, buf, sizeof(buf), &req);
	nxm_put_u64(&m, NQD_A_SESSION_ID | NLA_F_NESTED, 1);
	expect_refusal(&m, &nqd_session_set, -EINVAL, "NQD_A_SESSION_ID: not a nest");
	nxm_begin(&m, buf, sizeof(buf), &req);
	nxm_put(&m, NQD_A_SESSION_TUNNEL, "a\0b", 4);
	expect_refusal(&m, &nqd_session_set, -EINVAL, "NQD_A_SESSION_TUNNEL: NUL inside");
}

/* The message nexus-hsd sends about a cover: lines repeat, its bytes are bounded. */
static void cover_profile(void **state)
{
	static const uint8_t blob[1025];
	uint8_t buf[4096], text[257];
	struct nxa tb[HS_A_MAX + 1];
	struct nxm_error e;
	struct nxm m;

	memset(text, 'x', 256);
	text[256] = '\0';
	nxm_begin(&m, buf, sizeof(buf), &req);
	nxm_put_str(&m, HS_A_TUNNEL, "vpn");
	nxm_put(&m, HS_A_COVER_PROFILE, blob, 1024);
	nxm_put_str(&m, HS_A_TEXT, "a line");
	nxm_put_str(&m, HS_A_TEXT, "another");
	nxm_put_str(&m, HS_A_DIFFERENCE, (char *)text + 1);
	nxm_put_str(&m, HS_A_DIFFERENCE, "");
	assert_int_equal(parse(buf, nxm_end(&m), &hs_set, tb, &e), 0);
	assert_int_equal(tb[HS_A_COVER_PROFILE].len, 1024);
	nxm_begin(&m, buf, sizeof(buf), &req);
	nxm_put(&m, HS_A_COVER_PROFILE, blob, 1025);
	expect_refusal(&m, &hs_set, -ERANGE, "HS_A_COVER_PROFILE: length");
	nxm_begin(&m, buf, sizeof(buf), &req);
	nxm_put(&m, HS_A_COVER_PROFILE, blob, 0);
	expect_refusal(&m, &hs_set, -ERANGE, "HS_A_COVER_PROFILE: length");
	nxm_begin(&m, buf, sizeof(buf), &req);
	nxm_put(&m, HS_A_COVER_PROFILE, blob, 1);
	nxm_put(&m, HS_A_COVER_PROFILE, blob, 1);
	expect_refusal(&m, &hs_set, -EINVAL, "HS_A_COVER_PROFILE: given twice");
	nxm_begin(&m, buf, sizeof(buf), &req);
	nxm_put_str(&m, HS_A_DIFFERENCE, (char *)text);
	expect_refusal(&m, &hs_set, -ERANGE, "HS_A_DIFFERENCE: length");
}

/* Every length an attribute may claim inside a fixed message: never beyond its container. */
static void lengths_are_contained(void **state)
{
	struct nxa tb[NQD_A_MAX + 1];
	struct nxm_error e;
	unsigned int claim, at;
	struct nxm m;
	ssize_t len;
	size_t nest;

	for (at = 0; at < 2; at++) {
		for (claim = 0; claim < 64; claim++) {
			uint8_t buf[128], *exact;
			uint16_t v = claim;
			int err;

			nxm_begin(&m, buf, sizeof(buf), &req);
			nest = nxm_nest_begin(&m, NQD_A_SESSION);
			nxm_put_u64(&m, NQD_A_SESSION_ID, 1);
			nxm_nest_end(&m, nest);
			len = nxm_end(&m);
			memcpy(buf + HDR_LEN + at * NLA_HDRLEN, &v, 2);
			exact = malloc(len);
			memcpy(exact, buf, len);
			err = parse(exact, len, &nqd_top_set, tb, &e);
			/* Right values: the nest as it was or empty and followed by rubbish that
			 * is refused; the id as it was.
			 */
			if (claim == (at ? 12u : 16u))
				assert_int_equal(err, 0);
			else
				assert_true(err < 0 && e.text[0]);
			free(exact);
		}
	}
}

static const struct nxa_set loop_set;
static const struct nxa_policy loop_policy[] = {
	[1] = { .name = "LOOP", .type = NXA_NEST, .nest = &loop_set },
};
static const struct nxa_set loop_set = { .name = "loop_set", .max = 1, .policy = loop_policy };

static void depth_is_bounded(void **state)
{
	struct nxa tb[2];
	struct nxm_error e;
	size_t nests[64];
	uint8_t buf[512];
	int depth, i;
	struct nxm m;

	for (depth = 1; depth < 64; depth++) {
		nxm_begin(&m, buf, sizeof(buf), &req);
		for (i = 0; i < depth; i++)
			nests[i] = nxm_nest_begin(&m, 1);
		for (i = depth - 1; i >= 0; i--)
			nxm_nest_end(&m, nests[i]);
		if (depth < NXM_MAX_DEPTH)
			assert_int_equal(parse(buf, nxm_end(&m), &loop_set, tb, &e), 0);
		else
			expect_refusal(&m, &loop_set, -EINVAL, "LOOP: nested too deep");
	}
}

static void required_attributes(void **state)
{
	struct nxa tb[NQD_A_MAX + 1] = { 0 };
	struct nxm_error e = { 0 };

	assert_int_equal(nxa_require(tb, &nqd_top_set, NQD_A_KEYS, &e), -EINVAL);
	assert_string_equal(e.text, "missing NQD_A_KEYS");
	tb[NQD_A_KEYS].present = true;
	assert_int_equal(nxa_require(tb, &nqd_top_set, NQD_A_KEYS, &e), 0);
}

static void acks(void **state)
{
	struct nxm_error bad = { .err = -ESTALE, .offset = 24, .text = "NQD_A_SESSION_GENERATION" };
	struct nxm_error e;
	uint8_t buf[512];
	uint32_t seq = 0;
	ssize_t len, cut;

	len = nxm_build_ack(buf, sizeof(buf), &req, NULL);
	assert_true(len > 0);
	assert_int_equal(nxm_parse_ack(buf, len, &seq, &e), 0);
	assert_int_equal(seq, 7);

	len = nxm_build_ack(buf, sizeof(buf), &req, &bad);
	assert_int_equal(nxm_parse_ack(buf, len, &seq, &e), -ESTALE);
	assert_int_equal(e.err, -ESTALE);
	assert_int_equal(e.offset, 24);
	assert_string_equal(e.text, "NQD_A_SESSION_GENERATION");
	for (cut = 0; cut < len; cut++) {
		uint8_t *exact = malloc(cut ? cut : 1);

		memcpy(exact, buf, cut);
		assert_int_equal(nxm_parse_ack(exact, cut, &seq, &e), -EBADMSG);
		assert_int_equal(nxm_build_ack(exact, cut, &req, &bad), -EMSGSIZE);
		free(exact);
	}
	len = nxm_build_done(buf, sizeof(buf), &req);
	assert_true(len > 0);
	assert_int_equal(nxm_parse_ack(buf, len, &seq, &e), -EBADMSG);
	assert_int_equal(((struct nlmsghdr *)buf)->nlmsg_type, NLMSG_DONE);
}

/* Every table: numbered without a gap the header does not have, names set, nests complete. */
static void tables_are_complete(void **state)
{
	const struct nxa_set *sets[] = { &nqd_top_set,	 &nqd_device_set, &nqd_session_set,
					 &nqd_cids_set,	 &nqd_cid_set,	  &nqd_keys_set,
					 &nqd_route_set, &nqd_stats_set,  &nqd_caps_set,
					 &nqd_event_set, &nqd_debug_set,  &hs_set,
					 &hs_user_set,	 &hs_prefix_set,  &hs_net_set,
					 &hs_stats_set,	 &mon_set };
	unsigned int i, j;

	for (i = 0; i < sizeof(sets) / sizeof(*sets); i++) {
		assert_non_null(sets[i]->name);
		for (j = 1; j <= sets[i]->max; j++) {
			const struct nxa_policy *p = &sets[i]->policy[j];

			if (!p->name) {
				/* hs_set shares two numbers with the ABI; the rest begin at 16. */
				assert_true(sets[i] == &hs_set && j < 16);
				continue;
			}
			assert_int_not_equal(p->type, NXA_INVALID);
			assert_int_equal(p->type == NXA_NEST, p->nest != NULL);
		}
	}
	assert_int_equal(nqd_session_set.max, NQD_A_SESSION_MAX);
	assert_int_equal(nqd_stats_set.max, NQD_A_STATS_MAX);
	assert_int_equal(nqd_keys_set.max, NQD_A_KEYS_MAX);
	assert_int_equal(hs_set.max, HS_A_MAX);
	assert_int_equal(mon_set.max, MON_A_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(building_is_bounded),
		cmocka_unit_test(headers_must_fit),
		cmocka_unit_test(wrong_sizes_are_named),
		cmocka_unit_test(values_have_bounds),
		cmocka_unit_test(repeats_and_optional),
		cmocka_unit_test(cover_profile),
		cmocka_unit_test(lengths_are_contained),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(required_attributes),
		cmocka_unit_test(acks),
		cmocka_unit_test(tables_are_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
