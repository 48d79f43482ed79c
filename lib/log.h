/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Logging: to the journal with fields when stderr is the journal or NX_JOURNAL_FD is given, else one
 * line on stderr ("<name>[tunnel]: text"). Never give it a key, a secret, a private CID or payload.
 * The journal socket is opened by nx_log_init(), before a sandbox closes the way.
 */
#ifndef NX_LOG_H
#define NX_LOG_H

#include <syslog.h>

void nx_log_init(const char *name, int max_level);
void nx_log_set_level(int max_level);
/* @event: a stable CamelCase word for NEXUS_EVENT=, or NULL; @tunnel: NEXUS_TUNNEL= or NULL. */
void nx_log_full(int level, const char *event, const char *tunnel, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* The same with NEXUS_DATA_PLANE=@plane, the name of a tunnel's data plane. */
void nx_log_plane(int level, const char *event, const char *tunnel, const char *plane,
		  const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#define nx_err(...)	nx_log_full(LOG_ERR, NULL, NULL, __VA_ARGS__)
#define nx_warn(...)	nx_log_full(LOG_WARNING, NULL, NULL, __VA_ARGS__)
#define nx_info(...)	nx_log_full(LOG_INFO, NULL, NULL, __VA_ARGS__)
#define nx_debug(...)	nx_log_full(LOG_DEBUG, NULL, NULL, __VA_ARGS__)

#endif /* NX_LOG_H */
