/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of strings that end with NULL; a list that is NULL is an empty one. */
#ifndef NX_TEXTS_H
#define NX_TEXTS_H

#include <stdbool.h>

/* The list and its strings, each from malloc(). */
void nx_texts_free(char **list);
/* The same strings in the same order? */
bool nx_texts_equal(char *const *a, char *const *b);

#endif /* NX_TEXTS_H */
