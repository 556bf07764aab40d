/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of AF_IB sockets share */
#ifndef IB_TEST_H
#define IB_TEST_H

#include <stdbool.h>
#include <endian.h>
#include <pthread.h>
#include <sys/socket.h>
#include <linux/ib.h>

#include "qp_test.h"

#ifndef SOL_IB
#define SOL_IB		289
#endif

/* The port spaces of rdma_cm for datagrams and for connections */
#define IB_UDP_SPACE	0x1110000ULL
#define IB_TCP_SPACE	0x1060000ULL

/* How long sockets of these tests wait for what must come, ms */
#define IB_WAIT_MS	20000

/* A call that must not wait may take that long on a busy machine, ms */
#define AT_ONCE_MS	2000

/* What cannot be reached is given up after that time at the latest, ms */
#define GIVE_UP_MS	30000

/* The longest message over netdevices with an MTU of 1500 and of 9000 */
#define MTU		1024
#define MTU_9000	4096

/*
 * The hosts of qp_net.c, on which tests run as the client. Are they those whose
 * RDMA devices come as they are needed, or those with rxe?
 */
#if defined(QP_RXE)
#define IB_HOSTS	(be_rxe4.hosts)
#elif defined(QP_IB)
#define IB_HOSTS	(be_ib.hosts)
#else
#define IB_HOSTS	(be_roce4.hosts)
#define IB_ON_DEMAND
#endif

/*
 * Which kind of GIDs: versions of IP, or 0 for those of InfiniBand's own ports. On
 * hosts with such ports other links have IP.
 */
#ifdef QP_IB
#define IB_VERSIONS(v)	(int v = 0; v <= 0; v += 2)
#define IB_OTHER(v)	4
#else
#define IB_VERSIONS(v)	(int v = 4; v <= 6; v += 2)
#define IB_OTHER(v)	(10 - (v))
#endif

/* Make them anew, for this process alone */
int ib_own_hosts(void);

/* One more link of theirs: veth1, 10.10.0.x and fd0a::x. 0, or -1. */
int ib_add_link(void);
int ib_delete_link(void);
int ib_set_mtu(int mtu);

/* A netdevice's number, on this host or the other; 0 if there is none */
__u32 ib_ifindex(enum qt_host host, const char *name);

/* A socket, and its address: what it is bound to, if it is */
struct ib_end {
	int fd;
	struct sockaddr_ib addr;
};

/* A socket of the host's, which waits IB_WAIT_MS and no longer; or -1 */
int ib_socket(enum qt_host host);
int ib_socket_nonblock(enum qt_host host);
/* The same of any type, with the flags of socket(2) */
int ib_open(enum qt_host host, int type);
/* The same for some other time: SO_RCVTIMEO or SO_SNDTIMEO */
int ib_set_wait(int fd, int opt, int ms);

/* A port of the process' own that no other test uses */
__u16 ib_port(void);
__be64 ib_sid(__u16 port);
__u64 ib_sid_of(const struct sockaddr_ib *addr);

/*
 * Addresses, by version of IP: of a host, of its end of a link, of any host, of
 * a queue pair, of what text inet_pton() takes
 */
struct sockaddr_ib ib_addr(int version, enum qt_host host, __u16 port);
struct sockaddr_ib ib_addr_on(int link, int version, enum qt_host host,
			      __u16 port);
struct sockaddr_ib ib_any(__u16 port);
struct sockaddr_ib ib_qpn_addr(const struct sockaddr_ib *of, __u32 qpn);
struct sockaddr_ib ib_text_addr(const char *gid, __u16 port);

/* Of nobody, which takes a while to find out; with a service ID like another one's */
struct sockaddr_ib ib_absent(const struct sockaddr_ib *like, __u8 n);

/*
 * The netdevice with the link-local address: veth0, unless that is InfiniBand's. That
 * address of the host, with its scope there; 0, or -1
 */
extern const char ib_ip_link[];
int ib_link_local(enum qt_host host, struct sockaddr_ib *addr);

/* A group of this process' own */
struct sockaddr_ib ib_group(int version, __u8 n);

bool ib_same_gid(const struct sockaddr_ib *a, const struct sockaddr_ib *b);

/* What may be wrong with an address. What is 0 or NULL stays as it is. */
struct ib_wrong {
	const char *what;
	int calls;
	int err;
	__u16 family;
	__u16 pkey;
	__u64 sid;
	const char *gid;
	bool no_sid;
};

struct sockaddr_ib ib_wrong_addr(const struct sockaddr_ib *right,
				 const struct ib_wrong *w);

/*
 * Is this who sent a message: a queue pair of that host, in the form that can
 * be sent to?
 */
bool ib_from_host(const struct sockaddr_ib *from,
		  const struct sockaddr_ib *host);

/* The calls, which take these addresses whole */
int ib_bind(int fd, const struct sockaddr_ib *addr);
int ib_connect(int fd, const struct sockaddr_ib *addr);
int ib_dissolve(int fd);
ssize_t ib_sendto(int fd, const void *p, size_t len, int flags,
		  const struct sockaddr_ib *to);
/* The sender's address is cleared, and must come whole */
ssize_t ib_recvfrom(int fd, void *p, size_t len, int flags,
		    struct sockaddr_ib *from);
int ib_getsockname(int fd, struct sockaddr_ib *addr);
int ib_getpeername(int fd, struct sockaddr_ib *addr);

/* Options of the level SOL_IB that are an int; ib_get() is -1 on error */
int ib_set(int fd, int opt, int val);
int ib_get(int fd, int opt);
int ib_set_sol_socket(int fd, int opt, int val);
int ib_sol_socket(int fd, int opt);

/* What an ioctl puts into an int, -1 on error */
int ib_ioctl_int(int fd, unsigned long cmd);

/* Messages that the socket dropped */
__u32 ib_drops(int fd);
/* By messages that wait to be read, bytes */
__u32 ib_room_taken(int fd);

/* Make and bind one on a host, at a fresh port or at @e->addr */
int ib_bound(int version, enum qt_host host, struct ib_end *e);
int ib_bound_at(enum qt_host host, struct ib_end *e);
/* Could one be bound there? 0, or -1 with the error. */
int ib_try_bind(enum qt_host host, const struct sockaddr_ib *addr);
void ib_close(struct ib_end *e);

/* Something new goes from one to the other, within IB_WAIT_MS */
bool ib_passes(const struct ib_end *from, const struct ib_end *to);
bool ib_passes_to(int fd, const struct sockaddr_ib *addr, int to);
/* Nothing can be received, for a moment */
bool ib_silent(int fd);
/* Take what comes until nothing does */
void ib_drain(int fd);

/* Wait for a pending error and take it; 0 if there is none */
int ib_error(int fd, int ms);

/* A call that waits, in a thread of its own. IB_SEND sends 1000 bytes. */
enum ib_op {
	IB_CONNECT, IB_SENDTO, IB_SEND_LATER, IB_RECV, IB_SEND, IB_ACCEPT,
};

struct ib_call {
	pthread_t thread;
	enum ib_op op;
	int fd;
	struct sockaddr_ib to;
	ssize_t ret;
	int err;
};

int ib_start(struct ib_call *c);
/* Its error, or 0. Of IB_SEND_LATER it is the one that is pending then. */
int ib_finish(struct ib_call *c);

/* A message with all that recvmsg() says of it */
struct ib_msg {
	struct msghdr h;
	struct iovec iov;
	struct sockaddr_ib from;
	char data[MTU_9000 + 64];
	char ctl[512] __attribute__((aligned(8)));
};

ssize_t ib_recvmsg(int fd, struct ib_msg *m, int flags);
/* The data of a control message, NULL if there is none of that length */
const void *ib_cmsg(struct ib_msg *m, int level, int type, size_t len);
const struct ib_info *ib_info(struct ib_msg *m);
/* Send "cmsg" with a control message */
ssize_t ib_send_cmsg(int fd, const struct sockaddr_ib *to, int level, int type,
		     const void *val, size_t len);

/* Membership in a group: by its address and a port's, or of ib_group() */
int ib_membership(int fd, int opt, const struct sockaddr_ib *group,
		  const struct sockaddr_ib *port, __u32 flags);
int ib_join(const struct ib_end *e, int version, __u8 n, __u32 flags);
int ib_leave(const struct ib_end *e, int version, __u8 n);

/* A socket in /proc/net/ib, as text where it is not a number */
struct ib_line {
	char type[16];
	char local[80];
	char peer[80];
	char qpn[16];
	char rx[24];
	char tx[24];
	char state[16];
	unsigned long drops;
	unsigned long uid;
};

/*
 * The socket's line there as this host shows it: 1, or 0 if there is none. -1
 * if there is no such file, or it is not as described.
 */
int ib_proc_line(int fd, struct ib_line *line);
/* How many there are on a host; -1 if there is no such file */
int ib_proc_lines(enum qt_host host);

#endif /* IB_TEST_H */
