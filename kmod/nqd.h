/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the module share: its objects, who owns them, which lock guards what.
 *
 * Objects. A struct nqd_net per network namespace owns devices, sessions and sockets. A session
 * belongs to a device until that is deleted, and uses the sockets of its paths. Everything stays in
 * the namespace it was made in: devices cannot be moved, sockets of another one are refused.
 *
 * Locks, in the order they are taken:
 *   rtnl               devices come and go
 *   nqd_net.lock       mutex; the control side: every list, table and count of struct nqd_net, and
 *                      whatever is not said to belong to another lock
 *   lock_sock(sk)      attaching and detaching a socket
 *   nqd_session.lock   spinlock, bottom halves off; the engine's state and what the data path
 *                      changes. Nothing is taken inside it but the queue locks of the stack.
 *
 * Readers in softirq (packets) hold no lock but RCU: they find sessions by connection ID or by
 * route, and a session they found may have ended: under its lock, conn == NULL says so.
 */
#ifndef NQD_H
#define NQD_H

#include <linux/completion.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/rhashtable.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>

#include "../lib/nlparse.h"
#include "../quic/nq.h"
#include <linux/nexus_quic_dco.h>

#define NQD_RELEASE		"0.1.0"
/* Of one network namespace. */
#define NQD_MAX_SESSIONS	16384
#define NQD_MAX_DEVICES		64

extern struct workqueue_struct *nqd_wq;
extern unsigned int nqd_net_id;
extern struct genl_family nqd_family;

/*
 * One network namespace. Made and freed with it (pernet); while it is freed no device, session or
 * socket is left: devices go before (default_device_exit), a socket keeps the namespace alive.
 */
struct nqd_net {
	struct net *net;
	struct mutex lock;		/* see above */
	struct list_head devices;	/* struct nqd_device.entry */
	unsigned int n_devices;
	struct dentry *debugfs;
};

static inline struct nqd_net *nqd_net_of(const struct net *net);

/* Drops of packets that belong to no session, per CPU. */
struct nqd_device_drops {
	u64 no_route;
	u64 malformed;
};

/*
 * A device, the private part of its net_device and gone with it. On nqd_net.devices from ndo_init()
 * to ndo_uninit(); who holds nqd_net.lock and found it there may use it until he lets go.
 */
struct nqd_device {
	struct list_head entry;
	struct net_device *dev;
	struct nqd_net *nn;
	unsigned int n_sessions;	/* that may send */
	struct nqd_device_drops __percpu *drops;
};

/* A request while it is handled. */
struct nqd_request {
	struct sk_buff *skb;		/* the message */
	struct genl_info *info;
	struct nqd_net *nn;
	const u8 *msg;			/* its first byte: offsets in errors count from here */
	const u8 *attrs;
	size_t attrs_len;
	u16 flags;			/* NLM_F_* */
	struct nxa top[NQD_A_MAX + 1];
	struct nxm_error e;
};

/* netlink.c */
int nqd_netlink_init(void);
void nqd_netlink_exit(void);
/* Fill r->e; the offset of an attribute is not known here. Returns @err. */
#define nqd_fail(r, err, ...) nxm_fail(&(r)->e, err, 0, __VA_ARGS__)
/* Open an answer to @r: NULL if there is no memory. nqd_reply() ends and sends, or frees it. */
struct sk_buff *nqd_reply_begin(struct nqd_request *r, size_t payload, void **hdr);
int nqd_reply(struct nqd_request *r, struct sk_buff *skb, void *hdr);

/* device.c */
int nqd_device_init(void);
void nqd_device_exit(void);
int nqd_cmd_create_device(struct nqd_request *r);
int nqd_cmd_delete_device(struct nqd_request *r);
/* The device of NQD_A_DEVICE by index or name, NULL with r->e filled (-ENODEV: not there). Under
 * nqd_net.lock.
 */
struct nqd_device *nqd_request_device(struct nqd_request *r);

/* stats.c */
void nqd_count_drop_no_route(struct nqd_device *nd);

/* debugfs.c: failing to make its files is no failure of the module. */
void nqd_debugfs_init(void);
void nqd_debugfs_exit(void);
void nqd_debugfs_add_net(struct nqd_net *nn);
void nqd_debugfs_remove_net(struct nqd_net *nn);

#include <net/netns/generic.h>

static inline struct nqd_net *nqd_net_of(const struct net *net)
{
	return net_generic(net, nqd_net_id);
}

#endif /* NQD_H */
