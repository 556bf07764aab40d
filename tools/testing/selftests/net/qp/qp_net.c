// SPDX-License-Identifier: GPL-2.0
/*
 * The network that the tests run on: two hosts, and the backends between them
 *
 *	+------- client -------+            +------- server -------+
 *	| veth0  10.9.0.2/24   +------------+ veth0  10.9.0.1/24   |
 *	|        fd09::2/64    |            |        fd09::1/64    |
 *	+----------------------+            +----------------------+
 *
 * rxe and qpemu both want UDP port 4791 of a namespace, so the backends of rxe
 * have hosts of their own. They have RDMA devices from the beginning, those of
 * qpemu and siw are made by the kernel as queue pairs need them.
 *
 * Those of InfiniBand have channel adapters from the beginning, whose cable veth0 is,
 * and a subnet manager on the server. What IP they have is on another link.
 *
 *	+------- client -------+            +------- server -------+
 *	| veth0  fe80::ff:fe00:902 ======== | veth0  fe80::ff:fe00:901
 *	| eth0   10.9.0.2/24   +------------+ eth0   10.9.0.1/24   |
 *	|        fd09::2/64    |            |        fd09::1/64    |
 *	+----------------------+            +-------- opensm ------+
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "qp_test.h"

bool qt_datagrams;

/* The namespaces are open files, 0 before there are any; sm is opensm's shell */
struct qt_hosts {
	bool rxe;
	bool ib;
	int ns[2];
	pid_t sm;
};

static struct qt_hosts on_demand, with_rxe = { .rxe = true }, on_ib = { .ib = true };

/* Those that this process made last: its tests use one kind. How often it did. */
static const struct qt_hosts *current;
static unsigned int made;

/* Who has given up root takes it back for a moment, see qt_become_nobody() */
static int enter(int ns)
{
	uid_t uid = geteuid();
	int err;

	if (setns(ns, CLONE_NEWNET) == 0)
		return 0;
	if (!uid || seteuid(0))
		return -1;
	err = setns(ns, CLONE_NEWNET);
	if (seteuid(uid))
		abort();
	return err;
}

int qt_enter(const struct qt_hosts *hosts, enum qt_host host)
{
	if (!hosts)
		return 0;
	if (!hosts->ns[host] && qt_hosts((struct qt_hosts *)hosts))
		return -1;
	return enter(hosts->ns[host]);
}

bool qt_on_demand(const struct qt_hosts *hosts)
{
	return !hosts->rxe && !hosts->ib;
}

static int this_ns(void)
{
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

int qt_on_server(int (*fn)(void))
{
	int ret, was;

	if (!current)
		return 0;
	was = this_ns();
	if (was < 0 || qt_enter(current, QT_SERVER))
		return -1;
	ret = fn();
	if (enter(was))
		abort();
	close(was);
	return ret;
}

/* A shell as "ip netns exec" has it: /sys is that of the namespace */
static void host_shell(int ns, const char *command)
{
	if (setns(ns, CLONE_NEWNET))
		_exit(126);
	if (!unshare(CLONE_NEWNS) &&
	    !mount("", "/", NULL, MS_SLAVE | MS_REC, NULL))
		mount("sys", "/sys", "sysfs", 0, NULL);
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(127);
}

static void shell(int ns, const char *command)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	host_shell(ns, command);
}

int qt_sh(const struct qt_hosts *hosts, enum qt_host host, const char *fmt, ...)
{
	char command[1024];
	va_list ap;
	pid_t pid;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(command))
		abort();
	pid = fork();
	if (!pid)
		shell(hosts->ns[host], command);
	return pid < 0 ? -1 : qt_reap(pid);
}

/* No address is tentative, and no address is missing when it is looked for */
static const char loopback[] =
	"ip link set lo up && cd /proc/sys/net/ipv6/conf && "
	"echo 0 >all/accept_dad && echo 0 >default/accept_dad";

static const char addresses[] =
	"d=%s && ip addr add 10.9.0.%d/24 dev $d && "
	"ip addr add fd09::%d/64 dev $d nodad && ip link set $d up";

/* The link is up some time after both its ends are; IPv6 waits for that */
static const char link_up[] =
	"d=%s; for i in $(seq 200); do grep -q up /sys/class/net/$d/operstate &&"
	"	exit; sleep .05; done; ip -d link show $d; exit 1";

static int host_number(enum qt_host host)
{
	return host == QT_SERVER ? 1 : 2;
}

/* Where hosts have IP addresses */
static const char *ip_link(const struct qt_hosts *hosts)
{
	return hosts->ib ? "eth0" : "veth0";
}

/*
 * What happened to a netdevice before it had a device may be heard of later, and
 * takes the GIDs away for a moment. It is heard of in order: when an address
 * that comes now has a GID, and then has none, it is over. Of the table, which
 * has room for a thousand, the first twenty are enough.
 */
static const char rxe_device[] =
	"gid() { (cd /sys/class/infiniband/$d/ports/1/gids && cat ? 1?)"
	"	2>/dev/null | grep -q $1; }; "
	"no_gid() { ! gid $1; }; "
	"soon() { for i in $(seq 200); do \"$@\" && return; sleep .05; done;"
	"	exit 1; }; "
	"d=%s && rdma link add $d type rxe netdev veth0 && "
	"soon gid :0a09:000 && soon gid ^fd09: && "
	"ip addr add 169.254.77.1/32 dev veth0 && soon gid :a9fe:4d01 && "
	"ip addr del 169.254.77.1/32 dev veth0 && soon no_gid :a9fe:4d01";

void qt_rxe_name(enum qt_host host, char *name, size_t len)
{
	snprintf(name, len, "rxe_%d_%u_%d", getpid(), made, host_number(host));
}

/*
 * InfiniBand
 */

/* Without the other end a port does not become active */
static const char ib_device[] =
	"ip link set veth0 up addrgenmode none && "
	"rdma link add qt_ib_%d_%d_%d type qpemu_ib netdev veth0";

static const char ib_active[] =
	"for i in $(seq 400); do "
	"	grep -qs ACTIVE /sys/class/infiniband/qt_ib_*/ports/1/state && exit;"
	"	sleep .02; done; cat /sys/class/infiniband/*/ports/1/state; exit 1";

/*
 * It looks every second, and whenever it hears of something; all are in two
 * partitions, the default one and IB_PKEY. When this process ends the shell is told,
 * and removes what it has made. It does not ask opensm to end, who would wait for ever
 * if its adapter has gone.
 */
static const char subnet_manager[] =
	"d=$(mktemp -d /tmp/qt_sm.XXXXXX) || exit;"
	"trap 'kill -9 $p; wait; rm -rf $d; exit' TERM;"
	"echo 'Default=0x7fff : ALL=full; other=0x%04x : ALL=full;' >$d/partitions;"
	"for o in \"log_file $d/log\" \"dump_files_dir $d\" 'sweep_interval 1'"
	"	\"partition_config_file $d/partitions\" 'sminfo_polling_timeout 500'"
	"	'force_log_flush TRUE' 'sweep_on_trap TRUE'; do"
	"	echo $o; done >$d/conf;"
	"OSM_CACHE_DIR=$d OSM_TMP_DIR=$d opensm -F $d/conf >$d/out 2>&1 & p=$!; wait";

static int sm_start(struct qt_hosts *hosts)
{
	char command[1024];

	snprintf(command, sizeof(command), subnet_manager, QT_PKEY & 0x7fff);
	hosts->sm = fork();
	if (!hosts->sm) {
		freopen("/dev/null", "w", stdout);
		freopen("/dev/null", "w", stderr);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		host_shell(hosts->ns[QT_SERVER], command);
	}
	return hosts->sm < 0 ? -1 : 0;
}

int qt_sm_restart(struct qt_hosts *hosts)
{
	if (hosts->sm > 0 && !kill(hosts->sm, SIGTERM))
		while (!waitpid(hosts->sm, NULL, WNOHANG) && !kill(hosts->sm, 0))
			usleep(10000);
	return sm_start(hosts);
}

/* Opensm, which the shell has started, answers nobody, or does again */
int qt_sm_pause(const struct qt_hosts *hosts, bool pause)
{
	char command[64];

	snprintf(command, sizeof(command), "pkill -%s -P %d opensm",
		 pause ? "STOP" : "CONT", hosts->sm);
	return system(command) ? -1 : 0;
}

/*
 * Only who is trusted, and says so by opensm's usual key, is told who belongs to a
 * group. Bit 0 of JoinState is that of full members.
 */
static const char sm_member[] =
	"for i in $(seq 40); do "
	"	saquery --smkey 1 MCMR --mgid %s 2>/dev/null | awk -F'[. ]*' -v gid=%s '"
	"		/PortGid/ { is = $NF == gid }"
	"		is && /JoinState/ { found = $NF ~ /[13579BDFbdf]$/ }"
	"	END { exit !found }';"
	"	[ $? = %d ] && exit 0; sleep .05; done; exit 1";

bool qt_sm_member(const struct qt_hosts *hosts, enum qt_host host, const char *mgid,
		  bool want)
{
	char gid[32];

	snprintf(gid, sizeof(gid), "fe80::ff:fe00:90%d", host_number(host));
	return !qt_sh(hosts, QT_SERVER, sm_member, mgid, gid, !want);
}

/* No two have the same name, wherever they are: earlier hosts may still have theirs */
static int ib_device_add(const struct qt_hosts *hosts, enum qt_host host)
{
	static int count;

	return qt_sh(hosts, host, ib_device, getpid(), host_number(host), ++count);
}

static int ib_wait_active(const struct qt_hosts *hosts)
{
	return qt_sh(hosts, QT_SERVER, ib_active) || qt_sh(hosts, QT_CLIENT, ib_active);
}

/* Devices are of one namespace each, so that none sees the other's */
static int ib_exclusive(void)
{
	return system("for i in $(seq 100); do "
		      "rdma system set netns exclusive 2>/dev/null && exit;"
		      "rdma system show netns | grep -q exclusive && exit;"
		      "sleep .1; done; exit 1");
}

/*
 * Whoever lost a device may have had another one made at once, and that has
 * to go first: rxe wants the port for itself.
 */
int qt_device_add(const struct qt_hosts *hosts, enum qt_host host)
{
	int tries = 50;
	char name[32];

	if (hosts->ib)
		return ib_device_add(hosts, host) ||
		       (host == QT_SERVER && qt_sm_restart((struct qt_hosts *)hosts)) ||
		       ib_wait_active(hosts) ? -1 : 0;
	if (!hosts->rxe)
		return 0;
	qt_rxe_name(host, name, sizeof(name));
	while (qt_sh(hosts, host, rxe_device, name)) {
		if (!--tries)
			return -1;
		usleep(100000);
	}
	return 0;
}

/*
 * The names of RDMA devices on veth0 are a command's arguments; there may be one
 * of each kind.
 */
#define DEVICES								\
	"set -- $(rdma link |"						\
	"	sed -n 's:^link \\([^/]*\\)/.* netdev veth0.*:\\1:p;"	\
	"		s:^link \\(qt_ib_[^/]*\\)/.*:\\1:p'); "

int qt_device_delete(const struct qt_hosts *hosts, enum qt_host host)
{
	/* One that is needed no more may go just then */
	return qt_sh(hosts, host, DEVICES
		     "for d; do rdma link delete $d ||"
		     "	! rdma link show $d/1 >/dev/null 2>&1 || exit 1; done");
}

/* Is there an RDMA device on the host's veth0? In sysfs as in netlink. */
bool qt_has_device(const struct qt_hosts *hosts, enum qt_host host)
{
	return !qt_sh(hosts, host, DEVICES
		      "[ -n \"$1\" ] && [ -e /sys/class/infiniband/$1 ]");
}

static int set_up(const struct qt_hosts *hosts, enum qt_host host)
{
	int n = host_number(host);

	return qt_sh(hosts, host, addresses, ip_link(hosts), n, n);
}

static int complete(const struct qt_hosts *hosts, enum qt_host host)
{
	return qt_sh(hosts, host, link_up, ip_link(hosts)) ||
	       (hosts->ib ? ib_device_add(hosts, host) : qt_device_add(hosts, host));
}

/* The cable, with addresses that GUIDs follow from */
static int ib_cable(const struct qt_hosts *hosts)
{
	return qt_sh(hosts, QT_SERVER, "ip link add veth0 address 02:00:00:00:09:01 "
		     "type veth peer name veth0 address 02:00:00:00:09:02 netns %d",
		     getpid());
}

static int link_hosts(const struct qt_hosts *hosts)
{
	const char *name = ip_link(hosts);

	return (hosts->ib && ib_cable(hosts)) ||
	       qt_sh(hosts, QT_SERVER, "ip link add %s type veth peer name %s "
		     "netns %d", name, name, getpid());
}

static int manage(struct qt_hosts *hosts)
{
	return hosts->ib && (sm_start(hosts) || ib_wait_active(hosts));
}

static int new_ns(void)
{
	return unshare(CLONE_NEWNET) ? -1 : this_ns();
}

/* Say what it was */
static bool failed(const char *step, bool err)
{
	if (err)
		printf("# hosts: no %s: %s\n", step, strerror(errno));
	return err;
}

/* This process ends up on the client, to where the server's veth leads */
static int make(struct qt_hosts *hosts)
{
	made++;
	if (failed("devices of one namespace", hosts->ib && ib_exclusive()))
		return -1;
	hosts->ns[QT_SERVER] = new_ns();
	hosts->ns[QT_CLIENT] = new_ns();
	return failed("namespaces", hosts->ns[QT_SERVER] < 0 ||
		      hosts->ns[QT_CLIENT] < 0) ||
	       failed("loopback", qt_sh(hosts, QT_SERVER, loopback) ||
		      qt_sh(hosts, QT_CLIENT, loopback)) ||
	       failed("link", link_hosts(hosts)) ||
	       failed("addresses", set_up(hosts, QT_SERVER) ||
		      set_up(hosts, QT_CLIENT)) ||
	       failed("link up", complete(hosts, QT_SERVER) ||
		      complete(hosts, QT_CLIENT)) ||
	       failed("subnet", manage(hosts));
}

int qt_hosts(struct qt_hosts *hosts)
{
	if (!make(hosts)) {
		current = hosts;
		return 0;
	}
	memset(hosts->ns, 0, sizeof(hosts->ns));
	errno = ENONET;
	return -1;
}

/* A program of one family has hosts for all its tests, which run on the client */
#ifndef QP_LOCAL
static void __attribute__((constructor)) make_hosts(void)
{
#if defined(QP_RXE)
	qt_hosts(&with_rxe);
#elif defined(QP_IB)
	qt_hosts(&on_ib);
#else
	qt_hosts(&on_demand);
#endif
}
#endif

/*
 * Addresses. A process has 50 ports to go round with, so that what is about to
 * end does not stand in the way of what comes next.
 */
static __be16 fresh_port(void)
{
	static unsigned int count;

	return htons(10000 + getpid() % 1000 * 50 + count++ % 50);
}

/* The port is in the same place of both families of IP; it ends a service ID */
__be16 *qt_port(struct sockaddr_storage *ss)
{
	if (ss->ss_family == AF_IB)
		return (__be16 *)(&((struct sockaddr_ib *)ss)->sib_sid + 1) - 1;
	return &((struct sockaddr_in *)ss)->sin_port;
}

/* What rdma_cm calls a port of RDMA_PS_UDP, or of RDMA_PS_TCP */
static __u64 service_id(__be16 port)
{
	return (qt_datagrams ? 0x1110000 : 0x1060000) | ntohs(port);
}

void qt_set_port(struct sockaddr_storage *ss, __be16 port)
{
	struct sockaddr_ib *ib = (void *)ss;

	if (ss->ss_family == AF_IB)
		ib->sib_sid = htobe64(service_id(port));
	else
		*qt_port(ss) = port;
}

int qt_ip(const struct sockaddr_storage *ss, void *ip)
{
	const struct sockaddr_in6 *in6 = (const void *)ss;
	const struct sockaddr_in *in = (const void *)ss;
	const struct sockaddr_ib *ib = (const void *)ss;
	const struct in6_addr *gid = (const void *)&ib->sib_addr;
	bool mapped = ss->ss_family == AF_IB && IN6_IS_ADDR_V4MAPPED(gid);

	if (ss->ss_family == AF_INET || mapped) {
		memcpy(ip, mapped ? &gid->s6_addr[12] : (void *)&in->sin_addr, 4);
		return AF_INET;
	}
	memcpy(ip, ss->ss_family == AF_IB ? gid : &in6->sin6_addr, 16);
	return AF_INET6;
}

/* Change the last byte of the IP address */
void qt_change_host(struct sockaddr_storage *ss, __u8 host)
{
	struct sockaddr_in6 *in6 = (void *)ss;
	struct sockaddr_in *in = (void *)ss;

	if (ss->ss_family == AF_IB)
		((struct sockaddr_ib *)ss)->sib_addr.sib_raw[15] = host;
	else if (ss->ss_family == AF_INET6)
		in6->sin6_addr.s6_addr[15] = host;
	else
		((__u8 *)&in->sin_addr)[3] = host;
}

static socklen_t address4(struct sockaddr_storage *ss, int host)
{
	struct sockaddr_in *in = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	in->sin_family = AF_INET;
	in->sin_port = fresh_port();
	in->sin_addr.s_addr = htonl(0x0a090000 + host);
	return sizeof(*in);
}

static socklen_t address6(struct sockaddr_storage *ss, int host)
{
	struct sockaddr_in6 *in6 = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	in6->sin6_family = AF_INET6;
	in6->sin6_port = fresh_port();
	in6->sin6_addr.s6_addr[0] = 0xfd;
	in6->sin6_addr.s6_addr[1] = 0x09;
	in6->sin6_addr.s6_addr[15] = host;
	return sizeof(*in6);
}

/* The GID that an IP address of the same host is */
static socklen_t gid_of(struct sockaddr_storage *ss, const void *ip, size_t len)
{
	struct sockaddr_ib ib = {
		.sib_family = AF_IB,
		.sib_pkey = htons(0xffff),
		.sib_sid = htobe64(service_id(*qt_port(ss))),
		.sib_sid_mask = ~0ULL,
	};

	if (len == 4)
		ib.sib_addr.sib_addr16[5] = 0xffff;
	memcpy(&ib.sib_addr.sib_raw[16 - len], ip, len);
	memset(ss, 0, sizeof(*ss));
	memcpy(ss, &ib, sizeof(ib));
	return sizeof(ib);
}

static socklen_t gid4(struct sockaddr_storage *ss, int host)
{
	struct sockaddr_in in;

	address4(ss, host);
	memcpy(&in, ss, sizeof(in));
	return gid_of(ss, &in.sin_addr, sizeof(in.sin_addr));
}

static socklen_t gid6(struct sockaddr_storage *ss, int host)
{
	struct sockaddr_in6 in6;

	address6(ss, host);
	memcpy(&in6, ss, sizeof(in6));
	return gid_of(ss, &in6.sin6_addr, sizeof(in6.sin6_addr));
}

/* That of the adapter of a host, see ib_cable() */
static socklen_t ib_gid(struct sockaddr_storage *ss, int host)
{
	struct in6_addr gid = { .s6_addr = {
		0xfe, 0x80, [11] = 0xff, 0xfe, 0, 9, host,
	} };

	address4(ss, host);
	return gid_of(ss, &gid, sizeof(gid));
}

/* &struct backend.address and source: the server, or the client */
#define HOST(name, make, host)						\
static socklen_t name(struct sockaddr_storage *ss)			\
{									\
	return make(ss, host);						\
}

HOST(server4, address4, 1)
HOST(client4, address4, 2)
HOST(server6, address6, 1)
HOST(client6, address6, 2)
HOST(gid_server4, gid4, 1)
HOST(gid_client4, gid4, 2)
HOST(gid_server6, gid6, 1)
HOST(gid_client6, gid6, 2)
HOST(ib_server, ib_gid, 1)
HOST(ib_client, ib_gid, 2)

static void forget(const struct sockaddr_storage *ss)
{
}

#define F_ROCE	(F_ATOMIC | F_IMM | F_RNR | F_WRITE_ACK)
#define F_QPEMU	(F_ROCE | F_ZERO_BASED | F_INV | F_DMABUF)

/* rxe goes back to what was lost only after a timeout, 2 s for each MiB */
#define ROCE(domain_, server, client, hosts_, flags_) {			\
	.domain = domain_,						\
	.protocol = QP_PROTO_ROCE,					\
	.flags = flags_,						\
	.max_sge = QP_MAX_SGE,						\
	.max_sge_rd = QP_MAX_SGE,					\
	.lossy_mib = (flags_) & F_RXE ? 4 : 64,				\
	.hosts = hosts_,						\
	.address = server,						\
	.source = client,						\
	.forget = forget,						\
}

/* Limits are those of siw: lists of six entries, and READs into one */
#define SIW(version) {							\
	.domain = version == 4 ? AF_INET : AF_INET6,			\
	.protocol = QP_PROTO_IWARP,					\
	.ask = QP_PROTO_IWARP,						\
	.flags = F_INV,							\
	.max_sge = 6,							\
	.max_sge_rd = 1,						\
	.lossy_mib = 64,						\
	.hosts = &on_demand,						\
	.address = server##version,					\
	.source = client##version,					\
	.forget = forget,						\
}

const struct backend be_roce4 = ROCE(AF_INET, server4, client4, &on_demand, F_QPEMU);
const struct backend be_roce6 = ROCE(AF_INET6, server6, client6, &on_demand, F_QPEMU);
const struct backend be_gid4 =
	ROCE(AF_IB, gid_server4, gid_client4, &on_demand, F_QPEMU);
const struct backend be_gid6 =
	ROCE(AF_IB, gid_server6, gid_client6, &on_demand, F_QPEMU);
const struct backend be_ib = {
	.domain = AF_IB,
	.protocol = QP_PROTO_IB,
	.flags = F_QPEMU | F_IB,
	.max_sge = QP_MAX_SGE,
	.max_sge_rd = QP_MAX_SGE,
	.lossy_mib = 64,
	.hosts = &on_ib,
	.address = ib_server,
	.source = ib_client,
	.forget = forget,
};
const struct backend be_rxe4 =
	ROCE(AF_INET, server4, client4, &with_rxe, F_ROCE | F_RXE);
const struct backend be_rxe6 =
	ROCE(AF_INET6, server6, client6, &with_rxe, F_ROCE | F_RXE);
const struct backend be_siw4 = SIW(4);
const struct backend be_siw6 = SIW(6);
