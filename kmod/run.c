// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rounds of a session: see datapath.h. One round sends what can be sent, lets the control side know
 * of events, and sets the timer to when the next one is due.
 *
 * Nobody waits for the lock to do a round: who finds it taken by somebody who is busy with packets
 * leaves NQD_DP_WANTED, which that one looks for when he has let go. Both sides have a full barrier
 * between what they write and what they read, so one of them sees the other.
 */
#include <linux/slab.h>

#include "burst.h"
#include "compat/hrtimer.h"
#include "compat/workqueue.h"
#include "crypto.h"
#include "rx.h"
#include "run.h"

/* Rounds for others' wishes, before the worker takes over. */
#define ROUNDS_MAX 8
/* A timer that is due again at once. */
#define TIMER_MIN_US 20
/* Two probes and two challenges (RFC 9002 6.2.4, RFC 9000 8.2.1): no burst is so small for long. */
#define EXEMPT_BYTES (4 * NQ_MIN_UDP_PAYLOAD)

/* Per-CPU and in process context: there vector registers may be used. */
static struct workqueue_struct *round_wq;

static void set_timer(struct nqd_session *s, u64 now_us)
{
	struct nqd_session_dp *dp = &s->dp;
	u64 at = min(nq_next_timeout_us(s->conn), dp->retry_us);

	if (at == NQ_TIME_NEVER) {
		if (dp->timer_us != NQ_TIME_NEVER)
			hrtimer_try_to_cancel(&dp->timer);
		dp->timer_us = NQ_TIME_NEVER;
		return;
	}
	at = max(at, now_us + TIMER_MIN_US);
	if (at == dp->timer_us)
		return;
	dp->timer_us = at;
	hrtimer_start(&dp->timer, ns_to_ktime(at * NSEC_PER_USEC), HRTIMER_MODE_ABS_PINNED_SOFT);
}

/* Has the control side something to do for it? */
static bool has_work(struct nqd_session *s)
{
	u32 ring = nq_ring_wanted(s->conn);

	/* Once for each size: it may be that there is none. */
	if (unlikely(ring > s->dp.ring_asked)) {
		s->dp.ring_asked = ring;
		return true;
	}
	return nq_has_events(s->conn) || (s->unheard && s->heard);
}

/*
 * What is in flight, for kernels with CONFIG_DEBUG_NET, which look after every round whether it has
 * put more on the way than the congestion window allows. Probes and challenges are exempt.
 */
static noinline_for_stack u64 in_flight(struct nqd_session *s, u64 *cwnd, u64 now_us)
{
	struct nq_stats stats = {};

	if (IS_ENABLED(CONFIG_DEBUG_NET))
		nq_get_stats(s->conn, &stats, now_us);
	*cwnd = stats.cwnd_bytes;
	return stats.bytes_in_flight;
}

static void check_allowance(struct nqd_session *s, u64 before, u64 now_us)
{
	u64 cwnd, now = in_flight(s, &cwnd, now_us);

	DEBUG_NET_WARN_ON_ONCE(now > cwnd && now > before + EXEMPT_BYTES);
}

/* Under the lock, bottom halves off, vector registers usable. */
static void one_round(struct nqd_session *s)
{
	struct nqd_session_dp *dp = &s->dp;
	u64 now_us = nqd_now_us(), before, cwnd;

	if (unlikely(!s->conn || test_bit(NQD_DP_STOPPED, &dp->state)))
		return;
	if (now_us >= dp->timer_us)
		dp->timer_us = NQ_TIME_NEVER;
	if (now_us >= nq_next_timeout_us(s->conn))
		nq_on_timeout(s->conn, now_us);
	before = in_flight(s, &cwnd, now_us);
	nqd_tx_flush(s, now_us);
	check_allowance(s, before, now_us);
	if (unlikely(has_work(s)))
		nqd_session_kick(s);
	set_timer(s, now_us);
}

/* ---- who does a round ---- */

/* The worker does; not once the session is being stopped, who waits for it afterwards. */
static void leave_to_worker(struct nqd_session *s)
{
	struct nqd_session_dp *dp = &s->dp;

	spin_lock_bh(&dp->queue.lock);
	if (!test_bit(NQD_DP_STOPPED, &dp->state))
		queue_work_on(raw_smp_processor_id(), round_wq, &dp->work);
	spin_unlock_bh(&dp->queue.lock);
}

void nqd_run_begin(struct nqd_session *s)
{
	set_bit(NQD_DP_BUSY, &s->dp.state);
}

void nqd_run_end(struct nqd_session *s)
{
	clear_bit(NQD_DP_BUSY, &s->dp.state);
}

/* Rounds as long as they are wanted and the lock is free. */
static void rounds(struct nqd_session *s)
{
	struct nqd_session_dp *dp = &s->dp;
	unsigned int i;

	for (i = 0; test_bit(NQD_DP_WANTED, &dp->state); i++) {
		/*
		 * What the stack answers at once leaves in one burst with what the engine has to
		 * say, and not from the depth of the stack's receive path.
		 */
		if (test_bit(NQD_DP_DELIVERING, &dp->state))
			return;
		if (i == ROUNDS_MAX || !nqd_crypto_usable()) {
			leave_to_worker(s);
			return;
		}
		if (!spin_trylock(&s->lock)) {
			/* Pairs with the one below: not seen busy, the holder will not look. */
			smp_mb();
			if (!test_bit(NQD_DP_BUSY, &dp->state))
				leave_to_worker(s);
			return;
		}
		nqd_run_begin(s);
		clear_bit(NQD_DP_WANTED, &dp->state);
		one_round(s);
		nqd_run_end(s);
		spin_unlock(&s->lock);
		/* Pairs with that before NQD_DP_BUSY is looked at. */
		smp_mb();
	}
}

void nqd_dp_session_wake(struct nqd_session *s)
{
	/* Without an engine there is nothing to do, and the rest may not have been set up. */
	if (unlikely(!READ_ONCE(s->conn)))
		return;
	set_bit(NQD_DP_WANTED, &s->dp.state);
	/* A holder of the lock who lets go sees the bit. */
	smp_mb__after_atomic();
	local_bh_disable();
	rounds(s);
	local_bh_enable();
}

void nqd_dp_session_flush(struct nqd_session *s)
{
	if (unlikely(!READ_ONCE(s->conn)))
		return;
	spin_lock_bh(&s->lock);
	nqd_run_begin(s);
	one_round(s);
	nqd_run_end(s);
	spin_unlock_bh(&s->lock);
	/* As in rounds(). */
	smp_mb();
	local_bh_disable();
	rounds(s);
	local_bh_enable();
}

static enum hrtimer_restart on_timer(struct hrtimer *timer)
{
	nqd_dp_session_wake(container_of(timer, struct nqd_session, dp.timer));
	return HRTIMER_NORESTART;
}

static void on_work(struct work_struct *work)
{
	nqd_dp_session_flush(container_of(work, struct nqd_session, dp.work));
}

/* ---- sessions ---- */

void nqd_dp_session_init(struct nqd_session *s)
{
	struct nqd_session_dp *dp = &s->dp;

	nqd_tx_start(dp);
	dp->timer_us = NQ_TIME_NEVER;
	INIT_WORK(&dp->work, on_work);
	nqd_hrtimer_setup(&dp->timer, on_timer, HRTIMER_MODE_ABS_SOFT);
}

int nqd_dp_session_start(struct nqd_session *s)
{
	return dst_cache_init(&s->dp.dst, GFP_KERNEL);
}

void nqd_dp_session_stop(struct nqd_session *s)
{
	struct nqd_session_dp *dp = &s->dp;

	/*
	 * Packets of the stack and of the peer may still be on their way here: they see the bit
	 * under one of the two locks. So nothing is queued, set or sent behind what follows.
	 */
	spin_lock_bh(&s->lock);
	spin_lock(&dp->queue.lock);
	set_bit(NQD_DP_STOPPED, &dp->state);
	spin_unlock(&dp->queue.lock);
	nqd_tx_purge(s);
	spin_unlock_bh(&s->lock);
	hrtimer_cancel(&dp->timer);
	cancel_work_sync(&dp->work);
	dst_cache_destroy(&dp->dst);
}

void nqd_dp_session_move_queue(struct nqd_session *to, struct nqd_session *from)
{
	spin_lock_bh(&to->lock);
	spin_lock_nested(&from->lock, SINGLE_DEPTH_NESTING);
	nqd_tx_move(to, from);
	spin_unlock(&from->lock);
	spin_unlock_bh(&to->lock);
	nqd_dp_session_wake(to);
}

void nqd_dp_session_drop_queue(struct nqd_session *s)
{
	spin_lock_bh(&s->lock);
	nqd_tx_purge(s);
	spin_unlock_bh(&s->lock);
}

/* ---- module ---- */

int nqd_dp_init(void)
{
	int err;

	nqd_tx_init();
	round_wq = alloc_workqueue("nexusq_rounds", WQ_HIGHPRI | NQD_WQ_PERCPU, 0);
	if (!round_wq)
		return -ENOMEM;
	err = nqd_burst_init();
	if (err)
		destroy_workqueue(round_wq);
	else
		nqd_rx_init(round_wq);
	return err;
}

void nqd_dp_exit(void)
{
	destroy_workqueue(round_wq);
	nqd_burst_exit();
}
