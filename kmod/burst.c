// SPDX-License-Identifier: GPL-2.0-only
/* Packet memory and bursts: see burst.h. */
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/sock.h>

#include "burst.h"

#define POOL_ORDER 3
#define POOL_PAGES 16
/* In front of the packets of an outer skb: link layer, IP, UDP. */
#define HEADROOM ALIGN(LL_MAX_HEADER + 40 + sizeof(struct udphdr), 16)

/*
 * The pages of one CPU, each with one reference of the pool's. A page whose references are all
 * others' or the pool's alone is told by the count.
 */
struct pool {
	struct page *ring[POOL_PAGES];
	unsigned int next;
	struct page *cur; /* a reference of its own */
	u32 off, size; /* of cur */
	struct nqd_burst burst;
};

static struct pool __percpu *pools;

/* ---- pages ---- */

static struct page *next_page(struct pool *p, u32 *size)
{
	struct page **slot = &p->ring[p->next], *page = *slot;

	*size = PAGE_SIZE << POOL_ORDER;
	if (likely(page && page_ref_count(page) == 1)) {
		p->next = (p->next + 1) % POOL_PAGES;
		get_page(page);
		return page;
	}
	page = alloc_pages(GFP_ATOMIC | __GFP_COMP | __GFP_NOWARN | __GFP_NORETRY |
				   __GFP_NOMEMALLOC,
			   POOL_ORDER);
	if (page) {
		if (*slot)
			put_page(*slot);
		*slot = page;
		p->next = (p->next + 1) % POOL_PAGES;
		get_page(page);
		return page;
	}
	*size = PAGE_SIZE;
	return alloc_page(GFP_ATOMIC | __GFP_NOWARN);
}

/* @bytes in one piece: in p->cur at p->off. */
static bool make_room(struct pool *p, u32 bytes)
{
	if (likely(p->cur && p->size - p->off >= bytes))
		return true;
	if (p->cur)
		put_page(p->cur);
	p->cur = next_page(p, &p->size);
	p->off = 0;
	/* A single page is no room for a jumbo packet. */
	return p->cur && p->size >= bytes;
}

/* ---- bursts ---- */

struct nqd_burst *nqd_burst_begin(void)
{
	struct nqd_burst *b = &this_cpu_ptr(pools)->burst;

	WARN_ON_ONCE(b->n || b->n_pages);
	b->n = 0;
	b->bytes = 0;
	b->n_pages = 0;
	return b;
}

u8 *nqd_burst_room(struct nqd_burst *b, u32 bytes)
{
	struct pool *p = this_cpu_ptr(pools);

	if (b->n == NQD_BURST_PACKETS || !make_room(p, bytes))
		return NULL;
	if (!b->n_pages || b->pages[b->n_pages - 1] != p->cur) {
		if (b->n_pages == NQD_BURST_PAGES)
			return NULL;
		get_page(p->cur);
		b->pages[b->n_pages++] = p->cur;
	}
	return page_address(p->cur) + p->off;
}

void nqd_burst_add(struct nqd_burst *b, u8 *buf, u32 len)
{
	struct pool *p = this_cpu_ptr(pools);

	b->off[b->n] = p->off;
	b->page_of[b->n] = b->n_pages - 1;
	b->pkts[b->n].buf = buf;
	b->pkts[b->n].len = len;
	b->n++;
	b->bytes += len;
	p->off += len;
}

/* Does packet @i stand right behind the one before it? */
static bool adjoins(const struct nqd_burst *b, unsigned int i)
{
	return b->page_of[i] == b->page_of[i - 1] &&
	       b->off[i] == b->off[i - 1] + b->pkts[i - 1].len;
}

/* One skb of the packets from @first on that may leave together; *@end: behind them. */
static struct sk_buff *build_run(struct nqd_burst *b, unsigned int first, unsigned int *end)
{
	u32 size = b->pkts[first].len, bytes = 0;
	unsigned int i, frags = 0;
	struct sk_buff *skb;
	struct page *page;

	*end = first + 1;
	skb = alloc_skb(HEADROOM, GFP_ATOMIC | __GFP_NOWARN);
	if (!skb)
		return NULL;
	skb_reserve(skb, HEADROOM);
	for (i = first; i < b->n; i++) {
		u32 len = b->pkts[i].len;

		if (i > first && (len > size || bytes + len > NQD_GSO_MAX_BYTES ||
				  i - first == NQD_GSO_MAX_SEGS))
			break;
		if (i > first && adjoins(b, i)) {
			skb_frag_size_add(&skb_shinfo(skb)->frags[frags - 1], len);
		} else {
			if (frags == MAX_SKB_FRAGS)
				break;
			page = b->pages[b->page_of[i]];
			get_page(page);
			skb_fill_page_desc(skb, frags++, page, b->off[i], len);
		}
		bytes += len;
		if (len < size) {
			i++;
			break;
		}
	}
	*end = i;
	skb->len += bytes;
	skb->data_len += bytes;
	skb->truesize += bytes;
	if (i - first == 1)
		return skb;
	skb_shinfo(skb)->gso_type = SKB_GSO_UDP_L4;
	skb_shinfo(skb)->gso_size = size;
	skb_shinfo(skb)->gso_segs = i - first;
	/* The UDP header that will be pushed in front; nothing segments without this. */
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_headroom(skb) - sizeof(struct udphdr);
	skb->csum_offset = offsetof(struct udphdr, check);
	return skb;
}

static void release(struct nqd_burst *b)
{
	unsigned int i;

	for (i = 0; i < b->n_pages; i++)
		put_page(b->pages[i]);
	b->n_pages = 0;
	b->n = 0;
	b->bytes = 0;
}

void nqd_burst_build(struct nqd_burst *b, struct sk_buff_head *out)
{
	unsigned int at = 0, end;
	struct sk_buff *skb;

	while (at < b->n) {
		skb = build_run(b, at, &end);
		if (skb)
			__skb_queue_tail(out, skb);
		at = end;
	}
	release(b);
}

void nqd_burst_drop(struct nqd_burst *b)
{
	release(b);
}

/* ---- received payload ---- */

int nqd_skb_append(struct sk_buff *skb, const u8 *data, u32 len)
{
	struct skb_shared_info *shinfo = skb_shinfo(skb);
	struct pool *p = this_cpu_ptr(pools);
	u32 n;

	for (; len; data += n, len -= n) {
		if (!make_room(p, min_t(u32, len, SMP_CACHE_BYTES)))
			return -ENOMEM;
		n = min(len, p->size - p->off);
		memcpy(page_address(p->cur) + p->off, data, n);
		if (shinfo->nr_frags && skb_can_coalesce(skb, shinfo->nr_frags, p->cur, p->off)) {
			skb_frag_size_add(&shinfo->frags[shinfo->nr_frags - 1], n);
		} else {
			if (shinfo->nr_frags == MAX_SKB_FRAGS)
				return -ENOMEM;
			get_page(p->cur);
			skb_fill_page_desc(skb, shinfo->nr_frags, p->cur, p->off, n);
		}
		p->off += n;
		skb->len += n;
		skb->data_len += n;
		skb->truesize += n;
	}
	return 0;
}

/* ---- module ---- */

int nqd_burst_init(void)
{
	pools = alloc_percpu(struct pool);
	return pools ? 0 : -ENOMEM;
}

void nqd_burst_exit(void)
{
	unsigned int i;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct pool *p = per_cpu_ptr(pools, cpu);

		if (p->cur)
			put_page(p->cur);
		for (i = 0; i < POOL_PAGES; i++)
			if (p->ring[i])
				put_page(p->ring[i]);
	}
	free_percpu(pools);
}
