/* SPDX-License-Identifier: GPL-2.0 */
/* The variant CRC of InfiniBand packets, IBA v1 7.8.2 */
#ifndef _QPEMU_VCRC_H
#define _QPEMU_VCRC_H

#include <linux/skbuff.h>
#include <linux/types.h>

void qpemu_vcrc_init(void);
__le16 qpemu_vcrc(const void *data, size_t len);
__le16 qpemu_vcrc_skb(const struct sk_buff *skb, unsigned int len);

#endif /* _QPEMU_VCRC_H */
