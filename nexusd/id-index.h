/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding things by a number among very many: a hash table whose links are part of what is in it, so that
 * to add cannot fail. Without memory for a larger table it finds the same, more slowly.
 *
 * Several may have one number: they are found in the order in which they were added. Each operation takes
 * a time that does not grow with how many there are, but with those of one number; numbers are chosen by
 * this machine or its owner, so nobody makes them collide.
 *
 * All zero it is empty, and holds no memory then. Whoever frees what is in it takes that out first.
 */
#ifndef NX_ID_INDEX_H
#define NX_ID_INDEX_H

#include <stddef.h>
#include <stdint.h>

/* A part of what is found; in one index at a time. */
struct nx_id_node {
	struct nx_id_node *next; /* of its bucket */
	uint64_t id;
};

struct nx_id_index {
	struct nx_id_node **buckets; /* NULL: there is one, @few */
	struct nx_id_node *few;
	unsigned int bits; /* of their number */
	size_t n; /* that are in it */
};

void nx_id_add(struct nx_id_index *x, struct nx_id_node *node, uint64_t id);
/* @node is in it. */
void nx_id_remove(struct nx_id_index *x, struct nx_id_node *node);
/* The first of a number, and the one after that; NULL: there is none. */
struct nx_id_node *nx_id_first(const struct nx_id_index *x, uint64_t id);
struct nx_id_node *nx_id_next(const struct nx_id_node *node);

#endif /* NX_ID_INDEX_H */
