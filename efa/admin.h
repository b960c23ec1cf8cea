/* SPDX-License-Identifier: GPL-2.0-only */
/* The admin queue, its completion queue, and the queue of asynchronous events. */
#ifndef EFA_ADMIN_H
#define EFA_ADMIN_H

#include "defs.h"
#include "device.h"
#include "regs.h"
#include "ring.h"

struct admin {
	struct ring aq, acq, aenq; /* without entries until the guest sets them up */
	u8 acq_vector, aenq_vector;
	u32 aenq_groups; /* a bit for each group that the guest wants to hear of */
	bool failed;	 /* until a reset */
};

/* Takes over the queues that the guest set up since the last time. */
void admin_configure(struct efa_device *dev, const struct regs_requests *requests);
/* Runs commands, but not many at once.  Returns whether some are left. */
bool admin_work(struct efa_device *dev);
/* Tells the guest that the device lives, if it wants to know and has room. */
void admin_keep_alive(struct efa_device *dev);

#endif
