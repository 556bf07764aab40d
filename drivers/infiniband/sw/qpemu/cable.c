// SPDX-License-Identifier: GPL-2.0
/*
 * A netdevice as the cable of a port
 *
 * Packets go in Ethernet frames, whole from the LRH to the VCRC (IBA v1 7.7 and
 * 7.8.2). A super-packet or a train has neither a packet length nor a VCRC as long
 * as it is whole; who cuts it, see cable_segment(), gives each packet both.
 *
 * What the physical layer of InfiniBand does to find out whether there is another
 * port at the other end is done by hellos here. Each names the session of its
 * sender, which is a number that is new whenever the link begins anew, and the
 * session that the sender has heard of. A port that hears its own session named
 * knows that the link works in both ways:
 *
 *	A				B
 *	  --- hello, I am 5 ------------->
 *	  <-- hello, I am 7, heard 5 -----
 *	up
 *	  --- hello, I am 5, heard 7 ---->
 *					up
 *	  <-- hello, I am 7, heard 5 -----
 *
 * Frames of other protocols that the netdevice receives go their way.
 */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/pkt_sched.h>
#include <linux/random.h>
#include <linux/rtnetlink.h>
#include <linux/timer.h>
#include <linux/udp.h>

#include "fabric.h"
#include "link.h"
#include "vcrc.h"

/* An LVer that no packet has */
#define HELLO_LVER	0x0f
#define HELLO_VERSION	1

enum hello_op {
	HELLO = 1,
	BYE = 2,		/* @session has ended */
};

#define SEARCH_PERIOD	max(HZ / 10, 1)
#define HELLO_PERIOD	HZ
/*
 * How many hellos of ours may go unanswered, 3 s of them. They are what is counted, not
 * the time, for on a busy machine both ends may be late.
 */
#define SILENCE		3
#define SEARCH_SILENCE	30
/* So that the answer to who wants the link to be trained again gets out */
#define RETRAIN_DELAY	max(HZ / 20, 1)

/**
 * struct hello - what ports say to each other in a frame of its own
 * @vl_lver: where a packet has its version: HELLO_LVER
 * @version: HELLO_VERSION
 * @op: enum hello_op
 * @session: the sender's; not 0
 * @heard: that of the peer as far as the sender knows, or 0
 * @vcrc: of all before it
 */
struct hello {
	u8 vl_lver;
	u8 version;
	__be16 op;
	__be32 session;
	__be32 heard;
	__le16 vcrc;
} __packed;

/**
 * struct qpemu_cable - a netdevice as cable
 * @port: whose
 * @ndev: the netdevice
 * @tracker: of the reference to it
 * @lock: protects what follows
 * @timer: says hello
 * @ready: the netdevice is up and has carrier, and the port is not disabled
 * @retrain: the link is to begin anew
 * @trained: the link is up
 * @session: ours, since @ready
 * @peer_session: the peer's, 0 before it is heard
 * @peer: its MAC address
 * @missed: hellos of ours since it was last heard
 * @rcu: frees it after a grace period
 */
struct qpemu_cable {
	struct qpemu_port *port;
	struct net_device *ndev;
	netdevice_tracker tracker;
	spinlock_t lock;	/* all that follows */
	struct timer_list timer;
	bool ready;
	bool retrain;
	bool trained;
	u32 session;
	u32 peer_session;
	u64 peer;
	unsigned int missed;
	struct rcu_head rcu;
};

/*
 * Hellos
 */

static void put_mac_header(const struct qpemu_cable *cable, struct sk_buff *skb,
			   const u8 *to)
{
	skb_reset_network_header(skb);
	skb->protocol = htons(QPEMU_IB_PROTOCOL);
	skb->dev = cable->ndev;
	dev_hard_header(skb, cable->ndev, QPEMU_IB_PROTOCOL, to, cable->ndev->dev_addr,
			skb->len);
}

/* Under cable->lock. */
static void say(struct qpemu_cable *cable, enum hello_op op)
{
	struct net_device *ndev = cable->ndev;
	struct hello *hello;
	struct sk_buff *skb;
	u8 to[ETH_ALEN];

	skb = alloc_skb(LL_RESERVED_SPACE(ndev) + sizeof(*hello) + ndev->needed_tailroom,
			GFP_ATOMIC);
	if (!skb)
		return;		/* as if it were lost */
	skb_reserve(skb, LL_RESERVED_SPACE(ndev));
	hello = skb_put(skb, sizeof(*hello));
	*hello = (struct hello) {
		.vl_lver = HELLO_LVER,
		.version = HELLO_VERSION,
		.op = cpu_to_be16(op),
		.session = cpu_to_be32(cable->session),
		.heard = cpu_to_be32(cable->peer_session),
	};
	hello->vcrc = qpemu_vcrc(hello, offsetof(struct hello, vcrc));
	if (cable->peer_session)
		u64_to_ether_addr(cable->peer, to);
	else
		eth_broadcast_addr(to);
	put_mac_header(cable, skb, to);
	skb->priority = TC_PRIO_CONTROL;
	dev_queue_xmit(skb);
}

/* Under cable->lock. */
static void link_up(struct qpemu_cable *cable)
{
	WRITE_ONCE(cable->trained, true);
	qpemu_sma_link(cable->port, true);
}

/* There is no peer, or another one. Under cable->lock. */
static void link_down(struct qpemu_cable *cable)
{
	cable->peer_session = 0;
	if (!cable->trained)
		return;
	WRITE_ONCE(cable->trained, false);
	qpemu_port_count(cable->port, QPEMU_PORT_LINK_DOWNED);
	qpemu_sma_link(cable->port, false);
}

/* Under cable->lock. */
static void begin(struct qpemu_cable *cable)
{
	do {
		cable->session = get_random_u32();
	} while (!cable->session);
	cable->ready = true;
	mod_timer(&cable->timer, jiffies);
}

/* Under cable->lock. */
static void end(struct qpemu_cable *cable)
{
	if (cable->ready && netif_running(cable->ndev))
		say(cable, BYE);
	cable->ready = false;
	link_down(cable);
}

static bool mtu_suffices(const struct net_device *ndev)
{
	return READ_ONCE(ndev->mtu) >= ib_mtu_enum_to_int(IB_MTU_256) + QPEMU_IB_OVERHEAD;
}

static bool can_begin(const struct qpemu_cable *cable)
{
	return netif_running(cable->ndev) && netif_carrier_ok(cable->ndev) &&
	       mtu_suffices(cable->ndev) && !READ_ONCE(cable->port->disabled);
}

/* Something may have happened to the netdevice. Under cable->lock. */
static void look(struct qpemu_cable *cable)
{
	bool ready = can_begin(cable);

	if (cable->ready && (!ready || cable->retrain))
		end(cable);
	cable->retrain = false;
	if (ready && !cable->ready)
		begin(cable);
}

static bool is_silent(const struct qpemu_cable *cable)
{
	return READ_ONCE(cable->missed) >= (cable->trained ? SILENCE : SEARCH_SILENCE);
}

static void tick(struct timer_list *timer)
{
	struct qpemu_cable *cable = timer_container_of(cable, timer, timer);

	spin_lock(&cable->lock);
	look(cable);
	if (cable->ready) {
		if (cable->peer_session && is_silent(cable)) {
			end(cable);
			begin(cable);
		}
		WRITE_ONCE(cable->missed, cable->missed + 1);
		say(cable, HELLO);
		mod_timer(&cable->timer, jiffies + (cable->trained ? HELLO_PERIOD :
								     SEARCH_PERIOD));
	}
	spin_unlock(&cable->lock);
}

void qpemu_cable_retrain(struct qpemu_port *port)
{
	struct qpemu_cable *cable;

	rcu_read_lock();
	cable = rcu_dereference(port->cable);
	if (cable) {
		/* Its lock is taken before that of whoever calls. */
		WRITE_ONCE(cable->retrain, true);
		mod_timer(&cable->timer, jiffies + RETRAIN_DELAY);
	}
	rcu_read_unlock();
}

/* Of several ports on the same wire, the one heard first is the peer. */
static bool from_stranger(const struct qpemu_cable *cable, u64 mac, u32 session)
{
	return cable->peer_session && session != cable->peer_session &&
	       mac != cable->peer && !is_silent(cable);
}

/* Under cable->lock. */
static void hear_hello(struct qpemu_cable *cable, u64 mac, u32 session, u32 heard)
{
	bool up;

	if (cable->peer_session && cable->peer_session != session)
		link_down(cable);
	cable->peer_session = session;
	WRITE_ONCE(cable->peer, mac);
	WRITE_ONCE(cable->missed, 0);
	up = heard == cable->session && !cable->trained;
	if (up)
		link_up(cable);
	/* Who does not know yet is told. */
	if (up || heard != cable->session)
		say(cable, HELLO);
}

static void hear(struct qpemu_cable *cable, struct sk_buff *skb)
{
	u64 mac = ether_addr_to_u64(eth_hdr(skb)->h_source);
	const struct hello *hello;
	u32 session, heard;

	if (!pskb_may_pull(skb, sizeof(*hello)))
		return;
	hello = (const void *)skb->data;
	session = be32_to_cpu(hello->session);
	heard = be32_to_cpu(hello->heard);
	if (hello->version != HELLO_VERSION || !session ||
	    hello->vcrc != qpemu_vcrc(hello, offsetof(struct hello, vcrc)))
		return;

	spin_lock(&cable->lock);
	if (!cable->ready || session == cable->session) {
		/* deaf, or an echo */
	} else if (hello->op == cpu_to_be16(HELLO)) {
		if (!from_stranger(cable, mac, session))
			hear_hello(cable, mac, session, heard);
	} else if (hello->op == cpu_to_be16(BYE) && session == cable->peer_session) {
		link_down(cable);
		mod_timer(&cable->timer, jiffies + SEARCH_PERIOD);
	}
	spin_unlock(&cable->lock);
}

/*
 * Packets come
 */

#define MIN_LEN		(IB_LRH_BYTES + ROCE_MIN_OVERHEAD)

/*
 * Is it a packet in form, and as it was sent? Frames may be padded, so the length is
 * what the LRH says.
 */
static bool well_formed(struct sk_buff *skb)
{
	const struct qpemu_lrh *lrh = (const void *)skb->data;
	unsigned int len = (be16_to_cpu(lrh->len) & IB_LRH_WORDS) * 4;
	__le16 vcrc;

	if (lrh->vl_lver & QPEMU_LVER_MASK || !ib_is_iba(skb->data))
		return false;
	if (skb_is_gso(skb))
		return !len && skb->len >= MIN_LEN &&
		       (skb_shinfo(skb)->gso_type == QPEMU_SUPER ||
			skb_shinfo(skb)->gso_type == QPEMU_TRAIN);
	return len >= MIN_LEN && skb->len >= len + IB_VCRC_LEN &&
	       !skb_copy_bits(skb, len, &vcrc, sizeof(vcrc)) &&
	       vcrc == qpemu_vcrc_skb(skb, len) && !pskb_trim(skb, len);
}

static bool to_group(const struct qpemu_lrh *lrh)
{
	u16 dlid = be16_to_cpu(lrh->dlid);

	return dlid >= QPEMU_LID_MULTICAST && dlid != QPEMU_LID_PERMISSIVE;
}

/* Packets, and words of them as they are on a wire. @skb->data is at the LRH. */
static void measure(const struct sk_buff *skb, unsigned int *pkts, unsigned int *words)
{
	unsigned int below = ib_bth_offset(skb->data);

	*pkts = 1;
	*words = skb->len / 4;
	if (!skb_is_gso(skb))
		return;
	*pkts = skb_shinfo(skb)->gso_segs;
	/* The packets of a train have all but what is below the BTH already. */
	if (skb_shinfo(skb)->gso_type == QPEMU_SUPER)
		below += ROCE_MIN_OVERHEAD;
	*words += (*pkts - 1) * below / 4;
}

static void rx_packet(struct qpemu_cable *cable, struct sk_buff *skb)
{
	struct qpemu_port *port = cable->port;
	unsigned int pkts, words;

	if (!READ_ONCE(cable->trained)) {
		kfree_skb(skb);
		return;
	}
	if (!well_formed(skb)) {
		qpemu_port_count(port, QPEMU_PORT_RCV_ERRORS);
		kfree_skb(skb);
		return;
	}
	if (READ_ONCE(cable->missed))
		WRITE_ONCE(cable->missed, 0);
	measure(skb, &pkts, &words);
	qpemu_port_count_n(port, QPEMU_PORT_RCV_PKTS, pkts);
	qpemu_port_count_n(port, QPEMU_PORT_RCV_WORDS, words);
	qpemu_port_count_n(port, to_group((const void *)skb->data) ?
				 QPEMU_PORT_MULTICAST_RCV : QPEMU_PORT_UNICAST_RCV, pkts);
	/* It may be kept for a while, or go on: let go of what belongs to the stack. */
	skb_orphan(skb);
	skb_scrub_packet(skb, true);
	skb_reset_network_header(skb);
	port->node->ops->rx(port, skb);
}

static rx_handler_result_t cable_rx(struct sk_buff **pskb)
{
	struct sk_buff *skb = *pskb;
	struct qpemu_cable *cable;

	if (skb->protocol != htons(QPEMU_IB_PROTOCOL) || skb_vlan_tag_present(skb) ||
	    skb->pkt_type == PACKET_LOOPBACK)
		return RX_HANDLER_PASS;
	cable = rcu_dereference(skb->dev->rx_handler_data);
	skb = skb_share_check(skb, GFP_ATOMIC);
	if (!skb)
		return RX_HANDLER_CONSUMED;
	if (skb->pkt_type == PACKET_OTHERHOST ||
	    !pskb_may_pull(skb, sizeof(struct qpemu_lrh))) {
		kfree_skb(skb);
	} else if ((skb->data[0] & QPEMU_LVER_MASK) == HELLO_LVER) {
		hear(cable, skb);
		consume_skb(skb);
	} else {
		rx_packet(cable, skb);
	}
	return RX_HANDLER_CONSUMED;
}

/*
 * Packets go
 */

static void put_vcrc(struct sk_buff *skb)
{
	__le16 vcrc = qpemu_vcrc_skb(skb, skb->len);

	skb_put_data(skb, &vcrc, sizeof(vcrc));
	skb->ip_summed = CHECKSUM_NONE;
}

/* What the stack looks at: RoCE's UDP header is in front of the BTH. */
static void prepare_gso(struct sk_buff *skb)
{
	skb_set_transport_header(skb, ib_bth_offset(skb->data) - sizeof(struct udphdr));
	skb->ip_summed = CHECKSUM_UNNECESSARY;
}

/* Let there be room for what comes before and after it; eats @skb if it fails. */
static struct sk_buff *make_room(struct sk_buff *skb, const struct net_device *ndev)
{
	unsigned int headroom = LL_RESERVED_SPACE(ndev);
	struct sk_buff *copy;

	if (skb_is_gso(skb)) {
		if (!skb_cow_head(skb, headroom))
			return skb;
		kfree_skb(skb);
		return NULL;
	}
	if (likely(!skb_cloned(skb) && skb_headroom(skb) >= headroom &&
		   skb_tailroom(skb) >= IB_VCRC_LEN))
		return skb;
	copy = skb_copy_expand(skb, headroom, IB_VCRC_LEN, GFP_ATOMIC);
	if (copy)
		consume_skb(skb);
	else
		kfree_skb(skb);
	return copy;
}

bool qpemu_cable_is(const struct net_device *ndev)
{
	return rcu_access_pointer(ndev->rx_handler) == cable_rx;
}

int qpemu_port_xmit(struct qpemu_port *port, struct sk_buff *skb)
{
	struct qpemu_cable *cable = rcu_dereference(port->cable);
	bool group = to_group((const void *)skb->data);
	unsigned int pkts, words;
	u8 to[ETH_ALEN];
	int err;

	measure(skb, &pkts, &words);
	err = -ENETDOWN;
	if (!cable || !READ_ONCE(cable->trained)) {
		kfree_skb(skb);
		goto failed;
	}
	err = -ENOMEM;
	skb = make_room(skb, cable->ndev);
	if (!skb)
		goto failed;
	if (skb_is_gso(skb))
		prepare_gso(skb);
	else
		put_vcrc(skb);
	u64_to_ether_addr(READ_ONCE(cable->peer), to);
	put_mac_header(cable, skb, to);
	err = dev_queue_xmit(skb);
	if (err > 0)
		err = net_xmit_errno(err);
	if (err)
		goto failed;
	qpemu_port_count_n(port, QPEMU_PORT_XMIT_PKTS, pkts);
	qpemu_port_count_n(port, QPEMU_PORT_XMIT_WORDS, words);
	qpemu_port_count_n(port, group ? QPEMU_PORT_MULTICAST_XMIT :
					 QPEMU_PORT_UNICAST_XMIT, pkts);
	return 0;

failed:
	qpemu_port_count_n(port, QPEMU_PORT_XMIT_DISCARDS, pkts);
	return err;
}

/* The netdevice does not take super-packets. */
static struct sk_buff *cable_segment(struct sk_buff *skb, netdev_features_t features)
{
	struct sk_buff *segs, *seg;

	if (skb_shinfo(skb)->gso_type != QPEMU_SUPER &&
	    skb_shinfo(skb)->gso_type != QPEMU_TRAIN)
		return ERR_PTR(-EINVAL);
	segs = roce_gso_segment_ib(skb, features);
	if (IS_ERR_OR_NULL(segs))
		return segs;
	skb_list_walk_safe(segs, seg, skb) {
		__le16 vcrc = qpemu_vcrc(skb_network_header(seg),
					 skb_tail_pointer(seg) - skb_network_header(seg));

		skb_put_data(seg, &vcrc, sizeof(vcrc));
	}
	return segs;
}

static struct packet_offload cable_offload = {
	.type = htons(QPEMU_IB_PROTOCOL),
	.callbacks.gso_segment = cable_segment,
};

/*
 * Netdevices
 */

enum ib_mtu qpemu_cable_mtu(const struct net_device *ndev)
{
	unsigned int mtu = READ_ONCE(ndev->mtu);

	return ib_mtu_int_to_enum(mtu > QPEMU_IB_OVERHEAD ? mtu - QPEMU_IB_OVERHEAD : 0);
}

struct net_device *qpemu_cable_netdev(const struct qpemu_port *port)
{
	struct qpemu_cable *cable = rcu_dereference(port->cable);

	return cable ? cable->ndev : NULL;
}

/*
 * The netdevice's MTU bounds what subnet management may set. It is what the port
 * begins with as well: a link is taken down if a subnet manager wants another.
 */
static void take_mtu(struct qpemu_cable *cable)
{
	struct qpemu_port *port = cable->port;
	enum ib_mtu mtu = qpemu_cable_mtu(cable->ndev);

	spin_lock_bh(&port->node->lock);
	WRITE_ONCE(port->mtu_cap, mtu);
	WRITE_ONCE(port->mtu, mtu);
	spin_unlock_bh(&port->node->lock);
}

static int check(const struct net_device *ndev)
{
	if (ndev->reg_state != NETREG_REGISTERED)
		return -ENODEV;
	if (ndev->type != ARPHRD_ETHER || ndev->addr_len != ETH_ALEN || !mtu_suffices(ndev))
		return -EINVAL;
	return 0;
}

/* Under RTNL. */
static int plug(struct qpemu_port *port, struct net_device *ndev)
{
	struct qpemu_cable *cable;
	int err = check(ndev);

	if (err)
		return err;
	cable = kzalloc_obj(*cable);
	if (!cable)
		return -ENOMEM;
	cable->port = port;
	cable->ndev = ndev;
	spin_lock_init(&cable->lock);
	timer_setup(&cable->timer, tick, 0);
	err = netdev_rx_handler_register(ndev, cable_rx, cable);
	if (err) {
		kfree(cable);
		return err;
	}
	netdev_hold(ndev, &cable->tracker, GFP_KERNEL);
	take_mtu(cable);
	rcu_assign_pointer(port->cable, cable);
	spin_lock_bh(&cable->lock);
	look(cable);
	spin_unlock_bh(&cable->lock);
	return 0;
}

/* Under RTNL. */
static void unplug(struct qpemu_cable *cable)
{
	struct net_device *ndev = cable->ndev;

	spin_lock_bh(&cable->lock);
	end(cable);
	spin_unlock_bh(&cable->lock);
	timer_shutdown_sync(&cable->timer);
	/* The timer may have begun anew; nobody does after this. */
	spin_lock_bh(&cable->lock);
	end(cable);
	spin_unlock_bh(&cable->lock);
	RCU_INIT_POINTER(cable->port->cable, NULL);
	/* This waits for whoever uses the one or the other. */
	netdev_rx_handler_unregister(ndev);
	netdev_put(ndev, &cable->tracker);
	kfree_rcu(cable, rcu);
}

int qpemu_cable_plug(struct qpemu_port *port, struct net_device *ndev)
{
	int err;

	rtnl_lock();
	err = plug(port, ndev);
	rtnl_unlock();
	return err;
}

void qpemu_cable_unplug(struct qpemu_port *port)
{
	struct qpemu_cable *cable;

	rtnl_lock();
	cable = rtnl_dereference(port->cable);
	if (cable)
		unplug(cable);
	rtnl_unlock();
}

static void went_down(struct qpemu_cable *cable)
{
	spin_lock_bh(&cable->lock);
	end(cable);
	spin_unlock_bh(&cable->lock);
}

static void look_again(struct qpemu_cable *cable, bool retrain)
{
	spin_lock_bh(&cable->lock);
	if (retrain)
		cable->retrain = true;
	look(cable);
	spin_unlock_bh(&cable->lock);
}

static int netdev_event(struct notifier_block *nb, unsigned long event, void *info)
{
	struct net_device *ndev = netdev_notifier_info_to_dev(info);
	struct qpemu_cable *cable;
	struct qpemu_port *port;

	if (!qpemu_cable_is(ndev))
		return NOTIFY_DONE;
	cable = rtnl_dereference(ndev->rx_handler_data);
	port = cable->port;
	switch (event) {
	case NETDEV_UP:
	case NETDEV_CHANGE:
	case NETDEV_DOWN:
		look_again(cable, false);
		break;
	case NETDEV_GOING_DOWN:
		went_down(cable);
		break;
	case NETDEV_CHANGEMTU:
		/* It is not something that changes under a manager's eyes. */
		take_mtu(cable);
		look_again(cable, true);
		break;
	case NETDEV_REGISTER:
		if (port->node->ops->moved)
			port->node->ops->moved(port);
		break;
	case NETDEV_UNREGISTER:
		/* One that moves is unregistered and registered, and stays. */
		if (ndev->reg_state == NETREG_REGISTERED)
			break;
		unplug(cable);
		if (port->node->ops->gone)
			port->node->ops->gone(port);
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block netdev_nb = {
	.notifier_call = netdev_event,
};

int __init qpemu_cable_init(void)
{
	int err;

	qpemu_vcrc_init();
	err = register_netdevice_notifier(&netdev_nb);
	if (!err)
		dev_add_offload(&cable_offload);
	return err;
}

/* After the last cable is unplugged. */
void qpemu_cable_exit(void)
{
	dev_remove_offload(&cable_offload);
	unregister_netdevice_notifier(&netdev_nb);
}
