/* SPDX-License-Identifier: GPL-2.0-only */
/* Completion queues, and the event queues that tell of them by interrupt. */
#ifndef EFA_CQ_H
#define EFA_CQ_H

#include "defs.h"
#include "device.h"
#include "wire.h"

enum efa_admin_aq_completion_status eq_create(struct efa_device *dev,
					      const struct efa_admin_create_eq_cmd *cmd, u32 *eqn);
/* false when there is no such queue, here and below. */
bool eq_destroy(struct efa_device *dev, u16 eqn);
/* The guest wants an interrupt for the next event, or for one that it may have missed. */
void eq_arm(struct efa_device *dev, u16 eqn);

enum efa_admin_aq_completion_status cq_create(struct efa_device *dev,
					      const struct efa_admin_create_cq_cmd *cmd,
					      u32 *cqn);
bool cq_destroy(struct efa_device *dev, u16 cqn);
/* The doorbell of the queue in slot @index of its table was written. */
void cq_doorbell(struct efa_device *dev, u32 index, u32 value);
/*
 * Adds a completion.  One for a queue that is gone is lost.  Like the hardware,
 * this does not know how far the guest has read: the guest makes the queue
 * large enough for all of its requests.
 */
void cq_post(struct efa_device *dev, u16 cqn, const struct completion *comp);

#endif
