// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is left to a socket's owner: see owner.h.
 *
 * His protocol, while a socket is attached, is a copy of UDP's with another recvmsg(). Who reads by
 * it does not hold up the end of an attachment: he keeps the memory of the nqd_socket
 * (nqd_socket.kept), and looks whether it still is the socket's whenever he has waited. The end of
 * the module waits until he has copied his datagram to wherever he wants it; but who waits for one
 * is woken by the end of the attachment, and comes again by UDP's own protocol.
 *
 * IPV6_ADDRFORM gives a socket UDP's protocol in the middle. Then only what is said of strays in
 * nqd_owner_sweep() keeps packets of sessions from him, which comes too late now and then.
 */
#include <linux/delay.h>
#include <linux/rcupdate.h>
#include <linux/udp.h>
#include <net/udp.h>

#include "compat/udp.h"
#include "owner.h"
#include "rx.h"

/* What waits takes one part in so many of the socket's receive buffer. */
#define OWNER_SHARE 4

/* By family. Written once, under the lock. */
static struct {
	struct proto prot;
	struct proto *base; /* what it is a copy of; NULL: no such socket was attached yet */
} protocols[2];
static DEFINE_SPINLOCK(protocols_lock);

/* Who is in one of our functions by that. */
static atomic_t inside = ATOMIC_INIT(0);

/* UDP's own protocol that @prot is ours for; or NULL. */
static struct proto *base_of(const struct proto *prot)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(protocols); i++)
		if (prot == &protocols[i].prot)
			return protocols[i].base;
	return NULL;
}

static struct proto *prot_of(const struct sock *sk)
{
	/* What it is a copy of is known by then: pairs with nqd_owner_attach(). */
	return smp_load_acquire(&sk->sk_prot);
}

/* ---- what is left ---- */

/* In skb->cb, behind what the UDP layer has there: whose it is was looked at. */
struct owner_cb {
	struct udp_skb_cb udp;
	const struct nqd_socket *left_by;
};

static struct owner_cb *owner_cb(struct sk_buff *skb)
{
	sock_skb_cb_check_size(sizeof(struct owner_cb));
	return (struct owner_cb *)skb->cb;
}

static bool is_stray(const struct nqd_socket *sock, struct sk_buff *skb)
{
	return owner_cb(skb)->left_by != sock;
}

void nqd_owner_sweep(struct nqd_socket *sock)
{
	struct sk_buff_head *queue = &udp_sk(sock->sk)->reader_queue, strays;
	struct sk_buff *skb;
	int truesize;

	__skb_queue_head_init(&strays);
	while ((skb = skb_peek_tail(queue)) && is_stray(sock, skb)) {
		__skb_unlink(skb, queue);
		__skb_queue_head(&strays, skb);
	}
	while ((skb = __skb_dequeue(&strays))) {
		/* Whoever has begun to peek when it could still be had keeps his own. */
		truesize = skb->truesize;
		skb = skb_share_check(skb, GFP_ATOMIC);
		if (likely(skb)) {
			nqd_rx_take(sock, skb);
		} else {
			atomic_sub(truesize, &sock->sk->sk_rmem_alloc);
			sk_mem_uncharge(sock->sk, truesize);
		}
	}
}

bool nqd_owner_take(struct nqd_socket *sock, struct sk_buff *skb, unsigned int others)
{
	struct sock *sk = sock->sk;
	struct sk_buff_head *queue = &udp_sk(sk)->reader_queue;

	if (sk_rmem_alloc_get(sk) > READ_ONCE(sk->sk_rcvbuf) / OWNER_SHARE + others)
		return false;
	owner_cb(skb)->left_by = sock;
	spin_lock(&queue->lock);
	if (unlikely(!skb_queue_empty(queue) && is_stray(sock, skb_peek_tail(queue)))) {
		spin_lock(&sk->sk_receive_queue.lock);
		nqd_owner_sweep(sock);
		spin_unlock(&sk->sk_receive_queue.lock);
	}
	__skb_queue_tail(queue, skb);
	spin_unlock(&queue->lock);
	sock->dp.data_ready(sk);
	return true;
}

/* Is there something that a call with @flags would get, before any stray? */
static bool is_left(struct nqd_socket *sock, int flags)
{
	struct sk_buff_head *queue = &udp_sk(sock->sk)->reader_queue;
	int peek_at = flags & MSG_PEEK ? READ_ONCE(sock->sk->sk_peek_off) : 0;
	struct sk_buff *skb;
	bool left = false;

	spin_lock_bh(&queue->lock);
	skb_queue_walk(queue, skb) {
		if (is_stray(sock, skb))
			break;
		left = peek_at <= 0 || peek_at < (int)skb->len;
		if (left)
			break;
		peek_at -= skb->len;
	}
	spin_unlock_bh(&queue->lock);
	return left;
}

/* ---- reading it ---- */

/* The attachment of @sk, to be forgotten again; NULL: it has none. */
static struct nqd_socket *get_attachment(struct sock *sk)
{
	struct nqd_socket *sock;

	rcu_read_lock();
	sock = rcu_dereference_sk_user_data(sk);
	/*
	 * It is ours if the protocol still is: pairs with nqd_owner_detach(). And if it has been
	 * all the time, not another's before: a detachment waits for us.
	 */
	smp_rmb();
	if (!base_of(prot_of(sk)) || !sock || rcu_access_pointer(sk->sk_user_data) != sock ||
	    !refcount_inc_not_zero(&sock->kept))
		sock = NULL;
	rcu_read_unlock();
	return sock;
}

static bool is_attached(const struct nqd_socket *sock)
{
	return rcu_access_pointer(sock->sk->sk_user_data) == sock && base_of(prot_of(sock->sk));
}

/* By UDP's own protocol, whichever the socket has. It does not wait. */
static int read_by_udp(const struct nqd_read *now)
{
	struct proto *prot = prot_of(now->sk);

	return nqd_read_by(base_of(prot) ?: prot, now);
}

/*
 * One reader at a time: so what is left is still there when it is come to. -ESTALE: the socket was
 * given back meanwhile.
 */
static int read_left(struct nqd_socket *sock, const struct nqd_read *now)
{
	int err = -EAGAIN;

	if (mutex_lock_killable(&sock->reading))
		return -ERESTARTSYS;
	if (!is_attached(sock))
		err = -ESTALE;
	else if (is_left(sock, now->flags))
		err = read_by_udp(now);
	else if (now->sk->sk_err)
		err = sock_error(now->sk) ?: -EAGAIN;
	mutex_unlock(&sock->reading);
	return err;
}

/* Is it time to look again what is left, or what else there is to say? */
static bool may_go_on(struct nqd_socket *sock, int flags)
{
	return is_left(sock, flags) || READ_ONCE(sock->sk->sk_err) ||
	       sock->sk->sk_shutdown & RCV_SHUTDOWN || !is_attached(sock);
}

/* The rest of @timeo, 0 if it is over, or -ERESTARTSYS. */
static long wait_for_some(struct nqd_socket *sock, int flags, long timeo)
{
	long rest = wait_event_interruptible_timeout(*sk_sleep(sock->sk), may_go_on(sock, flags),
						     timeo);

	if (rest < 0 || is_attached(sock))
		return rest;
	/* He comes again, to wait where he will be woken, as after a signal. */
	set_tsk_thread_flag(current, TIF_SIGPENDING);
	return -ERESTARTSYS;
}

static int read_waiting(struct nqd_socket *sock, const struct nqd_read *now, long timeo)
{
	long rest = timeo;
	int err;

	for (;;) {
		err = read_left(sock, now);
		if (err == -EAGAIN && rest) {
			if (now->sk->sk_shutdown & RCV_SHUTDOWN)
				return 0;
			rest = wait_for_some(sock, now->flags, rest);
			if (rest >= 0)
				continue;
			err = rest;
		}
		return err == -ERESTARTSYS ? sock_intr_errno(timeo) : err;
	}
}

/* Of a socket that was given back since he called: now, or he comes again to wait. */
static int read_given_back(const struct nqd_read *now, bool waits)
{
	int err = read_by_udp(now);

	if (err != -EAGAIN || !waits)
		return err;
	set_tsk_thread_flag(current, TIF_SIGPENDING);
	return sock_intr_errno(sock_rcvtimeo(now->sk, false));
}

static int read_by_us(const struct nqd_read *r)
{
	bool waits = !(r->flags & (MSG_DONTWAIT | MSG_ERRQUEUE));
	struct nqd_read now = *r;
	struct nqd_socket *sock;
	int err = -ESTALE;

	atomic_inc(&inside);
	now.flags |= MSG_DONTWAIT;
	if (unlikely(r->flags & MSG_ERRQUEUE))
		err = read_by_udp(&now);
	while (err == -ESTALE && (sock = get_attachment(r->sk))) {
		err = read_waiting(sock, &now, sock_rcvtimeo(r->sk, !waits));
		nqd_socket_forget(sock);
	}
	if (unlikely(err == -ESTALE))
		err = read_given_back(&now, waits);
	atomic_dec(&inside);
	return err;
}

NQD_DEFINE_RECVMSG(nqd_recvmsg, read_by_us)

/* ---- the protocol ---- */

/*
 * connect() reads the protocol, calls this, which may wait for the socket's lock, and goes on with
 * what it has read: so it is one of those who are inside.
 */
static int nqd_pre_connect(struct sock *sk, struct nqd_sockaddr *addr, int len)
{
	struct proto *prot;
	int err;

	atomic_inc(&inside);
	prot = prot_of(sk);
	err = (base_of(prot) ?: prot)->pre_connect(sk, addr, len);
	atomic_dec(&inside);
	return err;
}

/* Is it UDP's own, and nobody else's copy? */
static bool is_udp(const struct sock *sk)
{
	return sk->sk_family == AF_INET ? sk->sk_prot == &udp_prot
					: sk->sk_prot == sk->sk_prot_creator;
}

int nqd_owner_attach(struct sock *sk)
{
	unsigned int i = sk->sk_family == AF_INET6;

	if (!is_udp(sk))
		return -EBUSY;
	spin_lock(&protocols_lock);
	if (!protocols[i].base) {
		protocols[i].prot = *sk->sk_prot;
		protocols[i].prot.recvmsg = nqd_recvmsg;
		if (sk->sk_prot->pre_connect)
			protocols[i].prot.pre_connect = nqd_pre_connect;
		protocols[i].base = sk->sk_prot;
	}
	spin_unlock(&protocols_lock);
	/* Pairs with prot_of(). */
	smp_store_release(&sk->sk_prot, &protocols[i].prot);
	return 0;
}

void nqd_owner_detach(struct sock *sk)
{
	struct proto *base = base_of(sk->sk_prot);

	if (base)
		WRITE_ONCE(sk->sk_prot, base);
	/* Then sk_user_data is cleared: pairs with get_attachment(). */
	smp_wmb();
}

#if defined(CONFIG_PREEMPTION) && !defined(CONFIG_TASKS_RCU)
#error "a kernel that can be preempted needs CONFIG_TASKS_RCU, which BPF_SYSCALL or KPROBES brings"
#endif

/*
 * Whoever has read sk_prot before has come in, or is through, when a grace period of tasks is over:
 * he does not sleep in between. (connect() does, if it has to find a port first, which a socket has
 * that is attached.)
 */
void nqd_owner_exit(void)
{
	if (!protocols[0].base && !protocols[1].base)
		return;
	synchronize_rcu_tasks();
	/* He who is the last to leave tells nobody, or he would not have left yet. */
	while (atomic_read(&inside))
		msleep(20);
	synchronize_rcu_tasks();
}

/* ---- datagrams out of a buffer ---- */

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
	/* If nobody reads it, the socket's end goes by this. */
	copy->truesize = charge;
	/* That of all of them was right. */
	copy->ip_summed = CHECKSUM_UNNECESSARY;
	note(copy, charge);
	return copy;
}
