// SPDX-License-Identifier: GPL-2.0-only
/*
 * A hostile guest.  Two devices are first set up as a driver would, with memory
 * regions and connected queue pairs; then the input, as a list of operations,
 * touches configuration space, registers, admin commands, doorbells and work
 * requests, and decides what DMA brings.  There is nothing to compare: the
 * sanitizers and the assertions of the device judge.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "qp.h"

#define RAM_BASE 0x10000ull
#define RAM_SIZE (1u << 16)
#define NODES	 2

/* Where the guest keeps its queues, as offsets into its memory. */
#define AQ	 0x0000u
#define ACQ	 0x1000u
#define AENQ	 0x2000u
#define EQ	 0x3000u
#define CQ	 0x4000u
#define RQ	 0x5000u
#define LIST	 0x6000u
#define DATA	 0x8000u
#define AQ_DEPTH 8u

struct input {
	const u8 *data;
	size_t len;
};

struct node {
	struct efa_device *dev;
	u8 ram[RAM_SIZE];
	u8 dma_errors; /* one of so many DMAs fails; 0: none */
	u8 dma_count;
	u16 aq_producer;
	u32 handles[16]; /* of what was made, for the input to name */
	unsigned int made;
};

struct world {
	struct efa_fabric *fabric;
	struct node node[NODES];
};

/* LLQ memory is large: it is made once and only what work requests use is cleared. */
static u8 llq[NODES][EFA_BAR_LLQ_SIZE];

static u8 take8(struct input *in)
{
	if (!in->len)
		return 0;
	in->len--;
	return *in->data++;
}

static void take(struct input *in, void *buf, size_t len)
{
	size_t part = in->len < len ? in->len : len;

	memset(buf, 0, len);
	if (part)
		memcpy(buf, in->data, part);
	in->data += part;
	in->len -= part;
}

static u32 take32(struct input *in)
{
	u32 value;

	take(in, &value, sizeof(value));
	return value;
}

static int check_dma(struct node *node, u64 addr, size_t len)
{
	if (node->dma_errors && ++node->dma_count % node->dma_errors == 0)
		return -EIO;
	return addr >= RAM_BASE && len <= RAM_SIZE && addr - RAM_BASE <= RAM_SIZE - len ? 0 :
											-ENODEV;
}

static int host_read(void *ctx, enum efa_dma_kind kind, uint64_t addr, void *buf, size_t len)
{
	struct node *node = ctx;

	(void)kind;
	if (check_dma(node, addr, len)) {
		memset(buf, 0xa5, len / 2); /* an error may come with some of the bytes */
		return -EIO;
	}
	memcpy(buf, node->ram + (addr - RAM_BASE), len);
	return 0;
}

static int host_write(void *ctx, enum efa_dma_kind kind, uint64_t addr, const void *buf,
		      size_t len)
{
	struct node *node = ctx;

	(void)kind;
	if (check_dma(node, addr, len))
		return -EIO;
	memcpy(node->ram + (addr - RAM_BASE), buf, len);
	return 0;
}

static int host_store64(void *ctx, uint64_t addr, uint64_t value)
{
	return host_write(ctx, EFA_DMA_ADMIN, addr, &value, sizeof(value)) ? -EAGAIN : 0;
}

static void host_irq(void *ctx, unsigned int vector)
{
	(void)ctx;
	if (vector >= EFA_MSIX_VECTORS)
		abort();
}

static void host_wake(void *ctx)
{
	(void)ctx;
}

static void host_event(void *ctx, const char *line)
{
	(void)ctx;
	if (strlen(line) > 255)
		abort();
}

static void write32(struct node *node, unsigned int bar, u64 off, u32 value)
{
	efa_mmio_write(node->dev, bar, off, &value, sizeof(value));
}

/* Bounded, as a queue pair may have more to do than an input is worth. */
static void work(struct world *world)
{
	for (int i = 0; i < 8 && efa_fabric_work(world->fabric); i++)
		;
}

static void put_command(struct node *node, u8 opcode, u8 flags, const void *payload, size_t len)
{
	struct efa_admin_aq_entry cmd = { 0 };

	cmd.aq_common_descriptor.opcode = opcode;
	cmd.aq_common_descriptor.flags = (flags & ~1) | !(node->aq_producer & AQ_DEPTH);
	memcpy(cmd.request_payload, payload, len);
	memcpy(node->ram + AQ + node->aq_producer % AQ_DEPTH * sizeof(cmd), &cmd, sizeof(cmd));
	write32(node, EFA_BAR_REGS, EFA_REGS_AQ_PROD_DB_OFF, ++node->aq_producer);
}

/* Returns the first word of what the response tells: in most, the handle. */
static u32 command(struct world *world, struct node *node, u8 opcode, u8 flags,
		   const void *payload, size_t len)
{
	u32 slot = node->aq_producer % AQ_DEPTH, handle;

	put_command(node, opcode, flags, payload, len);
	work(world);
	memcpy(&handle, node->ram + ACQ + slot * sizeof(struct efa_admin_acq_entry) + 8,
	       sizeof(handle));
	node->handles[node->made++ % 16] = handle;
	return handle;
}

static void admin_init(struct world *world, struct node *node)
{
	static const u32 setup[][2] = {
		{ EFA_REGS_DEV_CTL_OFF, 1 },
		{ EFA_REGS_DEV_CTL_OFF, 0 },
		{ EFA_REGS_MMIO_RESP_LO_OFF, RAM_BASE + DATA },
		{ EFA_REGS_AQ_BASE_LO_OFF, RAM_BASE + AQ },
		{ EFA_REGS_AQ_CAPS_OFF, AQ_DEPTH | sizeof(struct efa_admin_aq_entry) << 16 },
		{ EFA_REGS_ACQ_BASE_LO_OFF, RAM_BASE + ACQ },
		{ EFA_REGS_ACQ_CAPS_OFF, AQ_DEPTH | sizeof(struct efa_admin_acq_entry) << 16 },
		{ EFA_REGS_AENQ_BASE_LO_OFF, RAM_BASE + AENQ },
		{ EFA_REGS_AENQ_CAPS_OFF, 16 | sizeof(struct efa_admin_aenq_entry) << 16 },
	};

	node->aq_producer = 0;
	for (size_t i = 0; i < sizeof(setup) / sizeof(*setup); i++)
		write32(node, EFA_BAR_REGS, setup[i][0], setup[i][1]);
	work(world);
}

static void connect(struct world *world, struct node *node, struct node *peer, u8 wide)
{
	u16 pd = command(world, node, EFA_ADMIN_ALLOC_PD, 0, "", 0);
	u16 uar = command(world, node, EFA_ADMIN_ALLOC_UAR, 0, "", 0);
	struct efa_admin_create_eq_cmd eq = {
		.depth = 16, .msix_vec = 1, .caps = 4, .ba.mem_addr_low = RAM_BASE + EQ };
	struct efa_admin_create_cq_cmd cq = {
		.cq_caps_1 = 1 << 5, .cq_caps_2 = 8, .sub_cq_depth = 32,
		.eqn = command(world, node, EFA_ADMIN_CREATE_EQ, 0, &eq, sizeof(eq)),
		.cq_ba.mem_addr_low = RAM_BASE + CQ, .num_sub_cqs = EFA_SUB_CQS, .uar = uar };
	struct efa_admin_create_qp_cmd qp = {
		.pd = pd, .qp_type = EFA_ADMIN_QP_TYPE_SRD, .uar = uar,
		.rq_base_addr = RAM_BASE + RQ,
		.qp_alloc_size = { wide ? 1024 : 512, 8, 512, 32 } };
	struct efa_admin_reg_mr_cmd mr = {
		.pd = pd, .mr_length = 0x4000, .flags = 12, .permissions = 7, .iova = DATA,
		.pbl.inline_pbl_array = { RAM_BASE + DATA, RAM_BASE + DATA + 0x1000,
					  RAM_BASE + DATA + 0x3000, RAM_BASE + DATA + 0x2000 } };
	struct efa_admin_create_ah_cmd ah = { .pd = pd };
	struct efa_admin_modify_qp_cmd modify = { .modify_mask = 1 };

	qp.send_cq_idx = (u16)command(world, node, EFA_ADMIN_CREATE_CQ, 0, &cq, sizeof(cq));
	qp.recv_cq_idx = qp.send_cq_idx;
	modify.qp_handle = command(world, node, EFA_ADMIN_CREATE_QP, 0, &qp, sizeof(qp));
	for (modify.qp_state = 1; modify.qp_state <= 3; modify.qp_state++)
		command(world, node, EFA_ADMIN_MODIFY_QP, 0, &modify, sizeof(modify));
	memcpy(ah.dest_addr, peer->dev->gid, sizeof(ah.dest_addr));
	command(world, node, EFA_ADMIN_CREATE_AH, 0, &ah, sizeof(ah));
	command(world, node, EFA_ADMIN_REG_MR, 0, &mr, sizeof(mr));
}

/* The handle of an object of @table, chosen by the input; mostly a good one. */
static u32 choose(struct input *in, const struct table *table)
{
	u8 n = take8(in);

	return table_at(table, n % 4) ? table_handle(table, n % 4) : n;
}

static void fuzz_command(struct world *world, struct node *node, struct input *in)
{
	u8 payload[60], opcode = take8(in) % 32, flags = take8(in) & 7, where = take8(in);
	u32 handle = node->handles[take8(in) % 16];

	take(in, payload, sizeof(payload));
	if (where < 56) /* otherwise the input has to guess */
		memcpy(payload + where, &handle, where % 4 ? 2 : 4);
	command(world, node, opcode, flags, payload, sizeof(payload));
}

static void fuzz_region(struct world *world, struct node *node, struct input *in)
{
	struct efa_admin_reg_mr_cmd mr = {
		.pd = choose(in, &node->dev->pds),
		.mr_length = take32(in) & 0xffffff,
		.flags = 10 + take8(in) % 24,
		.permissions = take8(in),
		.iova = take32(in),
	};
	u8 flags = take8(in) & 6;

	mr.pbl.pbl.address.mem_addr_low = RAM_BASE + LIST + take8(in) % 8 * 8;
	mr.pbl.pbl.length = take32(in) & 0xffff;
	take(in, node->ram + LIST, 64);
	command(world, node, EFA_ADMIN_REG_MR, flags, &mr, sizeof(mr));
}

static void fuzz_send(struct world *world, struct node *node, struct node *peer,
		      struct input *in)
{
	u32 index = take8(in) % 4, size, at;
	struct qp *qp = table_at(&node->dev->qps, index);
	struct efa_io_tx_wqe wqe;

	if (!qp || !qp->sq.entries)
		return;
	take(in, &wqe, sizeof(wqe));
	wqe.meta.ctrl1 = (wqe.meta.ctrl1 & 0x33) | 0x80;
	wqe.meta.ctrl2 |= 0x0c;
	wqe.meta.dest_qp_num = choose(in, &peer->dev->qps);
	wqe.meta.ah = choose(in, &node->dev->ahs);
	wqe.meta.qkey &= 1;
	wqe.meta.length = wqe.meta.length % 4 ? wqe.meta.length % 4 : wqe.meta.length;
	wqe.data.sgl[0].lkey = choose(in, &peer->dev->mrs); /* the remote key of an RDMA */
	wqe.data.sgl[1].lkey = choose(in, &node->dev->mrs);
	wqe.data.sgl[0].buf_addr_hi = wqe.data.sgl[1].buf_addr_hi = 0;
	if (wqe.meta.ctrl3 & 1)
		wqe.data.sgl[1].length = wqe.data.sgl[0].length;
	size = qp->sq.size;
	at = qp->sq.offset + (qp->sq.producer & (qp->sq.entries - 1)) * size;
	memcpy(node->dev->llq + at, &wqe, sizeof(wqe));
	write32(node, EFA_BAR_DB, 2 * index * EFA_DB_PAGE_SIZE, (u16)(qp->sq.producer + 1));
	work(world);
}

static void fuzz_receive(struct world *world, struct node *node, struct input *in)
{
	u32 index = take8(in) % 4, flags = take8(in), slot;
	struct qp *qp = table_at(&node->dev->qps, index);
	struct efa_io_rx_desc desc = {
		.buf_addr_lo = DATA + take8(in) * 64u,
		.req_id = take8(in),
		.length = take32(in),
		.lkey_ctrl = choose(in, &node->dev->mrs) | (flags & 3) << 30,
	};

	if (!qp || !qp->rq.entries)
		return;
	slot = qp->rq.producer & (qp->rq.entries - 1);
	if (RQ + (slot + 1) * sizeof(desc) <= RAM_SIZE)
		memcpy(node->ram + RQ + slot * sizeof(desc), &desc, sizeof(desc));
	write32(node, EFA_BAR_DB, (2 * index + 1) * EFA_DB_PAGE_SIZE, (u16)(qp->rq.producer + 1));
	work(world);
}

static void fuzz_config(struct node *node, struct input *in)
{
	u8 buf[16];
	u64 off = take32(in) & 0x1fff;
	size_t len = take8(in) % 17;

	take(in, buf, sizeof(buf));
	efa_device_config_write(node->dev, off, buf, len);
	efa_device_config_read(node->dev, off, buf, len);
}

static void fuzz_bar(struct world *world, struct node *node, struct input *in)
{
	u8 buf[16], bar = take8(in);
	u64 off = take32(in) >> (bar & 0x18);
	size_t len = take8(in) % 17;

	take(in, buf, sizeof(buf));
	efa_mmio_write(node->dev, bar % 6, off, buf, len);
	efa_mmio_read(node->dev, bar % 6, off, buf, len);
	work(world);
}

static void fuzz_registers(struct world *world, struct node *node, struct input *in)
{
	write32(node, EFA_BAR_REGS, take8(in) % 32 * 4, take32(in));
	work(world);
}

static void fuzz_doorbell(struct world *world, struct node *node, struct input *in)
{
	u32 page = take8(in);

	page = page < 16 ? page : EFA_DB_CQ_PAGES + page % 4;
	write32(node, EFA_BAR_DB, page * EFA_DB_PAGE_SIZE, take32(in));
	work(world);
}

static void operate(struct world *world, struct input *in)
{
	u8 op = take8(in);
	struct node *node = &world->node[op & 1], *peer = &world->node[take8(in) & 1];
	u32 at;

	switch (op >> 1 & 15) {
	case 0: case 1:
		fuzz_command(world, node, in);
		break;
	case 2:
		fuzz_region(world, node, in);
		break;
	case 3: case 4: case 5:
		fuzz_send(world, node, peer, in);
		break;
	case 6: case 7:
		fuzz_receive(world, node, in);
		break;
	case 8:
		fuzz_config(node, in);
		break;
	case 9:
		fuzz_bar(world, node, in);
		break;
	case 10:
		fuzz_registers(world, node, in);
		break;
	case 11:
		fuzz_doorbell(world, node, in);
		break;
	case 12:
		node->dma_errors = take8(in) & 15;
		break;
	case 13: /* the guest scribbles over its own queues */
		at = take32(in) % (RAM_SIZE - 64);
		take(in, node->ram + at, 64);
		break;
	case 14:
		efa_device_keep_alive(node->dev);
		work(world);
		break;
	case 15:
		if (take8(in) & 1)
			efa_device_reset(node->dev);
		admin_init(world, node);
		connect(world, node, peer, op >> 5 & 1);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	struct input in = { data, len };
	struct world *world = calloc(1, sizeof(*world));
	u8 first = take8(&in);

	world->fabric = efa_fabric_new();
	for (int i = 0; i < NODES; i++) {
		const struct efa_host host = { &world->node[i], host_read, host_write, host_store64,
					       host_irq, host_wake, host_event };

		memset(llq[i], 0, 4 * EFA_LLQ_SIZE);
		world->node[i].dev = efa_device_new(world->fabric, "fuzz", &host, llq[i]);
	}
	for (int i = 0; i < NODES; i++) {
		admin_init(world, &world->node[i]);
		connect(world, &world->node[i], &world->node[!i], first >> i & 1);
	}
	while (in.len)
		operate(world, &in);
	efa_fabric_free(world->fabric);
	free(world);
	return 0;
}
