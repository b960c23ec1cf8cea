/* SPDX-License-Identifier: GPL-2.0-only */
/* The admin commands. */
#ifndef EFA_COMMANDS_H
#define EFA_COMMANDS_H

#include "defs.h"
#include "device.h"

/*
 * Runs @cmd and fills what is specific to it in @resp; @resp is zero before
 * and aligned to 8 bytes.
 */
enum efa_admin_aq_completion_status command_run(struct efa_device *dev,
						const struct efa_admin_aq_entry *cmd,
						struct efa_admin_acq_entry *resp);

#endif
