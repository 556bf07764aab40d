// SPDX-License-Identifier: GPL-2.0
/*
 * One measurement: two processes that open a transport, warm it up until the
 * speed is known, move as many messages as take the wanted time, and then
 * check that the bytes arrived.
 *
 * The clock starts when both ends are ready and stops when the later of the
 * two has finished, so that messages that are still under way count as time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

/* Exit statuses of the two processes */
enum { ENDED_WELL, ENDED_LEFT_ALONE, ENDED_BADLY, ENDED_IMPOSSIBLE };

#define WARM_UP_PART	10	/* warm up for this part of the duration, at least */
#define WARM_UP_GROWTH	4
#define GRACE_SECONDS	60	/* then an end that hangs is killed */

int bench_tell(struct bench_end *end, const void *msg, size_t len)
{
	return send(end->ctl, msg, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -EOWNERDEAD;
}

int bench_hear(struct bench_end *end, void *msg, size_t len)
{
	return recv(end->ctl, msg, len, 0) == (ssize_t)len ? 0 : -EOWNERDEAD;
}

void *bench_alloc(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static unsigned char pattern(size_t i)
{
	return i * 31 + (i >> 8) + 7;
}

/* The end that the data comes from: the active one, except for a READ */
static bool is_source(const struct bench_end *end)
{
	return end->active != (end->series->op == BENCH_READ);
}

static void fill(struct bench_end *end)
{
	size_t i;

	memset(end->buf, 0, end->size);
	if (bench_atomic(end->series->op) || !is_source(end))
		return;
	for (i = 0; i < end->size; i++)
		end->buf[i] = pattern(i);
}

/* An atomic leaves the number of operations in the passive end's memory */
static bool arrived(const struct bench_end *end)
{
	size_t i;

	if (bench_atomic(end->series->op))
		return end->active || *(__u64 *)end->buf == end->total;
	/* A memcpy() stays within its process */
	if (end->series->transport == &bench_memcpy)
		return !end->active || !memcmp(end->buf, end->priv, end->size);
	for (i = 0; i < end->size; i++) {
		if (!is_source(end) && end->buf[i] != pattern(i))
			return false;
	}
	return true;
}

/*
 * A process is born where it will run, so that whatever is made for it then is
 * on its processor too: its parent goes there before it forks.
 */
static void go_to(int cpu)
{
	cpu_set_t set;
	int i;

	CPU_ZERO(&set);
	for (i = 0; i < CPU_SETSIZE; i++) {
		if (cpu == BENCH_ANY_CPU || cpu == i)
			CPU_SET(i, &set);
	}
	if (sched_setaffinity(0, sizeof(set), &set))
		perror("sched_setaffinity");
}

/* An end that the other one left has nothing to say: that one knows why */
static void end_badly(const struct bench_end *end, const char *what, int err)
{
	if (err == -EOWNERDEAD)
		exit(ENDED_LEFT_ALONE);
	fprintf(stderr, "%s %s x%u, %zu bytes, %s end: %s: %s\n",
		end->series->transport->name, bench_op_name[end->series->op],
		end->series->batch, end->size, end->active ? "active" : "passive", what,
		err ? strerror(-err) : "wrong bytes");
	exit(ENDED_BADLY);
}

static bool is_impossible(int err)
{
	return err == -EMSGSIZE || err == -EOPNOTSUPP;
}

static void open_end(struct bench_end *end)
{
	const struct bench_transport *t = end->series->transport;
	int err;

	end->buf = bench_alloc(end->size);
	if (!end->buf)
		end_badly(end, "memory", -ENOMEM);
	fill(end);
	err = t->network ? bench_net_enter(end) : 0;
	if (err)
		end_badly(end, "host", err);
	err = t->open ? t->open(end) : 0;
	if (is_impossible(err))
		exit(ENDED_IMPOSSIBLE);
	if (err)
		end_badly(end, "open", err);
}

/* Both ends move @count messages; returns the seconds it took */
static double move(struct bench_end *end, enum bench_test test, __u64 count)
{
	const struct bench_transport *t = end->series->transport;
	double start, mine, theirs;
	bool ready;
	int err;

	err = bench_tell(end, &count, sizeof(count)) ?: bench_hear(end, &ready, sizeof(ready));
	if (err)
		end_badly(end, "control", err);
	start = bench_now();
	err = test == BENCH_RATE ? t->send(end, count) : t->ping(end, count);
	mine = bench_now();
	if (err)
		end_badly(end, "move", err);
	err = bench_hear(end, &theirs, sizeof(theirs));
	if (err)
		end_badly(end, "control", err);
	end->total += count;
	return (theirs > mine ? theirs : mine) - start;
}

static double time_active(struct bench_end *end, enum bench_test test, double duration)
{
	__u64 unit = test == BENCH_RATE ? end->series->batch : 1;
	__u64 count = unit, stop = 0;
	double seconds;

	open_end(end);
	while ((seconds = move(end, test, count)) < duration / WARM_UP_PART)
		count *= WARM_UP_GROWTH;
	count = count / unit * duration / seconds;
	count = (count ?: 1) * unit;
	seconds = move(end, test, count);
	bench_tell(end, &stop, sizeof(stop));
	if (!arrived(end))
		end_badly(end, "check", 0);
	return test == BENCH_RATE ? count / seconds : seconds / count;
}

static void serve_passive(struct bench_end *end, enum bench_test test)
{
	const struct bench_transport *t = end->series->transport;
	bool ready = true;
	__u64 count;
	double done;
	int err;

	open_end(end);
	for (;;) {
		err = bench_hear(end, &count, sizeof(count));
		if (err)
			end_badly(end, "control", err);
		if (!count)
			break;
		bench_tell(end, &ready, sizeof(ready));
		if (!bench_one_sided(end->series->op))
			err = test == BENCH_RATE ? t->receive(end, count) : t->pong(end, count);
		if (err)
			end_badly(end, "move", err);
		done = bench_now();
		end->total += count;
		bench_tell(end, &done, sizeof(done));
	}
	if (!arrived(end))
		end_badly(end, "check", 0);
}

static int status_of(int wait_status)
{
	if (WIFEXITED(wait_status))
		return WEXITSTATUS(wait_status);
	fprintf(stderr, "a process of the benchmark: %s\n", strsignal(WTERMSIG(wait_status)));
	return ENDED_BADLY;
}

/* Both end; the graver of the two statuses counts */
static int wait_both(const pid_t pid[2])
{
	int status, first, second;
	pid_t who;

	who = wait(&status);
	first = status_of(status);
	if (first > ENDED_LEFT_ALONE) {
		/* The other may be inside a call that never ends */
		kill(who == pid[0] ? pid[1] : pid[0], SIGKILL);
		wait(NULL);
		return first;
	}
	wait(&status);
	second = status_of(status);
	return second > first ? second : first;
}

static void close_pair(const struct bench_end *end)
{
	int i;

	for (i = 0; i < 2; i++) {
		close(end[i].ctl);
		if (end[i].in >= 0)
			close(end[i].in);
		if (end[i].out >= 0 && end[i].out != end[i].in)
			close(end[i].out);
	}
}

/* What the two processes leave to their parent */
struct shared {
	double value;
	struct bench_tally tally;
};

/*
 * Measures into @value, and adds to @tally: 0, BENCH_IMPOSSIBLE, or a negative
 * errno
 */
int bench_measure(const struct bench_series *series, size_t size, enum bench_test test,
		  const struct bench_placement *placement, double duration, double *value,
		  struct bench_tally *tally)
{
	static unsigned int id;
	struct bench_end end[2];
	int ctl[2], i, ended;
	struct shared *shared;
	pid_t pid[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ctl))
		return -errno;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -errno;
	id++;
	for (i = 0; i < 2; i++)
		end[i] = (struct bench_end) {
			.series = series, .size = size, .id = id, .active = !i,
			.other_cpu = i ? placement->active : placement->passive,
			.ctl = ctl[i], .in = -1, .out = -1, .tally = &shared->tally,
		};
	ended = series->transport->pair ? series->transport->pair(end) : 0;
	if (ended) {
		close_pair(end);
		munmap(shared, sizeof(*shared));
		return is_impossible(ended) ? BENCH_IMPOSSIBLE : ended;
	}
	fflush(NULL);
	for (i = 0; i < 2; i++) {
		go_to(i ? placement->passive : placement->active);
		pid[i] = fork();
		if (pid[i] < 0)
			return -errno;
		if (pid[i])
			continue;
		alarm(2 * duration + GRACE_SECONDS);
		close(end[!i].ctl);
		if (i)
			serve_passive(&end[i], test);
		else
			shared->value = time_active(&end[i], test, duration);
		exit(ENDED_WELL);
	}
	close_pair(end);
	ended = wait_both(pid);
	*value = shared->value;
	tally->sent += shared->tally.sent;
	tally->received += shared->tally.received;
	munmap(shared, sizeof(*shared));
	if (ended == ENDED_IMPOSSIBLE)
		return BENCH_IMPOSSIBLE;
	return ended == ENDED_WELL ? 0 : -EIO;
}
