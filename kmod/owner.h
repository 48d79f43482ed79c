/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What comes in on an attached socket and is no session's: for whoever has the socket, who reads it
 * as from any other. It waits where his system calls look first, reader_queue, in the socket's
 * account, and may take a part of its receive buffer only, so that sessions do not suffer.
 */
#ifndef NQD_OWNER_H
#define NQD_OWNER_H

#include "nqd.h"

/*
 * @skb, of which the socket is charged with @charge bytes, is the owner's to read, unless what waits
 * for him and @others, charged for what is not his, are too much. Consumes @skb if it returns true.
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
