// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whole packets. The input is cut into records: a control byte, a length, bytes. A record is either
 * sealed as the frames of a packet that opens, or received as it stands. Some come from other
 * addresses; before some a client migrates.
 */
#include "engine.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

#define RECORD_MAX 1200
#define PACKET_MAX (RECORD_MAX + 64)

/* Seal @len frames bytes as packet @pn in phase @phase the way the peer would; returns its length. */
static u32 seal(struct nq_conn *c, u8 *buf, u64 pn, bool phase, const u8 *frames, u32 len)
{
	struct nq_keys *k = phase ? &c->keys.rx_next : &c->keys.rx;
	const u8 *sample = buf + 9;
	struct nq_aead_op op = { .aad = buf, .aad_len = 9, .text = buf + 9, .text_len = len };
	u8 mask[1][NQ_HP_MASK_LEN];
	int i;

	if (!k->valid)
		k = &c->keys.rx;
	buf[0] = 0x43 | (c->keys.phase != (k == &c->keys.rx_next) ? 0x04 : 0);
	memset(buf + 1, 0, 4);
	nq_put_be32(buf + 5, (u32)pn);
	memcpy(buf + 9, frames, len);
	nq_nonce(op.nonce, k->iv, pn);
	null_crypto.seal(k->ctx, &op, 1);
	null_crypto.hp_mask(c->keys.rx_hp, &sample, mask, 1);
	buf[0] ^= mask[0][0] & 0x1f;
	for (i = 0; i < 4; i++)
		buf[5 + i] ^= mask[0][1 + i];
	return 9 + len + NQ_TAG_LEN;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	static const u8 paths[4] = { NQ_PATH_NEW, NQ_PATH_NEW_PORT, 1, 2 };
	static u8 bufs[8][PACKET_MAX];
	struct nq_rx_datagram dg[NQ_BURST_MAX];
	struct nq_rx_pkt pkts[8];
	struct nq_conn *c;
	unsigned int n = 0, i, n_dg;
	u64 pn = 0;
	u32 take;
	u8 how;

	if (len < 4)
		return 0;
	c = fuzz_engine(data[0] & 1, data[0] >> 4);
	for (data++, len--; len > 3 && n < 8; data += take, len -= take) {
		how = data[0];
		take = (u32)(data[1] << 8 | data[2]) % RECORD_MAX;
		data += 3;
		len -= 3;
		if (take > len)
			take = (u32)len;
		pn += how & 0x40 ? (u64)how * 100 : how & 3;
		memset(&pkts[n], 0, sizeof(pkts[n]));
		pkts[n].data = bufs[n];
		pkts[n].ecn = how >> 2 & 3;
		if (how & 0x10) {
			pkts[n].path = paths[how & 3];
			nq_path_migrate(c, how & 7, FUZZ_NOW_US);
		}
		if (how & 0x80) {
			memcpy(bufs[n], data, take);
			pkts[n].len = take;
			if (!take)
				bufs[n][0] = 0x40;
		} else {
			pkts[n].len = seal(c, bufs[n], pn, how & 0x20, data, take);
		}
		n++;
	}
	/* Some together, the rest one by one. */
	if (n > 3) {
		if (nq_rx_open(c, pkts, 3, dg, NQ_BURST_MAX, &n_dg, FUZZ_NOW_US + 10000) != 3)
			abort();
		fuzz_check(c);
	}
	for (i = n > 3 ? 3 : 0; i < n; i++) {
		nq_rx_open(c, &pkts[i], 1, dg, NQ_BURST_MAX, &n_dg, FUZZ_NOW_US + 10000 + i);
		fuzz_check(c);
		while (n_dg-- > 0) {
			if (dg[n_dg].data < pkts[i].data ||
			    dg[n_dg].data + dg[n_dg].len > pkts[i].data + pkts[i].len)
				abort();
		}
	}
	fuzz_drain(c);
	nq_conn_fini(c);
	return 0;
}
