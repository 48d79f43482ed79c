// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Remakes tests/vectors/ngtcp2-packets.h: short-header packets sealed by ngtcp2 under fixed 1-RTT
 * secrets, in every cipher and direction. The output is the same each time.
 *	generate-ngtcp2 > tests/vectors/ngtcp2-packets.h
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../lib/crypto.h"
#include "ngtcp2-peer.h"

#define PACKETS 3

static void dump(const char *name, const u8 *p, u32 len)
{
	u32 i;

	printf("static const u8 %s[] = {", name);
	for (i = 0; i < len; i++)
		printf("%s0x%02x,", i % 16 ? " " : "\n\t", p[i]);
	printf("\n};\n");
}

static void inline_bytes(FILE *table, const char *field, const u8 *p, u32 len)
{
	u32 i;

	fprintf(table, "\t\t.%s = { ", field);
	for (i = 0; i < len; i++)
		fprintf(table, "%s0x%02x", i ? i % 12 ? ", " : ",\n\t\t\t" : "", p[i]);
	fprintf(table, " },\n");
}

static int entry(FILE *table, const struct peer *p, const char *name)
{
	u8 key[NQ_KEY_MAX_LEN] = { 0 }, hp[NQ_KEY_MAX_LEN] = { 0 }, iv[NQ_IV_LEN], ku[64];
	u32 key_len = nq_key_len(p->cipher);

	if (nx_quic_derive(p->cipher, p->tx_secret, p->secret_len, "quic key", key, key_len) ||
	    nx_quic_derive(p->cipher, p->tx_secret, p->secret_len, "quic iv", iv, NQ_IV_LEN) ||
	    nx_quic_derive(p->cipher, p->tx_secret, p->secret_len, "quic hp", hp, key_len) ||
	    nx_quic_derive(p->cipher, p->tx_secret, p->secret_len, "quic ku", ku, p->secret_len))
		return -1;
	fprintf(table, "\t{\n\t\t.name = \"%s\",\n\t\t.cipher = 0x%04x,\n\t\t.pn_at = %u,\n", name,
		p->cipher, 1 + PEER_CID_LEN);
	fprintf(table, "\t\t.pn_bytes = %u,\n\t\t.pn = %llu,\n\t\t.secret_len = %u,\n",
		p->header_len - 1 - PEER_CID_LEN, (unsigned long long)p->next_pn - 1,
		p->secret_len);
	inline_bytes(table, "secret", p->tx_secret, p->secret_len);
	inline_bytes(table, "key", key, key_len);
	inline_bytes(table, "iv", iv, NQ_IV_LEN);
	inline_bytes(table, "hp", hp, key_len);
	inline_bytes(table, "ku", ku, p->secret_len);
	fprintf(table,
		"\t\t.header = %s_header,\n\t\t.plain = %s_plain,\n\t\t.packet = %s_packet,\n",
		name, name, name);
	fprintf(table,
		"\t\t.plain_len = sizeof(%s_plain),\n\t\t.packet_len = sizeof(%s_packet),\n\t},\n",
		name, name);
	return 0;
}

static int emit(FILE *table, struct peer *from, struct peer *to, const char *cipher, u32 i)
{
	static const u8 text[] = "\0Every golden packet carries one DATAGRAM with this text.";
	char name[64], array[96];
	int accepted;
	u8 buf[1400];
	long n;

	n = peer_write_datagram(from, buf, sizeof(buf), i, text, sizeof(text) - 1, &accepted);
	if (n <= 0 || !accepted)
		return -1;
	snprintf(name, sizeof(name), "%s_%s_%u", cipher, from->server ? "server" : "client", i);
	snprintf(array, sizeof(array), "%s_header", name);
	dump(array, from->header, from->header_len);
	snprintf(array, sizeof(array), "%s_plain", name);
	dump(array, from->plain, from->plain_len);
	snprintf(array, sizeof(array), "%s_packet", name);
	dump(array, buf, (u32)n);
	return peer_read(to, buf, (u32)n, 0) || entry(table, from, name) ? -1 : 0;
}

static int emit_cipher(FILE *table, u16 cipher, const char *name)
{
	struct peer_pair pp;
	u32 i;
	int err;

	err = peer_pair_start(&pp, cipher, true);
	for (i = 0; !err && i < PACKETS; i++) {
		err = emit(table, &pp.client, &pp.server, name, i);
		pp.now_us += 5000;
		if (!err)
			err = emit(table, &pp.server, &pp.client, name, i);
		pp.now_us += 5000;
	}
	peer_pair_stop(&pp);
	return err;
}

int main(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *table = open_memstream(&text, &len);
	int err;

	if (!table)
		return 1;
	printf("/* SPDX-License-Identifier: GPL-2.0-only */\n"
	       "/*\n * Packets that ngtcp2 sealed, made by generate-ngtcp2.c. Do not edit.\n */\n"
	       "#ifndef NQ_VECTORS_NGTCP2_H\n#define NQ_VECTORS_NGTCP2_H\n\n"
	       "#include \"vectors.h\"\n\n/* clang-format off */\n");
	err = emit_cipher(table, NQ_AES_128_GCM, "aes128") ||
	      emit_cipher(table, NQ_AES_256_GCM, "aes256") ||
	      emit_cipher(table, NQ_CHACHA20_POLY1305, "chacha20");
	fclose(table);
	printf("\nstatic const struct nq_vector ngtcp2_vectors[] = {\n%s};\n"
	       "/* clang-format on */\n\n#endif /* NQ_VECTORS_NGTCP2_H */\n",
	       text);
	free(text);
	return err ? 1 : 0;
}
