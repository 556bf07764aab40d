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
struct bench_group;

/* Of a transport that can lose messages, all that its ends sent and received */
struct bench_tally {
	__u64 sent;
	__u64 received;
};

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
 * @ctl: socket to the other end, idle while time is taken but for what the
 *	transport itself tells and hears
 * @buf: the messages' memory, @size bytes, page-aligned
 * @total: messages moved so far
 * @tally: memory that both ends share, for transports that can lose messages
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
	struct bench_tally *tally;
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
 * @rxe: these hosts are others, which have devices of rxe
 * @lossy: it can lose messages, and counts them in the end's tally
 * @proto: the protocol of a queue pair
 * @pair: make what both ends inherit, before they fork; may be NULL
 * @open: prepare one end, in its own process; may be NULL
 * @send: active end: move @count messages, a multiple of the batch, and those
 *	that are lost besides; NULL if there is no way to know of these
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
	bool rxe;
	bool lossy;
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
extern const struct bench_transport bench_rxe, bench_rxe_events;
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
int bench_net_make(bool rxe);
int bench_net_enter(const struct bench_end *end);
const char *bench_net_device(const struct bench_end *end);
socklen_t bench_net_address(struct sockaddr_storage *addr, unsigned int id, bool active);

/* bench_sock.c: what sockets with connections have in common */
typedef socklen_t bench_address_fn(struct sockaddr_storage *addr, unsigned int id, bool active);

int bench_sock_connect(struct bench_end *end, int type, bench_address_fn *address);
int bench_sock_send(struct bench_end *end, __u64 count);
int bench_sock_receive(struct bench_end *end, __u64 count);
int bench_sock_ping(struct bench_end *end, __u64 count);
int bench_sock_pong(struct bench_end *end, __u64 count);

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
		  const struct bench_placement *placement, double duration, double *value,
		  struct bench_tally *tally);

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
	const struct bench_group *group;
	const struct bench_series *series;
	const struct bench_placement *placement;
	size_t size;
	struct bench_samples samples[BENCH_TESTS];
	struct bench_tally tally;
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

#define SERIES(t, o, b)	{ .transport = &bench_##t, .op = BENCH_##o, .batch = (b) }

/* The program's own; ended by one without text */
extern const struct bench_target bench_targets[];

bool bench_same_series(const struct bench_series *a, const struct bench_series *b);
void bench_report(const struct bench_results *results, const struct bench_placement *placement);
void bench_report_targets(const struct bench_results *results,
			  const struct bench_placement *placement);
int bench_write_csv(const struct bench_results *results, const char *path);
const char *bench_placement_name(const struct bench_placement *placement, char *buf, size_t len);

/**
 * struct bench_group - transports that are compared with each other
 * @name: what it is called
 * @transports: ours and their peers, NULL after the last
 * @sizes: of messages, if no option says others
 * @batches: messages a call, likewise
 */
struct bench_group {
	const char *name;
	const struct bench_transport * const *transports;
	const char *sizes;
	const char *batches;
};

/**
 * struct bench_program - what one program measures; bench_main.c does the rest
 * @name: its name
 * @what: what it measures, in a line
 * @groups: what it measures, ended by one without transports; these are 32 at
 *	most, each in one group
 * @transports_usage: their names, and what they are
 * @is_possible: has this kernel what the transport needs?
 * @impossible: a line to say if it has not
 */
struct bench_program {
	const char *name;
	const char *what;
	const struct bench_group *groups;
	const char *transports_usage;
	bool (*is_possible)(const struct bench_transport *t);
	const char *impossible;
};

extern const struct bench_program bench_program;

static inline double bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

#endif /* _QP_BENCH_H */
