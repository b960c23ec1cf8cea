// SPDX-License-Identifier: GPL-2.0-only
#include "cq.h"
#include "receive.h"

/* Copies @count descriptors from the head on, around the end of the ring. */
static int read_descriptors(struct efa_device *dev, const struct recv_queue *rq, u32 count,
			    struct efa_io_rx_desc *descs)
{
	u32 head = rq->consumer & (rq->entries - 1);
	u32 straight = rq->entries - head < count ? rq->entries - head : count;
	int err = device_read(dev, EFA_DMA_QUEUE, rq->base + head * sizeof(*descs), descs,
			      straight * sizeof(*descs));

	if (err || straight == count)
		return err;
	return device_read(dev, EFA_DMA_QUEUE, rq->base, descs + straight,
			   (count - straight) * sizeof(*descs));
}

static enum receive_state gather(const struct efa_io_rx_desc *descs, u32 count,
				 struct receive *recv)
{
	struct recv_descriptor desc;

	*recv = (struct receive){ .req_id = descs[0].req_id };
	while (recv->descriptors < count) {
		wire_decode_recv(&descs[recv->descriptors], &desc);
		if (desc.first != !recv->descriptors)
			break;
		recv->descriptors++;
		recv->segments[recv->count++] = desc.buffer;
		recv->len += desc.buffer.len;
		if (desc.last)
			return RECEIVE_READY;
	}
	if (!recv->descriptors)
		recv->descriptors = 1;
	return RECEIVE_BROKEN;
}

enum receive_state receive_peek(struct efa_device *dev, struct qp *qp, struct receive *recv)
{
	struct efa_io_rx_desc descs[EFA_MAX_RECV_SGES];
	u32 posted = (u16)(qp->rq.producer - qp->rq.consumer);
	u32 count = posted < EFA_MAX_RECV_SGES ? posted : EFA_MAX_RECV_SGES;

	if (!count)
		return RECEIVE_NONE;
	if (read_descriptors(dev, &qp->rq, count, descs)) {
		device_event(dev, "queue pair %u: cannot read the receive queue", qp->qpn);
		qp->state = EFA_ADMIN_QP_STATE_ERR;
		qp->rq.consumer = qp->rq.producer;
		return RECEIVE_LOST;
	}
	return gather(descs, count, recv);
}

void receive_complete(struct efa_device *dev, struct qp *qp, const struct receive *recv,
		      struct completion *comp)
{
	qp->rq.consumer += recv->descriptors;
	comp->req_id = recv->req_id;
	comp->qpn = qp->qpn;
	comp->queue = EFA_IO_RECV_QUEUE;
	cq_post(dev, qp->recv_cq, comp);
}

void receive_flush(struct efa_device *dev, struct qp *qp)
{
	struct completion comp = { .status = EFA_IO_COMP_STATUS_FLUSHED, .ah = UINT16_MAX };
	struct receive recv;

	if (receive_peek(dev, qp, &recv) != RECEIVE_LOST)
		receive_complete(dev, qp, &recv, &comp);
}
