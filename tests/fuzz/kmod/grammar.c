// SPDX-License-Identifier: GPL-2.0-or-later
#include "grammar.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "nlcodec.h"
#include <linux/genetlink.h>
#include <linux/nexus_quic_dco.h>

#define MAX_NODES 512
#define MAX_MESSAGES 16
#define MAX_DEPTH 4
#define HEADERS (NLMSG_HDRLEN + GENL_HDRLEN)
#define NONE 0

/*
 * An attribute. Children and siblings are indices of nodes[]; node 0 stands for none. A leaf's payload
 * lies in the arena.
 */
struct node {
	uint16_t type;
	bool is_nest;
	const struct nxa_policy *policy; /* NULL: a number that the set does not have */
	const struct nxa_set *set; /* of its children */
	uint8_t *data;
	size_t len;
	unsigned int child, next;
};

struct message {
	uint8_t headers[HEADERS];
	unsigned int child;
};

static struct node nodes[MAX_NODES];
static unsigned int n_nodes;
static struct message messages[MAX_MESSAGES];
static unsigned int n_messages;
static uint8_t arena[1 << 18];
static size_t arena_used;

static uint8_t *arena_get(size_t len)
{
	uint8_t *at = arena + arena_used;

	if (len > sizeof(arena) - arena_used)
		return NULL;
	arena_used += len;
	return at;
}

static unsigned int node_new(void)
{
	if (n_nodes == MAX_NODES)
		return NONE;
	nodes[n_nodes] = (struct node){ 0 };
	return n_nodes++;
}

static const struct nxa_policy *policy_of(const struct nxa_set *set, uint16_t type)
{
	if (!set || type > set->max || !set->policy[type].name)
		return NULL;
	return &set->policy[type];
}

/* The attributes of @len bytes; what does not fit any more is left out. */
static unsigned int parse(uint8_t *at, size_t len, const struct nxa_set *set, int depth)
{
	unsigned int first = NONE, *link = &first;

	while (len >= NLA_HDRLEN) {
		struct nlattr nla;
		unsigned int n;

		memcpy(&nla, at, sizeof(nla));
		if (nla.nla_len < NLA_HDRLEN || nla.nla_len > len)
			break;
		n = node_new();
		if (!n)
			break;
		nodes[n].type = nla.nla_type & NLA_TYPE_MASK;
		nodes[n].policy = policy_of(set, nodes[n].type);
		nodes[n].data = at + NLA_HDRLEN;
		nodes[n].len = nla.nla_len - NLA_HDRLEN;
		if (nodes[n].policy && nodes[n].policy->type == NXA_NEST && depth < MAX_DEPTH) {
			nodes[n].is_nest = true;
			nodes[n].set = nodes[n].policy->nest;
			nodes[n].child =
				parse(nodes[n].data, nodes[n].len, nodes[n].set, depth + 1);
		}
		*link = n;
		link = &nodes[n].next;
		if (NLA_ALIGN(nla.nla_len) >= len)
			break;
		at += NLA_ALIGN(nla.nla_len);
		len -= NLA_ALIGN(nla.nla_len);
	}
	return first;
}

static void parse_input(uint8_t *data, size_t size)
{
	n_nodes = 1;
	n_messages = 0;
	while (size >= 2 && n_messages < MAX_MESSAGES) {
		size_t len = data[0] << 8 | data[1];
		struct message *m = &messages[n_messages];

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		if (len >= HEADERS) {
			memcpy(m->headers, data, HEADERS);
			m->child = parse(data + HEADERS, len - HEADERS, &nqd_top_set, 0);
			n_messages++;
		}
		data += len;
		size -= len;
	}
}

/* Number @value of a field that may hold [min, max], mostly within, sometimes just outside. */
static uint64_t number(uint32_t min, uint32_t max)
{
	switch (any(8)) {
	case 0:
		return min;
	case 1:
		return max;
	case 2:
		return (uint64_t)max + 1;
	case 3:
		return (uint64_t)min - 1;
	case 4:
		return 1ull << any(64);
	case 5:
		return any(0);
	default:
		return max > min ? min + any(max - min) : min + any(4);
	}
}

static size_t length(uint32_t min, uint32_t max)
{
	size_t len;

	if (!max)
		max = 64;
	switch (any(8)) {
	case 0:
		len = min;
		break;
	case 1:
		len = max;
		break;
	case 2:
		len = (size_t)max + 1;
		break;
	case 3:
		len = min ? min - 1 : 0;
		break;
	default:
		len = min + any(max - min + 1);
		break;
	}
	return len > 2048 ? any(2048) : len;
}

/* Give leaf @n a payload as its policy says, or nearly. */
static void fill(struct node *n)
{
	static const char *const words[] = { "fuzz0",	"fuzz1",	   "lo", "cubic", "bbr",
					     "newreno", "fixed_rate_test", "" };
	const struct nxa_policy *p = n->policy;
	uint64_t value = 0;
	size_t i;

	n->len = 0;
	switch (p ? p->type : NXA_BINARY) {
	case NXA_U8:
		value = number(p->min, p->max);
		n->len = 1;
		break;
	case NXA_U16:
		value = number(p->min, p->max);
		n->len = 2;
		break;
	case NXA_U32:
		value = number(p->min, p->max);
		n->len = 4;
		break;
	case NXA_U64:
		value = any(2) ? any(4) : number(0, any(0));
		n->len = 8;
		break;
	case NXA_FLAG:
		return;
	case NXA_STRING: {
		const char *word = words[any(sizeof(words) / sizeof(*words))];

		n->len = strlen(word) + 1;
		n->data = (uint8_t *)word;
		return;
	}
	default:
		n->len = p ? length(p->min, p->max) : any(32);
		n->data = arena_get(n->len);
		if (!n->data)
			n->len = 0;
		/* Few values, so that what must be equal or different often is. */
		for (i = 0; i < n->len; i++)
			n->data[i] = any(4) ? (i & 1) + 1 : any(256);
		return;
	}
	if (!any(16))
		n->len = any(9);
	n->data = arena_get(sizeof(value));
	if (n->data)
		memcpy(n->data, &value, sizeof(value));
	else
		n->len = 0;
}

/* An attribute of @set; a nest gets some children. */
static unsigned int generate(const struct nxa_set *set, int depth)
{
	unsigned int n = node_new(), *link, i;
	struct node *node = &nodes[n];

	if (!n)
		return NONE;
	node->type = any(set->max + 1);
	if (!any(64))
		node->type = any(2) ? NQD_ATTR_OPTIONAL_BASE + any(8) : any(0x3fff);
	node->policy = policy_of(set, node->type);
	if (node->policy && node->policy->type == NXA_NEST && depth < MAX_DEPTH) {
		node->is_nest = true;
		node->set = node->policy->nest;
		link = &node->child;
		for (i = 1 + any(6); i && (*link = generate(node->set, depth + 1)); i--)
			link = &nodes[*link].next;
		return n;
	}
	fill(node);
	return n;
}

/* Copy of the attribute, with all below it. */
static unsigned int copy(unsigned int from)
{
	unsigned int n, child, *link;

	n = node_new();
	if (!n)
		return NONE;
	nodes[n] = nodes[from];
	nodes[n].next = NONE;
	nodes[n].child = NONE;
	link = &nodes[n].child;
	for (child = nodes[from].child; child; child = nodes[child].next) {
		*link = copy(child);
		if (!*link)
			break;
		link = &nodes[*link].next;
	}
	return n;
}

/* A place in message @m: the link that leads to a random attribute, or to the end of a list. */
static unsigned int *pick(struct message *m, const struct nxa_set **set)
{
	unsigned int *link = &m->child;

	*set = &nqd_top_set;
	for (;;) {
		unsigned int *l, count = 0;

		for (l = link; *l; l = &nodes[*l].next)
			count++;
		for (count = any(count + 1); count; count--)
			link = &nodes[*link].next;
		if (!*link || !nodes[*link].is_nest || !nodes[*link].set || !any(3))
			return link;
		*set = nodes[*link].set;
		link = &nodes[*link].child;
	}
}

static void mutate_leaf(struct node *n, size_t (*mutate_bytes)(uint8_t *, size_t, size_t))
{
	size_t cap = n->len + 64;
	uint8_t *data = arena_get(cap);

	if (!data)
		return;
	memcpy(data, n->data, n->len);
	n->len = mutate_bytes(data, n->len, cap);
	n->data = data;
}

static void mutate_attribute(struct message *m, size_t (*mutate_bytes)(uint8_t *, size_t, size_t))
{
	const struct nxa_set *set;
	unsigned int *link = pick(m, &set), n = *link, added;

	switch (any(8)) {
	case 0:
		if (n)
			*link = nodes[n].next;
		break;
	case 1:
		added = n ? copy(n) : NONE;
		if (added) {
			nodes[added].next = nodes[n].next;
			nodes[n].next = added;
		}
		break;
	case 2:
	case 3:
		added = generate(set, set == &nqd_top_set ? 0 : 2);
		if (added) {
			nodes[added].next = n;
			*link = added;
		}
		break;
	case 4:
		if (n)
			nodes[n].type = any(set->max + 2);
		break;
	default:
		if (!n || nodes[n].is_nest)
			break;
		if (any(2))
			fill(&nodes[n]);
		else
			mutate_leaf(&nodes[n], mutate_bytes);
		break;
	}
}

static void new_message(void)
{
	struct message *m = &messages[n_messages];
	uint16_t flags = NLM_F_REQUEST | NLM_F_ACK;
	unsigned int *link = &m->child, i;

	if (n_messages == MAX_MESSAGES)
		return;
	n_messages++;
	memset(m, 0, sizeof(*m));
	if (!any(4))
		flags |= any(2) ? NLM_F_DUMP : NLM_F_EXCL;
	memcpy(m->headers + 6, &flags, sizeof(flags));
	m->headers[NLMSG_HDRLEN] = any(NQD_CMD_MAX + 2);
	m->headers[NLMSG_HDRLEN + 1] = NQD_GENL_VERSION;
	for (i = any(4); i && (*link = generate(&nqd_top_set, 0)); i--)
		link = &nodes[*link].next;
}

static void mutate_messages(void)
{
	unsigned int a = any(n_messages), b = any(n_messages);
	struct message m = messages[a];

	switch (any(5)) {
	case 0:
		new_message();
		break;
	case 1:
		if (n_messages < MAX_MESSAGES)
			messages[n_messages++] = m;
		break;
	case 2:
		messages[a] = messages[b];
		messages[b] = m;
		break;
	case 3:
		if (n_messages > 1)
			messages[a] = messages[--n_messages];
		break;
	default:
		if (any(2))
			messages[a].headers[NLMSG_HDRLEN] = any(NQD_CMD_MAX + 2);
		else
			messages[a].headers[6 + any(2)] ^= 1 << any(8);
		break;
	}
}

/* Both return where they stopped, or NULL if there was no room. */
static uint8_t *write_attributes(uint8_t *at, uint8_t *end, unsigned int n)
{
	for (; n; n = nodes[n].next) {
		struct nlattr nla = { .nla_type = nodes[n].type };
		uint8_t *start = at;
		size_t pad;

		if ((size_t)(end - at) < NLA_HDRLEN)
			return NULL;
		at += NLA_HDRLEN;
		if (nodes[n].is_nest) {
			nla.nla_type |= NLA_F_NESTED;
			at = write_attributes(at, end, nodes[n].child);
			if (!at)
				return NULL;
		} else {
			if ((size_t)(end - at) < NLA_ALIGN(nodes[n].len))
				return NULL;
			if (nodes[n].len)
				memcpy(at, nodes[n].data, nodes[n].len);
			at += nodes[n].len;
		}
		if (at - start > UINT16_MAX)
			return NULL;
		nla.nla_len = at - start;
		memcpy(start, &nla, sizeof(nla));
		pad = NLA_ALIGN(nla.nla_len) - nla.nla_len;
		memset(at, 0, pad);
		at += pad;
	}
	return at;
}

static uint8_t *write_message(uint8_t *at, uint8_t *end, const struct message *m)
{
	uint8_t *start = at;
	uint32_t len;

	if (end - at < 2 + (ptrdiff_t)HEADERS)
		return NULL;
	memcpy(at + 2, m->headers, HEADERS);
	at = write_attributes(at + 2 + HEADERS, end, m->child);
	if (!at || at - start - 2 > UINT16_MAX)
		return NULL;
	len = at - start - 2;
	start[0] = len >> 8;
	start[1] = len;
	memcpy(start + 2, &len, sizeof(len));
	return at;
}

size_t grammar_mutate(uint8_t *data, size_t size, size_t cap, uint32_t seed,
		      size_t (*mutate_bytes)(uint8_t *data, size_t size, size_t cap))
{
	static uint8_t before[1 << 17], after[1 << 17];
	uint8_t *at = after, *next;
	unsigned int i;

	chance_seed(seed);
	arena_used = 0;
	/* Now and then without any sense. */
	if (size > sizeof(before) || !any(20))
		return mutate_bytes(data, size, cap);
	memcpy(before, data, size);
	parse_input(before, size);
	if (!n_messages)
		new_message();
	for (i = 1 + any(3); i; i--) {
		if (!any(4))
			mutate_messages();
		else
			mutate_attribute(&messages[any(n_messages)], mutate_bytes);
	}
	if (cap > sizeof(after))
		cap = sizeof(after);
	for (i = 0; i < n_messages; i++) {
		next = write_message(at, after + cap, &messages[i]);
		if (!next)
			break;
		at = next;
	}
	if (at == after)
		return mutate_bytes(data, size, cap);
	memcpy(data, after, at - after);
	return at - after;
}
