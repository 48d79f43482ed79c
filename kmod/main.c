// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading and unloading, and what lives as long as a network namespace.
 *
 * Unloading, with sessions or without: the family goes first, so that no request is handled or can
 * begin; then the link kind, which deletes every device and with it every session and the uses of
 * sockets; then the namespaces' own part; then who was reading from one of those. Memory that RCU
 * readers may still look at is waited for last. Nothing of this can be refused, and rmmod is not
 * held up by sessions that exist.
 */
#include <linux/module.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>
#include <net/rtnetlink.h>

#include "crypto.h"
#include "nqd.h"
#include "owner.h"

struct workqueue_struct *nqd_wq;
unsigned int nqd_net_id __read_mostly;

static int __net_init nqd_net_init(struct net *net)
{
	struct nqd_net *nn = nqd_net_of(net);
	int err;

	nn->net = net;
	mutex_init(&nn->lock);
	INIT_LIST_HEAD(&nn->devices);
	INIT_LIST_HEAD(&nn->sockets);
	INIT_WORK(&nn->reap, nqd_reap_sockets);
	err = nqd_sessions_init_net(nn);
	if (err)
		return err;
	nqd_debugfs_add_net(nn);
	return 0;
}

/*
 * Devices are gone. So are sockets, unless the module is unloaded: then those of sessions that say
 * goodbye are left, and go with them.
 */
static void __net_exit nqd_net_exit(struct net *net)
{
	struct nqd_net *nn = nqd_net_of(net);

	nqd_debugfs_remove_net(nn);
	WARN_ON(!list_empty(&nn->devices));
	nqd_sessions_exit_net(nn);
	WARN_ON(!list_empty(&nn->sockets));
	cancel_work_sync(&nn->reap);
	/* Workers of its sessions that have begun wait for the lock, or are about to. */
	wait_var_event(&nn->workers, !atomic_read(&nn->workers));
	mutex_destroy(&nn->lock);
}

static struct pernet_operations nqd_net_ops = {
	.init = nqd_net_init,
	.exit = nqd_net_exit,
	.id = &nqd_net_id,
	.size = sizeof(struct nqd_net),
};

static int __init nqd_init(void)
{
	int err;

	nqd_wq = alloc_workqueue("nexus_quic_dco", WQ_UNBOUND, 0);
	if (!nqd_wq)
		return -ENOMEM;
	err = nqd_crypto_init();
	if (err)
		goto err_wq;
	err = nqd_session_init();
	if (err)
		goto err_crypto;
	err = nqd_dp_init();
	if (err)
		goto err_session;
	nqd_debugfs_init();
	err = register_pernet_subsys(&nqd_net_ops);
	if (err)
		goto err_dp;
	err = nqd_device_init();
	if (err)
		goto err_pernet;
	err = nqd_netlink_init();
	if (err)
		goto err_device;
	return 0;

err_device:
	nqd_device_exit();
err_pernet:
	unregister_pernet_subsys(&nqd_net_ops);
err_dp:
	nqd_debugfs_exit();
	nqd_dp_exit();
err_session:
	nqd_session_exit();
err_crypto:
	nqd_crypto_exit();
err_wq:
	destroy_workqueue(nqd_wq);
	return err;
}

static void __exit nqd_exit(void)
{
	nqd_netlink_exit();
	nqd_device_exit();
	unregister_pernet_subsys(&nqd_net_ops);
	nqd_owner_exit();
	nqd_debugfs_exit();
	destroy_workqueue(nqd_wq);
	nqd_dp_exit();
	nqd_session_exit();
	nqd_crypto_exit();
	rcu_barrier();
}

module_init(nqd_init);
module_exit(nqd_exit);

MODULE_DESCRIPTION("Nexus: L3 VPN over QUIC v1, data plane");
MODULE_VERSION(NQD_RELEASE);
MODULE_LICENSE("GPL");
MODULE_ALIAS_GENL_FAMILY(NQD_GENL_NAME);
MODULE_ALIAS_RTNL_LINK("nexusq");
