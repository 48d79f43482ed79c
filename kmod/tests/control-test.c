// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit: the control side without netlink and without packets: policies, the table of sessions,
 * generations, connection IDs, reset tokens, the trie of allowed prefixes.
 */
#include <kunit/test.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "../nqd.h"

/* A namespace of nobody, with one socket that is never given back. */
struct scene {
	struct nqd_net nn;
	struct nqd_socket sock, other_sock;
	union nqd_addr peer, elsewhere;
};

static struct scene *open_scene(struct kunit *test)
{
	struct scene *sc = kunit_kzalloc(test, sizeof(*sc), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, sc);
	sc->nn.net = &init_net;
	mutex_init(&sc->nn.lock);
	INIT_LIST_HEAD(&sc->nn.devices);
	INIT_LIST_HEAD(&sc->nn.sockets);
	KUNIT_ASSERT_EQ(test, nqd_sessions_init_net(&sc->nn), 0);
	sc->sock.nn = &sc->nn;
	sc->sock.refs = 1000;
	sc->sock.bound.in.sin_family = AF_INET;
	sc->other_sock = sc->sock;
	sc->peer.in.sin_family = AF_INET;
	sc->peer.in.sin_addr.s_addr = htonl(0x0a000001);
	sc->peer.in.sin_port = htons(443);
	sc->elsewhere = sc->peer;
	sc->elsewhere.in.sin_port = htons(444);
	mutex_lock(&sc->nn.lock);
	return sc;
}

static void close_scene(struct kunit *test, struct scene *sc)
{
	mutex_unlock(&sc->nn.lock);
	nqd_sessions_exit_net(&sc->nn);
	/* Every use of the sockets has been given back. */
	KUNIT_EXPECT_EQ(test, sc->sock.refs, 1000);
	KUNIT_EXPECT_EQ(test, sc->other_sock.refs, 1000);
	KUNIT_EXPECT_EQ(test, sc->nn.n_sessions, 0);
	/* Its sessions are freed after a grace period. */
	rcu_barrier();
}

/* A session without engine on @sock, whose peer is @peer. */
static struct nqd_session *add(struct kunit *test, struct scene *sc, u64 id,
			       struct nqd_socket *sock, const union nqd_addr *peer)
{
	struct nqd_session *s = nqd_session_alloc(&sc->nn);

	KUNIT_ASSERT_NOT_NULL(test, s);
	s->id = id;
	s->generation = 1;
	KUNIT_ASSERT_EQ(test, nqd_session_add_socket(s, sock), 0);
	nqd_path_init(&s->paths[0], sock, &sock->bound, &sock->bound, peer);
	KUNIT_ASSERT_EQ(test, nqd_session_link(s), 0);
	return s;
}

static struct nq_cid make_cid(u8 fill, u8 len)
{
	struct nq_cid cid = { .len = len };

	memset(cid.id, fill, len);
	return cid;
}

/* ---- the table of sessions ---- */

static void session_table(struct kunit *test)
{
	struct scene *sc = open_scene(test);
	struct nqd_session *s[64], *twin;
	int i;

	for (i = 0; i < 64; i++)
		s[i] = add(test, sc, 1 + i * 0x100000001ULL, &sc->sock, &sc->peer);
	KUNIT_EXPECT_EQ(test, sc->nn.n_sessions, 64);
	for (i = 0; i < 64; i++)
		KUNIT_EXPECT_PTR_EQ(test, nqd_session_find(&sc->nn, 1 + i * 0x100000001ULL), s[i]);
	KUNIT_EXPECT_NULL(test, nqd_session_find(&sc->nn, 0));
	KUNIT_EXPECT_NULL(test, nqd_session_find(&sc->nn, 2));
	/* An id is one session's, and the refusal leaves no trace. */
	twin = nqd_session_alloc(&sc->nn);
	KUNIT_ASSERT_NOT_NULL(test, twin);
	twin->id = s[3]->id;
	KUNIT_EXPECT_EQ(test, nqd_session_link(twin), -EEXIST);
	nqd_session_free(twin);
	KUNIT_EXPECT_EQ(test, sc->nn.n_sessions, 64);
	for (i = 0; i < 64; i += 2)
		nqd_session_free(s[i]);
	for (i = 0; i < 64; i++)
		KUNIT_EXPECT_PTR_EQ(test, nqd_session_find(&sc->nn, 1 + i * 0x100000001ULL),
				    i % 2 ? s[i] : NULL);
	close_scene(test, sc);
}

/* What ended is told to the owner a bounded number of times. */
static void ended_sessions(struct kunit *test)
{
	struct scene *sc = open_scene(test);
	struct nqd_session *s;
	struct nqd_ended *e;
	u64 id, expected;

	for (id = 1; id <= NQD_ENDED_MAX + 10; id++) {
		s = add(test, sc, id, &sc->sock, &sc->peer);
		nqd_session_down(s, NQD_DOWN_IDLE_TIMEOUT, id, "test");
		KUNIT_EXPECT_EQ(test, nqd_session_state(s), NQD_SESSION_NO_KEYS);
		nqd_session_free(s);
	}
	KUNIT_EXPECT_EQ(test, sc->nn.n_ended, NQD_ENDED_MAX);
	expected = 11;
	list_for_each_entry(e, &sc->nn.ended, entry) {
		KUNIT_EXPECT_EQ(test, e->id, expected);
		KUNIT_EXPECT_EQ(test, e->down.code, expected);
		KUNIT_EXPECT_EQ(test, e->down.reason, NQD_DOWN_IDLE_TIMEOUT);
		expected++;
	}
	close_scene(test, sc);
}

/* ---- requests: generations, commands, policies ---- */

struct message {
	struct nqd_request r;
	u8 bytes[256];
};

static void put(struct message *m, u16 type, const void *data, u16 len)
{
	struct nlattr nla = { .nla_len = NLA_HDRLEN + len, .nla_type = type };

	memcpy(m->bytes + m->r.attrs_len, &nla, sizeof(nla));
	memcpy(m->bytes + m->r.attrs_len + NLA_HDRLEN, data, len);
	m->r.attrs_len += NLA_ALIGN(nla.nla_len);
}

static int parse(struct message *m)
{
	m->r.attrs = m->bytes;
	m->r.msg = m->bytes;
	m->r.e = (struct nxm_error){};
	return nxa_parse(m->r.attrs, m->r.attrs_len, &nqd_top_set, m->r.top, m->r.msg, &m->r.e);
}

/* NQD_A_SESSION with an id, and a generation if that is not 0. */
static int about_session(struct message *m, struct scene *sc, u64 id, u64 generation)
{
	u8 nest[2 * (NLA_HDRLEN + sizeof(u64))];
	struct message inner = {};

	put(&inner, NQD_A_SESSION_ID, &id, sizeof(id));
	if (generation)
		put(&inner, NQD_A_SESSION_GENERATION, &generation, sizeof(generation));
	memcpy(nest, inner.bytes, inner.r.attrs_len);
	memset(m, 0, sizeof(*m));
	m->r.nn = &sc->nn;
	put(m, NQD_A_SESSION | NLA_F_NESTED, nest, inner.r.attrs_len);
	return parse(m);
}

static void generations(struct kunit *test)
{
	struct message *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	struct nxa *a = kunit_kcalloc(test, NQD_A_SESSION_MAX + 1, sizeof(*a), GFP_KERNEL);
	struct scene *sc = open_scene(test);
	struct nqd_session *s;

	KUNIT_ASSERT_NOT_NULL(test, m);
	KUNIT_ASSERT_NOT_NULL(test, a);
	s = add(test, sc, 5, &sc->sock, &sc->peer);
	s->generation = 7;
	KUNIT_ASSERT_EQ(test, about_session(m, sc, 5, 0), 0);
	KUNIT_EXPECT_PTR_EQ(test, nqd_request_session(&m->r, a), s);
	KUNIT_ASSERT_EQ(test, about_session(m, sc, 5, 7), 0);
	KUNIT_EXPECT_PTR_EQ(test, nqd_request_session(&m->r, a), s);
	KUNIT_ASSERT_EQ(test, about_session(m, sc, 5, 6), 0);
	KUNIT_EXPECT_NULL(test, nqd_request_session(&m->r, a));
	KUNIT_EXPECT_EQ(test, m->r.e.err, -ESTALE);
	KUNIT_EXPECT_STREQ(test, m->r.e.text, "NQD_A_SESSION_GENERATION: the session is at 7");
	KUNIT_ASSERT_EQ(test, about_session(m, sc, 6, 7), 0);
	KUNIT_EXPECT_NULL(test, nqd_request_session(&m->r, a));
	KUNIT_EXPECT_EQ(test, m->r.e.err, -ENOENT);
	close_scene(test, sc);
}

static void policies(struct kunit *test)
{
	struct message *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	u8 level[NLA_ALIGN(NLA_HDRLEN + 1)] = { NLA_HDRLEN + 1, 0, NQD_A_DEBUG_LEVEL, 0, 4 };

	KUNIT_ASSERT_NOT_NULL(test, m);
	/* Unknown: refused below the base of optional ones, ignored from there on. */
	put(m, NQD_A_MAX + 1, "", 0);
	KUNIT_EXPECT_EQ(test, parse(m), -EOPNOTSUPP);
	memset(m, 0, sizeof(*m));
	put(m, NQD_ATTR_OPTIONAL_BASE, "", 0);
	KUNIT_EXPECT_EQ(test, parse(m), 0);
	/* A value out of its range is refused, and named. */
	memset(m, 0, sizeof(*m));
	put(m, NQD_A_DEBUG | NLA_F_NESTED, level, sizeof(level));
	KUNIT_EXPECT_EQ(test, parse(m), -ERANGE);
	KUNIT_EXPECT_NOT_NULL(test, strstr(m->r.e.text, "NQD_A_DEBUG_LEVEL"));
	KUNIT_EXPECT_EQ(test, m->r.e.offset, NLA_HDRLEN);
	/* Not a nest where one belongs; one attribute twice; one cut short. */
	memset(m, 0, sizeof(*m));
	put(m, NQD_A_DEBUG, level, sizeof(level));
	KUNIT_EXPECT_EQ(test, parse(m), -EINVAL);
	memset(m, 0, sizeof(*m));
	put(m, NQD_A_DEBUG | NLA_F_NESTED, "", 0);
	put(m, NQD_A_DEBUG | NLA_F_NESTED, "", 0);
	KUNIT_EXPECT_EQ(test, parse(m), -EINVAL);
	m->r.attrs_len -= 1;
	KUNIT_EXPECT_EQ(test, parse(m), -EINVAL);
	/* What a command needs and what it may not have. */
	memset(m, 0, sizeof(*m));
	KUNIT_EXPECT_EQ(test, parse(m), 0);
	KUNIT_EXPECT_EQ(test, nqd_check_command(NQD_CMD_GET_CAPS, m->r.top, &m->r.e), 0);
	KUNIT_EXPECT_EQ(test, nqd_check_command(NQD_CMD_SET_KEYS, m->r.top, &m->r.e), -EINVAL);
	put(m, NQD_A_DEBUG | NLA_F_NESTED, "", 0);
	KUNIT_EXPECT_EQ(test, parse(m), 0);
	KUNIT_EXPECT_EQ(test, nqd_check_command(NQD_CMD_SET_DEBUG, m->r.top, &m->r.e), 0);
	KUNIT_EXPECT_EQ(test, nqd_check_command(NQD_CMD_GET_CAPS, m->r.top, &m->r.e), -EINVAL);
}

/* ---- connection IDs ---- */

static struct nqd_session *whose(struct scene *sc, struct nqd_socket *sock, const u8 *id, u32 len,
				 const union nqd_addr *from)
{
	struct nqd_session *s;
	u32 id_len;

	rcu_read_lock();
	s = nqd_session_by_cid(sock, id, len, from, &id_len);
	rcu_read_unlock();
	return s;
}

static void connection_ids(struct kunit *test)
{
	struct nq_cid eight = make_cid(0x11, 8), twenty = make_cid(0x22, 20), cid;
	struct scene *sc = open_scene(test);
	struct nqd_session *a, *b;
	u8 wire[32];

	a = add(test, sc, 1, &sc->sock, &sc->peer);
	b = add(test, sc, 2, &sc->other_sock, &sc->peer);
	KUNIT_ASSERT_EQ(test, nqd_cid_add(a, &eight), 0);
	KUNIT_ASSERT_EQ(test, nqd_cid_add(a, &twenty), 0);
	KUNIT_EXPECT_EQ(test, nqd_cid_add(a, &eight), -EEXIST);
	cid = make_cid(0x33, 3);
	KUNIT_EXPECT_EQ(test, nqd_cid_add(a, &cid), -EINVAL);
	/* On another socket the same bytes are somebody else's. */
	KUNIT_ASSERT_EQ(test, nqd_cid_add(b, &eight), 0);
	memset(wire, 0x11, sizeof(wire));
	KUNIT_EXPECT_PTR_EQ(test, whose(sc, &sc->sock, wire, sizeof(wire), &sc->peer), a);
	KUNIT_EXPECT_PTR_EQ(test, whose(sc, &sc->sock, wire, 8, &sc->elsewhere), a);
	KUNIT_EXPECT_NULL(test, whose(sc, &sc->sock, wire, 7, &sc->peer));
	KUNIT_EXPECT_NULL(test, whose(sc, &sc->sock, wire, 3, &sc->peer));
	KUNIT_EXPECT_PTR_EQ(test, whose(sc, &sc->other_sock, wire, 8, &sc->peer), b);
	wire[7] ^= 1;
	KUNIT_EXPECT_NULL(test, whose(sc, &sc->sock, wire, sizeof(wire), &sc->peer));
	memset(wire, 0x22, sizeof(wire));
	KUNIT_EXPECT_PTR_EQ(test, whose(sc, &sc->sock, wire, 20, &sc->peer), a);
	nqd_session_free(a);
	KUNIT_EXPECT_NULL(test, whose(sc, &sc->sock, wire, 20, &sc->peer));
	memset(wire, 0x11, sizeof(wire));
	KUNIT_EXPECT_PTR_EQ(test, whose(sc, &sc->other_sock, wire, 8, &sc->peer), b);
	close_scene(test, sc);
}

/* Short IDs that meet are told apart by the address, long ones may not meet. */
static void short_connection_ids(struct kunit *test)
{
	struct nq_cid four = make_cid(0x44, 4), five = make_cid(0x44, 5),
		      twenty = make_cid(0x44, 20);
	struct nq_cid eight = make_cid(0x44, 8);
	struct scene *sc = open_scene(test);
	struct nqd_session *a, *b, *c;
	union nqd_addr third;
	u8 wire[32];

	third = sc->peer;
	third.in.sin_port = htons(445);
	a = add(test, sc, 1, &sc->sock, &sc->peer);
	b = add(test, sc, 2, &sc->sock, &sc->elsewhere);
	c = add(test, sc, 3, &sc->sock, &third);
	KUNIT_ASSERT_EQ(test, nqd_cid_add(a, &four), 0);
	KUNIT_ASSERT_EQ(test, nqd_cid_add(b, &five), 0);
	memset(wire, 0x44, sizeof(wire));
	KUNIT_EXPECT_PTR_EQ(test, whose(sc, &sc->sock, wire, 10, &sc->peer), a);
	KUNIT_EXPECT_PTR_EQ(test, whose(sc, &sc->sock, wire, 10, &sc->elsewhere), b);
	/* From nowhere known: the longer one is met by chance less often. */
	KUNIT_EXPECT_PTR_EQ(test, whose(sc, &sc->sock, wire, 10, &third), b);
	KUNIT_EXPECT_PTR_EQ(test, whose(sc, &sc->sock, wire, 4, &third), a);
	KUNIT_ASSERT_EQ(test, nqd_cid_add(c, &twenty), 0);
	KUNIT_EXPECT_EQ(test, nqd_cid_add(a, &eight), -EEXIST);
	/* All 20 bytes: certain. */
	KUNIT_EXPECT_PTR_EQ(test, whose(sc, &sc->sock, wire, 20, &third), c);
	close_scene(test, sc);
}

/* IDs of our own are unlike each other, and many are found. */
static void made_connection_ids(struct kunit *test)
{
	struct nq_cid *ids = kunit_kcalloc(test, 500, sizeof(*ids), GFP_KERNEL);
	struct scene *sc = open_scene(test);
	struct nqd_session *s;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, ids);
	s = add(test, sc, 1, &sc->sock, &sc->peer);
	for (i = 0; i < 500; i++) {
		ids[i].seq = i;
		ids[i].len = i % 2 ? 4 : 20;
		KUNIT_ASSERT_TRUE(test, nqd_cid_make(s, &ids[i]));
		KUNIT_ASSERT_EQ(test, nqd_cid_add(s, &ids[i]), 0);
	}
	for (i = 0; i < 500; i++)
		KUNIT_EXPECT_PTR_EQ(test, whose(sc, &sc->sock, ids[i].id, ids[i].len, &sc->peer),
				    s);
	close_scene(test, sc);
}

/* ---- the trie, against a list ---- */

#define MODEL_MAX 200

struct model {
	struct nqd_prefix p[MODEL_MAX];
	void *value[MODEL_MAX];
	bool reserved[MODEL_MAX];
	unsigned int n;
};

static bool prefix_covers(const struct nqd_prefix *p, u8 family_bits, const u8 *addr)
{
	unsigned int bytes = p->len / 8, rest = p->len % 8;

	if (p->family_bits != family_bits || memcmp(p->addr, addr, bytes))
		return false;
	return !rest || !((p->addr[bytes] ^ addr[bytes]) >> (8 - rest));
}

static void *model_lookup(const struct model *m, u8 family_bits, const u8 *addr)
{
	void *best = NULL;
	int longest = -1;
	unsigned int i;

	for (i = 0; i < m->n; i++) {
		if (m->reserved[i] || m->p[i].len <= longest ||
		    !prefix_covers(&m->p[i], family_bits, addr))
			continue;
		longest = m->p[i].len;
		best = m->value[i];
	}
	return best;
}

static int model_find(const struct model *m, const struct nqd_prefix *p)
{
	unsigned int i;

	for (i = 0; i < m->n; i++)
		if (m->p[i].family_bits == p->family_bits && m->p[i].len == p->len &&
		    prefix_covers(p, p->family_bits, m->p[i].addr))
			return i;
	return -1;
}

static void model_remove(struct model *m, unsigned int i)
{
	m->n--;
	m->p[i] = m->p[m->n];
	m->value[i] = m->value[m->n];
	m->reserved[i] = m->reserved[m->n];
}

/* Few different bits, so that prefixes are nested and meet. */
static void random_prefix(struct nqd_prefix *p)
{
	u8 r[4];

	get_random_bytes(r, sizeof(r));
	memset(p, 0, sizeof(*p));
	p->family_bits = r[0] % 2 ? 32 : 128;
	p->len = r[1] % (p->family_bits + 1);
	p->addr[0] = r[2] & 0xc1;
	p->addr[p->family_bits / 8 - 1] = r[3] & 0x81;
}

static void check_lookups(struct kunit *test, struct nqd_route_table *t, const struct model *m)
{
	int i;

	for (i = 0; i < 8; i++) {
		struct nqd_prefix at;
		void *found;

		random_prefix(&at);
		rcu_read_lock();
		found = at.family_bits == 32 ? nqd_route_lookup4(t, at.addr)
					     : nqd_route_lookup6(t, at.addr);
		rcu_read_unlock();
		KUNIT_EXPECT_PTR_EQ(test, found, model_lookup(m, at.family_bits, at.addr));
	}
}

static void allowed_prefixes(struct kunit *test)
{
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	struct nqd_route_table t = {};
	static u8 values[5];
	unsigned int round;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, m);
	for (round = 0; round < 3000; round++) {
		struct nqd_prefix p;
		void *value;
		u8 r[2];

		get_random_bytes(r, sizeof(r));
		random_prefix(&p);
		value = &values[r[0] % ARRAY_SIZE(values)];
		i = model_find(m, &p);
		KUNIT_EXPECT_PTR_EQ(test, nqd_route_get(&t, &p), i < 0 ? NULL : m->value[i]);
		if (r[1] % 8 < 4 && m->n < MODEL_MAX) {
			bool reserve = r[1] % 8 == 3;
			int err = reserve ? nqd_route_reserve(&t, &p, value)
					  : nqd_route_add(&t, &p, value);

			KUNIT_EXPECT_EQ(test, err, i < 0 || m->value[i] == value ? 0 : -EEXIST);
			if (i < 0) {
				m->p[m->n] = p;
				m->value[m->n] = value;
				m->reserved[m->n++] = reserve;
			}
		} else if (r[1] % 8 == 4 && i >= 0) {
			KUNIT_EXPECT_EQ(test, nqd_route_replace(&t, &p, value), 0);
			m->value[i] = value;
			m->reserved[i] = false;
		} else if (round % 500 == 499) {
			nqd_route_del_value(&t, value);
			for (i = m->n - 1; i >= 0; i--)
				if (m->value[i] == value)
					model_remove(m, i);
		} else {
			nqd_route_del(&t, &p, value);
			if (i >= 0 && m->value[i] == value)
				model_remove(m, i);
		}
		KUNIT_EXPECT_EQ(test, t.n_routes, m->n);
		check_lookups(test, &t, m);
	}
	for (i = 0; i < ARRAY_SIZE(values); i++)
		nqd_route_del_value(&t, &values[i]);
	KUNIT_EXPECT_EQ(test, t.n_routes, 0);
	KUNIT_EXPECT_NULL(test, t.v4);
	KUNIT_EXPECT_NULL(test, t.v6);
}

static struct kunit_case control_cases[] = { KUNIT_CASE(policies),
					     KUNIT_CASE(generations),
					     KUNIT_CASE(session_table),
					     KUNIT_CASE(ended_sessions),
					     KUNIT_CASE(connection_ids),
					     KUNIT_CASE(short_connection_ids),
					     KUNIT_CASE(made_connection_ids),
					     KUNIT_CASE(allowed_prefixes),
					     {} };

static bool started_here;

static int control_suite_init(struct kunit_suite *suite)
{
	started_here = !nqd_session_is_up();
	return started_here ? nqd_session_init() : 0;
}

static void control_suite_exit(struct kunit_suite *suite)
{
	if (started_here)
		nqd_session_exit();
}

static struct kunit_suite control_suite = {
	.name = "nexusq-control",
	.suite_init = control_suite_init,
	.suite_exit = control_suite_exit,
	.test_cases = control_cases,
};

kunit_test_suite(control_suite);
