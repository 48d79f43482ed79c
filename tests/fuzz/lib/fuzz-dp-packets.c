// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Inner packets: segmentation of anything a TUN could hand over, coalescing of anything a peer
 * could send. The first byte picks; buffers are of exactly the promised size, so that ASan sees
 * every byte too far. What was coalesced must have all bytes of what went in.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "coalesce.h"
#include "icmp.h"
#include "queue.h"
#include "segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the queue does with a packet that waits: its flow, a mark, segments that are lost. */
static void wait(struct dp_segs s)
{
	volatile u32 hash = dp_flow_hash(1, s.pkt, s.len);

	(void)hash;
	dp_segs_mark_ce(&s);
	while (s.left)
		dp_segs_skip(&s);
	if (s.kind != DP_SEG_PLAIN && s.pos != s.payload_len)
		abort();
}

static void segment(const uint8_t *data, size_t size)
{
	u8 icmp[DP_ICMP_MAX_LEN], *pkt, *out;
	struct virtio_net_hdr vh;
	size_t written = 0;
	struct dp_segs s;

	if (size < sizeof(vh))
		return;
	memcpy(&vh, data, sizeof(vh));
	size -= sizeof(vh);
	pkt = malloc(size ? size : 1);
	memcpy(pkt, data + sizeof(vh), size);
	if (!dp_segs_init(&s, &vh, pkt, size)) {
		u32 max = dp_segs_max_len(&s), left = s.left;

		if (dp_icmp_too_big(pkt, size, 1280, icmp) > sizeof(icmp))
			abort();
		wait(s);
		out = malloc(max);
		for (; s.left; left--) {
			u32 n = dp_segs_next(&s, out);

			if (n > max || n < s.hdr_len)
				abort();
			written += n - s.hdr_len;
		}
		if (left || written != s.payload_len)
			abort();
		free(out);
	}
	free(pkt);
}

static size_t flush(struct dp_coalesce *co)
{
	const struct iovec *iov;
	unsigned int n, i;
	size_t bytes = 0;

	if (!co->n)
		return 0;
	n = dp_co_finish(co, &iov);
	for (i = 1; i < n; i++) {
		volatile u8 first = *(u8 *)iov[i].iov_base;
		volatile u8 last = ((u8 *)iov[i].iov_base)[iov[i].iov_len - 1];

		(void)first;
		(void)last;
		bytes += iov[i].iov_len;
	}
	if (bytes > DP_IP_MAX_BYTES)
		abort();
	return bytes;
}

#define PACKETS_MAX 80

static void coalesce(const uint8_t *data, size_t size)
{
	static struct dp_coalesce co;
	u8 *pkts[PACKETS_MAX];
	unsigned int n = 0;

	dp_co_init(&co, true);
	while (size >= 2 && n < PACKETS_MAX) {
		size_t len = (data[0] << 8 | data[1]) & 0x7ff;

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		if (!dp_inner_sane(data, len)) {
			data += len;
			size -= len;
			continue;
		}
		pkts[n] = malloc(len);
		memcpy(pkts[n], data, len);
		if (!dp_co_add(&co, pkts[n], len)) {
			flush(&co);
			if (!dp_co_add(&co, pkts[n], len))
				abort();
		}
		n++;
		data += len;
		size -= len;
	}
	flush(&co);
	while (n)
		free(pkts[--n]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1)
		coalesce(data + 1, size - 1);
	else
		segment(data + 1, size - 1);
	return 0;
}
