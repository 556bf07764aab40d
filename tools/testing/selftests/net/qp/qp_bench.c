// SPDX-License-Identifier: GPL-2.0
/*
 * How fast are queue pairs, beside what else this kernel has to move bytes
 * between two processes? Every series is measured once a round, in turn, so
 * that what disturbs the machine disturbs all alike; medians are reported.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define MAX_LIST	32

static const struct bench_transport * const transports[] = {
	&bench_qp_pipe, &bench_qp_pipe_poll, &bench_qp_pipe_uring,
	&bench_stream, &bench_seqpacket, &bench_pipe,
	&bench_vm_writev, &bench_vm_readv, &bench_memcpy,
	&bench_qp_roce, &bench_qp_roce_poll, &bench_qp_roce_thread, &bench_qp_iwarp,
	&bench_verbs, &bench_verbs_events, &bench_tcp, &bench_udp,
};

static const char default_sizes[] = "8,64,512,4K,64K,512K,4M";
static const char default_batches[] = "1,32";
static size_t sizes[MAX_LIST];
static size_t num_sizes;
static unsigned int batches[MAX_LIST];
static size_t num_batches;
static struct bench_placement placements[MAX_LIST];
static size_t num_placements;
static unsigned int wanted_ops = -1U;
static unsigned int wanted_transports = -1U;
static double duration = 0.2;
static unsigned int rounds = 5;
static bool targets_only;
static bool quiet;

static struct bench_series series[ARRAY_SIZE(transports) * BENCH_OPS * MAX_LIST];
static size_t num_series;
static struct bench_results results;

static const char usage[] =
"qp_bench [OPTION]...: queue pairs and their peers between two processes\n"
"  -t, --transport LIST  of what is below (all)\n"
"  -o, --op LIST         send,write,read,cas,add (all)\n"
"  -s, --size LIST       bytes of a message, K and M allowed (8 B to 4 MiB)\n"
"  -b, --batch LIST      messages a call (1,32)\n"
"  -c, --cpu A,B         processors of the two processes, or `any'; may be\n"
"                        repeated (0,1 if there are two)\n"
"  -d, --duration SEC    of one measurement (0.2)\n"
"  -r, --rounds N        of which the median is taken (5)\n"
"  -i, --inline BYTES    up to which SENDs and WRITEs go inline (64)\n"
"  -T, --targets         measure only what the targets need\n"
"  -C, --csv FILE        write the medians there\n"
"  -q, --quiet           no progress on stderr\n"
"Transports:\n"
"  qp-pipe               queue pairs of the pipe protocol\n"
"  qp-pipe-poll          the same, polling the completion queue before waiting\n"
"  uring                 the same, entered through io_uring\n"
"  stream, seqpacket     AF_UNIX sockets; batches with sendmmsg and recvmmsg\n"
"  pipe                  pipe(2)\n"
"  vm_writev, vm_readv   process_vm_writev(2), process_vm_readv(2)\n"
"  memcpy                within one process\n"
"and between two hosts, network namespaces joined by a veth pair:\n"
"  roce                  queue pairs over RoCE, on qpemu\n"
"  roce-poll             the same, polling the completion queue before waiting\n"
"  roce-sqpoll           the same with QP_SQPOLL, never calling the kernel\n"
"  iwarp                 queue pairs over iWARP, on siw\n"
"  verbs                 libibverbs on the same qpemu device, polling\n"
"  verbs-event           the same, waiting for events\n"
"  tcp, udp              sockets; of udp only the round trip\n";

#define fail(fmt, ...)							\
	do {								\
		fprintf(stderr, fmt "\n%s", ##__VA_ARGS__, usage);	\
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
	size_t i;

	for (i = 0; i < ARRAY_SIZE(transports); i++) {
		if (!strcmp(text, transports[i]->name)) {
			wanted_transports |= 1U << i;
			return;
		}
	}
	fail("%s: no such transport", text);
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
			wanted_transports = 0;
			for_each(optarg, add_transport);
			break;
		case 'o':
			wanted_ops = 0;
			for_each(optarg, add_op);
			break;
		case 's':
			for_each(optarg, add_size);
			break;
		case 'b':
			for_each(optarg, add_batch);
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
			fputs(usage, stdout);
			exit(0);
		default:
			fail("see what is possible:");
		}
	}
	if (optind < argc)
		fail("%s: not an option", argv[optind]);
	if (!num_sizes)
		for_each(default_sizes, add_size);
	if (!num_batches)
		for_each(default_batches, add_batch);
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

/*
 * Queue pairs need a kernel that has them, and io_uring's are queue pairs. Hosts
 * need root.
 */
static bool is_possible(const struct bench_transport *t)
{
	static int hosts = 1;

	if (t->proto && !bench_have_queue_pairs())
		return false;
	if (!t->network)
		return true;
	if (hosts > 0) {
		hosts = bench_net_make();
		if (hosts)
			fprintf(stderr, "No hosts, so nothing between them: %s\n",
				strerror(-hosts));
	}
	return !hosts;
}

static void plan_series(void)
{
	enum bench_op op;
	size_t t, b;

	for (t = 0; t < ARRAY_SIZE(transports); t++) {
		if (!(wanted_transports & 1U << t) || !is_possible(transports[t]))
			continue;
		for (op = 0; op < BENCH_OPS; op++) {
			if (!(transports[t]->ops & wanted_ops & 1U << op))
				continue;
			for (b = 0; b < num_batches; b++) {
				if (batches[b] > transports[t]->max_batch)
					continue;
				series[num_series++] = (struct bench_series) {
					transports[t], op, batches[b]
				};
			}
		}
	}
}

/* All that the options ask for: cases in order of placement, series and size */
static void plan(void)
{
	size_t p, s, i;

	plan_series();
	results.cases = calloc(num_placements * num_series * num_sizes + 1,
			       sizeof(results.cases[0]));
	if (!results.cases)
		fail("out of memory");
	for (p = 0; p < num_placements; p++) {
		for (i = 0; i < num_series; i++) {
			for (s = 0; s < num_sizes; s++) {
				if (!is_measured(&series[i], sizes[s]))
					continue;
				results.cases[results.n++] = (struct bench_case) {
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
		err = bench_measure(c->series, c->size, test, c->placement, duration, &value);
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

/* All cases of one size are measured in turn, @rounds times */
static int measure_all(void)
{
	size_t s, i, done = 0, all = results.n * rounds;
	unsigned int round;
	int failed = 0;

	for (s = 0; s < num_sizes; s++) {
		for (round = 0; round < rounds; round++) {
			for (i = 0; i < results.n; i++) {
				struct bench_case *c = &results.cases[i];

				if (c->size != sizes[s])
					continue;
				show_progress(done++, all, c);
				failed |= measure_case(c);
			}
		}
	}
	end_progress();
	return failed;
}

int main(int argc, char **argv)
{
	const char *csv = NULL;
	size_t p;
	int err;

	parse(argc, argv, &csv);
	if (!bench_have_queue_pairs())
		printf("This kernel has no queue pairs: peers only.\n");
	plan();
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
