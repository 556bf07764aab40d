// SPDX-License-Identifier: GPL-2.0
/* Two processes with an RDMA device each; see pair.h */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <rdma/rdma_cma.h>

#include "pair.h"

struct pair_options pair_options = { .timeout = 14, .seconds = 60 };

void die(const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	if (error)
		fprintf(stderr, ": %s", strerror(error));
	fputc('\n', stderr);
	exit(1);
}

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

bool pair_option(int opt, const char *arg)
{
	char *end;

	switch (opt) {
	case '6':
		pair_options.ipv6 = true;
		return true;
	case '1':
		pair_options.roce_v1 = true;
		return true;
	case 'c':
		pair_options.cm = true;
		return true;
	case 'G':
		pair_options.grh = true;
		return true;
	case 'k':
		pair_options.pkey[0] = strtoul(arg, &end, 0);
		pair_options.pkey[1] = *end == ':' ? strtoul(end + 1, NULL, 0) :
						     pair_options.pkey[0];
		return true;
	case 'm':
		pair_options.mtu = atoi(arg);
		return true;
	case 't':
		pair_options.timeout = atoi(arg);
		return true;
	case 'T':
		pair_options.seconds = atoi(arg);
		return true;
	}
	return false;
}

/*
 * The two processes
 */

/* Enter a namespace as "ip netns exec" does: /sys shows what is in it */
static void enter(const char *ns)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", ns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die("network namespace %s", ns);
	close(fd);
	if (unshare(CLONE_NEWNS) || mount("", "/", NULL, MS_SLAVE | MS_REC, NULL) ||
	    umount2("/sys", MNT_DETACH) || mount(ns, "/sys", "sysfs", 0, NULL))
		die("/sys of network namespace %s", ns);
}

/* Whether a GID is what was asked for; the rest of RoCE's are link-local */
static bool gid_wanted(const struct ibv_gid_entry *g)
{
	const struct in6_addr *a = (const struct in6_addr *)g->gid.raw;

	if (g->gid_type == IBV_GID_TYPE_IB)
		return true;
	if (g->gid_type != (pair_options.roce_v1 ? IBV_GID_TYPE_ROCE_V1 : IBV_GID_TYPE_ROCE_V2))
		return false;
	if (pair_options.ipv6)
		return !IN6_IS_ADDR_V4MAPPED(a) && !IN6_IS_ADDR_LINKLOCAL(a);
	/* lib.sh has a link-local one for a while */
	return IN6_IS_ADDR_V4MAPPED(a) && (ntohl(a->s6_addr32[3]) >> 16 != 0xa9fe);
}

static void choose_gid(struct end *e, const char *dev)
{
	struct ibv_gid_entry table[64];
	ssize_t n;
	int tries;

	/* the table follows the addresses a moment later */
	for (tries = 0; tries < 100; tries++, usleep(50000)) {
		n = ibv_query_gid_table(e->ctx, table, 64, 0);
		while (n-- > 0) {
			if (!gid_wanted(&table[n]))
				continue;
			e->gid = table[n].gid;
			e->gid_index = table[n].gid_index;
			return;
		}
	}
	die("%s has no GID of the kind asked for", dev ?: "the device");
}

/* An address of the namespace that the other end can reach */
static struct sockaddr_in own_address(void)
{
	struct sockaddr_in found = { .sin_family = AF_INET };
	struct ifaddrs *all, *i;

	if (getifaddrs(&all))
		die("getifaddrs");
	for (i = all; i; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET ||
		    i->ifa_flags & IFF_LOOPBACK)
			continue;
		found.sin_addr = ((struct sockaddr_in *)i->ifa_addr)->sin_addr;
	}
	freeifaddrs(all);
	return found;
}

/* Side 1 listens, side 0 finds the way to it. The device is what the way takes. */
static void open_way(struct end *e)
{
	struct sockaddr_in to = own_address();

	if (rdma_create_id(NULL, &e->id, NULL, RDMA_PS_TCP))
		die("rdma_create_id");
	if (e->side) {
		if (rdma_bind_addr(e->id, (void *)&to) || rdma_listen(e->id, 1))
			die("rdma_listen");
		to.sin_port = rdma_get_src_port(e->id);
		tell(e, &to, sizeof(to));
	} else {
		hear(e, &to, sizeof(to));
		if (rdma_resolve_addr(e->id, NULL, (void *)&to, 5000) ||
		    rdma_resolve_route(e->id, 5000))
			die("no way to the other end");
	}
	e->ctx = e->id->verbs;
}

/* Is an address of the namespace a GID of the device? */
static bool is_here(struct ibv_context *ctx)
{
	struct in_addr own = own_address().sin_addr;
	struct ibv_gid_entry table[64];
	ssize_t n = ibv_query_gid_table(ctx, table, 64, 0);

	while (n-- > 0)
		if (IN6_IS_ADDR_V4MAPPED((struct in6_addr *)table[n].gid.raw) &&
		    !memcmp(&table[n].gid.raw[12], &own, sizeof(own)))
			return true;
	return false;
}

/*
 * The device that is called so, or one of the namespace for which a program needs
 * no rdma_cm: devices of other namespaces may be seen too
 */
static struct ibv_context *open_device(struct ibv_device *device, const char *dev)
{
	struct ibv_context *ctx;

	if (dev ? strcmp(ibv_get_device_name(device), dev) :
		  device->transport_type != IBV_TRANSPORT_IB)
		return NULL;
	ctx = ibv_open_device(device);
	if (!ctx || dev || is_here(ctx))
		return ctx;
	ibv_close_device(ctx);
	return NULL;
}

static void open_by_name(struct end *e, const char *dev)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	int i;

	for (i = 0; list && list[i] && !e->ctx; i++)
		e->ctx = open_device(list[i], dev);
	if (!e->ctx)
		die("cannot open device %s", dev ?: "at all");
	ibv_free_device_list(list);
	choose_gid(e, dev);
}

void pair_open(struct end *e, const char *dev)
{
	if (pair_options.cm)
		open_way(e);
	else
		open_by_name(e, dev);
	if (ibv_query_port(e->ctx, 1, &e->port))
		die("ibv_query_port");
	e->pd = ibv_alloc_pd(e->ctx);
	if (!e->pd)
		die("ibv_alloc_pd");
}

static int run_end(const char *name, int side, int fd, int (*fn)(struct end *e))
{
	struct end e = { .side = side, .peer = fd };
	const char *slash = strchr(name, '/');
	char ns[32];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(pair_options.seconds);
	if (slash) {
		snprintf(ns, sizeof(ns), "%.*s", (int)(slash - name), name);
		enter(ns);
		name = slash + 1;
	}
	errno = 0;
	pair_open(&e, name);
	return fn(&e);
}

/*
 * A process is made where it will run, so that what the machine makes for it is
 * there too: its parent goes there before it forks.
 */
static void go_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % sysconf(_SC_NPROCESSORS_ONLN), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

int pair_run(char *const names[2], int (*fn)(struct end *e))
{
	int side, status, fds[2], result = 0;
	pid_t pid[2], ended;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		die("socketpair");
	fflush(NULL);
	for (side = 0; side < 2; side++) {
		if (pair_options.apart)
			go_to(side);
		pid[side] = fork();
		if (pid[side] < 0)
			die("fork");
		if (pid[side])
			continue;
		close(fds[!side]);
		exit(run_end(names[side], side, fds[side], fn));
	}
	close(fds[0]);
	close(fds[1]);
	while ((ended = wait(&status)) > 0) {
		side = ended == pid[1];
		if (pair_options.serves && !side)
			kill(pid[1], SIGTERM);
		if (pair_options.serves && side)
			continue;
		if (WIFSIGNALED(status))
			fprintf(stderr, "%s: %s\n", names[side],
				WTERMSIG(status) == SIGALRM ? "took too long" :
				strsignal(WTERMSIG(status)));
		status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
		if (status > result)
			result = status;
	}
	return result;
}

/*
 * What they say to each other
 */

void tell(struct end *e, const void *p, size_t len)
{
	if (send(e->peer, p, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("the other end does not listen");
}

void hear(struct end *e, void *p, size_t len)
{
	errno = 0;
	if (recv(e->peer, p, len, MSG_WAITALL) != (ssize_t)len)
		die("the other end is silent");
}

void exchange(struct end *e, const void *mine, void *theirs, size_t len)
{
	tell(e, mine, len);
	hear(e, theirs, len);
}

void barrier(struct end *e)
{
	char c = 0;

	exchange(e, &c, &c, 1);
}

/*
 * Memory
 */

struct buffer buffer_make(struct ibv_pd *pd, size_t len, int access)
{
	struct buffer b = { .len = len };

	b.p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b.p == MAP_FAILED)
		die("mmap");
	b.mr = ibv_reg_mr(pd, b.p, len, access);
	if (!b.mr)
		die("ibv_reg_mr");
	return b;
}

void buffer_free(struct buffer *b)
{
	ibv_dereg_mr(b->mr);
	munmap(b->p, b->len);
}

static uint64_t next_word(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state ^ *state >> 29;
}

void fill(void *p, size_t len, uint64_t seed)
{
	unsigned char *to = p;
	uint64_t word, state = seed;
	size_t n;

	for (; len; len -= n, to += n) {
		n = len < sizeof(word) ? len : sizeof(word);
		word = next_word(&state);
		memcpy(to, &word, n);
	}
}

ssize_t differs(const void *p, size_t len, uint64_t seed)
{
	const unsigned char *from = p;
	uint64_t word, state = seed;
	size_t n, at, i;

	for (at = 0; at < len; at += n) {
		n = len - at < sizeof(word) ? len - at : sizeof(word);
		word = next_word(&state);
		if (!memcmp(from + at, &word, n))
			continue;
		for (i = 0; from[at + i] == ((unsigned char *)&word)[i]; i++)
			;
		return at + i;
	}
	return -1;
}

/*
 * Queue pairs
 */

static struct ibv_qp_init_attr init_attr(struct ibv_cq *scq, struct ibv_cq *rcq,
					 const struct qp_size *size)
{
	return (struct ibv_qp_init_attr){
		.send_cq = scq,
		.recv_cq = rcq,
		.qp_type = size->type,
		.cap = {
			.max_send_wr = size->send,
			.max_recv_wr = size->recv,
			.max_send_sge = size->sge ?: 1,
			.max_recv_sge = size->sge ?: 1,
			.max_inline_data = size->inline_data,
		},
	};
}

static enum ibv_qp_state state_of(struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_UNKNOWN };
	struct ibv_qp_init_attr init;

	ibv_query_qp(qp, &attr, IBV_QP_STATE, &init);
	return attr.qp_state;
}

/*
 * A GID is away for a moment when something happens to its netdevice, even if
 * that was a while ago.
 */
static void modify(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask, const char *state)
{
	int tries = mask & IBV_QP_AV ? 40 : 1;
	int error;

	while (tries--) {
		error = ibv_modify_qp(qp, attr, mask);
		if (!error)
			return;
		if (error != EINVAL || state_of(qp) != IBV_QPS_INIT)
			break;
		usleep(50000);
	}
	errno = error;
	die("from state %d to state %s", state_of(qp), state);
}

/* Where the port has the P_Key: of all 16 bits, full membership and limited differ */
static int pkey_index(struct end *e)
{
	uint16_t wanted = pair_options.pkey[e->side];
	__be16 pkey;
	int i;

	for (i = 0; wanted && i < e->port.pkey_tbl_len; i++)
		if (!ibv_query_pkey(e->ctx, 1, i, &pkey) && be16toh(pkey) == wanted)
			return i;
	errno = 0;
	if (wanted)
		die("side %d has no P_Key %#x", e->side, wanted);
	return 0;
}

static void qp_init(struct end *e, struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.pkey_index = pkey_index(e),
		.port_num = 1,
		.qkey = PAIR_QKEY,
		.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |
				   IBV_ACCESS_REMOTE_ATOMIC,
	};
	int mask = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT;

	mask |= qp->qp_type == IBV_QPT_UD ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS;
	if (qp->qp_type == IBV_QPT_UC)
		attr.qp_access_flags = IBV_ACCESS_REMOTE_WRITE;
	modify(qp, &attr, mask, "INIT");
}

struct ibv_qp *qp_make(struct end *e, struct ibv_cq *scq, struct ibv_cq *rcq,
		       const struct qp_size *size)
{
	struct ibv_qp_init_attr attr = init_attr(scq, rcq, size);
	struct rdma_cm_id *listener = e->id;
	struct ibv_qp *qp;

	if (e->id) {
		if (e->side && rdma_get_request(listener, &e->id))
			die("rdma_get_request");
		if (rdma_create_qp(e->id, e->pd, &attr))
			die("rdma_create_qp");
		return e->id->qp;
	}
	qp = ibv_create_qp(e->pd, &attr);
	if (!qp)
		die("ibv_create_qp");
	qp_init(e, qp);
	return qp;
}

static enum ibv_mtu path_mtu(struct end *e)
{
	enum ibv_mtu mtu = IBV_MTU_256;

	if (!pair_options.mtu)
		return e->port.active_mtu;
	while (mtu < IBV_MTU_4096 && 128 << mtu < pair_options.mtu)
		mtu++;
	return mtu;
}

struct address qp_address(const struct end *e, const struct ibv_qp *qp, uint32_t psn)
{
	return (struct address){
		.gid = e->gid, .lid = e->port.lid, .qpn = qp->qp_num, .psn = psn,
	};
}

struct ibv_ah_attr way_to(const struct end *e, const struct address *to)
{
	bool infiniband = e->port.link_layer == IBV_LINK_LAYER_INFINIBAND;
	struct ibv_ah_attr attr = { .dlid = to->lid, .port_num = 1 };

	if (infiniband && !pair_options.grh)
		return attr;
	attr.is_global = 1;
	attr.grh.dgid = to->gid;
	attr.grh.sgid_index = e->gid_index;
	attr.grh.hop_limit = 64;
	return attr;
}

void qp_connect(struct end *e, struct ibv_qp *qp, uint32_t psn, const struct address *to)
{
	struct ibv_qp_attr rtr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = path_mtu(e),
		.dest_qp_num = to->qpn,
		.rq_psn = to->psn,
		.max_dest_rd_atomic = 16,
		.min_rnr_timer = 1,
		.ah_attr = way_to(e, to),
	};
	struct ibv_qp_attr rts = {
		.qp_state = IBV_QPS_RTS,
		.sq_psn = psn,
		.timeout = pair_options.timeout,
		.retry_cnt = 7,
		.rnr_retry = 7,
		.max_rd_atomic = 16,
	};
	int mask = IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN;

	if (qp->qp_type == IBV_QPT_RC)
		mask |= IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
	modify(qp, &rtr, qp->qp_type == IBV_QPT_UD ? IBV_QP_STATE : mask, "RTR");
	mask = IBV_QP_STATE | IBV_QP_SQ_PSN;
	if (qp->qp_type == IBV_QPT_RC)
		mask |= IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			IBV_QP_MAX_QP_RD_ATOMIC;
	modify(qp, &rts, mask, "RTS");
}

/* The listening side has been asked when it made its queue pair */
static void cm_connect(struct end *e)
{
	struct rdma_conn_param param = {
		.responder_resources = 16,
		.initiator_depth = 16,
		.retry_count = 7,
		.rnr_retry_count = 7,
	};

	if (e->side ? rdma_accept(e->id, &param) : rdma_connect(e->id, &param))
		die("rdma_connect");
}

void qp_pair(struct end *e, struct ibv_qp *qp, const struct buffer *mem,
	     struct address *mine, struct address *theirs)
{
	*mine = qp_address(e, qp, (qp->qp_num * 2654435761u ^ e->side) & 0xffffff);
	if (mem) {
		mine->addr = (uintptr_t)mem->p;
		mine->rkey = mem->mr->rkey;
	}
	if (e->id)
		cm_connect(e);
	exchange(e, mine, theirs, sizeof(*mine));
	if (e->id)
		return;
	qp_connect(e, qp, mine->psn, theirs);
	barrier(e);
}

void post(struct ibv_qp *qp, struct ibv_send_wr *wr)
{
	struct ibv_send_wr *bad;

	errno = ibv_post_send(qp, wr, &bad);
	if (errno)
		die("ibv_post_send");
}

void post_to(struct ibv_qp *qp, struct ibv_recv_wr *wr)
{
	struct ibv_recv_wr *bad;

	errno = ibv_post_recv(qp, wr, &bad);
	if (errno)
		die("ibv_post_recv");
}

int reap(struct ibv_cq *cq, struct ibv_wc *wc, int n)
{
	int got;

	do
		got = ibv_poll_cq(cq, n, wc);
	while (!got);
	errno = 0;
	if (got < 0)
		die("ibv_poll_cq");
	return got;
}
