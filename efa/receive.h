/* SPDX-License-Identifier: GPL-2.0-only */
/* The receive requests that a peer's messages use up. */
#ifndef EFA_RECEIVE_H
#define EFA_RECEIVE_H

#include "core.h"
#include "qp.h"
#include "wire.h"

struct receive {
	u16 req_id;
	u16 descriptors; /* that it takes of the queue */
	unsigned int count;
	struct segment segments[EFA_MAX_RECV_SGES];
	u64 len; /* bytes of all segments */
};

enum receive_state {
	RECEIVE_READY,
	RECEIVE_NONE,	/* nothing is posted */
	RECEIVE_BROKEN, /* what is posted is no request; req_id and descriptors are valid */
	RECEIVE_LOST,	/* the queue cannot be read: the queue pair is in error now */
};

/* Reads the request at the head of the queue and leaves it there. */
enum receive_state receive_peek(struct efa_device *dev, struct qp *qp, struct receive *recv);
/* Takes the request off the queue and completes it; sets comp's req_id, qpn and queue. */
void receive_complete(struct efa_device *dev, struct qp *qp, const struct receive *recv,
		      struct completion *comp);
/* Takes the request at the head of the queue, which is not empty, off as flushed. */
void receive_flush(struct efa_device *dev, struct qp *qp);

#endif
