// SPDX-License-Identifier: GPL-2.0-or-later
/* Lists of strings: see texts.h. */
#include <stdlib.h>
#include <string.h>
#include "texts.h"

void nx_texts_free(char **list)
{
	for (char **s = list; s && *s; s++)
		free(*s);
	free(list);
}

bool nx_texts_equal(char *const *a, char *const *b)
{
	static char *const none[] = { NULL };

	a = a ? a : none;
	b = b ? b : none;
	while (*a && *b && !strcmp(*a, *b)) {
		a++;
		b++;
	}
	return !*a && !*b;
}
