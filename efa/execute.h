/* SPDX-License-Identifier: GPL-2.0-only */
/* What a send request does: to its own device's memory and to the peer's. */
#ifndef EFA_EXECUTE_H
#define EFA_EXECUTE_H

#include "core.h"
#include "qp.h"

enum progress {
	PROGRESS_DONE, /* complete it with the status */
	PROGRESS_MORE, /* bytes are left to be moved */
	PROGRESS_WAIT, /* the peer has no receive posted */
};

/* One step of @qp->send. */
enum progress execute_send(struct efa_device *dev, struct qp *qp,
			   enum efa_io_comp_status *status);

#endif
