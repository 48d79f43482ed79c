// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A module that does what it is told to do wrong when it is loaded, so that the lab can show that it
 * notices: insmod lab_selftest.ko fault=NAME. Without a fault it is a module in good order.
 */
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static char *fault = "none";
module_param(fault, charp, 0444);
MODULE_PARM_DESC(fault, "what to do wrong");

static DEFINE_SPINLOCK(lock_a);
static DEFINE_SPINLOCK(lock_b);
static DEFINE_MUTEX(mutex);
static int __rcu *protected_value;

static void fault_warning(void)
{
	WARN(1, "lab_selftest: a warning that was asked for\n");
}

static void fault_bug(void)
{
	BUG();
}

static void fault_panic(void)
{
	panic("lab_selftest: a panic that was asked for");
}

static void fault_use_after_free(void)
{
	volatile int *freed = kmalloc(sizeof(*freed), GFP_KERNEL);

	if (!freed)
		return;
	kfree((void *)freed);
	*freed = 1;
}

static void fault_out_of_bounds(void)
{
	volatile char *bytes = kmalloc(13, GFP_KERNEL);
	volatile int place = 13;

	if (!bytes)
		return;
	bytes[place] = 1;
	kfree((void *)bytes);
}

static void fault_shift(void)
{
	volatile int places = 40, value = 1;

	value <<= places;
}

static void fault_leak(void)
{
	unsigned long hidden __maybe_unused;
	int i;

	for (i = 0; i < 8; i++)
		hidden = ~(unsigned long)kmalloc(64, GFP_KERNEL);
}

static void fault_lock_order(void)
{
	spin_lock(&lock_a);
	spin_lock(&lock_b);
	spin_unlock(&lock_b);
	spin_unlock(&lock_a);
	spin_lock(&lock_b);
	spin_lock(&lock_a);
	spin_unlock(&lock_a);
	spin_unlock(&lock_b);
}

static void fault_rcu(void)
{
	(void)rcu_dereference(protected_value);
}

static void fault_sleep(void)
{
	spin_lock(&lock_a);
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
	spin_unlock(&lock_a);
}

static void fault_refcount(void)
{
	static refcount_t count = REFCOUNT_INIT(1);

	refcount_dec(&count);
	refcount_inc(&count);
}

static void fault_pinned(void)
{
	__module_get(THIS_MODULE);
}

/* What a stack that was too small leaves behind. */
static void fault_stack(void)
{
	*end_of_stack(current) = 0;
	schedule();
}

static const struct {
	const char *name;
	void (*commit)(void);
} faults[] = {
	{ "warning", fault_warning },
	{ "bug", fault_bug },
	{ "panic", fault_panic },
	{ "use-after-free", fault_use_after_free },
	{ "out-of-bounds", fault_out_of_bounds },
	{ "shift", fault_shift },
	{ "leak", fault_leak },
	{ "lock-order", fault_lock_order },
	{ "rcu", fault_rcu },
	{ "sleep", fault_sleep },
	{ "refcount", fault_refcount },
	{ "pinned", fault_pinned },
	{ "stack", fault_stack },
};

static int __init lab_selftest_init(void)
{
	int i;

	if (!strcmp(fault, "none"))
		return 0;
	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		if (!strcmp(fault, faults[i].name)) {
			faults[i].commit();
			return 0;
		}
	}
	return -EINVAL;
}

static void __exit lab_selftest_exit(void)
{
}

module_init(lab_selftest_init);
module_exit(lab_selftest_exit);
MODULE_DESCRIPTION("Faults on purpose");
MODULE_LICENSE("GPL");
