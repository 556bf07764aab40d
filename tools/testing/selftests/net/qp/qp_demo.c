// SPDX-License-Identifier: GPL-2.0
/*
 * A first look at queue pairs: a server and a client, two processes of one
 * machine, talk through a queue pair of the pipe protocol and say what they do.
 *
 * The conversation is a row of steps, each with a part for the server and one
 * for the client. Everything that arrives is checked: the program ends with
 * status 1 if anything is wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libqp.h"

#define ADDRESS		"@qp_demo"	/* an abstract name, as AF_UNIX sockets have */
#define TIMEOUT_MS	60000		/* nothing here takes that long */
#define TEXT_MAX	160
#define ADDS		1000

/* What an end needs to know to reach into the memory of the other */
struct key {
	__u64 addr;
	__u64 length;
	__u32 rkey;
	__u32 pad;
};

/* Memory that an end registers and lets the other reach into */
struct desk {
	char note[TEXT_MAX];
	char answer[TEXT_MAX];
	__u64 counter;
	__u64 before;		/* an atomic returns what it found */
};

/* One of the two processes */
struct end {
	const char *name;
	int meeting;			/* socket to the other, to walk in step */
	struct lq listener;		/* the server's */
	struct lq qp;
	char inbox[TEXT_MAX];		/* where SENDs of the other arrive */
	struct qp_mem inbox_mem;
	struct desk *desk;
	struct qp_mem desk_mem;
	struct key far_desk;
};

#define say(me, fmt, ...) printf("  %s: " fmt "\n", (me)->name, ##__VA_ARGS__)

/* Goes on only if @ok; @what says what was expected */
static void check(const struct end *me, bool ok, const char *what)
{
	if (ok)
		return;
	say(me, "FAILED: %s", what);
	exit(1);
}

/* The same for a call that sets errno */
static void must(const struct end *me, bool ok, const char *what)
{
	if (ok)
		return;
	say(me, "FAILED: %s: %s", what, strerror(errno));
	exit(1);
}

/* Waits until the other end is here too */
static void meet(const struct end *me)
{
	char c = 0;

	check(me, write(me->meeting, &c, 1) == 1 && read(me->meeting, &c, 1) == 1,
	      "the other process is alive");
}

static void *memory(const struct end *me, size_t length)
{
	void *p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(me, p != MAP_FAILED, "memory");
	return p;
}

/*
 * The four things that one does with a queue pair: register memory, post a
 * work request, wait for a completion, and post room for a message.
 */

static void register_memory(struct end *me, void *addr, size_t length, __u32 access,
			    struct qp_mem *mem)
{
	must(me, !lq_mem_reg(me->qp.fd, addr, length, access, mem), "register memory");
}

/* A work request of the right shape; it is completed by fields and post() */
static struct qp_sqe *prepare(struct end *me, enum qp_opcode opcode, __u8 flags)
{
	struct qp_sqe *sqe = lq_sqe(&me->qp, opcode, flags, opcode);

	must(me, sqe, "room in the send queue");
	return sqe;
}

/* The kernel takes it from the ring: "ring the doorbell" */
static void post(struct end *me)
{
	lq_submit(&me->qp.sq);
	must(me, lq_enter(&me->qp, 1, 0, TIMEOUT_MS) == 1, "qp_enter() takes the request");
}

static struct qp_cqe wait_completion(struct end *me)
{
	struct qp_cqe cqe = { 0 };

	must(me, !lq_wait(&me->qp, &cqe, TIMEOUT_MS), "a completion in time");
	return cqe;
}

static void wait_success(struct end *me)
{
	check(me, wait_completion(me).status == QP_WC_SUCCESS, "a completion with success");
}

/* The data of a short message may stand in the ring entry itself */
static void send_inline(struct end *me, const void *data, __u32 length)
{
	lq_sqe_inline(prepare(me, QP_OP_SEND, 0), data, length);
	post(me);
}

static void send_text(struct end *me, const char *text)
{
	say(me, "SEND \"%s\"", text);
	send_inline(me, text, strlen(text) + 1);
}

/* Gives the next SEND of the other end a place to land, and waits for it */
static struct qp_cqe receive(struct end *me)
{
	struct qp_cqe cqe;

	memset(me->inbox, 0, sizeof(me->inbox));
	must(me, !lq_post_recv(&me->qp, 0, me->inbox, TEXT_MAX, me->inbox_mem.lkey),
	     "room for a message");
	cqe = wait_completion(me);
	check(me, cqe.status == QP_WC_SUCCESS && cqe.opcode == QP_OP_RECV, "a SEND from the other");
	return cqe;
}

static void receive_text(struct end *me, const char *expected)
{
	struct qp_cqe cqe = receive(me);

	say(me, "received %u bytes: \"%s\"", cqe.byte_len, me->inbox);
	check(me, !strcmp(me->inbox, expected), "the text that was sent");
}

/* Step 1: connect */

static struct qp_desc ring_sizes(void)
{
	struct qp_desc desc = lq_desc(8, 8, 0);

	desc.max_inline = TEXT_MAX;
	return desc;
}

static void have_inbox(struct end *me)
{
	register_memory(me, me->inbox, sizeof(me->inbox), QP_ACCESS_LOCAL_WRITE, &me->inbox_mem);
}

static void server_connect(struct end *me)
{
	struct qp_desc desc = ring_sizes();
	struct ucred cred;
	socklen_t len = sizeof(cred);

	must(me, !lq_listen_un(&me->listener, ADDRESS, QP_CLOEXEC, 1), "listen at " ADDRESS);
	say(me, "process %d listens at " ADDRESS, getpid());
	meet(me);
	must(me, !lq_accept(&me->qp, me->listener.fd, &desc), "qp_accept()");
	check(me, !getsockopt(me->qp.fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) &&
	      cred.pid == getppid(), "SO_PEERCRED names the client");
	say(me, "accepted: my queue pair is number %u, process %d is at the other end",
	    me->qp.desc.qpn, cred.pid);
	have_inbox(me);
}

static void client_connect(struct end *me)
{
	struct qp_desc desc = ring_sizes();

	meet(me);
	say(me, "process %d connects", getpid());
	must(me, !lq_open(&me->qp, AF_UNIX, QP_CLOEXEC, &desc), "queue_pair()");
	must(me, !lq_connect_un(&me->qp, ADDRESS), "qp_connect()");
	have_inbox(me);
}

/* Step 2: messages */

#define HELLO	"Hello, is anybody there?"
#define REPLY	"Yes, and your message was copied once, from your memory to mine."

static void server_messages(struct end *me)
{
	receive_text(me, HELLO);
	send_text(me, REPLY);
}

static void client_messages(struct end *me)
{
	send_text(me, HELLO);
	receive_text(me, REPLY);
}

/* Step 3: registered memory, and the keys to it */

static void open_desk(struct end *me)
{
	me->desk = memory(me, sizeof(*me->desk));
	register_memory(me, me->desk, sizeof(*me->desk), LQ_ACCESS_ALL, &me->desk_mem);
}

static void send_key(struct end *me, const struct qp_mem *mem)
{
	struct key key = { .addr = mem->addr, .length = mem->length, .rkey = mem->rkey };

	say(me, "registered %llu bytes at %#llx; SEND the key to it, rkey %#x",
	    key.length, key.addr, key.rkey);
	send_inline(me, &key, sizeof(key));
}

static struct key receive_key(struct end *me)
{
	struct key key;

	check(me, receive(me).byte_len == sizeof(key), "a key");
	memcpy(&key, me->inbox, sizeof(key));
	return key;
}

static void server_keys(struct end *me)
{
	open_desk(me);
	send_key(me, &me->desk_mem);
	me->far_desk = receive_key(me);
}

static void client_keys(struct end *me)
{
	open_desk(me);
	me->far_desk = receive_key(me);
	say(me, "got rkey %#x", me->far_desk.rkey);
	send_key(me, &me->desk_mem);
}

/* Step 4: WRITE and READ; the server's processor has no part in them */

#define NOTE	"The client wrote this here, and the server made no call."
#define ANSWER	"The server left this on its desk for whoever reads it."

/* Between a place on the own desk and the same place on the far one */
static void transfer(struct end *me, enum qp_opcode opcode, void *place, __u32 length)
{
	struct qp_sqe *sqe = prepare(me, opcode, QP_SQE_SIGNALED);
	__u64 offset = (char *)place - (char *)me->desk;

	lq_sqe_sge(sqe, place, length, me->desk_mem.lkey);
	lq_sqe_remote(sqe, me->far_desk.addr + offset, me->far_desk.rkey);
	post(me);
	wait_success(me);
}

static void server_rdma(struct end *me)
{
	memcpy(me->desk->answer, ANSWER, sizeof(ANSWER));
	meet(me);
	meet(me);
	say(me, "finds in its memory: \"%s\"", me->desk->note);
	check(me, !strcmp(me->desk->note, NOTE), "what the client wrote");
	meet(me);
}

static void client_rdma(struct end *me)
{
	meet(me);
	memcpy(me->desk->note, NOTE, sizeof(NOTE));
	say(me, "WRITE %zu bytes to the server's memory", sizeof(me->desk->note));
	transfer(me, QP_OP_WRITE, me->desk->note, sizeof(me->desk->note));
	meet(me);
	meet(me);
	say(me, "READ %zu bytes of it", sizeof(me->desk->answer));
	transfer(me, QP_OP_READ, me->desk->answer, sizeof(me->desk->answer));
	say(me, "read \"%s\"", me->desk->answer);
	check(me, !strcmp(me->desk->answer, ANSWER), "what the server left");
}

/* Step 5: atomics, in both directions at the same time */

static void fetch_and_add(struct end *me, __u64 add)
{
	struct qp_sqe *sqe = prepare(me, QP_OP_ATOMIC_ADD, QP_SQE_SIGNALED);

	lq_sqe_sge(sqe, &me->desk->before, sizeof(me->desk->before), me->desk_mem.lkey);
	lq_sqe_remote(sqe, me->far_desk.addr + offsetof(struct desk, counter),
		      me->far_desk.rkey);
	sqe->compare_add = add;
	post(me);
	wait_success(me);
}

static void both_count(struct end *me)
{
	unsigned int i;

	for (i = 0; i < ADDS; i++) {
		fetch_and_add(me, 1);
		check(me, me->desk->before == i, "each addition finds the one before");
	}
	meet(me);
	say(me, "%d additions done over there; my own counter stands at %llu",
	    ADDS, me->desk->counter);
	check(me, me->desk->counter == ADDS, "every addition counted");
}

/* Step 6: what the administrator sees */

static void show_proc(struct end *me)
{
	FILE *f = fopen("/proc/net/qp", "r");
	unsigned int lines = 0;
	char line[256];

	must(me, f, "open /proc/net/qp");
	while (fgets(line, sizeof(line), f)) {
		printf("  | %s", line);
		lines++;
	}
	fclose(f);
	check(me, lines >= 4, "a title, the listener and both ends");
}

/* Step 7: a key that the server never gave away */

static void server_refuse(struct end *me)
{
	struct pollfd hangup = { .fd = me->qp.fd };

	check(me, poll(&hangup, 1, TIMEOUT_MS) == 1 && hangup.revents & POLLHUP, "POLLHUP");
	meet(me);
	say(me, "the connection has failed, my memory still holds \"%s\"", me->desk->note);
	check(me, !strcmp(me->desk->note, NOTE), "untouched memory");
	lq_close(&me->qp);
}

static void client_refuse(struct end *me)
{
	struct qp_sqe *sqe = prepare(me, QP_OP_WRITE, QP_SQE_SIGNALED);
	__u32 wrong = me->far_desk.rkey ^ 1;
	struct qp_cqe cqe;

	say(me, "WRITE with rkey %#x, which is wrong", wrong);
	memset(me->desk->note, 'X', sizeof(me->desk->note));
	lq_sqe_sge(sqe, me->desk->note, sizeof(me->desk->note), me->desk_mem.lkey);
	lq_sqe_remote(sqe, me->far_desk.addr, wrong);
	post(me);
	cqe = wait_completion(me);
	say(me, "completed with status %u: %s", cqe.status,
	    cqe.status == QP_WC_REM_ACCESS_ERR ? "remote access error" : "unexpected");
	check(me, cqe.status == QP_WC_REM_ACCESS_ERR, "a remote access error");
	meet(me);
	lq_close(&me->qp);
}

/* Step 8: the client is a plain program now: no rings, only send() and recv() */

#define PLAIN	"I only know send() and recv()."
#define FINE	"And I only rings and completions. It makes no difference."

static void server_plain(struct end *me)
{
	struct qp_desc desc = ring_sizes();

	must(me, !lq_accept(&me->qp, me->listener.fd, &desc), "qp_accept()");
	have_inbox(me);
	receive_text(me, PLAIN);
	send_text(me, FINE);
	meet(me);
	lq_close(&me->qp);
}

static void client_plain(struct end *me)
{
	struct qp_desc no_rings = lq_desc(0, 0, 0);
	ssize_t n;

	must(me, !lq_open(&me->qp, AF_UNIX, QP_CLOEXEC, &no_rings), "queue_pair()");
	must(me, !lq_connect_un(&me->qp, ADDRESS), "qp_connect()");
	say(me, "send() \"%s\"", PLAIN);
	must(me, send(me->qp.fd, PLAIN, sizeof(PLAIN), 0) == sizeof(PLAIN), "send()");
	n = recv(me->qp.fd, me->inbox, sizeof(me->inbox), 0);
	check(me, n == sizeof(FINE) && !strcmp(me->inbox, FINE), "recv() the reply");
	say(me, "recv() returned %zd bytes: \"%s\"", n, me->inbox);
	meet(me);
	lq_close(&me->qp);
}

static const struct step {
	const char *title;
	void (*server)(struct end *me);
	void (*client)(struct end *me);
} steps[] = {
	{ "The client connects to the server", server_connect, client_connect },
	{ "They exchange messages", server_messages, client_messages },
	{ "Each registers memory and gives the other the key", server_keys, client_keys },
	{ "The client writes and reads the server's memory", server_rdma, client_rdma },
	{ "Each adds to a counter in the other's memory", both_count, both_count },
	{ "/proc/net/qp meanwhile", show_proc, NULL },
	{ "A wrong key is refused", server_refuse, client_refuse },
	{ "A plain program talks to one with rings", server_plain, client_plain },
	{ }
};

static void walk(struct end *me, bool server)
{
	const struct step *step;
	void (*part)(struct end *me);

	for (step = steps; step->title; step++) {
		meet(me);
		if (server)
			printf("\n%td. %s\n", step - steps + 1, step->title);
		meet(me);
		part = server ? step->server : step->client;
		if (part)
			part(me);
	}
	meet(me);
}

int main(void)
{
	struct end server = { .name = "server" }, client = { .name = "client" };
	int meeting[2], status;
	pid_t pid;

	setlinebuf(stdout);
	signal(SIGPIPE, SIG_IGN);
	must(&client, !socketpair(AF_UNIX, SOCK_STREAM, 0, meeting), "socketpair()");
	server.meeting = meeting[0];
	client.meeting = meeting[1];
	pid = fork();
	must(&client, pid >= 0, "fork()");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(client.meeting);
		walk(&server, true);
		return 0;
	}
	close(server.meeting);
	walk(&client, false);
	check(&client, waitpid(pid, &status, 0) == pid && !status, "the server ends well");
	printf("\nEverything arrived as it should.\n");
	return 0;
}
