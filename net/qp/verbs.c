// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs engine: what all its protocols do for a queue pair
 */
#include <linux/module.h>
#include <linux/slab.h>

#include "verbs.h"

/* How long a closing descriptor waits for messages to be received */
#define VERBS_LINGER	(2 * HZ)
#define VERBS_LINGER_STEP 10	/* ms */

/* How long a NAK may be under way */
#define VERBS_NAK_TIME	(HZ / 20)

struct workqueue_struct *verbs_wq;

static const struct verbs_transport *const verbs_transports[] = {
	&verbs_roce, &verbs_iwarp, &verbs_ib, &verbs_opa,
};

/* The transport that a port speaks, or NULL */
const struct verbs_transport *verbs_transport_of(struct ib_device *ibdev,
						 u32 port)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(verbs_transports); i++)
		if (verbs_transports[i]->match(ibdev, port))
			return verbs_transports[i];
	return NULL;
}

/* The transport of a protocol; of any, the one that is tried first */
const struct verbs_transport *verbs_transport_by_id(u32 id)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(verbs_transports); i++)
		if (verbs_transports[i]->proto->id == id)
			return verbs_transports[i];
	return verbs_transports[0];
}

static void verbs_work(struct work_struct *work);

static int verbs_init(struct qp_sock *qp)
{
	struct verbs_qp *v = kzalloc_obj(*v, GFP_KERNEL_ACCOUNT);

	if (!v)
		return -ENOMEM;
	v->qp = qp;
	verbs_params_init(&v->params);
	INIT_WORK(&v->work, verbs_work);
	timer_setup(&v->timer, verbs_conn_timeout, 0);
	mutex_init(&v->attempt);
	mutex_init(&v->teardown);
	init_completion(&v->settled);
	INIT_LIST_HEAD(&v->dev_node);
	spin_lock_init(&v->cq.lock);
	spin_lock_init(&v->send_lock);
	INIT_LIST_HEAD(&v->waiting);
	INIT_LIST_HEAD(&v->posted);
	spin_lock_init(&v->recv_lock);
	INIT_LIST_HEAD(&v->msgs);
	INIT_LIST_HEAD(&v->free_msgs);
	INIT_LIST_HEAD(&v->lent_msgs);
	spin_lock_init(&v->pending_lock);
	INIT_LIST_HEAD(&v->listeners);
	INIT_LIST_HEAD(&v->pending);
	if (qp->type == QP_UD && verbs_ud_init(v)) {
		kfree(v);
		return -ENOMEM;
	}
	qp->priv = v;
	return 0;
}

static void verbs_destroy(struct qp_sock *qp)
{
	struct verbs_qp *v = verbs_qp(qp);

	verbs_ud_destroy(v->ud);
	kfree(v);
}

/**
 * verbs_todo() - have something done that may sleep
 * @v: whose
 * @what: VERBS_TODO_*
 *
 * Context: any.
 */
void verbs_todo(struct verbs_qp *v, int what)
{
	set_bit(what, &v->todo);
	sock_hold(&v->qp->sk);
	if (!queue_work(verbs_wq, &v->work))
		sock_put(&v->qp->sk);
}

static void verbs_disconnect(struct verbs_qp *v)
{
	mutex_lock(&v->teardown);
	if (v->id && v->ibqp)
		verbs_end_qp(v->ibqp, v->id);
	mutex_unlock(&v->teardown);
}

/* The last message of its making may be lost: what the peer sends is as good */
static void verbs_peer_heard(struct verbs_qp *v)
{
	mutex_lock(&v->teardown);
	if (v->id && v->ibqp && qp_state(v->qp) == QP_STATE_CONNECTING)
		rdma_notify(v->id, IB_EVENT_COMM_EST);
	mutex_unlock(&v->teardown);
}

static void verbs_work(struct work_struct *work)
{
	struct verbs_qp *v = container_of(work, struct verbs_qp, work);

	if (test_and_clear_bit(VERBS_TODO_RESOLVE, &v->todo))
		verbs_conn_resolve(v);
	if (test_and_clear_bit(VERBS_TODO_TEARDOWN, &v->todo))
		verbs_conn_failed(v);
	if (test_and_clear_bit(VERBS_TODO_DISCONNECT, &v->todo))
		verbs_disconnect(v);
	if (test_and_clear_bit(VERBS_TODO_INVALIDATE, &v->todo)) {
		verbs_send_invalidate(v);
		verbs_recv_invalidate(v);
	}
	if (test_and_clear_bit(VERBS_TODO_REAP, &v->todo))
		verbs_ah_reap(v->ud);
	if (test_and_clear_bit(VERBS_TODO_HEARD, &v->todo))
		verbs_peer_heard(v);
	sock_put(&v->qp->sk);
}

/**
 * verbs_fail() - the connection is over
 * @v: whose; does nothing unless it is connected
 *
 * The disconnect comes a moment later: a NAK that is on its way, in either
 * direction, says more than a disconnect that overtakes it.
 *
 * Context: any.
 */
void verbs_fail(struct verbs_qp *v)
{
	if (qp_state(v->qp) != QP_STATE_RTS)
		return;
	qp_hangup(v->qp);
	mod_timer(&v->timer, jiffies + VERBS_NAK_TIME);
}

/**
 * verbs_gone() - the device is being removed
 * @v: a queue pair that has it
 *
 * Context: process, may sleep.
 */
void verbs_gone(struct verbs_qp *v)
{
	if (qp_state(v->qp) == QP_STATE_CONNECTING) {
		verbs_conn_abort(v, -ENETDOWN);
		verbs_detach(v);
		return;
	}
	/* A listener may have others, and who was about to begin has not */
	mutex_lock(&v->teardown);
	if (qp_state(v->qp) != QP_STATE_LISTEN && v->dev)
		qp_hangup(v->qp);
	mutex_unlock(&v->teardown);
	verbs_detach(v);
	verbs_send_run(v);
	verbs_recv_run(v);
}

/* An attempt to connect ends. False if the connection was made meanwhile. */
static bool verbs_abort_connecting(struct verbs_qp *v)
{
	WRITE_ONCE(v->aborted, true);
	verbs_conn_abort(v, -READ_ONCE(v->qp->sk.sk_err));
	flush_work(&v->work);
	return qp_state(v->qp) != QP_STATE_RTS;
}

/* &qp_proto.abort */
static void verbs_abort(struct qp_sock *qp)
{
	struct verbs_qp *v = verbs_qp(qp);
	enum qp_state state = qp_state(qp);

	if (state == QP_STATE_CONNECTING && verbs_abort_connecting(v))
		return;
	if (state == QP_STATE_LISTEN)
		verbs_unlisten(v);
	/* Datagrams may begin just now */
	mutex_lock(&v->attempt);
	qp_hangup(qp);
	verbs_detach(v);
	verbs_send_run(v);
	verbs_recv_run(v);
	mutex_unlock(&v->attempt);
	if (state == QP_STATE_LISTEN)
		qp_changed(qp);
}

/* Messages that the peer has not taken yet get some time */
static void verbs_linger(struct verbs_qp *v)
{
	const long step = msecs_to_jiffies(VERBS_LINGER_STEP);
	struct sock *sk = &v->qp->sk;
	long timeo = VERBS_LINGER;

	if (sock_flag(sk, SOCK_LINGER))
		timeo = sk->sk_lingertime;
	while (timeo > 0 && qp_state(v->qp) == QP_STATE_RTS &&
	       (atomic_read(&v->qp->msg_bytes) || v->qp->user) &&
	       !verbs_send_idle(v))
		timeo -= step - schedule_timeout_uninterruptible(step);
}

static void verbs_cancel_work(struct verbs_qp *v)
{
	if (cancel_work_sync(&v->work))
		sock_put(&v->qp->sk);
}

static void verbs_release(struct qp_sock *qp)
{
	struct verbs_qp *v = verbs_qp(qp);

	WRITE_ONCE(v->closed, true);
	verbs_unlisten(v);
	verbs_unbind(v);
	timer_shutdown_sync(&v->timer);
	verbs_linger(v);
	qp_set_state(qp, QP_STATE_ERROR);
	verbs_detach(v);
	verbs_cancel_work(v);
	/* It may have begun to try another protocol just then: for the last time */
	verbs_detach(v);
	verbs_cancel_work(v);
	qp_set_state(qp, QP_STATE_ERROR);
	verbs_send_end(v);
	if (v->ud) {
		verbs_groups_end(v->ud);
		verbs_ah_end(v->ud);
		verbs_ud_free(v->ud);
	}
	verbs_msg_free(v);
	verbs_recv_free(v);
	verbs_emul_put(v->emul, sock_net(&qp->sk));
	v->emul = NULL;
	verbs_forget(v);
}

static void verbs_kick(struct qp_sock *qp)
{
	struct verbs_qp *v = verbs_qp(qp);

	/* A send may be what the peer waits for to send something itself */
	if (verbs_recv_wanted(v)) {
		verbs_recv_run(v);
		verbs_send_run(v);
	} else {
		verbs_send_run(v);
		verbs_recv_run(v);
	}
}

static void verbs_push(struct qp_sock *qp)
{
	verbs_send_run(verbs_qp(qp));
}

static __poll_t verbs_poll(struct qp_sock *qp)
{
	return verbs_msg_waits(verbs_qp(qp)) ? EPOLLIN | EPOLLRDNORM : 0;
}

static int verbs_getname(struct qp_sock *qp, struct sockaddr_storage *addr,
			 bool peer)
{
	struct verbs_qp *v = verbs_qp(qp);

	if (peer && !v->peer.ss_family)
		return -ENOTCONN;
	return verbs_addr_show(qp->domain, qp->type,
			       (struct sockaddr *)(peer ? &v->peer : &v->local),
			       addr);
}

/* Only before it has a device; what can be chosen is a matter of the engine */
static int verbs_set_proto(struct qp_sock *qp, const struct qp_proto *proto)
{
	if (qp_state(qp) != QP_STATE_IDLE || verbs_qp(qp)->dev)
		return -EISCONN;
	if (!(proto->types & BIT(qp->type)))
		return -EOPNOTSUPP;
	WRITE_ONCE(qp->proto, proto);
	WRITE_ONCE(qp->opcodes, qp_proto_opcodes(proto, qp->type));
	return 0;
}

/*
 * What the protocols have in common; they say their name, id and opcodes, and
 * that there are datagrams
 */
static void verbs_proto_init(struct qp_proto *proto)
{
	proto->domains		= BIT_ULL(AF_INET) | BIT_ULL(AF_INET6) |
				  BIT_ULL(AF_IB);
	proto->types		|= BIT(QP_RC);
	proto->wr_priv		= sizeof(struct verbs_wr);
	proto->contiguous	= true;
	proto->mem_ops		= &verbs_mem_ops;
	proto->ud_ops		= &verbs_ud_ops;
	proto->owner		= THIS_MODULE;
	proto->init		= verbs_init;
	proto->destroy		= verbs_destroy;
	proto->release		= verbs_release;
	proto->bind		= verbs_bind;
	proto->listen		= verbs_listen;
	proto->connect		= verbs_connect;
	proto->accept		= verbs_accept;
	proto->shutdown		= verbs_shutdown;
	proto->getname		= verbs_getname;
	proto->poll		= verbs_poll;
	proto->post_send	= verbs_post_send;
	proto->kick		= verbs_kick;
	proto->push		= verbs_push;
	proto->give		= verbs_give;
	proto->spin		= verbs_spin;
	proto->recvmsg		= verbs_recvmsg;
	proto->info		= verbs_info;
	proto->abort		= verbs_abort;
	proto->set_proto	= verbs_set_proto;
	proto->set_param	= verbs_set_param;
	proto->get_param	= verbs_get_param;
}

/* The one that is found if no protocol is asked for: comes first */
static struct qp_proto verbs_any_proto = {
	.name		= "any",
	.id		= QP_PROTO_ANY,
	.types		= BIT(QP_UD),
	.opcodes	= VERBS_OPCODES | VERBS_IMM_OPCODES | VERBS_ATOMIC_OPCODES,
};

static void verbs_unregister_protos(int n)
{
	while (n--)
		qp_proto_unregister(verbs_transports[n]->proto);
	qp_proto_unregister(&verbs_any_proto);
}

static int verbs_register_protos(void)
{
	int i, err;

	verbs_proto_init(&verbs_any_proto);
	err = qp_proto_register(&verbs_any_proto);
	if (err)
		return err;
	for (i = 0; i < ARRAY_SIZE(verbs_transports); i++) {
		verbs_proto_init(verbs_transports[i]->proto);
		/* TCP has no GIDs, and none of these options */
		if (verbs_transports[i]->node_type == RDMA_NODE_RNIC) {
			verbs_transports[i]->proto->domains &= ~BIT_ULL(AF_IB);
			verbs_transports[i]->proto->set_param = NULL;
			verbs_transports[i]->proto->get_param = NULL;
		}
		err = qp_proto_register(verbs_transports[i]->proto);
		if (err) {
			verbs_unregister_protos(i);
			return err;
		}
	}
	return 0;
}

static int __init verbs_module_init(void)
{
	int err;

	verbs_wq = alloc_workqueue("qp_verbs", WQ_UNBOUND, 0);
	if (!verbs_wq)
		return -ENOMEM;
	verbs_native_init();
	err = verbs_dev_init();
	if (err)
		goto exit_native;
	err = verbs_emul_init();
	if (err)
		goto exit_dev;
	err = verbs_register_protos();
	if (err)
		goto exit_emul;
	return 0;

exit_emul:
	verbs_emul_exit();
exit_dev:
	verbs_dev_exit();
exit_native:
	verbs_native_exit();
	destroy_workqueue(verbs_wq);
	return err;
}

static void __exit verbs_module_exit(void)
{
	verbs_unregister_protos(ARRAY_SIZE(verbs_transports));
	verbs_emul_exit();
	verbs_dev_exit();
	verbs_native_exit();
	/* Waits for work that gave the last reference to a queue pair back */
	destroy_workqueue(verbs_wq);
	rcu_barrier();
}

late_initcall(verbs_module_init);
module_exit(verbs_module_exit);
MODULE_DESCRIPTION("Queue pairs on RDMA devices");
MODULE_LICENSE("GPL");
MODULE_ALIAS_QP_PROTO(2);	/* AF_INET */
MODULE_ALIAS_QP_PROTO(10);	/* AF_INET6 */
MODULE_ALIAS_QP_PROTO(27);	/* AF_IB */
