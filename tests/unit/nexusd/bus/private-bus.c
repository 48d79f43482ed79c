// SPDX-License-Identifier: GPL-2.0-or-later
/* The private dbus-daemon: see private-bus.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "private-bus.h"

static const char config_text[] = "<busconfig>\n"
				  " <listen>unix:path=%s</listen>\n"
				  " <auth>EXTERNAL</auth>\n"
				  " <policy context=\"default\">\n"
				  "  <allow user=\"*\"/><allow own=\"*\"/>\n"
				  "  <allow send_destination=\"*\"/><allow send_type=\"signal\"/>\n"
				  "  <allow receive_sender=\"*\"/>\n"
				  " </policy>\n"
				  "</busconfig>\n";

int private_bus_init(struct private_bus *b)
{
	char address[128];
	FILE *f;

	b->pid = 0;
	strcpy(b->dir, "/tmp/nexus-bus-XXXXXX");
	if (!mkdtemp(b->dir))
		return -errno;
	snprintf(b->config, sizeof(b->config), "%s/bus.conf", b->dir);
	snprintf(b->socket, sizeof(b->socket), "%s/socket", b->dir);
	f = fopen(b->config, "we");
	if (!f)
		return -errno;
	fprintf(f, config_text, b->socket);
	if (fclose(f))
		return -EIO;
	snprintf(address, sizeof(address), "unix:path=%s", b->socket);
	return setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1) ? -errno : 0;
}

int private_bus_start(struct private_bus *b)
{
	char option[128], line[256], ready[32];
	int fds[2];
	ssize_t n;

	if (pipe(fds) < 0)
		return -errno;
	snprintf(option, sizeof(option), "--config-file=%s", b->config);
	snprintf(ready, sizeof(ready), "--print-address=%d", fds[1]);
	b->pid = fork();
	if (b->pid < 0) {
		b->pid = 0;
		return -errno;
	}
	if (b->pid == 0) {
		close(fds[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("dbus-daemon", "dbus-daemon", option, "--nofork", "--nopidfile", ready,
		       NULL);
		_exit(127);
	}
	close(fds[1]);
	n = read(fds[0], line, sizeof(line));
	close(fds[0]);
	if (n > 0)
		return 0;
	private_bus_stop(b);
	return -ECHILD;
}

void private_bus_stop(struct private_bus *b)
{
	if (!b->pid)
		return;
	kill(b->pid, SIGKILL);
	waitpid(b->pid, NULL, 0);
	b->pid = 0;
	unlink(b->socket);
}

void private_bus_remove(struct private_bus *b)
{
	private_bus_stop(b);
	unlink(b->config);
	rmdir(b->dir);
}
