// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: options of a connection
 *
 * The path MTU, and for how long a request is repeated: because the peer does not
 * answer, or because it has no receive (RNR). All are attributes of the device's
 * queue pair (IBA v1 11.2.5.2). User space gives bytes, counts and microseconds,
 * the device takes codes; a code is what is kept.
 */
#include "verbs.h"

/* IBA v1 9.7.5.2.8: 10 us, then 20, 30, 40, 60, 80, 120 ...; the 32nd is code 0 */
#define VERBS_RNR_CODES		32

/* Response times have five bits, of which a __u32 of microseconds takes these */
#define VERBS_ACK_CODES		30

static u32 verbs_rnr_usecs(unsigned int n)
{
	if (n == 1)
		return 10;
	return (n & 1 ? 30U : 20U) << (n / 2 - 1);
}

/* 4.096 us << n (IBA v1 9.9.2.1.1); rounded down, so that it comes out as n again */
static u32 verbs_ack_usecs(unsigned int n)
{
	return div_u64(4096ULL << n, 1000);
}

/*
 * The first of a row of times, from number 1 to @end, that is not less
 */
static int verbs_time_code(u32 usecs, u32 (*time)(unsigned int n),
			   unsigned int end)
{
	unsigned int n;

	if (!usecs)
		return -EINVAL;
	for (n = 1; n < end; n++)
		if (time(n) >= usecs)
			return n;
	return -EINVAL;
}

static int verbs_encode_rnr(u32 usecs)
{
	int n = verbs_time_code(usecs, verbs_rnr_usecs, VERBS_RNR_CODES + 1);

	return n < 0 ? n : n % VERBS_RNR_CODES;
}

static u32 verbs_decode_rnr(u8 code)
{
	return verbs_rnr_usecs(code ?: VERBS_RNR_CODES);
}

static int verbs_encode_ack(u32 usecs)
{
	return verbs_time_code(usecs, verbs_ack_usecs, VERBS_ACK_CODES);
}

static u32 verbs_decode_ack(u8 code)
{
	return verbs_ack_usecs(code);
}

/* An upper limit: the next smaller one */
static int verbs_encode_mtu(u32 bytes)
{
	if (bytes < ib_mtu_enum_to_int(IB_MTU_256) ||
	    bytes > ib_mtu_enum_to_int(IB_MTU_4096))
		return -EINVAL;
	return ib_mtu_int_to_enum(bytes);
}

static u32 verbs_decode_mtu(u8 code)
{
	return ib_mtu_enum_to_int(code);
}

/* Three bits */
static int verbs_encode_count(u32 count)
{
	return count <= 7 ? count : -EINVAL;
}

static u32 verbs_decode_count(u8 code)
{
	return code;
}

/*
 * An option: where it is kept, how it is written for the device, and whether a
 * listener can have it for those that it accepts.
 */
static const struct verbs_param {
	size_t offset;
	int (*encode)(u32 val);
	u32 (*decode)(u8 code);
	bool listener;
} verbs_params[] = {
	[QP_PATH_MTU - QP_PATH_MTU] = {
		offsetof(struct verbs_params, path_mtu),
		verbs_encode_mtu, verbs_decode_mtu,
	},
	[QP_RNR_RETRY - QP_PATH_MTU] = {
		offsetof(struct verbs_params, rnr_retry),
		verbs_encode_count, verbs_decode_count, true,
	},
	[QP_RNR_TIMER - QP_PATH_MTU] = {
		offsetof(struct verbs_params, rnr_timer),
		verbs_encode_rnr, verbs_decode_rnr, true,
	},
	[QP_RETRY_CNT - QP_PATH_MTU] = {
		offsetof(struct verbs_params, retry_cnt),
		verbs_encode_count, verbs_decode_count, true,
	},
	[QP_ACK_TIMEOUT - QP_PATH_MTU] = {
		offsetof(struct verbs_params, ack_timeout),
		verbs_encode_ack, verbs_decode_ack, true,
	},
};

void verbs_params_init(struct verbs_params *p)
{
	p->path_mtu = IB_MTU_4096;
	p->rnr_retry = VERBS_RNR_FOREVER;
	p->rnr_timer = VERBS_RNR_TIMER;
	p->retry_cnt = VERBS_RETRIES;
	p->ack_timeout = VERBS_ACK_TIMEOUT;
}

static u8 *verbs_param_at(struct verbs_params *p, const struct verbs_param *param)
{
	return (u8 *)p + param->offset;
}

/* Under the socket lock */
int verbs_set_param(struct qp_sock *qp, int opt, u32 val)
{
	const struct verbs_param *param = &verbs_params[opt - QP_PATH_MTU];
	enum qp_state state = qp_state(qp);
	int code = param->encode(val);

	if (code < 0)
		return code;
	if (state == QP_STATE_LISTEN && !param->listener)
		return -EOPNOTSUPP;
	if (state != QP_STATE_IDLE && state != QP_STATE_LISTEN)
		return -EISCONN;
	WRITE_ONCE(*verbs_param_at(&verbs_qp(qp)->params, param), code);
	return 0;
}

/* What the device's queue pair has, if there is one that is connected */
static int verbs_params_used(struct verbs_qp *v, struct verbs_params *p)
{
	struct ib_qp_init_attr init;
	struct ib_qp_attr attr = { };
	int err = 0;

	*p = v->params;
	mutex_lock(&v->teardown);
	if (v->ibqp && qp_state(v->qp) == QP_STATE_RTS) {
		err = ib_query_qp(v->ibqp, &attr, IB_QP_PATH_MTU |
				  IB_QP_RNR_RETRY | IB_QP_MIN_RNR_TIMER |
				  IB_QP_RETRY_CNT | IB_QP_TIMEOUT, &init);
		*p = (struct verbs_params) {
			.path_mtu	= attr.path_mtu,
			.rnr_retry	= attr.rnr_retry,
			.rnr_timer	= attr.min_rnr_timer,
			.retry_cnt	= attr.retry_cnt,
			.ack_timeout	= attr.timeout,
		};
	}
	mutex_unlock(&v->teardown);
	return err;
}

int verbs_get_param(struct qp_sock *qp, int opt, u32 *val)
{
	const struct verbs_param *param = &verbs_params[opt - QP_PATH_MTU];
	struct verbs_params used;
	int err = verbs_params_used(verbs_qp(qp), &used);

	if (!err)
		*val = param->decode(*verbs_param_at(&used, param));
	return err;
}

/**
 * verbs_params_apply() - have a connection's queue pair made as the options say
 * @v: whose
 * @id: the connection, not yet requested or accepted
 *
 * Context: process, may sleep.
 */
void verbs_params_apply(struct verbs_qp *v, struct rdma_cm_id *id)
{
	const struct verbs_params *p = &v->params;

	rdma_set_ack_timeout(id, p->ack_timeout);
	rdma_set_min_rnr_timer(id, p->rnr_timer);
	rdma_set_retry_counts(id, p->retry_cnt, p->rnr_retry);
}

/**
 * verbs_params_route() - limit the path MTU of a connection, and say how it travels
 * @v: whose
 * @id: the connection; its route is known, and it is not yet requested
 *
 * Context: a handler of rdma_cm.
 */
void verbs_params_route(struct verbs_qp *v, struct rdma_cm_id *id)
{
	struct sa_path_rec *path = id->route.path_rec;
	const struct qp_sock *qp = v->qp;

	if (!path)
		return;
	path->mtu = min_t(u8, path->mtu, v->params.path_mtu);
	if (!qp->user)
		return;
	if (qp->tclass >= 0)
		path->traffic_class = qp->tclass;
	if (qp->hop_limit > 0)
		path->hop_limit = qp->hop_limit;
	if (qp->sl >= 0)
		path->sl = qp->sl;
}
