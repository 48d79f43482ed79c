// SPDX-License-Identifier: GPL-2.0-only
/*
 * UDP sockets of user space, lent to the module.
 *
 * Attaching marks the socket (encap_type) and says whose it is (sk_user_data), so that no other
 * tunnel takes it; what comes in is the data path's. There is no encap_rcv: the UDP layer would
 * take GRO buffers apart for it.
 *
 * The module holds the socket, not its file. When the last descriptor is closed, be it that the
 * process died, the UDP layer calls encap_destroy: the sessions on it end with
 * NQD_DOWN_SOCKET_ERROR and let go of it. (If the file were held, a session would keep its network
 * namespace alive for ever, since the socket does.)
 *
 * A socket that is given back is as it was when it was attached: callbacks, protocol, user data,
 * UDP_GRO. One bit stays until it is closed, ENCAP_ENABLED: the UDP layer counts by it on how many
 * sockets it is to look for a tunnel, as with any owner who has had UDP_GRO on for a while. Nothing
 * else follows from it.
 *
 * Detaching against closing. The UDP layer sets SOCK_DEAD under the socket's lock, then reads
 * encap_destroy, then calls it. We detach under the same lock:
 *   - SOCK_DEAD is not set: encap_destroy is cleared before the closer can read it;
 *   - it is set: the call is on its way, so it is waited for. It takes no lock, so this ends.
 * Afterwards no caller is or will be in nqd_encap_destroy(), and the module may be unloaded.
 */
#include <linux/file.h>
#include <linux/udp.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>
#include <net/sock.h>
#include <net/udp.h>
#include <net/udp_tunnel.h>

#include "compat/udp.h"
#include "nqd.h"

/* Not one of the kernel's own (uapi/linux/udp.h). */
#define NQD_UDP_ENCAP 0x51

static void nqd_encap_destroy(struct sock *sk)
{
	struct nqd_socket *sock;

	rcu_read_lock();
	sock = rcu_dereference_sk_user_data(sk);
	if (sock) {
		WRITE_ONCE(sock->closed, true);
		queue_work(nqd_wq, &sock->nn->reap);
		complete_all(&sock->destroyed);
	}
	rcu_read_unlock();
}

static void set_bound(struct nqd_socket *sock)
{
	const struct inet_sock *inet = inet_sk(sock->sk);
	union nqd_addr *a = &sock->bound;

	if (sock->sk->sk_family == AF_INET) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = inet->inet_sport;
		a->in.sin_addr.s_addr = inet->inet_rcv_saddr;
	} else {
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = inet->inet_sport;
		nqd_sk_v6_rcv_saddr(sock->sk, &a->in6.sin6_addr);
		if (ipv6_addr_type(&a->in6.sin6_addr) & IPV6_ADDR_LINKLOCAL)
			a->in6.sin6_scope_id = sock->sk->sk_bound_dev_if;
	}
}

/* Make @sk ours. Under lock_sock. */
static int attach(struct nqd_socket *sock)
{
	struct sock *sk = sock->sk;
	struct udp_sock *up = udp_sk(sk);
	int err;

	if (sock_flag(sk, SOCK_DEAD))
		return -ESHUTDOWN;
	if (!inet_sk(sk)->inet_num)
		return -EDESTADDRREQ;
	set_bound(sock);
	/* Others who want a socket hold this one. */
	write_lock_bh(&sk->sk_callback_lock);
	err = up->encap_type || rcu_access_pointer(sk->sk_user_data) ? -EBUSY : 0;
	if (!err)
		rcu_assign_sk_user_data(sk, sock);
	write_unlock_bh(&sk->sk_callback_lock);
	if (err)
		return err;
	WRITE_ONCE(up->encap_destroy, nqd_encap_destroy);
	WRITE_ONCE(up->encap_type, NQD_UDP_ENCAP);
	udp_tunnel_encap_enable(sk);
	err = nqd_dp_socket_attach(sock);
	if (err) {
		WRITE_ONCE(up->encap_type, 0);
		WRITE_ONCE(up->encap_destroy, NULL);
		rcu_assign_sk_user_data(sk, NULL);
	}
	return err;
}

/* Give it back. Under nqd_net.lock; nothing points to it any more. */
static void detach(struct nqd_socket *sock)
{
	struct sock *sk = sock->sk;
	struct udp_sock *up = udp_sk(sk);

	lock_sock(sk);
	nqd_dp_socket_detach(sock);
	if (!sock_flag(sk, SOCK_DEAD)) {
		WRITE_ONCE(up->encap_type, 0);
		WRITE_ONCE(up->encap_destroy, NULL);
		complete_all(&sock->destroyed);
	}
	release_sock(sk);
	wait_for_completion(&sock->destroyed);
	rcu_assign_sk_user_data(sk, NULL);
	list_del(&sock->entry);
	sock->nn->n_sockets--;
	sock_put(sk);
	nqd_socket_forget(sock);
}

void nqd_socket_forget(struct nqd_socket *sock)
{
	if (refcount_dec_and_test(&sock->kept))
		kfree_rcu(sock, rcu);
}

static struct nqd_socket *find(struct nqd_net *nn, const struct sock *sk)
{
	struct nqd_socket *sock;

	list_for_each_entry(sock, &nn->sockets, entry)
		if (sock->sk == sk)
			return sock;
	return NULL;
}

static struct nqd_socket *make(struct nqd_net *nn, struct sock *sk)
{
	struct nqd_socket *sock;
	int err;

	if (nn->n_sockets == NQD_MAX_SOCKETS)
		return ERR_PTR(-ENOSPC);
	sock = kzalloc(sizeof(*sock), GFP_KERNEL_ACCOUNT);
	if (!sock)
		return ERR_PTR(-ENOMEM);
	sock->nn = nn;
	sock->sk = sk;
	sock->refs = 1;
	init_completion(&sock->destroyed);
	refcount_set(&sock->kept, 1);
	mutex_init(&sock->reading);
	sock_hold(sk);
	lock_sock(sk);
	err = attach(sock);
	release_sock(sk);
	if (err) {
		sock_put(sk);
		/* encap_destroy may have seen it for a moment. */
		nqd_socket_forget(sock);
		return ERR_PTR(err);
	}
	list_add_tail(&sock->entry, &nn->sockets);
	nn->n_sockets++;
	return sock;
}

/* A UDP socket over IP, in this namespace? */
static int judge(struct nqd_net *nn, const struct socket *socket)
{
	const struct sock *sk = socket->sk;

	if (socket->type != SOCK_DGRAM || sk->sk_protocol != IPPROTO_UDP ||
	    (sk->sk_family != AF_INET && sk->sk_family != AF_INET6))
		return -ENOTSOCK;
	return net_eq(sock_net(sk), nn->net) ? 0 : -EXDEV;
}

struct nqd_socket *nqd_socket_get(struct nqd_request *r, int fd, const char *attr)
{
	struct nqd_socket *sock = NULL;
	struct socket *socket;
	int err;

	lockdep_assert_held(&r->nn->lock);
	socket = sockfd_lookup(fd, &err);
	if (!socket) {
		nqd_fail(r, err, "%s: not a bound UDP socket", attr);
		return ERR_PTR(err);
	}
	err = judge(r->nn, socket);
	if (!err) {
		sock = find(r->nn, socket->sk);
		if (sock && READ_ONCE(sock->closed))
			err = -ESHUTDOWN;
		else if (sock)
			sock->refs++;
		else
			sock = make(r->nn, socket->sk);
	}
	if (!err && IS_ERR(sock))
		err = PTR_ERR(sock);
	sockfd_put(socket);
	if (!err)
		return sock;
	if (err == -EXDEV)
		nqd_fail(r, err, "%s: a socket of another network namespace", attr);
	else if (err == -EBUSY)
		nqd_fail(r, err, "%s: another tunnel uses the socket", attr);
	else if (err == -ENOSPC)
		nqd_fail(r, err, "%s: %d sockets are in use", attr, NQD_MAX_SOCKETS);
	else if (err == -ENOMEM)
		nqd_fail(r, err, "%s: no memory", attr);
	else
		nqd_fail(r, err, "%s: not a bound UDP socket", attr);
	return ERR_PTR(err);
}

void nqd_socket_hold(struct nqd_socket *sock)
{
	sock->refs++;
}

void nqd_socket_put(struct nqd_socket *sock)
{
	if (!sock)
		return;
	lockdep_assert_held(&sock->nn->lock);
	if (!--sock->refs)
		detach(sock);
}

void nqd_socket_check_closed(struct nqd_socket *sock)
{
	lockdep_assert_held(&sock->nn->lock);
	if (!READ_ONCE(sock->closed))
		return;
	sock->reaped = false;
	queue_work(nqd_wq, &sock->nn->reap);
}

static struct nqd_socket *first_closed(struct nqd_net *nn)
{
	struct nqd_socket *sock;

	list_for_each_entry(sock, &nn->sockets, entry)
		if (READ_ONCE(sock->closed) && !sock->reaped)
			return sock;
	return NULL;
}

static void end_sessions_on(struct nqd_net *nn, const struct nqd_socket *sock)
{
	struct nqd_session *s, *next;

	list_for_each_entry_safe(s, next, &nn->sessions, entry) {
		if (!nqd_session_on(s, sock))
			continue;
		nqd_session_down(s, NQD_DOWN_SOCKET_ERROR, 0, "the socket was closed");
		/* It may have been another's heir, whose end may have been the end of more. */
		nqd_session_free(s);
	}
}

static void leave_devices(struct nqd_net *nn, struct nqd_socket *sock)
{
	struct nqd_device *nd;
	unsigned int i;

	list_for_each_entry(nd, &nn->devices, entry) {
		for (i = 0; i < nd->n_sockets;) {
			if (nd->sockets[i] != sock) {
				i++;
				continue;
			}
			nd->sockets[i] = nd->sockets[--nd->n_sockets];
			nqd_socket_put(sock);
		}
	}
}

/* nqd_net.reap: the namespace is alive, its end waits for this work. */
void nqd_reap_sockets(struct work_struct *work)
{
	struct nqd_net *nn = container_of(work, struct nqd_net, reap);
	struct nqd_socket *sock;

	mutex_lock(&nn->lock);
	while ((sock = first_closed(nn))) {
		/* Kept until all others have let go; a request in progress may be one of them. */
		sock->refs++;
		sock->reaped = true;
		end_sessions_on(nn, sock);
		leave_devices(nn, sock);
		nqd_socket_put(sock);
	}
	mutex_unlock(&nn->lock);
}
