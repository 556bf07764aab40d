// SPDX-License-Identifier: GPL-2.0
/*
 * A program of librdmacm that exchanges one datagram with somebody whose address is a
 * GID, which udaddy(1) does not take. It does what that does:
 *
 *	qp_udaddy -b GID PORT BYTES	listens, is sent one and sends it back
 *	qp_udaddy -s GID PORT BYTES	sends one, and is sent one
 *
 * Immediate data is the number of who sends. Ends with status 0 if that is done.
 */
#include <arpa/inet.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <rdma/rdma_cma.h>
#include <rdma/rdma_verbs.h>

#define GRH	sizeof(struct ibv_grh)

static char buf[GRH + 4096];

static struct rdma_addrinfo *resolve(char **argv, int flags)
{
	struct rdma_addrinfo hints = {
		.ai_flags = RAI_NUMERICHOST | RAI_FAMILY | flags,
		.ai_family = AF_IB,
		.ai_qp_type = IBV_QPT_UD,
		.ai_port_space = RDMA_PS_UDP,
	}, *ai;

	if (rdma_getaddrinfo(argv[2], argv[3], &hints, &ai))
		err(1, "%s", argv[2]);
	return ai;
}

static struct rdma_cm_id *endpoint(char **argv, int flags)
{
	struct ibv_qp_init_attr attr = { .cap = { 1, 1, 1, 1 }, .qp_type = IBV_QPT_UD };
	struct rdma_cm_id *id;

	if (rdma_create_ep(&id, resolve(argv, flags), NULL, &attr))
		err(1, "rdma_create_ep");
	return id;
}

static struct ibv_mr *await(struct rdma_cm_id *id)
{
	struct ibv_mr *mr = rdma_reg_msgs(id, buf, sizeof(buf));

	if (!mr || rdma_post_recv(id, NULL, buf, sizeof(buf), mr))
		err(1, "rdma_post_recv");
	return mr;
}

static void receive(struct rdma_cm_id *id, size_t len, struct ibv_wc *wc)
{
	if (rdma_get_recv_comp(id, wc) != 1)
		err(1, "rdma_get_recv_comp");
	if (wc->status || wc->byte_len != GRH + len || !(wc->wc_flags & IBV_WC_WITH_IMM))
		errx(1, "status %d, %u bytes", wc->status, wc->byte_len);
}

static void send_to(struct rdma_cm_id *id, const struct ibv_mr *mr, size_t len,
		    struct ibv_ah *ah, uint32_t qpn, uint32_t qkey)
{
	struct ibv_sge sge = { (uintptr_t)buf + GRH, len, mr->lkey };
	struct ibv_send_wr *bad, wr = {
		.opcode = IBV_WR_SEND_WITH_IMM,
		.send_flags = IBV_SEND_SIGNALED,
		.imm_data = htonl(id->qp->qp_num),
		.sg_list = &sge,
		.num_sge = 1,
		.wr.ud = { ah, qpn, qkey },
	};
	struct ibv_wc wc;

	if (!ah || ibv_post_send(id->qp, &wr, &bad))
		err(1, "ibv_post_send");
	if (rdma_get_send_comp(id, &wc) != 1 || wc.status)
		errx(1, "not sent");
}

static void serve(char **argv, size_t len)
{
	struct rdma_cm_id *listener = endpoint(argv, RAI_PASSIVE), *id;
	struct rdma_conn_param param = {};
	struct ibv_mr *mr;
	struct ibv_ah *ah;
	struct ibv_wc wc;

	if (rdma_listen(listener, 1) || rdma_get_request(listener, &id))
		err(1, "rdma_listen");
	mr = await(id);
	param.qp_num = id->qp->qp_num;
	if (rdma_accept(id, &param))
		err(1, "rdma_accept");
	receive(id, len, &wc);
	ah = ibv_create_ah_from_wc(id->pd, &wc, (void *)buf, id->port_num);
	send_to(id, mr, len, ah, ntohl(wc.imm_data), RDMA_UDP_QKEY);
}

static void call(char **argv, size_t len)
{
	struct rdma_cm_id *id = endpoint(argv, 0);
	struct ibv_mr *mr = await(id);
	struct rdma_conn_param param = {};
	struct rdma_ud_param *ud;
	struct ibv_wc wc;

	if (rdma_connect(id, &param))
		err(1, "rdma_connect");
	ud = &id->event->param.ud;
	send_to(id, mr, len, ibv_create_ah(id->pd, &ud->ah_attr), ud->qp_num, ud->qkey);
	receive(id, len, &wc);
}

int main(int argc, char **argv)
{
	size_t len = argc == 5 ? strtoul(argv[4], NULL, 0) : 0;

	if (!len || len > sizeof(buf) - GRH)
		errx(2, "usage: qp_udaddy -b|-s GID PORT BYTES");
	if (!strcmp(argv[1], "-b"))
		serve(argv, len);
	else
		call(argv, len);
	return 0;
}
