// SPDX-License-Identifier: GPL-2.0
/*
 * Multicast groups of AF_IB sockets
 */
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "ib_fixture.h"

/* Does the host say that it belongs to the group, within a moment? */
static bool host_joined(DGRAM *self, enum qt_host host, __u8 n, bool want)
{
	char addr[32];

	if (!self->version) {
		snprintf(addr, sizeof(addr), "ff15:a01b::%x:9", n + 1);
		return qt_sm_member(IB_HOSTS, host, addr, want);
	}
	snprintf(addr, sizeof(addr), self->version == 4 ?
		 "239[.]1[.]%d[.]9\\b" : "ff0e::%x:9\\b", n + 1);
	return !qt_sh(IB_HOSTS, host,
		      "for i in $(seq 40); do "
		      "ip maddr show dev veth0 | grep -qE '%s'; "
		      "[ $? = %d ] && exit 0; sleep .05; done; exit 1",
		      addr, !want);
}

enum { A = 1, B = 2, C = 4 };

/* Send to the group, and see who got it and that it is said what came */
static int heard(DGRAM *self, const struct ib_end *from, __u8 n)
{
	struct ib_end *ends[] = { &self->a, &self->b, &self->c };
	struct sockaddr_ib group = ib_group(self->version, n);
	const struct ib_info *info;
	static struct ib_msg m;
	int who = 0;

	if (ib_sendto(from->fd, "hear", 4, 0, &group) != 4)
		return -1;
	for (int i = 0; i < 3; i++) {
		if (ends[i]->fd < 0 ||
		    !(qt_poll(ends[i]->fd, POLLIN, 4 * SHORT_MS) & POLLIN))
			continue;
		ib_set(ends[i]->fd, IB_RECVINFO, 1);
		if (ib_recvmsg(ends[i]->fd, &m, 0) != 4)
			return -1;
		info = ib_info(&m);
		if (!info || !(info->flags & IB_INFO_GRH) ||
		    memcmp(&info->dgid, &group.sib_addr, 16) ||
		    info->src_qpn != ib_get(from->fd, IB_QPN) ||
		    !ib_from_host(&m.from, &from->addr))
			return -1;
		who |= 1 << i;
	}
	return who;
}

TEST_F(dgram, multicast)
{
	int v = self->version;

	ASSERT_EQ(0, ib_bound(v, QT_SERVER, &self->c));
	EXPECT_TRUE(host_joined(self, QT_SERVER, 0, false));
	ASSERT_EQ(0, ib_join(&self->a, v, 0, 0)) {
		TH_LOG("%s", strerror(errno));
	}
	ASSERT_EQ(0, ib_join(&self->b, v, 0, 0));
	EXPECT_TRUE(host_joined(self, QT_CLIENT, 0, true));
	EXPECT_TRUE(host_joined(self, QT_SERVER, 0, true));

	/* who belongs to it hears it, among them oneself */
	EXPECT_EQ(A | B, heard(self, &self->a, 0));
	EXPECT_EQ(A | B, heard(self, &self->b, 0));
	ASSERT_EQ(0, ib_join(&self->c, v, 0, 0));
	EXPECT_EQ(A | B | C, heard(self, &self->a, 0));
	EXPECT_EQ(A | B | C, heard(self, &self->b, 0));
	ASSERT_EQ(0, ib_leave(&self->b, v, 0));
	EXPECT_EQ(A | C, heard(self, &self->a, 0));
	EXPECT_TRUE(host_joined(self, QT_SERVER, 0, true));
	ASSERT_EQ(0, ib_leave(&self->c, v, 0));
	EXPECT_TRUE(host_joined(self, QT_SERVER, 0, false));
	EXPECT_EQ(A, heard(self, &self->a, 0));

	/* also who goes without a word leaves */
	ASSERT_EQ(0, ib_join(&self->c, v, 0, 0));
	EXPECT_TRUE(host_joined(self, QT_SERVER, 0, true));
	ib_close(&self->c);
	EXPECT_TRUE(host_joined(self, QT_SERVER, 0, false));
	ASSERT_EQ(0, ib_leave(&self->a, v, 0));
	EXPECT_TRUE(host_joined(self, QT_CLIENT, 0, false));
	EXPECT_TRUE(ib_passes(&self->a, &self->b));
}

/* Those that share a service ID all hear the group */
TEST_F(dgram, multicast_shared)
{
	int v = self->version;

	ib_close(&self->b);
	self->b.addr = ib_addr(v, QT_SERVER, ib_port());
	self->c.addr = self->b.addr;
	self->b.fd = ib_socket(QT_SERVER);
	self->c.fd = ib_socket(QT_SERVER);
	ASSERT_EQ(0, ib_set_sol_socket(self->b.fd, SO_REUSEADDR, 1));
	ASSERT_EQ(0, ib_set_sol_socket(self->c.fd, SO_REUSEADDR, 1));
	ASSERT_EQ(0, ib_bind(self->b.fd, &self->b.addr));
	ASSERT_EQ(0, ib_bind(self->c.fd, &self->c.addr));
	ASSERT_EQ(0, ib_join(&self->a, v, 3, IB_MREQ_SENDONLY));
	ASSERT_EQ(0, ib_join(&self->b, v, 3, 0));
	ASSERT_EQ(0, ib_join(&self->c, v, 3, 0));
	EXPECT_EQ(B | C, heard(self, &self->a, 3));
	ASSERT_EQ(0, ib_leave(&self->c, v, 3));
	EXPECT_EQ(B, heard(self, &self->a, 3));
}

/* One's own messages, unless one does not want them: a matter of each group */
TEST_F(dgram, multicast_loop)
{
	int v = self->version;

	ASSERT_EQ(0, ib_bound(v, QT_CLIENT, &self->c));
	ASSERT_EQ(0, ib_set(self->a.fd, IB_MULTICAST_LOOP, 0));
	ASSERT_EQ(0, ib_join(&self->a, v, 1, 0));
	ASSERT_EQ(0, ib_join(&self->b, v, 1, 0));
	EXPECT_EQ(B, heard(self, &self->a, 1));
	/* another one's on the same host are not one's own */
	ASSERT_EQ(0, ib_join(&self->c, v, 1, 0));
	EXPECT_EQ(B | C, heard(self, &self->a, 1));
	EXPECT_EQ(A | B | C, heard(self, &self->c, 1));
	ASSERT_EQ(0, ib_set(self->a.fd, IB_MULTICAST_LOOP, 1));
	EXPECT_EQ(B | C, heard(self, &self->a, 1));
	ASSERT_EQ(0, ib_join(&self->a, v, 2, 0));
	EXPECT_EQ(A, heard(self, &self->a, 2));
	ASSERT_EQ(0, ib_leave(&self->a, v, 1));
	ASSERT_EQ(0, ib_join(&self->a, v, 1, 0));
	EXPECT_EQ(A | B | C, heard(self, &self->a, 1));
	/* what is not for a group is received anyway */
	ASSERT_EQ(0, ib_set(self->a.fd, IB_MULTICAST_LOOP, 0));
	EXPECT_TRUE(ib_passes(&self->a, &self->a));
}

/* Who only sends does not belong to it */
TEST_F(dgram, multicast_send_only)
{
	struct sockaddr_ib group = ib_group(self->version, 4);
	int v = self->version;
	char c[8];

	EXPECT_ERRNO(EHOSTUNREACH, ib_sendto(self->a.fd, "x", 1, 0, &group));
	ASSERT_EQ(0, ib_join(&self->a, v, 4, IB_MREQ_SENDONLY));
	ASSERT_EQ(0, ib_join(&self->b, v, 4, 0));
	EXPECT_EQ(B, heard(self, &self->a, 4));
	EXPECT_EQ(B, heard(self, &self->b, 4));
	EXPECT_TRUE(host_joined(self, QT_CLIENT, 4, false));
	ASSERT_EQ(0, ib_connect(self->a.fd, &group));
	ASSERT_EQ(3, send(self->a.fd, "all", 3, 0));
	EXPECT_EQ(3, recv(self->b.fd, c, 8, 0));
	ASSERT_EQ(0, ib_dissolve(self->a.fd));
	ASSERT_EQ(0, ib_leave(&self->a, v, 4));
	EXPECT_ERRNO(EHOSTUNREACH, ib_sendto(self->a.fd, "x", 1, 0, &group));
	EXPECT_ERRNO(EHOSTUNREACH, ib_sendto(self->a.fd, "x", 1, MSG_DONTWAIT,
					     &group));
}

/* Groups are sent to with a Q_Key as well */
TEST_F(dgram, multicast_qkey)
{
	int v = self->version;

	self->c.fd = ib_socket(QT_SERVER);
	self->c.addr = ib_addr(v, QT_SERVER, ib_port());
	ASSERT_EQ(0, ib_set(self->c.fd, IB_QKEY, 0x888));
	ASSERT_EQ(0, ib_bind(self->c.fd, &self->c.addr));
	ASSERT_EQ(0, ib_join(&self->a, v, 6, IB_MREQ_SENDONLY));
	ASSERT_EQ(0, ib_join(&self->b, v, 6, 0));
	ASSERT_EQ(0, ib_join(&self->c, v, 6, 0));
	EXPECT_EQ(B, heard(self, &self->a, 6));
	EXPECT_EQ(C, heard(self, &self->c, 6));
}

TEST_F(dgram, multicast_refused)
{
	struct sockaddr_ib nobody = self->a.addr;
	struct sockaddr_ib group = ib_group(self->version, 5);
	struct ib_mreq m = { .mgid = group.sib_addr, .ifindex = 4711 };
	const int add = IB_ADD_MEMBERSHIP, drop = IB_DROP_MEMBERSHIP;
	int fd = self->a.fd, v = self->version;
	const struct sockaddr_ib *own = &self->a.addr;

	nobody.sib_addr.sib_raw[15] = 77;
	EXPECT_ERRNO(EINVAL, ib_membership(fd, add, &self->b.addr, own, 0));
	EXPECT_ERRNO(EINVAL, ib_membership(fd, add, own, own, 0));
	EXPECT_ERRNO(EINVAL, ib_membership(fd, add, &group, own, 2));
	EXPECT_ERRNO(EINVAL, ib_membership(fd, add, &group, own, 1U << 31));
	EXPECT_ERRNO(EADDRNOTAVAIL, ib_membership(fd, add, &group, &nobody, 0));
	EXPECT_ERRNO(ENODEV, setsockopt(fd, SOL_IB, add, &m, sizeof(m)));
	EXPECT_ERRNO(EADDRNOTAVAIL, ib_leave(&self->a, v, 5));
	ASSERT_EQ(0, ib_join(&self->a, v, 5, 0));
	EXPECT_ERRNO(EADDRINUSE, ib_join(&self->a, v, 5, 0));
	EXPECT_ERRNO(EADDRINUSE, ib_join(&self->a, v, 5, IB_MREQ_SENDONLY));
	EXPECT_ERRNO(EADDRNOTAVAIL, ib_leave(&self->a, v, 6));
	EXPECT_ERRNO(EINVAL, ib_membership(fd, drop, &group, own, 2));
	ASSERT_EQ(0, ib_leave(&self->a, v, 5));
	EXPECT_ERRNO(EADDRNOTAVAIL, ib_leave(&self->a, v, 5));
	EXPECT_TRUE(ib_passes(&self->a, &self->b));
}

/* Which port: by its netdevice, or as routing says */
TEST(multicast_port)
{
	static const char route[] = "ip route add 239.0.0.0/8 dev veth0";

	ASSERT_EQ(0, ib_own_hosts());
	if (qt_sh(IB_HOSTS, QT_CLIENT, route))
		return;
	for IB_VERSIONS(version) {
		struct sockaddr_ib group = ib_group(version, 7);
		struct ib_mreq m = { .mgid = group.sib_addr };
		struct ib_end e, bound;
		char c[8];

		ASSERT_EQ(0, ib_bound(version, QT_SERVER, &e));
		ASSERT_EQ(0, ib_join(&e, version, 7, 0));
		/* Adapters of qpemu have no netdevice besides their cable */
		for (int by_index = 0; by_index < 1 + !!version; by_index++) {
			int fd = ib_socket(QT_CLIENT);

			m.ifindex = by_index ? ib_ifindex(QT_CLIENT, "veth0") :
					       0;
			ASSERT_EQ(0, setsockopt(fd, SOL_IB, IB_ADD_MEMBERSHIP,
						&m, sizeof(m))) {
				TH_LOG("IPv%d, netdevice %d: %s", version,
				       m.ifindex, strerror(errno));
			}
			/* it hears the group, and is heard */
			ASSERT_EQ(3, ib_sendto(fd, "abc", 3, 0, &group));
			EXPECT_EQ(3, recv(e.fd, c, 8, 0));
			EXPECT_EQ(3, recv(fd, c, 8, 0));
			ASSERT_EQ(4, ib_sendto(e.fd, "abcd", 4, 0, &group));
			EXPECT_EQ(4, recv(fd, c, 8, 0));
			EXPECT_EQ(4, recv(e.fd, c, 8, 0));
			ASSERT_EQ(0, setsockopt(fd, SOL_IB, IB_DROP_MEMBERSHIP,
						&m, sizeof(m)));
			ASSERT_EQ(1, ib_sendto(e.fd, "x", 1, 0, &group));
			EXPECT_TRUE(ib_silent(fd));
			EXPECT_EQ(1, recv(e.fd, c, 8, 0));
			close(fd);
		}
		/* one that is bound needs not say it again */
		ASSERT_EQ(0, ib_bound(version, QT_CLIENT, &bound));
		ASSERT_EQ(0, ib_membership(bound.fd, IB_ADD_MEMBERSHIP, &group,
					   NULL, 0));
		ASSERT_EQ(1, ib_sendto(e.fd, "x", 1, 0, &group));
		EXPECT_EQ(1, recv(bound.fd, c, 8, 0));
		ib_close(&bound);
		ib_close(&e);
	}
}

#ifdef QP_IB
/*
 * Who joins waits for the subnet manager, 3 s at least. Meanwhile the socket is there
 * for others: it takes options, and messages are sent to a group that it is in.
 */
TEST_F(dgram, multicast_unanswered)
{
	int v = self->version, status;
	__u64 start;
	pid_t joins;

	ASSERT_EQ(0, ib_join(&self->a, v, 5, 0));
	ASSERT_EQ(0, ib_join(&self->b, v, 5, 0));
	ASSERT_EQ(0, qt_sm_pause(IB_HOSTS, true));
	joins = fork();
	if (!joins)
		_exit(ib_join(&self->a, v, 6, 0) ? errno : 0);
	ASSERT_GT(joins, 0);
	usleep(300000);
	start = qt_now_ms();
	EXPECT_EQ(A | B, heard(self, &self->a, 5));
	EXPECT_GE(AT_ONCE_MS, qt_now_ms() - start);
	EXPECT_EQ(0, waitpid(joins, &status, WNOHANG));
	ASSERT_EQ(0, qt_sm_pause(IB_HOSTS, false));
	ASSERT_EQ(joins, waitpid(joins, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	/* A manager that has stood still may be too late for it */
	EXPECT_TRUE(!WEXITSTATUS(status) || WEXITSTATUS(status) == ETIMEDOUT) {
		TH_LOG("%s", strerror(WEXITSTATUS(status)));
	}
	if (!WEXITSTATUS(status))
		EXPECT_EQ(A, heard(self, &self->a, 6));
}
#endif

/* Many groups; they end with the socket */
TEST_F(dgram, multicast_many)
{
	for (int i = 0; i < 8; i++) {
		ASSERT_EQ(0, ib_join(&self->a, self->version, 20 + i, 0)) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
	}
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(A, heard(self, &self->a, 20 + i));
	EXPECT_TRUE(host_joined(self, QT_CLIENT, 20, true));
	EXPECT_TRUE(host_joined(self, QT_CLIENT, 27, true));
	ib_close(&self->a);
	EXPECT_TRUE(host_joined(self, QT_CLIENT, 20, false));
	EXPECT_TRUE(host_joined(self, QT_CLIENT, 27, false));
}

TEST_HARNESS_MAIN
