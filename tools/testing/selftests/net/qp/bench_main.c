// SPDX-License-Identifier: GPL-2.0
/*
 * What the programs that measure have in common: options, and what they make of
 * them. Every series of a group is measured once a round, in turn, so that what
 * disturbs the machine disturbs all alike; medians are reported.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define MAX_LIST	32
#define MAX_TRANSPORTS	32

/* What options say, NULL if nothing; and the lists for the group at hand */
static const char *sizes_option, *batches_option;
static size_t sizes[MAX_LIST];
static size_t num_sizes;
static unsigned int batches[MAX_LIST];
static size_t num_batches;
static struct bench_placement placements[MAX_LIST];
static size_t num_placements;
static unsigned int wanted_ops = -1U;
static const struct bench_transport *wanted_transports[MAX_TRANSPORTS];
static size_t num_wanted_transports;	/* 0: all */
static double duration = 0.2;
static unsigned int rounds = 5;
static bool targets_only;
static bool quiet;
static bool peers_only;

static struct bench_series series[MAX_TRANSPORTS * BENCH_OPS * MAX_LIST];
static size_t num_series;
static struct bench_results results;

static void usage(FILE *f)
{
	const struct bench_group *g;

	fprintf(f, "%s [OPTION]...: %s\n"
"  -t, --transport LIST  of what is below (all)\n"
"  -o, --op LIST         send,write,read,cas,add (all)\n"
"  -s, --size LIST       bytes of a message, K and M allowed\n"
"  -b, --batch LIST      messages a call\n"
"  -c, --cpu A,B         processors of the two processes, or `any'; may be\n"
"                        repeated (0,1 if there are two)\n"
"  -d, --duration SEC    of one measurement (0.2)\n"
"  -r, --rounds N        of which the median is taken (5)\n"
"  -i, --inline BYTES    up to which SENDs and WRITEs go inline (64)\n"
"  -T, --targets         measure only what the targets need\n"
"  -C, --csv FILE        write the medians there\n"
"  -q, --quiet           no progress on stderr\n"
"%s", bench_program.name, bench_program.what, bench_program.transports_usage);
	for (g = bench_program.groups; g->transports; g++)
		fprintf(f, "%s: messages of %s bytes, %s a call\n", g->name, g->sizes,
			g->batches);
}

#define fail(fmt, ...)							\
	do {								\
		fprintf(stderr, fmt "\n", ##__VA_ARGS__);		\
		usage(stderr);						\
		exit(2);						\
	} while (0)

/* Calls @add for each element of a list with commas */
static void for_each(const char *list, void (*add)(const char *item))
{
	char *copy = strdup(list), *rest = copy, *item;

	if (!copy)
		fail("out of memory");
	while ((item = strsep(&rest, ",")))
		add(item);
	free(copy);
}

static double number(const char *text, double min, double max)
{
	char *end;
	double v = strtod(text, &end);

	if (end != text && (*end == 'K' || *end == 'k'))
		v *= 1 << 10, end++;
	else if (end != text && (*end == 'M' || *end == 'm'))
		v *= 1 << 20, end++;
	if (end == text || *end || v < min || v > max)
		fail("%s: want a value from %g to %g", text, min, max);
	return v;
}

static void add_size(const char *text)
{
	if (num_sizes == MAX_LIST)
		fail("more than %d sizes", MAX_LIST);
	sizes[num_sizes++] = number(text, 1, BENCH_MAX_SIZE);
}

static void add_batch(const char *text)
{
	if (num_batches == MAX_LIST)
		fail("more than %d batches", MAX_LIST);
	batches[num_batches++] = number(text, 1, BENCH_MAX_BATCH);
}

static void add_op(const char *text)
{
	enum bench_op op;

	for (op = 0; op < BENCH_OPS; op++) {
		if (!strcmp(text, bench_op_name[op])) {
			wanted_ops |= 1U << op;
			return;
		}
	}
	fail("%s: no such operation", text);
}

static void add_transport(const char *text)
{
	const struct bench_transport * const *t;
	const struct bench_group *g;

	if (num_wanted_transports == MAX_TRANSPORTS)
		fail("more than %d transports", MAX_TRANSPORTS);
	for (g = bench_program.groups; g->transports; g++) {
		for (t = g->transports; *t; t++) {
			if (!strcmp(text, (*t)->name)) {
				wanted_transports[num_wanted_transports++] = *t;
				return;
			}
		}
	}
	fail("%s: no such transport", text);
}

static bool is_wanted(const struct bench_transport *t)
{
	size_t i;

	for (i = 0; i < num_wanted_transports; i++) {
		if (wanted_transports[i] == t)
			return true;
	}
	return !num_wanted_transports;
}

static void add_placement(const char *text)
{
	struct bench_placement *p = &placements[num_placements];

	if (num_placements++ == MAX_LIST)
		fail("more than %d placements", MAX_LIST);
	if (!strcmp(text, "any"))
		*p = (struct bench_placement){ BENCH_ANY_CPU, BENCH_ANY_CPU };
	else if (sscanf(text, "%d,%d", &p->active, &p->passive) != 2)
		fail("%s: want two processors, as 0,1", text);
}

static void parse(int argc, char **argv, const char **csv)
{
	static const struct option options[] = {
		{ "transport", required_argument, NULL, 't' },
		{ "op", required_argument, NULL, 'o' },
		{ "size", required_argument, NULL, 's' },
		{ "batch", required_argument, NULL, 'b' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "duration", required_argument, NULL, 'd' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "inline", required_argument, NULL, 'i' },
		{ "targets", no_argument, NULL, 'T' },
		{ "csv", required_argument, NULL, 'C' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int c;

	while ((c = getopt_long(argc, argv, "t:o:s:b:c:d:r:i:TC:qh", options, NULL)) != -1) {
		switch (c) {
		case 't':
			num_wanted_transports = 0;
			for_each(optarg, add_transport);
			break;
		case 'o':
			wanted_ops = 0;
			for_each(optarg, add_op);
			break;
		case 's':
			sizes_option = optarg;
			break;
		case 'b':
			batches_option = optarg;
			break;
		case 'c':
			add_placement(optarg);
			break;
		case 'd':
			duration = number(optarg, 0.001, 3600);
			break;
		case 'r':
			rounds = number(optarg, 1, BENCH_MAX_ROUNDS);
			break;
		case 'i':
			bench_inline = number(optarg, 0, 1024);
			break;
		case 'T':
			targets_only = true;
			break;
		case 'C':
			*csv = optarg;
			break;
		case 'q':
			quiet = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			fail("see what is possible:");
		}
	}
	if (optind < argc)
		fail("%s: not an option", argv[optind]);
	if (!num_placements)
		add_placement(sysconf(_SC_NPROCESSORS_ONLN) > 1 ? "0,1" : "any");
}

static bool is_target(const struct bench_series *s, size_t size)
{
	const struct bench_target *t;

	for (t = bench_targets; t->text; t++) {
		if (t->size == size &&
		    (bench_same_series(&t->series, s) || bench_same_series(&t->peer, s)))
			return true;
	}
	return false;
}

static bool is_measured(const struct bench_series *s, size_t size)
{
	if (targets_only)
		return is_target(s, size);
	return !bench_atomic(s->op) || size == sizeof(__u64);
}

/* Hosts need root, and what is to be on them */
static bool have_hosts(bool rxe)
{
	static int made[2] = { 1, 1 };

	if (made[rxe] > 0) {
		made[rxe] = bench_net_make(rxe);
		if (made[rxe])
			fprintf(stderr, "No hosts%s, so nothing between them: %s\n",
				rxe ? " with rxe" : "", strerror(-made[rxe]));
	}
	return !made[rxe];
}

/* The kernel may not have what is measured */
static bool is_possible(const struct bench_transport *t)
{
	if (!bench_program.is_possible(t)) {
		peers_only = true;
		return false;
	}
	return !t->network || have_hosts(t->rxe);
}

static void plan_series(const struct bench_group *group)
{
	const struct bench_transport *transport;
	enum bench_op op;
	size_t t, b;

	for (t = 0; (transport = group->transports[t]); t++) {
		if (!is_wanted(transport) || !is_possible(transport))
			continue;
		for (op = 0; op < BENCH_OPS; op++) {
			if (!(transport->ops & wanted_ops & 1U << op))
				continue;
			for (b = 0; b < num_batches; b++) {
				if (batches[b] > transport->max_batch)
					continue;
				series[num_series++] = (struct bench_series) {
					transport, op, batches[b]
				};
			}
		}
	}
}

/* All that the options ask for: cases in order of placement, series and size */
static void plan_group(const struct bench_group *group)
{
	size_t p, s, i, first = num_series;

	num_sizes = 0;
	num_batches = 0;
	for_each(sizes_option ?: group->sizes, add_size);
	for_each(batches_option ?: group->batches, add_batch);
	plan_series(group);
	results.cases = reallocarray(results.cases, results.n +
				     num_placements * (num_series - first) * num_sizes + 1,
				     sizeof(results.cases[0]));
	if (!results.cases)
		fail("out of memory");
	for (p = 0; p < num_placements; p++) {
		for (i = first; i < num_series; i++) {
			for (s = 0; s < num_sizes; s++) {
				if (!is_measured(&series[i], sizes[s]))
					continue;
				results.cases[results.n++] = (struct bench_case) {
					.group = group,
					.series = &series[i], .size = sizes[s],
					.placement = &placements[p],
				};
			}
		}
	}
}

/* A round trip is one message, whatever the batch */
static bool has_test(const struct bench_case *c, enum bench_test test)
{
	const struct bench_transport *t = c->series->transport;

	return test == BENCH_RATE ? !!t->send : c->series->batch == 1 && t->ping;
}

static int measure_case(struct bench_case *c)
{
	enum bench_test test;
	double value;
	int err;

	for (test = 0; test < BENCH_TESTS; test++) {
		if (!has_test(c, test))
			continue;
		err = bench_measure(c->series, c->size, test, c->placement, duration, &value,
				    &c->tally);
		if (err < 0)
			return err;
		if (!err)
			c->samples[test].value[c->samples[test].n++] = value;
	}
	return 0;
}

/* A line that is overwritten, or on something else than a terminal one a size */
static void show_progress(size_t done, size_t all, const struct bench_case *c)
{
	static size_t size;

	if (quiet)
		return;
	if (isatty(STDERR_FILENO)) {
		fprintf(stderr, "\r%3zu%%  %-12s %-5s x%-4u %8zu B ", 100 * done / all,
			c->series->transport->name, bench_op_name[c->series->op],
			c->series->batch, c->size);
	} else if (c->size != size) {
		fprintf(stderr, "%3zu%%  %zu B\n", 100 * done / all, c->size);
		size = c->size;
	}
}

static void end_progress(void)
{
	if (!quiet && isatty(STDERR_FILENO))
		fprintf(stderr, "\r%50s\r", "");
}

/* Is this what is compared with each other? */
static bool is_alike(const struct bench_case *a, const struct bench_case *b)
{
	return a->group == b->group && a->size == b->size;
}

static bool is_first_of_its_like(const struct bench_case *c)
{
	const struct bench_case *before;

	for (before = results.cases; before < c; before++) {
		if (is_alike(before, c))
			return false;
	}
	return true;
}

/* All cases that are like the first are measured in turn, @rounds times */
static int measure_like(const struct bench_case *first)
{
	static size_t done;
	unsigned int round;
	int failed = 0;
	size_t i;

	for (round = 0; round < rounds; round++) {
		for (i = 0; i < results.n; i++) {
			struct bench_case *c = &results.cases[i];

			if (!is_alike(c, first))
				continue;
			show_progress(done++, results.n * rounds, c);
			failed |= measure_case(c);
		}
	}
	return failed;
}

static int measure_all(void)
{
	int failed = 0;
	size_t i;

	for (i = 0; i < results.n; i++) {
		if (is_first_of_its_like(&results.cases[i]))
			failed |= measure_like(&results.cases[i]);
	}
	end_progress();
	return failed;
}

int main(int argc, char **argv)
{
	const struct bench_group *group;
	const char *csv = NULL;
	size_t p;
	int err;

	parse(argc, argv, &csv);
	for (group = bench_program.groups; group->transports; group++)
		plan_group(group);
	if (peers_only)
		printf("%s: peers only.\n", bench_program.impossible);
	err = measure_all();
	for (p = 0; p < num_placements; p++)
		bench_report(&results, &placements[p]);
	for (p = 0; p < num_placements; p++)
		bench_report_targets(&results, &placements[p]);
	if (csv && bench_write_csv(&results, csv)) {
		perror(csv);
		return 1;
	}
	if (err)
		fprintf(stderr, "Some measurements failed.\n");
	return err ? 1 : 0;
}
