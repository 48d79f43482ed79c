// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Dates in the configuration: an absolute moment, so that neither a reload nor a restart moves it. Total
 * over any text; nothing but the two forms of nx_time_parse() is taken.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include "config-internal.h"

/* Exactly @n digits. */
static bool take_number(const char **at, int n, int *out)
{
	*out = 0;
	for (; n > 0; n--, (*at)++) {
		if (**at < '0' || **at > '9')
			return false;
		*out = *out * 10 + (**at - '0');
	}
	return true;
}

static bool take_char(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

static bool take_date_and_time(const char **at, struct tm *tm)
{
	if (!take_number(at, 4, &tm->tm_year) || !take_char(at, '-') ||
	    !take_number(at, 2, &tm->tm_mon) || !take_char(at, '-') ||
	    !take_number(at, 2, &tm->tm_mday))
		return false;
	if (!take_char(at, ' ') && !take_char(at, 'T'))
		return false;
	if (!take_number(at, 2, &tm->tm_hour) || !take_char(at, ':') ||
	    !take_number(at, 2, &tm->tm_min))
		return false;
	if (take_char(at, ':') && !take_number(at, 2, &tm->tm_sec))
		return false;
	tm->tm_year -= 1900;
	tm->tm_mon--;
	return true;
}

/* "Z" or "+01:00", in seconds east of Greenwich; @local: there is neither. */
static bool take_zone(const char **at, bool *local, int *east_s)
{
	int sign = **at == '-' ? -1 : 1, hours, minutes;

	*local = **at == '\0';
	*east_s = 0;
	if (*local || take_char(at, 'Z'))
		return true;
	if (!take_char(at, '+') && !take_char(at, '-'))
		return false;
	if (!take_number(at, 2, &hours) || !take_char(at, ':') || !take_number(at, 2, &minutes) ||
	    hours > 23 || minutes > 59)
		return false;
	*east_s = sign * (hours * 3600 + minutes * 60);
	return true;
}

int nx_time_parse(const char *text, uint64_t *unix_time_s)
{
	struct tm tm = { .tm_isdst = -1 }, made;
	bool local;
	int east_s;
	time_t t;

	if (!take_date_and_time(&text, &tm) || !take_zone(&text, &local, &east_s) || *text)
		return -EINVAL;
	made = tm;
	t = local ? mktime(&made) : timegm(&made);
	/* 30 February, 24:00, or an hour that is skipped in spring, would become another moment. */
	if (made.tm_year != tm.tm_year || made.tm_mon != tm.tm_mon || made.tm_mday != tm.tm_mday ||
	    made.tm_hour != tm.tm_hour || made.tm_min != tm.tm_min || made.tm_sec != tm.tm_sec ||
	    t - east_s <= 0)
		return -ERANGE;
	*unix_time_s = (uint64_t)(t - east_s);
	return 0;
}
