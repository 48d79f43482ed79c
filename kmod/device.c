// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices of kind "nexusq": point-to-point, layer 3, without a header. Made and deleted by
 * NQD_CMD_CREATE_DEVICE and _DELETE_DEVICE or by "ip link"; either way the core ends them all when
 * their namespace or the module goes.
 */
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <net/rtnetlink.h>

#include "compat/netdev.h"
#include "nqd.h"

/* Until the first session's path is known: what passes everywhere (RFC 8200, 5). */
#define DEFAULT_MTU 1280

static int nqd_ndo_init(struct net_device *dev)
{
	struct nqd_device *nd = netdev_priv(dev);
	struct nqd_net *nn = nqd_net_of(dev_net(dev));
	int err = 0;

	nd->dev = dev;
	nd->nn = nn;
	mutex_lock(&nn->lock);
	if (nn->n_devices == NQD_MAX_DEVICES) {
		err = -ENOSPC;
	} else {
		list_add_tail(&nd->entry, &nn->devices);
		nn->n_devices++;
	}
	mutex_unlock(&nn->lock);
	return err;
}

static void drop_sockets(struct nqd_socket **socks, unsigned int n)
{
	while (n)
		nqd_socket_put(socks[--n]);
}

static void set_sockets(struct nqd_device *nd, struct nqd_socket **socks, unsigned int n)
{
	drop_sockets(nd->sockets, nd->n_sockets);
	memcpy(nd->sockets, socks, n * sizeof(*socks));
	nd->n_sockets = n;
	while (n)
		nqd_socket_check_closed(socks[--n]);
}

/*
 * The device is down, no packet is on its way in from the stack (the core waited for a grace
 * period), and rtnl is held: nobody makes it anew meanwhile.
 */
static void nqd_ndo_uninit(struct net_device *dev)
{
	struct nqd_device *nd = netdev_priv(dev);
	struct nqd_net *nn = nd->nn;

	mutex_lock(&nn->lock);
	nqd_device_end_sessions(nd);
	drop_sockets(nd->sockets, nd->n_sockets);
	nd->n_sockets = 0;
	list_del(&nd->entry);
	nn->n_devices--;
	mutex_unlock(&nn->lock);
}

static const struct net_device_ops nqd_netdev_ops = {
	.ndo_init = nqd_ndo_init,
	.ndo_uninit = nqd_ndo_uninit,
	.ndo_start_xmit = nqd_dp_xmit,
	.ndo_get_stats64 = dev_get_tstats64,
};

static const struct device_type nqd_type = { .name = "nexusq" };

static void nqd_link_setup(struct net_device *dev)
{
	dev->netdev_ops = &nqd_netdev_ops;
	dev->needs_free_netdev = true;
	dev->type = ARPHRD_NONE;
	dev->flags = IFF_POINTOPOINT | IFF_NOARP;
	dev->mtu = DEFAULT_MTU;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = ETH_MAX_MTU;
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_TSTATS;
	nqd_dev_set_lockless_local(dev);
	SET_NETDEV_DEVTYPE(dev, &nqd_type);
	netif_keep_dst(dev);
	nqd_dp_setup_link(dev);
}

static int nqd_link_new(struct net_device *dev, struct netlink_ext_ack *extack)
{
	int err = register_netdevice(dev);

	if (err == -ENOSPC)
		NL_SET_ERR_MSG(extack, "this network namespace has all the devices it may have");
	return err;
}

NQD_DEFINE_NEWLINK(nqd_newlink, nqd_link_new)

static struct rtnl_link_ops nqd_link_ops __read_mostly = {
	.kind = "nexusq",
	.priv_size = sizeof(struct nqd_device),
	.setup = nqd_link_setup,
	.newlink = nqd_newlink,
};

int __init nqd_device_init(void)
{
	return rtnl_link_register(&nqd_link_ops);
}

void nqd_device_exit(void)
{
	rtnl_link_unregister(&nqd_link_ops);
}

/* ---- requests ---- */

static struct nqd_device *find_device(struct nqd_net *nn, u32 ifindex, const char *ifname)
{
	struct nqd_device *nd;

	/* Names change under rtnl, which is not held: then it had the other one a moment ago. */
	list_for_each_entry(nd, &nn->devices, entry)
		if (ifindex ? nd->dev->ifindex == ifindex
			    : ifname && !strncmp(nd->dev->name, ifname, IFNAMSIZ))
			return nd;
	return NULL;
}

struct nqd_device *nqd_request_device(struct nqd_request *r)
{
	struct nxa d[NQD_A_DEVICE_MAX + 1];
	struct nqd_device *nd;

	lockdep_assert_held(&r->nn->lock);
	if (nxa_require(r->top, &nqd_top_set, NQD_A_DEVICE, &r->e) ||
	    nxa_parse_nest(&r->top[NQD_A_DEVICE], &nqd_device_set, d, r->msg, &r->e))
		return NULL;
	if (!d[NQD_A_DEVICE_IFINDEX].present && !d[NQD_A_DEVICE_IFNAME].present) {
		nqd_fail(r, -EINVAL, "missing NQD_A_DEVICE_IFINDEX or NQD_A_DEVICE_IFNAME");
		return NULL;
	}
	nd = find_device(r->nn,
			 d[NQD_A_DEVICE_IFINDEX].present ? nxa_u32(&d[NQD_A_DEVICE_IFINDEX]) : 0,
			 d[NQD_A_DEVICE_IFNAME].present ? nxa_str(&d[NQD_A_DEVICE_IFNAME]) : NULL);
	if (!nd)
		nqd_fail(r, -ENODEV, "NQD_A_DEVICE: no such device");
	return nd;
}

/* What is made is not unmade because an answer cannot be built: @skb was made before, with room. */
static int reply_device(struct nqd_request *r, struct sk_buff *skb, void *hdr,
			const struct nqd_device *nd)
{
	struct nlattr *nest = nla_nest_start(skb, NQD_A_DEVICE);

	if (WARN_ON(!nest || nla_put_u32(skb, NQD_A_DEVICE_IFINDEX, nd->dev->ifindex) ||
		    nla_put_string(skb, NQD_A_DEVICE_IFNAME, nd->dev->name) ||
		    nla_put_u32(skb, NQD_A_DEVICE_SESSIONS, nd->n_sessions))) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return nqd_reply(r, skb, hdr);
}

/* A new device of this name (NULL: the next number). Under rtnl. */
static int make_device(struct nqd_request *r, const char *ifname, struct nqd_device **nd)
{
	struct net_device *dev;
	int err;

	dev = alloc_netdev(sizeof(struct nqd_device), ifname ?: "nexusq%d",
			   ifname ? NET_NAME_USER : NET_NAME_ENUM, nqd_link_setup);
	if (!dev)
		return -ENOMEM;
	dev_net_set(dev, r->nn->net);
	dev->rtnl_link_ops = &nqd_link_ops;
	err = register_netdevice(dev);
	if (err == -ENOSPC)
		nqd_fail(r, err, "NQD_A_DEVICE: %d devices exist", NQD_MAX_DEVICES);
	else if (err == -EEXIST)
		nqd_fail(r, err, "NQD_A_DEVICE_IFNAME: an interface of another kind has this name");
	else if (err)
		nqd_fail(r, err, "NQD_A_DEVICE_IFNAME: the interface cannot be made");
	if (err) {
		free_netdev(dev);
		return err;
	}
	*nd = netdev_priv(dev);
	return 0;
}

/* Sockets of the descriptors of NQD_A_DEVICE_SOCKET_FD: all, or -errno and none. */
static int take_sockets(struct nqd_request *r, struct nqd_socket **socks)
{
	const struct nxa *nest = &r->top[NQD_A_DEVICE];
	static const char attr[] = "NQD_A_DEVICE_SOCKET_FD";
	const u8 *pos = NULL;
	struct nxa a;
	int n = 0, err;

	while (nxa_next(nest->data, nest->len, NQD_A_DEVICE_SOCKET_FD, &pos, &a)) {
		if (n == NQD_FDS_MAX) {
			err = nqd_fail(r, -E2BIG, "%s: more than %d", attr, NQD_FDS_MAX);
			goto put;
		}
		socks[n] = nqd_socket_get(r, nxa_u32(&a), attr);
		if (IS_ERR(socks[n])) {
			err = PTR_ERR(socks[n]);
			goto put;
		}
		n++;
	}
	return n;

put:
	drop_sockets(socks, n);
	return err;
}

/* The device that the request names; -EEXIST, or -ENODEV if a number names none. */
static int find_existing(struct nqd_request *r, const struct nxa *d, struct nqd_device **nd)
{
	*nd = NULL;
	if (d[NQD_A_DEVICE_IFINDEX].present || d[NQD_A_DEVICE_IFNAME].present)
		*nd = nqd_request_device(r);
	if (*nd && r->flags & NLM_F_EXCL)
		return nqd_fail(r, -EEXIST, "NQD_A_DEVICE: it exists");
	r->e = (struct nxm_error){};
	if (!*nd && d[NQD_A_DEVICE_IFINDEX].present)
		return nqd_fail(r, -ENODEV, "NQD_A_DEVICE_IFINDEX: no such device");
	return 0;
}

/* Under rtnl, which keeps the device while nqd_net.lock is let go. */
static int create_device(struct nqd_request *r, struct nqd_device **nd)
{
	struct nqd_socket *socks[NQD_FDS_MAX];
	struct nxa d[NQD_A_DEVICE_MAX + 1];
	const char *ifname = NULL;
	int n = 0, err;

	err = nxa_parse_nest(&r->top[NQD_A_DEVICE], &nqd_device_set, d, r->msg, &r->e);
	if (err)
		return err;
	if (d[NQD_A_DEVICE_TUN_FD].present)
		return nqd_fail(r, -EOPNOTSUPP, "NQD_A_DEVICE_TUN_FD: the module makes its own");
	if (d[NQD_A_DEVICE_IFNAME].present)
		ifname = nxa_str(&d[NQD_A_DEVICE_IFNAME]);
	mutex_lock(&r->nn->lock);
	err = find_existing(r, d, nd);
	if (!err) {
		n = take_sockets(r, socks);
		err = min(n, 0);
	}
	mutex_unlock(&r->nn->lock);
	if (err)
		return err;
	if (!*nd)
		err = make_device(r, ifname, nd);
	mutex_lock(&r->nn->lock);
	if (err)
		drop_sockets(socks, n);
	else
		set_sockets(*nd, socks, n);
	mutex_unlock(&r->nn->lock);
	return err;
}

int nqd_cmd_create_device(struct nqd_request *r)
{
	struct nqd_device *nd = NULL;
	struct sk_buff *skb;
	void *hdr;
	int err;

	skb = nqd_reply_begin(r, NLMSG_DEFAULT_SIZE, &hdr);
	if (!skb)
		return -ENOMEM;
	rtnl_lock();
	err = create_device(r, &nd);
	if (err)
		nlmsg_free(skb);
	else
		err = reply_device(r, skb, hdr, nd);
	rtnl_unlock();
	return err;
}

int nqd_cmd_delete_device(struct nqd_request *r)
{
	struct nqd_device *nd;
	int err = 0;

	rtnl_lock();
	mutex_lock(&r->nn->lock);
	nd = nqd_request_device(r);
	mutex_unlock(&r->nn->lock);
	if (nd)
		unregister_netdevice(nd->dev);
	else if (r->e.err != -ENODEV)
		err = r->e.err;
	rtnl_unlock();
	if (!err)
		r->e = (struct nxm_error){};
	return err;
}
