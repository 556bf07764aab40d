// SPDX-License-Identifier: GPL-2.0
/*
 * Options of AF_IB sockets, and what comes with messages
 */
#include <time.h>
#include <linux/bpf.h>
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "kselftest_harness.h"
#include "ib_fixture.h"

/*
 * Options
 */

struct value {
	int opt;
	int val;
	int err;
};

/* Those marked "also as control message" come first */
#define CONTROL	16
static const struct value values[] = {
	{ IB_TCLASS, 0 },
	{ IB_TCLASS, 0xb8 },
	{ IB_TCLASS, 255 },
	{ IB_TCLASS, 256, EINVAL },
	{ IB_TCLASS, -1, EINVAL },
	{ IB_HOPLIMIT, 1 },
	{ IB_HOPLIMIT, 255 },
	{ IB_HOPLIMIT, 256, EINVAL },
	{ IB_HOPLIMIT, 0, EINVAL },
	{ IB_HOPLIMIT, -2, EINVAL },
	{ IB_HOPLIMIT, -1 },
	{ IB_SL, 0 },
	{ IB_SL, 15 },
	{ IB_SL, 16, EINVAL },
	{ IB_SL, -1, EINVAL },
	{ IB_QKEY, 0x80000000, EPERM },
	{ IB_QKEY, 0, EINVAL },
	{ IB_QKEY, 1 },
	{ IB_QKEY, 0x7fffffff },
	{ IB_QKEY, 0xffffffff, EPERM },
	{ IB_PKEY, 0 },
	{ IB_PKEY, 0xffff },
	{ IB_PKEY, 1, EINVAL },
#ifdef QP_IB
	{ IB_PKEY, QT_PKEY },
	{ IB_PKEY, 0x7fff },
	{ IB_PKEY, 0x8000, EINVAL },
#else
	{ IB_PKEY, 0x7fff, EINVAL },
#endif
	{ IB_PKEY, 0x8001, EINVAL },
	{ IB_PKEY, 0x10000, EINVAL },
	{ IB_PKEY, -1, EINVAL },
	{ IB_RECVINFO, 1 },
	{ IB_RECVINFO, 0 },
	{ IB_MULTICAST_LOOP, 0 },
	{ IB_MULTICAST_LOOP, 1 },
	{ IB_RECVERR, 1 },
	{ IB_RECVERR, 0 },
	{ IB_INFO, 1, ENOPROTOOPT },
	{ IB_QPN, 1, ENOPROTOOPT },
	{ IB_MTU, 1024, ENOPROTOOPT },
	{ 0, 1, ENOPROTOOPT },
	{ IB_KEEPIDLE, 1, ENOPROTOOPT },
	{ IB_PATH, 1, ENOPROTOOPT },
	{ 16, 1, ENOPROTOOPT },
	{ 77, 1, ENOPROTOOPT },
	{ -1, 1, ENOPROTOOPT },
};

TEST(option_values)
{
	int fd = ib_socket(QT_CLIENT);

	ASSERT_LE(0, fd);
	for (int i = 0; i < ARRAY_SIZE(values); i++) {
		const struct value *v = &values[i];
		int was = ib_get(fd, v->opt);

		if (v->err)
			EXPECT_ERRNO_AT(v->err, ib_set(fd, v->opt, v->val),
					"option %d: %d", v->opt, v->val);
		else
			EXPECT_EQ(0, ib_set(fd, v->opt, v->val)) {
				TH_LOG("option %d: %d: %s", v->opt, v->val,
				       strerror(errno));
			}
		EXPECT_EQ(v->err ? was : v->val, ib_get(fd, v->opt)) {
			TH_LOG("option %d: %d", v->opt, v->val);
		}
	}
	close(fd);
}

TEST(option_defaults)
{
	static const struct value defaults[] = {
		{ IB_QKEY, IB_DEFAULT_QKEY },
		{ IB_TCLASS, 0 },
		{ IB_HOPLIMIT, -1 },
		{ IB_SL, 0 },
		{ IB_RECVINFO, 0 },
		{ IB_QPN, 0 },
		{ IB_MULTICAST_LOOP, 1 },
		{ IB_RECVERR, 0 },
	};
	static const int none[] = {
		0, IB_INFO, IB_ADD_MEMBERSHIP, IB_DROP_MEMBERSHIP, IB_KEEPIDLE, 16, 77,
		-1
	};
	int fd = ib_socket(QT_CLIENT), pkey;

	ASSERT_LE(0, fd);
	for (int i = 0; i < ARRAY_SIZE(defaults); i++) {
		EXPECT_EQ(defaults[i].val, ib_get(fd, defaults[i].opt)) {
			TH_LOG("option %d", defaults[i].opt);
		}
	}
	pkey = ib_get(fd, IB_PKEY);
	EXPECT_TRUE(pkey == 0 || pkey == 0xffff);
	for (int i = 0; i < ARRAY_SIZE(none); i++) {
		EXPECT_ERRNO_AT(ENOPROTOOPT, ib_get(fd, none[i]),
				"option %d", none[i]);
	}
	close(fd);
}

TEST(option_lengths)
{
	static const int opts[] = {
		IB_QKEY, IB_TCLASS, IB_HOPLIMIT, IB_SL, IB_PKEY, IB_RECVINFO,
		IB_MULTICAST_LOOP, IB_RECVERR
	};
	int fd = ib_socket(QT_CLIENT), val[4] = { 1 };
	struct ib_mreq m = {};
	socklen_t len;

	ASSERT_LE(0, fd);
	for (int i = 0; i < ARRAY_SIZE(opts); i++) {
		int was = ib_get(fd, opts[i]);

		for (int n = 0; n < sizeof(int); n++) {
			EXPECT_ERRNO_AT(EINVAL, setsockopt(fd, SOL_IB, opts[i],
							   val, n),
					"option %d, length %d", opts[i], n);
		}
		EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_IB, opts[i], val, -1));
		EXPECT_ERRNO(EFAULT, setsockopt(fd, SOL_IB, opts[i], (void *)8,
						sizeof(int)));
		EXPECT_EQ(was, ib_get(fd, opts[i]));

		len = sizeof(val);
		EXPECT_EQ(0, getsockopt(fd, SOL_IB, opts[i], val, &len));
		EXPECT_EQ(sizeof(int), len);
		len = -1;
		EXPECT_ERRNO(EINVAL, getsockopt(fd, SOL_IB, opts[i], val,
						&len));
		len = sizeof(int);
		EXPECT_ERRNO(EFAULT, getsockopt(fd, SOL_IB, opts[i], (void *)8,
						&len));
		EXPECT_ERRNO(EFAULT, getsockopt(fd, SOL_IB, opts[i], val,
						(void *)8));
	}
	for (int n = 0; n < sizeof(m); n++) {
		EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_IB, IB_ADD_MEMBERSHIP,
						&m, n));
		EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_IB, IB_DROP_MEMBERSHIP,
						&m, n));
	}
	EXPECT_ERRNO(EFAULT, setsockopt(fd, SOL_IB, IB_ADD_MEMBERSHIP,
					(void *)8, sizeof(m)));
	/* other levels are other protocols' */
	EXPECT_ERRNO(ENOPROTOOPT, setsockopt(fd, IPPROTO_UDP, 1, val, 4));
	EXPECT_ERRNO(ENOPROTOOPT, setsockopt(fd, IPPROTO_IP, 1, val, 4));
	EXPECT_ERRNO(ENOPROTOOPT, setsockopt(fd, SOL_QP, 1, val, 4));
	len = sizeof(int);
	EXPECT_ERRNO(ENOPROTOOPT, getsockopt(fd, IPPROTO_IPV6, 1, val, &len));
	close(fd);
}

TEST_F(dgram, control_values)
{
	const struct sockaddr_ib *to = &self->b.addr;
	__u64 large = 1;
	char c[8];

	for (int i = 0; i < CONTROL; i++) {
		const struct value *v = &values[i];
		ssize_t n;

		n = ib_send_cmsg(self->a.fd, to, SOL_IB, v->opt, &v->val, 4);
		EXPECT_EQ(v->err, n < 0 ? errno : 0) {
			TH_LOG("option %d: %d", v->opt, v->val);
		}
		if (!v->err)
			ASSERT_EQ(4, recv(self->b.fd, c, 8, 0));
		if (v->opt == IB_QKEY)
			continue;
		/* for that message alone */
		EXPECT_EQ(v->opt == IB_HOPLIMIT ? -1 : 0,
			  ib_get(self->a.fd, v->opt));
		EXPECT_ERRNO(EINVAL, ib_send_cmsg(self->a.fd, to, SOL_IB,
						  v->opt, &v->val, 3));
		EXPECT_ERRNO(EINVAL, ib_send_cmsg(self->a.fd, to, SOL_IB,
						  v->opt, &large, 0));
	}
	for (int opt = 0; opt < 20; opt++)
		if (opt < IB_QKEY || opt > IB_SL)
			EXPECT_ERRNO_AT(EINVAL,
					ib_send_cmsg(self->a.fd, to, SOL_IB,
						     opt, &large, 4),
					"control message %d", opt);
	EXPECT_TRUE(ib_silent(self->b.fd));
	EXPECT_TRUE(ib_passes(&self->a, &self->b));
}

/* What comes with a message: as options or control messages of its say */
TEST_F(dgram, info)
{
	static const struct value sent[] = {
		{ IB_TCLASS, 0x48 }, { IB_HOPLIMIT, 7 }, { IB_SL, 3 },
	};
	const struct ib_info *info;
	static struct ib_msg m;

	ASSERT_EQ(1, ib_sendto(self->a.fd, "x", 1, 0, &self->b.addr));
	ASSERT_EQ(1, ib_recvmsg(self->b.fd, &m, 0));
	EXPECT_EQ(0, m.h.msg_controllen);
	ASSERT_EQ(0, ib_set(self->b.fd, IB_RECVINFO, 1));
	for (int i = 0; i < 3; i++) {
		for (int j = 0; i == 1 && j < ARRAY_SIZE(sent); j++) {
			ASSERT_EQ(0, ib_set(self->a.fd, sent[j].opt,
					    sent[j].val));
		}
		ASSERT_EQ(1, ib_sendto(self->a.fd, "x", 1, 0, &self->b.addr));
		ASSERT_EQ(1, ib_recvmsg(self->b.fd, &m, i == 2 ? MSG_PEEK : 0));
		EXPECT_EQ(0, m.h.msg_flags);
		EXPECT_EQ(CMSG_SPACE(sizeof(*info)), m.h.msg_controllen);
		info = ib_info(&m);
		ASSERT_NE(NULL, info);
		EXPECT_EQ(0, memcmp(&info->dgid, &self->b.addr.sib_addr, 16));
		EXPECT_EQ(ib_get(self->a.fd, IB_QPN), info->src_qpn);
		EXPECT_EQ(0, info->imm_data);
		EXPECT_EQ(IB_INFO_GRH, info->flags);
		EXPECT_EQ(i ? 0x48 : 0, info->tclass);
		EXPECT_TRUE(i ? info->hoplimit == 7 : info->hoplimit > 0);
		EXPECT_EQ(0, info->reserved);
	}
	ASSERT_EQ(1, recv(self->b.fd, m.data, 1, 0));

	/* of one message */
	ASSERT_EQ(4, ib_send_cmsg(self->a.fd, &self->b.addr, SOL_IB,
				  IB_TCLASS, &(int){ 0x28 }, 4));
	ASSERT_EQ(4, ib_send_cmsg(self->a.fd, &self->b.addr, SOL_IB,
				  IB_HOPLIMIT, &(int){ 99 }, 4));
	ASSERT_EQ(4, ib_recvmsg(self->b.fd, &m, 0));
	info = ib_info(&m);
	ASSERT_NE(NULL, info);
	EXPECT_EQ(0x28, info->tclass);
	EXPECT_EQ(7, info->hoplimit);
	ASSERT_EQ(4, ib_recvmsg(self->b.fd, &m, 0));
	info = ib_info(&m);
	ASSERT_NE(NULL, info);
	EXPECT_EQ(0x48, info->tclass);
	EXPECT_EQ(99, info->hoplimit);

	/* there is no room for it */
	ASSERT_EQ(1, ib_sendto(self->a.fd, "x", 1, 0, &self->b.addr));
	m.h.msg_control = m.ctl;
	m.h.msg_controllen = 4;
	ASSERT_EQ(1, recvmsg(self->b.fd, &m.h, 0));
	EXPECT_EQ(MSG_CTRUNC, m.h.msg_flags);
	ASSERT_EQ(0, ib_set(self->b.fd, IB_RECVINFO, 0));
	ASSERT_EQ(1, ib_sendto(self->a.fd, "x", 1, 0, &self->b.addr));
	ASSERT_EQ(1, ib_recvmsg(self->b.fd, &m, 0));
	EXPECT_EQ(0, m.h.msg_controllen);
}

/* Only who knows its Q_Key reaches a queue pair; a service ID tells it */
TEST_F(dgram, qkey)
{
	const int key = 0x777, def = IB_DEFAULT_QKEY;
	struct sockaddr_ib number, back;
	int fd, knows;
	char c[8];

	fd = ib_socket(QT_SERVER);
	knows = ib_socket(QT_CLIENT);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ib_set(fd, IB_QKEY, key));
	ASSERT_EQ(0, ib_set(knows, IB_QKEY, key));
	self->c.fd = fd;
	self->c.addr = ib_addr(self->version, QT_SERVER, ib_port());
	ASSERT_EQ(0, ib_bind(fd, &self->c.addr));
	EXPECT_EQ(key, ib_get(fd, IB_QKEY));
	number = ib_qpn_addr(&self->c.addr, ib_get(fd, IB_QPN));

	EXPECT_TRUE(ib_passes(&self->a, &self->c));
	ASSERT_EQ(1, ib_sendto(self->a.fd, "x", 1, 0, &number));
	EXPECT_TRUE(ib_silent(fd));
	ASSERT_EQ(4, ib_send_cmsg(self->a.fd, &number, SOL_IB, IB_QKEY, &key,
				  4));
	ASSERT_EQ(4, ib_recvfrom(fd, c, 8, 0, &back));
	EXPECT_TRUE(ib_passes_to(knows, &number, fd));

	/* answering is sending to a number, too */
	ASSERT_EQ(1, ib_sendto(fd, "x", 1, 0, &back));
	EXPECT_TRUE(ib_silent(self->a.fd));
	ASSERT_EQ(4, ib_send_cmsg(fd, &back, SOL_IB, IB_QKEY, &def, 4));
	EXPECT_EQ(4, recv(self->a.fd, c, 8, 0));
	EXPECT_TRUE(ib_passes_to(fd, &self->a.addr, self->a.fd));

	/* a connected one knows it as well */
	ASSERT_EQ(0, ib_connect(self->a.fd, &self->c.addr));
	EXPECT_TRUE(ib_passes_to(self->a.fd, NULL, fd));
	close(knows);
}

TEST_F(dgram, qkey_settled)
{
	int fds[3];

	for (int i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = ib_socket(QT_CLIENT);
	self->c.addr = ib_addr(self->version, QT_CLIENT, ib_port());
	ASSERT_EQ(0, ib_bind(fds[0], &self->c.addr));
	ASSERT_EQ(0, ib_connect(fds[1], &self->b.addr));
	EXPECT_TRUE(ib_passes_to(fds[2], &self->b.addr, self->b.fd));
	for (int i = 0; i < ARRAY_SIZE(fds); i++) {
		EXPECT_ERRNO(EISCONN, ib_set(fds[i], IB_QKEY, 5));
		EXPECT_EQ(IB_DEFAULT_QKEY, ib_get(fds[i], IB_QKEY));
		close(fds[i]);
	}
}

/* Options of the socket layer */

TEST_F(dgram, timestamps)
{
	const struct timeval *tv;
	const struct timespec *ts;
	static struct ib_msg m;
	time_t now = time(NULL);

	ASSERT_EQ(0, ib_set_sol_socket(self->b.fd, SO_TIMESTAMP, 1));
	ASSERT_EQ(1, ib_sendto(self->a.fd, "x", 1, 0, &self->b.addr));
	ASSERT_EQ(1, ib_recvmsg(self->b.fd, &m, 0));
	tv = ib_cmsg(&m, SOL_SOCKET, SCM_TIMESTAMP, sizeof(*tv));
	ASSERT_NE(NULL, tv);
	EXPECT_LE(now, tv->tv_sec);
	EXPECT_GE(now + 60, tv->tv_sec);
	ASSERT_EQ(0, ib_set_sol_socket(self->b.fd, SO_TIMESTAMPNS, 1));
	ASSERT_EQ(1, ib_sendto(self->a.fd, "x", 1, 0, &self->b.addr));
	ASSERT_EQ(1, ib_recvmsg(self->b.fd, &m, 0));
	ts = ib_cmsg(&m, SOL_SOCKET, SCM_TIMESTAMPNS, sizeof(*ts));
	ASSERT_NE(NULL, ts);
	EXPECT_LE(now, ts->tv_sec);
	EXPECT_GE(now + 60, ts->tv_sec);
}

/* The first byte of a message is how much of it the filter lets through */
static int attach_classic(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	struct sock_fprog prog = { ARRAY_SIZE(code), code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
			  sizeof(prog));
}

static int attach_bpf(int fd)
{
	struct bpf_insn code[] = {
		{ BPF_ALU64 | BPF_MOV | BPF_X, 6, 1 },
		{ BPF_LD | BPF_ABS | BPF_B },
		{ BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insn_cnt = ARRAY_SIZE(code),
		.insns = (unsigned long)code,
		.license = (unsigned long)"GPL",
	};
	int prog = syscall(__NR_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	int err;

	if (prog < 0)
		return -1;
	err = ib_set_sol_socket(fd, SO_ATTACH_BPF, prog);
	close(prog);
	return err;
}

TEST_F(dgram, filters)
{
	static int (*const attach[])(int) = { attach_classic, attach_bpf };
	unsigned char out[100] = "", in[200];

	for (int i = 0; i < ARRAY_SIZE(attach); i++) {
		ASSERT_EQ(0, attach[i](self->b.fd)) {
			TH_LOG("%s", strerror(errno));
		}
		for (int keep = 0; keep <= 200; keep += 20) {
			out[0] = keep;
			ASSERT_EQ(100, ib_sendto(self->a.fd, out, 100, 0,
						 &self->b.addr));
			if (!keep) {
				EXPECT_TRUE(ib_silent(self->b.fd));
				continue;
			}
			EXPECT_EQ(keep < 100 ? keep : 100,
				  recv(self->b.fd, in, 200, 0));
			EXPECT_EQ(keep, in[0]);
		}
		/* nothing to read the byte from: not let through */
		ASSERT_EQ(0, ib_sendto(self->a.fd, out, 0, 0, &self->b.addr));
		EXPECT_TRUE(ib_silent(self->b.fd));
		ASSERT_EQ(0, ib_set_sol_socket(self->b.fd, SO_DETACH_FILTER,
					       0));
		EXPECT_TRUE(ib_passes(&self->a, &self->b));
	}
}

/*
 * Errors that are asked for
 */

TEST_F(dgram, error_queue)
{
	struct sockaddr_ib gone = self->b.addr;
	const struct sock_extended_err *ee;
	static struct ib_msg m;

	gone.sib_sid = ib_sid(ib_port());
	EXPECT_ERRNO(EAGAIN, ib_recvmsg(self->a.fd, &m, MSG_ERRQUEUE));
	ASSERT_EQ(0, ib_set(self->a.fd, IB_RECVERR, 1));
	EXPECT_ERRNO(EAGAIN, ib_recvmsg(self->a.fd, &m, MSG_ERRQUEUE));
	ASSERT_EQ(5, ib_sendto(self->a.fd, "wrong", 5, MSG_DONTWAIT, &gone));
	ASSERT_EQ(POLLERR, POLLERR & qt_poll(self->a.fd, 0, IB_WAIT_MS));

	/* the message, where it should have gone, and why it did not */
	ASSERT_EQ(5, ib_recvmsg(self->a.fd, &m, MSG_ERRQUEUE)) {
		TH_LOG("%s", strerror(errno));
	}
	EXPECT_EQ(MSG_ERRQUEUE, m.h.msg_flags & MSG_ERRQUEUE);
	EXPECT_EQ(0, memcmp(m.data, "wrong", 5));
	EXPECT_TRUE(ib_same_gid(&gone, &m.from));
	EXPECT_EQ(gone.sib_sid, m.from.sib_sid);
	ee = ib_cmsg(&m, SOL_IB, IB_RECVERR, sizeof(*ee));
	ASSERT_NE(NULL, ee);
	EXPECT_EQ(ECONNREFUSED, ee->ee_errno);
	EXPECT_ERRNO(EAGAIN, ib_recvmsg(self->a.fd, &m, MSG_ERRQUEUE));
	ib_sol_socket(self->a.fd, SO_ERROR);
	EXPECT_TRUE(ib_passes(&self->a, &self->b));
	EXPECT_TRUE(ib_passes(&self->b, &self->a));
}

TEST_HARNESS_MAIN
