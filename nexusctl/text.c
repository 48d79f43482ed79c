// SPDX-License-Identifier: GPL-2.0-or-later
/* Text for people: errors, cleaned strings, numbers with units. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "ctl.h"

void ctl_error(const char *fmt, ...)
{
	va_list ap;

	fputs("nexusctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* C0 and DEL are single bytes; the C1 controls are 0xc2 0x80..0x9f in UTF-8. */
void ctl_print_clean(const char *s)
{
	for (; *s; s++) {
		unsigned char c = *s, next = s[1];

		if (c < 0x20 || c == 0x7f) {
			putchar('?');
		} else if (c == 0xc2 && next >= 0x80 && next < 0xa0) {
			putchar('?');
			s++;
		} else {
			putchar(c);
		}
	}
}

static const char *scaled(char *buf, size_t cap, double v, const char *unit)
{
	static const char prefixes[] = " kMGTPE";
	size_t i = 0;

	while (v >= 999.95 && i + 2 < sizeof(prefixes)) {
		v /= 1000;
		i++;
	}
	if (i == 0)
		snprintf(buf, cap, "%.0f %s", v, unit);
	else
		snprintf(buf, cap, "%.1f %c%s", v, prefixes[i], unit);
	return buf;
}

const char *ctl_bytes_str(uint64_t bytes)
{
	static char buf[32];

	return scaled(buf, sizeof(buf), bytes, "B");
}

const char *ctl_rate_str(double bits_per_s)
{
	static char buf[32];

	return scaled(buf, sizeof(buf), bits_per_s, "bit/s");
}

const char *ctl_duration_str(uint64_t seconds)
{
	static char buf[48];
	unsigned int minute = seconds / 60 % 60, hour = seconds / 3600 % 24;

	if (seconds < 60)
		snprintf(buf, sizeof(buf), "%u s", (unsigned int)seconds);
	else if (seconds < 3600)
		snprintf(buf, sizeof(buf), "%u min %02u s", minute, (unsigned int)(seconds % 60));
	else if (seconds < 86400)
		snprintf(buf, sizeof(buf), "%u h %02u min", hour, minute);
	else
		snprintf(buf, sizeof(buf), "%" PRIu64 " d %02u h", seconds / 86400, hour);
	return buf;
}
