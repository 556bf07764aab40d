// SPDX-License-Identifier: GPL-2.0
/* From samples to medians, tables of ratios, the targets and the CSV file */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

const char * const bench_op_name[BENCH_OPS] = {
	[BENCH_SEND]	= "send",
	[BENCH_WRITE]	= "write",
	[BENCH_READ]	= "read",
	[BENCH_CAS]	= "cas",
	[BENCH_ADD]	= "add",
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* 0 if there is no sample */
static double median(const struct bench_samples *s)
{
	double v[BENCH_MAX_ROUNDS];

	if (!s->n)
		return 0;
	memcpy(v, s->value, s->n * sizeof(v[0]));
	qsort(v, s->n, sizeof(v[0]), compare);
	return (v[(s->n - 1) / 2] + v[s->n / 2]) / 2;
}

bool bench_same_series(const struct bench_series *a, const struct bench_series *b)
{
	return a->transport == b->transport && a->op == b->op && a->batch == b->batch;
}

static const struct bench_case *find(const struct bench_results *results,
				     const struct bench_series *series, size_t size,
				     const struct bench_placement *placement)
{
	size_t i;

	for (i = 0; i < results->n; i++) {
		const struct bench_case *c = &results->cases[i];

		if (c->placement == placement && c->size == size &&
		    bench_same_series(c->series, series))
			return c;
	}
	return NULL;
}

static double median_of(const struct bench_results *results, const struct bench_series *series,
			size_t size, const struct bench_placement *placement,
			enum bench_test test)
{
	const struct bench_case *c = find(results, series, size, placement);

	return c ? median(&c->samples[test]) : 0;
}

/* More than 1 is good for @ours, whatever is measured; 0 if one is missing */
static double advantage(double ours, double theirs, enum bench_test test)
{
	if (!ours || !theirs)
		return 0;
	return test == BENCH_RATE ? ours / theirs : theirs / ours;
}

const char *bench_placement_name(const struct bench_placement *placement, char *buf, size_t len)
{
	if (placement->active == BENCH_ANY_CPU)
		snprintf(buf, len, "any");
	else
		snprintf(buf, len, "%d-%d", placement->active, placement->passive);
	return buf;
}

static const char *series_name(const struct bench_series *s, char *buf, size_t len)
{
	if (s->batch == 1)
		snprintf(buf, len, "%s", s->transport->name);
	else
		snprintf(buf, len, "%s x%u", s->transport->name, s->batch);
	return buf;
}

static const char *size_name(size_t size, char *buf, size_t len)
{
	if (size >= 1 << 20 && size % (1 << 20) == 0)
		snprintf(buf, len, "%zu MiB", size >> 20);
	else if (size >= 1 << 10 && size % (1 << 10) == 0)
		snprintf(buf, len, "%zu KiB", size >> 10);
	else
		snprintf(buf, len, "%zu B", size);
	return buf;
}

/* The cases of a series at one placement are a row each, in order of size */
static bool is_row(const struct bench_case *c, const struct bench_series *series,
		   const struct bench_placement *placement)
{
	return c->series == series && c->placement == placement;
}

/* A series begins where its first case stands */
static bool begins_series(const struct bench_results *results, size_t i,
			  const struct bench_placement *placement)
{
	size_t j;

	if (results->cases[i].placement != placement)
		return false;
	for (j = 0; j < i; j++) {
		if (is_row(&results->cases[j], results->cases[i].series, placement))
			return false;
	}
	return true;
}

/*
 * Which peers stand beside us: those that take one message a call or as many as
 * we, and that move bytes the same way if they know more than one.
 */
static bool compares(const struct bench_series *ours, const struct bench_series *peer)
{
	if (peer->transport->queue_pair || (peer->batch != 1 && peer->batch != ours->batch))
		return false;
	if (peer->transport->proto)
		return peer->op == ours->op;
	return (peer->op == BENCH_READ) == (ours->op == BENCH_READ) || peer->op == BENCH_SEND;
}

/* The part of the messages that was lost, 0 to 1 */
static double lost(const struct bench_case *c)
{
	const struct bench_tally *t = &c->tally;

	return t->sent > t->received ? 1 - (double)t->received / t->sent : 0;
}

static bool shows_loss(const struct bench_series *series, enum bench_test test)
{
	return series->transport->lossy && test == BENCH_RATE;
}

static void print_absolute_head(const struct bench_series *series,
				enum bench_test test)
{
	if (test == BENCH_RATE)
		printf("%8s %12s %9s", "size", "messages/s", "MB/s");
	else
		printf("%8s %9s", "size", "us");
	if (shows_loss(series, test))
		printf(" %8s", "lost");
}

static void print_absolute(const struct bench_case *c, enum bench_test test)
{
	double m = median(&c->samples[test]);
	char buf[32];

	printf("%8s", size_name(c->size, buf, sizeof(buf)));
	if (!m)
		printf(test == BENCH_RATE ? " %12s %9s" : " %9s", "-", "-");
	else if (test == BENCH_RATE)
		printf(" %12.0f %9.1f", m, m * c->size / 1e6);
	else
		printf(" %9.2f", m * 1e6);
	if (shows_loss(c->series, test))
		printf(" %7.3f%%", 100 * lost(c));
}

static void print_ratio(double ratio)
{
	if (ratio)
		printf(" %13.3g", ratio);
	else
		printf(" %13s", "-");
}

static bool has_samples(const struct bench_results *results, const struct bench_series *series,
			const struct bench_placement *placement, enum bench_test test)
{
	size_t i;

	for (i = 0; i < results->n; i++) {
		if (is_row(&results->cases[i], series, placement) &&
		    results->cases[i].samples[test].n)
			return true;
	}
	return false;
}

/* The series of a case: a row a size, a column for each peer of ours */
static void print_series(const struct bench_results *results, const struct bench_case *any,
			 enum bench_test test)
{
	static const char * const what[] = {
		[BENCH_RATE] = "one after the other", [BENCH_RTT] = "round trip",
	};
	const struct bench_placement *placement = any->placement;
	const struct bench_series *series = any->series;
	const struct bench_series *peer[64];
	size_t i, p, peers = 0;
	char name[32], place[16];

	if (!has_samples(results, series, placement, test))
		return;
	for (i = 0; i < results->n && series->transport->queue_pair && peers < 64; i++) {
		if (begins_series(results, i, placement) &&
		    results->cases[i].group == any->group &&
		    compares(series, results->cases[i].series) &&
		    has_samples(results, results->cases[i].series, placement, test))
			peer[peers++] = results->cases[i].series;
	}
	printf("\n%s %s, %s, processors %s%s\n", series_name(series, name, sizeof(name)),
	       bench_op_name[series->op], what[test],
	       bench_placement_name(placement, place, sizeof(place)),
	       peers ? "; how many times better than the peer:" : "");
	print_absolute_head(series, test);
	for (p = 0; p < peers; p++)
		printf(" %13s", series_name(peer[p], name, sizeof(name)));
	printf("\n");
	for (i = 0; i < results->n; i++) {
		const struct bench_case *c = &results->cases[i];

		if (!is_row(c, series, placement))
			continue;
		print_absolute(c, test);
		for (p = 0; p < peers; p++)
			print_ratio(advantage(median(&c->samples[test]),
					      median_of(results, peer[p], c->size, placement, test),
					      test));
		printf("\n");
	}
}

void bench_report(const struct bench_results *results, const struct bench_placement *placement)
{
	enum bench_test test;
	size_t i;

	for (test = 0; test < BENCH_TESTS; test++) {
		for (i = 0; i < results->n; i++) {
			if (begins_series(results, i, placement))
				print_series(results, &results->cases[i], test);
		}
	}
}

static void print_target(const struct bench_target *t, double ratio)
{
	printf("%-64s ", t->text);
	if (t->ratio)
		printf("%8.2f ", t->ratio);
	else
		printf("%8s ", "");
	if (ratio)
		printf("%8.2f", ratio);
	else
		printf("%8s", "-");
	if (t->ratio && ratio)
		printf("  %s", ratio < t->ratio ? "NOT REACHED" : "reached");
	printf("\n");
}

void bench_report_targets(const struct bench_results *results,
			  const struct bench_placement *placement)
{
	const struct bench_target *t;
	double ours, theirs;
	char place[16];

	printf("\nTargets, processors %s\n%-64s %8s %8s\n",
	       bench_placement_name(placement, place, sizeof(place)), "", "wanted", "measured");
	for (t = bench_targets; t->text; t++) {
		ours = median_of(results, &t->series, t->size, placement, t->test);
		theirs = median_of(results, &t->peer, t->size, placement, t->test);
		print_target(t, advantage(ours, theirs, t->test));
	}
}

/* One line a case, those of a series together: the plot draws them as a line */
int bench_write_csv(const struct bench_results *results, const char *path)
{
	FILE *f = fopen(path, "w");
	char place[16];
	size_t i;

	if (!f)
		return -errno;
	fprintf(f, "series,transport,op,batch,cpus,bytes,");
	fprintf(f, "messages_per_s,MB_per_s,round_trip_us,lost\n");
	for (i = 0; i < results->n; i++) {
		const struct bench_case *c = &results->cases[i];
		const struct bench_series *s = c->series;
		double rate = median(&c->samples[BENCH_RATE]), rtt = median(&c->samples[BENCH_RTT]);

		if (!rate && !rtt)
			continue;
		bench_placement_name(c->placement, place, sizeof(place));
		fprintf(f, "%s/%s/x%u@%s,%s,%s,%u,%s,%zu,", s->transport->name,
			bench_op_name[s->op], s->batch, place, s->transport->name,
			bench_op_name[s->op], s->batch, place, c->size);
		if (rate)
			fprintf(f, "%.1f,%.3f,", rate, rate * c->size / 1e6);
		else
			fprintf(f, ",,");
		if (rtt)
			fprintf(f, "%.3f", rtt * 1e6);
		fprintf(f, ",");
		if (rate && s->transport->lossy)
			fprintf(f, "%.6f", lost(c));
		fprintf(f, "\n");
	}
	return fclose(f) ? -errno : 0;
}
