// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "cq.h"
#include "fabric.h"
#include "execute.h"
#include "qp.h"
#include "receive.h"

static bool sq_is_valid(const struct efa_admin_qp_alloc_size *size)
{
	u64 ring = size->send_queue_ring_size;

	if (!ring)
		return true;
	return is_power_of_two(size->send_queue_depth) && ring <= EFA_LLQ_SIZE &&
	       (ring == (u64)size->send_queue_depth * EFA_SQ_ENTRY_SIZE ||
		ring == (u64)size->send_queue_depth * EFA_SQ_WIDE_ENTRY_SIZE);
}

static bool rq_is_valid(const struct efa_admin_qp_alloc_size *size)
{
	u32 entries = size->recv_queue_ring_size / sizeof(struct efa_io_rx_desc);

	if (!size->recv_queue_ring_size)
		return true;
	return size->recv_queue_ring_size % sizeof(struct efa_io_rx_desc) == 0 &&
	       is_power_of_two(entries) && entries <= EFA_MAX_RQ_DEPTH;
}

static bool qp_is_valid(const struct efa_device *dev, const struct efa_admin_create_qp_cmd *cmd)
{
	struct efa_admin_qp_alloc_size size = cmd->qp_alloc_size;

	if (cmd->qp_type != EFA_ADMIN_QP_TYPE_UD && cmd->qp_type != EFA_ADMIN_QP_TYPE_SRD)
		return false;
	if (cmd->flags & ~EFA_ADMIN_CREATE_QP_CMD_UNSOLICITED_WRITE_RECV_MASK)
		return false;
	return sq_is_valid(&size) && rq_is_valid(&size) && table_get(&dev->pds, cmd->pd) &&
	       table_get(&dev->uars, cmd->uar) && table_get(&dev->cqs, cmd->send_cq_idx) &&
	       table_get(&dev->cqs, cmd->recv_cq_idx);
}

enum efa_admin_aq_completion_status qp_create(struct efa_device *dev,
					      const struct efa_admin_create_qp_cmd *cmd,
					      u32 *qpn)
{
	struct efa_admin_qp_alloc_size size = cmd->qp_alloc_size;
	struct qp *qp;

	if (!qp_is_valid(dev, cmd))
		return EFA_ADMIN_ILLEGAL_PARAMETER;
	qp = malloc(sizeof(*qp));
	if (!qp || table_add(&dev->qps, qp, qpn)) {
		free(qp);
		return EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE;
	}
	*qp = (struct qp){
		.qpn = *qpn,
		.pd = cmd->pd,
		.send_cq = cmd->send_cq_idx,
		.recv_cq = cmd->recv_cq_idx,
		.type = cmd->qp_type,
		.rnr_retry = RNR_RETRY_FOREVER,
		.unsolicited_write_recv =
			EFA_GET(&cmd->flags, EFA_ADMIN_CREATE_QP_CMD_UNSOLICITED_WRITE_RECV),
		.sq.offset = table_index(&dev->qps, *qpn) * EFA_LLQ_SIZE,
		.rq.base = cmd->rq_base_addr,
		.rq.entries = size.recv_queue_ring_size / sizeof(struct efa_io_rx_desc),
	};
	if (size.send_queue_ring_size) {
		qp->sq.entries = size.send_queue_depth;
		qp->sq.size = size.send_queue_ring_size / size.send_queue_depth;
	}
	return EFA_ADMIN_SUCCESS;
}

bool qp_destroy(struct efa_device *dev, u32 qpn)
{
	struct qp *qp = table_remove(&dev->qps, qpn);

	free(qp);
	return qp;
}

/* As srd_qp_state_table in the driver's efa_verbs.c; datagrams know the same. */
static bool may_change(u32 from, u32 to)
{
	static const u32 next[] = {
		[EFA_ADMIN_QP_STATE_RESET] = BIT(EFA_ADMIN_QP_STATE_INIT),
		[EFA_ADMIN_QP_STATE_INIT] = BIT(EFA_ADMIN_QP_STATE_INIT) |
					    BIT(EFA_ADMIN_QP_STATE_RTR),
		[EFA_ADMIN_QP_STATE_RTR] = BIT(EFA_ADMIN_QP_STATE_RTS),
		[EFA_ADMIN_QP_STATE_RTS] = BIT(EFA_ADMIN_QP_STATE_RTS) |
					   BIT(EFA_ADMIN_QP_STATE_SQD),
		[EFA_ADMIN_QP_STATE_SQD] = BIT(EFA_ADMIN_QP_STATE_RTS) |
					   BIT(EFA_ADMIN_QP_STATE_SQD),
		[EFA_ADMIN_QP_STATE_SQE] = BIT(EFA_ADMIN_QP_STATE_RTS),
		[EFA_ADMIN_QP_STATE_ERR] = 0,
	};

	if (to == EFA_ADMIN_QP_STATE_RESET)
		return true;
	if (to == EFA_ADMIN_QP_STATE_ERR)
		return from != EFA_ADMIN_QP_STATE_RESET;
	return to < EFA_ADMIN_QP_STATE_ERR && next[from] & BIT(to);
}

static bool modify_is_valid(const struct qp *qp, const struct efa_admin_modify_qp_cmd *cmd)
{
	u32 mask = cmd->modify_mask;

	if (EFA_GET(&mask, EFA_ADMIN_MODIFY_QP_CMD_RNR_RETRY) &&
	    (qp->type != EFA_ADMIN_QP_TYPE_SRD || cmd->rnr_retry > RNR_RETRY_FOREVER))
		return false;
	if (!EFA_GET(&mask, EFA_ADMIN_MODIFY_QP_CMD_QP_STATE))
		return true;
	if (!may_change(qp->state, cmd->qp_state))
		return false;
	/* A queue pair that failed by itself may be given up whatever the guest takes it for. */
	return !EFA_GET(&mask, EFA_ADMIN_MODIFY_QP_CMD_CUR_QP_STATE) ||
	       cmd->cur_qp_state == qp->state || qp->state == EFA_ADMIN_QP_STATE_ERR;
}

/* A queue pair that is reset forgets what is posted: the guest starts again at 0. */
static void qp_enter(struct qp *qp, u32 state)
{
	qp->state = state;
	qp->waiting = false;
	if (state != EFA_ADMIN_QP_STATE_RESET)
		return;
	qp->sq.producer = 0;
	qp->sq.consumer = 0;
	qp->rq.producer = 0;
	qp->rq.consumer = 0;
	qp->busy = false;
	qp->rnr_retry = RNR_RETRY_FOREVER;
}

enum efa_admin_aq_completion_status qp_modify(struct efa_device *dev,
					      const struct efa_admin_modify_qp_cmd *cmd)
{
	struct qp *qp = table_get(&dev->qps, cmd->qp_handle);
	u32 mask = cmd->modify_mask;

	if (!qp || !modify_is_valid(qp, cmd))
		return EFA_ADMIN_ILLEGAL_PARAMETER;
	if (EFA_GET(&mask, EFA_ADMIN_MODIFY_QP_CMD_QP_STATE))
		qp_enter(qp, cmd->qp_state);
	if (EFA_GET(&mask, EFA_ADMIN_MODIFY_QP_CMD_QKEY))
		qp->qkey = cmd->qkey;
	if (EFA_GET(&mask, EFA_ADMIN_MODIFY_QP_CMD_SQ_PSN))
		qp->psn = cmd->sq_psn;
	if (EFA_GET(&mask, EFA_ADMIN_MODIFY_QP_CMD_RNR_RETRY))
		qp->rnr_retry = cmd->rnr_retry;
	return EFA_ADMIN_SUCCESS;
}

/* Takes a doorbell's producer index, unless that would overrun the ring. */
static bool take_producer(u16 *producer, u16 consumer, u32 entries, u32 value)
{
	if (value > UINT16_MAX || (u16)(value - consumer) > entries ||
	    (u16)(value - consumer) < (u16)(*producer - consumer))
		return false;
	*producer = value;
	return true;
}

void qp_send_doorbell(struct efa_device *dev, u32 index, u32 value)
{
	struct qp *qp = table_at(&dev->qps, index);

	if (qp && !take_producer(&qp->sq.producer, qp->sq.consumer, qp->sq.entries, value))
		device_event(dev, "queue pair %u: bad send doorbell %#x", qp->qpn, value);
}

void qp_recv_doorbell(struct efa_device *dev, u32 index, u32 value)
{
	struct qp *qp = table_at(&dev->qps, index);

	if (!qp)
		return;
	if (!take_producer(&qp->rq.producer, qp->rq.consumer, qp->rq.entries, value))
		device_event(dev, "queue pair %u: bad receive doorbell %#x", qp->qpn, value);
	else
		dev->fabric->changes++;
}

bool qp_is_runnable(const struct efa_device *dev, const struct qp *qp)
{
	bool sends = qp->busy || qp->sq.consumer != qp->sq.producer;

	switch (qp->state) {
	case EFA_ADMIN_QP_STATE_RTS:
		return sends && !(qp->waiting && qp->changes == dev->fabric->changes);
	case EFA_ADMIN_QP_STATE_SQD:
		return qp->busy && !(qp->waiting && qp->changes == dev->fabric->changes);
	case EFA_ADMIN_QP_STATE_ERR:
		return sends || qp->rq.consumer != qp->rq.producer;
	default:
		return false;
	}
}

static void complete_send(struct efa_device *dev, struct qp *qp, enum efa_io_comp_status status)
{
	const struct completion comp = {
		.req_id = qp->send.req_id,
		.qpn = qp->qpn,
		.status = status,
		.queue = EFA_IO_SEND_QUEUE,
		.op = qp->send.op,
	};

	qp->busy = false;
	if (status || qp->send.wants_completion)
		cq_post(dev, qp->send_cq, &comp);
}

/* Takes the next send out of LLQ memory, once, since the guest may change it at any time. */
static enum efa_io_comp_status fetch_send(struct efa_device *dev, struct qp *qp)
{
	u32 slot = qp->sq.consumer++ & (qp->sq.entries - 1);
	u8 entry[EFA_SQ_WIDE_ENTRY_SIZE];

	memcpy(entry, dev->llq + qp->sq.offset + slot * qp->sq.size, qp->sq.size);
	qp->busy = true;
	qp->waiting = false;
	qp->done = 0;
	return wire_decode_send(entry, qp->sq.size, &qp->send);
}

static void flush_send(struct efa_device *dev, struct qp *qp)
{
	if (!qp->busy)
		fetch_send(dev, qp);
	complete_send(dev, qp, EFA_IO_COMP_STATUS_FLUSHED);
}

static void run_send(struct efa_device *dev, struct qp *qp)
{
	enum efa_io_comp_status status = EFA_IO_COMP_STATUS_OK;
	enum progress progress = PROGRESS_DONE;

	if (!qp->busy)
		status = fetch_send(dev, qp);
	if (!status)
		progress = execute_send(dev, qp, &status);
	if (progress == PROGRESS_DONE)
		complete_send(dev, qp, status);
	qp->waiting = progress == PROGRESS_WAIT;
	qp->changes = dev->fabric->changes;
}

void qp_run(struct efa_device *dev, struct qp *qp)
{
	if (qp->state != EFA_ADMIN_QP_STATE_ERR)
		run_send(dev, qp);
	else if (qp->busy || qp->sq.consumer != qp->sq.producer)
		flush_send(dev, qp);
	else
		receive_flush(dev, qp);
}
