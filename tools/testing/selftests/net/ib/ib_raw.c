// SPDX-License-Identifier: GPL-2.0
/*
 * Packets: SOCK_RAW. What is sent and received begins with the BTH; the devices and
 * a program that shares no code with the kernel see whether the rest is right.
 */
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "ib_fixture.h"

/* Opcodes: UD SEND_ONLY; one that no queue pair of datagrams knows */
#define UD_SEND		0x64
#define RC_SEND		0x04

struct packet {
	__u8 opcode;
	__u8 flags;
	__be16 pkey;
	__be32 qpn;
	__be32 psn;
	/* of datagrams */
	__be32 qkey;
	__be32 src_qpn;
	char data[MTU];
} __attribute__((packed));

#define BTH	offsetof(struct packet, qkey)
#define DETH	offsetof(struct packet, data)

/* A packet for a queue pair: what is behind the BTH are qt_fill()'s bytes */
static size_t make(struct packet *p, __u8 opcode, __u32 qpn, size_t len, __u32 seed)
{
	memset(p, 0, sizeof(*p));
	p->opcode = opcode;
	p->pkey = htons(0xffff);
	p->qpn = htonl(qpn);
	p->psn = htonl(seed & 0xffffff);
	qt_fill((char *)p + BTH, len - BTH, seed);
	return len;
}

/* The same as a datagram, for whose data there is padding */
static size_t datagram(struct packet *p, __u32 qpn, const void *data, size_t len)
{
	size_t pad = -len & 3;

	make(p, UD_SEND, qpn, DETH, 0);
	p->flags = pad << 4;
	p->qkey = htonl(IB_DEFAULT_QKEY);
	p->src_qpn = htonl(0x654321);
	memcpy(p->data, data, len);
	return DETH + len + pad;
}

static int raw_at(enum qt_host host, const struct sockaddr_ib *addr, __u32 qpn)
{
	struct sockaddr_ib own = *addr;
	int fd = ib_open(host, SOCK_RAW);

	own.sib_sid = qpn ? htobe64(IB_SID_QPN | qpn) : 0;
	own.sib_sid_mask = 0;
	if (fd >= 0 && !ib_bind(fd, &own))
		return fd;
	close(fd);
	return -1;
}

/* The next packet that is no management datagram: a port of InfiniBand has those, too */
static ssize_t hear(int fd, struct packet *p, struct sockaddr_ib *from)
{
	ssize_t n;

	do {
		memset(p, 0, sizeof(*p));
		n = ib_recvfrom(fd, p, sizeof(*p), 0, from);
	} while (n >= (ssize_t)BTH && ntohl(p->qpn) < 2);
	return n;
}

/* Nothing else comes */
static bool quiet(int fd)
{
	struct packet p;

	while (!ib_silent(fd))
		if (recv(fd, &p, sizeof(p), MSG_DONTWAIT) >= (ssize_t)BTH &&
		    ntohl(p.qpn) >= 2)
			return false;
	return true;
}

/* Who may have one: root, and who is root in a user namespace of the network's */
TEST(privileged)
{
	static const char *const who[] = { "root", "nobody", "root of its own" };

	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();
		int fd;

		ASSERT_LE(0, pid);
		if (!pid) {
			if (i && qt_become_nobody())
				_exit(254);
			if (i == 2 && unshare(CLONE_NEWUSER | CLONE_NEWNET))
				_exit(253);
			fd = socket(AF_IB, SOCK_RAW, 0);
			_exit(fd < 0 ? errno : 0);
		}
		EXPECT_EQ(i == 1 ? EPERM : 0, qt_reap(pid)) {
			TH_LOG("%s", who[i]);
		}
	}
	EXPECT_ERRNO(EPROTONOSUPPORT, socket(AF_IB, SOCK_RAW, 17));
}

TEST_F(dgram, raw_names)
{
	static const struct {
		const char *gid;
		__u64 sid;
		int bind, connect;
	} cases[] = {
		{ "::ffff:10.9.0.1", 0, EADDRNOTAVAIL, 0 },
		{ "::ffff:10.9.0.77", 0, EADDRNOTAVAIL, 0 },
		{ "fd09::1", 0, EADDRNOTAVAIL, 0 },
		{ "::", 0, 0, EADDRNOTAVAIL },
		{ NULL, IB_SID_QPN | 7, 0, 0 },
		{ NULL, IB_SID_QPN | 1, 0, 0 },
		{ NULL, IB_UDP_SPACE | 4000, EADDRNOTAVAIL, EADDRNOTAVAIL },
		{ NULL, 1, EADDRNOTAVAIL, EADDRNOTAVAIL },
	};
	struct sockaddr_ib addr, name;
	int fd, err;

	for (int i = 0; i < ARRAY_SIZE(cases); i++) {
		addr = cases[i].gid ? ib_text_addr(cases[i].gid, 0) : self->a.addr;
		addr.sib_sid = htobe64(cases[i].sid);
		fd = ib_open(QT_CLIENT, SOCK_RAW);
		err = ib_bind(fd, &addr) ? errno : 0;
		EXPECT_EQ(cases[i].bind, err) {
			TH_LOG("bind %d", i);
		}
		if (!cases[i].bind) {
			EXPECT_ERRNO(EINVAL, ib_bind(fd, &addr));
			EXPECT_EQ(0, ib_getsockname(fd, &name));
			EXPECT_TRUE(ib_same_gid(&addr, &name));
			EXPECT_EQ(cases[i].sid, ib_sid_of(&name));
		}
		err = ib_connect(fd, &addr) ? errno : 0;
		EXPECT_EQ(cases[i].connect, err) {
			TH_LOG("connect %d", i);
		}
		EXPECT_EQ(cases[i].connect ? -1 : 0, ib_getpeername(fd, &name));
		close(fd);
	}
	fd = ib_open(QT_CLIENT, SOCK_RAW);
	EXPECT_ERRNO(EOPNOTSUPP, listen(fd, 1));
	EXPECT_ERRNO(EOPNOTSUPP, accept(fd, NULL, NULL));
	EXPECT_EQ(SOCK_RAW, ib_sol_socket(fd, SO_TYPE));
	close(fd);
}

TEST_F(dgram, raw_wrong)
{
	/* what is too long for Ethernet; and where the MTU is 1024, and for any */
	static const size_t long_ones[] = { 1476, 1100, 4164 };
	struct sockaddr_ib to = self->b.addr, none = ib_any(0);
	static struct packet p[4];
	int fd = raw_at(QT_CLIENT, &self->a.addr, 0);

	ASSERT_LE(0, fd);
	make(p, RC_SEND, 5, sizeof(*p), 1);
	EXPECT_ERRNO(EDESTADDRREQ, send(fd, &p, 12, 0));
	for (int len = 0; len < 20; len++) {
		if (len != 12 && len != 16)
			EXPECT_ERRNO_AT(EINVAL, ib_sendto(fd, &p, len, 0, &to),
					"length %d", len);
	}
	for (int i = !self->version; i < (self->version ? 1 : 3); i++)
		EXPECT_ERRNO_AT(EMSGSIZE, ib_sendto(fd, &p, long_ones[i], 0, &to),
				"length %zu", long_ones[i]);
	if (!self->version)
		EXPECT_EQ(1096, ib_sendto(fd, &p, 1096, 0, &to));
	EXPECT_ERRNO(EINVAL, ib_sendto(fd, &p, 12, 0, &none));
	EXPECT_ERRNO(EOPNOTSUPP, ib_sendto(fd, &p, 12, MSG_OOB, &to));
	EXPECT_ERRNO(EFAULT, ib_sendto(fd, (void *)8, 12, 0, &to));
	to = ib_addr(self->version == 4 ? 6 : 4, QT_SERVER, 0);
	EXPECT_ERRNO(EINVAL, ib_sendto(fd, &p, 12, 0, &to));
	to = ib_text_addr("::ffff:10.77.0.1", 0);
	close(fd);
	fd = ib_open(QT_CLIENT, SOCK_RAW);
	EXPECT_ERRNO(ENETUNREACH, ib_sendto(fd, &p, 12, 0, &to));
	EXPECT_EQ(12, ib_sendto(fd, &p, 12, 0, &self->b.addr));
	close(fd);
}

/* Of any length, to who is bound to the number; and to who is bound to none */
TEST_F(dgram, raw_packets)
{
	static struct packet out, in;
	struct sockaddr_ib from, host, server;
	int tx, rx[3];

	host = ib_addr(self->version, QT_CLIENT, 0);
	server = ib_addr(self->version, QT_SERVER, 0);
	tx = raw_at(QT_CLIENT, &self->a.addr, 0);
	rx[0] = raw_at(QT_SERVER, &self->b.addr, 0xabcdef);
	rx[1] = raw_at(QT_SERVER, &self->b.addr, 0xabcdee);
	rx[2] = ib_open(QT_SERVER, SOCK_RAW);
	ASSERT_LE(0, tx);
	for (int i = 0; i < 3; i++)
		ASSERT_LE(0, rx[i]);
	for (size_t len = BTH; len <= sizeof(out); len += 4) {
		make(&out, RC_SEND, 0xabcdef, len, len);
		ASSERT_EQ(len, ib_sendto(tx, &out, len, 0, &self->b.addr)) {
			TH_LOG("%zu: %s", len, strerror(errno));
		}
		for (int i = 0; i < 3; i += 2) {
			ASSERT_EQ(len, hear(rx[i], &in, &from)) {
				TH_LOG("%zu, %d: %s", len, i, strerror(errno));
			}
			EXPECT_EQ(0, memcmp(&in, &out, len));
			EXPECT_TRUE(ib_same_gid(&from, &host));
		}
	}
	EXPECT_TRUE(ib_silent(rx[1]));
	/* who is connected hears its peer only, and need not name it */
	ASSERT_EQ(0, ib_connect(tx, &server));
	ASSERT_EQ(0, ib_connect(rx[0], &host));
	ASSERT_EQ(0, ib_connect(rx[2], &server));
	EXPECT_EQ(16, send(tx, &out, 16, 0));
	EXPECT_EQ(16, recv(rx[0], &in, sizeof(in), 0));
	EXPECT_TRUE(quiet(rx[2]));
	close(tx);
	for (int i = 0; i < 3; i++)
		close(rx[i]);
}

/* A packet that is made by hand is a message to a socket: its ICRC is right */
TEST_F(dgram, raw_to_socket)
{
	static struct packet p;
	struct sockaddr_ib from, host;
	char text[64];
	int fd = raw_at(QT_CLIENT, &self->a.addr, 0);

	ASSERT_LE(0, fd);
	host = ib_addr(self->version, QT_CLIENT, 0);
	for (int len = 0; len < 40; len++) {
		size_t size;

		qt_fill(text, len, len);
		size = datagram(&p, ib_get(self->b.fd, IB_QPN), text, len);
		ASSERT_EQ(size, ib_sendto(fd, &p, size, 0, &self->b.addr));
		memset(text, 0, sizeof(text));
		ASSERT_EQ(len, ib_recvfrom(self->b.fd, text, sizeof(text), 0,
					   &from)) {
			TH_LOG("%d: %s", len, strerror(errno));
		}
		EXPECT_EQ(-1, qt_differ(text, len, len));
		EXPECT_TRUE(ib_same_gid(&from, &host));
		EXPECT_EQ(IB_SID_QPN | 0x654321, ib_sid_of(&from));
	}
	close(fd);
}

/* What sockets say to each other is heard, one by one though it comes together */
TEST_F(dgram, raw_from_socket)
{
	static struct packet p;
	const struct ib_info *info;
	static struct ib_msg m;
	struct mmsghdr h[32] = {};
	struct iovec iov = { "something", 9 };
	int fd = raw_at(QT_SERVER, &self->b.addr, ib_get(self->b.fd, IB_QPN));
	__u32 psn;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ib_connect(self->a.fd, &self->b.addr));
	ASSERT_EQ(0, ib_set(self->a.fd, IB_TCLASS, 0x48));
	for (int i = 0; i < 32; i++) {
		h[i].msg_hdr.msg_iov = &iov;
		h[i].msg_hdr.msg_iovlen = 1;
	}
	ib_drain(fd);
	ASSERT_EQ(32, sendmmsg(self->a.fd, h, 32, 0));
	for (int i = 0; i < 32; i++) {
		memset(&p, 0, sizeof(p));
		ASSERT_EQ(DETH + 12, recv(fd, &p, sizeof(p), 0)) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
		EXPECT_EQ(UD_SEND, p.opcode);
		EXPECT_EQ(3 << 4, p.flags & 0x30);
		EXPECT_EQ(htonl(IB_DEFAULT_QKEY), p.qkey);
		EXPECT_EQ(ib_get(self->a.fd, IB_QPN), ntohl(p.src_qpn));
		EXPECT_EQ(0, memcmp(p.data, "something", 9));
		EXPECT_TRUE(!i || ((ntohl(p.psn) - psn) & 0xffffff) == 1);
		psn = ntohl(p.psn);
	}
	EXPECT_TRUE(ib_silent(fd));
	/* and what is known of it */
	ASSERT_EQ(0, ib_set(fd, IB_RECVINFO, 1));
	EXPECT_EQ(9, send(self->a.fd, "something", 9, 0));
	ASSERT_EQ(DETH + 12, ib_recvmsg(fd, &m, 0));
	info = ib_info(&m);
	ASSERT_NE(NULL, info);
	EXPECT_EQ(0, memcmp(&info->dgid, &self->b.addr.sib_addr, 16));
	EXPECT_EQ(ib_get(self->a.fd, IB_QPN), info->src_qpn);
	EXPECT_EQ(IB_INFO_GRH, info->flags);
	EXPECT_EQ(0x48, info->tclass);
	EXPECT_LT(0, info->hoplimit);
	EXPECT_EQ(IB_SID_QPN | info->src_qpn, ib_sid_of(&m.from));
	/* nobody was kept from getting it */
	for (int i = 0; i < 33; i++)
		EXPECT_EQ(9, recv(self->b.fd, m.data, sizeof(m.data), 0));
	close(fd);
}

/* How packets travel */
TEST_F(dgram, raw_options)
{
	static const int opts[][2] = { { IB_TCLASS, 0x48 }, { IB_HOPLIMIT, 9 } };
	const struct ib_info *info;
	static struct ib_msg m;
	static struct packet p;
	int tx = raw_at(QT_CLIENT, &self->a.addr, 0);
	int rx = raw_at(QT_SERVER, &self->b.addr, 77);

	ASSERT_LE(0, tx);
	ASSERT_LE(0, rx);
	ASSERT_EQ(0, ib_set(rx, IB_RECVINFO, 1));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, ib_set(tx, opts[i][0], opts[i][1]));
	make(&p, RC_SEND, 77, 12, 1);
	ASSERT_EQ(12, ib_sendto(tx, &p, 12, 0, &self->b.addr));
	ASSERT_EQ(12, ib_recvmsg(rx, &m, 0));
	info = ib_info(&m);
	ASSERT_NE(NULL, info);
	EXPECT_EQ(0x48, info->tclass);
	EXPECT_EQ(9, info->hoplimit);
	EXPECT_EQ(0, info->src_qpn);
	EXPECT_EQ(0, ib_ioctl_int(rx, FIONREAD));
	close(tx);
	close(rx);
}

/* A filter sees the packet from its BTH on: here it lets datagrams through */
static int attach(int fd, bool extended)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, UD_SEND, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog prog = { ARRAY_SIZE(code), code };
	struct bpf_insn insns[] = {
		{ BPF_ALU64 | BPF_MOV | BPF_X, 6, 1 },
		{ BPF_LD | BPF_ABS | BPF_B },
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, UD_SEND },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0 },
		{ BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (__u64)(unsigned long)insns,
		.insn_cnt = ARRAY_SIZE(insns),
		.license = (__u64)(unsigned long)"GPL",
	};
	int bpf;

	if (!extended)
		return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
				  sizeof(prog));
	bpf = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	return bpf < 0 ? -1 : setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &bpf,
					 sizeof(bpf));
}

TEST_F(dgram, raw_filter)
{
	static struct packet p;
	int tx = raw_at(QT_CLIENT, &self->a.addr, 0), rx;

	ASSERT_LE(0, tx);
	for (int extended = 0; extended < 2; extended++) {
		rx = raw_at(QT_SERVER, &self->b.addr, 99);
		if (attach(rx, extended)) {
			TH_LOG("no filter: %s", strerror(errno));
			EXPECT_EQ(1, extended);
			close(rx);
			continue;
		}
		for (int i = 0; i < 3; i++) {
			make(&p, i == 1 ? UD_SEND : RC_SEND, 99, 40, i);
			ASSERT_EQ(40, ib_sendto(tx, &p, 40, 0, &self->b.addr));
		}
		EXPECT_EQ(40, recv(rx, &p, sizeof(p), 0));
		EXPECT_EQ(UD_SEND, p.opcode);
		EXPECT_TRUE(ib_silent(rx));
		close(rx);
	}
	close(tx);
}

/* Who does not read has no more than SO_RCVBUF, and is told what it lost */
TEST_F(dgram, raw_overflow)
{
	static struct packet p;
	int tx = raw_at(QT_CLIENT, &self->a.addr, 0);
	int rx = raw_at(QT_SERVER, &self->b.addr, 99), n;

	ASSERT_LE(0, tx);
	ASSERT_EQ(0, ib_set_sol_socket(rx, SO_RCVBUF, 4096));
	for (n = 0; n < 200; n++) {
		make(&p, RC_SEND, 99, 1000, n);
		ASSERT_EQ(1000, ib_sendto(tx, &p, 1000, 0, &self->b.addr));
	}
	usleep(4000 * SHORT_MS);
	for (n = 0; recv(rx, &p, sizeof(p), MSG_DONTWAIT) == 1000; n++)
		;
	EXPECT_LT(0, n);
	EXPECT_GT(20, n);
	EXPECT_EQ(200, n + ib_drops(rx));
	EXPECT_EQ(0, ib_ioctl_int(tx, TIOCOUTQ));
	close(tx);
	close(rx);
}

/* Others' eyes: tshark finds nothing wrong, and roce_check, which computes the ICRC */
TEST_F(dgram, raw_captured)
{
	/* how tshark is told what a whole packet is, and editcap takes Ethernet away */
	static const char *const native[] = { "", "editcap -F pcap -T user0 -C 14 ",
		"-o 'uat:user_dlts:\"User 0 (DLT=147)\",\"infiniband\",\"0\",\"\",\"0\",\"\"'" };
	char cmd[1500], dir[512], file[64], *slash;
	static struct packet p;
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
	int tx;

	ASSERT_LT(0, n);
	dir[n] = 0;
	slash = strrchr(dir, '/');
	*slash = 0;
	if (system("command -v tcpdump >/dev/null && command -v tshark >/dev/null"))
		SKIP(return, "no tcpdump, or no tshark");
	tx = raw_at(QT_CLIENT, &self->a.addr, 0);
	ASSERT_LE(0, tx);
	snprintf(file, sizeof(file), "/tmp/ib_raw.%d.%d", getpid(), self->version);
	snprintf(cmd, sizeof(cmd), "tcpdump -U --immediate-mode -i veth0 -s 0 "
		 "-w %s.pcap %s "
		 "2>%s.log & echo $! >%s.pid; for i in $(seq 100); do "
		 "grep -q listening %s.log && exit; sleep .05; done; exit 1",
		 file, self->version ? "udp port 4791" : "", file, file, file);
	ASSERT_EQ(0, qt_sh(IB_HOSTS, QT_SERVER, "%s", cmd));
	for (int i = 0; i < 50; i++) {
		size_t len = datagram(&p, ib_get(self->b.fd, IB_QPN), "0123456789A", 1 + i % 11);

		ASSERT_EQ(len, ib_sendto(tx, &p, len, 0, &self->b.addr));
		EXPECT_EQ(1 + i % 11, recv(self->b.fd, &p, sizeof(p), 0));
		/* tcpdump has little room */
		usleep(5000);
	}
	usleep(500000);
	snprintf(cmd, sizeof(cmd), "kill $(cat %s.pid); sleep .3; "
		 "%s/roce_check %s.pcap >%s.check && "
		 "%s %s.pcap %s.ib && "
		 "[ $(tshark %s -r %s.ib -Y 'infiniband.bth.opcode == 100 && "
		 "!_ws.malformed' 2>/dev/null | wc -l) -ge 50 ]",
		 file, dir, file, file, self->version ? "cp" : native[1], file, file,
		 self->version ? "" : native[2], file);
	EXPECT_EQ(0, qt_sh(IB_HOSTS, QT_SERVER, "%s", cmd)) {
		snprintf(cmd, sizeof(cmd), "cat %s.check %s.log >&2; "
			 "tshark -r %s.pcap >&2", file, file, file);
		qt_sh(IB_HOSTS, QT_SERVER, "%s", cmd);
	}
	close(tx);
}

/* A packet socket on the netdevice that packets of this host go by */
static int tap(struct sockaddr_ll *at)
{
	struct if_nameindex *all = if_nameindex();
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	*at = (struct sockaddr_ll){ .sll_family = AF_PACKET,
				    .sll_protocol = htons(ETH_P_ALL) };
	for (struct if_nameindex *i = all; i && i->if_index; i++) {
#ifdef QP_IB
		/* called after the port, unless that is too long a name */
		if (!strncmp(i->if_name, "qt_ib_", 6) ||
		    !strncmp(i->if_name, "ibport", 6))
#else
		if (!strcmp(i->if_name, "veth0"))
#endif
			at->sll_ifindex = i->if_index;
	}
	if_freenameindex(all);
	return !at->sll_ifindex || bind(fd, (void *)at, sizeof(*at)) ? -1 : fd;
}

/* What has a wrong ICRC, or is not whole, is not seen */
TEST_F(dgram, raw_icrc)
{
	int tx = raw_at(QT_CLIENT, &self->a.addr, 0);
	int rx = raw_at(QT_SERVER, &self->b.addr, 90);
	static struct packet p, in;
	struct sockaddr_ll at, from;
	socklen_t len = sizeof(from);
	char wire[2048];
	int fd = tap(&at);
	ssize_t n;

	ASSERT_LE(0, tx);
	ASSERT_LE(0, rx);
	ASSERT_LE(0, fd);
	make(&p, RC_SEND, 90, 400, 1);
	ASSERT_EQ(400, ib_sendto(tx, &p, 400, 0, &self->b.addr));
	EXPECT_EQ(400, recv(rx, &in, sizeof(in), 0));
	do {
		n = recvfrom(fd, wire, sizeof(wire), 0, (void *)&from, &len);
		ASSERT_LT(0, n);
	} while (from.sll_pkttype != PACKET_OUTGOING ||
		 n < 404 || memcmp(wire + n - 404, &p, 400));
	/* the same again; with a bit that is wrong; without the ICRC; the same again */
	at.sll_protocol = from.sll_protocol;
	ASSERT_EQ(n, sendto(fd, wire, n, 0, (void *)&at, sizeof(at)));
	EXPECT_EQ(400, recv(rx, &in, sizeof(in), 0));
	wire[n - 5] ^= 1;
	ASSERT_EQ(n, sendto(fd, wire, n, 0, (void *)&at, sizeof(at)));
	wire[n - 5] ^= 1;
	ASSERT_EQ(n - 4, sendto(fd, wire, n - 4, 0, (void *)&at, sizeof(at)));
	EXPECT_TRUE(ib_silent(rx));
	ASSERT_EQ(n, sendto(fd, wire, n, 0, (void *)&at, sizeof(at)));
	EXPECT_EQ(400, recv(rx, &in, sizeof(in), 0));
	close(tx);
	close(rx);
	close(fd);
}

#ifdef QP_IB
/* Of the port of a host: a small number, as there are but two */
static __u16 ib_lid(enum qt_host host)
{
	return qt_sh(IB_HOSTS, host, "exit $(($(cat /sys/class/infiniband/qt_ib_*/ports/1/lid)))");
}

/* Where a port is known by no more than its LID, and a packet says no more either */
TEST_F(dgram, raw_lid)
{
	static struct ib_msg m;
	static struct packet p;
	const struct ib_info *info;
	struct sockaddr_ib own, to, host = ib_addr(0, QT_CLIENT, 0);
	int a = raw_at(QT_CLIENT, &self->a.addr, 77);
	int b = raw_at(QT_SERVER, &self->b.addr, 78);
	int c;

	ASSERT_LE(0, a);
	ASSERT_LE(0, b);
	ASSERT_EQ(0, ib_set(b, IB_RECVINFO, 1));
	to = self->b.addr;
	to.sib_addr.sib_interface_id = htobe64(IB_GUID_LID | ib_lid(QT_SERVER));
	own = self->a.addr;
	own.sib_addr.sib_interface_id = htobe64(IB_GUID_LID | ib_lid(QT_CLIENT));
	make(&p, RC_SEND, 78, 40, 1);
	ASSERT_EQ(40, ib_sendto(a, &p, 40, 0, &to));
	ASSERT_EQ(40, ib_recvmsg(b, &m, 0));
	EXPECT_EQ(0, memcmp(m.data, &p, 40));
	EXPECT_TRUE(ib_same_gid(&own, &m.from));
	info = ib_info(&m);
	ASSERT_NE(NULL, info);
	EXPECT_EQ(0, info->flags);
	/* which is an address to answer to */
	make(&p, RC_SEND, 77, 16, 2);
	ASSERT_EQ(16, ib_sendto(b, &p, 16, 0, &m.from));
	EXPECT_EQ(16, recv(a, &p, sizeof(p), 0));
	/* who is connected knows its peer's LID once it has sent something */
	c = raw_at(QT_SERVER, &self->b.addr, 79);
	ASSERT_EQ(0, ib_connect(c, &host));
	make(&p, RC_SEND, 79, 20, 3);
	ASSERT_EQ(20, ib_sendto(a, &p, 20, 0, &to));
	EXPECT_TRUE(ib_silent(c));
	EXPECT_EQ(20, send(c, &p, 20, 0));
	ASSERT_EQ(20, ib_sendto(a, &p, 20, 0, &to));
	EXPECT_EQ(20, recv(c, &p, sizeof(p), 0));
	close(a);
	close(b);
	close(c);
}

/* Of a subnet with the usual prefix a GID may be an address of IPv6 as well */
TEST_F(dgram, raw_own_first)
{
	static const char set[] = "ip -6 addr %s fe80::ff:fe00:902/64 dev %s nodad";
	static struct packet p;
	struct sockaddr_ib to = self->b.addr;
	int rx = raw_at(QT_SERVER, &self->b.addr, 81), tx[2];

	ASSERT_LE(0, rx);
	ASSERT_EQ(0, qt_sh(IB_HOSTS, QT_CLIENT, set, "add", ib_ip_link));
	tx[0] = raw_at(QT_CLIENT, &self->a.addr, 0);
	tx[1] = ib_open(QT_CLIENT, SOCK_RAW);
	for (int i = 0; i < 2; i++) {
		EXPECT_LE(0, tx[i]);
		make(&p, RC_SEND, 81, 16 + 4 * i, i);
		EXPECT_EQ(16 + 4 * i, ib_sendto(tx[i], &p, 16 + 4 * i, 0, &to));
		EXPECT_EQ(16 + 4 * i, recv(rx, &p, sizeof(p), 0));
		close(tx[i]);
	}
	EXPECT_EQ(0, qt_sh(IB_HOSTS, QT_CLIENT, set, "del", ib_ip_link));
	close(rx);
}

/* In a partition that it says, or the socket does, or its peer's address */
TEST_F(dgram, raw_partition)
{
	struct sockaddr_ib from, to = ib_addr(0, QT_SERVER, 0), own = ib_any(0);
	static struct packet p;
	int tx, rx;

	own.sib_addr = ib_addr(0, QT_CLIENT, 0).sib_addr;
	rx = raw_at(QT_SERVER, &to, 82);
	ASSERT_LE(0, rx);
	make(&p, RC_SEND, 82, 20, 1);
	p.pkey = htons(QT_PKEY);
	for (int i = 0; i < 3; i++) {
		tx = ib_open(QT_CLIENT, SOCK_RAW);
		own.sib_pkey = i ? 0 : htons(QT_PKEY);
		to.sib_pkey = i == 2 ? htons(QT_PKEY) : 0;
		if (i == 1)
			ASSERT_EQ(0, ib_set(tx, IB_PKEY, QT_PKEY));
		if (i < 2)
			ASSERT_EQ(0, ib_bind(tx, &own));
		EXPECT_EQ(0, ib_connect(tx, &to));
		EXPECT_EQ(0, ib_getpeername(tx, &from));
		EXPECT_EQ(QT_PKEY, ntohs(from.sib_pkey));
		EXPECT_EQ(20, send(tx, &p, 20, 0)) {
			TH_LOG("%d: %s", i, strerror(errno));
		}
		EXPECT_EQ(20, ib_recvfrom(rx, &p, sizeof(p), 0, &from));
		EXPECT_EQ(QT_PKEY, ntohs(from.sib_pkey));
		close(tx);
	}
	/* and not in another one than the socket's */
	tx = ib_open(QT_CLIENT, SOCK_RAW);
	ASSERT_EQ(0, ib_set(tx, IB_PKEY, QT_PKEY));
	to.sib_pkey = htons(0xffff);
	EXPECT_ERRNO(EADDRNOTAVAIL, ib_connect(tx, &to));
	EXPECT_ERRNO(EADDRNOTAVAIL, ib_sendto(tx, &p, 20, 0, &to));
	close(tx);
	close(rx);
}

/* A packet to a group; its sender need not be in it */
TEST_F(dgram, raw_group)
{
	struct sockaddr_ib group = ib_group(0, 20);
	struct ib_mreq mreq = { .mgid = group.sib_addr, .flags = IB_MREQ_SENDONLY };
	static struct packet p, in;
	struct sockaddr_ib from, host = ib_addr(0, QT_CLIENT, 0);
	int tx = raw_at(QT_CLIENT, &self->a.addr, 0);
	int rx = ib_open(QT_SERVER, SOCK_RAW);
	size_t len;
	char text[8];

	ASSERT_LE(0, tx);
	ASSERT_LE(0, rx);
	len = datagram(&p, 0xffffff, "a group", 8);
	EXPECT_ERRNO(EHOSTUNREACH, ib_sendto(tx, &p, len, 0, &group));
	ASSERT_EQ(0, ib_join(&self->b, 0, 20, 0));
	ASSERT_EQ(0, setsockopt(tx, SOL_IB, IB_ADD_MEMBERSHIP, &mreq, sizeof(mreq)));
	ASSERT_EQ(len, ib_sendto(tx, &p, len, 0, &group));
	EXPECT_EQ(8, ib_recvfrom(self->b.fd, text, sizeof(text), 0, &from));
	EXPECT_STREQ("a group", text);
	EXPECT_TRUE(ib_same_gid(&from, &host));
	ASSERT_EQ(len, hear(rx, &in, &from));
	EXPECT_EQ(0, memcmp(&in, &p, len));
	close(tx);
	close(rx);
}

/* Who does not wait until the subnet administration has said the way sends all the same */
TEST_F(dgram, raw_nonblock)
{
	static struct packet p;
	int tx = raw_at(QT_CLIENT, &self->a.addr, 0);
	int rx = raw_at(QT_SERVER, &self->b.addr, 80);
	struct sockaddr_ib absent = self->b.addr;
	struct pollfd poll_tx = { .fd = tx };

	ASSERT_LE(0, tx);
	ASSERT_LE(0, rx);
	for (int i = 0; i < 3; i++) {
		make(&p, RC_SEND, 80, 16 + 4 * i, i);
		ASSERT_EQ(16 + 4 * i, ib_sendto(tx, &p, 16 + 4 * i, MSG_DONTWAIT,
						&self->b.addr));
	}
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(16 + 4 * i, recv(rx, &p, sizeof(p), 0));
	/* and hears of it if there is none */
	absent.sib_addr.sib_raw[15] = 77;
	EXPECT_ERRNO(EHOSTUNREACH, ib_sendto(tx, &p, 16, 0, &absent));
	absent.sib_addr.sib_raw[15] = 78;
	ASSERT_EQ(16, ib_sendto(tx, &p, 16, MSG_DONTWAIT, &absent));
	ASSERT_EQ(1, poll(&poll_tx, 1, IB_WAIT_MS));
	EXPECT_EQ(POLLERR, poll_tx.revents & POLLERR);
	EXPECT_EQ(EHOSTUNREACH, ib_sol_socket(tx, SO_ERROR));
	close(tx);
	close(rx);
}

/* Subnet management: it goes by its own lane, and is answered */
TEST_F(dgram, raw_management)
{
	/* class, method, attribute of SubnGet(NodeInfo), LID-routed */
	static const __u8 get[] = { 1, 0x01, 1, 0x01, 0, 0, 0, 0,
				    1, 2, 3, 4, 5, 6, 7, 8, 0, 0x11 };
	static struct packet p, in;
	int tx = raw_at(QT_CLIENT, &self->a.addr, 0);
	struct sockaddr_ib from, to = self->b.addr;
	int i;

	ASSERT_LE(0, tx);
	to.sib_addr.sib_interface_id = htobe64(IB_GUID_LID | ib_lid(QT_SERVER));
	make(&p, UD_SEND, 0, DETH, 0);
	p.qkey = 0;
	p.src_qpn = 0;
	memset(p.data, 0, 256);
	memcpy(p.data, get, sizeof(get));
	ASSERT_EQ(DETH + 256, ib_sendto(tx, &p, DETH + 256, 0, &to));
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(DETH + 256, ib_recvfrom(tx, &in, sizeof(in), 0, &from));
		if (in.data[3] == (char)0x81 && !memcmp(in.data + 8, get + 8, 8))
			break;
	}
	EXPECT_GT(100, i);
	/* one port, of a channel adapter */
	EXPECT_EQ(1, in.data[64 + 2]);
	EXPECT_EQ(1, in.data[64 + 3]);
	close(tx);
}
#endif

TEST_HARNESS_MAIN
