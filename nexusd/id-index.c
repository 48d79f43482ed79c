// SPDX-License-Identifier: GPL-2.0-or-later
/* Finding things by a number: see id-index.h. */
#include <stdlib.h>
#include "id-index.h"

/* So few are looked through without a table. */
#define FEW 8
#define FIRST_BITS 5

static struct nx_id_node **bucket_of(struct nx_id_index *x, uint64_t id)
{
	if (!x->buckets)
		return &x->few;
	/* The upper bits of the product depend on all bits of the number. */
	return &x->buckets[(id * 0x9e3779b97f4a7c15) >> (64 - x->bits)];
}

/* Behind those that are there: what has one number stays in its order. */
static void append(struct nx_id_index *x, struct nx_id_node *node)
{
	struct nx_id_node **end = bucket_of(x, node->id);

	while (*end)
		end = &(*end)->next;
	node->next = NULL;
	*end = node;
}

static void append_all(struct nx_id_index *x, struct nx_id_node *node)
{
	struct nx_id_node *next;

	for (; node; node = next) {
		next = node->next;
		append(x, node);
	}
}

/* Half of the buckets are empty then. */
static void grow(struct nx_id_index *x)
{
	unsigned int bits = x->buckets ? x->bits + 1 : FIRST_BITS;
	struct nx_id_index larger = { .bits = bits, .n = x->n };
	size_t i;

	larger.buckets = calloc((size_t)1 << bits, sizeof(struct nx_id_node *));
	if (!larger.buckets)
		return;
	append_all(&larger, x->few);
	for (i = 0; x->buckets && i < (size_t)1 << x->bits; i++)
		append_all(&larger, x->buckets[i]);
	free(x->buckets);
	*x = larger;
}

void nx_id_add(struct nx_id_index *x, struct nx_id_node *node, uint64_t id)
{
	node->id = id;
	append(x, node);
	x->n++;
	if (x->n > (x->buckets ? (size_t)1 << x->bits : FEW))
		grow(x);
}

void nx_id_remove(struct nx_id_index *x, struct nx_id_node *node)
{
	struct nx_id_node **at = bucket_of(x, node->id);

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	node->next = NULL;
	if (--x->n)
		return;
	free(x->buckets);
	x->buckets = NULL;
}

static struct nx_id_node *of_id(struct nx_id_node *node, uint64_t id)
{
	while (node && node->id != id)
		node = node->next;
	return node;
}

struct nx_id_node *nx_id_first(const struct nx_id_index *x, uint64_t id)
{
	return of_id(*bucket_of((struct nx_id_index *)x, id), id);
}

struct nx_id_node *nx_id_next(const struct nx_id_node *node)
{
	return of_id(node->next, node->id);
}
