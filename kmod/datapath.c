// SPDX-License-Identifier: GPL-2.0-only
/* No data path: sessions are kept, nothing is sent or received. */
#include "nqd.h"
#include "trace.h"

int nqd_dp_init(void)
{
	return 0;
}

void nqd_dp_exit(void)
{
}

void nqd_dp_setup_link(struct net_device *dev)
{
	dev->priv_flags |= IFF_NO_QUEUE;
}

int nqd_dp_device_init(struct nqd_device *nd)
{
	return 0;
}

void nqd_dp_device_uninit(struct nqd_device *nd)
{
}

netdev_tx_t nqd_dp_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct nqd_device *nd = netdev_priv(dev);

	nqd_count_drop_no_route(nd);
	trace_nqd_drop(dev->ifindex, 0, NQD_DROP_NO_ROUTE);
	kfree_skb(skb);
	return NETDEV_TX_OK;
}

int nqd_dp_session_start(struct nqd_session *s)
{
	return 0;
}

void nqd_dp_session_stop(struct nqd_session *s)
{
}

void nqd_dp_session_wake(struct nqd_session *s)
{
}

void nqd_dp_session_flush(struct nqd_session *s)
{
}

void nqd_dp_session_move_queue(struct nqd_session *to, struct nqd_session *from)
{
}

void nqd_dp_session_drop_queue(struct nqd_session *s)
{
}

void nqd_dp_rx_inner(struct nqd_session *s, const u8 *data, u32 len)
{
}

int nqd_dp_socket_attach(struct nqd_socket *sock)
{
	return 0;
}

void nqd_dp_socket_detach(struct nqd_socket *sock)
{
}
