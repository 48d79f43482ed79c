// SPDX-License-Identifier: GPL-2.0-only
/* What is left to a socket's owner: see owner.h. */
#include <linux/udp.h>
#include <net/udp.h>

#include "owner.h"

/* What waits takes one part in so many of the socket's receive buffer. */
#define OWNER_SHARE 4

bool nqd_owner_take(struct nqd_socket *sock, struct sk_buff *skb, unsigned int others)
{
	struct sock *sk = sock->sk;
	struct sk_buff_head *queue = &udp_sk(sk)->reader_queue;

	if (sk_rmem_alloc_get(sk) > READ_ONCE(sk->sk_rcvbuf) / OWNER_SHARE + others)
		return false;
	spin_lock(&queue->lock);
	__skb_queue_tail(queue, skb);
	spin_unlock(&queue->lock);
	sock->dp.data_ready(sk);
	return true;
}

/* What the UDP layer notes of a datagram when it queues it, and goes by when it is read. */
static void note(struct sk_buff *skb, u32 charge)
{
	struct udp_dev_scratch *scratch = udp_skb_scratch(skb);

	scratch->_tsize_state = charge;
#if BITS_PER_LONG == 64
	scratch->len = skb->len;
	scratch->is_linear = true;
	scratch->csum_unnecessary = true;
#endif
}

struct sk_buff *nqd_owner_copy(const struct sk_buff *skb, const u8 *data, u32 len, u32 charge)
{
	u32 headroom = skb_headroom(skb), headers = -skb_network_offset(skb);
	struct sk_buff *copy = alloc_skb(headroom + len, GFP_ATOMIC | __GFP_NOWARN);

	if (!copy)
		return NULL;
	/* As much room in front: so where the headers are is the same in both. */
	skb_reserve(copy, headroom - headers);
	skb_put_data(copy, skb_network_header(skb), headers);
	skb_put_data(copy, data, len);
	__skb_pull(copy, headers);
	skb_copy_header(copy, skb);
	skb_gso_reset(copy);
	/* That of all of them was right. */
	copy->ip_summed = CHECKSUM_UNNECESSARY;
	note(copy, charge);
	return copy;
}
