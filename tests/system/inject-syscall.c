/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inject-syscall PID: makes a running process try what its sandbox must refuse, and prints each
 * result as "name errno". Used by sandbox.test. x86-64 and arm64.
 *
 * The process is stopped with ptrace, its program counter is pointed at a system call instruction
 * of its own (found in its vdso or libc text), and everything is put back afterwards.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
static const uint8_t syscall_insn[] = { 0x0f, 0x05 };
#define INSN_STEP 1
#elif defined(__aarch64__)
static const uint8_t syscall_insn[] = { 0x01, 0x00, 0x00, 0xd4 };
#define INSN_STEP 4
#else
#error "no register layout for this architecture"
#endif

struct call {
	const char *name;
	long nr;
	long args[4];
};

/* Sets up @regs for the call at @pc. */
static void set_call(struct user_regs_struct *regs, uintptr_t pc, const struct call *c,
		     uintptr_t sp)
{
#if defined(__x86_64__)
	regs->rip = pc;
	regs->rsp = sp;
	regs->rax = c->nr;
	regs->orig_rax = -1;
	regs->rdi = c->args[0];
	regs->rsi = c->args[1];
	regs->rdx = c->args[2];
	regs->r10 = c->args[3];
#else
	regs->pc = pc;
	regs->sp = sp;
	regs->regs[8] = c->nr;
	for (int i = 0; i < 4; i++)
		regs->regs[i] = c->args[i];
#endif
}

static long call_result(const struct user_regs_struct *regs)
{
#if defined(__x86_64__)
	return (long)regs->rax;
#else
	return (long)regs->regs[0];
#endif
}

static uintptr_t stack_pointer(const struct user_regs_struct *regs)
{
#if defined(__x86_64__)
	return regs->rsp;
#else
	return regs->sp;
#endif
}

static int get_regs(pid_t pid, struct user_regs_struct *regs)
{
	struct iovec iov = { regs, sizeof(*regs) };

	return ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &iov);
}

static int set_regs(pid_t pid, struct user_regs_struct *regs)
{
	struct iovec iov = { regs, sizeof(*regs) };

	return ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &iov);
}

/* The first system call instruction in [from, to). 0 if there is none. */
static uintptr_t find_in_range(int mem, uintptr_t from, uintptr_t to)
{
	uint8_t buf[4096 + 4];

	for (uintptr_t at = from; at < to; at += 4096) {
		ssize_t n = pread(mem, buf, sizeof(buf), (off_t)at);

		for (ssize_t i = 0; i + (ssize_t)sizeof(syscall_insn) <= n; i += INSN_STEP)
			if (!memcmp(buf + i, syscall_insn, sizeof(syscall_insn)))
				return at + (uintptr_t)i;
	}
	return 0;
}

static uintptr_t find_syscall_insn(pid_t pid, int mem)
{
	char path[64], line[512], perms[8];
	uintptr_t from, to, found = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	if (!maps)
		return 0;
	while (!found && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &from, &to, perms) == 3 &&
		    perms[2] == 'x' && !strstr(line, "[vsyscall]"))
			found = find_in_range(mem, from, to);
	fclose(maps);
	return found;
}

/* One system call in the stopped process. */
static int run_call(pid_t pid, const struct user_regs_struct *saved, uintptr_t pc,
		    const struct call *c, uintptr_t sp, long *result)
{
	struct user_regs_struct regs = *saved;
	int status;

	set_call(&regs, pc, c, sp);
	if (set_regs(pid, &regs) < 0 || ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
		return -errno;
	if (waitpid(pid, &status, __WALL) < 0)
		return -errno;
	if (!WIFSTOPPED(status)) {
		fprintf(stderr, "%s killed the process\n", c->name);
		return -ESRCH;
	}
	if (get_regs(pid, &regs) < 0)
		return -errno;
	*result = call_result(&regs);
	return 0;
}

static int inject_all(pid_t pid, int mem)
{
	static const char file[] = "/etc/passwd";
	struct user_regs_struct saved;
	uintptr_t pc, sp;
	uint8_t old[64];
	int r = 0;

	pc = find_syscall_insn(pid, mem);
	if (!pc || get_regs(pid, &saved) < 0) {
		fprintf(stderr, "no system call instruction or no registers\n");
		return -ENOENT;
	}
	/* Below the red zone of the interrupted function. */
	sp = (stack_pointer(&saved) - 1024) & ~15ul;
	if (pread(mem, old, sizeof(old), (off_t)sp) != sizeof(old) ||
	    pwrite(mem, file, sizeof(file), (off_t)sp) != sizeof(file))
		return -EIO;

	const struct call calls[] = {
		{ "openat", SYS_openat, { AT_FDCWD, (long)sp, O_RDONLY, 0 } },
		{ "socket", SYS_socket, { AF_INET, SOCK_DGRAM, 0, 0 } },
		{ "socket-unix", SYS_socket, { AF_UNIX, SOCK_STREAM, 0, 0 } },
		{ "execve", SYS_execve, { (long)sp, 0, 0, 0 } },
	};
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]) && r == 0; i++) {
		long result = 0;

		r = run_call(pid, &saved, pc, &calls[i], sp, &result);
		if (r == 0 && result < 0)
			printf("%s %s\n", calls[i].name, strerrorname_np((int)-result));
		else if (r == 0)
			printf("%s allowed\n", calls[i].name);
	}
	if (pwrite(mem, old, sizeof(old), (off_t)sp) != sizeof(old))
		r = -EIO;
	if (set_regs(pid, &saved) < 0)
		r = -errno;
	return r;
}

int main(int argc, char **argv)
{
	int status, mem, r = -ESRCH;
	char path[64];
	pid_t pid;

	if (argc != 2) {
		fprintf(stderr, "usage: inject-syscall PID\n");
		return 2;
	}
	pid = (pid_t)strtol(argv[1], NULL, 10);
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0) {
		perror("ptrace");
		return 1;
	}
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDWR | O_CLOEXEC);
	if (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status) && mem >= 0)
		r = inject_all(pid, mem);
	if (mem >= 0)
		close(mem);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return r == 0 ? 0 : 1;
}
