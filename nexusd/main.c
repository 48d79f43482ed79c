// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The program nexusd: options, --check-config, and then either the monitor or (--control, started
 * by the monitor) the control process.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nx-config.h"
#include "bus.h"
#include "config-internal.h"
#include "control.h"
#include "lib/log.h"

static const char usage[] =
	"Usage: nexusd [OPTION...]\n"
	"The Nexus VPN daemon. Runs in the foreground; systemd or a terminal starts it as root.\n"
	"\n"
	"  --config FILE         configuration (" NX_CONFIG_FILE ")\n"
	"  --check-config[=FILE] check a configuration and the files it names, then exit;\n"
	"                        FILE may also follow as a word of its own\n"
	"  --secret-dir DIR      the only folder keys are read from (" NX_SECRET_DIR ")\n"
	"  --state-dir DIR       where revoked users and covers are kept (" NX_STATE_DIR ")\n"
	"  --runtime-dir DIR     where replay caches wait for the next start (" NX_RUNTIME_DIR ")\n"
	"  --libexec-dir DIR     where nexus-hsd and nexus-dp are (" NX_LIBEXECDIR ");\n"
	"                        a build folder will do\n"
	"  --users A,B,C         users of control process, nexus-hsd and nexus-dp\n"
	"                        (nexus,nexus-hsd,nexus-dp)\n"
	"  --insecure-keylog     allow insecure_keylog_file: session keys are written to disk\n"
	"  --insecure-fixed-rate allow congestion = \"fixed_rate_test\": no congestion control\n"
	"  --debug               log more\n"
	"  --bus-introspect      print the D-Bus interfaces as XML, then exit\n"
	"  --help, --version\n"
	"\n"
	"SIGHUP reloads the configuration; SIGTERM and SIGINT close all tunnels and end it.\n";

enum {
	OPT_CONFIG = 256,
	OPT_CHECK,
	OPT_CONTROL,
	OPT_LIBEXEC,
	OPT_SECRETS,
	OPT_STATE,
	OPT_RUNTIME,
	OPT_KEYLOG,
	OPT_FIXED_RATE,
	OPT_USERS,
	OPT_DEBUG,
	OPT_INTROSPECT,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "check-config", optional_argument, NULL, OPT_CHECK },
	{ "control", no_argument, NULL, OPT_CONTROL },
	{ "libexec-dir", required_argument, NULL, OPT_LIBEXEC },
	{ "secret-dir", required_argument, NULL, OPT_SECRETS },
	{ "state-dir", required_argument, NULL, OPT_STATE },
	{ "runtime-dir", required_argument, NULL, OPT_RUNTIME },
	{ "insecure-keylog", no_argument, NULL, OPT_KEYLOG },
	{ "insecure-fixed-rate", no_argument, NULL, OPT_FIXED_RATE },
	{ "users", required_argument, NULL, OPT_USERS },
	{ "debug", no_argument, NULL, OPT_DEBUG },
	{ "bus-introspect", no_argument, NULL, OPT_INTROSPECT },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{},
};

static int check_config(const char *path, const struct nx_options *o)
{
	struct nx_config_report report = {};
	struct nx_config *c = NULL;
	size_t errors;

	(void)nx_config_load_report(path, o->insecure, &report, &c);
	nx_config_check_files(&report, o->secret_dir);
	for (size_t i = 0; i < report.n_errors; i++)
		fprintf(stderr, "%s\n", report.errors[i]);
	errors = report.n_errors;
	if (!c && !errors)
		fprintf(stderr, "%s: out of memory\n", path);
	else if (!errors)
		printf("%s: ok\n", path);
	errors += !c;
	nx_config_free(c);
	nx_config_report_free(&report);
	return errors ? 1 : 0;
}

/* "a,b,c" in place. */
static bool split_users(char *text, struct nx_options *o)
{
	char *second = strchr(text, ','), *third = second ? strchr(second + 1, ',') : NULL;

	if (!third || strchr(third + 1, ','))
		return false;
	*second++ = '\0';
	*third++ = '\0';
	o->user_control = text;
	o->user_hsd = second;
	o->user_dp = third;
	return *text && *second && *third;
}

static int complain(const char *text)
{
	fprintf(stderr, "nexusd: %s\nTry nexusd --help.\n", text);
	return 2;
}

int main(int argc, char **argv)
{
	struct nx_options o = {
		.config_file = NX_CONFIG_FILE,
		.libexec_dir = NX_LIBEXECDIR,
		.secret_dir = NX_SECRET_DIR,
		.state_dir = NX_STATE_DIR,
		.runtime_dir = NX_RUNTIME_DIR,
		.user_control = "nexus",
		.user_hsd = "nexus-hsd",
		.user_dp = "nexus-dp",
	};
	bool control = false, check = false;
	const char *check_file = NULL;
	int opt;

	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (opt) {
		case OPT_CONFIG:
			o.config_file = optarg;
			break;
		case OPT_CHECK:
			check = true;
			check_file = optarg;
			break;
		case OPT_CONTROL:
			control = true;
			break;
		case OPT_LIBEXEC:
			o.libexec_dir = optarg;
			break;
		case OPT_SECRETS:
			o.secret_dir = optarg;
			break;
		case OPT_STATE:
			o.state_dir = optarg;
			break;
		case OPT_RUNTIME:
			o.runtime_dir = optarg;
			break;
		case OPT_KEYLOG:
			o.insecure |= NX_INSECURE_KEYLOG;
			break;
		case OPT_FIXED_RATE:
			o.insecure |= NX_INSECURE_FIXED_RATE;
			break;
		case OPT_USERS:
			if (!split_users(optarg, &o))
				return complain("--users wants three names: control,hsd,dp");
			break;
		case OPT_DEBUG:
			o.debug = true;
			break;
		case OPT_INTROSPECT:
			return nx_bus_introspect(stdout) < 0;
		case OPT_HELP:
			fputs(usage, stdout);
			return 0;
		case OPT_VERSION:
			puts("nexusd " NX_VERSION);
			return 0;
		default:
			return 2;
		}
	}
	if (check && !check_file && optind < argc)
		check_file = argv[optind++];
	if (optind < argc)
		return complain("too many arguments");
	if (check)
		return check_config(check_file ? check_file : o.config_file, &o);
	nx_log_init("nexusd", o.debug ? LOG_DEBUG : LOG_INFO);
	return control ? nx_control_run(&o) : nx_monitor_run(&o);
}
