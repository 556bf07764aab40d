// SPDX-License-Identifier: GPL-2.0
/*
 * PortInfo, IBA v1 14.2.5.6, and the state of a link, 7.2.7
 *
 * A port of an adapter has all fields. Of a switch, port 0 has those that concern
 * management, the others those that concern a link; fields that a port has not
 * are zero, and what is written to them is not looked at.
 *
 *		     trained		 Set		      Set, or data came
 *	Down ----------------> Initialize -----> Armed -------------------> Active
 *	  ^			    |		   |			      |
 *	  +---- link lost, or Set --+--------------+--------------------------+
 */
#include "sma.h"

#define DEFAULT_PREFIX	cpu_to_be64(0xfe80000000000000ULL)

#define SPEED_ALL	0xf	/* in LinkSpeedEnabled: what is supported */
#define WIDTH_ALL	0xff
#define WIDTHS		(IB_WIDTH_1X | IB_WIDTH_4X)
#define SPEEDS		(IB_SPEED_SDR | IB_SPEED_DDR | IB_SPEED_QDR)

#define VL_CAP		4	/* VL0-7 */
#define VL_ARB_CAP	64	/* entries of each of both tables */
#define RESPONSE_TIME	16	/* 4.096 us << 16: a quarter of a second */
#define SUBNET_TIMEOUT	18	/* until the subnet manager says otherwise */
#define ERROR_THRESHOLD	0xf

/* operationalvl_pei_peo_fpi_fpo */
#define ENFORCE_MASK	(QPEMU_ENFORCE_IN | QPEMU_ENFORCE_OUT)
/* clientrereg_resv_subnetto */
#define REREGISTER	0x80
#define TIMEOUT_MASK	0x1f
/* mkeyprot_resv_lmc */
#define LMC_MASK	0x7

#define CAPABILITIES								\
	(IB_PORT_NOTICE_SUP | IB_PORT_TRAP_SUP | IB_PORT_SL_MAP_SUP |		\
	 IB_PORT_LED_INFO_SUP | IB_PORT_SYS_IMAGE_GUID_SUP |			\
	 IB_PORT_DR_NOTICE_SUP | IB_PORT_CAP_MASK_NOTICE_SUP |			\
	 IB_PORT_CLIENT_REG_SUP | IB_PORT_OTHER_LOCAL_CHANGES_SUP)

static bool has_management(const struct qpemu_port *port)
{
	return port == qpemu_port_mgmt(port);
}

static bool has_link(const struct qpemu_port *port)
{
	return port->num;
}

static u8 high(u8 byte)
{
	return byte >> 4;
}

static u8 low(u8 byte)
{
	return byte & 0xf;
}

static u8 nibbles(u8 high, u8 low)
{
	return high << 4 | low;
}

/* As it is after power-on; no SM has been here. */
void qpemu_port_info_init(struct qpemu_port *port)
{
	port->down_default = IB_PORT_PHYS_STATE_POLLING;
	port->state = has_link(port) ? IB_PORT_DOWN : IB_PORT_ACTIVE;
	port->mtu_cap = IB_MTU_4096;
	port->mtu = has_link(port) ? IB_MTU_256 : IB_MTU_4096;
	port->op_vls = VL_CAP;
	port->gid_prefix = DEFAULT_PREFIX;
	if (has_management(port))
		port->cap_mask = CAPABILITIES |
			(port->node->type == RDMA_NODE_IB_CA ? IB_PORT_CM_SUP : 0);
	port->info = (struct ib_port_info) {
		.link_width_enabled = WIDTHS,
		.link_width_supported = WIDTHS,
		.link_width_active = QPEMU_LINK_WIDTH,
		.linkspeed_portstate = nibbles(SPEEDS, 0),
		.linkspeedactive_enabled = nibbles(QPEMU_LINK_SPEED, SPEEDS),
		.vlcap_inittype = nibbles(VL_CAP, 0),
		.vl_arb_high_cap = VL_ARB_CAP,
		.vl_arb_low_cap = VL_ARB_CAP,
		.localphyerrors_overrunerrors = nibbles(ERROR_THRESHOLD, ERROR_THRESHOLD),
	};
	if (!has_management(port))
		return;
	port->info.guid_cap = QPEMU_NUM_GUIDS;
	port->info.clientrereg_resv_subnetto = SUBNET_TIMEOUT;
	port->info.resv_resptimevalue = RESPONSE_TIME;
}

u8 qpemu_port_phys_state(const struct qpemu_port *port)
{
	if (!has_link(port))
		return IB_PORT_PHYS_STATE_LINK_UP;
	if (READ_ONCE(port->disabled))
		return IB_PORT_PHYS_STATE_DISABLED;
	if (!READ_ONCE(port->trained))
		return READ_ONCE(port->down_default);
	if (READ_ONCE(port->state) == IB_PORT_DOWN)
		return IB_PORT_PHYS_STATE_PORT_CONFIGURATION_TRAINING;
	return IB_PORT_PHYS_STATE_LINK_UP;
}

/* 14.2.4: who lacks the key may see it only where it protects nothing. */
static void put_management(const struct qpemu_smp *req, const struct qpemu_port *port,
			   struct ib_port_info *pi)
{
	if (req->trusted || !port->mkey_prot)
		pi->mkey = port->mkey;
	pi->gid_prefix = port->gid_prefix;
	pi->lid = cpu_to_be16(port->lid);
	pi->sm_lid = cpu_to_be16(port->sm_lid);
	pi->cap_mask = cpu_to_be32(port->cap_mask);
	pi->mkey_lease_period = cpu_to_be16(port->mkey_lease);
	pi->mkeyprot_resv_lmc = port->mkey_prot << 6 | port->lmc;
	pi->neighbormtu_mastersmsl |= port->sm_sl;
	pi->mkey_violations = cpu_to_be16(port->mkey_violations);
	pi->qkey_violations = cpu_to_be16(port->qkey_violations);
	pi->clientrereg_resv_subnetto |= req->echo;
}

/* Attribute modifier: number of the port, and bits about speeds that we have not. */
static struct qpemu_port *named_port(const struct qpemu_smp *req)
{
	u32 mod = be32_to_cpu(req->smp->attr_mod);

	return qpemu_smp_port(req, mod & ~BIT(31));
}

__be16 qpemu_port_info_get(struct qpemu_smp *req)
{
	struct ib_port_info *pi = (void *)req->smp->data;
	const struct qpemu_port *port = named_port(req);

	if (!port)
		return QPEMU_SMP_BAD_VALUE;
	*pi = port->info;
	pi->local_port_num = req->port->num;
	pi->linkspeed_portstate |= port->state;
	pi->portphysstate_linkdown = nibbles(qpemu_port_phys_state(port),
					     port->down_default);
	pi->neighbormtu_mastersmsl = nibbles(port->mtu, 0);
	pi->inittypereply_mtucap = port->mtu_cap;
	pi->operationalvl_pei_peo_fpi_fpo |= nibbles(port->op_vls, 0);
	pi->pkey_violations = cpu_to_be16(port->pkey_violations);
	if (has_management(port))
		put_management(req, port, pi);
	return 0;
}

static bool is_unicast(u16 lid)
{
	return lid && lid < QPEMU_LID_MULTICAST;
}

/* A port that has none yet may be written to without getting one. */
static bool good_lid(const struct qpemu_port *port, const struct ib_port_info *pi)
{
	u16 lid = be16_to_cpu(pi->lid);
	u8 lmc = pi->mkeyprot_resv_lmc & LMC_MASK;

	if (!has_management(port))
		return true;
	if (!has_link(port) && lmc)
		return false;
	if (lid == port->lid && !lid)
		return true;
	return is_unicast(lid) && !(lid & (BIT(lmc) - 1));
}

static bool good_sm_lid(const struct qpemu_port *port, const struct ib_port_info *pi)
{
	u16 lid = be16_to_cpu(pi->sm_lid);

	return !has_management(port) || is_unicast(lid) || lid == port->sm_lid;
}

/* Links have one width and one speed: they cannot be turned off. */
static bool good_width(const struct qpemu_port *port, const struct ib_port_info *pi)
{
	u8 enabled = pi->link_width_enabled;

	return !has_link(port) || !enabled || enabled == WIDTH_ALL ||
	       (!(enabled & ~WIDTHS) && enabled & QPEMU_LINK_WIDTH);
}

static bool good_speed(const struct qpemu_port *port, const struct ib_port_info *pi)
{
	u8 enabled = low(pi->linkspeedactive_enabled);

	return !has_link(port) || !enabled || enabled == SPEED_ALL ||
	       (!(enabled & ~SPEEDS) && enabled & QPEMU_LINK_SPEED);
}

static bool good_state(const struct qpemu_port *port, const struct ib_port_info *pi)
{
	u8 state = low(pi->linkspeed_portstate);

	if (!has_link(port))
		return true;
	switch (state) {
	case IB_PORT_NOP:
	case IB_PORT_DOWN:
		return true;
	case IB_PORT_ARMED:
		return port->state == IB_PORT_INIT || port->state == state;
	case IB_PORT_ACTIVE:
		return port->state == IB_PORT_ARMED || port->state == state;
	}
	return false;
}

/* To choose one takes the link down, so it is not to come up by the same request. */
static bool good_phys_state(const struct qpemu_port *port, const struct ib_port_info *pi)
{
	u8 state = low(pi->linkspeed_portstate);
	u8 phys = high(pi->portphysstate_linkdown);

	if (!has_link(port) || !phys)
		return true;
	if (phys > IB_PORT_PHYS_STATE_DISABLED)
		return false;
	return state == IB_PORT_NOP || state == IB_PORT_DOWN;
}

static bool good_down_default(const struct qpemu_port *port,
			      const struct ib_port_info *pi)
{
	return !has_link(port) ||
	       low(pi->portphysstate_linkdown) <= IB_PORT_PHYS_STATE_POLLING;
}

static bool good_mtu(const struct qpemu_port *port, const struct ib_port_info *pi)
{
	u8 mtu = high(pi->neighbormtu_mastersmsl);

	return !has_link(port) || (mtu >= IB_MTU_256 && mtu <= port->mtu_cap);
}

static bool good_vls(const struct qpemu_port *port, const struct ib_port_info *pi)
{
	return !has_link(port) || high(pi->operationalvl_pei_peo_fpi_fpo) <= VL_CAP;
}

static bool (*const checks[])(const struct qpemu_port *port,
			      const struct ib_port_info *pi) = {
	good_lid, good_sm_lid, good_width, good_speed, good_state, good_phys_state,
	good_down_default, good_mtu, good_vls,
};

static bool good(const struct qpemu_port *port, const struct ib_port_info *pi)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(checks); i++)
		if (!checks[i](port, pi))
			return false;
	return true;
}

/* Counters of violations can only be set to zero. */
static void reset(u16 *counter, __be16 value)
{
	if (!value)
		*counter = 0;
}

static void set_identity(struct qpemu_smp *req, struct qpemu_port *port,
			 const struct ib_port_info *pi)
{
	u16 lid = be16_to_cpu(pi->lid);
	u8 lmc = pi->mkeyprot_resv_lmc & LMC_MASK;

	if (lid != port->lid || lmc != port->lmc)
		req->events |= BIT(QPEMU_EVENT_LID);
	if (pi->gid_prefix != port->gid_prefix)
		req->events |= BIT(QPEMU_EVENT_GID);
	WRITE_ONCE(port->lid, lid);
	WRITE_ONCE(port->lmc, lmc);
	WRITE_ONCE(port->gid_prefix, pi->gid_prefix);
}

static void set_sm(struct qpemu_smp *req, struct qpemu_port *port,
		   const struct ib_port_info *pi)
{
	u16 lid = be16_to_cpu(pi->sm_lid);
	u8 sl = low(pi->neighbormtu_mastersmsl);

	if (lid != port->sm_lid || sl != port->sm_sl)
		req->events |= BIT(QPEMU_EVENT_SM);
	WRITE_ONCE(port->sm_lid, lid);
	WRITE_ONCE(port->sm_sl, sl);
	if (pi->clientrereg_resv_subnetto & REREGISTER) {
		req->events |= BIT(QPEMU_EVENT_REREGISTER);
		req->echo = REREGISTER;
	}
}

static void set_management(struct qpemu_smp *req, struct qpemu_port *port,
			   const struct ib_port_info *pi)
{
	set_identity(req, port, pi);
	set_sm(req, port, pi);
	port->mkey = pi->mkey;
	port->mkey_lease = be16_to_cpu(pi->mkey_lease_period);
	port->mkey_prot = pi->mkeyprot_resv_lmc >> 6;
	WRITE_ONCE(port->info.clientrereg_resv_subnetto,
		   pi->clientrereg_resv_subnetto & TIMEOUT_MASK);
	reset(&port->mkey_violations, pi->mkey_violations);
	reset(&port->qkey_violations, pi->qkey_violations);
}

/* Return: whether the port came up or became active, or ceased to be that. */
static bool set_state(struct qpemu_port *port, u8 state)
{
	u8 before = port->state;

	WRITE_ONCE(port->state, state);
	return (before == IB_PORT_ACTIVE) != (state == IB_PORT_ACTIVE) ||
	       (before == IB_PORT_DOWN) != (state == IB_PORT_DOWN);
}

/*
 * Which of 1X and 4X, SDR to QDR: the link has the same whatever is enabled. Values
 * that say "all that is supported" read as what that is.
 */
static void set_enabled(struct qpemu_port *port, const struct ib_port_info *pi)
{
	u8 width = pi->link_width_enabled;
	u8 speed = low(pi->linkspeedactive_enabled);

	if (width)
		port->info.link_width_enabled = width & WIDTHS;
	if (speed)
		port->info.linkspeedactive_enabled = nibbles(QPEMU_LINK_SPEED,
							     speed & SPEEDS);
}

static void set_link(struct qpemu_smp *req, struct qpemu_port *port,
		     const struct ib_port_info *pi)
{
	u8 state = low(pi->linkspeed_portstate);
	u8 phys = high(pi->portphysstate_linkdown);
	u8 down_default = low(pi->portphysstate_linkdown);
	u8 vls = high(pi->operationalvl_pei_peo_fpi_fpo);

	set_enabled(port, pi);
	WRITE_ONCE(port->mtu, high(pi->neighbormtu_mastersmsl));
	if (vls)
		WRITE_ONCE(port->op_vls, vls);
	port->info.vl_high_limit = pi->vl_high_limit;
	port->info.vlstallcnt_hoqlife = pi->vlstallcnt_hoqlife;
	port->info.localphyerrors_overrunerrors = pi->localphyerrors_overrunerrors;
	if (port->node->type == RDMA_NODE_IB_SWITCH)
		WRITE_ONCE(port->info.operationalvl_pei_peo_fpi_fpo,
			   pi->operationalvl_pei_peo_fpi_fpo & ENFORCE_MASK);
	if (down_default)
		WRITE_ONCE(port->down_default, down_default);
	if (phys) {
		state = IB_PORT_DOWN;
		WRITE_ONCE(port->disabled, phys == IB_PORT_PHYS_STATE_DISABLED);
	}
	if (state && set_state(port, state))
		req->events |= BIT(QPEMU_EVENT_STATE);
	req->train = state == IB_PORT_DOWN;
}

/* All of it, or with a wrong field nothing. */
__be16 qpemu_port_info_set(struct qpemu_smp *req)
{
	struct ib_port_info pi = *(struct ib_port_info *)req->smp->data;
	struct qpemu_port *port = named_port(req);

	if (!port || !good(port, &pi))
		return QPEMU_SMP_BAD_VALUE;
	req->changed = port;
	reset(&port->pkey_violations, pi.pkey_violations);
	if (has_management(port))
		set_management(req, port, &pi);
	if (has_link(port))
		set_link(req, port, &pi);
	return 0;
}

static void tell(struct qpemu_port *port, bool event)
{
	struct qpemu_node *node = port->node;

	if (event)
		node->ops->event(port, BIT(QPEMU_EVENT_STATE));
}

void qpemu_sma_link(struct qpemu_port *port, bool up)
{
	struct qpemu_node *node = port->node;
	bool event = false, changed = false;

	spin_lock_bh(&node->lock);
	WRITE_ONCE(port->trained, up);
	if (up && port->state == IB_PORT_DOWN && !port->disabled) {
		event = set_state(port, IB_PORT_INIT);
		changed = true;
	} else if (!up && port->state != IB_PORT_DOWN) {
		event = set_state(port, IB_PORT_DOWN);
		changed = true;
	}
	if (changed && node->tables)
		node->tables->changed = true;
	spin_unlock_bh(&node->lock);

	tell(port, event);
	if (changed && node->tables)
		qpemu_trap_link(node);
}

void qpemu_sma_capability(struct qpemu_port *port, u32 set, u32 clear)
{
	u32 before;

	spin_lock_bh(&port->node->lock);
	before = port->cap_mask;
	WRITE_ONCE(port->cap_mask, (before & ~clear) | set);
	spin_unlock_bh(&port->node->lock);
	if (READ_ONCE(port->cap_mask) != before)
		qpemu_trap_capability(port);
}

static bool activate(struct qpemu_port *port)
{
	bool event = false;

	spin_lock_bh(&port->node->lock);
	if (port->state == IB_PORT_ARMED)
		event = set_state(port, IB_PORT_ACTIVE);
	spin_unlock_bh(&port->node->lock);
	tell(port, event);
	return READ_ONCE(port->state) == IB_PORT_ACTIVE;
}

bool qpemu_sma_rx_ok(struct qpemu_port *port, u8 vl)
{
	u8 state = READ_ONCE(port->state);

	if (vl == QPEMU_VL_MANAGEMENT)
		return READ_ONCE(port->trained);
	if (likely(state == IB_PORT_ACTIVE))
		return true;
	return state == IB_PORT_ARMED && activate(port);
}
