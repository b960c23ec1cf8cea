/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The data path's descriptors: bytes to structures and back.  Pure functions;
 * what they are given may be hostile and is a copy that no longer changes.
 * Layouts: efa_io_defs.h of the Linux driver.
 */
#ifndef EFA_WIRE_H
#define EFA_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "defs.h"

#define WIRE_CQE_SIZE 32u /* the larger of the two sizes of a completion */

/* A range of a memory region, local or remote. */
struct segment {
	u64 addr; /* in the region's address space, bytes */
	u32 len;  /* bytes */
	u32 key;
};

struct send_request {
	u16 req_id, dest_qpn, ah;
	u8 op; /* enum efa_io_send_op_type */
	bool has_imm, is_inline, wants_completion;
	u32 imm, qkey;
	u32 len; /* of the message or of the RDMA, bytes */
	unsigned int count; /* of local segments */
	struct segment local[EFA_IO_TX_DESC_NUM_BUFS];
	struct segment remote; /* of an RDMA */
	u8 inline_data[EFA_WIDE_INLINE_SIZE];
};

struct recv_descriptor {
	u16 req_id;
	bool first, last;
	struct segment buffer;
};

struct completion {
	u16 req_id, qpn;
	u8 status; /* enum efa_io_comp_status */
	u8 queue;  /* enum efa_io_queue_type */
	u8 op;	   /* enum efa_io_send_op_type */
	bool has_imm, unsolicited;
	/* Of a receive: */
	u32 len, imm;
	u16 ah, src_qpn;
	const u8 *src_gid; /* 16 bytes to report, or NULL */
};

/*
 * Decodes a send queue entry of @size bytes, 64 or 128.  Returns
 * EFA_IO_COMP_STATUS_OK, or the status to complete it with; req_id, op and
 * wants_completion are valid in either case.
 */
enum efa_io_comp_status wire_decode_send(const void *entry, size_t size, struct send_request *req);
void wire_decode_recv(const struct efa_io_rx_desc *desc, struct recv_descriptor *recv);
/* Fills all of @entry; a user of 16-byte completions takes the first half. */
void wire_encode_completion(const struct completion *comp, bool phase, u8 entry[WIRE_CQE_SIZE]);

#endif
