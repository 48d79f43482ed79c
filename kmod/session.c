// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sessions: their table, their memory, their life (see struct nqd_session).
 *
 * The end, nqd_session_free(), in this order and why nothing is left behind:
 *   1. it leaves list, table of IDs, connection IDs, reset tokens and routes: no request and no new
 *      packet finds it. Packets that have found it hold RCU and will take its lock.
 *   2. nqd_dp_session_stop(): its timer, its work and its queue are the data path's, and gone when
 *      that returns.
 *   3. under its lock conn becomes NULL: a packet of 1. that comes after this does nothing. Then
 *      the engine is wiped.
 *   4. its worker may still wait for nqd_net.lock. It holds a reference, and sees !linked.
 *   5. the last reference frees it after a grace period.
 */
#include <linux/memcontrol.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "crypto.h"
#include "nqd.h"
#include "trace.h"

static const struct rhashtable_params id_params = {
	.key_len = sizeof(u64),
	.key_offset = offsetof(struct nqd_session, id),
	.head_offset = offsetof(struct nqd_session, by_id),
	.automatic_shrinking = true,
};

/*
 * Engines: of one size, because their rings stand apart, as does the room for punted frames. Sizes
 * that the allocator has anyway would take half as much again.
 */
static struct kmem_cache *engines, *sessions;
static size_t engine_bytes;

static struct nq_conn *new_engine(struct nq_conn_params *p, int *err)
{
	void *mem = kmem_cache_zalloc(engines, GFP_KERNEL_ACCOUNT);
	struct nq_conn *conn;

	*err = -ENOMEM;
	if (!mem)
		return NULL;
	conn = nq_conn_init(mem, p, nqd_now_us(), err);
	if (!conn) {
		memzero_explicit(mem, engine_bytes);
		kmem_cache_free(engines, mem);
	}
	return conn;
}

/* Nobody works with it; @conn is where its memory begins. */
static void free_engine(struct nq_conn *conn)
{
	nq_conn_fini(conn);
	memzero_explicit(conn, engine_bytes);
	kmem_cache_free(engines, conn);
}

struct nqd_session *nqd_session_find(struct nqd_net *nn, u64 id)
{
	lockdep_assert_held(&nn->lock);
	return rhashtable_lookup_fast(&nn->by_id, &id, id_params);
}

int nqd_session_link(struct nqd_session *s)
{
	struct nqd_net *nn = s->nn;
	int err;

	err = rhashtable_lookup_insert_fast(&nn->by_id, &s->by_id, id_params);
	if (err)
		return err;
	s->serial = ++nn->last_serial;
	list_add_tail(&s->entry, &nn->sessions);
	nn->n_sessions++;
	s->linked = true;
	return 0;
}

/* ---- its worker ---- */

static void free_session(struct rcu_head *rcu)
{
	struct nqd_session *s = container_of(rcu, struct nqd_session, rcu);

	mem_cgroup_put(s->memcg);
	kmem_cache_free(sessions, s);
}

void nqd_session_release(struct kref *ref)
{
	struct nqd_session *s = container_of(ref, struct nqd_session, ref);

	call_rcu(&s->rcu, free_session);
}

/* What queue_control() took. The namespace may be gone afterwards: only its address is used. */
static void worker_done(struct nqd_session *s)
{
	struct nqd_net *nn = s->nn;

	kref_put(&s->ref, nqd_session_release);
	if (atomic_dec_and_test(&nn->workers))
		wake_up_var(&nn->workers);
}

static void control_work(struct work_struct *work)
{
	struct nqd_session *s = container_of(to_delayed_work(work), struct nqd_session, control);
	struct nqd_net *nn = s->nn;

	/* What was done before a kick is seen from here on. */
	WRITE_ONCE(s->kicked, false);
	mutex_lock(&nn->lock);
	if (s->linked)
		nqd_session_run(s);
	mutex_unlock(&nn->lock);
	worker_done(s);
}

static void queue_control(struct nqd_session *s, unsigned long delay)
{
	/* A packet may have found one that is being freed. */
	if (!kref_get_unless_zero(&s->ref))
		return;
	atomic_inc(&s->nn->workers);
	if (mod_delayed_work(nqd_wq, &s->control, delay))
		worker_done(s);
}

void nqd_session_kick(struct nqd_session *s)
{
	WRITE_ONCE(s->kicked, true);
	queue_control(s, 0);
}

/* A kick whose run has not begun may be what this puts off: then it is queued again. */
static void run_in(struct nqd_session *s, unsigned long delay)
{
	queue_control(s, delay);
	if (READ_ONCE(s->kicked))
		queue_control(s, 0);
}

void nqd_session_try_again(struct nqd_session *s)
{
	run_in(s, HZ / 10);
}

void nqd_session_set_deadline(struct nqd_session *s, u64 at_us)
{
	u64 now_us = nqd_now_us();

	s->deadline_us = at_us;
	at_us = min(at_us, nqd_limits_due_us(&s->line));
	if (at_us != NQ_TIME_NEVER)
		run_in(s, at_us > now_us ? usecs_to_jiffies(at_us - now_us) + 1 : 0);
}

/* ---- rings of packets in flight ---- */

/* The first one has what its controller needs with it. */
static int first_ring(struct nqd_session *s, struct nq_conn_params *p)
{
	s->ring_mem = kvzalloc(nq_first_ring_bytes(p), GFP_KERNEL_ACCOUNT);
	p->ring = s->ring_mem;
	return p->ring ? 0 : -ENOMEM;
}

static void ring_free(struct nqd_session *s)
{
	s->nn->ring_bytes -= s->ring_bytes;
	kvfree(s->ring_mem);
	s->ring_mem = NULL;
	s->ring_bytes = 0;
}

/*
 * The worker is nobody's process: the memory is charged to the cgroup of the session's creator. For
 * want of a larger ring nobody is killed, there or elsewhere. Otherwise as kvzalloc() does it.
 */
static void *ring_alloc(struct nqd_session *s, size_t bytes)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN;
	struct mem_cgroup *before = set_active_memcg(s->memcg);
	void *mem = kmalloc(bytes, gfp | __GFP_NORETRY);

	if (!mem)
		mem = __vmalloc(bytes, gfp | __GFP_RETRY_MAYFAIL);
	set_active_memcg(before);
	return mem;
}

/* Beyond what all of them may have, and without memory, it goes on with the window it has. */
void nqd_ring_grow(struct nqd_session *s, u32 packets)
{
	size_t bytes = nq_ring_bytes(packets);
	struct nqd_net *nn = s->nn;
	void *mem;
	int err;

	lockdep_assert_held(&nn->lock);
	if (nn->ring_bytes - s->ring_bytes + bytes > NQD_RINGS_MAX_BYTES)
		return;
	mem = ring_alloc(s, bytes);
	if (!mem)
		return;
	spin_lock_bh(&s->lock);
	err = s->conn ? nq_conn_grow(s->conn, mem, packets) : -ENOTCONN;
	spin_unlock_bh(&s->lock);
	if (err) {
		kvfree(mem);
		return;
	}
	ring_free(s);
	s->ring_mem = mem;
	s->ring_bytes = bytes;
	nn->ring_bytes += bytes;
}

/* ---- connection IDs and keys, as the engine asks for them ---- */

/* Give the engine a connection ID to issue. */
static void issue_cid(struct nqd_session *s)
{
	struct nq_cid cid = { .seq = s->next_cid_seq, .len = s->cid_len, .has_token = true };
	int err;

	if (!nqd_cid_make(s, &cid))
		return;
	get_random_bytes(cid.token, sizeof(cid.token));
	if (nqd_cid_add(s, &cid))
		goto wipe;
	spin_lock_bh(&s->lock);
	err = nq_add_local_cid(s->conn, &cid);
	spin_unlock_bh(&s->lock);
	if (err)
		nqd_cid_free(list_first_entry(&s->cids, struct nqd_cid, of_session));
	else
		s->next_cid_seq++;
wipe:
	memzero_explicit(cid.token, sizeof(cid.token));
}

static bool take_retired(struct nqd_session *s, struct nq_cid *cid)
{
	bool any;

	spin_lock_bh(&s->lock);
	any = nq_take_retired_cid(s->conn, cid);
	spin_unlock_bh(&s->lock);
	return any;
}

/* The peer retired some of ours, or takes more: it has always as many as it can hold. */
void nqd_session_refill_cids(struct nqd_session *s)
{
	struct nqd_cid *c, *next;
	struct nq_cid cid;
	u32 n;

	while (take_retired(s, &cid))
		list_for_each_entry_safe(c, next, &s->cids, of_session)
			if (c->len == cid.len && !memcmp(c->id, cid.id, cid.len))
				nqd_cid_free(c);
	/* The reset token of the last one. */
	memzero_explicit(&cid, sizeof(cid));
	spin_lock_bh(&s->lock);
	n = nq_local_cids_wanted(s->conn);
	spin_unlock_bh(&s->lock);
	for (; n; n--)
		issue_cid(s);
}

int nqd_session_set_next_keys(struct nqd_session *s, struct nq_key_material *tx,
			      struct nq_key_material *rx)
{
	u32 updates;
	int err;

	spin_lock_bh(&s->lock);
	updates = nq_key_updates(s->conn);
	spin_unlock_bh(&s->lock);
	err = nqd_next_keys_load(s->cipher, s->key_seat, updates + 1, tx, rx);
	if (err)
		return err;
	spin_lock_bh(&s->lock);
	/* After an update meanwhile they would be those of another phase. */
	err = -EALREADY;
	if (nq_key_updates(s->conn) == updates)
		err = nq_set_next_keys(s->conn, tx, rx);
	spin_unlock_bh(&s->lock);
	nqd_next_keys_unload(tx, rx);
	return err;
}

/*
 * Derive the keys of the phase behind the secrets we hold, install them, and step the secrets: all
 * of it, or nothing.
 */
int nqd_session_next_keys(struct nqd_session *s)
{
	struct nq_key_material tx = {}, rx = {};
	struct nqd_secrets next = s->secrets;
	int err;

	err = nqd_step_secrets(s->cipher, nqd_quic_derive, &next, &tx, &rx);
	err = err ?: nqd_session_set_next_keys(s, &tx, &rx);
	if (!err)
		s->secrets = next;
	memzero_explicit(&next, sizeof(next));
	memzero_explicit(&tx, sizeof(tx));
	memzero_explicit(&rx, sizeof(rx));
	return err;
}

/* ---- life ---- */

/* When one more session ends, there is a place to remember it. */
static bool reserve_ended(struct nqd_net *nn)
{
	struct nqd_ended *e;

	lockdep_assert_held(&nn->lock);
	if (nn->n_ended_made == NQD_ENDED_MAX)
		return true;
	e = kmalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);
	if (!e)
		return false;
	nn->n_ended_made++;
	list_add(&e->entry, &nn->ended_spare);
	return true;
}

struct nqd_session *nqd_session_alloc(struct nqd_net *nn)
{
	struct nqd_session *s;

	if (!reserve_ended(nn))
		return NULL;
	s = kmem_cache_zalloc(sessions, GFP_KERNEL_ACCOUNT);
	if (!s)
		return NULL;
	s->nn = nn;
	s->memcg = get_mem_cgroup_from_mm(current->mm);
	s->path_report.migrating_to = NQ_PATHS_MAX;
	s->deadline_us = NQ_TIME_NEVER;
	INIT_LIST_HEAD(&s->entry);
	INIT_LIST_HEAD(&s->cids);
	spin_lock_init(&s->lock);
	kref_init(&s->ref);
	INIT_DELAYED_WORK(&s->control, control_work);
	nqd_dp_session_init(s);
	return s;
}

int nqd_session_start(struct nqd_session *s, struct nqd_new_session *req,
		      const struct nqd_secrets *secrets)
{
	struct nq_conn_params *p = &req->params;
	struct nq_conn *conn;
	int err;

	p->crypto = &nqd_crypto_ops;
	p->path_mtu_bytes = min_t(u32, p->path_mtu_bytes, NQD_PACKET_MAX);
	get_random_bytes(p->path_secret, sizeof(p->path_secret));
	err = nqd_keys_load(p, &s->key_seat);
	if (err)
		return err;
	err = first_ring(s, p);
	if (err)
		goto unload;
	conn = new_engine(p, &err);
	if (!conn)
		goto free_ring;
	err = nqd_dp_session_start(s);
	if (err)
		goto free_engine;
	s->secrets = *secrets;
	/* From here on packets may use it: with SET_KEYS they find the session already. */
	spin_lock_bh(&s->lock);
	/* Pairs with nqd_dp_xmit(), which looks without the lock. */
	smp_store_release(&s->conn, conn);
	spin_unlock_bh(&s->lock);
	nqd_keys_unload(p);
	return 0;

free_engine:
	free_engine(conn);
free_ring:
	ring_free(s);
unload:
	nqd_keys_unload(p);
	return err;
}

u8 nqd_session_state(struct nqd_session *s)
{
	u8 state;

	spin_lock_bh(&s->lock);
	state = nqd_session_state_of(s->conn, s->down);
	spin_unlock_bh(&s->lock);
	return state;
}

/* Packets of its device no longer lead to it. */
static void leave_routes(struct nqd_session *s)
{
	if (!s->nd)
		return;
	nqd_route_del_value(&s->nd->routes, s);
	if (s->nd->default_session == s)
		WRITE_ONCE(s->nd->default_session, NULL);
}

void nqd_session_down(struct nqd_session *s, u8 reason, u64 code, const char *text)
{
	struct nqd_last_event info = { .reason = reason, .code = code };

	lockdep_assert_held(&s->nn->lock);
	if (s->down)
		return;
	if (s->line.heir && !s->line.replaced) {
		/* Which ends it. */
		nqd_take_over(&s->nn->lines, s->line.heir);
		return;
	}
	spin_lock_bh(&s->lock);
	/* Pairs with to_session(): after the routes of who replaces it. */
	smp_store_release(&s->down, true);
	spin_unlock_bh(&s->lock);
	strscpy(info.text, text, sizeof(info.text));
	leave_routes(s);
	nqd_dp_session_drop_queue(s);
	nqd_event(s, NQD_EVENT_SESSION_DOWN, &info, NULL, 0);
	nqd_replace_down(&s->nn->lines, &s->line);
}

/* What GET_EVENTS still tells of it. */
static void remember_ended(struct nqd_session *s)
{
	struct nqd_net *nn = s->nn;
	bool spare = !list_empty(&nn->ended_spare);
	struct nqd_ended *e;

	if (!(s->happened & BIT(NQD_EVENT_SESSION_DOWN)))
		return;
	/* Without a spare one all there may be are remembered: the oldest is no longer. */
	e = list_first_entry(spare ? &nn->ended_spare : &nn->ended, struct nqd_ended, entry);
	nn->n_ended += spare;
	e->serial = ++nn->last_serial;
	e->id = s->id;
	e->user = s->user;
	e->generation = s->generation;
	memcpy(e->tunnel, s->tunnel, sizeof(e->tunnel));
	e->down = s->told_down;
	list_move_tail(&e->entry, &nn->ended);
}

static void forget_events(struct nqd_session *s)
{
	struct nqd_told *t;

	while ((t = s->told)) {
		s->told = t->next;
		kfree(t);
	}
}

static void unlink_session(struct nqd_session *s)
{
	struct nqd_net *nn = s->nn;

	if (!s->linked)
		return;
	s->linked = false;
	rhashtable_remove_fast(&nn->by_id, &s->by_id, id_params);
	list_del_init(&s->entry);
	nn->n_sessions--;
}

static void stop_engine(struct nqd_session *s)
{
	struct nq_conn *conn = s->conn;
	void *frames;
	u32 len;

	nqd_dp_session_stop(s);
	if (!conn)
		return;
	spin_lock_bh(&s->lock);
	frames = nq_take_punt(conn, &len);
	s->conn = NULL;
	spin_unlock_bh(&s->lock);
	kfree_sensitive(frames);
	free_engine(conn);
}

void nqd_session_free(struct nqd_session *s)
{
	struct nqd_cid *c, *next;

	lockdep_assert_held(&s->nn->lock);
	nqd_replace_free(&s->nn->lines, &s->line);
	remember_ended(s);
	unlink_session(s);
	list_for_each_entry_safe(c, next, &s->cids, of_session)
		nqd_cid_free(c);
	nqd_reset_forget(s);
	leave_routes(s);
	if (s->sends && s->nd)
		WRITE_ONCE(s->nd->n_sessions, s->nd->n_sessions - 1);
	stop_engine(s);
	ring_free(s);
	nqd_paths_free(s);
	forget_events(s);
	kfree(s->line.claims.p);
	kfree_sensitive(s->waiting);
	memzero_explicit(&s->secrets, sizeof(s->secrets));
	if (cancel_delayed_work(&s->control))
		worker_done(s);
	kref_put(&s->ref, nqd_session_release);
}

/* ---- module ---- */

int nqd_session_init(void)
{
	static struct nq_conn_params apart = { .crypto = &nqd_crypto_ops, .ring = &apart };

	engine_bytes = nq_conn_bytes(&apart);
	engines = kmem_cache_create("nexusq_engine", engine_bytes, 64, SLAB_ACCOUNT, NULL);
	if (!engines)
		return -ENOMEM;
	sessions = kmem_cache_create("nexusq_session", sizeof(struct nqd_session), 0, SLAB_ACCOUNT,
				     NULL);
	if (!sessions) {
		nqd_session_exit();
		return -ENOMEM;
	}
	return 0;
}

bool nqd_session_is_up(void)
{
	return sessions;
}

void nqd_session_exit(void)
{
	/* Those that wait for their grace period. */
	rcu_barrier();
	kmem_cache_destroy(sessions);
	kmem_cache_destroy(engines);
	sessions = NULL;
}

/* ---- a network namespace ---- */

int nqd_sessions_init_net(struct nqd_net *nn)
{
	int err;

	INIT_LIST_HEAD(&nn->sessions);
	nn->lines.ops = &nqd_line_ops;
	INIT_LIST_HEAD(&nn->ended);
	INIT_LIST_HEAD(&nn->ended_spare);
	err = rhashtable_init(&nn->by_id, &id_params);
	if (err)
		return err;
	err = nqd_cids_init(nn);
	if (err)
		goto free_ids;
	err = nqd_tokens_init(nn);
	if (err)
		goto free_cids;
	return 0;

free_cids:
	rhltable_destroy(&nn->cids);
free_ids:
	rhashtable_destroy(&nn->by_id);
	return err;
}

void nqd_sessions_exit_net(struct nqd_net *nn)
{
	struct nqd_session *s, *next;
	struct nqd_ended *e, *after;

	mutex_lock(&nn->lock);
	list_for_each_entry_safe(s, next, &nn->sessions, entry)
		nqd_session_free(s);
	list_splice(&nn->ended_spare, &nn->ended);
	list_for_each_entry_safe(e, after, &nn->ended, entry)
		kfree(e);
	mutex_unlock(&nn->lock);
	rhltable_destroy(&nn->tokens);
	rhltable_destroy(&nn->cids);
	rhashtable_destroy(&nn->by_id);
}
