/* SPDX-License-Identifier: GPL-2.0-only */
/* The data path's part of the module's objects, and what the control side calls of it. */
#ifndef NQD_DATAPATH_H
#define NQD_DATAPATH_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>

#include "../quic/nq.h"

struct nqd_device;
struct nqd_session;
struct nqd_socket;

struct nqd_session_dp {
};

struct nqd_device_dp {
};

struct nqd_socket_dp {
};

/* ---- module ---- */
int nqd_dp_init(void);
void nqd_dp_exit(void);

/* ---- devices ---- */
/* From the link's setup(): features and queue. */
void nqd_dp_setup_link(struct net_device *dev);
int nqd_dp_device_init(struct nqd_device *nd);
void nqd_dp_device_uninit(struct nqd_device *nd);
netdev_tx_t nqd_dp_xmit(struct sk_buff *skb, struct net_device *dev);

/* ---- sessions: process context where nothing else is said ---- */
/* Before s->conn is set and packets may use it. 0 or -ENOMEM. */
int nqd_dp_session_start(struct nqd_session *s);
/* Nobody finds it any more; when it returns, nothing of the data path touches it. May sleep. */
void nqd_dp_session_stop(struct nqd_session *s);
/* The engine has something to say or its timeout changed. Any context, not under s->lock. */
void nqd_dp_session_wake(struct nqd_session *s);
/* The same, done before it returns. */
void nqd_dp_session_flush(struct nqd_session *s);
/* The packets that wait in @from are @to's. */
void nqd_dp_session_move_queue(struct nqd_session *to, struct nqd_session *from);
void nqd_dp_session_drop_queue(struct nqd_session *s);
/* One inner packet from before the session was installed. */
void nqd_dp_rx_inner(struct nqd_session *s, const u8 *data, u32 len);

/* ---- sockets: the caller holds lock_sock ---- */
/* Take over what arrives: 0 or -ENOMEM. sk_user_data is set already. */
int nqd_dp_socket_attach(struct nqd_socket *sock);
/* Give it back; may sleep. Afterwards nothing of the data path touches the socket. */
void nqd_dp_socket_detach(struct nqd_socket *sock);

#endif /* NQD_DATAPATH_H */
