/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The benchmark's vocabulary.
 *
 * A transport moves messages between two processes. A series is a transport
 * doing one operation, a fixed number of messages a call. A case is a series
 * with one message size; it is measured once a round, and its medians over the
 * rounds are what is reported.
 */
#ifndef _QP_BENCH_H
#define _QP_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>
#include <sys/socket.h>
#include <linux/types.h>

#define BENCH_MAX_ROUNDS	99
#define BENCH_MAX_BATCH		1024
#define BENCH_MAX_SIZE		(64UL << 20)

enum bench_op {
	BENCH_SEND,
	BENCH_WRITE,
	BENCH_READ,
	BENCH_CAS,
	BENCH_ADD,
	BENCH_OPS,
};

#define BENCH_OP(op)	(1U << BENCH_##op)

extern const char * const bench_op_name[BENCH_OPS];

/* The far end has a part in a SEND only */
static inline bool bench_one_sided(enum bench_op op)
{
	return op != BENCH_SEND;
}

static inline bool bench_atomic(enum bench_op op)
{
	return op == BENCH_CAS || op == BENCH_ADD;
}

struct bench_transport;

struct bench_series {
	const struct bench_transport *transport;
	enum bench_op op;
	unsigned int batch;
};

/**
 * struct bench_end - one of the two processes of a measurement
 * @series: what is measured
 * @size: bytes of a message
 * @id: number of the measurement in this run, for addresses
 * @other_cpu: processor of the other end, or BENCH_ANY_CPU
 * @active: this end starts the messages; the other, passive end answers
 * @ctl: socket to the other end, idle while time is taken
 * @buf: the messages' memory, @size bytes, page-aligned
 * @total: messages moved so far
 * @in: descriptor to read from (sockets and pipes)
 * @out: descriptor to write to
 * @priv: the transport's own
 */
struct bench_end {
	const struct bench_series *series;
	size_t size;
	unsigned int id;
	int other_cpu;
	bool active;
	int ctl;
	unsigned char *buf;
	__u64 total;
	int in;
	int out;
	void *priv;
};

/**
 * struct bench_transport - a way to move messages between two processes
 * @name: as options and tables call it
 * @ops: BENCH_OP() of what it can do
 * @max_batch: most messages that one call of it takes
 * @queue_pair: it is ours; the others are peers to compare with
 * @network: its ends are on two hosts, see bench_net.c
 * @proto: the protocol of a queue pair
 * @pair: make what both ends inherit, before they fork; may be NULL
 * @open: prepare one end, in its own process; may be NULL
 * @send: active end: move @count messages, a multiple of the batch; NULL if it
 *	can lose them
 * @receive: passive end: take them; NULL if all operations are one-sided
 * @ping: active end: @count round trips; a one-sided operation's is the time
 *	from posting it alone to its completion
 * @pong: passive end of it
 *
 * All return 0 or a negative errno. From @pair and @open EMSGSIZE and
 * EOPNOTSUPP mean that this kernel cannot do it, which is no failure.
 */
struct bench_transport {
	const char *name;
	unsigned int ops;
	unsigned int max_batch;
	bool queue_pair;
	bool network;
	const struct bench_qp_proto *proto;
	int (*pair)(struct bench_end *end);
	int (*open)(struct bench_end *end);
	int (*send)(struct bench_end *end, __u64 count);
	int (*receive)(struct bench_end *end, __u64 count);
	int (*ping)(struct bench_end *end, __u64 count);
	int (*pong)(struct bench_end *end, __u64 count);
};

extern const struct bench_transport bench_qp_pipe, bench_qp_pipe_poll, bench_qp_pipe_uring;
extern const struct bench_transport bench_qp_roce, bench_qp_roce_poll, bench_qp_roce_thread;
extern const struct bench_transport bench_qp_iwarp;
extern const struct bench_transport bench_verbs, bench_verbs_events, bench_tcp, bench_udp;
extern const struct bench_transport bench_stream, bench_seqpacket, bench_pipe;
extern const struct bench_transport bench_vm_writev, bench_vm_readv, bench_memcpy;

/* Processors of the two ends; BENCH_ANY_CPU leaves it to the scheduler */
#define BENCH_ANY_CPU	(-1)

struct bench_placement {
	int active;
	int passive;
};

/* bench_qp.c: SENDs and WRITEs of up to this many bytes go inline */
extern unsigned int bench_inline;

bool bench_have_queue_pairs(void);

/* bench_net.c: the hosts, and who is on which */
int bench_net_make(void);
int bench_net_enter(bool active);
socklen_t bench_net_address(struct sockaddr_storage *addr, unsigned int id, bool active);

/* bench_uring.c: qp_enter() as a command of io_uring */
struct bench_uring;

struct bench_uring *bench_uring_open(void);
int bench_uring_enter(struct bench_uring *ring, int fd, unsigned int to_submit,
		      unsigned int min_complete);

/* bench_run.c: one measurement, in two new processes */
enum bench_test {
	BENCH_RATE,			/* messages a second, one after the other */
	BENCH_RTT,			/* seconds for one message and its answer */
	BENCH_TESTS,
};

#define BENCH_IMPOSSIBLE	1	/* the transport cannot do it here */

int bench_measure(const struct bench_series *series, size_t size, enum bench_test test,
		  const struct bench_placement *placement, double duration, double *value);

/* For transports: the control socket, out of the timed part */
int bench_tell(struct bench_end *end, const void *msg, size_t len);
int bench_hear(struct bench_end *end, void *msg, size_t len);
void *bench_alloc(size_t size);

/* bench_report.c: from samples to tables */
struct bench_samples {
	unsigned int n;
	double value[BENCH_MAX_ROUNDS];
};

struct bench_case {
	const struct bench_series *series;
	const struct bench_placement *placement;
	size_t size;
	struct bench_samples samples[BENCH_TESTS];
};

struct bench_results {
	struct bench_case *cases;
	size_t n;
};

/* A goal: this case, compared with that peer */
struct bench_target {
	const char *text;
	struct bench_series series;
	struct bench_series peer;
	size_t size;
	enum bench_test test;
	double ratio;			/* 0: only for information */
};

extern const struct bench_target bench_targets[];	/* ended by one without text */

bool bench_same_series(const struct bench_series *a, const struct bench_series *b);
void bench_report(const struct bench_results *results, const struct bench_placement *placement);
void bench_report_targets(const struct bench_results *results,
			  const struct bench_placement *placement);
int bench_write_csv(const struct bench_results *results, const char *path);
const char *bench_placement_name(const struct bench_placement *placement, char *buf, size_t len);

static inline double bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

#endif /* _QP_BENCH_H */
