/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing JSON (RFC 8259) to standard output. The caller opens and closes objects and arrays in order;
 * commas, indentation and escapes are made here. Strings are UTF-8, as everything that comes from
 * D-Bus is. Inside an array @key is NULL.
 *
 * It is written into memory first, so that a reader of standard output gets a whole object or none.
 */
#ifndef CTL_JSON_H
#define CTL_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX 16

struct json {
	FILE *out;
	char *text;
	size_t len;
	unsigned int depth;
	bool any[JSON_DEPTH_MAX]; /* has the container at this depth an entry? */
};

/* Returns 0 or a negative errno; after 0 the caller owes a json_end(). */
int json_begin(struct json *j);
/* Print what was written, or (@print false) drop it. -ENOMEM: it did not fit, nothing is printed. */
int json_end(struct json *j, bool print);

/* @bracket is '{' or '['. */
void json_open(struct json *j, const char *key, char bracket);
void json_close(struct json *j, char bracket);
void json_string(struct json *j, const char *key, const char *value);
void json_u64(struct json *j, const char *key, uint64_t value);
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);
/* NULL-terminated; NULL is an empty array. */
void json_strings(struct json *j, const char *key, char **values);

#endif /* CTL_JSON_H */
