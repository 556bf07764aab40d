// SPDX-License-Identifier: GPL-2.0
/*
 * The performance management agent, IBA v1 16.1: what /sys/class/infiniband/../counters
 * shows and perfquery asks for. Counters stop at their highest value. Those of
 * PortCounters and those of PortCountersExtended are set to zero apart.
 */
#include <linux/unaligned.h>
#include <rdma/ib_mad.h>
#include <rdma/ib_pma.h>

#include "fabric.h"
#include "verbs.h"

#define CLASS_VERSION	1
#define ALL_PORTS	255	/* PortSelect */
#define RESPONSE_TIME	16	/* 4.096 us << 16: a quarter of a second */
#define BAD_VALUE	cpu_to_be16(IB_MGMT_MAD_STATUS_INVALID_ATTRIB_VALUE)
#define UNSUPPORTED	cpu_to_be16(IB_MGMT_MAD_STATUS_UNSUPPORTED_METHOD_ATTRIB)

/**
 * struct field - a counter in an attribute
 * @select: its bit in CounterSelect
 * @counter: what it shows
 * @offset: in the attribute
 * @bytes: how wide it is
 */
struct field {
	u16 select;
	u8 counter;
	u8 offset;
	u8 bytes;
};

#define FIELD(type, bit, field, which) {					\
	.select = BIT(bit), .counter = QPEMU_PORT_##which,			\
	.offset = offsetof(struct type, field),					\
	.bytes = sizeof_field(struct type, field),				\
}

static const struct field counters[] = {
#define COUNTER(bit, field, which)	FIELD(ib_pma_portcounters, bit, field, which)
	COUNTER(2, link_downed_counter, LINK_DOWNED),
	COUNTER(3, port_rcv_errors, RCV_ERRORS),
	COUNTER(5, port_rcv_switch_relay_errors, RCV_SWITCH_RELAY),
	COUNTER(6, port_xmit_discards, XMIT_DISCARDS),
	COUNTER(7, port_xmit_constraint_errors, XMIT_CONSTRAINT),
	COUNTER(8, port_rcv_constraint_errors, RCV_CONSTRAINT),
	COUNTER(11, vl15_dropped, VL15_DROPPED),
	COUNTER(12, port_xmit_data, XMIT_WORDS),
	COUNTER(13, port_rcv_data, RCV_WORDS),
	COUNTER(14, port_xmit_packets, XMIT_PKTS),
	COUNTER(15, port_rcv_packets, RCV_PKTS),
#undef COUNTER
};

static const struct field extended[] = {
#define COUNTER(bit, field, which)	FIELD(ib_pma_portcounters_ext, bit, field, which)
	COUNTER(0, port_xmit_data, XMIT_WORDS),
	COUNTER(1, port_rcv_data, RCV_WORDS),
	COUNTER(2, port_xmit_packets, XMIT_PKTS),
	COUNTER(3, port_rcv_packets, RCV_PKTS),
	COUNTER(4, port_unicast_xmit_packets, UNICAST_XMIT),
	COUNTER(5, port_unicast_rcv_packets, UNICAST_RCV),
	COUNTER(6, port_multicast_xmit_packets, MULTICAST_XMIT),
	COUNTER(7, port_multicast_rcv_packets, MULTICAST_RCV),
#undef COUNTER
};

/**
 * struct layout - an attribute with counters
 * @id: attribute
 * @cleared: which of qpemu_port.cleared its counters start from
 * @num: of fields
 * @fields: its counters
 */
struct layout {
	__be16 id;
	u8 cleared;
	u8 num;
	const struct field *fields;
};

static const struct layout layouts[] = {
	{ IB_PMA_PORT_COUNTERS, 0, ARRAY_SIZE(counters), counters },
	{ IB_PMA_PORT_COUNTERS_EXT, 1, ARRAY_SIZE(extended), extended },
};

/* What both attributes begin with */
struct selection {
	u8 reserved;
	u8 port;
	__be16 counters;
};

static const struct layout *find_layout(__be16 id)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(layouts); i++)
		if (layouts[i].id == id)
			return &layouts[i];
	return NULL;
}

static void put(u8 *data, const struct field *field, u64 value)
{
	u8 *to = data + field->offset;

	switch (field->bytes) {
	case 1:
		*to = min_t(u64, value, U8_MAX);
		break;
	case 2:
		put_unaligned_be16(min_t(u64, value, U16_MAX), to);
		break;
	case 4:
		put_unaligned_be32(min_t(u64, value, U32_MAX), to);
		break;
	default:
		put_unaligned_be64(value, to);
	}
}

static u64 get(const u8 *data, const struct field *field)
{
	const u8 *from = data + field->offset;

	switch (field->bytes) {
	case 1:
		return *from;
	case 2:
		return get_unaligned_be16(from);
	case 4:
		return get_unaligned_be32(from);
	default:
		return get_unaligned_be64(from);
	}
}

/* All counters anew; what selects them stays as it was asked for. */
static void put_all(struct ib_pma_mad *mad, const struct layout *layout,
		    const u64 *values)
{
	int i;

	memset(mad->data + sizeof(struct selection), 0,
	       sizeof(mad->data) - sizeof(struct selection));
	for (i = 0; i < layout->num; i++)
		put(mad->data, &layout->fields[i], values[layout->fields[i].counter]);
}

static void put_class_info(struct ib_pma_mad *mad, __be16 capabilities)
{
	struct ib_class_port_info *info = (void *)mad->data;

	memset(mad->data, 0, sizeof(mad->data));
	info->base_version = IB_MGMT_BASE_VERSION;
	info->class_version = CLASS_VERSION;
	info->capability_mask = capabilities;
	info->cap_mask2_resp_time = cpu_to_be32(RESPONSE_TIME);
}

/* Of a port of an InfiniBand fabric. Nobody sets it to zero. */
u64 qpemu_port_counter(const struct qpemu_port *port, enum qpemu_port_counter counter)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(port->stats, cpu)->value[counter]);
	return sum;
}

static void add_values(const struct qpemu_port *port, const struct layout *layout,
		       u64 *values)
{
	const u64 *cleared = port->cleared[layout->cleared];
	int i;

	for (i = 0; i < QPEMU_PORT_NUM_COUNTERS; i++)
		values[i] += qpemu_port_counter(port, i) - cleared[i];
}

/* Those that are selected get the value that is there, which is most often zero. */
static void set_values(struct qpemu_port *port, const struct layout *layout,
		       const struct ib_pma_mad *mad)
{
	const struct selection *selection = (const void *)mad->data;
	int i;

	for (i = 0; i < layout->num; i++) {
		const struct field *field = &layout->fields[i];
		u64 now = qpemu_port_counter(port, field->counter);

		if (be16_to_cpu(selection->counters) & field->select)
			port->cleared[layout->cleared][field->counter] =
				now - get(mad->data, field);
	}
}

static bool is_switch(const struct qpemu_node *node)
{
	return node->type == RDMA_NODE_IB_SWITCH;
}

/* Is port @num one of those that PortSelect names? */
static bool selects(const struct qpemu_node *node, u8 select, unsigned int num)
{
	return select == num || (select == ALL_PORTS && is_switch(node) && num);
}

static __be16 answer_counters(struct qpemu_node *node, const struct layout *layout,
			      struct ib_pma_mad *mad)
{
	const struct selection *selection = (const void *)mad->data;
	u64 values[QPEMU_PORT_NUM_COUNTERS] = {};
	bool any = false;
	unsigned int num;

	spin_lock_bh(&node->lock);
	for (num = 0; num <= node->num_ports; num++) {
		struct qpemu_port *port = node->ports[num];

		if (!port || !selects(node, selection->port, num))
			continue;
		any = true;
		if (mad->mad_hdr.method == IB_MGMT_METHOD_SET)
			set_values(port, layout, mad);
		add_values(port, layout, values);
	}
	spin_unlock_bh(&node->lock);
	if (!any)
		return BAD_VALUE;
	put_all(mad, layout, values);
	return 0;
}

static __be16 answer_class_info(struct qpemu_node *node, struct ib_pma_mad *mad)
{
	if (mad->mad_hdr.method != IB_MGMT_METHOD_GET)
		return UNSUPPORTED;
	put_class_info(mad, IB_PMA_CLASS_CAP_EXT_WIDTH |
			    (is_switch(node) ? IB_PMA_CLASS_CAP_ALLPORTSELECT : 0));
	return 0;
}

static __be16 answer(struct qpemu_node *node, struct ib_pma_mad *mad)
{
	const struct layout *layout = find_layout(mad->mad_hdr.attr_id);

	if (mad->mad_hdr.base_version != IB_MGMT_BASE_VERSION ||
	    mad->mad_hdr.class_version != CLASS_VERSION)
		return cpu_to_be16(IB_MGMT_MAD_STATUS_BAD_VERSION);
	if (layout)
		return answer_counters(node, layout, mad);
	if (mad->mad_hdr.attr_id == IB_PMA_CLASS_PORT_INFO)
		return answer_class_info(node, mad);
	return UNSUPPORTED;
}

bool qpemu_pma(struct qpemu_node *node, struct ib_mad *mad)
{
	if (mad->mad_hdr.method != IB_MGMT_METHOD_GET &&
	    mad->mad_hdr.method != IB_MGMT_METHOD_SET)
		return false;
	mad->mad_hdr.status = answer(node, (void *)mad);
	mad->mad_hdr.method = IB_MGMT_METHOD_GET_RESP;
	return true;
}

/* A RoCE device: it counts by itself, and is not set to zero. */
static u64 counter(const struct qpemu_dev *dev, enum qpemu_counter which)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(dev->stats, cpu)->value[which]);
	return sum;
}

/* Data is counted in words of four bytes. */
static void put_roce(const struct qpemu_dev *dev, const struct layout *layout,
		     struct ib_pma_mad *out)
{
	const u64 values[QPEMU_PORT_NUM_COUNTERS] = {
		[QPEMU_PORT_XMIT_WORDS] = counter(dev, QPEMU_SENT_BYTES) >> 2,
		[QPEMU_PORT_RCV_WORDS] = counter(dev, QPEMU_RCVD_BYTES) >> 2,
		[QPEMU_PORT_XMIT_PKTS] = counter(dev, QPEMU_SENT_PKTS),
		[QPEMU_PORT_RCV_PKTS] = counter(dev, QPEMU_RCVD_PKTS),
		[QPEMU_PORT_RCV_ERRORS] = counter(dev, QPEMU_ICRC_ERR) +
					  counter(dev, QPEMU_MALFORMED),
		[QPEMU_PORT_XMIT_DISCARDS] = counter(dev, QPEMU_SEND_ERR),
		[QPEMU_PORT_LINK_DOWNED] = counter(dev, QPEMU_LINK_DOWNED),
	};
	struct selection *selection = (void *)out->data;

	put_all(out, layout, values);
	selection->port = 1;
}

/*
 * ib_device_ops.process_mad: answer a management datagram in place of an agent.
 * Without IB_MAD_RESULT_REPLY, the agents registered are to see it.
 */
int qpemu_process_mad(struct ib_device *ibdev, int flags, u32 port, const struct ib_wc *wc,
		      const struct ib_grh *grh, const struct ib_mad *in, struct ib_mad *out,
		      size_t *out_size, u16 *out_pkey_index)
{
	const struct layout *layout = find_layout(in->mad_hdr.attr_id);

	if (in->mad_hdr.mgmt_class != IB_MGMT_CLASS_PERF_MGMT ||
	    in->mad_hdr.method != IB_MGMT_METHOD_GET)
		return IB_MAD_RESULT_SUCCESS;

	memset(out, 0, sizeof(*out));
	out->mad_hdr = in->mad_hdr;
	out->mad_hdr.method = IB_MGMT_METHOD_GET_RESP;
	if (layout)
		put_roce(to_qdev(ibdev), layout, (void *)out);
	else if (in->mad_hdr.attr_id == IB_PMA_CLASS_PORT_INFO)
		put_class_info((void *)out, IB_PMA_CLASS_CAP_EXT_WIDTH);
	else
		out->mad_hdr.status = UNSUPPORTED;
	return IB_MAD_RESULT_SUCCESS | IB_MAD_RESULT_REPLY;
}
