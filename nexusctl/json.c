// SPDX-License-Identifier: GPL-2.0-or-later
/* The JSON writer: see json.h. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "json.h"

int json_begin(struct json *j)
{
	*j = (struct json){ NULL };
	j->out = open_memstream(&j->text, &j->len);
	return j->out ? 0 : -errno;
}

int json_end(struct json *j, bool print)
{
	int r = fclose(j->out) ? -ENOMEM : 0;

	if (!r && print)
		fputs(j->text, stdout);
	free(j->text);
	return r;
}

static void quoted(struct json *j, const char *s)
{
	fputc('"', j->out);
	for (; *s; s++) {
		unsigned char c = *s;

		if (c == '"' || c == '\\')
			fprintf(j->out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(j->out, "\\u%04x", c);
		else
			fputc(c, j->out);
	}
	fputc('"', j->out);
}

static void newline(struct json *j)
{
	fputc('\n', j->out);
	for (unsigned int i = 0; i < j->depth; i++)
		fputs("  ", j->out);
}

/* Everything before a value: the comma, the line, the key. */
static void begin(struct json *j, const char *key)
{
	if (j->any[j->depth])
		fputc(',', j->out);
	j->any[j->depth] = true;
	if (j->depth > 0)
		newline(j);
	if (key) {
		quoted(j, key);
		fputs(": ", j->out);
	}
}

void json_open(struct json *j, const char *key, char bracket)
{
	begin(j, key);
	fputc(bracket, j->out);
	j->depth++;
	assert(j->depth < JSON_DEPTH_MAX);
	j->any[j->depth] = false;
}

void json_close(struct json *j, char bracket)
{
	bool any = j->any[j->depth];

	assert(j->depth > 0);
	j->depth--;
	if (any)
		newline(j);
	fputc(bracket, j->out);
	if (j->depth == 0)
		fputc('\n', j->out);
}

void json_string(struct json *j, const char *key, const char *value)
{
	begin(j, key);
	quoted(j, value);
}

void json_u64(struct json *j, const char *key, uint64_t value)
{
	begin(j, key);
	fprintf(j->out, "%" PRIu64, value);
}

void json_bool(struct json *j, const char *key, bool value)
{
	begin(j, key);
	fputs(value ? "true" : "false", j->out);
}

void json_null(struct json *j, const char *key)
{
	begin(j, key);
	fputs("null", j->out);
}

void json_strings(struct json *j, const char *key, char **values)
{
	json_open(j, key, '[');
	for (; values && *values; values++)
		json_string(j, NULL, *values);
	json_close(j, ']');
}
