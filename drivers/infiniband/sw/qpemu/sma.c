// SPDX-License-Identifier: GPL-2.0
/*
 * The subnet management agent, IBA v1 14.2: what a node is, and how it is told to
 * be otherwise. PortInfo is in port_info.c.
 */
#include <linux/slab.h>
#include <linux/unaligned.h>

#include "sma.h"

#define CLASS_VERSION	1
#define VENDOR_ID	0xffffff	/* IBA v1 A3.3.1: none */
#define DEVICE_ID	1
#define REVISION	1

#define ANY_PORT	255		/* in a forwarding table: none */
#define GROUP_PORTS	16		/* in a block of the multicast table */
#define VLARB_ENTRIES	32		/* in a block */
#define LFT_BLOCK	IB_SMP_DATA_SIZE
#define MFT_BLOCK	(IB_SMP_DATA_SIZE / sizeof(__be16))

/* SwitchInfo, IBA v1 14.2.5.4 */
struct switch_info {
	__be16 linear_cap;
	__be16 random_cap;
	__be16 multicast_cap;
	__be16 linear_top;
	u8 default_port;
	u8 default_mcast_port;
	u8 default_mcast_not_port;
	u8 life_change_opt;		/* 5 bits, 1, 2 */
	__be16 lids_per_port;
	__be16 pkey_cap;
	u8 enforcement;
	u8 reserved;
	__be16 multicast_top;
};

static_assert(sizeof(struct switch_info) == 20);

#define PORT_STATE_CHANGE	0x04	/* life_change_opt */
#define CAN_ENFORCE		0xc0	/* enforcement: in, out */

struct qpemu_port *qpemu_smp_port(const struct qpemu_smp *req, u32 num)
{
	struct qpemu_node *node = req->node;

	if (node->type == RDMA_NODE_IB_CA && !num)
		return req->port;
	return num <= node->num_ports ? node->ports[num] : NULL;
}

static u32 modifier(const struct qpemu_smp *req)
{
	return be32_to_cpu(req->smp->attr_mod);
}

/* Of tables that each port of a switch has: adapters do not look at the number. */
static struct qpemu_port *table_port(const struct qpemu_smp *req, u32 num)
{
	return req->node->type == RDMA_NODE_IB_CA ? req->port : qpemu_smp_port(req, num);
}

static void put_table(struct ib_smp *smp, const void *table)
{
	memcpy(smp->data, table, sizeof(smp->data));
}

static __be16 get_node_info(struct qpemu_smp *req)
{
	struct ib_node_info *ni = (void *)req->smp->data;
	const struct qpemu_node *node = req->node;

	*ni = (struct ib_node_info) {
		.base_version = IB_MGMT_BASE_VERSION,
		.class_version = CLASS_VERSION,
		.node_type = node->type,
		.num_ports = node->num_ports,
		.sys_guid = node->guid,
		.node_guid = node->guid,
		.port_guid = req->mgmt->guids[0],
		.partition_cap = cpu_to_be16(QPEMU_NUM_PKEYS),
		.device_id = cpu_to_be16(DEVICE_ID),
		.revision = cpu_to_be32(REVISION),
		.local_port_num = req->port->num,
	};
	put_unaligned_be24(VENDOR_ID, ni->vendor_id);
	return 0;
}

static __be16 get_node_desc(struct qpemu_smp *req)
{
	static_assert(IB_DEVICE_NODE_DESC_MAX == IB_SMP_DATA_SIZE);
	put_table(req->smp, req->node->desc);
	return 0;
}

static __be16 get_switch_info(struct qpemu_smp *req)
{
	struct switch_info *si = (void *)req->smp->data;
	const struct qpemu_tables *tables = req->node->tables;

	*si = (struct switch_info) {
		.linear_cap = cpu_to_be16(QPEMU_NUM_LIDS),
		.multicast_cap = cpu_to_be16(QPEMU_NUM_MLIDS),
		.linear_top = cpu_to_be16(tables->lft_top),
		.default_mcast_port = tables->default_port,
		.default_mcast_not_port = tables->default_not_port,
		.life_change_opt = tables->life << 3 |
				   (tables->changed ? PORT_STATE_CHANGE : 0),
		.pkey_cap = cpu_to_be16(QPEMU_NUM_PKEYS),
		.enforcement = CAN_ENFORCE,
	};
	return 0;
}

static __be16 set_switch_info(struct qpemu_smp *req)
{
	const struct switch_info si = *(struct switch_info *)req->smp->data;
	struct qpemu_tables *tables = req->node->tables;
	u16 top = be16_to_cpu(si.linear_top);

	if (top >= QPEMU_NUM_LIDS)
		return QPEMU_SMP_BAD_VALUE;
	WRITE_ONCE(tables->lft_top, top);
	WRITE_ONCE(tables->default_port, si.default_mcast_port);
	WRITE_ONCE(tables->default_not_port, si.default_mcast_not_port);
	tables->life = si.life_change_opt >> 3;
	if (si.life_change_opt & PORT_STATE_CHANGE)
		tables->changed = false;
	return 0;
}

static __be16 get_guid_info(struct qpemu_smp *req)
{
	static_assert(sizeof(req->mgmt->guids) == IB_SMP_DATA_SIZE);
	if (modifier(req))
		return QPEMU_SMP_BAD_VALUE;
	put_table(req->smp, req->mgmt->guids);
	return 0;
}

/* The first is what the port is made with. */
static __be16 set_guid_info(struct qpemu_smp *req)
{
	const __be64 *guids = (void *)req->smp->data;
	struct qpemu_port *port = req->mgmt;
	int i;

	if (modifier(req))
		return QPEMU_SMP_BAD_VALUE;
	for (i = 1; i < QPEMU_NUM_GUIDS; i++) {
		if (guids[i] == port->guids[i])
			continue;
		WRITE_ONCE(port->guids[i], guids[i]);
		req->changed = port;
		req->events = BIT(QPEMU_EVENT_GID);
	}
	return 0;
}

/* Attribute modifier: port, of a switch; block. There is one block. */
static struct qpemu_port *pkey_port(const struct qpemu_smp *req)
{
	return modifier(req) & U16_MAX ? NULL : table_port(req, modifier(req) >> 16);
}

static __be16 get_pkeys(struct qpemu_smp *req)
{
	const struct qpemu_port *port = pkey_port(req);
	__be16 *pkeys = (void *)req->smp->data;
	int i;

	if (!port)
		return QPEMU_SMP_BAD_VALUE;
	for (i = 0; i < QPEMU_NUM_PKEYS; i++)
		pkeys[i] = cpu_to_be16(port->pkeys[i]);
	return 0;
}

static __be16 set_pkeys(struct qpemu_smp *req)
{
	struct qpemu_port *port = pkey_port(req);
	const __be16 *pkeys = (void *)req->smp->data;
	int i;

	if (!port)
		return QPEMU_SMP_BAD_VALUE;
	for (i = 0; i < QPEMU_NUM_PKEYS; i++) {
		u16 pkey = be16_to_cpu(pkeys[i]);

		if (pkey == port->pkeys[i])
			continue;
		WRITE_ONCE(port->pkeys[i], pkey);
		req->changed = port;
		req->events = BIT(QPEMU_EVENT_PKEY);
	}
	return 0;
}

/*
 * Attribute modifier: of a switch, the port that packets come in by, and that they
 * go out by. Bits above, for several ports at once, belong to an option.
 */
static u8 *sl2vl_row(const struct qpemu_smp *req)
{
	u32 mod = modifier(req);
	struct qpemu_port *out = table_port(req, mod & U8_MAX);
	u8 in = mod >> 8;

	if (req->node->type == RDMA_NODE_IB_CA)
		return out->sl2vl[0];
	if (mod >> 16 || !out || in > req->node->num_ports)
		return NULL;
	return out->sl2vl[in];
}

static __be16 get_sl2vl(struct qpemu_smp *req)
{
	const u8 *row = sl2vl_row(req);
	int sl;

	if (!row)
		return QPEMU_SMP_BAD_VALUE;
	for (sl = 0; sl < QPEMU_NUM_SLS; sl += 2)
		req->smp->data[sl / 2] = row[sl] << 4 | row[sl + 1];
	return 0;
}

static __be16 set_sl2vl(struct qpemu_smp *req)
{
	u8 *row = sl2vl_row(req);
	int sl;

	if (!row)
		return QPEMU_SMP_BAD_VALUE;
	for (sl = 0; sl < QPEMU_NUM_SLS; sl++) {
		u8 pair = req->smp->data[sl / 2];

		WRITE_ONCE(row[sl], sl % 2 ? pair & 0xf : pair >> 4);
	}
	return 0;
}

/* Attribute modifier: block, from 1; port, of a switch. */
static u8 *vlarb_block(const struct qpemu_smp *req)
{
	struct qpemu_port *port = table_port(req, modifier(req) & U16_MAX);
	u32 block = modifier(req) >> 16;

	return port && block && block <= ARRAY_SIZE(port->vlarb) ?
	       port->vlarb[block - 1] : NULL;
}

static __be16 get_vlarb(struct qpemu_smp *req)
{
	const u8 *block = vlarb_block(req);

	static_assert(sizeof(req->port->vlarb[0]) == IB_SMP_DATA_SIZE);
	if (!block)
		return QPEMU_SMP_BAD_VALUE;
	put_table(req->smp, block);
	return 0;
}

static __be16 set_vlarb(struct qpemu_smp *req)
{
	const struct ib_vl_weight_elem *elem = (void *)req->smp->data;
	u8 *block = vlarb_block(req);
	int i;

	if (!block)
		return QPEMU_SMP_BAD_VALUE;
	for (i = 0; i < VLARB_ENTRIES; i++) {
		block[2 * i] = elem[i].vl & 0xf;
		block[2 * i + 1] = elem[i].weight;
	}
	return 0;
}

/* Attribute modifier: block of LIDs */
static u8 *lft_block(const struct qpemu_smp *req)
{
	u32 block = modifier(req);

	return block < QPEMU_NUM_LIDS / LFT_BLOCK ?
	       req->node->tables->lft + block * LFT_BLOCK : NULL;
}

static __be16 get_lft(struct qpemu_smp *req)
{
	const u8 *block = lft_block(req);

	if (!block)
		return QPEMU_SMP_BAD_VALUE;
	put_table(req->smp, block);
	return 0;
}

static __be16 set_lft(struct qpemu_smp *req)
{
	u8 *block = lft_block(req);
	int i;

	if (!block)
		return QPEMU_SMP_BAD_VALUE;
	for (i = 0; i < LFT_BLOCK; i++)
		WRITE_ONCE(block[i], req->smp->data[i]);
	return 0;
}

/* Attribute modifier: which 16 ports, and block of multicast LIDs */
static u64 *mft_block(const struct qpemu_smp *req, unsigned int *shift)
{
	u32 block = modifier(req) & GENMASK(27, 0);

	*shift = (modifier(req) >> 28) * GROUP_PORTS;
	if (*shift > QPEMU_MAX_PORTS || block >= QPEMU_NUM_MLIDS / MFT_BLOCK)
		return NULL;
	return req->node->tables->mft + block * MFT_BLOCK;
}

static __be16 get_mft(struct qpemu_smp *req)
{
	__be16 *ports = (void *)req->smp->data;
	unsigned int shift;
	const u64 *block = mft_block(req, &shift);
	int i;

	if (!block)
		return QPEMU_SMP_BAD_VALUE;
	for (i = 0; i < MFT_BLOCK; i++)
		ports[i] = cpu_to_be16(block[i] >> shift);
	return 0;
}

static __be16 set_mft(struct qpemu_smp *req)
{
	const __be16 *ports = (void *)req->smp->data;
	unsigned int shift;
	u64 *block = mft_block(req, &shift);
	u64 mask;
	int i;

	if (!block)
		return QPEMU_SMP_BAD_VALUE;
	mask = (u64)U16_MAX << shift;
	for (i = 0; i < MFT_BLOCK; i++)
		WRITE_ONCE(block[i], (block[i] & ~mask) |
				     (u64)be16_to_cpu(ports[i]) << shift);
	return 0;
}

#define LED_ON	cpu_to_be32(BIT(31))

static __be16 get_led(struct qpemu_smp *req)
{
	const struct qpemu_port *port = qpemu_smp_port(req, modifier(req));

	if (!port)
		return QPEMU_SMP_BAD_VALUE;
	*(__be32 *)req->smp->data = port->led ? LED_ON : 0;
	return 0;
}

static __be16 set_led(struct qpemu_smp *req)
{
	struct qpemu_port *port = qpemu_smp_port(req, modifier(req));

	if (!port)
		return QPEMU_SMP_BAD_VALUE;
	port->led = *(__be32 *)req->smp->data & LED_ON;
	return 0;
}

static __be16 get_notice(struct qpemu_smp *req)
{
	qpemu_traps_get(req->node, (void *)req->smp->data);
	return 0;
}

static __be16 set_notice(struct qpemu_smp *req)
{
	qpemu_traps_set(req->node, (void *)req->smp->data);
	return 0;
}

/**
 * struct sma_attribute - what can be asked for
 * @id: attribute
 * @switches: only switches have it
 * @get: fill in the data, which is zero
 * @set: do what the data says; NULL if it cannot be set
 *
 * Both under node->lock. Return: status of the MAD.
 */
struct sma_attribute {
	__be16 id;
	bool switches;
	__be16 (*get)(struct qpemu_smp *req);
	__be16 (*set)(struct qpemu_smp *req);
};

static const struct sma_attribute attributes[] = {
	{ IB_SMP_ATTR_NOTICE, false, get_notice, set_notice },
	{ IB_SMP_ATTR_NODE_DESC, false, get_node_desc },
	{ IB_SMP_ATTR_NODE_INFO, false, get_node_info },
	{ IB_SMP_ATTR_SWITCH_INFO, true, get_switch_info, set_switch_info },
	{ IB_SMP_ATTR_GUID_INFO, false, get_guid_info, set_guid_info },
	{ IB_SMP_ATTR_PORT_INFO, false, qpemu_port_info_get, qpemu_port_info_set },
	{ IB_SMP_ATTR_PKEY_TABLE, false, get_pkeys, set_pkeys },
	{ IB_SMP_ATTR_SL_TO_VL_TABLE, false, get_sl2vl, set_sl2vl },
	{ IB_SMP_ATTR_VL_ARB_TABLE, false, get_vlarb, set_vlarb },
	{ IB_SMP_ATTR_LINEAR_FORWARD_TABLE, true, get_lft, set_lft },
	{ IB_SMP_ATTR_MCAST_FORWARD_TABLE, true, get_mft, set_mft },
	{ IB_SMP_ATTR_LED_INFO, false, get_led, set_led },
};

static const struct sma_attribute *find_attribute(const struct qpemu_smp *req)
{
	bool is_switch = req->node->type == RDMA_NODE_IB_SWITCH;
	int i;

	for (i = 0; i < ARRAY_SIZE(attributes); i++)
		if (attributes[i].id == req->smp->attr_id)
			return is_switch || !attributes[i].switches ?
			       &attributes[i] : NULL;
	return NULL;
}

/* The answer to Set is what there is now. */
static __be16 carry_out(struct qpemu_smp *req)
{
	const struct sma_attribute *attr = find_attribute(req);
	struct ib_smp *smp = req->smp;
	bool set = smp->method == IB_MGMT_METHOD_SET;
	__be16 status = 0;

	if (!attr || (set && !attr->set))
		return cpu_to_be16(IB_MGMT_MAD_STATUS_UNSUPPORTED_METHOD_ATTRIB);
	if (set)
		status = attr->set(req);
	if (status)
		return status;
	memset(smp->data, 0, sizeof(smp->data));
	return attr->get(req);
}

/* 14.2.4.2: the lease is over, so whoever has lost the key may read it again. */
static void end_lease(struct qpemu_port *port)
{
	if (!port->mkey_expires || time_before(jiffies, port->mkey_expires))
		return;
	port->mkey_expires = 0;
	port->mkey_prot = 0;
}

static void count_violation(struct qpemu_port *port)
{
	if (port->mkey_violations < U16_MAX)
		port->mkey_violations++;
	if (port->mkey_lease && !port->mkey_expires)
		port->mkey_expires = (jiffies + port->mkey_lease * HZ) ?: 1;
}

/* 14.2.4.1: a Get without the key is carried out as far as the protect bits allow. */
static bool check_mkey(struct qpemu_smp *req)
{
	struct qpemu_port *port = req->mgmt;

	end_lease(port);
	req->trusted = !port->mkey || req->smp->mkey == port->mkey;
	if (req->trusted) {
		port->mkey_expires = 0;
		return true;
	}
	if (req->smp->method == IB_MGMT_METHOD_GET && port->mkey_prot < 2)
		return true;
	count_violation(port);
	return false;
}

static bool is_request(u8 method)
{
	return !(method & IB_MGMT_METHOD_RESP) && method != IB_MGMT_METHOD_TRAP;
}

/* 13.4.7: what is wrong with the request as such */
static u16 check_header(const struct ib_smp *smp)
{
	if (smp->base_version != IB_MGMT_BASE_VERSION ||
	    smp->class_version != CLASS_VERSION)
		return IB_MGMT_MAD_STATUS_BAD_VERSION;
	switch (smp->method) {
	case IB_MGMT_METHOD_GET:
	case IB_MGMT_METHOD_SET:
	case IB_MGMT_METHOD_TRAP_REPRESS:
		return 0;
	}
	return IB_MGMT_MAD_STATUS_UNSUPPORTED_METHOD;
}

bool qpemu_sma_takes(const struct ib_smp *smp)
{
	return is_request(smp->method) && smp->attr_id != IB_SMP_ATTR_SM_INFO;
}

/* Return: whether it was let in. */
static bool under_lock(struct qpemu_smp *req, __be16 *status)
{
	bool ok;

	spin_lock_bh(&req->node->lock);
	ok = check_mkey(req);
	if (ok && req->smp->method != IB_MGMT_METHOD_TRAP_REPRESS)
		*status = carry_out(req);
	spin_unlock_bh(&req->node->lock);
	return ok;
}

static void follow_up(const struct qpemu_smp *req)
{
	if (req->events)
		req->node->ops->event(req->changed, req->events);
	if (req->train)
		qpemu_cable_retrain(req->changed);
}

static bool answer(struct ib_smp *smp, __be16 status)
{
	smp->method = IB_MGMT_METHOD_GET_RESP;
	smp->status = status;
	if (smp->mgmt_class == IB_MGMT_CLASS_SUBN_DIRECTED_ROUTE)
		smp->status |= IB_SMP_DIRECTION;
	return true;
}

bool qpemu_sma(struct qpemu_port *port, struct ib_smp *smp, u16 slid)
{
	struct qpemu_smp req = {
		.node = port->node,
		.port = port,
		.mgmt = qpemu_port_mgmt(port),
		.smp = smp,
	};
	__be16 status = 0;
	u16 wrong;

	if (!is_request(smp->method))
		return false;
	wrong = check_header(smp);
	if (wrong)
		return answer(smp, cpu_to_be16(wrong));
	if (!under_lock(&req, &status)) {
		qpemu_trap_mkey(req.mgmt, smp, slid);
		return false;
	}
	follow_up(&req);
	if (smp->method == IB_MGMT_METHOD_TRAP_REPRESS) {
		qpemu_traps_repress(port->node, smp);
		return false;
	}
	return answer(smp, status);
}

/* 10.9.3: the same partition, and one of both is a full member */
static bool same_partition(u16 a, u16 b)
{
	return !((a ^ b) & IB_DEFAULT_PKEY_PARTIAL) && (a | b) & ~IB_DEFAULT_PKEY_PARTIAL;
}

u16 qpemu_port_pkey(const struct qpemu_port *port, u16 pkey)
{
	int i;

	if (!(pkey & IB_DEFAULT_PKEY_PARTIAL))
		return 0;
	for (i = 0; i < QPEMU_NUM_PKEYS; i++) {
		u16 own = READ_ONCE(port->pkeys[i]);

		if (same_partition(own, pkey))
			return own;
	}
	return 0;
}

/* As many VLs as there are, in turn; and all the same to the arbiter. */
static void init_vls(struct qpemu_port *port, unsigned int rows)
{
	unsigned int in, sl, vl;

	for (in = 0; in < rows; in++)
		for (sl = 0; sl < QPEMU_NUM_SLS; sl++)
			port->sl2vl[in][sl] = sl % QPEMU_NUM_VLS;
	for (vl = 0; vl < QPEMU_NUM_VLS; vl++) {
		port->vlarb[0][2 * vl] = vl;
		port->vlarb[0][2 * vl + 1] = 1;
	}
}

int qpemu_sma_init_port(struct qpemu_node *node, struct qpemu_port *port, u8 num,
			__be64 guid)
{
	unsigned int rows = node->type == RDMA_NODE_IB_SWITCH ? node->num_ports + 1 : 1;

	port->node = node;
	port->num = num;
	port->stats = alloc_percpu(struct qpemu_port_stats);
	port->sl2vl = kcalloc(rows, sizeof(*port->sl2vl), GFP_KERNEL);
	if (!port->stats || !port->sl2vl) {
		qpemu_sma_free_port(port);
		return -ENOMEM;
	}
	init_vls(port, rows);
	port->guids[0] = guid;
	port->pkeys[0] = IB_DEFAULT_PKEY_FULL;
	node->ports[num] = port;
	qpemu_port_info_init(port);
	return 0;
}

void qpemu_sma_free_port(struct qpemu_port *port)
{
	free_percpu(port->stats);
	kfree(port->sl2vl);
	port->stats = NULL;
	port->sl2vl = NULL;
}

static struct qpemu_tables *new_tables(void)
{
	struct qpemu_tables *tables = kvzalloc_obj(*tables);

	if (!tables)
		return NULL;
	memset(tables->lft, ANY_PORT, sizeof(tables->lft));
	tables->default_port = ANY_PORT;
	tables->default_not_port = ANY_PORT;
	return tables;
}

int qpemu_sma_init_node(struct qpemu_node *node)
{
	spin_lock_init(&node->lock);
	if (qpemu_traps_init(node))
		return -ENOMEM;
	if (node->type != RDMA_NODE_IB_SWITCH)
		return 0;
	node->tables = new_tables();
	if (node->tables)
		return 0;
	qpemu_traps_free(node);
	return -ENOMEM;
}

void qpemu_sma_free_node(struct qpemu_node *node)
{
	qpemu_traps_free(node);
	kvfree(node->tables);
	node->tables = NULL;
}
