// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Coverage of the module in every context, for the fuzzers. tests/vm links this into the module
 * that User-Mode Linux gets; no other build knows of it. The compiler's hook is found here before
 * the kernel's own (KCOV), which does not count in softirqs, where packets are received. "modprobe
 * nexus_quic_dco coverage" makes the file.
 *
 * One CPU: a counter may lose an increment to an interrupt, which nobody minds.
 */
#include <linux/debugfs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

#include "../coverage-abi.h"

void __sanitizer_cov_trace_pc(void);

static struct coverage *coverage;
static struct dentry *file;
static const struct task_struct *opener; /* to compare with, no more */

void notrace __sanitizer_cov_trace_pc(void)
{
	unsigned long at = _RET_IP_ - (unsigned long)__sanitizer_cov_trace_pc;
	struct coverage *c = READ_ONCE(coverage);
	unsigned char *counter;
	unsigned int mode;

	if (!c)
		return;
	mode = READ_ONCE(c->mode);
	if (mode == COVERAGE_OFF || (mode == COVERAGE_TASK && (!in_task() || current != opener)))
		return;
	counter = &c->counters[at / COVERAGE_STEP % COVERAGE_COUNTERS];
	if (*counter != 255)
		++*counter;
}

static int coverage_open(struct inode *inode, struct file *f)
{
	opener = current;
	return nonseekable_open(inode, f);
}

static int coverage_mmap(struct file *f, struct vm_area_struct *vma)
{
	return remap_vmalloc_range(vma, coverage, vma->vm_pgoff);
}

static const struct file_operations coverage_fops = {
	.owner = THIS_MODULE,
	.open = coverage_open,
	.mmap = coverage_mmap,
};

static int coverage_set(const char *text, const struct kernel_param *param)
{
	struct coverage *c;

	if (coverage)
		return 0;
	c = vmalloc_user(sizeof(*c));
	if (!c)
		return -ENOMEM;
	WRITE_ONCE(coverage, c);
	/* The proxy of the other kind knows no mmap. */
	file = debugfs_create_file_unsafe(COVERAGE_FILE, 0600, NULL, NULL, &coverage_fops);
	return PTR_ERR_OR_ZERO(file);
}

/* As the module goes, behind its last function. */
static void coverage_free(void *arg)
{
	struct coverage *c = coverage;

	debugfs_remove(file);
	WRITE_ONCE(coverage, NULL);
	vfree(c);
}

static const struct kernel_param_ops coverage_ops = {
	.flags = KERNEL_PARAM_OPS_FL_NOARG,
	.set = coverage_set,
	.free = coverage_free,
};

module_param_cb(coverage, &coverage_ops, NULL, 0);
MODULE_PARM_DESC(coverage, "Count what is executed, for a fuzzer");
