// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Log lines with fields to the journal, or plain to stderr: see log.h.
 *
 * The journal's native protocol is spoken on a datagram socket connected once in nx_log_init(): the
 * sandboxed processes can make no socket later, and libsystemd would open its own on first use.
 * NX_JOURNAL_FD names an inherited descriptor for a process that may not even connect.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
#include <fcntl.h>

#include "log.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define LINE_MAX_BYTES 1024

static const char *log_name = "nexus";
static int log_level = LOG_INFO;
static int journal_fd = -1;

static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == dev && st.st_ino == ino;
}

static int connect_journal(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int inherited_journal(void)
{
	const char *text = getenv("NX_JOURNAL_FD");
	char *end;
	long fd;

	if (!text || !*text)
		return -1;
	errno = 0;
	fd = strtol(text, &end, 10);
	if (errno || *end || fd <= STDERR_FILENO || fd > INT32_MAX || fcntl(fd, F_GETFD) < 0)
		return -1;
	return fd;
}

void nx_log_init(const char *name, int max_level)
{
	log_name = name;
	log_level = max_level;
	journal_fd = inherited_journal();
	if (journal_fd < 0 && stderr_is_journal())
		journal_fd = connect_journal();
}

void nx_log_set_level(int max_level)
{
	log_level = max_level;
}

/* "KEY=value\n"; a value is one line: control characters were replaced before. */
static void add_field(struct iovec *iov, int *n, const char *key, const char *value)
{
	iov[(*n)++] = (struct iovec){ (void *)key, strlen(key) };
	iov[(*n)++] = (struct iovec){ (void *)value, strlen(value) };
	iov[(*n)++] = (struct iovec){ (void *)"\n", 1 };
}

/* NULL: not part of the line. */
struct fields {
	const char *event, *tunnel, *plane;
};

static bool send_journal(int level, const struct fields *f, const char *text)
{
	char priority[2] = { (char)('0' + (level & 7)), 0 };
	struct iovec iov[18];
	struct msghdr msg = { .msg_iov = iov };
	int n = 0;

	add_field(iov, &n, "MESSAGE=", text);
	add_field(iov, &n, "PRIORITY=", priority);
	add_field(iov, &n, "SYSLOG_IDENTIFIER=", log_name);
	if (f->event)
		add_field(iov, &n, "NEXUS_EVENT=", f->event);
	if (f->tunnel)
		add_field(iov, &n, "NEXUS_TUNNEL=", f->tunnel);
	if (f->plane)
		add_field(iov, &n, "NEXUS_DATA_PLANE=", f->plane);
	msg.msg_iovlen = n;
	return sendmsg(journal_fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

static __attribute__((format(printf, 3, 0))) void log_line(int level, const struct fields *f,
							   const char *fmt, va_list ap)
{
	char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 128];
	int saved = errno;
	char *p;
	int n;

	if (level > log_level)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	/* A peer's text may be inside: it must not forge fields, lines or terminal commands. */
	for (p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	if (journal_fd < 0 || !send_journal(level, f, text)) {
		n = snprintf(line, sizeof(line), "%s%s%s%s: %s\n", log_name, f->tunnel ? "[" : "",
			     f->tunnel ? f->tunnel : "", f->tunnel ? "]" : "", text);
		if (n >= (int)sizeof(line))
			n = sizeof(line) - 1;
		/* Nowhere to report a failing stderr to. */
		if (write(STDERR_FILENO, line, n) < 0)
			errno = saved;
	}
	errno = saved;
}

void nx_log_full(int level, const char *event, const char *tunnel, const char *fmt, ...)
{
	const struct fields f = { .event = event, .tunnel = tunnel };
	va_list ap;

	va_start(ap, fmt);
	log_line(level, &f, fmt, ap);
	va_end(ap);
}

void nx_log_plane(int level, const char *event, const char *tunnel, const char *plane,
		  const char *fmt, ...)
{
	const struct fields f = { .event = event, .tunnel = tunnel, .plane = plane };
	va_list ap;

	va_start(ap, fmt);
	log_line(level, &f, fmt, ap);
	va_end(ap);
}
