/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Registers and doorbells: what the guest's processors touch while the device
 * works.  A write is kept until the working thread collects it; nothing here
 * waits.
 */
#ifndef EFA_REGS_H
#define EFA_REGS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "defs.h"
#include "device.h"

#define REGS_COUNT    (EFA_REGS_EQ_DB_OFF / 4 + 1)
#define REGS_EQS      (EFA_MSIX_VECTORS - 1)
#define REGS_DB_PAGES (EFA_BAR_DB_SIZE >> 12)

/* What the guest asked for since it was last collected. */
struct regs_requests {
	bool aq, acq, aenq; /* its registers were set up */
	bool response;	    /* to a register read, that could not be stored at once */
	u64 response_addr, response_value;
	bool keep_alive;
	bool eq_armed[REGS_EQS];
	u16 eqn[REGS_EQS];
};

struct regs {
	pthread_mutex_t lock; /* over the rest but @reset and, elsewhere, the device's @pci */
	u32 value[REGS_COUNT];
	bool fatal;
	struct regs_requests requests;
	u32 doorbell[REGS_DB_PAGES];
	u64 rung[REGS_DB_PAGES / 64]; /* a bit for each doorbell */
	atomic_bool reset; /* the objects are still to be destroyed */
};

void regs_init(struct regs *regs);
void regs_fini(struct regs *regs);
/* Forgets what was written and has the working thread destroy the objects. */
void regs_reset(struct efa_device *dev);
/* The objects are destroyed: the guest may see the end of the reset. */
void regs_reset_done(struct efa_device *dev);
/* The device cannot go on without a reset; the guest sees it in DEV_STS until it asks for one. */
void regs_set_fatal(struct efa_device *dev);

/* The register at byte offset @off, for the working thread. */
u32 regs_get(struct efa_device *dev, u32 off);
/* The 64-bit address in two registers, the lower one at @off. */
u64 regs_get_address(struct efa_device *dev, u32 off);
/* Moves what is requested to @requests. */
void regs_collect(struct efa_device *dev, struct regs_requests *requests);
/* Takes one doorbell that was rung; false when there is none. */
bool regs_next_doorbell(struct efa_device *dev, u32 *page, u32 *value);
/* Is anything left to be collected, a doorbell or a reset? */
bool regs_are_pending(struct efa_device *dev);

#endif
