/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Netdevices of InfiniBand and Omni-Path ports: what rtnetlink(7) says of them
 *
 * IFLA_INFO_KIND is "ibport". There is one for each port of a device, none more can be
 * made, and nothing of this can be set: a subnet manager decides it.
 */
#ifndef _LINUX_IB_NETDEV_H
#define _LINUX_IB_NETDEV_H

/**
 * enum ifla_ibport - IFLA_INFO_DATA of the kind "ibport"
 * @IFLA_IBPORT_UNSPEC: none
 * @IFLA_IBPORT_PAD: nothing
 * @IFLA_IBPORT_DEVICE: string: RDMA device
 * @IFLA_IBPORT_PORT: u32: number of the port, from 1
 * @IFLA_IBPORT_STATE: u8: 1 down, 2 init, 3 armed, 4 active (IBA v1 7.2.7)
 * @IFLA_IBPORT_PHYS_STATE: u8: 1 sleep, 2 polling, 3 disabled, 4 training, 5 link up,
 *	6 link error recovery, 7 phy test (IBA v1 14.2.5.6)
 * @IFLA_IBPORT_GID: 16 bytes: the first of its GIDs: subnet prefix and port GUID
 * @IFLA_IBPORT_LID: u32: base LID
 * @IFLA_IBPORT_LMC: u8: how many of the lower bits of its LIDs are path bits
 * @IFLA_IBPORT_SM_LID: u32: where the subnet manager is
 * @IFLA_IBPORT_SM_SL: u8: service level to it
 * @IFLA_IBPORT_PKEY: u16: the first P_Key of its table
 * @IFLA_IBPORT_CAP_MASK: u32: capability mask of PortInfo (IBA v1 14.2.5.6)
 * @IFLA_IBPORT_MAX_MTU: u32: bytes that its packets may carry at most; IFLA_MTU is
 *	what they carry
 * @IFLA_IBPORT_WIDTH: u8: lanes
 * @IFLA_IBPORT_OPA: flag: it is one of Omni-Path
 * @__IFLA_IBPORT_MAX: one more than the last
 */
enum ifla_ibport {
	IFLA_IBPORT_UNSPEC,
	IFLA_IBPORT_PAD,
	IFLA_IBPORT_DEVICE,
	IFLA_IBPORT_PORT,
	IFLA_IBPORT_STATE,
	IFLA_IBPORT_PHYS_STATE,
	IFLA_IBPORT_GID,
	IFLA_IBPORT_LID,
	IFLA_IBPORT_LMC,
	IFLA_IBPORT_SM_LID,
	IFLA_IBPORT_SM_SL,
	IFLA_IBPORT_PKEY,
	IFLA_IBPORT_CAP_MASK,
	IFLA_IBPORT_MAX_MTU,
	IFLA_IBPORT_WIDTH,
	IFLA_IBPORT_OPA,
	__IFLA_IBPORT_MAX,
};

#define IFLA_IBPORT_MAX		(__IFLA_IBPORT_MAX - 1)

/**
 * enum ifla_ibport_xstats - IFLA_INFO_XSTATS of the kind "ibport": u64 each
 * @IFLA_IBPORT_XSTATS_UNSPEC: none
 * @IFLA_IBPORT_XSTATS_PAD: nothing
 * @IFLA_IBPORT_XSTATS_SYMBOL_ERROR: minor errors on lanes
 * @IFLA_IBPORT_XSTATS_LINK_ERROR_RECOVERY: how often the link was trained for errors
 * @IFLA_IBPORT_XSTATS_LINK_DOWNED: how often it was lost
 * @IFLA_IBPORT_XSTATS_RCV_ERRORS: packets with errors
 * @IFLA_IBPORT_XSTATS_RCV_REMOTE_PHYSICAL_ERRORS: packets marked as bad on the way
 * @IFLA_IBPORT_XSTATS_RCV_SWITCH_RELAY_ERRORS: packets that a switch had no way for
 * @IFLA_IBPORT_XSTATS_XMIT_DISCARDS: packets that were not sent
 * @IFLA_IBPORT_XSTATS_XMIT_CONSTRAINT_ERRORS: packets not sent for their P_Key
 * @IFLA_IBPORT_XSTATS_RCV_CONSTRAINT_ERRORS: packets refused for their P_Key
 * @IFLA_IBPORT_XSTATS_LOCAL_LINK_INTEGRITY_ERRORS: too many errors on lanes
 * @IFLA_IBPORT_XSTATS_EXCESSIVE_BUFFER_OVERRUNS: receive buffers were full
 * @IFLA_IBPORT_XSTATS_VL15_DROPPED: packets of subnet management without room
 * @IFLA_IBPORT_XSTATS_XMIT_WAIT: ticks in which there was something to be sent, but
 *	no credit
 * @IFLA_IBPORT_XSTATS_XMIT_DATA: words of four bytes sent
 * @IFLA_IBPORT_XSTATS_RCV_DATA: and received
 * @IFLA_IBPORT_XSTATS_XMIT_PACKETS: packets sent
 * @IFLA_IBPORT_XSTATS_RCV_PACKETS: and received
 * @IFLA_IBPORT_XSTATS_UNICAST_XMIT_PACKETS: those not to groups
 * @IFLA_IBPORT_XSTATS_UNICAST_RCV_PACKETS: likewise
 * @IFLA_IBPORT_XSTATS_MULTICAST_XMIT_PACKETS: those to groups
 * @IFLA_IBPORT_XSTATS_MULTICAST_RCV_PACKETS: likewise
 * @__IFLA_IBPORT_XSTATS_MAX: one more than the last
 *
 * PortCounters and PortCountersExtended, IBA v1 16.1.3.5 and 16.1.4.11; they may be
 * some seconds old.
 */
enum ifla_ibport_xstats {
	IFLA_IBPORT_XSTATS_UNSPEC,
	IFLA_IBPORT_XSTATS_PAD,
	IFLA_IBPORT_XSTATS_SYMBOL_ERROR,
	IFLA_IBPORT_XSTATS_LINK_ERROR_RECOVERY,
	IFLA_IBPORT_XSTATS_LINK_DOWNED,
	IFLA_IBPORT_XSTATS_RCV_ERRORS,
	IFLA_IBPORT_XSTATS_RCV_REMOTE_PHYSICAL_ERRORS,
	IFLA_IBPORT_XSTATS_RCV_SWITCH_RELAY_ERRORS,
	IFLA_IBPORT_XSTATS_XMIT_DISCARDS,
	IFLA_IBPORT_XSTATS_XMIT_CONSTRAINT_ERRORS,
	IFLA_IBPORT_XSTATS_RCV_CONSTRAINT_ERRORS,
	IFLA_IBPORT_XSTATS_LOCAL_LINK_INTEGRITY_ERRORS,
	IFLA_IBPORT_XSTATS_EXCESSIVE_BUFFER_OVERRUNS,
	IFLA_IBPORT_XSTATS_VL15_DROPPED,
	IFLA_IBPORT_XSTATS_XMIT_WAIT,
	IFLA_IBPORT_XSTATS_XMIT_DATA,
	IFLA_IBPORT_XSTATS_RCV_DATA,
	IFLA_IBPORT_XSTATS_XMIT_PACKETS,
	IFLA_IBPORT_XSTATS_RCV_PACKETS,
	IFLA_IBPORT_XSTATS_UNICAST_XMIT_PACKETS,
	IFLA_IBPORT_XSTATS_UNICAST_RCV_PACKETS,
	IFLA_IBPORT_XSTATS_MULTICAST_XMIT_PACKETS,
	IFLA_IBPORT_XSTATS_MULTICAST_RCV_PACKETS,
	__IFLA_IBPORT_XSTATS_MAX,
};

#define IFLA_IBPORT_XSTATS_MAX	(__IFLA_IBPORT_XSTATS_MAX - 1)

#endif /* _LINUX_IB_NETDEV_H */
