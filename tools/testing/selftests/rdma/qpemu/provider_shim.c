// SPDX-License-Identifier: GPL-2.0
/*
 * To be preloaded: what rdma-core's provider for this user ABI leaves out, so that
 * no program could test the driver's re-registration.
 */
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>
#include <infiniband/verbs.h>
#include <rdma/ib_user_verbs.h>

/* Asks the kernel */
int ibv_rereg_mr(struct ibv_mr *mr, int flags, struct ibv_pd *pd, void *addr, size_t length,
		 int access)
{
	struct ib_uverbs_rereg_mr_resp resp = {};
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_rereg_mr cmd;
	} request = {
		.hdr = {
			.command = IB_USER_VERBS_CMD_REREG_MR,
			.in_words = sizeof(request) / 4,
			.out_words = sizeof(resp) / 4,
		},
		.cmd = {
			.response = (uintptr_t)&resp,
			.mr_handle = mr->handle,
			.flags = flags,
			.start = (uintptr_t)addr,
			.length = length,
			.hca_va = (uintptr_t)addr,
			.pd_handle = flags & IBV_REREG_MR_CHANGE_PD && pd ? pd->handle : 0,
			.access_flags = access,
		},
	};

	if (!flags || flags & ~IBV_REREG_MR_FLAGS_SUPPORTED ||
	    (flags & IBV_REREG_MR_CHANGE_TRANSLATION && (!length || !addr))) {
		errno = EINVAL;
		return IBV_REREG_MR_ERR_INPUT;
	}
	if (write(mr->context->cmd_fd, &request, sizeof(request)) != sizeof(request))
		return IBV_REREG_MR_ERR_CMD;
	mr->lkey = resp.lkey;
	mr->rkey = resp.rkey;
	if (flags & IBV_REREG_MR_CHANGE_PD)
		mr->pd = pd;
	if (flags & IBV_REREG_MR_CHANGE_TRANSLATION) {
		mr->addr = addr;
		mr->length = length;
	}
	return 0;
}

static void forget(struct ibv_cq *cq)
{
	struct ibv_wc wc;

	while (cq && ibv_poll_cq(cq, 1, &wc) > 0)
		;
}

/* A queue pair that is reset leaves no completions; here no others share its queues. */
int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	static int (*real)(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask);
	int error;

	if (!real)
		real = dlsym(dlopen("libibverbs.so.1", RTLD_LAZY), "ibv_modify_qp");
	error = real(qp, attr, mask);
	if (!error && mask & IBV_QP_STATE && attr->qp_state == IBV_QPS_RESET) {
		forget(qp->send_cq);
		forget(qp->recv_cq);
	}
	return error;
}
