// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "cq.h"
#include "execute.h"
#include "fabric.h"
#include "receive.h"
#include "transfer.h"

/* A send and what it meets. */
struct exchange {
	struct efa_device *dev, *peer;
	struct qp *qp, *target;
	struct memory local;
};

static enum progress done(enum efa_io_comp_status *status, enum efa_io_comp_status value)
{
	*status = value;
	return PROGRESS_DONE;
}

/* Counts @len payload bytes from one device to the other; an empty message is a packet too. */
static void count_payload(struct efa_device *from, struct efa_device *to, u32 len)
{
	u32 packets = len ? (len + EFA_MTU - 1) / EFA_MTU : 1;

	from->stats.basic.tx_bytes += len;
	from->stats.basic.tx_pkts += packets;
	to->stats.basic.rx_bytes += len;
	to->stats.basic.rx_pkts += packets;
}

/* The receiver's name for the sender, or 0xffff when it has none. */
static u16 handle_of_sender(const struct exchange *x)
{
	const struct table *ahs = &x->peer->ahs;
	u32 left = ahs->used;

	for (u32 i = 0; left && i < table_size(ahs); i++) {
		const struct address_handle *ah = table_at(ahs, i);

		if (!ah)
			continue;
		left--;
		if (ah->pd == x->target->pd && !memcmp(ah->gid, x->dev->gid, EFA_GID_SIZE))
			return table_handle(ahs, i);
	}
	return UINT16_MAX;
}

/* A datagram comes behind room for its header, in the buffer and in the length. */
static u32 room_for_header(const struct exchange *x)
{
	return x->qp->type == EFA_ADMIN_QP_TYPE_UD ? EFA_GRH_SIZE : 0;
}

static struct completion receive_completion(const struct exchange *x,
					    enum efa_io_comp_status status)
{
	const struct send_request *send = &x->qp->send;
	u16 ah = handle_of_sender(x);

	return (struct completion){
		.status = status,
		.op = send->op,
		.has_imm = send->has_imm,
		.imm = send->imm,
		.len = room_for_header(x) + send->len,
		.src_qpn = x->qp->qpn,
		.ah = ah,
		.src_gid = ah == UINT16_MAX ? x->dev->gid : NULL,
	};
}

static void complete_receive(const struct exchange *x, const struct receive *recv,
			     enum efa_io_comp_status status)
{
	struct completion comp = receive_completion(x, status);

	receive_complete(x->peer, x->target, recv, &comp);
}

static enum progress not_ready(const struct exchange *x, enum efa_io_comp_status *status)
{
	return x->qp->rnr_retry == RNR_RETRY_FOREVER ?
		       PROGRESS_WAIT :
		       done(status, EFA_IO_COMP_STATUS_REMOTE_ERROR_RNR);
}

/* Takes the receive at the head of the peer's queue, or tells why there is none. */
static enum progress take_receive(const struct exchange *x, struct receive *recv,
				  enum efa_io_comp_status *status)
{
	switch (receive_peek(x->peer, x->target, recv)) {
	case RECEIVE_READY:
		return done(status, EFA_IO_COMP_STATUS_OK);
	case RECEIVE_NONE:
		return not_ready(x, status);
	case RECEIVE_BROKEN:
		complete_receive(x, recv, EFA_IO_COMP_STATUS_LOCAL_ERROR_QP_INTERNAL_ERROR);
		return done(status, EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_STATUS);
	default:
		return done(status, EFA_IO_COMP_STATUS_REMOTE_ERROR_ABORT);
	}
}

/*
 * Puts the message into the receive; tells both sides' statuses.  When the sender
 * cannot read its own memory, nothing was sent and the receive is as it was.
 */
static enum efa_io_comp_status put_message(const struct exchange *x, const struct receive *recv,
					   enum efa_io_comp_status *remote)
{
	const struct send_request *send = &x->qp->send;
	u8 *bounce = x->dev->fabric->bounce;
	u32 offset = room_for_header(x);
	const struct memory buffer = {
		.dev = x->peer,
		.pd = x->target->pd,
		.access = MR_LOCAL_WRITE,
		.segments = recv->segments,
		.count = recv->count,
	};

	if (recv->len < offset + send->len) {
		*remote = EFA_IO_COMP_STATUS_LOCAL_ERROR_BAD_LENGTH;
		return EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_LENGTH;
	}
	if (!memory_is_valid(&buffer)) {
		*remote = EFA_IO_COMP_STATUS_LOCAL_ERROR_INVALID_LKEY;
		return EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_STATUS;
	}
	if (memory_read(&x->local, 0, bounce, send->len))
		return EFA_IO_COMP_STATUS_LOCAL_ERROR_QP_INTERNAL_ERROR;
	if (memory_write(&buffer, offset, bounce, send->len)) {
		*remote = EFA_IO_COMP_STATUS_LOCAL_ERROR_QP_INTERNAL_ERROR;
		return EFA_IO_COMP_STATUS_REMOTE_ERROR_ABORT;
	}
	*remote = EFA_IO_COMP_STATUS_OK;
	return EFA_IO_COMP_STATUS_OK;
}

static enum progress send_message(const struct exchange *x, enum efa_io_comp_status *status)
{
	enum efa_io_comp_status remote;
	enum progress progress;
	struct receive recv;

	progress = take_receive(x, &recv, status);
	if (progress != PROGRESS_DONE || *status)
		return progress;
	*status = put_message(x, &recv, &remote);
	if (*status != EFA_IO_COMP_STATUS_LOCAL_ERROR_QP_INTERNAL_ERROR)
		complete_receive(x, &recv, remote);
	if (!*status) {
		count_payload(x->dev, x->peer, x->qp->send.len);
		x->peer->stats.messages.recv_wrs++;
		x->peer->stats.messages.recv_bytes += x->qp->send.len;
	}
	return PROGRESS_DONE;
}

/* The receiver of an RDMA write with immediate data hears of it when all is there. */
static enum progress notify(const struct exchange *x, enum efa_io_comp_status *status)
{
	struct completion comp;
	struct receive recv;

	if (x->target->unsolicited_write_recv) {
		comp = receive_completion(x, EFA_IO_COMP_STATUS_OK);
		comp.unsolicited = true;
		comp.qpn = x->target->qpn;
		comp.queue = EFA_IO_RECV_QUEUE;
		cq_post(x->peer, x->target->recv_cq, &comp);
		return done(status, EFA_IO_COMP_STATUS_OK);
	}
	if (take_receive(x, &recv, status) == PROGRESS_WAIT)
		return PROGRESS_WAIT;
	if (!*status)
		complete_receive(x, &recv, EFA_IO_COMP_STATUS_OK);
	return PROGRESS_DONE;
}

/* Moves the next part of an RDMA between the two sides. */
static enum efa_io_comp_status move(const struct exchange *x, const struct memory *remote)
{
	bool reads = x->qp->send.op == EFA_IO_RDMA_READ;
	const struct memory *from = reads ? remote : &x->local;
	const struct memory *to = reads ? &x->local : remote;
	u32 left = x->qp->send.len - x->qp->done;
	u32 part = left < EFA_DMA_SIZE ? left : EFA_DMA_SIZE;
	u8 *bounce = x->dev->fabric->bounce;
	const struct memory *failed = NULL;

	if (memory_read(from, x->qp->done, bounce, part))
		failed = from;
	else if (memory_write(to, x->qp->done, bounce, part))
		failed = to;
	x->qp->done += part;
	if (!failed)
		return EFA_IO_COMP_STATUS_OK;
	return failed == remote ? EFA_IO_COMP_STATUS_REMOTE_ERROR_ABORT :
				  EFA_IO_COMP_STATUS_LOCAL_ERROR_QP_INTERNAL_ERROR;
}

static enum progress rdma(const struct exchange *x, enum efa_io_comp_status *status)
{
	const struct send_request *send = &x->qp->send;
	const struct memory remote = {
		.dev = x->peer,
		.pd = x->target->pd,
		.access = send->op == EFA_IO_RDMA_READ ? MR_REMOTE_READ : MR_REMOTE_WRITE,
		.segments = &send->remote,
		.count = 1,
	};

	if (x->qp->done < send->len) {
		if (!memory_is_valid(&remote))
			return done(status, EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_ADDRESS);
		*status = move(x, &remote);
		if (*status)
			return PROGRESS_DONE;
		if (x->qp->done < send->len)
			return PROGRESS_MORE;
	}
	if (send->op == EFA_IO_RDMA_WRITE && send->has_imm)
		return notify(x, status);
	return PROGRESS_DONE;
}

static bool hears(const struct qp *qp)
{
	return qp->state == EFA_ADMIN_QP_STATE_RTR || qp->state == EFA_ADMIN_QP_STATE_RTS ||
	       qp->state == EFA_ADMIN_QP_STATE_SQD;
}

static enum efa_io_comp_status find_target(struct exchange *x, struct address_handle *ah)
{
	const struct send_request *send = &x->qp->send;

	x->peer = fabric_find(x->dev->fabric, ah->gid);
	if (!x->peer)
		return ah->reached ? EFA_IO_COMP_STATUS_LOCAL_ERROR_UNRESP_REMOTE :
				     EFA_IO_COMP_STATUS_LOCAL_ERROR_UNREACH_REMOTE;
	ah->reached = true;
	x->target = table_get(&x->peer->qps, send->dest_qpn);
	if (!x->target || x->target->type != x->qp->type || !hears(x->target))
		return EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_DEST_QPN;
	if (x->target->qkey != send->qkey) {
		x->peer->stats.basic.qkey_viol++;
		return EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_STATUS;
	}
	return EFA_IO_COMP_STATUS_OK;
}

/* A datagram's sender never learns what became of it, once it left. */
static enum progress send_datagram(struct exchange *x, struct address_handle *ah,
				   enum efa_io_comp_status *status)
{
	struct receive recv;

	if (find_target(x, ah))
		return done(status, EFA_IO_COMP_STATUS_OK);
	if (receive_peek(x->peer, x->target, &recv) != RECEIVE_READY ||
	    recv.len < room_for_header(x) + x->qp->send.len) {
		x->peer->stats.basic.rx_drops++;
		return done(status, EFA_IO_COMP_STATUS_OK);
	}
	send_message(x, status);
	if (*status != EFA_IO_COMP_STATUS_LOCAL_ERROR_QP_INTERNAL_ERROR)
		*status = EFA_IO_COMP_STATUS_OK;
	return PROGRESS_DONE;
}

static enum efa_io_comp_status check_local(const struct exchange *x,
					   const struct address_handle *ah)
{
	const struct send_request *send = &x->qp->send;
	u32 most = send->op == EFA_IO_SEND ? EFA_MTU : EFA_MAX_RDMA_SIZE;

	if (x->qp->type == EFA_ADMIN_QP_TYPE_UD && send->op != EFA_IO_SEND)
		return EFA_IO_COMP_STATUS_LOCAL_ERROR_UNSUPPORTED_OP;
	if (send->len > most)
		return EFA_IO_COMP_STATUS_LOCAL_ERROR_BAD_LENGTH;
	if (!ah || ah->pd != x->qp->pd)
		return EFA_IO_COMP_STATUS_LOCAL_ERROR_INVALID_AH;
	if (!memory_is_valid(&x->local))
		return EFA_IO_COMP_STATUS_LOCAL_ERROR_INVALID_LKEY;
	return EFA_IO_COMP_STATUS_OK;
}

/* Counts a request that is over. */
static void count_request(const struct exchange *x, enum efa_io_comp_status status)
{
	const struct send_request *send = &x->qp->send;
	u32 len = status ? 0 : send->len;

	switch (send->op) {
	case EFA_IO_RDMA_READ:
		x->dev->stats.reads.read_wrs++;
		x->dev->stats.reads.read_wr_err += !!status;
		x->dev->stats.reads.read_bytes += len;
		if (!status) {
			x->peer->stats.reads.read_resp_bytes += len;
			count_payload(x->peer, x->dev, len);
		}
		break;
	case EFA_IO_RDMA_WRITE:
		x->dev->stats.writes.write_wrs++;
		x->dev->stats.writes.write_wr_err += !!status;
		x->dev->stats.writes.write_bytes += len;
		if (!status) {
			x->peer->stats.writes.write_recv_bytes += len;
			count_payload(x->dev, x->peer, len);
		}
		break;
	default:
		x->dev->stats.messages.send_wrs++;
		x->dev->stats.messages.send_bytes += len;
	}
}

static enum progress start(struct exchange *x, enum efa_io_comp_status *status)
{
	struct address_handle *ah = table_get(&x->dev->ahs, x->qp->send.ah);

	*status = check_local(x, ah);
	if (*status)
		return PROGRESS_DONE;
	if (x->qp->type == EFA_ADMIN_QP_TYPE_UD)
		return send_datagram(x, ah, status);
	*status = find_target(x, ah);
	if (*status)
		return PROGRESS_DONE;
	return x->qp->send.op == EFA_IO_SEND ? send_message(x, status) : rdma(x, status);
}

enum progress execute_send(struct efa_device *dev, struct qp *qp,
			   enum efa_io_comp_status *status)
{
	const struct send_request *send = &qp->send;
	struct exchange x = {
		.dev = dev,
		.qp = qp,
		.local = {
			.dev = dev,
			.pd = qp->pd,
			.access = send->op == EFA_IO_RDMA_READ ? MR_LOCAL_WRITE : 0,
			.segments = send->local,
			.count = send->count,
			.inline_data = send->is_inline ? send->inline_data : NULL,
		},
	};
	enum progress progress = start(&x, status);

	if (progress == PROGRESS_DONE)
		count_request(&x, *status);
	return progress;
}
