/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys as people handle them: 32 bytes as one line of base64 (44 characters), short ids as 16 hex
 * digits. Total parsers; decoding is strict (canonical padding, no white space inside).
 */
#ifndef NX_KEYTEXT_H
#define NX_KEYTEXT_H

#include <stddef.h>
#include <stdint.h>

#define NX_KEY_LEN	32
#define NX_KEY_STRLEN	45	/* with NUL */

/* 0 or -EINVAL. White space at both ends is ignored. */
int nx_key_decode(const char *text, uint8_t key[NX_KEY_LEN]);
void nx_key_encode(const uint8_t key[NX_KEY_LEN], char text[NX_KEY_STRLEN]);
/* Read a key file from @fd (from offset 0, at most 256 bytes looked at). 0, -EINVAL, -errno. The
 * buffer is wiped.
 */
int nx_key_read_fd(int fd, uint8_t key[NX_KEY_LEN]);
/* "0123456789abcdef" <-> number; 0 is -EINVAL. */
int nx_short_id_decode(const char *text, uint64_t *id);
void nx_short_id_encode(uint64_t id, char text[17]);

#endif /* NX_KEYTEXT_H */
