// SPDX-License-Identifier: GPL-2.0-or-later
/* Keys and short ids as text: what is accepted has exactly one text (but for white space, case). */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "fuzz-hsd.h"
#include "keytext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), again[NX_KEY_STRLEN], hex[17];
	const char *from = text;
	uint8_t key[NX_KEY_LEN];
	uint64_t id;

	promise(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	if (!nx_key_decode(text, key)) {
		while (isspace((unsigned char)*from))
			from++;
		nx_key_encode(key, again);
		promise(!strncmp(from, again, NX_KEY_STRLEN - 1));
	}
	if (!nx_short_id_decode(text, &id)) {
		nx_short_id_encode(id, hex);
		promise(id && !strcasecmp(hex, text));
	}
	free(text);
	return 0;
}
