/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory regions: registration, keys, access rights and translation. */
#ifndef EFA_MR_H
#define EFA_MR_H

#include <stdbool.h>
#include <stddef.h>

#include "defs.h"
#include "device.h"

/* Access rights, of which reading by the owner is always there. */
#define MR_LOCAL_WRITE	((u8)EFA_ADMIN_REG_MR_CMD_LOCAL_WRITE_ENABLE_MASK)
#define MR_REMOTE_WRITE ((u8)EFA_ADMIN_REG_MR_CMD_REMOTE_WRITE_ENABLE_MASK)
#define MR_REMOTE_READ	((u8)EFA_ADMIN_REG_MR_CMD_REMOTE_READ_ENABLE_MASK)

struct mr {
	u16 pd;
	u8 access, shift; /* a page has 1 << shift bytes */
	u64 iova, len;	  /* bytes */
	u32 pages;
	u64 page[]; /* bus addresses, page-aligned */
};

/* How the command tells the page list. */
enum pbl { PBL_INLINE, PBL_DIRECT, PBL_INDIRECT };

/*
 * Registers what @cmd describes, reading the page list from the guest unless it
 * is inline.  One key serves as lkey and rkey.
 */
enum efa_admin_aq_completion_status mr_register(struct efa_device *dev,
						const struct efa_admin_reg_mr_cmd *cmd,
						enum pbl pbl, u32 *key);
/* false when there is no such region. */
bool mr_deregister(struct efa_device *dev, u32 key);
/*
 * The region of @key when it belongs to @pd, grants all of @access and holds
 * the range; NULL otherwise.  Valid until the next admin command.
 */
const struct mr *mr_find(const struct efa_device *dev, u32 key, u16 pd, u8 access, u64 addr,
			 u32 len);
/*
 * The bus address of @addr and, in @len, how many of the @len bytes from there
 * on are contiguous on the bus.  The range lies in the region.
 */
u64 mr_translate(const struct mr *mr, u64 addr, size_t *len);

#endif
