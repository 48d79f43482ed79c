/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the commands of nexusctl share. Every command returns one of the exit codes and has printed
 * one line for people on stderr if that is not CTL_OK.
 */
#ifndef CTL_H
#define CTL_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define CTL_BUS_NAME "org.nexusvpn.Nexus1"
#define CTL_PATH "/org/nexusvpn/Nexus1"
#define CTL_IFACE_MANAGER CTL_BUS_NAME ".Manager"
#define CTL_IFACE_TUNNEL CTL_BUS_NAME ".Tunnel"
#define CTL_IFACE_PEER CTL_BUS_NAME ".Peer"

/* Documented in nexusctl(1); scripts depend on the numbers. */
enum ctl_exit {
	CTL_OK = 0,
	CTL_ERROR = 1,
	CTL_USAGE = 2,
	CTL_NOT_RUNNING = 3,
	CTL_NO_SUCH_TUNNEL = 4,
	CTL_TIMEOUT = 5,
	CTL_AUTH_REFUSED = 6,
	CTL_ACCESS_DENIED = 7,
};

/* ---- bus.c ---- */
/* CTL_OK with *@bus open, or CTL_NOT_RUNNING. */
int ctl_bus_open(sd_bus **bus);
/*
 * Call a method with string arguments (@arg may be NULL), never starting nexusd. @reply may be
 * NULL. With @error the caller reports failures itself; without, they are reported here.
 */
int ctl_bus_call(sd_bus *bus, const char *path, const char *interface, const char *member,
		 const char *arg, sd_bus_message **reply, sd_bus_error *error);
/* Report a failed call: the line for people and the exit code. @r is the negative errno. */
int ctl_bus_report(const sd_bus_error *error, int r);
/* Report an answer that makes no sense to this program. */
int ctl_bus_bad_reply(int r);
/* The object path of tunnel @name, to be freed. */
int ctl_bus_tunnel_path(sd_bus *bus, const char *name, char **path);

/* ---- text.c ---- */
__attribute__((format(printf, 1, 2))) void ctl_error(const char *fmt, ...);
/* Print @s without control characters: some texts come from the other end of a tunnel. */
void ctl_print_clean(const char *s);
/* "1.4 MB", "3.2 Mbit/s", "1 h 02 min": into a static buffer each, valid until the next call. */
const char *ctl_bytes_str(uint64_t bytes);
const char *ctl_rate_str(double bits_per_s);
const char *ctl_duration_str(uint64_t seconds);

/* ---- commands: @argv[0] is the command's name ---- */
int cmd_genkey(int argc, char **argv);
int cmd_genpsk(int argc, char **argv);
int cmd_gensid(int argc, char **argv);
int cmd_pubkey(int argc, char **argv);
int cmd_up(int argc, char **argv);
int cmd_down(int argc, char **argv);
int cmd_revoke(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_reload(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_cover(int argc, char **argv);
int cmd_monitor(int argc, char **argv);

#endif /* CTL_H */
