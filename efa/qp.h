/* SPDX-License-Identifier: GPL-2.0-only */
/* Queue pairs: their states, their work queues and what the requests in them do. */
#ifndef EFA_QP_H
#define EFA_QP_H

#include "defs.h"
#include "device.h"
#include "wire.h"

#define RNR_RETRY_FOREVER 7 /* the largest value, and the default */

struct send_queue {
	u32 entries, size; /* of an entry, bytes */
	u32 offset;	   /* in the LLQ memory */
	u16 producer, consumer;
};

struct recv_queue {
	u32 entries; /* descriptors; a request takes one or more */
	u64 base;    /* bus address */
	u16 producer, consumer;
};

struct qp {
	u16 qpn, pd, send_cq, recv_cq;
	u8 type;  /* enum efa_admin_qp_type */
	u8 state; /* enum efa_admin_qp_state */
	u8 rnr_retry;
	bool unsolicited_write_recv;
	u32 qkey, psn;
	struct send_queue sq;
	struct recv_queue rq;

	/* The send at the head of the queue, while it is under way. */
	bool busy, waiting;
	struct send_request send;
	u32 done;    /* bytes of it */
	u64 changes; /* of the fabric, when it began to wait */
};

/* The number of a queue pair is also its handle; the slot of the table tells its doorbells. */
enum efa_admin_aq_completion_status qp_create(struct efa_device *dev,
					      const struct efa_admin_create_qp_cmd *cmd,
					      u32 *qpn);
enum efa_admin_aq_completion_status qp_modify(struct efa_device *dev,
					      const struct efa_admin_modify_qp_cmd *cmd);
/* Destroys it without completing what is posted. false when there is no such queue pair. */
bool qp_destroy(struct efa_device *dev, u32 qpn);

/* A doorbell of the queue pair in slot @index of its table was written. */
void qp_send_doorbell(struct efa_device *dev, u32 index, u32 value);
void qp_recv_doorbell(struct efa_device *dev, u32 index, u32 value);

/* Has it something to do that need not wait for anybody? */
bool qp_is_runnable(const struct efa_device *dev, const struct qp *qp);
/* Does one step of that: a request, or one DMA's worth of a large one. */
void qp_run(struct efa_device *dev, struct qp *qp);

#endif
