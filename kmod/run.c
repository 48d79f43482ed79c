// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rounds of a session: see datapath.h. One round sends what can be sent, lets the control side know
 * of events, and sets the timer to when the next one is due.
 *
 * Nobody waits for a turn: who finds it taken leaves NQD_DP_WANTED, which whoever has it looks for
 * when he has let go. Both sides have a full barrier between what they write and what they read, so
 * one of them sees the other. The control side, which does wait, asks for a round afterwards.
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
/*
 * Rounds that a CPU is in at a time: of a tunnel, and of the one that its packets go through. What
 * goes through more is the worker's, because stacks end.
 */
#define NESTED_MAX 2
/* A timer that is due again at once. */
#define TIMER_MIN_US 20

/* Per-CPU and in process context: there vector registers may be used. */
static struct workqueue_struct *round_wq;

static DEFINE_PER_CPU(struct nqd_session *, delivering);
static DEFINE_PER_CPU(unsigned int, nested);

static void set_timer(struct nqd_session *s, u64 at, u64 now_us)
{
	struct nqd_session_dp *dp = &s->dp;

	at = min(at, dp->retry_us);
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

/* With the turn, bottom halves off, vector registers usable. */
static void one_round(struct nqd_session *s)
{
	struct nqd_session_dp *dp = &s->dp;
	u64 now_us = nqd_now_us(), at;

	/* The engine stays as long as this has not been set. */
	if (unlikely(test_bit(NQD_DP_STOPPED, &dp->state)))
		return;
	this_cpu_inc(nested);
	if (now_us >= dp->timer_us)
		dp->timer_us = NQ_TIME_NEVER;
	spin_lock(&s->lock);
	if (now_us >= nq_next_timeout_us(s->conn))
		nq_on_timeout(s->conn, now_us);
	nqd_tx_flush(s, now_us);
	if (unlikely(has_work(s)))
		nqd_session_kick(s);
	at = nq_next_timeout_us(s->conn);
	spin_unlock(&s->lock);
	set_timer(s, at, now_us);
	this_cpu_dec(nested);
}

/* ---- who does a round ---- */

void nqd_run_delivering(struct nqd_session *s)
{
	this_cpu_write(delivering, s);
}

bool nqd_run_is_delivering(const struct nqd_session *s)
{
	return this_cpu_read(delivering) == s;
}

/* The worker does; not once the session is being stopped, who waits for it afterwards. */
static void leave_to_worker(struct nqd_session *s)
{
	struct nqd_session_dp *dp = &s->dp;

	spin_lock_bh(&dp->queue.lock);
	if (!test_bit(NQD_DP_STOPPED, &dp->state))
		queue_work_on(raw_smp_processor_id(), round_wq, &dp->work);
	spin_unlock_bh(&dp->queue.lock);
}

/* Rounds as long as they are wanted and it can be this CPU's turn. */
static void rounds(struct nqd_session *s)
{
	struct nqd_session_dp *dp = &s->dp;
	unsigned int i;

	for (i = 0; test_bit(NQD_DP_WANTED, &dp->state); i++) {
		if (nqd_run_is_delivering(s))
			return;
		if (i == ROUNDS_MAX || this_cpu_read(nested) >= NESTED_MAX ||
		    !nqd_crypto_usable()) {
			leave_to_worker(s);
			return;
		}
		if (!spin_trylock(&dp->turn))
			return;
		clear_bit(NQD_DP_WANTED, &dp->state);
		/* What was done before the bit was set is seen from here on. */
		smp_mb__after_atomic();
		one_round(s);
		spin_unlock(&dp->turn);
		/* Pairs with that of who did not get the turn. */
		smp_mb();
	}
}

void nqd_dp_session_wake(struct nqd_session *s)
{
	/* Without an engine there is nothing to do, and the rest may not have been set up. */
	if (unlikely(!READ_ONCE(s->conn)))
		return;
	set_bit(NQD_DP_WANTED, &s->dp.state);
	/* Whose turn it is sees the bit when he has let go, or lets us have it. */
	smp_mb__after_atomic();
	local_bh_disable();
	rounds(s);
	local_bh_enable();
}

/* With bottom halves off; enables them. */
static void end_turn(struct nqd_session *s)
{
	spin_unlock(&s->dp.turn);
	/* As in rounds(). */
	smp_mb();
	rounds(s);
	local_bh_enable();
}

void nqd_dp_session_flush(struct nqd_session *s)
{
	if (unlikely(!READ_ONCE(s->conn)))
		return;
	spin_lock_bh(&s->dp.turn);
	one_round(s);
	end_turn(s);
}

static enum hrtimer_restart on_timer(struct hrtimer *timer)
{
	nqd_dp_session_wake(container_of(timer, struct nqd_session, dp.timer));
	return HRTIMER_NORESTART;
}

static enum hrtimer_restart on_gathered(struct hrtimer *timer)
{
	struct nqd_session *s = container_of(timer, struct nqd_session, dp.gather);

	if (nqd_tx_gathered(s))
		nqd_dp_session_wake(s);
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
	spin_lock_init(&dp->turn);
	dp->timer_us = NQ_TIME_NEVER;
	INIT_WORK(&dp->work, on_work);
	nqd_hrtimer_setup(&dp->timer, on_timer, HRTIMER_MODE_ABS_SOFT);
	nqd_hrtimer_setup(&dp->gather, on_gathered, HRTIMER_MODE_REL_SOFT);
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
	 * with the turn, or under the queue's lock. So nothing is queued, set or sent behind what
	 * follows.
	 */
	spin_lock_bh(&dp->turn);
	spin_lock(&dp->queue.lock);
	set_bit(NQD_DP_STOPPED, &dp->state);
	spin_unlock(&dp->queue.lock);
	nqd_tx_purge(s);
	spin_unlock_bh(&dp->turn);
	hrtimer_cancel(&dp->timer);
	hrtimer_cancel(&dp->gather);
	cancel_work_sync(&dp->work);
	dst_cache_destroy(&dp->dst);
}

void nqd_dp_session_move_queue(struct nqd_session *to, struct nqd_session *from)
{
	spin_lock_bh(&to->dp.turn);
	spin_lock_nested(&from->dp.turn, SINGLE_DEPTH_NESTING);
	nqd_tx_move(to, from);
	spin_unlock(&from->dp.turn);
	spin_unlock_bh(&to->dp.turn);
	nqd_dp_session_wake(from);
	nqd_dp_session_wake(to);
}

void nqd_dp_session_drop_queue(struct nqd_session *s)
{
	spin_lock_bh(&s->dp.turn);
	nqd_tx_purge(s);
	end_turn(s);
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
