// SPDX-License-Identifier: GPL-2.0
/*
 * A program of librdmacm that connects to a socket of AF_IB, and says of itself
 * what sockets do: its type, how many buffers it has, and their bytes.
 *
 *	ib_hello accepted|refused ADDRESS PORT TYPE BUFFERS BYTES
 *
 * Ends with status 0 if that is what it is. Then it connects as it should.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <rdma/rdma_cma.h>

#define AFIB		0x41464942ULL

static int call(char **argv, const __be64 *hello)
{
	struct rdma_addrinfo hints = { .ai_port_space = RDMA_PS_TCP }, *ai;
	struct ibv_qp_init_attr attr = {
		.cap = { 4, 4, 1, 1 },
		.qp_type = IBV_QPT_RC,
	};
	struct rdma_conn_param param = {
		.private_data = hello,
		.private_data_len = sizeof(*hello),
		.retry_count = 7,
		.rnr_retry_count = 7,
	};
	struct rdma_cm_id *id;
	int ret;

	if (rdma_getaddrinfo(argv[2], argv[3], &hints, &ai))
		err(2, "%s", argv[2]);
	if (rdma_create_ep(&id, ai, NULL, &attr))
		err(2, "rdma_create_ep");
	ret = rdma_connect(id, &param) ? errno : 0;
	if (!ret)
		rdma_disconnect(id);
	rdma_destroy_ep(id);
	rdma_freeaddrinfo(ai);
	return ret;
}

int main(int argc, char **argv)
{
	__be64 hello;
	int ret;

	if (argc != 7)
		errx(2, "usage: ib_hello accepted|refused ADDRESS PORT TYPE BUFFERS BYTES");
	hello = htobe64(AFIB << 32 | strtoull(argv[4], NULL, 0) << 24 |
			strtoull(argv[5], NULL, 0) << 16 |
			strtoull(argv[6], NULL, 0) / 16);
	ret = call(argv, &hello);
	if (ret && ret != ECONNREFUSED)
		errx(1, "%s", strerror(ret));
	/* what is right always is: the server waits for that */
	hello = htobe64(AFIB << 32 | 5 << 24 | 16 << 16 | 2028);
	if (call(argv, &hello))
		err(1, "not even what is right is accepted");
	return !ret != !strcmp(argv[1], "accepted");
}
