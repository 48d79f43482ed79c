// SPDX-License-Identifier: GPL-2.0-or-later
/* genkey, genpsk, gensid, pubkey: local, without a bus. Key bytes are wiped before returning. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl.h"
#include "elligator.h"
#include "keytext.h"

static int random_bytes(void *buf, size_t len)
{
	/* Up to 256 bytes are never cut short. */
	if (getrandom(buf, len, 0) != (ssize_t)len) {
		ctl_error("no random bytes from the kernel: %m");
		return CTL_ERROR;
	}
	return CTL_OK;
}

/* nexusd refuses key files that others can read: say so when the file is made. */
static void warn_if_readable_by_others(void)
{
	struct stat st;

	if (!fstat(STDOUT_FILENO, &st) && S_ISREG(st.st_mode) && (st.st_mode & 077))
		ctl_error("warning: others can read the file this key is written to;"
			  " use \"umask 077\" before, or \"chmod 600\" after");
}

static int print_key(const uint8_t key[NX_KEY_LEN])
{
	char text[NX_KEY_STRLEN];
	int r;

	nx_key_encode(key, text);
	/* Unbuffered, so that no copy stays in a buffer of stdio. */
	setvbuf(stdout, NULL, _IONBF, 0);
	r = puts(text);
	explicit_bzero(text, sizeof(text));
	if (r < 0) {
		ctl_error("cannot write the key: %m");
		return CTL_ERROR;
	}
	return CTL_OK;
}

static int generate(int argc, bool clamp)
{
	uint8_t key[NX_KEY_LEN];
	int r;

	if (argc != 1)
		return CTL_USAGE;
	r = random_bytes(key, sizeof(key));
	if (r != CTL_OK)
		return r;
	if (clamp) { /* RFC 7748 5 */
		key[0] &= 248;
		key[31] &= 127;
		key[31] |= 64;
	}
	warn_if_readable_by_others();
	r = print_key(key);
	explicit_bzero(key, sizeof(key));
	return r;
}

int cmd_genkey(int argc, char **argv)
{
	return generate(argc, true);
}

int cmd_genpsk(int argc, char **argv)
{
	return generate(argc, false);
}

int cmd_gensid(int argc, char **argv)
{
	uint64_t id = 0;
	char text[17];

	if (argc != 1)
		return CTL_USAGE;
	while (id == 0) { /* 0 means "none" */
		int r = random_bytes(&id, sizeof(id));

		if (r != CTL_OK)
			return r;
	}
	nx_short_id_encode(id, text);
	puts(text);
	return CTL_OK;
}

/* Read all of stdin, at most @cap - 1 bytes, as a string. -E2BIG, -EINVAL for a NUL byte, -errno.
 */
static int read_stdin(char *text, size_t cap)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(STDIN_FILENO, text + len, cap - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		len += n;
		if (len == cap)
			return -E2BIG;
	}
	text[len] = '\0';
	return strlen(text) == len ? 0 : -EINVAL;
}

int cmd_pubkey(int argc, char **argv)
{
	uint8_t key[NX_KEY_LEN], public_key[NX_KEY_LEN];
	char text[256];
	int r;

	if (argc != 1)
		return CTL_USAGE;
	r = read_stdin(text, sizeof(text));
	if (r >= 0)
		r = nx_key_decode(text, key);
	explicit_bzero(text, sizeof(text));
	if (r < 0) {
		ctl_error("stdin is not a private key: 44 characters of base64 as"
			  " \"nexusctl genkey\" prints them");
		return CTL_ERROR;
	}
	hs_x25519_base(public_key, key);
	explicit_bzero(key, sizeof(key));
	return print_key(public_key);
}
