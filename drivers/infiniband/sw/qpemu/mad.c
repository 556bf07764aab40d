// SPDX-License-Identifier: GPL-2.0
/*
 * Performance management, IBA v1 16.1: what /sys/class/infiniband/../counters
 * shows and perfquery asks for. Counters stop at their highest value.
 */
#include <rdma/ib_mad.h>
#include <rdma/ib_pma.h>

#include "verbs.h"

static u64 counter(const struct qpemu_dev *dev, enum qpemu_counter which)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(dev->stats, cpu)->value[which]);
	return sum;
}

static u32 counter32(const struct qpemu_dev *dev, enum qpemu_counter which, unsigned int shift)
{
	return min_t(u64, counter(dev, which) >> shift, U32_MAX);
}

static void put_class_info(struct ib_pma_mad *out)
{
	struct ib_class_port_info *info = (void *)out->data;

	info->base_version = IB_MGMT_BASE_VERSION;
	info->class_version = 1;
	info->capability_mask = IB_PMA_CLASS_CAP_EXT_WIDTH;
}

/* Data is counted in words of four bytes. */
static void put_counters(const struct qpemu_dev *dev, struct ib_pma_mad *out)
{
	struct ib_pma_portcounters *pma = (void *)out->data;
	u64 errors = counter(dev, QPEMU_ICRC_ERR) + counter(dev, QPEMU_MALFORMED);

	pma->port_select = 1;
	pma->link_downed_counter = min_t(u64, counter(dev, QPEMU_LINK_DOWNED), U8_MAX);
	pma->port_rcv_errors = cpu_to_be16(min_t(u64, errors, U16_MAX));
	pma->port_xmit_discards =
		cpu_to_be16(min_t(u64, counter(dev, QPEMU_SEND_ERR), U16_MAX));
	pma->port_xmit_data = cpu_to_be32(counter32(dev, QPEMU_SENT_BYTES, 2));
	pma->port_rcv_data = cpu_to_be32(counter32(dev, QPEMU_RCVD_BYTES, 2));
	pma->port_xmit_packets = cpu_to_be32(counter32(dev, QPEMU_SENT_PKTS, 0));
	pma->port_rcv_packets = cpu_to_be32(counter32(dev, QPEMU_RCVD_PKTS, 0));
}

static void put_counters_ext(const struct qpemu_dev *dev, struct ib_pma_mad *out)
{
	struct ib_pma_portcounters_ext *pma = (void *)out->data;

	pma->port_select = 1;
	pma->port_xmit_data = cpu_to_be64(counter(dev, QPEMU_SENT_BYTES) >> 2);
	pma->port_rcv_data = cpu_to_be64(counter(dev, QPEMU_RCVD_BYTES) >> 2);
	pma->port_xmit_packets = cpu_to_be64(counter(dev, QPEMU_SENT_PKTS));
	pma->port_rcv_packets = cpu_to_be64(counter(dev, QPEMU_RCVD_PKTS));
}

/*
 * ib_device_ops.process_mad: answer a management datagram in place of an agent.
 * Without IB_MAD_RESULT_REPLY, the agents registered are to see it.
 */
int qpemu_process_mad(struct ib_device *ibdev, int flags, u32 port, const struct ib_wc *wc,
		      const struct ib_grh *grh, const struct ib_mad *in, struct ib_mad *out,
		      size_t *out_size, u16 *out_pkey_index)
{
	const struct qpemu_dev *dev = to_qdev(ibdev);
	struct ib_pma_mad *pma = (void *)out;

	if (in->mad_hdr.mgmt_class != IB_MGMT_CLASS_PERF_MGMT ||
	    in->mad_hdr.method != IB_MGMT_METHOD_GET)
		return IB_MAD_RESULT_SUCCESS;

	memset(out, 0, sizeof(*out));
	out->mad_hdr = in->mad_hdr;
	out->mad_hdr.method = IB_MGMT_METHOD_GET_RESP;
	switch (in->mad_hdr.attr_id) {
	case IB_PMA_CLASS_PORT_INFO:
		put_class_info(pma);
		break;
	case IB_PMA_PORT_COUNTERS:
		put_counters(dev, pma);
		break;
	case IB_PMA_PORT_COUNTERS_EXT:
		put_counters_ext(dev, pma);
		break;
	default:
		out->mad_hdr.status = cpu_to_be16(IB_MGMT_MAD_STATUS_UNSUPPORTED_METHOD_ATTRIB);
	}
	return IB_MAD_RESULT_SUCCESS | IB_MAD_RESULT_REPLY;
}
