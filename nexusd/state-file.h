/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small files of the state folder. One is replaced as a whole: after a crash at any moment it is the
 * old one or the new one. Names are of letters, digits and "_.@-", without a '/'.
 */
#ifndef NX_STATE_FILE_H
#define NX_STATE_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* 0 or -errno; -ENOENT without a folder (@dir NULL: nothing lasts). */
int nx_state_file_write(const char *dir, const char *name, const void *data, size_t len);
/* The bytes read, at most @cap; -EFBIG if there are more; -ENOENT if there is no file, or no folder. */
ssize_t nx_state_file_read(const char *dir, const char *name, void *buf, size_t cap);
/* 0 also if there is none. */
int nx_state_file_remove(const char *dir, const char *name);

#endif /* NX_STATE_FILE_H */
