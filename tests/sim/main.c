// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The simulator's program: lists and runs scenarios.
 */
#include "scenario.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct scenario *const tables[] = { scenarios_link, scenarios_share, scenarios_path };
#define TABLES (sizeof(tables) / sizeof(*tables))

static void usage(FILE *to)
{
	fprintf(to, "usage: sim list\n"
		    "       sim run all|NAME... [--seed N] [--quick]\n"
		    "       sim --compare [--seed N] [--quick]\n");
}

static const struct scenario *next_scenario(u32 *table, u32 *i)
{
	for (; *table < TABLES; (*table)++, *i = 0) {
		if (tables[*table][*i].name)
			return &tables[*table][(*i)++];
	}
	return NULL;
}

static double wall_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool run_one(const struct scenario *sc, u64 seed, bool quick)
{
	struct scenario_run r = { .seed = seed, .quick = quick };
	double start = wall_s();

	printf("%s: %s\n", sc->name, sc->claim);
	fflush(stdout);
	sc->run(&r);
	printf("%s %s: %.1f million events in %.1f s, digest %016llx\n", r.failed ? "not ok" : "ok",
	       sc->name, (double)r.events / 1e6, wall_s() - start, (unsigned long long)r.digest);
	fflush(stdout);
	return !r.failed;
}

static int run_named(const char *name, u64 seed, bool quick)
{
	bool all = !strcmp(name, "all"), known = all;
	u32 table = 0, i = 0, failed = 0;
	const struct scenario *sc;

	while ((sc = next_scenario(&table, &i))) {
		if (!all && strcmp(name, sc->name))
			continue;
		known = true;
		failed += !run_one(sc, seed, quick);
	}
	if (!known)
		fprintf(stderr, "sim: there is no scenario '%s' (see sim list)\n", name);
	return failed || !known;
}

static int list(void)
{
	const struct scenario *sc;
	u32 table = 0, i = 0;

	while ((sc = next_scenario(&table, &i)))
		printf("%-16s %s\n", sc->name, sc->claim);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "quick", no_argument, NULL, 'q' },
		{ "compare", no_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool quick = false, side_by_side = false;
	int c, status = 0;
	u64 seed = 1;
	char *end;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 's':
			seed = strtoull(optarg, &end, 0);
			if (*end || end == optarg) {
				fprintf(stderr, "sim: '%s' is not a seed\n", optarg);
				return 2;
			}
			break;
		case 'q':
			quick = true;
			break;
		case 'c':
			side_by_side = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (side_by_side && argc == optind)
		return compare(seed, quick);
	if (argc - optind == 1 && !strcmp(argv[optind], "list"))
		return list();
	if (side_by_side || argc - optind < 2 || strcmp(argv[optind], "run")) {
		usage(stderr);
		return 2;
	}
	for (c = optind + 1; c < argc; c++)
		status |= run_named(argv[c], seed, quick);
	return status;
}
