// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any text as a configuration: it is refused with at least one complete line, or accepted as a configuration
 * that equals itself. Files are not touched: text with @include is skipped.
 */
#include <stdlib.h>
#include <string.h>
#include "config-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 forgets the buffer of an unterminated string. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig.so";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nx_config_report report = { .path = "fuzz.conf" };
	struct nx_config *c = NULL;
	char *text;
	int r;

	if (size > 65536 || memchr(data, 0, size))
		return 0;
	text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (!strstr(text, "@include")) {
		r = nx_config_parse(text, &report, size & 1, &c);
		if ((r != 0) != (c == NULL) || (r == 0) != (report.n_errors == 0))
			abort();
		for (size_t i = 0; i < report.n_errors; i++)
			if (strncmp(report.errors[i], "fuzz.conf:", 10) ||
			    strchr(report.errors[i], '\n'))
				abort();
		for (size_t i = 0; c && i < c->n_tunnels; i++)
			if (!nx_tunnel_config_equal(c->tunnels[i], c->tunnels[i]))
				abort();
		nx_config_free(c);
		nx_config_report_free(&report);
	}
	free(text);
	return 0;
}
