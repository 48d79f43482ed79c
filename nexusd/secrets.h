/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening secret files for nexus-hsd, by the monitor and by --check-config: nothing outside the
 * secret directory, no symbolic links, only files that no other user can read.
 */
#ifndef NX_SECRETS_H
#define NX_SECRETS_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Open @path (absolute below @dir, or relative to it) for reading. Accepted is a regular file of
 * root or of the caller's uid whose mode is 0600 or tighter. Returns a descriptor (close-on-exec),
 * or -errno with one sentence in @text.
 */
int nx_secret_open(const char *dir, const char *path, char *text, size_t text_len);
/* The key log file: below @dir as well, created 0600 if absent, opened for appending. */
int nx_keylog_open(const char *dir, const char *path, char *text, size_t text_len);

#endif /* NX_SECRETS_H */
