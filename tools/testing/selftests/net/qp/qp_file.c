// SPDX-License-Identifier: GPL-2.0
/*
 * A file goes from one machine to another by RDMA WRITE:
 *
 *	qp_file [-p PROTOCOL] [-r FILE] [-q] receive ADDRESS PORT
 *	qp_file [-p PROTOCOL] [-n TIMES] [-q] send ADDRESS PORT FILE
 *
 * PROTOCOL is any (the default), roce, iwarp, or tcp, which is a TCP socket to
 * compare with. The file is registered where it lies, in the page cache, and is
 * written into memory of the receiver, which takes no part in it, but compares
 * SHA-256 digests afterwards. With -q only the best of all TIMES is reported.
 * -r has the receiver make an empty FILE when it listens.
 *
 * Both end with status 0 if the file arrived as it was.
 *
 *	sender				receiver
 *						READY: its receives are posted
 *	OFFER: name, length, digest
 *						KEY: where to write it
 *	WRITE, WRITE ...
 *	WRITTEN
 *						ARRIVED: it saw that
 *						VERDICT: digests are the same
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "libqp.h"

#define PIECE		(1UL << 20)	/* bytes of a WRITE */
#define PIECES_AT_ONCE	16
#define NOTES		2		/* receives for them */
#define TIMEOUT_MS	60000
#define DIGEST_CHARS	64

enum note_kind { READY = 1, OFFER, KEY, WRITTEN, ARRIVED, VERDICT };

/* All that they tell each other, beside the file */
struct note {
	__u32 kind;
	__u32 rkey;
	__u64 addr;
	__u64 length;
	__u32 more;			/* how often the file comes after this */
	__u32 same;			/* the verdict */
	char digest[DIGEST_CHARS];
	char name[64];
};

struct end;

/* What a queue pair and a socket of TCP do differently */
struct way {
	void (*listen)(struct end *me);
	void (*accept)(struct end *me);
	void (*connect)(struct end *me);
	void (*tell)(struct end *me, const struct note *note);
	void (*hear)(struct end *me, struct note *note);
	/* have memory that the peer can write, or that goes to the peer */
	void (*lend)(struct end *me, struct note *key);
	void (*take)(struct end *me);
	/* send it, or receive it */
	void (*put)(struct end *me, const struct note *key);
	void (*get)(struct end *me);
};

struct protocol {
	const char *option;
	const char *name;
	__u32 id;
	const struct way *way;
};

struct end {
	const char *name;
	const struct protocol *protocol;
	struct sockaddr_storage addr;
	socklen_t addrlen;
	const char *host, *port;
	struct lq listener, qp;		/* TCP: only their descriptors */
	struct note inbox[NOTES];
	struct qp_mem inbox_mem, data_mem;
	unsigned int heard;
	unsigned char *data;
	size_t length;
	bool quiet;
	const char *ready;
	double start;
};

#define say(me, fmt, ...) do {						\
	if (!(me)->quiet)						\
		printf("  %s: " fmt "\n", (me)->name, ##__VA_ARGS__);	\
} while (0)

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static double mib(size_t bytes)
{
	return bytes / 1048576.0;
}

/* A bar on a terminal, else a line for each quarter */
static void show_progress(const struct end *me, size_t before, size_t done)
{
	static const char bar[] = "########################################";
	double rate = done / (now() - me->start) / 1e9;
	int width = (sizeof(bar) - 1) * done / me->length;

	if (me->quiet)
		return;
	if (isatty(STDOUT_FILENO)) {
		printf("\r  %s: [%-40.*s] %4.0f MiB, %5.2f GB/s%s", me->name, width,
		       bar, mib(done), rate, done == me->length ? "\n" : "");
		fflush(stdout);
	} else if (4 * done / me->length > 4 * before / me->length) {
		say(me, "%3zu%%, %4.0f MiB, %5.2f GB/s",
		    100 * done / me->length, mib(done), rate);
	}
}

static void sha256(int fd, char *digest)
{
	char command[64];
	FILE *f;

	snprintf(command, sizeof(command), "exec sha256sum </proc/%d/fd/%d",
		 getpid(), fd);
	f = popen(command, "r");
	if (!f || fread(digest, 1, DIGEST_CHARS, f) != DIGEST_CHARS)
		errx(1, "sha256sum says nothing");
	while (fgetc(f) != EOF)
		;
	if (pclose(f))
		errx(1, "sha256sum failed");
}

/*
 * A queue pair
 */

static struct qp_desc rings(const struct end *me)
{
	struct qp_desc desc = lq_desc(2 * PIECES_AT_ONCE, NOTES, 0);

	desc.max_inline = sizeof(struct note);
	return desc;
}

static void post_receive(struct end *me, unsigned int nth)
{
	struct note *note = &me->inbox[nth % NOTES];

	if (lq_post_recv(&me->qp, 0, note, sizeof(*note), me->inbox_mem.lkey))
		err(1, "room for a message");
}

static void post_receives(struct end *me)
{
	if (lq_mem_reg(me->qp.fd, me->inbox, sizeof(me->inbox),
		       QP_ACCESS_LOCAL_WRITE, &me->inbox_mem))
		err(1, "QP_MEM_REG of %zu bytes", sizeof(me->inbox));
	for (unsigned int i = 0; i < NOTES; i++)
		post_receive(me, i);
}

static void qp_listens(struct end *me)
{
	struct qp_desc desc = lq_desc(0, 0, 0);

	desc.protocol = me->protocol->id;
	desc.addr = (unsigned long)&me->addr;
	desc.addrlen = me->addrlen;
	desc.backlog = 1;
	if (lq_open(&me->listener, me->addr.ss_family, QP_CLOEXEC | QP_LISTEN, &desc))
		err(1, "a listener at %s port %s", me->host, me->port);
}

static void qp_accepts(struct end *me)
{
	struct qp_desc desc = rings(me);

	if (lq_accept(&me->qp, me->listener.fd, &desc))
		err(1, "qp_accept");
	post_receives(me);
}

static void qp_connects(struct end *me)
{
	struct qp_desc desc = rings(me);

	desc.protocol = me->protocol->id;
	if (lq_open(&me->qp, me->addr.ss_family, QP_CLOEXEC, &desc))
		err(1, "queue_pair");
	/* before, so that whatever comes first has a place */
	post_receives(me);
	if (lq_sys_connect(me->qp.fd, &me->addr, me->addrlen))
		err(1, "qp_connect to %s port %s", me->host, me->port);
}

static struct qp_sqe *prepare(struct end *me, enum qp_opcode opcode, __u8 flags)
{
	struct qp_sqe *sqe = lq_sqe(&me->qp, opcode, flags, 0);

	if (!sqe)
		err(1, "room in the send queue");
	return sqe;
}

static void post(struct end *me)
{
	lq_submit(&me->qp.sq);
	if (lq_enter(&me->qp, 1, 0, TIMEOUT_MS) != 1)
		err(1, "qp_enter");
}

static void wait_for(struct end *me, enum qp_opcode opcode)
{
	struct qp_cqe cqe;

	if (lq_wait(&me->qp, &cqe, TIMEOUT_MS))
		err(1, "the %s waits for a completion", me->name);
	if (cqe.status != QP_WC_SUCCESS || cqe.opcode != opcode)
		errx(1, "the %s has a completion of operation %u with status %u",
		     me->name, cqe.opcode, cqe.status);
}

static void qp_tell(struct end *me, const struct note *note)
{
	lq_sqe_inline(prepare(me, QP_OP_SEND, 0), note, sizeof(*note));
	post(me);
}

static void qp_hear(struct end *me, struct note *note)
{
	wait_for(me, QP_OP_RECV);
	*note = me->inbox[me->heard % NOTES];
	post_receive(me, me->heard++);
}

static void register_data(struct end *me, __u32 access)
{
	if (lq_mem_reg(me->qp.fd, me->data, me->length, access, &me->data_mem))
		err(1, "QP_MEM_REG of %.0f MiB", mib(me->length));
}

static void qp_lend(struct end *me, struct note *key)
{
	register_data(me, QP_ACCESS_LOCAL_WRITE | QP_ACCESS_REMOTE_WRITE);
	key->addr = me->data_mem.addr;
	key->rkey = me->data_mem.rkey;
	say(me, "registered %.0f MiB for it; the key is %#x", mib(me->length),
	    key->rkey);
}

static void qp_take(struct end *me)
{
	register_data(me, 0);
}

static size_t write_piece(struct end *me, const struct note *key, size_t offset)
{
	struct qp_sqe *sqe = prepare(me, QP_OP_WRITE, QP_SQE_SIGNALED);
	size_t length = me->length - offset < PIECE ? me->length - offset : PIECE;

	lq_sqe_sge(sqe, me->data + offset, length, me->data_mem.lkey);
	lq_sqe_remote(sqe, key->addr + offset, key->rkey);
	post(me);
	return offset + length;
}

static void qp_put(struct end *me, const struct note *key)
{
	size_t pieces = (me->length + PIECE - 1) / PIECE;
	size_t posted = 0, done = 0, sent = 0, before;

	while (done < pieces) {
		while (posted < pieces && posted - done < PIECES_AT_ONCE) {
			sent = write_piece(me, key, sent);
			posted++;
		}
		wait_for(me, QP_OP_WRITE);
		before = done++ * PIECE;
		show_progress(me, before,
			      done == pieces ? me->length : done * PIECE);
	}
}

/* The peer has written it */
static void qp_get(struct end *me)
{
}

static const struct way queue_pair = {
	.listen = qp_listens, .accept = qp_accepts, .connect = qp_connects,
	.tell = qp_tell, .hear = qp_hear, .lend = qp_lend, .take = qp_take,
	.put = qp_put, .get = qp_get,
};

/*
 * TCP
 */

static int tcp_socket(const struct end *me)
{
	int one = 1, fd = socket(me->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(1, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return fd;
}

static void tcp_listens(struct end *me)
{
	me->listener.fd = tcp_socket(me);
	if (bind(me->listener.fd, (void *)&me->addr, me->addrlen) ||
	    listen(me->listener.fd, 1))
		err(1, "a listener at %s port %s", me->host, me->port);
}

static void tcp_accepts(struct end *me)
{
	me->qp.fd = accept4(me->listener.fd, NULL, NULL, SOCK_CLOEXEC);
	if (me->qp.fd < 0)
		err(1, "accept");
}

static void tcp_connects(struct end *me)
{
	me->qp.fd = tcp_socket(me);
	if (connect(me->qp.fd, (void *)&me->addr, me->addrlen))
		err(1, "connect to %s port %s", me->host, me->port);
}

static void tcp_write(struct end *me, const void *data, size_t length)
{
	ssize_t n;

	for (size_t done = 0; done < length; done += n) {
		n = send(me->qp.fd, data + done, length - done, MSG_NOSIGNAL);
		if (n <= 0)
			err(1, "send");
	}
}

static void tcp_read(struct end *me, void *data, size_t length)
{
	ssize_t n = recv(me->qp.fd, data, length, MSG_WAITALL);

	if (n < 0)
		err(1, "recv");
	if (n != length)
		errx(1, "the connection ended after %zd bytes of %zu", n, length);
}

static void tcp_tell(struct end *me, const struct note *note)
{
	tcp_write(me, note, sizeof(*note));
}

static void tcp_hear(struct end *me, struct note *note)
{
	tcp_read(me, note, sizeof(*note));
}

static void tcp_lend(struct end *me, struct note *key)
{
}

static void tcp_take(struct end *me)
{
}

static void tcp_put(struct end *me, const struct note *key)
{
	size_t done = 0, n;

	while (done < me->length) {
		n = me->length - done < PIECE ? me->length - done : PIECE;
		tcp_write(me, me->data + done, n);
		done += n;
		show_progress(me, done - n, done);
	}
}

static void tcp_get(struct end *me)
{
	tcp_read(me, me->data, me->length);
}

static const struct way tcp = {
	.listen = tcp_listens, .accept = tcp_accepts, .connect = tcp_connects,
	.tell = tcp_tell, .hear = tcp_hear, .lend = tcp_lend, .take = tcp_take,
	.put = tcp_put, .get = tcp_get,
};

static const struct protocol protocols[] = {
	{ "any", "any protocol", QP_PROTO_ANY, &queue_pair },
	{ "roce", "RoCE", QP_PROTO_ROCE, &queue_pair },
	{ "iwarp", "iWARP", QP_PROTO_IWARP, &queue_pair },
	{ "ib", "InfiniBand", QP_PROTO_IB, &queue_pair },
	{ "opa", "Omni-Path", QP_PROTO_OPA, &queue_pair },
	{ "tcp", "TCP", 0, &tcp },
	{ }
};

/* The one that was chosen */
static const char *protocol_name(const struct end *me)
{
	unsigned int len = sizeof(__u32);
	const struct protocol *p;
	__u32 id;

	if (me->protocol->way == &tcp)
		return me->protocol->name;
	if (lq_sys_getopt(me->qp.fd, QP_PROTO, &id, &len))
		err(1, "QP_PROTO");
	for (p = protocols; p->option; p++)
		if (p->way == &queue_pair && p->id == id)
			return p->name;
	errx(1, "protocol %u", id);
}

static void tell(struct end *me, enum note_kind kind, struct note *note)
{
	note->kind = kind;
	me->protocol->way->tell(me, note);
}

static struct note hear(struct end *me, enum note_kind kind)
{
	struct note note;

	me->protocol->way->hear(me, &note);
	if (note.kind != kind)
		errx(1, "the %s heard %u instead of %u", me->name, note.kind, kind);
	return note;
}

/*
 * The receiver
 */

/* A file in memory, whose pages are there */
static int make_file(struct end *me)
{
	int fd = memfd_create("qp_file", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, me->length))
		err(1, "%.0f MiB of memory", mib(me->length));
	me->data = mmap(NULL, me->length, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_POPULATE, fd, 0);
	if (me->data == MAP_FAILED)
		err(1, "%.0f MiB of memory", mib(me->length));
	return fd;
}

static void drop_data(struct end *me)
{
	if (me->data_mem.lkey && lq_mem_dereg(me->qp.fd, me->data_mem.lkey))
		err(1, "QP_MEM_DEREG");
	me->data_mem.lkey = 0;
	munmap(me->data, me->length);
}

static bool is_same(struct end *me, int fd, const char *digest)
{
	char mine[DIGEST_CHARS];
	bool same;

	sha256(fd, mine);
	same = !memcmp(mine, digest, DIGEST_CHARS);
	say(me, "SHA-256 of what arrived\n    %.*s: %s", DIGEST_CHARS, mine,
	    same ? "the same" : "NOT the same");
	return same;
}

static bool receive_file(struct end *me, __u32 *more)
{
	struct note note = { 0 }, offer;
	int fd;

	tell(me, READY, &note);
	offer = hear(me, OFFER);
	*more = offer.more;
	me->length = offer.length;
	fd = make_file(me);
	me->protocol->way->lend(me, &note);
	tell(me, KEY, &note);
	me->protocol->way->get(me);
	hear(me, WRITTEN);
	tell(me, ARRIVED, &note);
	note.same = is_same(me, fd, offer.digest);
	tell(me, VERDICT, &note);
	drop_data(me);
	close(fd);
	return note.same;
}

/* The sender closes when it has heard the verdict */
static void await_end(struct end *me)
{
	struct note note;

	if (me->protocol->way == &tcp)
		recv(me->qp.fd, &note, sizeof(note), 0);
	else
		lq_enter(&me->qp, 0, 1, TIMEOUT_MS);
}

static void be_ready(const struct end *me)
{
	if (!me->ready)
		return;
	if (close(open(me->ready, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600)))
		err(1, "%s", me->ready);
}

static int receiver(struct end *me)
{
	const struct way *way = me->protocol->way;
	bool same = true;
	__u32 more;

	way->listen(me);
	say(me, "listens at %s port %s for %s", me->host, me->port,
	    me->protocol->name);
	be_ready(me);
	way->accept(me);
	do {
		same &= receive_file(me, &more);
	} while (more);
	await_end(me);
	return !same;
}

/*
 * The sender
 */

static void open_file(struct end *me, const char *path, char *digest)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", path);
	if (!S_ISREG(st.st_mode) || !st.st_size)
		errx(1, "%s: not a file, or an empty one", path);
	me->length = st.st_size;
	me->data = mmap(NULL, me->length, PROT_READ, MAP_PRIVATE | MAP_POPULATE,
			fd, 0);
	if (me->data == MAP_FAILED)
		err(1, "%s", path);
	sha256(fd, digest);
	close(fd);
}

/* Bytes per second */
static double send_file(struct end *me, struct note *offer)
{
	struct note key, note = { 0 };
	double seconds;

	hear(me, READY);
	tell(me, OFFER, offer);
	key = hear(me, KEY);
	me->start = now();
	me->protocol->way->put(me, &key);
	tell(me, WRITTEN, &note);
	hear(me, ARRIVED);
	seconds = now() - me->start;
	say(me, "%.0f MiB arrived in %.3f s, %.2f GB/s", mib(me->length), seconds,
	    me->length / seconds / 1e9);
	if (!hear(me, VERDICT).same)
		errx(1, "%s did not arrive as it was sent", offer->name);
	return me->length / seconds;
}

static int sender(struct end *me, const char *path, unsigned int times)
{
	struct note offer = { 0 };
	double rate, best = 0;

	open_file(me, path, offer.digest);
	offer.length = me->length;
	snprintf(offer.name, sizeof(offer.name), "%s", basename(path));
	say(me, "%s, %.0f MiB, SHA-256\n    %.*s", offer.name, mib(me->length),
	    DIGEST_CHARS, offer.digest);
	me->start = now();
	me->protocol->way->connect(me);
	say(me, "connected by %s after %.0f ms", protocol_name(me),
	    1e3 * (now() - me->start));
	me->protocol->way->take(me);
	for (offer.more = times; offer.more--; ) {
		rate = send_file(me, &offer);
		best = rate > best ? rate : best;
	}
	if (me->quiet)
		printf("  %-8s %6.2f GB/s %7.2f Gbit/s\n", protocol_name(me),
		       best / 1e9, best * 8 / 1e9);
	drop_data(me);
	lq_close(&me->qp);
	return 0;
}

static const struct protocol *protocol_of(const char *option)
{
	const struct protocol *p;

	for (p = protocols; p->option; p++)
		if (!strcmp(p->option, option))
			return p;
	errx(2, "no protocol is called %s", option);
}

static void resolve(struct end *me, const char *host, const char *port)
{
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	}, *ai;
	int ret = getaddrinfo(host, port, &hints, &ai);

	if (ret)
		errx(2, "%s port %s: %s", host, port, gai_strerror(ret));
	memcpy(&me->addr, ai->ai_addr, ai->ai_addrlen);
	me->addrlen = ai->ai_addrlen;
	me->host = host;
	me->port = port;
	freeaddrinfo(ai);
}

static int synopsis(void)
{
	fputs("usage: qp_file [-p PROTOCOL] [-r FILE] [-q] receive ADDRESS PORT\n"
	      "       qp_file [-p PROTOCOL] [-n TIMES] [-q] send ADDRESS PORT FILE\n"
	      "PROTOCOL: any, roce, iwarp, ib, opa, tcp\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	struct end me = { .protocol = protocols };
	unsigned int times = 1;
	int opt;

	setlinebuf(stdout);
	while ((opt = getopt(argc, argv, "p:n:qr:")) != -1) {
		switch (opt) {
		case 'p':
			me.protocol = protocol_of(optarg);
			break;
		case 'n':
			times = atoi(optarg);
			break;
		case 'q':
			me.quiet = true;
			break;
		case 'r':
			me.ready = optarg;
			break;
		default:
			return synopsis();
		}
	}
	argc -= optind;
	argv += optind;
	if (argc < 3 || !times)
		return synopsis();
	me.name = strcmp(argv[0], "send") ? "receiver" : "sender";
	resolve(&me, argv[1], argv[2]);
	if (argc == 3 && !strcmp(argv[0], "receive"))
		return receiver(&me);
	if (argc == 4 && !strcmp(argv[0], "send"))
		return sender(&me, argv[3], times);
	return synopsis();
}
