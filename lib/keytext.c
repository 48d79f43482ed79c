// SPDX-License-Identifier: GPL-2.0-or-later
/* Keys and short ids as text: see keytext.h. No table is indexed by a secret. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "keytext.h"

#define DIGITS 43 /* of base64, then one '=' */
#define KEY_FILE_MAX 256

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* All ones if @c is in [low, high], in arithmetic. */
static unsigned int in_range(unsigned int c, unsigned int low, unsigned int high)
{
	return 0 - (((low - 1 - c) & (c - high - 1)) >> 31);
}

/* The value of a base64 digit, or 0x40 for anything else. */
static unsigned int digit_value(unsigned char c)
{
	unsigned int v = 0, valid = 0, m;

	m = in_range(c, 'A', 'Z');
	valid |= m;
	v |= m & (c - 'A');
	m = in_range(c, 'a', 'z');
	valid |= m;
	v |= m & (c - 'a' + 26);
	m = in_range(c, '0', '9');
	valid |= m;
	v |= m & (c - '0' + 52);
	m = in_range(c, '+', '+');
	valid |= m;
	v |= m & 62;
	m = in_range(c, '/', '/');
	valid |= m;
	v |= m & 63;
	return v | (~valid & 0x40);
}

static char digit_char(unsigned int v)
{
	unsigned int c = 0;

	c |= in_range(v, 0, 25) & (v + 'A');
	c |= in_range(v, 26, 51) & (v - 26 + 'a');
	c |= in_range(v, 52, 61) & (v - 52 + '0');
	c |= in_range(v, 62, 62) & '+';
	c |= in_range(v, 63, 63) & '/';
	return (char)c;
}

static int decode(const char *text, size_t len, uint8_t key[NX_KEY_LEN])
{
	unsigned int bits = 0, n_bits = 0, wrong = 0;
	uint8_t *out = key;

	while (len && is_space(*text)) {
		text++;
		len--;
	}
	while (len && is_space(text[len - 1]))
		len--;
	if (len != DIGITS + 1 || text[DIGITS] != '=')
		return -EINVAL;
	for (int i = 0; i < DIGITS; i++) {
		const unsigned int v = digit_value((unsigned char)text[i]);

		wrong |= v & 0x40;
		bits = (bits << 6 | (v & 0x3f)) & 0xffff;
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			*out++ = (uint8_t)(bits >> n_bits);
		}
	}
	/* 43 digits hold 258 bits: the last two must be zero, else two texts would be one key. */
	wrong |= bits & 3;
	if (wrong)
		explicit_bzero(key, NX_KEY_LEN);
	return wrong ? -EINVAL : 0;
}

int nx_key_decode(const char *text, uint8_t key[NX_KEY_LEN])
{
	return decode(text, strlen(text), key);
}

void nx_key_encode(const uint8_t key[NX_KEY_LEN], char text[NX_KEY_STRLEN])
{
	unsigned int bits = 0, n_bits = 0, at = 0;

	for (int i = 0; i < NX_KEY_LEN; i++) {
		bits = (bits << 8 | key[i]) & 0xffff;
		n_bits += 8;
		while (n_bits >= 6) {
			n_bits -= 6;
			text[at++] = digit_char(bits >> n_bits & 0x3f);
		}
	}
	text[at++] = digit_char(bits << (6 - n_bits) & 0x3f);
	text[at++] = '=';
	text[at] = '\0';
}

int nx_key_read_fd(int fd, uint8_t key[NX_KEY_LEN])
{
	char buf[KEY_FILE_MAX + 1];
	size_t len = 0;
	int err = 0;

	while (len < sizeof(buf)) {
		const ssize_t n = pread(fd, buf + len, sizeof(buf) - len, (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (!err)
		err = len > KEY_FILE_MAX ? -EINVAL : decode(buf, len, key);
	explicit_bzero(buf, sizeof(buf));
	return err;
}

int nx_short_id_decode(const char *text, uint64_t *id)
{
	uint64_t v = 0;

	for (int i = 0; i < 16; i++) {
		const char c = text[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			v = v << 4 | (uint64_t)(c - 'A' + 10);
		else
			return -EINVAL;
	}
	if (text[16] || !v)
		return -EINVAL;
	*id = v;
	return 0;
}

void nx_short_id_encode(uint64_t id, char text[17])
{
	for (int i = 0; i < 16; i++)
		text[i] = "0123456789abcdef"[id >> (60 - 4 * i) & 0xf];
	text[16] = '\0';
}
