/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of queue pairs share */
#ifndef QP_TEST_H
#define QP_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <poll.h>
#include <sys/types.h>

#include "libqp.h"

/* Longest wait for something that must come, and for what must not, ms */
#define LONG_MS		20000
#define SHORT_MS	50

/* A test may take that long, s: a machine may be emulated, by a busy one */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	180

#define UID_NOBODY	65534

/* What a backend does that others do not, backend.flags */
enum {
	F_LOCAL		= 1 << 0,	/* unix(7): names, credentials, at once */
	F_ATOMIC	= 1 << 1,	/* atomic operations */
	F_IMM		= 1 << 2,	/* immediate data */
	F_RNR		= 1 << 3,	/* a message waits for a receive */
	F_WRITE_ACK	= 1 << 4,	/* a WRITE completes when it is in place */
	F_ZERO_BASED	= 1 << 5,	/* QP_ACCESS_ZERO_BASED, at any address */
	F_INV		= 1 << 6,	/* SEND_INV */
	F_RXE		= 1 << 7,	/* rxe: slow, with statuses of its own */
	F_DMABUF	= 1 << 8,	/* dma-bufs can be registered */
	F_IB		= 1 << 9,	/* InfiniBand: no IP, but a subnet manager */
};

/*
 * A way to connect two queue pairs. A test takes its backend from its variant:
 * a new protocol is one more backend, and one more variant of each fixture.
 *
 * On a network there are two hosts, a server and a client. Tests run on the
 * client, what they listen with and accept is the server's.
 */
struct backend {
	int domain;
	__u32 protocol;		/* that QP_PROTO reports */
	__u32 ask;		/* that is asked for, or QP_PROTO_ANY */
	unsigned int flags;
	__u32 max_sge;		/* entries of a list, and of a READ's */
	__u32 max_sge_rd;
	__u32 lossy_mib;	/* carried in some seconds by a lossy link */
	struct qt_hosts *hosts;	/* NULL: this process */
	/* make an address that nobody listens on; returns its length */
	socklen_t (*address)(struct sockaddr_storage *ss);
	/* the same to connect from */
	socklen_t (*source)(struct sockaddr_storage *ss);
	/* remove what a listener on it left behind */
	void (*forget)(const struct sockaddr_storage *ss);
};

/* Service IDs of GIDs are of the port space for datagrams */
extern bool qt_datagrams;

extern const struct backend be_pipe;		/* abstract names */
extern const struct backend be_pipe_path;	/* file system names */
extern const struct backend be_roce4, be_roce6;	/* qpemu, made on demand */
extern const struct backend be_gid4, be_gid6;	/* the same, called by GIDs */
extern const struct backend be_rxe4, be_rxe6;	/* rxe, made beforehand */
extern const struct backend be_siw4, be_siw6;	/* siw, made on demand */
extern const struct backend be_ib;		/* InfiniBand's own link layer */

/* Besides the default one, a partition that all ports of InfiniBand's are in */
#define QT_PKEY		0x8123

/*
 * The variants of a fixture. A program is compiled for one family of backends,
 * the pipe unless told otherwise; qp_net.c has what networks need.
 */
#if defined(QP_ROCE)
#define QT_FAMILY(add, ...)	add(roce4, ##__VA_ARGS__) add(roce6, ##__VA_ARGS__)
#elif defined(QP_GID)
#define QT_FAMILY(add, ...)	add(gid4, ##__VA_ARGS__) add(gid6, ##__VA_ARGS__)
#elif defined(QP_RXE)
#define QT_FAMILY(add, ...)	add(rxe4, ##__VA_ARGS__) add(rxe6, ##__VA_ARGS__)
#elif defined(QP_IB)
#define QT_FAMILY(add, ...)	add(ib, ##__VA_ARGS__)
#elif defined(QP_SIW)
#define QT_FAMILY(add, ...)	add(siw4, ##__VA_ARGS__) add(siw6, ##__VA_ARGS__)
#else
#define QP_LOCAL
#define QT_FAMILY(add, ...)	add(pipe, ##__VA_ARGS__)
#endif
#define QT_VARIANT(name, fixture)					\
	FIXTURE_VARIANT_ADD(fixture, name) { .be = &be_##name };
#define VARIANTS(fixture)	QT_FAMILY(QT_VARIANT, fixture)

/* A test of what the core does for all backends alike: the pipe's will do */
#ifdef QP_LOCAL
#define TEST_F_CORE(fixture, test)	TEST_F(fixture, test)
#else
#define TEST_F_CORE(fixture, test)					\
	static void __maybe_unused					\
	fixture##_##test(struct __test_metadata *_metadata,		\
			 FIXTURE_DATA(fixture)(*self),			\
			 const FIXTURE_VARIANT(fixture)(*variant))
#endif

/*
 * Hosts: two network namespaces of this process, joined by a veth pair. They
 * are made by qt_hosts(), which leaves the caller on the client, and are gone
 * with the processes that are in them. A thread that goes to another host takes
 * along what it makes there, not what it has.
 */
enum qt_host { QT_CLIENT, QT_SERVER };

int qt_hosts(struct qt_hosts *hosts);
int qt_enter(const struct qt_hosts *hosts, enum qt_host host);
/* What fn() returns on the server, wherever the caller is; 0 without hosts */
int qt_on_server(int (*fn)(void));
/* Run a command of the shell, as printf() makes it; its exit status, or -1 */
int qt_sh(const struct qt_hosts *hosts, enum qt_host host, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Are RDMA devices made as queue pairs need them? Add one if not. */
bool qt_on_demand(const struct qt_hosts *hosts);
int qt_device_add(const struct qt_hosts *hosts, enum qt_host host);
int qt_device_delete(const struct qt_hosts *hosts, enum qt_host host);
bool qt_has_device(const struct qt_hosts *hosts, enum qt_host host);
/* End the subnet manager of those with InfiniBand, and have another one */
int qt_sm_restart(struct qt_hosts *hosts);
int qt_sm_pause(const struct qt_hosts *hosts, bool pause);
/* Does it say, within a moment, that the host is, or is no, full member of a group? */
bool qt_sm_member(const struct qt_hosts *hosts, enum qt_host host, const char *mgid,
		  bool want);
/* What a device of rxe is called that this process adds */
void qt_rxe_name(enum qt_host host, char *name, size_t len);

/* Of an IP address: the port, and changing the last byte of the host */
__be16 *qt_port(struct sockaddr_storage *ss);
void qt_set_port(struct sockaddr_storage *ss, __be16 port);
/* Its IP address, also of a GID; returns AF_INET or AF_INET6 */
int qt_ip(const struct sockaddr_storage *ss, void *ip);
void qt_change_host(struct sockaddr_storage *ss, __u8 host);

/* As lq_open(), with the backend's domain and protocol, on client or server */
int qt_open(const struct backend *be, struct lq *q, unsigned int flags,
	    const struct qp_desc *desc);
int qt_open_server(const struct backend *be, struct lq *q, unsigned int flags,
		   const struct qp_desc *desc);

struct listener {
	struct lq q;
	const struct backend *be;
	struct sockaddr_storage addr;
	socklen_t len;
};

int qt_listen(const struct backend *be, struct listener *l, unsigned int flags,
	      __u32 backlog);
int qt_listen_at(const struct backend *be, struct lq *q, const void *addr,
		 socklen_t len, unsigned int flags, __u32 backlog);
void qt_unlisten(struct listener *l);

/* Two connected queue pairs, b accepted by the server */
int qt_pair(const struct backend *be, struct lq *a, struct lq *b,
	    unsigned int flags, const struct qp_desc *desc);

/*
 * Submit n requests. The pipe does its work in the call, so that what is posted
 * in a row has room; on a network this waits until there is.
 */
int qt_submit(const struct backend *be, struct lq *q, __u32 n);

/* Registered memory */
struct qt_buf {
	unsigned char *p;
	size_t len;
	struct qp_mem mem;
};

int qt_buf(struct qt_buf *b, int fd, size_t len, __u32 access);
void qt_unbuf(struct qt_buf *b);

/* The rkey of registered memory for the peer of fd; 0 if there is none */
__u32 qt_rkey(int fd, __u32 lkey);

/* Bytes that depend on position and seed, and where they first differ, or -1 */
void qt_fill(void *p, size_t len, __u32 seed);
ssize_t qt_differ(const void *p, size_t len, __u32 seed);
bool qt_all(const void *p, size_t len, unsigned char byte);

/* A send work request with at most one gather entry */
struct qt_wr {
	__u8 op;
	__u8 flags;
	__u64 id;
	const void *p;
	__u32 len;
	__u32 lkey;
	__u64 raddr;
	__u32 rkey;
	__u32 imm;
	__u64 compare_add;
	__u64 swap;
};

/*
 * Put a request into the ring, without or with submitting it. If the kernel
 * does not take it, qt_post() takes it back.
 */
int qt_queue(struct lq *q, const struct qt_wr *wr);
int qt_post(struct lq *q, const struct qt_wr *wr);
#define QUEUE(q, ...)	qt_queue(q, &(struct qt_wr){ __VA_ARGS__ })
#define POST(q, ...)	qt_post(q, &(struct qt_wr){ __VA_ARGS__ })

/* The same where what was posted before may be on its way, as on a network */
int qt_post_later(const struct backend *be, struct lq *q,
		  const struct qt_wr *wr);
#define POST_LATER(be, q, ...)						\
	qt_post_later(be, q, &(struct qt_wr){ __VA_ARGS__ })

/*
 * Take the next completion and check it; id, status and opcode are compared.
 * For use within a test.
 */
#define EXPECT_CQE(q, want_id, want_status, want_opcode) ({		\
	struct qp_cqe _cqe = { .status = QP_WC_GENERAL_ERR };		\
	ASSERT_EQ(0, lq_wait(q, &_cqe, LONG_MS)) {			\
		TH_LOG("no completion: %s", strerror(errno));		\
	}								\
	EXPECT_EQ(want_id, _cqe.user_data);				\
	EXPECT_EQ(want_status, _cqe.status);				\
	EXPECT_EQ(want_opcode, _cqe.opcode);				\
	EXPECT_EQ((q)->desc.qpn, _cqe.qpn);				\
	_cqe;								\
})

/*
 * An unsignalled request fails, and so does the connection. iWARP does not say
 * which request it was: what the peer refuses completes as flushed, or a WRITE
 * not at all, as TCP took it well.
 */
#define EXPECT_FAILURE(be, q, want_id, want_status, want_opcode) do {	\
	struct qp_cqe _fail;						\
									\
	if ((be)->flags & F_WRITE_ACK) {				\
		EXPECT_CQE(q, want_id, want_status, want_opcode);	\
		break;							\
	}								\
	EXPECT_EQ(POLLHUP, POLLHUP & qt_poll((q)->fd, 0, LONG_MS));	\
	while (lq_cq_peek(q)) {						\
		ASSERT_EQ(0, lq_wait(q, &_fail, 0));			\
		EXPECT_EQ(want_id, _fail.user_data);			\
		EXPECT_NE(QP_WC_SUCCESS, _fail.status);			\
	}								\
} while (0)

#define EXPECT_NO_CQE(q) do {						\
	struct qp_cqe _cqe;						\
	EXPECT_EQ(-1, lq_wait(q, &_cqe, SHORT_MS));			\
	EXPECT_EQ(ETIME, errno);					\
} while (0)

/* The call fails with this error; _AT says where in a table that was */
#define EXPECT_ERRNO(want, call)	EXPECT_ERRNO_AT(want, call, #call)
#define EXPECT_ERRNO_AT(want, call, fmt, ...) do {			\
	int _ret, _err;							\
									\
	errno = 0;							\
	_ret = (call);							\
	_err = errno;							\
	EXPECT_TRUE(_ret == -1 && _err == (want)) {			\
		TH_LOG(fmt ": %d %s, wanted %s", ##__VA_ARGS__, _ret,	\
		       strerror(_err), strerror(want));			\
	}								\
} while (0)

/* Poll events of fd now, or within timeout; 0 if none, -1 on error */
int qt_poll(int fd, short events, int timeout_ms);

/* In fork()ed children: exit status of pid, or 128 + signal, or -1 */
int qt_reap(pid_t pid);

/* A byte through a pipe, for children to be told that something was done */
void qt_signal(int pipefd[2]);
int qt_await(int pipefd[2]);

/* Give up root and its capabilities; only qt_pins() takes them back */
int qt_become_nobody(void);

/* Field of /proc/self/status in KiB, -1 if there is none */
long qt_status_kb(const char *field);
static inline long qt_pinned_kb(void)
{
	return qt_status_kb("VmPin");
}

/* Pages pinned in the whole system, by anybody; 0 if the kernel does not say */
long qt_pins(void);

/*
 * Lines of /proc/net/qp besides its heading, of both hosts together if this
 * program has some; -1 if there is no such file
 */
int qt_proc_lines(void);

/* A setting under /proc/sys; 0, or -1 */
int qt_sysctl_read(const char *name, long *val);
int qt_sysctl_write(const char *name, long val);

/* Does this kernel check itself (slow), and does it inject faults? */
bool qt_debug_kernel(void);

/* Seeded pseudo-random numbers (splitmix64) */
static inline __u64 qt_random(__u64 *state)
{
	__u64 z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

__u64 qt_now_ms(void);

/* A number from the environment, to make runs longer, shorter or repeatable */
__u64 qt_env(const char *name, __u64 fallback);

#endif /* QP_TEST_H */
