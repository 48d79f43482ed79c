// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The routing trie: see route.h.
 *
 * A node stands for a prefix. Its children continue with bit 0 or 1 behind it and are longer by at
 * least one bit. A node has a value, or it is a fork with two children: anything else is removed,
 * so there are fewer than twice as many nodes as routes. Addresses are two 64-bit words, most
 * significant bit first; IPv4 uses the upper half of the first.
 */
#include "route.h"

#ifdef __KERNEL__
#include <linux/compiler.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <asm/barrier.h>
#include <asm/byteorder.h>
#define be64toh(v) be64_to_cpu((__force __be64)(v))
#define new_mem(bytes) kzalloc(bytes, GFP_KERNEL_ACCOUNT)
#define free_node(n) kfree_rcu(n, rcu)
#define free_fresh(n) kfree(n)
/* A reader that sees the pointer sees what it points to. */
#define publish(link, n) smp_store_release(link, n)
#define reader(link) READ_ONCE(link)
#else
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#define new_mem(bytes) calloc(1, bytes)
#define free_node(n) free(n)
#define free_fresh(n) free(n)
#define publish(link, n) (*(link) = (n))
#define reader(link) (link)
#endif

struct nqd_route_node {
	struct nqd_route_node *child[2];
	void *value;
	u64 bits[2];
	u8 len;
	bool reserved; /* lookups do not see the value yet */
#ifdef __KERNEL__
	struct rcu_head rcu;
#endif
};

struct key {
	u64 w[2];
	u8 len;
};

static u64 load_be64(const u8 *p)
{
	u64 v;

	memcpy(&v, p, 8);
	return be64toh(v);
}

static u64 mask64(int len)
{
	return len <= 0 ? 0 : len >= 64 ? ~0ull : ~0ull << (64 - len);
}

static struct key make_key(const struct nqd_prefix *p)
{
	struct key k = { .len = p->len };
	u8 addr[16] = { 0 };

	memcpy(addr, p->addr, p->family_bits / 8);
	k.w[0] = load_be64(addr) & mask64(k.len);
	k.w[1] = load_be64(addr + 8) & mask64(k.len - 64);
	return k;
}

static unsigned int bit_at(const u64 *w, unsigned int i)
{
	return w[i / 64] >> (63 - i % 64) & 1;
}

static bool covers(const struct nqd_route_node *n, const u64 *w)
{
	return !((n->bits[0] ^ w[0]) & mask64(n->len)) &&
	       (n->len <= 64 || !((n->bits[1] ^ w[1]) & mask64(n->len - 64)));
}

/* Leading bits a node and a key share, at most the length of the shorter. */
static unsigned int common_bits(const struct nqd_route_node *n, const struct key *k)
{
	unsigned int max = n->len < k->len ? n->len : k->len, same;

	if (n->bits[0] != k->w[0])
		same = __builtin_clzll(n->bits[0] ^ k->w[0]);
	else if (n->bits[1] != k->w[1])
		same = 64 + __builtin_clzll(n->bits[1] ^ k->w[1]);
	else
		same = 128;
	return same < max ? same : max;
}

static struct nqd_route_node *new_node(const struct key *k, unsigned int len, void *value,
				       bool reserved)
{
	struct nqd_route_node *n = new_mem(sizeof(*n));

	if (!n)
		return NULL;
	n->bits[0] = k->w[0] & mask64(len);
	n->bits[1] = k->w[1] & mask64((int)len - 64);
	n->len = len;
	n->value = value;
	n->reserved = reserved;
	return n;
}

/* The link to the node of exactly @k, or to where it would be; *path is the link above it. */
static struct nqd_route_node **find(struct nqd_route_node **link, const struct key *k,
				    struct nqd_route_node ***path)
{
	*path = NULL;
	while (*link && (*link)->len < k->len && covers(*link, k->w)) {
		*path = link;
		link = &(*link)->child[bit_at(k->w, (*link)->len)];
	}
	return link;
}

static bool is_key(const struct nqd_route_node *n, const struct key *k)
{
	return n && n->len == k->len && n->bits[0] == k->w[0] && n->bits[1] == k->w[1];
}

/* Put a new node for @k in place of *link, which is not above it. */
static int insert(struct nqd_route_node **link, const struct key *k, void *value, bool reserved)
{
	struct nqd_route_node *old = *link, *leaf = new_node(k, k->len, value, reserved), *fork;
	unsigned int common;

	if (!leaf)
		return -ENOMEM;
	if (!old) {
		publish(link, leaf);
		return 0;
	}
	common = common_bits(old, k);
	if (common == k->len) {
		leaf->child[bit_at(old->bits, common)] = old;
		publish(link, leaf);
		return 0;
	}
	fork = new_node(k, common, NULL, false);
	if (!fork) {
		free_fresh(leaf);
		return -ENOMEM;
	}
	fork->child[bit_at(k->w, common)] = leaf;
	fork->child[bit_at(old->bits, common)] = old;
	publish(link, fork);
	return 0;
}

static struct nqd_route_node **root_of(struct nqd_route_table *t, const struct nqd_prefix *p)
{
	return p->family_bits == 32 ? &t->v4 : &t->v6;
}

static int add(struct nqd_route_table *t, const struct nqd_prefix *p, void *value, bool reserved)
{
	struct nqd_route_node **path, **link;
	struct key k = make_key(p);
	int err;

	link = find(root_of(t, p), &k, &path);
	if (is_key(*link, &k)) {
		if ((*link)->value)
			return (*link)->value == value ? 0 : -EEXIST;
		(*link)->reserved = reserved;
		publish(&(*link)->value, value);
		t->n_routes++;
		return 0;
	}
	err = insert(link, &k, value, reserved);
	if (!err)
		t->n_routes++;
	return err;
}

int nqd_route_add(struct nqd_route_table *t, const struct nqd_prefix *p, void *value)
{
	return add(t, p, value, false);
}

int nqd_route_reserve(struct nqd_route_table *t, const struct nqd_prefix *p, void *value)
{
	return add(t, p, value, true);
}

int nqd_route_replace(struct nqd_route_table *t, const struct nqd_prefix *p, void *value)
{
	struct nqd_route_node **path, **link;
	struct key k = make_key(p);

	link = find(root_of(t, p), &k, &path);
	if (!is_key(*link, &k) || !(*link)->value)
		return nqd_route_add(t, p, value);
	publish(&(*link)->value, value);
	publish(&(*link)->reserved, false);
	return 0;
}

void *nqd_route_get(const struct nqd_route_table *t, const struct nqd_prefix *p)
{
	struct nqd_route_node **path, **link;
	struct key k = make_key(p);

	link = find(root_of((struct nqd_route_table *)t, p), &k, &path);
	return is_key(*link, &k) ? (*link)->value : NULL;
}

/* A node without value and with less than two children gives its place to its child. */
static void tidy(struct nqd_route_node **link)
{
	struct nqd_route_node *n = *link;

	if (n->value || (n->child[0] && n->child[1]))
		return;
	publish(link, n->child[0] ?: n->child[1]);
	free_node(n);
}

void nqd_route_del(struct nqd_route_table *t, const struct nqd_prefix *p, const void *value)
{
	struct nqd_route_node **path, **link;
	struct key k = make_key(p);

	link = find(root_of(t, p), &k, &path);
	if (!is_key(*link, &k) || !(*link)->value || (*link)->value != value)
		return;
	publish(&(*link)->value, NULL);
	t->n_routes--;
	tidy(link);
	/* The node above may have been a fork that has now one child. */
	if (path)
		tidy(path);
}

/* Depth-first with the stack of links a trie of 128 bits can need. */
static void del_value(struct nqd_route_table *t, struct nqd_route_node **root, const void *value)
{
	struct nqd_route_node **stack[130];
	u8 next[130];
	int depth = 0;

	if (!*root)
		return;
	stack[0] = root;
	next[0] = 0;
	while (depth >= 0) {
		struct nqd_route_node *n = *stack[depth];

		if (next[depth] < 2) {
			struct nqd_route_node **child = &n->child[next[depth]++];

			if (*child) {
				stack[++depth] = child;
				next[depth] = 0;
			}
			continue;
		}
		if (n->value == value) {
			publish(&n->value, NULL);
			t->n_routes--;
		}
		tidy(stack[depth--]);
	}
}

void nqd_route_del_value(struct nqd_route_table *t, const void *value)
{
	if (!value)
		return;
	del_value(t, &t->v4, value);
	del_value(t, &t->v6, value);
}

/* ---- the prefixes of one request ---- */

void *nqd_claims_rival(const struct nqd_route_table *t, const struct nqd_claims *c,
		       const void *value, unsigned int *i)
{
	while (*i < c->n) {
		void *holder = nqd_route_get(t, &c->p[(*i)++]);

		if (holder && holder != value)
			return holder;
	}
	return NULL;
}

int nqd_claims_install(struct nqd_route_table *t, struct nqd_claims *c, void *value, bool reserve)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < c->n && !err; i++) {
		void *holder = nqd_route_get(t, &c->p[i]);

		c->p[i].held = holder;
		if (!holder || holder == value)
			err = add(t, &c->p[i], value, reserve);
	}
	/* The last one failed, or nothing did. */
	while (err && i--)
		if (!c->p[i].held)
			nqd_route_del(t, &c->p[i], value);
	return err;
}

unsigned int nqd_claims_take(struct nqd_route_table *t, const struct nqd_claims *c, void *value)
{
	unsigned int i, failed = 0;

	for (i = 0; i < c->n; i++)
		if (nqd_route_replace(t, &c->p[i], value))
			failed++;
	return failed;
}

/* ---- lookups ---- */

/*
 * @n is a snapshot: a node taken out beside a lookup still leads to where its child was, and its
 * place may have a node before it that this lookup does not see.
 */
static void *lookup(const struct nqd_route_node *n, const u64 *w, unsigned int bits)
{
	void *best = NULL, *value;

	while (n && covers(n, w)) {
		value = reader(n->value);
		if (value && !reader(n->reserved))
			best = value;
		if (n->len == bits)
			break;
		n = reader(n->child[bit_at(w, n->len)]);
	}
	return best;
}

void *nqd_route_lookup4(const struct nqd_route_table *t, const u8 *addr)
{
	u8 padded[8] = { 0 };
	u64 w[2] = { 0 };

	memcpy(padded, addr, 4);
	w[0] = load_be64(padded);
	return lookup(reader(t->v4), w, 32);
}

void *nqd_route_lookup6(const struct nqd_route_table *t, const u8 *addr)
{
	u64 w[2] = { load_be64(addr), load_be64(addr + 8) };

	return lookup(reader(t->v6), w, 128);
}
