/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two processes, each in a network namespace with an RDMA device, and a stream
 * socket between them that no network disturbs.
 */
#ifndef PAIR_H
#define PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <infiniband/verbs.h>

struct rdma_cm_id;

#ifndef __printf
#define __printf(a, b)	__attribute__((__format__(__printf__, a, b)))
#endif

/* One of the two processes, and what it has opened */
struct end {
	int side;			/* 0 or 1 */
	int peer;			/* the socket to the other process */
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_port_attr port;
	union ibv_gid gid;
	int gid_index;
	struct rdma_cm_id *id;		/* with pair_options.cm: its one connection */
};

/* What one end tells the other about a queue pair and its memory */
struct address {
	union ibv_gid gid;
	uint16_t lid;			/* of a port of InfiniBand */
	uint32_t qpn;
	uint32_t psn;
	uint32_t rkey;
	uint64_t addr;
};

/* A buffer that starts at a page, and its registration */
struct buffer {
	unsigned char *p;
	size_t len;
	struct ibv_mr *mr;
};

/* How devices are opened and queue pairs connected; to be set before */
extern struct pair_options {
	bool ipv6;
	bool roce_v1;
	bool cm;			/* connect by rdma_cm, as iWARP needs it */
	bool grh;			/* on InfiniBand, too: by GID, not by LID alone */
	uint16_t pkey[2];		/* of each side; 0: the first of its table */
	int mtu;			/* path MTU in bytes; 0: the port's */
	int timeout;			/* Local Ack Timeout, as the standard encodes it */
	int seconds;			/* until both processes are killed; 0: never */
	bool serves;			/* side 1 does, until side 0 ends */
	bool apart;			/* each side on a processor of its own */
} pair_options;

/*
 * Run fn in two processes, whose ends are named NAMESPACE/DEVICE, or just DEVICE.
 * Its result is the process's exit status. Returns the greater of the two.
 */
int pair_run(char *const names[2], int (*fn)(struct end *e));

/* What it does in each: open the device, any one if dev is NULL, and its first port */
void pair_open(struct end *e, const char *dev);

/* Whether that option is one of these, and then takes it */
bool pair_option(int opt, const char *arg);
#define PAIR_OPTIONS "61cGk:m:t:T:"
#define PAIR_USAGE \
	"  -6       IPv6 addresses\n" \
	"  -1       RoCEv1\n" \
	"  -c       connect by rdma_cm\n" \
	"  -G       InfiniBand: packets have GIDs beside the LIDs\n" \
	"  -k P[:P] P_Key, or that of each end\n" \
	"  -m MTU   path MTU in bytes\n" \
	"  -t N     Local Ack Timeout of 4.096 us * 2^N\n" \
	"  -T S     give up after S seconds\n"

/* Message, errno if it is set, and exit(1) */
__attribute__((__noreturn__)) __printf(1, 2) void die(const char *format, ...);

double now(void);

/* Send len bytes to the other process, and receive as many of it; or one way only */
void exchange(struct end *e, const void *mine, void *theirs, size_t len);
void tell(struct end *e, const void *p, size_t len);
void hear(struct end *e, void *p, size_t len);
void barrier(struct end *e);

struct buffer buffer_make(struct ibv_pd *pd, size_t len, int access);
void buffer_free(struct buffer *b);

/* Bytes that depend on a seed; the offset of the first one that differs, or -1 */
void fill(void *p, size_t len, uint64_t seed);
ssize_t differs(const void *p, size_t len, uint64_t seed);

/* Q_Key of queue pairs for datagrams */
#define PAIR_QKEY	0x11111111

/* What a queue pair has room for */
struct qp_size {
	enum ibv_qp_type type;
	int send;
	int recv;
	int sge;
	int inline_data;
};

/* A queue pair in state INIT */
struct ibv_qp *qp_make(struct end *e, struct ibv_cq *scq, struct ibv_cq *rcq,
		       const struct qp_size *size);
void qp_connect(struct end *e, struct ibv_qp *qp, uint32_t psn, const struct address *to);

/* What the other end is to know of a queue pair, but for memory; and how to get there */
struct address qp_address(const struct end *e, const struct ibv_qp *qp, uint32_t psn);
struct ibv_ah_attr way_to(const struct end *e, const struct address *to);

/* Exchange addresses, then connect. mem may be NULL */
void qp_pair(struct end *e, struct ibv_qp *qp, const struct buffer *mem,
	     struct address *mine, struct address *theirs);

void post(struct ibv_qp *qp, struct ibv_send_wr *wr);
void post_to(struct ibv_qp *qp, struct ibv_recv_wr *wr);

/* Wait for up to n completions, polling; returns how many there are */
int reap(struct ibv_cq *cq, struct ibv_wc *wc, int n);

#endif /* PAIR_H */
