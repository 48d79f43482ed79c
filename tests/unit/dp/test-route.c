// SPDX-License-Identifier: GPL-2.0-or-later
/* The routing trie against a list that is searched from end to end; and "too big" messages. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "icmp.h"
#include "packets.h"
#include "route.h"

#define N 300

struct entry {
	struct nqd_prefix p;
	void *value;
};

static bool matches(const struct nqd_prefix *p, const u8 *addr)
{
	unsigned int i;

	for (i = 0; i < p->len; i++)
		if ((p->addr[i / 8] ^ addr[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static void *slow_lookup(const struct entry *e, unsigned int n, u8 bits, const u8 *addr)
{
	const struct entry *best = NULL;
	unsigned int i;

	for (i = 0; i < n; i++)
		if (e[i].value && e[i].p.family_bits == bits && matches(&e[i].p, addr) &&
		    (!best || e[i].p.len > best->p.len))
			best = &e[i];
	return best ? best->value : NULL;
}

/* Few different bits, so that prefixes nest and collide. */
static struct nqd_prefix random_prefix(void)
{
	struct nqd_prefix p = { .family_bits = rand() & 1 ? 32 : 128 };
	unsigned int i;

	for (i = 0; i < p.family_bits / 8u; i++)
		p.addr[i] = rand() & 3 ? 0 : rand() & 0x81;
	p.len = rand() % (p.family_bits + 1);
	return p;
}

static bool same_prefix(const struct nqd_prefix *a, const struct nqd_prefix *b)
{
	return a->family_bits == b->family_bits && a->len == b->len && matches(a, b->addr);
}

static void compare(const struct nqd_route_table *t, const struct entry *e, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < 200; i++) {
		struct nqd_prefix a = random_prefix();
		void *got = a.family_bits == 32 ? nqd_route_lookup4(t, a.addr)
						: nqd_route_lookup6(t, a.addr);

		assert_ptr_equal(got, slow_lookup(e, n, a.family_bits, a.addr));
	}
}

static void random_tables(void **state)
{
	static struct entry e[N];
	static char values[8];
	struct nqd_route_table t = { 0 };
	unsigned int i, j, live = 0;

	srand(2);
	for (i = 0; i < N; i++) {
		e[i].p = random_prefix();
		e[i].value = &values[rand() % 8];
		for (j = 0; j < i && !same_prefix(&e[i].p, &e[j].p); j++)
			;
		if (j < i) {
			assert_int_equal(nqd_route_add(&t, &e[i].p, e[i].value),
					 e[i].value == e[j].value ? 0 : -EEXIST);
			e[i].value = NULL;
		} else {
			assert_int_equal(nqd_route_add(&t, &e[i].p, e[i].value), 0);
			live++;
		}
		assert_int_equal(t.n_routes, live);
	}
	compare(&t, e, N);
	for (i = 0; i < N; i += 3) {
		if (!e[i].value)
			continue;
		assert_ptr_equal(nqd_route_get(&t, &e[i].p), e[i].value);
		nqd_route_del(&t, &e[i].p, &t); /* not its value: stays */
		assert_ptr_equal(nqd_route_get(&t, &e[i].p), e[i].value);
		nqd_route_del(&t, &e[i].p, e[i].value);
		assert_null(nqd_route_get(&t, &e[i].p));
		nqd_route_del(&t, &e[i].p, e[i].value);
		e[i].value = NULL;
		live--;
	}
	assert_int_equal(t.n_routes, live);
	compare(&t, e, N);
	for (j = 0; j < 8; j++) {
		nqd_route_del_value(&t, &values[j]);
		for (i = 0; i < N; i++)
			if (e[i].value == &values[j])
				e[i].value = NULL;
		compare(&t, e, N);
	}
	assert_int_equal(t.n_routes, 0);
	assert_null(t.v4);
	assert_null(t.v6);
}

/* A reserved prefix is somebody's for all but lookups. */
static void reservations(void **state)
{
	struct nqd_prefix net = { .family_bits = 32, .len = 8, .addr = { 10 } }, host = net, near,
			  far;
	struct nqd_route_table t = { 0 };
	char a, b;

	host.len = 32;
	near = far = host;
	near.addr[3] = 1;
	far.addr[3] = 0x80;
	assert_int_equal(nqd_route_reserve(&t, &host, &b), 0);
	assert_null(nqd_route_lookup4(&t, host.addr));
	assert_int_equal(nqd_route_add(&t, &net, &a), 0);
	assert_ptr_equal(nqd_route_lookup4(&t, host.addr), &a);
	assert_ptr_equal(nqd_route_get(&t, &host), &b);
	assert_int_equal(nqd_route_add(&t, &host, &a), -EEXIST);
	assert_int_equal(nqd_route_reserve(&t, &net, &b), -EEXIST);
	assert_ptr_equal(nqd_route_lookup4(&t, host.addr), &a);
	assert_int_equal(nqd_route_replace(&t, &host, &b), 0);
	assert_ptr_equal(nqd_route_lookup4(&t, host.addr), &b);
	/* Its node stays as a fork, and is somebody's again. */
	assert_int_equal(nqd_route_add(&t, &near, &a), 0);
	assert_int_equal(nqd_route_add(&t, &far, &a), 0);
	nqd_route_del(&t, &net, &a);
	net.len = 24;
	assert_int_equal(nqd_route_reserve(&t, &net, &b), 0);
	nqd_route_del_value(&t, &b);
	assert_int_equal(t.n_routes, 2);
	assert_null(nqd_route_lookup4(&t, host.addr));
	assert_int_equal(nqd_route_add(&t, &net, &a), 0);
	assert_ptr_equal(nqd_route_lookup4(&t, host.addr), &a);
	nqd_route_del_value(&t, &a);
	assert_null(t.v4);
}

static void edges(void **state)
{
	struct nqd_prefix all = { .family_bits = 32 }, host = { .family_bits = 32, .len = 32 };
	struct nqd_route_table t = { 0 };
	char a, b;

	memset(host.addr, 0xff, 4);
	assert_null(nqd_route_lookup4(&t, host.addr));
	assert_int_equal(nqd_route_add(&t, &host, &a), 0);
	assert_int_equal(nqd_route_add(&t, &all, &b), 0);
	assert_ptr_equal(nqd_route_lookup4(&t, host.addr), &a);
	assert_ptr_equal(nqd_route_lookup4(&t, (u8[]){ 1, 2, 3, 4 }), &b);
	/* Host bits do not matter. */
	all.addr[0] = 77;
	assert_ptr_equal(nqd_route_get(&t, &all), &b);
	nqd_route_del(&t, &all, &b);
	assert_null(nqd_route_lookup4(&t, (u8[]){ 1, 2, 3, 4 }));
	nqd_route_del(&t, &host, &a);
	assert_null(t.v4);
}

/* Allocations that still succeed; -1: all. */
static int allocations = -1;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	if (!allocations)
		return NULL;
	if (allocations > 0)
		allocations--;
	return __real_calloc(n, size);
}

/* All prefixes of a request or none, wherever memory ends; what others have stays theirs. */
static void claims(void **state)
{
	struct nqd_prefix p[] = {
		{ .addr = { 10 }, .family_bits = 32, .len = 8 },
		{ .addr = { 10, 1 }, .family_bits = 32, .len = 16 },
		{ .addr = { 10, 2 }, .family_bits = 32, .len = 16 },
		{ .addr = { 0xfd }, .family_bits = 128, .len = 8 },
	};
	struct nqd_claims all = { p, 4 };
	struct nqd_route_table t = { 0 };
	static char mine, other;
	unsigned int i, enough;
	int err;

	assert_int_equal(nqd_route_add(&t, &p[1], &other), 0);
	assert_int_equal(nqd_route_add(&t, &p[3], &mine), 0);
	for (enough = 0; enough < 10; enough++) {
		allocations = enough;
		err = nqd_claims_install(&t, &all, &mine, false);
		allocations = -1;
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_int_equal(t.n_routes, 2);
		assert_ptr_equal(nqd_route_get(&t, &p[1]), &other);
		assert_ptr_equal(nqd_route_get(&t, &p[3]), &mine);
	}
	assert_in_range(enough, 2, 4);
	assert_int_equal(t.n_routes, 4);
	for (i = 0; i < 4; i++)
		assert_ptr_equal(nqd_route_get(&t, &p[i]), i == 1 ? &other : &mine);
	i = 0;
	assert_ptr_equal(nqd_claims_rival(&t, &all, &mine, &i), &other);
	assert_int_equal(i, 2);
	assert_null(nqd_claims_rival(&t, &all, &mine, &i));
	assert_int_equal(nqd_claims_take(&t, &all, &mine), 0);
	assert_ptr_equal(nqd_route_get(&t, &p[1]), &mine);
	/* One that went meanwhile needs memory again. */
	nqd_route_del(&t, &p[2], &mine);
	allocations = 0;
	assert_int_equal(nqd_claims_take(&t, &all, &mine), 1);
	allocations = -1;
	nqd_route_del_value(&t, &mine);
	assert_int_equal(t.n_routes, 0);
}

static void too_big(void **state)
{
	struct flow f = { .udp = true };
	u8 pkt[2000], out[DP_ICMP_MAX_LEN];
	u32 len, n;

	n = make_packet(&f, pkt, 1400);
	len = dp_icmp_too_big(pkt, n, 1380, out);
	assert_int_equal(len, 28 + 548);
	assert_int_equal(naive_sum(0, out, 20), 0xffff);
	assert_int_equal(naive_sum(0, out + 20, len - 20), 0xffff);
	assert_memory_equal(out + 16, pkt + 12, 4);
	assert_int_equal(dp_get16(out + 26), 1380);
	assert_memory_equal(out + 28, pkt, 548);
	f.v6 = true;
	n = make_packet(&f, pkt, 1400);
	len = dp_icmp_too_big(pkt, n, 1380, out);
	assert_int_equal(len, 1280);
	assert_true(naive_l4_sum(out, len) == 0xffff);
	assert_int_equal(dp_get32(out + 44), 1380);
	/* No error about an error, nor to a group. */
	pkt[6] = IPPROTO_ICMPV6;
	pkt[40] = 1;
	assert_int_equal(dp_icmp_too_big(pkt, n, 1380, out), 0);
	f.v6 = false;
	n = make_packet(&f, pkt, 1400);
	pkt[9] = IPPROTO_ICMP;
	pkt[20] = 3;
	assert_int_equal(dp_icmp_too_big(pkt, n, 1380, out), 0);
	n = make_packet(&f, pkt, 1400);
	pkt[12] = 224;
	assert_int_equal(dp_icmp_too_big(pkt, n, 1380, out), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_tables), cmocka_unit_test(reservations),
		cmocka_unit_test(edges),	 cmocka_unit_test(claims),
		cmocka_unit_test(too_big),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
