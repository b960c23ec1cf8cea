/* SPDX-License-Identifier: GPL-2.0-only */
/* The Linux driver's description of the hardware, in the order its headers need. */
#ifndef EFA_DEFS_H
#define EFA_DEFS_H

#include <assert.h>

#include "efa_common_defs.h"
#include "efa_admin_defs.h"
#include "efa_admin_cmds_defs.h"
#include "efa_io_defs.h"
#include "efa_regs_defs.h"

/*
 * The CQ doorbell and the 128-byte send work request are known to the userspace
 * provider only: rdma-core, providers/efa/efa_io_regs_defs.h and efa_io_defs.h.
 */
#define EFA_CQ_DB_CONSUMER_INDEX_MASK GENMASK(15, 0)
#define EFA_CQ_DB_CMD_SN_MASK	      GENMASK(30, 29)
#define EFA_CQ_DB_ARM_MASK	      BIT(31)

#define EFA_SQ_ENTRY_SIZE      sizeof(struct efa_io_tx_wqe)
#define EFA_SQ_WIDE_ENTRY_SIZE 128u
#define EFA_WIDE_INLINE_SIZE   80u

static_assert(EFA_SQ_ENTRY_SIZE == 64, "short send work request");

#endif
