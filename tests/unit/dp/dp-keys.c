// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * dp-keys CIPHER FILE: random secrets for a session of dp-pair, and what QUIC makes of them in the
 * first key phases (RFC 9001 5.1, 6.1), masked (masked-keys.h). What this process leaves behind in
 * memory is for "find-keys --fill" to overwrite.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../../../lib/crypto.h"
#include "../../../quic/nq.h"
#include "masked-keys.h"

static struct masked_keys out;

static void put(const char *who, const char *what, int phase, const uint8_t *bytes, uint32_t len)
{
	struct masked_key *k = &out.keys[out.n++];
	size_t at = snprintf(k->name, sizeof(k->name), "%s-%s", who, what);

	if (phase >= 0)
		snprintf(k->name + at, sizeof(k->name) - at, "-%d", phase);
	k->len = len;
	memcpy(k->bytes, bytes, len);
	masked_flip(k->bytes, len);
}

static void derive(uint16_t cipher, const uint8_t *secret, uint32_t n, const char *label,
		   uint8_t *bytes, uint32_t len)
{
	if (nx_quic_derive(cipher, secret, n, label, bytes, len))
		exit(1);
}

static void one_side(const char *who, uint16_t cipher, const uint8_t *first, uint32_t n)
{
	uint8_t secret[MASKED_MAX_LEN], bytes[MASKED_MAX_LEN];
	uint32_t key_len = nq_key_len(cipher);
	int phase;

	memcpy(secret, first, n);
	derive(cipher, secret, n, "quic hp", bytes, key_len);
	put(who, "hp", -1, bytes, key_len);
	for (phase = 0; phase < MASKED_PHASES; phase++) {
		put(who, "secret", phase, secret, n);
		derive(cipher, secret, n, "quic key", bytes, key_len);
		put(who, "key", phase, bytes, key_len);
		derive(cipher, secret, n, "quic iv", bytes, NQ_IV_LEN);
		put(who, "iv", phase, bytes, NQ_IV_LEN);
		derive(cipher, secret, n, "quic ku", bytes, n);
		memcpy(secret, bytes, n);
	}
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "client", "server" };
	struct abi_secrets *s = &out.secrets;
	uint16_t cipher;
	uint32_t n;
	FILE *f;
	int i, j;

	if (argc != 3) {
		fprintf(stderr, "Usage: dp-keys CIPHER FILE\n");
		return 1;
	}
	cipher = strtoul(argv[1], NULL, 0);
	n = cipher == NQ_AES_256_GCM ? 48 : 32;
	if (!nq_key_len(cipher) || getrandom(s, sizeof(*s), 0) != sizeof(*s))
		return 1;
	for (i = 0; i < 2; i++) {
		one_side(names[i], cipher, s->secret[i], n);
		for (j = 0; j < 2; j++)
			put(names[i], "token", j, s->token[i][j], sizeof(s->token[i][j]));
	}
	masked_flip((uint8_t *)s, sizeof(*s));
	f = fopen(argv[2], "w");
	if (!f || fwrite(&out, sizeof(out), 1, f) != 1 || fclose(f)) {
		perror(argv[2]);
		return 1;
	}
	return 0;
}
