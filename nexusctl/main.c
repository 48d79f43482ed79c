// SPDX-License-Identifier: GPL-2.0-or-later
/* nexusctl: the command table. Without a command it is `nexusctl status`. */
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "nx-config.h"

static const struct command {
	const char *name, *arguments, *help;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "status", "[NAME] [--json] [--interval MS]", "Show tunnels, their path and their users",
	  cmd_status },
	{ "cover", "[NAME] [--json]", "Show what is known of a server's cover site", cmd_cover },
	{ "list", "", "List the tunnels: name, role, state", cmd_list },
	{ "up", "NAME [--wait] [--timeout S]", "Connect a tunnel", cmd_up },
	{ "down", "NAME [--wait] [--timeout S]", "Disconnect a tunnel", cmd_down },
	{ "revoke", "NAME USER", "End a user's sessions and lock the user out", cmd_revoke },
	{ "restore", "NAME USER", "Let a revoked user in again", cmd_restore },
	{ "monitor", "", "Print changes of state as they happen", cmd_monitor },
	{ "reload", "", "Make nexusd read its configuration again", cmd_reload },
	{ "genkey", "", "Write a new private key to stdout", cmd_genkey },
	{ "pubkey", "", "Read a private key from stdin, write its public key to stdout",
	  cmd_pubkey },
	{ "genpsk", "", "Write a new preshared key to stdout", cmd_genpsk },
	{ "gensid", "", "Write a new short id to stdout", cmd_gensid },
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int usage(FILE *out)
{
	fprintf(out, "Usage: nexusctl [COMMAND] [ARGUMENTS]\n\n"
		     "Controls nexusd, the Nexus VPN daemon. Without a command: status.\n\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-7s %-32s %s\n", commands[i].name, commands[i].arguments,
			commands[i].help);
	fprintf(out, "\n  --help, -h     this text\n"
		     "  --version, -V  the version\n\n"
		     "Exit status: 0 done, 1 error, 2 usage, 3 nexusd or the bus is not there,\n"
		     "4 no such tunnel, 5 timeout, 6 authentication refused, 7 access denied.\n"
		     "See nexusctl(1).\n");
	return out == stdout ? CTL_OK : CTL_USAGE;
}

static int dispatch(int argc, char **argv)
{
	static char *default_argv[] = { "status", NULL };

	if (argc < 2)
		return cmd_status(1, default_argv);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return usage(stdout);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("nexusctl " NX_VERSION "\n");
		return CTL_OK;
	}
	for (size_t i = 0; i < N_COMMANDS; i++) {
		int r;

		if (strcmp(argv[1], commands[i].name))
			continue;
		if (argc > 2 && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h"))) {
			printf("Usage: nexusctl %s %s\n\n%s.\n", commands[i].name,
			       commands[i].arguments, commands[i].help);
			return CTL_OK;
		}
		r = commands[i].run(argc - 1, argv + 1);
		if (r == CTL_USAGE)
			fprintf(stderr, "Usage: nexusctl %s %s\n", commands[i].name,
				commands[i].arguments);
		return r;
	}
	ctl_error("there is no command \"%s\"", argv[1]);
	return usage(stderr);
}

/* Output that could not be written is not done. */
int main(int argc, char **argv)
{
	int r = dispatch(argc, argv);

	if ((fflush(stdout) || ferror(stdout)) && r == CTL_OK) {
		ctl_error("cannot write the output");
		r = CTL_ERROR;
	}
	return r;
}
