/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of queue pairs share */
#ifndef QP_TEST_H
#define QP_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "libqp.h"

/* Longest wait for something that must come, and for what must not, ms */
#define LONG_MS		20000
#define SHORT_MS	50

/* A test may take that long, s: a machine may be emulated, by a busy one */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	180

#define UID_NOBODY	65534

/*
 * A way to connect two queue pairs. A test takes its backend from its variant:
 * a new protocol is one more backend, and one more variant of each fixture.
 */
struct backend {
	int domain;
	__u32 protocol;
	/* make an address that nobody listens on; returns its length */
	socklen_t (*address)(struct sockaddr_storage *ss);
	/* remove what a listener on it left behind */
	void (*forget)(const struct sockaddr_storage *ss);
};

extern const struct backend be_pipe;		/* abstract names */
extern const struct backend be_pipe_path;	/* file system names */

struct listener {
	struct lq q;
	const struct backend *be;
	struct sockaddr_storage addr;
	socklen_t len;
};

int qt_listen(const struct backend *be, struct listener *l, unsigned int flags,
	      __u32 backlog);
void qt_unlisten(struct listener *l);

/* Two connected queue pairs */
int qt_pair(const struct backend *be, struct lq *a, struct lq *b,
	    unsigned int flags, const struct qp_desc *desc);

/* Registered memory */
struct qt_buf {
	unsigned char *p;
	size_t len;
	struct qp_mem mem;
};

int qt_buf(struct qt_buf *b, int fd, size_t len, __u32 access);
void qt_unbuf(struct qt_buf *b);

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

/* Lines of /proc/net/qp besides its heading, -1 if there is no such file */
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
