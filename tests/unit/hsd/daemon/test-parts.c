// SPDX-License-Identifier: GPL-2.0-or-later
/* The small parts of nexus-hsd on their own: ranges, frames, IDs, addresses, flows, priorities. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "addr.h"
#include "budget.h"
#include "clock.h"
#include "cidtable.h"
#include "flow.h"
#include "frames.h"
#include "ranges.h"
#include "site.h"
#include "pending.h"
#include "timers.h"
#include "tls.h"
#include "tunnel.h"
#include "udp.h"

static bool contains(const struct hs_ranges *s, uint64_t pn)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (pn >= s->r[i].first && pn <= s->r[i].last)
			return true;
	}
	return false;
}

static void check_order(const struct hs_ranges *s)
{
	size_t i;

	assert_true(s->n <= NQD_RX_RANGES_MAX);
	for (i = 0; i < s->n; i++) {
		assert_true(s->r[i].first <= s->r[i].last);
		/* Descending and not even touching. */
		if (i > 0)
			assert_true(s->r[i].last + 1 < s->r[i - 1].first);
	}
}

static void ranges_merge(void **state)
{
	struct hs_ranges s = { 0 };

	hs_ranges_add(&s, 5);
	hs_ranges_add(&s, 7);
	hs_ranges_add(&s, 5);
	assert_int_equal(s.n, 2);
	hs_ranges_add(&s, 6);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.r[0].first, 5);
	assert_int_equal(s.r[0].last, 7);
	hs_ranges_add(&s, 4);
	hs_ranges_add(&s, 0);
	hs_ranges_add(&s, UINT64_MAX >> 2);
	assert_int_equal(s.n, 3);
	check_order(&s);
}

/* Random orders against a bitmap: nothing received is ever missing. */
static void ranges_against_model(void **state)
{
	static uint8_t model[2000];
	struct hs_ranges s;
	unsigned int round, i, pn;

	srand(1);
	for (round = 0; round < 50; round++) {
		memset(&s, 0, sizeof(s));
		memset(model, 0, sizeof(model));
		for (i = 0; i < 600; i++) {
			pn = (unsigned int)rand() % sizeof(model);
			model[pn] = 1;
			hs_ranges_add(&s, pn);
			check_order(&s);
		}
		for (pn = 0; pn < sizeof(model); pn++) {
			if (model[pn])
				assert_true(contains(&s, pn));
			/* What is taken for received without being so lies below every exact range. */
			else if (contains(&s, pn))
				assert_true(pn <= s.r[s.n - 1].last);
		}
	}
}

struct seen {
	unsigned int acks, cids;
	uint64_t largest, seq, retire;
};

static void saw_ack(void *arg, uint64_t largest)
{
	struct seen *s = arg;

	s->acks++;
	s->largest = largest;
}

static void saw_cid(void *arg, const struct hs_frame_cid *cid)
{
	struct seen *s = arg;

	s->cids++;
	s->seq = cid->seq;
	s->retire = cid->retire_prior_to;
	assert_int_equal(cid->id_len, 4);
	assert_memory_equal(cid->id, "abcd", 4);
	assert_memory_equal(cid->token, "0123456789abcdef", 16);
}

static int walk(const uint8_t *data, size_t len, struct seen *s)
{
	struct hs_frame_sink sink = { .ack = saw_ack, .new_cid = saw_cid, .arg = s };

	memset(s, 0, sizeof(*s));
	return hs_frames_walk(data, len, &sink);
}

/* One of every kind, then those of interest. */
static const uint8_t all_frames[] = "\x00\x00\x01" /* PADDING, PING */
				    "\x02\x0a\x00\x01\x00\x01\x02" /* ACK, 1 more range */
				    "\x03\x44\xd2\x00\x00\x00\x01\x02\x03" /* ACK_ECN, 1234 */
				    "\x04\x00\x01\x02\x05\x00\x01"
				    "\x06\x00\x02xx\x07\x01t"
				    "\x08\x00" /* replaced below: STREAM without length ends it */;

static void frames_walk(void **state)
{
	static const uint8_t tail[] = "\x0f\x00\x01\x02yy\x10\x01\x11\x00\x01\x12\x01\x13\x01"
				      "\x14\x01\x15\x00\x01\x16\x01\x17\x01\x19\x00"
				      "\x1a"
				      "12345678\x1b"
				      "12345678\x1e\x31\x01z"
				      "\x18\x05\x03\x04"
				      "abcd0123456789abcdef"
				      "\x30rest of the packet";
	uint8_t buf[256];
	size_t head = sizeof(all_frames) - 1 - 2, len;
	struct seen s;

	memcpy(buf, all_frames, head);
	memcpy(buf + head, tail, sizeof(tail) - 1);
	len = head + sizeof(tail) - 1;
	assert_int_equal(walk(buf, len, &s), 0);
	assert_int_equal(s.acks, 2);
	assert_int_equal(s.largest, 1234);
	assert_int_equal(s.cids, 1);
	assert_int_equal(s.seq, 5);
	assert_int_equal(s.retire, 3);
	assert_int_equal(walk(all_frames, sizeof(all_frames) - 1, &s), 0);
	assert_int_equal(walk(buf, 0, &s), 0);
}

static void frames_bad(void **state)
{
	static const uint8_t cid[] = "\x18\x05\x03\x04"
				     "abcd0123456789abcdef";
	uint8_t buf[64];
	struct seen s;
	size_t len;

	for (len = 1; len < sizeof(cid) - 1; len++)
		assert_int_equal(walk(cid, len, &s), -EBADMSG);
	assert_int_equal(walk(cid, len, &s), 0);
	memcpy(buf, cid, sizeof(cid));
	buf[3] = 0;
	assert_int_equal(walk(buf, sizeof(cid) - 1, &s), -EBADMSG);
	buf[3] = 21;
	assert_int_equal(walk(buf, sizeof(cid) - 1, &s), -EBADMSG);
	assert_int_equal(walk((const uint8_t *)"\x1f", 1, &s), -EBADMSG);
	assert_int_equal(walk((const uint8_t *)"\x40\x52", 2, &s), -EBADMSG);
	/* A range count that the packet cannot hold does not loop for it. */
	assert_int_equal(
		walk((const uint8_t *)"\x02\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00", 12, &s),
		-EBADMSG);
	assert_int_equal(s.acks, 0);
}

static void cid_table(void **state)
{
	static struct hs_cidtable t;
	static struct hs_cid_entry e[3000], extra;
	uint8_t id[HS_CID_LEN] = { 0 };
	size_t i;

	hs_cidtable_init(&t);
	for (i = 0; i < 3000; i++) {
		memcpy(id, &i, sizeof(i));
		assert_int_equal(hs_cidtable_add(&t, &e[i], HS_CID_CONN, &e[i], id, HS_CID_LEN), 0);
	}
	assert_int_equal(hs_cidtable_add(&t, &extra, HS_CID_TOMB, NULL, id, HS_CID_LEN), -EEXIST);
	assert_int_equal(hs_cidtable_add(&t, &extra, HS_CID_TOMB, NULL, id, 0), -EINVAL);
	assert_int_equal(hs_cidtable_add(&t, &extra, HS_CID_TOMB, NULL, id, 3), -EINVAL);
	assert_int_equal(hs_cidtable_add(&t, &extra, HS_CID_TOMB, NULL, id, 21), -EINVAL);
	assert_null(hs_cidtable_find(&t, id, HS_CID_LEN - 1));
	for (i = 0; i < 3000; i++) {
		memcpy(id, &i, sizeof(i));
		assert_ptr_equal(hs_cidtable_find(&t, id, HS_CID_LEN), &e[i]);
		hs_cidtable_del(&e[i]);
		hs_cidtable_del(&e[i]);
		assert_null(hs_cidtable_find(&t, id, HS_CID_LEN));
	}
}

static void add_cid(struct hs_cidtable *t, struct hs_cid_entry *e, const char *id)
{
	assert_int_equal(hs_cidtable_add(t, e, HS_CID_CONN, e, (const uint8_t *)id, strlen(id)), 0);
}

/* A short header's bytes: whose? */
static struct hs_cid_entry *whose(struct hs_cidtable *t, const char *bytes)
{
	return hs_cidtable_find_prefix(t, (const uint8_t *)bytes, strlen(bytes));
}

static bool ambiguous(struct hs_cidtable *t, const char *id)
{
	return hs_cidtable_ambiguous(t, (const uint8_t *)id, strlen(id));
}

/* IDs of several lengths live side by side; a short header's is found without its length. */
static void cid_table_of_mixed_lengths(void **state)
{
	static struct hs_cidtable t;
	struct hs_cid_entry four = { 0 }, eight = { 0 }, twenty = { 0 }, longer = { 0 };

	hs_cidtable_init(&t);
	add_cid(&t, &four, "abcd");
	add_cid(&t, &eight, "12345678");
	add_cid(&t, &twenty, "ABCDEFGHIJKLMNOPQRST");
	assert_ptr_equal(whose(&t, "abcd"), &four);
	assert_ptr_equal(whose(&t, "abcdefghijklmnopqrstuvwxyz"), &four);
	assert_ptr_equal(whose(&t, "12345678"), &eight);
	assert_ptr_equal(whose(&t, "123456789"), &eight);
	assert_ptr_equal(whose(&t, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), &twenty);
	assert_null(whose(&t, "1234567"));
	assert_null(whose(&t, "ABCDEFGHIJKLMNOPQRS"));
	assert_null(whose(&t, "abc"));
	assert_null(whose(&t, ""));
	assert_null(whose(&t, "abce"));
	/* A long header says how long its ID is. */
	assert_null(hs_cidtable_find(&t, (const uint8_t *)"abcdefgh", 8));
	assert_null(hs_cidtable_find(&t, (const uint8_t *)"abc", 3));
	assert_ptr_equal(hs_cidtable_find(&t, (const uint8_t *)"abcd", 4), &four);
	/* What a new ID must not be. */
	assert_true(ambiguous(&t, "abcd"));
	assert_true(ambiguous(&t, "abcdefgh"));
	assert_true(ambiguous(&t, "1234"));
	assert_true(ambiguous(&t, "ABCDEFGH"));
	assert_false(ambiguous(&t, "abce"));
	assert_false(ambiguous(&t, "1234567x"));
	/* A client's first ID is its own choice: the longer one is meant. */
	add_cid(&t, &longer, "abcdEFGHIJKLMNOPQRST");
	assert_ptr_equal(whose(&t, "abcdEFGHIJKLMNOPQRSTUV"), &longer);
	assert_ptr_equal(whose(&t, "abcdEFGHIJKLMNOPQRSx"), &four);
	hs_cidtable_del(&four);
	assert_null(whose(&t, "abcdEFGHIJKLMNOPQRSx"));
	assert_true(ambiguous(&t, "abcd"));
}

static union hs_addr v4(const char *text, uint16_t port)
{
	union hs_addr a = { .in = { .sin_family = AF_INET, .sin_port = htons(port) } };

	assert_int_equal(inet_pton(AF_INET, text, &a.in.sin_addr), 1);
	return a;
}

static union hs_addr v6(const char *text, uint16_t port)
{
	union hs_addr a = { .in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) } };

	assert_int_equal(inet_pton(AF_INET6, text, &a.in6.sin6_addr), 1);
	return a;
}

static void addresses(void **state)
{
	union hs_addr a = v4("192.0.2.1", 443), b = v4("192.0.2.200", 443),
		      c = v4("192.0.3.1", 443);
	union hs_addr d = v6("2001:db8:0:1200::1", 1), e = v6("2001:db8:0:12ff::2", 1);
	union hs_addr f = v6("2001:db8:0:1300::1", 1), g;
	char buf[HS_ADDR_STRLEN];

	assert_true(hs_addr_same_site(&a, &b));
	assert_false(hs_addr_same_site(&a, &c));
	assert_true(hs_addr_same_site(&d, &e));
	assert_false(hs_addr_same_site(&d, &f));
	assert_false(hs_addr_same_site(&a, &d));
	assert_false(hs_addr_equal(&a, &b));
	assert_int_equal(hs_addr_set(&g, &a, sizeof(a.in)), 0);
	assert_true(hs_addr_equal(&a, &g));
	assert_int_equal(hs_addr_set(&g, &a, sizeof(a.in) - 1), -EINVAL);
	assert_int_equal(hs_addr_set(&g, &a, sizeof(a.in6)), -EINVAL);
	assert_int_equal(hs_addr_set(&g, &a, 0), -EINVAL);
	assert_int_equal(hs_addr_set(&g, &a, 1), -EINVAL);
	assert_string_equal(hs_addr_str(&a, buf), "192.0.2.1:443");
	assert_string_equal(hs_addr_str(&d, buf), "[2001:db8:0:1200::1]:1");
}

/* Flows are bounded in all directions. */
static void flows_are_bounded(void **state)
{
	static const uint8_t data[1200];
	struct hs_long_header h = { .dcid_len = HS_CID_LEN, .scid_len = HS_CID_LEN };
	uint8_t dcid[HS_CID_LEN] = { 0 }, scid[HS_CID_LEN] = { 0 };
	struct hs_dgram d = { .local = v4("192.0.2.9", 443), .data = data, .len = sizeof(data) };
	struct hs_flow *fl = NULL, *last = NULL;
	struct hs_flows f;
	unsigned int i;

	hs_flows_init(&f);
	h.dcid = dcid;
	h.scid = scid;
	d.remote = v4("198.51.100.1", 1000);
	for (i = 0; i < HS_FLOWS_SITE_MAX; i++) {
		dcid[0] = (uint8_t)i;
		assert_null(hs_flow_find(&f, &d, &h));
		last = hs_flow_new(&f, &d, &h);
		assert_non_null(last);
		assert_ptr_equal(hs_flow_find(&f, &d, &h), last);
	}
	dcid[0] = 0xff;
	assert_null(hs_flow_new(&f, &d, &h));
	for (i = 0; f.n < HS_FLOWS_MAX; i++) {
		d.remote.in.sin_addr.s_addr = htonl(0x0a000001 + (i << 8));
		assert_non_null(hs_flow_new(&f, &d, &h));
	}
	d.remote = v4("203.0.113.1", 1);
	assert_null(hs_flow_new(&f, &d, &h));
	for (i = 0; i < HS_FLOW_DGRAMS_MAX; i++)
		assert_true(hs_flow_keep(last, &d, false));
	d.len = 1;
	assert_false(hs_flow_keep(last, &d, false));
	fl = TAILQ_FIRST(&f.list);
	d.len = HS_FLOW_BYTES_MAX + 1;
	assert_false(hs_flow_keep(fl, &d, false));
	hs_flows_clear(&f);
	assert_int_equal(f.n, 0);
}

static void priorities(void **state)
{
	gnutls_priority_t p;
	char out[HS_PRIORITY_MAX];

	assert_null(hs_tls_priority("", false, HS_TLS_HYBRID_GROUP, out, sizeof(out)));
	assert_non_null(strstr(out, "+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-CCM"));
	assert_int_equal(gnutls_priority_init(&p, out, NULL), 0);
	gnutls_priority_deinit(p);
	assert_null(hs_tls_priority("chacha20-poly1305, AES-256-GCM", true, HS_TLS_HYBRID_GROUP,
				    out, sizeof(out)));
	assert_non_null(strstr(out, ":+CHACHA20-POLY1305:+AES-256-GCM:"));
	assert_null(strstr(out, "AES-128"));
	assert_int_equal(gnutls_priority_init(&p, out, NULL), 0);
	gnutls_priority_deinit(p);
	assert_non_null(hs_tls_priority("aes-128-gcm aes-128-gcm", true, HS_TLS_HYBRID_GROUP, out,
					sizeof(out)));
	assert_non_null(
		hs_tls_priority("aes-128-gcmx", true, HS_TLS_HYBRID_GROUP, out, sizeof(out)));
	assert_non_null(hs_tls_priority("aes-128-gcm:%UNSAFE_RENEGOTIATION", true,
					HS_TLS_HYBRID_GROUP, out, sizeof(out)));
}

/* What the cover chooses comes first, if it is in the list; the rest stays, and behind a hybrid group. */
static void preferred(void **state)
{
	char list[HS_PRIORITY_MAX], out[HS_PRIORITY_MAX];
	gnutls_priority_t p;

	assert_null(hs_tls_priority("aes-128-gcm chacha20-poly1305", true, "GROUP-NOBODY-KNOWS",
				    list, sizeof(list)));
	hs_tls_prefer(list, 0x1303, 23, out, sizeof(out));
	assert_non_null(strstr(out, "-CIPHER-ALL:+CHACHA20-POLY1305:"));
	assert_non_null(strstr(out, "-GROUP-ALL:+GROUP-SECP256R1:"));
	assert_non_null(strstr(out, "+GROUP-X25519:"));
	assert_non_null(strstr(out, "%SERVER_PRECEDENCE"));
	assert_int_equal(gnutls_priority_init(&p, out, NULL), 0);
	gnutls_priority_deinit(p);
	/* Switched off, and unknown. */
	hs_tls_prefer(list, 0x1302, 0x0100, out, sizeof(out));
	assert_string_equal(out, list);
	hs_tls_prefer(list, 0, 0, out, sizeof(out));
	assert_string_equal(out, list);
	if (!hs_tls_offers_group(HS_TLS_HYBRID_GROUP))
		return;
	assert_null(hs_tls_priority("", true, HS_TLS_HYBRID_GROUP, list, sizeof(list)));
	hs_tls_prefer(list, 0x1301, 23, out, sizeof(out));
	assert_non_null(strstr(out, "-GROUP-ALL:+" HS_TLS_HYBRID_GROUP ":+GROUP-SECP256R1:"));
}

static void first_group(bool server, const char *hybrid_group, const char *expected)
{
	char out[HS_PRIORITY_MAX], *group;
	gnutls_priority_t p;

	assert_null(hs_tls_priority("aes-128-gcm aes-256-gcm chacha20-poly1305", server,
				    hybrid_group, out, sizeof(out)));
	assert_int_equal(gnutls_priority_init(&p, out, NULL), 0);
	gnutls_priority_deinit(p);
	/* Whole: nothing was cut off. */
	assert_non_null(strstr(out, server ? "%SERVER_PRECEDENCE" : "%DISABLE_TLS13_COMPAT_MODE"));
	group = strstr(out, "-GROUP-ALL:+");
	assert_non_null(group);
	group += strlen("-GROUP-ALL:+");
	assert_int_equal(strncmp(group, expected, strlen(expected)), 0);
	assert_int_equal(group[strlen(expected)], ':');
}

/* X448 stands for the hybrid group, which few a GnuTLS has yet. */
static void hybrid_group(void **state)
{
	bool has = hs_tls_offers_group(HS_TLS_HYBRID_GROUP);

	assert_true(hs_tls_offers_group("GROUP-X25519"));
	assert_true(hs_tls_offers_group("GROUP-X448"));
	assert_false(hs_tls_offers_group("GROUP-NOBODY-KNOWS"));
	assert_false(hs_tls_offers_group(""));
	first_group(false, "GROUP-X448", "GROUP-X448");
	first_group(true, "GROUP-X448", "GROUP-X448");
	first_group(false, "GROUP-NOBODY-KNOWS", "GROUP-SECP256R1");
	first_group(true, "GROUP-NOBODY-KNOWS", "GROUP-X25519");
	first_group(false, HS_TLS_HYBRID_GROUP, has ? HS_TLS_HYBRID_GROUP : "GROUP-SECP256R1");
	first_group(true, HS_TLS_HYBRID_GROUP, has ? HS_TLS_HYBRID_GROUP : "GROUP-X25519");
}

static union hs_addr site_v4(uint32_t site, uint8_t host)
{
	union hs_addr a = { .in = { .sin_family = AF_INET } };

	a.in.sin_addr.s_addr = htonl(site << 8 | host);
	return a;
}

static unsigned int takes(struct hs_budget *b, uint32_t site, unsigned int n, uint64_t now_ns)
{
	unsigned int taken = 0;

	for (unsigned int i = 0; i < n; i++) {
		union hs_addr a = site_v4(site, (uint8_t)i);

		taken += hs_budget_take(b, &a, false, now_ns);
	}
	return taken;
}

static void budget_of_a_site(void **state)
{
	struct hs_budget *b = malloc(sizeof(*b));
	const uint64_t t0 = 1000 * HS_NS_PER_S;
	union hs_addr six = { .in6 = { .sin6_family = AF_INET6 } };
	unsigned int n = 0;

	assert_int_equal(hs_budget_init(b), 0);
	hs_budget_set_limits(b, 100, 10);
	/* Whatever its hosts: one site. It gains with time, and never more than a second's worth. */
	assert_int_equal(takes(b, 7, 50, t0), 10);
	assert_int_equal(takes(b, 7, 50, t0), 0);
	assert_int_equal(takes(b, 8, 50, t0), 10);
	assert_int_equal(takes(b, 7, 50, t0 + HS_NS_PER_S / 2), 5);
	assert_int_equal(takes(b, 7, 50, t0 + 100 * HS_NS_PER_S), 10);
	/* IPv6: 56 bits count. */
	for (int i = 0; i < 50; i++) {
		six.in6.sin6_addr.s6_addr[7] = (uint8_t)i;
		n += hs_budget_take(b, &six, false, t0 + 200 * HS_NS_PER_S);
	}
	assert_int_equal(n, 10);
	six.in6.sin6_addr.s6_addr[6] = 1;
	assert_true(hs_budget_take(b, &six, false, t0 + 200 * HS_NS_PER_S));
	free(b);
}

static void budget_of_all(void **state)
{
	struct hs_budget *b = malloc(sizeof(*b));
	const uint64_t t0 = 1000 * HS_NS_PER_S;
	const union hs_addr known = site_v4(1, 1);
	unsigned int n = 0;

	assert_int_equal(hs_budget_init(b), 0);
	hs_budget_set_limits(b, 1000, 10);
	hs_budget_remember(b, &known, t0);
	/* A flood from more sites than the table has places, for three seconds. */
	for (uint32_t ms = 0; ms < 3000; ms++)
		for (uint32_t i = 0; i < 20; i++)
			n += takes(b, 100 + ms * 20 + i, 1, t0 + ms * HS_NS_PER_MS);
	assert_in_range(n, 3990, 4000);
	/* Strangers wait, known sites do not, for ten minutes. */
	assert_int_equal(takes(b, 2, 1, t0 + 2999 * HS_NS_PER_MS), 0);
	assert_int_equal(takes(b, 1, 50, t0 + 2999 * HS_NS_PER_MS), 10);
	for (uint32_t i = 0; i < 1000; i++)
		takes(b, 100 + i, 1, t0 + 601 * HS_NS_PER_S);
	assert_int_equal(takes(b, 1, 1, t0 + 601 * HS_NS_PER_S), 0);
	free(b);
}

#define TIMERS 300

/* Against a linear search, over random additions, changes and deletions. */
static void timers_against_model(void **state)
{
	static struct hs_timer t[TIMERS];
	struct hs_timers h = { 0 };
	unsigned int seed = 1, i, j, n = 0;
	uint64_t earliest;

	for (i = 0; i < 20000; i++) {
		j = (unsigned int)rand_r(&seed) % TIMERS;
		if (t[j].place == 0) {
			assert_int_equal(hs_timers_add(&h, &t[j], (uint64_t)rand_r(&seed) % 1000),
					 0);
			n++;
		} else if (rand_r(&seed) % 3 == 0) {
			hs_timers_del(&h, &t[j]);
			hs_timers_del(&h, &t[j]);
			n--;
		} else {
			hs_timers_set(&h, &t[j], (uint64_t)rand_r(&seed) % 1000);
		}
		earliest = UINT64_MAX;
		for (j = 0; j < TIMERS; j++) {
			if (t[j].place && t[j].at_ns < earliest)
				earliest = t[j].at_ns;
		}
		assert_int_equal(h.n, n);
		assert_true((hs_timers_first(&h) == NULL) == (n == 0));
		assert_true(n == 0 || hs_timers_first(&h)->at_ns == earliest);
	}
	hs_timers_free(&h);
}

static union hs_addr address(const char *text)
{
	union hs_addr a = { 0 };

	if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1) {
		a.sa.sa_family = AF_INET;
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &a.in6.sin6_addr), 1);
		a.sa.sa_family = AF_INET6;
	}
	return a;
}

static void sites_are_counted(void **state)
{
	const union hs_addr a = address("192.0.2.1"), b = address("192.0.2.200"),
			    other = address("192.0.3.1"), six = address("2001:db8:1:200::1"),
			    six_near = address("2001:db8:1:2ff::9"),
			    six_far = address("2001:db8:1:300::1");
	struct hs_pending_site *of_a, *of_b, *of_six;
	struct hs_pending s;

	hs_pending_init(&s);
	assert_int_equal(hs_pending_count(&s, &a), 0);
	of_a = hs_pending_get(&s, &a);
	of_b = hs_pending_get(&s, &b);
	of_six = hs_pending_get(&s, &six);
	assert_ptr_equal(of_a, of_b);
	assert_int_equal(hs_pending_count(&s, &b), 2);
	assert_int_equal(hs_pending_count(&s, &other), 0);
	assert_int_equal(hs_pending_count(&s, &six_near), 1);
	assert_int_equal(hs_pending_count(&s, &six_far), 0);
	hs_pending_put(of_a);
	assert_int_equal(hs_pending_count(&s, &a), 1);
	hs_pending_put(of_b);
	hs_pending_put(of_six);
	assert_int_equal(hs_pending_count(&s, &a), 0);
	assert_int_equal(hs_pending_count(&s, &six), 0);
}

/* A flood from some sites leaves the last half of the bucket to those that have been quiet. */
static void budget_of_quiet_sites(void **state)
{
	struct hs_budget *b = malloc(sizeof(*b));
	const uint64_t t0 = 1000 * HS_NS_PER_S;
	const union hs_addr busy = site_v4(100, 1), elsewhere = site_v4(500000, 1);
	unsigned int flood = 0, quiet = 0;

	assert_int_equal(hs_budget_init(b), 0);
	hs_budget_set_limits(b, 1000, 200);
	for (uint32_t ms = 0; ms < 30000; ms++) {
		for (uint32_t i = 0; i < 20; i++)
			flood += takes(b, 100 + (ms * 20 + i) % 300, 1, t0 + ms * HS_NS_PER_MS);
		/* Its sites are quiet ones themselves at first. */
		if (ms >= 1000 && ms % 100 == 99)
			quiet += takes(b, 100000 + ms, 1, t0 + ms * HS_NS_PER_MS);
	}
	assert_int_equal(quiet, 290);
	assert_in_range(flood, 30000 - 290, 31000);
	/* Behind with the reading, only these. */
	assert_true(hs_budget_take(b, &elsewhere, true, t0 + 31 * HS_NS_PER_S));
	assert_false(hs_budget_take(b, &busy, true, t0 + 31 * HS_NS_PER_S));
	assert_true(hs_budget_take(b, &busy, false, t0 + 31 * HS_NS_PER_S));
	free(b);
}

/* Few quiet sites are taken for busy ones, and no busy site for a quiet one. */
static void lately_of_sites(void **state)
{
	struct hs_lately *l = malloc(sizeof(*l));
	const uint64_t t0 = 1000 * HS_NS_PER_S, window_ns = HS_LATELY_WINDOW_S * HS_NS_PER_S;
	const union hs_addr busy = site_v4(5, 1);
	unsigned int mistaken = 0;
	bool quiet = true;

	assert_int_equal(hs_lately_init(l), 0);
	for (uint32_t i = 0; i < 30000; i++) {
		const union hs_addr a = site_v4(i, 1);

		for (int j = 0; j <= HS_LATELY_QUIET_MAX; j++)
			quiet = hs_lately_quiet(l, &a, t0);
		assert_false(quiet);
	}
	for (uint32_t i = 0; i < 10000; i++) {
		const union hs_addr a = site_v4(100000 + i, 1);

		mistaken += !hs_lately_quiet(l, &a, t0 + window_ns);
	}
	assert_in_range(mistaken, 1, 400);
	assert_false(hs_lately_quiet(l, &busy, t0 + window_ns));
	/* All is forgotten when nobody has asked for two windows. */
	assert_true(hs_lately_quiet(l, &busy, t0 + 3 * window_ns));
	free(l);
}

/* How datagrams of @fd that are larger than a packet are dealt with. */
static int mtu_discover_of(int fd, int family)
{
	int v = -1, level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	int name = family == AF_INET ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER;
	socklen_t len = sizeof(v);

	assert_int_equal(getsockopt(fd, level, name, &v, &len), 0);
	return v;
}

/* A process was killed while it sent in fragments: its successor's packets have DF all the same. */
static void sockets_of_a_predecessor(void **state)
{
	static const int families[] = { AF_INET, AF_INET6 };
	union hs_addr name;
	size_t i;
	int fd;

	for (i = 0; i < 2; i++) {
		fd = socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_true(fd >= 0);
		hs_udp_allow_fragments(fd, families[i], true);
		assert_int_equal(mtu_discover_of(fd, families[i]), IP_PMTUDISC_DONT);
		assert_int_equal(hs_udp_prepare(fd, &name), 0);
		assert_int_equal(mtu_discover_of(fd, families[i]), IP_PMTUDISC_PROBE);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(budget_of_a_site),
		cmocka_unit_test(budget_of_all),
		cmocka_unit_test(budget_of_quiet_sites),
		cmocka_unit_test(lately_of_sites),
		cmocka_unit_test(ranges_merge),
		cmocka_unit_test(ranges_against_model),
		cmocka_unit_test(frames_walk),
		cmocka_unit_test(frames_bad),
		cmocka_unit_test(cid_table),
		cmocka_unit_test(cid_table_of_mixed_lengths),
		cmocka_unit_test(addresses),
		cmocka_unit_test(flows_are_bounded),
		cmocka_unit_test(priorities),
		cmocka_unit_test(preferred),
		cmocka_unit_test(hybrid_group),
		cmocka_unit_test(timers_against_model),
		cmocka_unit_test(sites_are_counted),
		cmocka_unit_test(sockets_of_a_predecessor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
