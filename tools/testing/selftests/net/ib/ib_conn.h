/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Connections of AF_IB sockets: what the tests of SOCK_SEQPACKET and of
 * SOCK_STREAM share. Service IDs are those of rdma_cm's port space for them.
 */
#ifndef IB_CONN_H
#define IB_CONN_H

#include "ib_test.h"

/* The longest message of SOCK_SEQPACKET */
#define IB_MAX_MESSAGE	(16 << 20)

/* Whatever breaks, that is when both ends know of it, ms */
#define BROKEN_MS	60000

__be64 ib_conn_sid(__u16 port);
struct sockaddr_ib ib_conn_addr(int version, enum qt_host host, __u16 port);
struct sockaddr_ib ib_conn_any(__u16 port);
/* The same service ID, and the same GID: who it is */
bool ib_same_name(const struct sockaddr_ib *a, const struct sockaddr_ib *b);

/* Listen at @l->addr, or on the server at a fresh port */
int ib_listen_at(enum qt_host host, int type, struct ib_end *l, int backlog);
int ib_listen(int type, int version, struct ib_end *l);

/* accept(2), with waits as ib_open() has them; the address may be NULL */
int ib_accept(int fd, struct sockaddr_ib *peer);

/* Begin to connect from the client without waiting: a socket, or -1 */
int ib_dial(int type, const struct sockaddr_ib *to);
/* That it did, within a time: 0, or what it failed with */
int ib_dialled(int fd, int ms);
/* Both, and accept it */
int ib_pair(int type, const struct ib_end *l, int *a, int *b);

/* Wait until poll() says all of these; those of them that it does say */
int ib_await(int fd, short events, int ms);

/* recv(2) that tells msg_flags */
ssize_t ib_recv(int fd, void *p, size_t len, int flags, int *msg_flags);

/*
 * Is this the end of what the peer sends? 1; 0: an empty message; length of
 * what else came; or -1 with the error.
 */
int ib_at_end(int fd);

/* All of it, however many calls that takes; 0, or -1; errno 0 is the end */
int ib_send_all(int fd, const void *p, size_t len);
int ib_recv_all(int fd, void *p, size_t len);

/*
 * A message of qt_fill()'s bytes, whole: of SOCK_SEQPACKET it has its boundary.
 * 0, or what was wrong, see ib_wrongs[].
 */
enum { IB_FINE, IB_ERROR, IB_END, IB_LENGTH, IB_NO_EOR, IB_CONTENT };
extern const char *const ib_wrongs[];

int ib_send_msg(int fd, size_t len, __u32 seed);
int ib_recv_msg(int fd, int type, size_t len, __u32 seed);

/*
 * Send messages of that length, with seeds from @first on, until there is no
 * room; how many bytes, or -1. And take as many: 0, or what was wrong.
 */
ssize_t ib_fill_up(int fd, int type, size_t len, int first);
int ib_take(int fd, int type, size_t len, int first, ssize_t total);

/* How many sockets there are on both hosts; wait until there are @lines */
int ib_sockets(void);
int ib_settle(int lines);

#endif /* IB_CONN_H */
