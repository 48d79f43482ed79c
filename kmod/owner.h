/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What comes in on an attached socket and is no session's: for whoever has the socket, who reads it
 * as from any other. It waits where his system calls look first, reader_queue, in the socket's
 * account, and may take a part of its receive buffer only, so that sessions do not suffer.
 *
 * He must not take what has not been looked at yet. The UDP layer puts a packet into
 * sk_receive_queue and tells us then. In between, a reader moves all that is there to reader_queue:
 * when he finds that empty, has made it empty, or asks how much there is. Such packets are strays.
 * They are at the end of reader_queue, for what is left is marked, and they are swept out before
 * anything is added. Who moved them did so before we were told of them, so we find them. What
 * remains is that he reads one of them first: so while a socket is attached recvmsg() of its
 * protocol is ours, which goes on to the UDP layer's only if what that would give is marked.
 *
 * Whoever was in a read when the socket was attached may still take what comes then.
 */
#ifndef NQD_OWNER_H
#define NQD_OWNER_H

#include "nqd.h"

/* From now on its owner reads what is left to him. Under lock_sock. 0; -EBUSY: another has it. */
int nqd_owner_attach(struct sock *sk);
/*
 * From now on he reads what comes. Under lock_sock. Who waits in a read is still to be woken, and
 * sk_user_data is still ours.
 */
void nqd_owner_detach(struct sock *sk);
/* All sockets are detached: when it returns, nobody reads by us any more. May sleep. */
void nqd_owner_exit(void);

/* Strays go to their lanes. Under the locks of reader_queue and of sk_receive_queue. */
void nqd_owner_sweep(struct nqd_socket *sock);

/*
 * @skb, of which the socket is charged with a part, is the owner's to read, unless what waits for
 * him is too much, @others of the charge not being for that. Consumes @skb if it returns true.
 * Softirq.
 */
bool nqd_owner_take(struct nqd_socket *sock, struct sk_buff *skb, unsigned int others);

/*
 * One datagram of those that GRO has joined in @skb, which came from the socket's queue: @len bytes
 * at @data, as if they had come alone. @charge: its part of what the socket is charged for @skb.
 * NULL: no memory.
 */
struct sk_buff *nqd_owner_copy(const struct sk_buff *skb, const u8 *data, u32 len, u32 charge);

#endif /* NQD_OWNER_H */
