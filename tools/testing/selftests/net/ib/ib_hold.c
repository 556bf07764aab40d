// SPDX-License-Identifier: GPL-2.0
/*
 * ib_hold [WORD...]
 *
 * Makes AF_IB sockets and queue pairs, brings them into states and holds them there
 * while others look: does what the words say, then what lines of the standard input
 * say, and says "ready" after each. Words that wait say "waits" before. Most words
 * concern the socket that was made or chosen last. Ends with an error if something
 * fails, without one at the end of the input.
 */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include "libqp.h"

#define MAX_SOCKS	4096

/* The port spaces of rdma_cm, for connections and for datagrams */
#define SID_TCP		0x0000000001060000ULL
#define SID_UDP		0x0000000001110000ULL

static struct sock {
	int fd;
	int type;
	bool is_qp;
	struct lq q;
} socks[MAX_SOCKS];

static int nr_socks, cur = -1;
static char **word;
static int nr_words;

static char *next(const char *what)
{
	if (!nr_words)
		errx(2, "%s is missing", what);
	nr_words--;
	return *word++;
}

static int number(void)
{
	return strtol(next("an integer"), NULL, 0);
}

static struct sock *add(void)
{
	if (nr_socks == MAX_SOCKS)
		errx(2, "too many sockets");
	cur = nr_socks++;
	memset(&socks[cur], 0, sizeof(socks[cur]));
	return &socks[cur];
}

static struct sock *sock(void)
{
	if (cur < 0)
		errx(2, "no socket");
	return &socks[cur];
}

static int type_of(const char *name)
{
	if (!strcmp(name, "dgram"))
		return SOCK_DGRAM;
	if (!strcmp(name, "seqpacket"))
		return SOCK_SEQPACKET;
	if (!strcmp(name, "stream"))
		return SOCK_STREAM;
	errx(2, "%s is no type", name);
}

/* An address of IPv4 or IPv6, or a GID with "%netdevice" */
static void gid_of(char *text, struct sockaddr_ib *addr)
{
	char *dev = strchr(text, '%');
	struct in_addr in;

	if (dev) {
		*dev++ = 0;
		addr->sib_scope_id = if_nametoindex(dev);
	}
	if (inet_pton(AF_INET, text, &in) == 1) {
		addr->sib_addr.sib_addr32[2] = htonl(0xffff);
		addr->sib_addr.sib_addr32[3] = in.s_addr;
	} else if (inet_pton(AF_INET6, text, &addr->sib_addr) != 1) {
		errx(2, "%s is no address", text);
	}
}

static struct sockaddr_ib address(int type)
{
	struct sockaddr_ib addr = { .sib_family = AF_IB };
	__u64 sid;

	gid_of(next("a GID or name"), &addr);
	sid = number();
	if (sid)
		sid |= type == SOCK_DGRAM ? SID_UDP : SID_TCP;
	addr.sib_sid = htobe64(sid);
	addr.sib_sid_mask = ~0ULL;
	return addr;
}

static void do_new(void)
{
	int type = type_of(next("a type"));
	struct sock *s = add();

	s->type = type;
	s->fd = socket(AF_IB, type, 0);
	if (s->fd < 0)
		err(1, "socket");
}

static void do_bind(void)
{
	struct sock *s = sock();
	struct sockaddr_ib addr = address(s->type);

	if (bind(s->fd, (void *)&addr, sizeof(addr)))
		err(1, "bind");
}

/* So many, bound to any address */
static void do_many(void)
{
	int n = number(), type = type_of(next("a type"));
	struct sockaddr_ib any = { .sib_family = AF_IB };

	while (n--) {
		struct sock *s = add();

		s->type = type;
		s->fd = socket(AF_IB, type, 0);
		if (s->fd < 0 || bind(s->fd, (void *)&any, sizeof(any)))
			err(1, "socket %d", cur);
	}
}

/* Open and close some all the time, until the next word comes */
static void do_churn(void)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };
	int fds[16] = { 0 };

	printf("waits\n");
	for (unsigned int i = 0; !poll(&p, 1, 0); i++) {
		if (fds[i % 16])
			close(fds[i % 16]);
		fds[i % 16] = socket(AF_IB, i % 3 ? SOCK_DGRAM : SOCK_STREAM, 0);
		if (fds[i % 16] < 0)
			err(1, "socket");
	}
	for (int i = 0; i < 16; i++)
		close(fds[i]);
}

static void do_dev(void)
{
	char *dev = next("a netdevice");

	if (setsockopt(sock()->fd, SOL_SOCKET, SO_BINDTODEVICE, dev, strlen(dev)))
		err(1, "SO_BINDTODEVICE");
}

static void do_option(int opt)
{
	int val = number();

	if (setsockopt(sock()->fd, SOL_SOCKET, opt, &val, sizeof(val)))
		err(1, "option %d", opt);
}

static void do_mark(void)
{
	do_option(SO_MARK);
}

static void do_rcvbuf(void)
{
	do_option(SO_RCVBUF);
}

static void do_listen(void)
{
	if (listen(sock()->fd, number()))
		err(1, "listen");
}

static void do_accept(void)
{
	struct sock *l = sock(), *s = add();

	s->type = l->type;
	s->fd = accept(l->fd, NULL, NULL);
	if (s->fd < 0)
		err(1, "accept");
}

static void do_connect(void)
{
	struct sock *s = sock();
	struct sockaddr_ib addr = address(s->type);

	if (connect(s->fd, (void *)&addr, sizeof(addr)))
		err(1, "connect");
}

static void nonblock(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* Begin to connect */
static void do_start(void)
{
	struct sock *s = sock();
	struct sockaddr_ib addr = address(s->type);

	nonblock(s->fd);
	if (!connect(s->fd, (void *)&addr, sizeof(addr)) || errno != EINPROGRESS)
		err(1, "connect without waiting");
}

static char buf[1 << 20];

static void do_send(void)
{
	int n = number();

	if (send(sock()->fd, buf, n, MSG_NOSIGNAL) != n)
		err(1, "send");
}

/* Send until there is no more room */
static void do_fill(void)
{
	while (send(sock()->fd, buf, 1000, MSG_DONTWAIT | MSG_NOSIGNAL) == 1000)
		;
	if (errno != EAGAIN)
		err(1, "send");
}

static void do_recv(void)
{
	int n = number();

	if (recv(sock()->fd, buf, sizeof(buf), 0) != n)
		err(1, "recv");
}

static void do_shutdown(void)
{
	int how = strcmp(next("rd or wr"), "rd") ? SHUT_WR : SHUT_RD;

	if (shutdown(sock()->fd, how))
		err(1, "shutdown");
}

static void do_close(void)
{
	struct sock *s = sock();

	if (s->is_qp)
		lq_close(&s->q);
	else
		close(s->fd);
	s->fd = -1;
}

static void do_use(void)
{
	cur = number();
}

/* Who owns it from now on, of those that are made */
static void do_uid(void)
{
	int uid = number();

	if (setresuid(uid, uid, uid))
		err(1, "setresuid");
}

/* Wait for an error, and say it */
static void do_error(void)
{
	struct pollfd p = { .fd = sock()->fd };
	socklen_t len = sizeof(int);
	int error = 0;

	if (poll(&p, 1, 10000) != 1 || !(p.revents & POLLERR)) {
		printf("no POLLERR\n");
		return;
	}
	if (getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &error, &len))
		err(1, "SO_ERROR");
	printf("POLLERR%s %s\n", p.revents & POLLHUP ? " POLLHUP" : "",
	       strerrorname_np(error));
}

/* What a blocking call ends with while others end the socket */
static void said(int ret)
{
	if (ret < 0)
		printf("%s\n", strerrorname_np(errno));
	else
		printf("%d\n", ret);
}

static void do_wait_recv(void)
{
	printf("waits\n");
	said(recv(sock()->fd, buf, sizeof(buf), 0));
}

static void do_wait_accept(void)
{
	printf("waits\n");
	said(accept(sock()->fd, NULL, NULL));
}

static void do_wait_connect(void)
{
	struct sock *s = sock();
	struct sockaddr_ib addr = address(s->type);

	printf("waits\n");
	said(connect(s->fd, (void *)&addr, sizeof(addr)));
}

/*
 * Queue pairs
 */

/* An address: a path or @name, IP address and port, or the same as a GID */
struct qp_name {
	int domain;
	socklen_t len;
	struct sockaddr_storage addr;
};

static void qp_address(struct qp_name *n)
{
	struct sockaddr_in *in = (void *)&n->addr;
	char *text = next("a GID or name");

	memset(n, 0, sizeof(*n));
	if (*text == '@' || *text == '/') {
		n->domain = AF_UNIX;
		n->len = lq_addr_un((void *)&n->addr, text);
	} else if (!strncmp(text, "gid:", 4)) {
		struct sockaddr_ib *ib = (void *)&n->addr;

		n->domain = AF_IB;
		n->len = sizeof(*ib);
		ib->sib_family = AF_IB;
		gid_of(text + 4, ib);
		ib->sib_sid = htobe64(SID_TCP | number());
	} else {
		n->domain = AF_INET;
		n->len = sizeof(*in);
		in->sin_family = AF_INET;
		if (inet_pton(AF_INET, text, &in->sin_addr) != 1)
			errx(2, "%s is no address", text);
		in->sin_port = htons(number());
	}
}

static struct sock *qp_add(void)
{
	struct sock *s = add();

	s->is_qp = true;
	return s;
}

static void do_qp_listen(void)
{
	struct sock *s = qp_add();
	struct qp_name n;

	qp_address(&n);
	if (lq_listen(&s->q, n.domain, &n.addr, n.len, 0, 7))
		err(1, "queue_pair for listening");
	s->fd = s->q.fd;
}

static void qp_open(struct sock *s, int domain, unsigned int flags, __u32 type)
{
	struct qp_desc desc = lq_desc(16, 32, 64);

	desc.type = type;
	if (lq_open(&s->q, domain, flags, &desc))
		err(1, "queue_pair");
	s->fd = s->q.fd;
}

/* One that is connected to nobody */
static void do_qp_idle(void)
{
	qp_open(qp_add(), AF_INET, 0, QP_RC);
}

static void do_qp_sqpoll(void)
{
	struct qp_desc desc = lq_desc(16, 32, 64);
	struct sock *s = qp_add();

	desc.sq_cpu = number();
	desc.sq_idle = 77;
	if (lq_open(&s->q, AF_INET, QP_SQPOLL | QP_SQ_CPU, &desc))
		err(1, "queue_pair with QP_SQPOLL");
	s->fd = s->q.fd;
}

/* One for datagrams, at an address */
static void do_qp_ud(void)
{
	struct qp_desc desc = lq_desc(16, 32, 64);
	struct sock *s = qp_add();
	struct qp_name n;

	qp_address(&n);
	desc.type = QP_UD;
	desc.addr = (unsigned long)&n.addr;
	desc.addrlen = n.len;
	if (lq_open(&s->q, n.domain, 0, &desc))
		err(1, "queue_pair for datagrams");
	s->fd = s->q.fd;
}

static void do_qp_connect(void)
{
	struct sock *s = qp_add();
	struct qp_name n;

	qp_address(&n);
	qp_open(s, n.domain, 0, QP_RC);
	if (lq_sys_connect(s->fd, &n.addr, n.len))
		err(1, "qp_connect");
}

static void do_qp_start(void)
{
	struct sock *s = qp_add();
	struct qp_name n;

	qp_address(&n);
	qp_open(s, n.domain, QP_NONBLOCK, QP_RC);
	if (!lq_sys_connect(s->fd, &n.addr, n.len) || errno != EINPROGRESS)
		err(1, "qp_connect without waiting");
}

static void do_qp_accept(void)
{
	struct qp_desc desc = lq_desc(16, 32, 64);
	int l = sock()->fd;
	struct sock *s = qp_add();

	if (lq_accept(&s->q, l, &desc))
		err(1, "qp_accept");
	s->fd = s->q.fd;
}

static void do_qp_wait_accept(void)
{
	struct qp_desc desc = lq_desc(0, 0, 0);

	printf("waits\n");
	said(lq_sys_accept(sock()->fd, &desc));
}

/* Register so many bytes, and post so many receives into them */
static void do_qp_recvs(void)
{
	int bytes = number(), n = number();
	struct lq *q = &sock()->q;
	struct qp_mem mem;

	if (lq_mem_reg(q->fd, buf, bytes, LQ_ACCESS_ALL, &mem))
		err(1, "QP_MEM_REG");
	while (n--)
		if (lq_post_recv(q, n, buf, 64, mem.lkey))
			err(1, "posting a receive");
}

/* Post so many sends, for which the peer may have no receive */
static void do_qp_sends(void)
{
	struct lq *q = &sock()->q;
	int n = number();

	for (int i = 0; i < n; i++) {
		struct qp_sqe *sqe = lq_sqe(q, QP_OP_SEND, QP_SQE_SIGNALED, i);

		if (!sqe)
			err(1, "posting a send");
		lq_submit(&q->sq);
	}
	if (lq_enter(q, n, 0, -1) != n)
		err(1, "qp_enter");
}

/* The statuses of what completes now */
static void do_qp_completions(void)
{
	struct qp_cqe cqe;
	int n = number();

	while (n--) {
		if (lq_wait(&sock()->q, &cqe, 10000))
			err(1, "waiting for a completion");
		printf("status %u\n", cqe.status);
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} commands[] = {
	{ "new", do_new },		/* TYPE */
	{ "many", do_many },		/* N TYPE */
	{ "churn", do_churn },
	{ "bind", do_bind },		/* ADDRESS PORT */
	{ "dev", do_dev },		/* NETDEVICE */
	{ "mark", do_mark },		/* N */
	{ "rcvbuf", do_rcvbuf },	/* N */
	{ "listen", do_listen },	/* N */
	{ "accept", do_accept },
	{ "connect", do_connect },	/* ADDRESS PORT */
	{ "start", do_start },		/* ADDRESS PORT */
	{ "send", do_send },		/* BYTES */
	{ "fill", do_fill },
	{ "recv", do_recv },		/* BYTES */
	{ "shutdown", do_shutdown },	/* rd|wr */
	{ "close", do_close },
	{ "use", do_use },		/* N */
	{ "uid", do_uid },		/* N */
	{ "error", do_error },
	{ "wait-recv", do_wait_recv },
	{ "wait-accept", do_wait_accept },
	{ "wait-connect", do_wait_connect },	/* ADDRESS PORT */
	{ "qp-idle", do_qp_idle },
	{ "qp-sqpoll", do_qp_sqpoll },	/* CPU */
	{ "qp-ud", do_qp_ud },		/* ADDRESS */
	{ "qp-listen", do_qp_listen },	/* ADDRESS */
	{ "qp-connect", do_qp_connect },	/* ADDRESS */
	{ "qp-start", do_qp_start },	/* ADDRESS */
	{ "qp-accept", do_qp_accept },
	{ "qp-wait-accept", do_qp_wait_accept },
	{ "qp-recvs", do_qp_recvs },	/* BYTES N */
	{ "qp-sends", do_qp_sends },	/* N */
	{ "qp-completions", do_qp_completions },	/* N */
};

static void run(void)
{
	const char *name = next("a command");
	unsigned int i;

	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (!strcmp(name, commands[i].name)) {
			commands[i].run();
			return;
		}
	}
	errx(2, "what is %s?", name);
}

static void run_line(char *line)
{
	static const char delim[] = { ' ', '\n', 0 };
	static char *words[64];
	char *save = NULL, *w;

	nr_words = 0;
	for (w = strtok_r(line, delim, &save); w && nr_words < 64;
	     w = strtok_r(NULL, delim, &save))
		words[nr_words++] = w;
	word = words;
	while (nr_words)
		run();
	printf("ready\n");
}

int main(int argc, char **argv)
{
	struct rlimit files = { MAX_SOCKS + 64, MAX_SOCKS + 64 };
	char line[4096];

	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	setrlimit(RLIMIT_NOFILE, &files);
	word = argv + 1;
	nr_words = argc - 1;
	while (nr_words)
		run();
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin))
		run_line(line);
	return 0;
}
