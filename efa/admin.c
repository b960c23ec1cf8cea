// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "commands.h"
#include "core.h"
#include "fabric.h"

#define MAX_DEPTH	  4096u
#define COMMANDS_AT_ONCE  16

static void fail(struct efa_device *dev, const char *what)
{
	device_event(dev, "admin queue: %s; waiting for a reset", what);
	dev->admin.failed = true;
	regs_set_fatal(dev);
}

/* Sets a ring up from its registers; without entries when they make no sense. */
static void configure(struct efa_device *dev, struct ring *ring, u32 base_off, u32 depth,
		      u32 size, u32 expected)
{
	*ring = (struct ring){ .base = regs_get_address(dev, base_off), .size = size };
	if (size == expected && is_power_of_two(depth) && depth <= MAX_DEPTH)
		ring->entries = depth;
	else
		device_event(dev, "admin queue of %u entries of %u bytes refused", depth, size);
}

void admin_configure(struct efa_device *dev, const struct regs_requests *requests)
{
	struct admin *admin = &dev->admin;
	u32 caps;

	if (requests->aq) {
		caps = regs_get(dev, EFA_REGS_AQ_CAPS_OFF);
		configure(dev, &admin->aq, EFA_REGS_AQ_BASE_LO_OFF,
			  EFA_GET(&caps, EFA_REGS_AQ_CAPS_AQ_DEPTH),
			  EFA_GET(&caps, EFA_REGS_AQ_CAPS_AQ_ENTRY_SIZE),
			  sizeof(struct efa_admin_aq_entry));
	}
	if (requests->acq) {
		caps = regs_get(dev, EFA_REGS_ACQ_CAPS_OFF);
		configure(dev, &admin->acq, EFA_REGS_ACQ_BASE_LO_OFF,
			  EFA_GET(&caps, EFA_REGS_ACQ_CAPS_ACQ_DEPTH),
			  EFA_GET(&caps, EFA_REGS_ACQ_CAPS_ACQ_ENTRY_SIZE),
			  sizeof(struct efa_admin_acq_entry));
		admin->acq_vector = EFA_GET(&caps, EFA_REGS_ACQ_CAPS_ACQ_MSIX_VECTOR);
	}
	if (requests->aenq) {
		caps = regs_get(dev, EFA_REGS_AENQ_CAPS_OFF);
		configure(dev, &admin->aenq, EFA_REGS_AENQ_BASE_LO_OFF,
			  EFA_GET(&caps, EFA_REGS_AENQ_CAPS_AENQ_DEPTH),
			  EFA_GET(&caps, EFA_REGS_AENQ_CAPS_AENQ_ENTRY_SIZE),
			  sizeof(struct efa_admin_aenq_entry));
		admin->aenq_vector = EFA_GET(&caps, EFA_REGS_AENQ_CAPS_AENQ_MSIX_VECTOR);
	}
}

/* Set, the mask bit says that the driver polls. */
static void interrupt(struct efa_device *dev, u8 vector)
{
	u32 mask = regs_get(dev, EFA_REGS_INTR_MASK_OFF);

	if (!EFA_GET(&mask, EFA_REGS_INTR_MASK_EN) && vector < EFA_MSIX_VECTORS)
		device_irq(dev, vector);
}

static void complete(struct efa_device *dev, const struct efa_admin_aq_entry *cmd,
		     struct efa_admin_acq_entry *resp, u8 status)
{
	struct efa_admin_acq_common_desc *common = &resp->acq_common_descriptor;

	common->command = EFA_GET(&cmd->aq_common_descriptor.command_id,
				  EFA_ADMIN_AQ_COMMON_DESC_COMMAND_ID);
	common->status = status;
	common->flags = ring_phase(&dev->admin.acq);
	if (ring_push(dev, EFA_DMA_ADMIN, &dev->admin.acq, resp))
		fail(dev, "cannot write a completion");
	else
		interrupt(dev, dev->admin.acq_vector);
}

static void run_next(struct efa_device *dev)
{
	struct efa_admin_acq_entry resp __attribute__((aligned(8))) = { 0 };
	struct ring *aq = &dev->admin.aq;
	struct efa_admin_aq_entry cmd;
	u8 status;

	if (device_read(dev, EFA_DMA_ADMIN, ring_address(aq, aq->next), &cmd, sizeof(cmd))) {
		fail(dev, "cannot read a command");
		return;
	}
	if (EFA_GET(&cmd.aq_common_descriptor.flags, EFA_ADMIN_AQ_COMMON_DESC_PHASE) !=
	    ring_phase(aq)) {
		fail(dev, "doorbell for a command that is not there");
		return;
	}
	aq->next++;
	status = command_run(dev, &cmd, &resp);
	dev->fabric->changes++;
	complete(dev, &cmd, &resp, status);
}

bool admin_work(struct efa_device *dev)
{
	struct admin *admin = &dev->admin;
	u16 producer = regs_get(dev, EFA_REGS_AQ_PROD_DB_OFF);

	if (!admin->aq.entries || !admin->acq.entries)
		return false;
	if ((u16)(producer - admin->aq.next) > admin->aq.entries && !admin->failed)
		fail(dev, "doorbell beyond the ring");
	for (int i = 0; i < COMMANDS_AT_ONCE; i++) {
		if (admin->failed || producer == (u16)admin->aq.next)
			return false;
		run_next(dev);
	}
	return !admin->failed && producer != (u16)admin->aq.next;
}

void admin_keep_alive(struct efa_device *dev)
{
	struct admin *admin = &dev->admin;
	u32 consumer = regs_get(dev, EFA_REGS_AENQ_CONS_DB_OFF);
	struct efa_admin_aenq_entry entry = {
		.aenq_common_desc.group = EFA_ADMIN_KEEP_ALIVE,
		.aenq_common_desc.flags = ring_phase(&admin->aenq),
	};

	if (!(admin->aenq_groups & BIT(EFA_ADMIN_KEEP_ALIVE)) ||
	    (u16)(admin->aenq.next - consumer) >= admin->aenq.entries)
		return;
	if (ring_push(dev, EFA_DMA_ADMIN, &admin->aenq, &entry))
		device_event(dev, "cannot write an asynchronous event");
	else
		interrupt(dev, admin->aenq_vector);
}
