// SPDX-License-Identifier: GPL-2.0
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <linux/sock_diag.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "ib_test.h"

/*
 * Hosts
 */

#ifdef QP_IB
const char ib_ip_link[] = "eth0";
#else
const char ib_ip_link[] = "veth0";
#endif

int ib_own_hosts(void)
{
	return qt_hosts((struct qt_hosts *)IB_HOSTS);
}

static const char link_addresses[] =
	"ip addr add 10.10.0.%d/24 dev veth1 && "
	"ip addr add fd0a::%d/64 dev veth1 nodad && ip link set veth1 up";

static const char link_up[] =
	"for i in $(seq 200); do grep -q up /sys/class/net/veth1/operstate &&"
	"	exit; sleep .05; done; exit 1";

/*
 * Its GIDs are there to stay when one that comes after them has gone, as with
 * veth0 in qp_net.c
 */
static const char link_rxe[] =
	"d=rxe_link_%d_%d; rdma link add $d type rxe netdev veth1 || exit;"
	"gid() { cat /sys/class/infiniband/$d/ports/1/gids/* 2>/dev/null |"
	"	grep -q $1; }; "
	"no_gid() { ! gid $1; }; "
	"soon() { for i in $(seq 200); do \"$@\" && return; sleep .05; done;"
	"	exit 1; }; "
	"soon gid :0a0a:000 && soon gid ^fd0a: && "
	"ip addr add 169.254.78.1/32 dev veth1 && soon gid :a9fe:4e01 && "
	"ip addr del 169.254.78.1/32 dev veth1 && soon no_gid :a9fe:4e01";

static int number(enum qt_host host)
{
	return host == QT_SERVER ? 1 : 2;
}

static int link_of(enum qt_host host)
{
	int n = number(host);

	return qt_sh(IB_HOSTS, host, link_addresses, n, n);
}

static int link_complete(enum qt_host host)
{
	if (qt_sh(IB_HOSTS, host, link_up))
		return -1;
	return IB_HOSTS != be_rxe4.hosts ? 0 :
	       qt_sh(IB_HOSTS, host, link_rxe, getpid(), number(host));
}

int ib_add_link(void)
{
	return qt_sh(IB_HOSTS, QT_SERVER, "ip link add veth1 type veth "
		     "peer name veth1 netns %d", getpid()) ||
	       link_of(QT_SERVER) || link_of(QT_CLIENT) ||
	       link_complete(QT_SERVER) || link_complete(QT_CLIENT) ? -1 : 0;
}

int ib_delete_link(void)
{
	return qt_sh(IB_HOSTS, QT_SERVER, "ip link del veth1") ? -1 : 0;
}

int ib_set_mtu(int mtu)
{
	static const char set[] = "ip link set veth0 mtu %d";

	return qt_sh(IB_HOSTS, QT_SERVER, set, mtu) ||
	       qt_sh(IB_HOSTS, QT_CLIENT, set, mtu) ? -1 : 0;
}

static const char *asked;

static int ifindex_here(void)
{
	return if_nametoindex(asked);
}

__u32 ib_ifindex(enum qt_host host, const char *name)
{
	asked = name;
	return host == QT_SERVER ? qt_on_server(ifindex_here) : ifindex_here();
}

/*
 * Sockets
 */

int ib_set_wait(int fd, int opt, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	return setsockopt(fd, SOL_SOCKET, opt, &tv, sizeof(tv));
}

int ib_open(enum qt_host host, int type)
{
	int fd;

	if (qt_enter(IB_HOSTS, host))
		return -1;
	fd = socket(AF_IB, type | SOCK_CLOEXEC, 0);
	if (qt_enter(IB_HOSTS, QT_CLIENT))
		abort();
	if (fd >= 0 && (ib_set_wait(fd, SO_RCVTIMEO, IB_WAIT_MS) ||
			ib_set_wait(fd, SO_SNDTIMEO, IB_WAIT_MS)))
		abort();
	return fd;
}

int ib_socket(enum qt_host host)
{
	return ib_open(host, SOCK_DGRAM);
}

int ib_socket_nonblock(enum qt_host host)
{
	return ib_open(host, SOCK_DGRAM | SOCK_NONBLOCK);
}

int ib_bound_at(enum qt_host host, struct ib_end *e)
{
	e->fd = ib_socket(host);
	return e->fd < 0 ? -1 : ib_bind(e->fd, &e->addr);
}

int ib_bound(int version, enum qt_host host, struct ib_end *e)
{
	e->addr = ib_addr(version, host, ib_port());
	return ib_bound_at(host, e);
}

int ib_try_bind(enum qt_host host, const struct sockaddr_ib *addr)
{
	struct ib_end e = { .addr = *addr };
	int ret = ib_bound_at(host, &e), err = errno;

	ib_close(&e);
	errno = err;
	return ret;
}

void ib_close(struct ib_end *e)
{
	if (e->fd > 0)
		close(e->fd);
	e->fd = -1;
}

/*
 * Addresses. Each process has 50 ports to go round with, so that what is about
 * to end does not stand in the way of what comes next.
 */

__u16 ib_port(void)
{
	static unsigned int count;

	return 10000 + getpid() % 1000 * 50 + count++ % 50;
}

__be64 ib_sid(__u16 port)
{
	return htobe64(IB_UDP_SPACE | port);
}

__u64 ib_sid_of(const struct sockaddr_ib *addr)
{
	return be64toh(addr->sib_sid);
}

struct sockaddr_ib ib_any(__u16 port)
{
	return (struct sockaddr_ib){
		.sib_family = AF_IB,
		.sib_pkey = htons(0xffff),
		.sib_sid = port ? ib_sid(port) : 0,
		.sib_sid_mask = ~0ULL,
	};
}

struct sockaddr_ib ib_addr_on(int link, int version, enum qt_host host,
			      __u16 port)
{
	struct sockaddr_ib a = ib_any(port);

	/* The first link only is InfiniBand's */
	if (!version && link)
		version = 4;
	if (!version) {
		a.sib_addr = ib_text_addr("fe80::ff:fe00:900", 0).sib_addr;
		a.sib_addr.sib_raw[15] = number(host);
	} else if (version == 4) {
		a.sib_addr.sib_addr16[5] = 0xffff;
		a.sib_addr.sib_addr32[3] = htonl(0x0a090000 + (link << 16) +
						 number(host));
	} else {
		a.sib_addr.sib_addr16[0] = htons(0xfd09 + link);
		a.sib_addr.sib_raw[15] = number(host);
	}
	return a;
}

struct sockaddr_ib ib_addr(int version, enum qt_host host, __u16 port)
{
	return ib_addr_on(0, version, host, port);
}

struct sockaddr_ib ib_qpn_addr(const struct sockaddr_ib *of, __u32 qpn)
{
	struct sockaddr_ib a = *of;

	a.sib_sid = htobe64(IB_SID_QPN | qpn);
	return a;
}

struct sockaddr_ib ib_text_addr(const char *gid, __u16 port)
{
	struct sockaddr_ib a = ib_any(port);

	if (inet_pton(AF_INET6, gid, &a.sib_addr) != 1)
		abort();
	return a;
}

struct sockaddr_ib ib_group(int version, __u8 n)
{
	char text[INET6_ADDRSTRLEN];
	struct sockaddr_ib a;

	/* A signature says that it is no group of IPv6, but InfiniBand's */
	snprintf(text, sizeof(text), version == 4 ? "::ffff:239.1.%d.9" :
		 version ? "ff0e::%x:9" : "ff15:a01b::%x:9", n + 1);
	a = ib_text_addr(text, 0);
	a.sib_sid_mask = 0;
	return a;
}

struct sockaddr_ib ib_absent(const struct sockaddr_ib *like, __u8 n)
{
	struct sockaddr_ib a = *like;

#ifdef QP_IB
	/* The subnet manager knows at once that it is nobody: but there is IP */
	a.sib_addr = ib_addr(4, QT_SERVER, 0).sib_addr;
#endif
	a.sib_addr.sib_raw[15] = n;
	return a;
}

bool ib_same_gid(const struct sockaddr_ib *a, const struct sockaddr_ib *b)
{
	return !memcmp(&a->sib_addr, &b->sib_addr, sizeof(a->sib_addr));
}

struct sockaddr_ib ib_wrong_addr(const struct sockaddr_ib *right,
				 const struct ib_wrong *w)
{
	struct sockaddr_ib a = *right;

	if (w->family)
		a.sib_family = w->family;
	if (w->pkey)
		a.sib_pkey = htons(w->pkey);
	if (w->sid || w->no_sid)
		a.sib_sid = htobe64(w->sid);
	if (w->gid)
		a.sib_addr = ib_text_addr(w->gid, 0).sib_addr;
	return a;
}

bool ib_from_host(const struct sockaddr_ib *from,
		  const struct sockaddr_ib *host)
{
	return from->sib_family == AF_IB && ib_same_gid(from, host) &&
	       ntohs(from->sib_pkey) == 0xffff &&
	       (ib_sid_of(from) & IB_SID_QPN_MASK) == IB_SID_QPN &&
	       from->sib_sid_mask == ~0ULL &&
	       from->sib_scope_id == host->sib_scope_id;
}

/* Of ib_ip_link on this host: what /proc/net/if_inet6 has in the scope of a link */
static struct sockaddr_ib found;

static int link_local_here(void)
{
	FILE *f = fopen("/proc/thread-self/net/if_inet6", "r");
	unsigned int word[4], index, len, scope, flags;
	char name[32];

	if (!f)
		return -1;
	found = ib_any(0);
	while (fscanf(f, "%8x%8x%8x%8x %x %x %x %x %31s", &word[0], &word[1],
		      &word[2], &word[3], &index, &len, &scope, &flags,
		      name) == 9) {
		if (scope != 0x20 || strcmp(name, ib_ip_link))
			continue;
		for (int i = 0; i < 4; i++)
			found.sib_addr.sib_addr32[i] = htonl(word[i]);
		found.sib_scope_id = index;
		break;
	}
	fclose(f);
	return found.sib_scope_id ? 0 : -1;
}

int ib_link_local(enum qt_host host, struct sockaddr_ib *addr)
{
	int err = host == QT_SERVER ? qt_on_server(link_local_here) :
				      link_local_here();

	*addr = found;
	return err;
}

/*
 * Calls
 */

int ib_bind(int fd, const struct sockaddr_ib *addr)
{
	return bind(fd, (const void *)addr, sizeof(*addr));
}

int ib_connect(int fd, const struct sockaddr_ib *addr)
{
	return connect(fd, (const void *)addr, sizeof(*addr));
}

int ib_dissolve(int fd)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	return connect(fd, &none, sizeof(none));
}

ssize_t ib_sendto(int fd, const void *p, size_t len, int flags,
		  const struct sockaddr_ib *to)
{
	return sendto(fd, p, len, flags, (const void *)to, sizeof(*to));
}

/* A length that is not that of the whole address is an error of the kernel's */
static int whole(socklen_t len)
{
	if (len == sizeof(struct sockaddr_ib))
		return 0;
	errno = EPROTO;
	return -1;
}

ssize_t ib_recvfrom(int fd, void *p, size_t len, int flags,
		    struct sockaddr_ib *from)
{
	socklen_t fromlen = sizeof(*from);
	ssize_t n;

	memset(from, 0, sizeof(*from));
	n = recvfrom(fd, p, len, flags, (void *)from, &fromlen);
	return n < 0 || whole(fromlen) ? -1 : n;
}

int ib_getsockname(int fd, struct sockaddr_ib *addr)
{
	socklen_t len = sizeof(*addr);

	memset(addr, 0xaa, sizeof(*addr));
	return getsockname(fd, (void *)addr, &len) ? -1 : whole(len);
}

int ib_getpeername(int fd, struct sockaddr_ib *addr)
{
	socklen_t len = sizeof(*addr);

	memset(addr, 0xaa, sizeof(*addr));
	return getpeername(fd, (void *)addr, &len) ? -1 : whole(len);
}

int ib_set(int fd, int opt, int val)
{
	return setsockopt(fd, SOL_IB, opt, &val, sizeof(val));
}

int ib_set_sol_socket(int fd, int opt, int val)
{
	return setsockopt(fd, SOL_SOCKET, opt, &val, sizeof(val));
}

int ib_sol_socket(int fd, int opt)
{
	socklen_t len = sizeof(int);
	int val;

	return getsockopt(fd, SOL_SOCKET, opt, &val, &len) ? -1 : val;
}

int ib_ioctl_int(int fd, unsigned long cmd)
{
	int val = -1;

	return ioctl(fd, cmd, &val) ? -1 : val;
}

static __u32 meminfo(int fd, int which)
{
	__u32 info[SK_MEMINFO_VARS] = {};
	socklen_t len = sizeof(info);

	getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len);
	return info[which];
}

__u32 ib_drops(int fd)
{
	return meminfo(fd, SK_MEMINFO_DROPS);
}

__u32 ib_room_taken(int fd)
{
	return meminfo(fd, SK_MEMINFO_RMEM_ALLOC);
}

int ib_get(int fd, int opt)
{
	socklen_t len = sizeof(int);
	int val;

	if (getsockopt(fd, SOL_IB, opt, &val, &len))
		return -1;
	return len == sizeof(int) ? val : -1;
}

int ib_error(int fd, int ms)
{
	return qt_poll(fd, 0, ms) & POLLERR ? ib_sol_socket(fd, SO_ERROR) : 0;
}

int ib_membership(int fd, int opt, const struct sockaddr_ib *group,
		  const struct sockaddr_ib *port, __u32 flags)
{
	struct ib_mreq m = { .mgid = group->sib_addr, .flags = flags };

	if (port)
		m.gid = port->sib_addr;
	return setsockopt(fd, SOL_IB, opt, &m, sizeof(m));
}

int ib_join(const struct ib_end *e, int version, __u8 n, __u32 flags)
{
	struct sockaddr_ib group = ib_group(version, n);

	return ib_membership(e->fd, IB_ADD_MEMBERSHIP, &group, &e->addr, flags);
}

int ib_leave(const struct ib_end *e, int version, __u8 n)
{
	struct sockaddr_ib group = ib_group(version, n);

	return ib_membership(e->fd, IB_DROP_MEMBERSHIP, &group, &e->addr, 0);
}

static ssize_t call(struct ib_call *c)
{
	static const char buf[1000];
	char byte = 'x';

	switch (c->op) {
	case IB_CONNECT:
		return ib_connect(c->fd, &c->to);
	case IB_SENDTO:
		return ib_sendto(c->fd, &byte, 1, 0, &c->to);
	case IB_RECV:
		return recv(c->fd, &byte, 1, 0);
	case IB_SEND:
		return send(c->fd, buf, sizeof(buf), MSG_NOSIGNAL);
	case IB_ACCEPT:
		return accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
	case IB_SEND_LATER:
		break;
	}
	if (ib_sendto(c->fd, &byte, 1, MSG_DONTWAIT, &c->to) < 0)
		return -1;
	errno = ib_error(c->fd, GIVE_UP_MS);
	return errno ? -1 : 0;
}

static void *call_thread(void *arg)
{
	struct ib_call *c = arg;

	c->ret = call(c);
	c->err = c->ret < 0 ? errno : 0;
	return NULL;
}

int ib_start(struct ib_call *c)
{
	return pthread_create(&c->thread, NULL, call_thread, c);
}

int ib_finish(struct ib_call *c)
{
	return pthread_join(c->thread, NULL) ? -1 : c->err;
}

/*
 * Messages
 */

/* Is what comes next the message @n? */
static bool arrives(int fd, __u64 n)
{
	__u64 buf[2];

	/* The socket may be one that does not wait itself */
	qt_poll(fd, POLLIN, IB_WAIT_MS);
	return recv(fd, buf, sizeof(buf), 0) == sizeof(n) && buf[0] == n;
}

bool ib_passes_to(int fd, const struct sockaddr_ib *addr, int to)
{
	static __u64 count;
	__u64 n = (__u64)getpid() << 32 | ++count;
	ssize_t sent = addr ? ib_sendto(fd, &n, sizeof(n), 0, addr) :
			      send(fd, &n, sizeof(n), 0);

	return sent == sizeof(n) && arrives(to, n);
}

bool ib_passes(const struct ib_end *from, const struct ib_end *to)
{
	return ib_passes_to(from->fd, &to->addr, to->fd);
}

bool ib_silent(int fd)
{
	char c;

	return !(qt_poll(fd, POLLIN, SHORT_MS) & POLLIN) &&
	       recv(fd, &c, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN;
}

void ib_drain(int fd)
{
	char c;

	while (qt_poll(fd, POLLIN, SHORT_MS) & POLLIN)
		recv(fd, &c, 1, MSG_DONTWAIT);
}

ssize_t ib_recvmsg(int fd, struct ib_msg *m, int flags)
{
	m->iov = (struct iovec){ m->data, sizeof(m->data) };
	m->h = (struct msghdr){
		.msg_name = &m->from, .msg_namelen = sizeof(m->from),
		.msg_iov = &m->iov, .msg_iovlen = 1,
		.msg_control = m->ctl, .msg_controllen = sizeof(m->ctl),
	};
	return recvmsg(fd, &m->h, flags);
}

const void *ib_cmsg(struct ib_msg *m, int level, int type, size_t len)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(&m->h); c; c = CMSG_NXTHDR(&m->h, c))
		if (c->cmsg_level == level && c->cmsg_type == type)
			return c->cmsg_len < CMSG_LEN(len) ? NULL :
							     CMSG_DATA(c);
	return NULL;
}

const struct ib_info *ib_info(struct ib_msg *m)
{
	return ib_cmsg(m, SOL_IB, IB_INFO, sizeof(struct ib_info));
}

ssize_t ib_send_cmsg(int fd, const struct sockaddr_ib *to, int level, int type,
		     const void *val, size_t len)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(64)];
	} ctl = { .h = { CMSG_LEN(len), level, type } };
	struct iovec iov = { (void *)"cmsg", 4 };
	struct msghdr msg = {
		.msg_name = (void *)to, .msg_namelen = to ? sizeof(*to) : 0,
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &ctl, .msg_controllen = CMSG_SPACE(len),
	};

	if (len > 64)
		abort();
	memcpy(CMSG_DATA(&ctl.h), val, len);
	return sendmsg(fd, &msg, 0);
}

/*
 * /proc/net/ib
 */

static const char heading[] =
	"sl type state local-gid/sid peer-gid/sid qpn rx_queue tx_queue "
	"drops uid inode ref";

/* The words of a line, with one space between them */
static void squeeze(char *line)
{
	char *to = line, *word, *rest = line;

	while ((word = strtok_r(rest, " \t\n", &rest))) {
		if (to != line)
			*to++ = ' ';
		memmove(to, word, strlen(word) + 1);
		to += strlen(to);
	}
	*to = 0;
}

static int parse(FILE *f, ino_t inode, struct ib_line *l)
{
	char text[512], sl[16], ref[16];
	unsigned long ino;
	int end;

	if (!fgets(text, sizeof(text), f))
		return -1;
	squeeze(text);
	if (strcmp(text, heading))
		return -1;
	while (fgets(text, sizeof(text), f)) {
		end = 0;
		squeeze(text);
		if (sscanf(text, "%15s %15s %15s %79s %79s %15s %23s %23s %lu "
			   "%lu %lu %15s%n", sl, l->type, l->state, l->local,
			   l->peer, l->qpn, l->rx, l->tx, &l->drops, &l->uid,
			   &ino, ref, &end) != 12 || text[end])
			return -1;
		if (ino == inode)
			return 1;
	}
	return 0;
}

int ib_proc_line(int fd, struct ib_line *line)
{
	FILE *f = fopen("/proc/thread-self/net/ib", "r");
	struct stat st;
	int ret;

	if (!f)
		return -1;
	ret = fstat(fd, &st) ? -1 : parse(f, st.st_ino, line);
	fclose(f);
	return ret;
}

static int lines_here(void)
{
	FILE *f = fopen("/proc/thread-self/net/ib", "r");
	int lines = -1, c;

	if (!f)
		return -1;
	while ((c = getc(f)) != EOF)
		lines += c == '\n';
	fclose(f);
	return lines;
}

int ib_proc_lines(enum qt_host host)
{
	return host == QT_SERVER ? qt_on_server(lines_here) : lines_here();
}
