// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "wire.h"

#define SQ_INLINE_OFFSET	offsetof(struct efa_io_tx_wqe, data)
#define SQ_RDMA_INLINE_OFFSET	(SQ_INLINE_OFFSET + sizeof(struct efa_io_remote_mem_addr))

static_assert(SQ_RDMA_INLINE_OFFSET + EFA_WIDE_INLINE_SIZE == EFA_SQ_WIDE_ENTRY_SIZE,
	      "inline data of an RDMA write ends the wide entry");
static_assert(sizeof(struct efa_io_rx_cdesc_ex) == WIRE_CQE_SIZE, "extended completion");

static u64 address(u32 lo, u32 hi)
{
	return (u64)hi << 32 | lo;
}

static struct segment tx_segment(const struct efa_io_tx_buf_desc *buf)
{
	return (struct segment){
		.addr = address(buf->buf_addr_lo, buf->buf_addr_hi),
		.len = buf->length,
		.key = EFA_GET(&buf->lkey, EFA_IO_TX_BUF_DESC_LKEY),
	};
}

/* Sets the local segments and, from them, the length. */
static enum efa_io_comp_status decode_segments(const struct efa_io_tx_buf_desc *bufs,
					       unsigned int count, unsigned int most,
					       struct send_request *req)
{
	u64 len = 0;

	if (count > most)
		return EFA_IO_COMP_STATUS_LOCAL_ERROR_BAD_LENGTH;
	for (unsigned int i = 0; i < count; i++) {
		req->local[i] = tx_segment(&bufs[i]);
		len += req->local[i].len;
	}
	if (len > UINT32_MAX)
		return EFA_IO_COMP_STATUS_LOCAL_ERROR_BAD_LENGTH;
	req->count = count;
	req->len = len;
	return EFA_IO_COMP_STATUS_OK;
}

static enum efa_io_comp_status decode_inline(const u8 *data, unsigned int len, unsigned int most,
					     struct send_request *req)
{
	if (len > most)
		return EFA_IO_COMP_STATUS_LOCAL_ERROR_BAD_LENGTH;
	memcpy(req->inline_data, data, len);
	req->len = len;
	return EFA_IO_COMP_STATUS_OK;
}

static enum efa_io_comp_status decode_message(const struct efa_io_tx_wqe *wqe, const u8 *entry,
					      size_t size, struct send_request *req)
{
	unsigned int most = size == EFA_SQ_WIDE_ENTRY_SIZE ? EFA_WIDE_INLINE_SIZE :
							     EFA_IO_TX_DESC_INLINE_MAX_SIZE;

	if (req->is_inline)
		return decode_inline(entry + SQ_INLINE_OFFSET, wqe->meta.length, most, req);
	return decode_segments(wqe->data.sgl, wqe->meta.length, EFA_IO_TX_DESC_NUM_BUFS, req);
}

static enum efa_io_comp_status decode_rdma(const struct efa_io_tx_wqe *wqe, const u8 *entry,
					   size_t size, struct send_request *req)
{
	const struct efa_io_remote_mem_addr *remote = &wqe->data.rdma_req.remote_mem;
	enum efa_io_comp_status status;

	req->remote = (struct segment){
		.addr = address(remote->buf_addr_lo, remote->buf_addr_hi),
		.len = remote->length,
		.key = remote->rkey,
	};
	if (!req->is_inline)
		status = decode_segments(wqe->data.rdma_req.local_mem, wqe->meta.length,
					 EFA_IO_TX_DESC_NUM_RDMA_BUFS, req);
	else if (req->op == EFA_IO_RDMA_WRITE && size == EFA_SQ_WIDE_ENTRY_SIZE)
		status = decode_inline(entry + SQ_RDMA_INLINE_OFFSET, wqe->meta.length,
				       EFA_WIDE_INLINE_SIZE, req);
	else
		return EFA_IO_COMP_STATUS_LOCAL_ERROR_UNSUPPORTED_OP;

	if (!status && req->remote.len != req->len)
		return EFA_IO_COMP_STATUS_LOCAL_ERROR_BAD_LENGTH;
	return status;
}

static bool send_is_whole(const struct efa_io_tx_meta_desc *meta)
{
	return EFA_GET(&meta->ctrl1, EFA_IO_TX_META_DESC_META_DESC) &&
	       !EFA_GET(&meta->ctrl1, EFA_IO_TX_META_DESC_META_EXTENSION) &&
	       EFA_GET(&meta->ctrl2, EFA_IO_TX_META_DESC_FIRST) &&
	       EFA_GET(&meta->ctrl2, EFA_IO_TX_META_DESC_LAST);
}

enum efa_io_comp_status wire_decode_send(const void *entry, size_t size, struct send_request *req)
{
	struct efa_io_tx_wqe wqe;

	memcpy(&wqe, entry, sizeof(wqe));
	*req = (struct send_request){
		.req_id = wqe.meta.req_id,
		.dest_qpn = wqe.meta.dest_qp_num,
		.ah = wqe.meta.ah,
		.op = EFA_GET(&wqe.meta.ctrl1, EFA_IO_TX_META_DESC_OP_TYPE),
		.has_imm = EFA_GET(&wqe.meta.ctrl1, EFA_IO_TX_META_DESC_HAS_IMM),
		.is_inline = EFA_GET(&wqe.meta.ctrl1, EFA_IO_TX_META_DESC_INLINE_MSG),
		.wants_completion = EFA_GET(&wqe.meta.ctrl2, EFA_IO_TX_META_DESC_COMP_REQ),
		.imm = wqe.meta.immediate_data,
		.qkey = wqe.meta.qkey,
	};
	if (!send_is_whole(&wqe.meta))
		return EFA_IO_COMP_STATUS_LOCAL_ERROR_UNSUPPORTED_OP;

	switch (req->op) {
	case EFA_IO_SEND:
		return decode_message(&wqe, entry, size, req);
	case EFA_IO_RDMA_READ:
	case EFA_IO_RDMA_WRITE:
		return decode_rdma(&wqe, entry, size, req);
	default:
		return EFA_IO_COMP_STATUS_LOCAL_ERROR_UNSUPPORTED_OP;
	}
}

void wire_decode_recv(const struct efa_io_rx_desc *desc, struct recv_descriptor *recv)
{
	*recv = (struct recv_descriptor){
		.req_id = desc->req_id,
		.first = EFA_GET(&desc->lkey_ctrl, EFA_IO_RX_DESC_FIRST),
		.last = EFA_GET(&desc->lkey_ctrl, EFA_IO_RX_DESC_LAST),
		.buffer = {
			.addr = address(desc->buf_addr_lo, desc->buf_addr_hi),
			.len = desc->length,
			.key = EFA_GET(&desc->lkey_ctrl, EFA_IO_RX_DESC_LKEY),
		},
	};
}

static void encode_recv(const struct completion *comp, struct efa_io_rx_cdesc_ex *cqe)
{
	cqe->base.length = comp->len;
	cqe->base.ah = comp->ah;
	cqe->base.src_qp_num = comp->src_qpn;
	cqe->base.imm = comp->imm;
	if (comp->op == EFA_IO_RDMA_WRITE)
		cqe->u.rdma_write.length_hi = comp->len >> 16;
	else if (comp->src_gid)
		memcpy(cqe->u.src_addr, comp->src_gid, sizeof(cqe->u.src_addr));
}

void wire_encode_completion(const struct completion *comp, bool phase, u8 entry[WIRE_CQE_SIZE])
{
	struct efa_io_rx_cdesc_ex cqe = { 0 };
	struct efa_io_cdesc_common *common = &cqe.base.common;

	common->req_id = comp->req_id;
	common->status = comp->status;
	common->qp_num = comp->qpn;
	EFA_SET(&common->flags, EFA_IO_CDESC_COMMON_PHASE, phase);
	EFA_SET(&common->flags, EFA_IO_CDESC_COMMON_Q_TYPE, comp->queue);
	EFA_SET(&common->flags, EFA_IO_CDESC_COMMON_HAS_IMM, comp->has_imm);
	EFA_SET(&common->flags, EFA_IO_CDESC_COMMON_OP_TYPE, comp->op);
	EFA_SET(&common->flags, EFA_IO_CDESC_COMMON_UNSOLICITED, comp->unsolicited);
	if (comp->queue == EFA_IO_RECV_QUEUE)
		encode_recv(comp, &cqe);
	memcpy(entry, &cqe, sizeof(cqe));
}
