// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/debug/nexus_quic_dco/net-<inode>/state: what a network namespace holds, in numbers,
 * for who looks for a leak. No key, connection ID or address is shown.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "nqd.h"

static struct dentry *root;

static int state_show(struct seq_file *m, void *unused)
{
	struct nqd_net *nn = m->private;

	mutex_lock(&nn->lock);
	seq_printf(m, "devices %u\nsessions %u\nsockets %u\nended %u\nring_bytes %llu\n",
		   nn->n_devices, nn->n_sessions, nn->n_sockets, nn->n_ended, nn->ring_bytes);
	mutex_unlock(&nn->lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(state);

void nqd_debugfs_add_net(struct nqd_net *nn)
{
	char name[32];

	snprintf(name, sizeof(name), "net-%u", nn->net->ns.inum);
	nn->debugfs = debugfs_create_dir(name, root);
	debugfs_create_file("state", 0400, nn->debugfs, nn, &state_fops);
}

/* Readers that are in state_show() are waited for. */
void nqd_debugfs_remove_net(struct nqd_net *nn)
{
	debugfs_remove_recursive(nn->debugfs);
}

void __init nqd_debugfs_init(void)
{
	root = debugfs_create_dir("nexus_quic_dco", NULL);
}

void nqd_debugfs_exit(void)
{
	debugfs_remove_recursive(root);
}
