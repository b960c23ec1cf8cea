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

/* @kind: 1: wide entries, 2: datagrams, 4: unsolicited receives. */
static void connect(struct world *world, struct node *node, struct node *peer, u8 kind)
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
		.pd = pd, .qp_type = kind & 2 ? EFA_ADMIN_QP_TYPE_UD : EFA_ADMIN_QP_TYPE_SRD,
		.uar = uar, .flags = kind & 4,
		.rq_base_addr = RAM_BASE + RQ,
		.qp_alloc_size = { kind & 1 ? 1024 : 512, 8, 512, 32 } };
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

/* The handle of an object of @table, chosen by the input: mostly a good one, for depth. */
static u32 choose(struct input *in, const struct table *table)
{
	u8 n = take8(in);
	u32 index = n < 192 ? 0 : n % 8;

	return n < 248 && table_at(table, index) ? table_handle(table, index) : n;
}

/* Mostly inside the region that connect() makes, sometimes anywhere. */
static struct segment choose_range(struct input *in, const struct table *mrs)
{
	struct segment range = { .key = choose(in, mrs), .addr = DATA + take8(in) * 64u };

	range.len = take8(in);
	if (range.len >= 240)
		range.len = take32(in) >> (range.len - 240);
	if (range.len > 0x4000 && range.len & 1)
		range.addr = take32(in);
	return range;
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

/* A page list that is its own block of addresses and, as a chunk, its own successor. */
static void fuzz_region(struct world *world, struct node *node, struct input *in)
{
	static const u8 shifts[] = { 12, 12, 12, 13, 21, 31, 11, 12 };
	u8 flags = take8(in), bytes = take8(in) < 240 ? 20 : take8(in);
	struct efa_admin_ctrl_buff_info list = {
		.length = bytes,
		.address.mem_addr_low = RAM_BASE + LIST,
	};
	struct efa_admin_reg_mr_cmd mr = {
		.pd = choose(in, &node->dev->pds),
		.mr_length = take32(in) >> (flags & 31),
		.flags = shifts[take8(in) % 8],
		.permissions = take8(in),
		.iova = DATA + take8(in),
		.pbl.pbl = list,
	};

	for (u64 i = 0, page; i < 8; i++) {
		page = RAM_BASE + (take8(in) % 17) * 0x1000ull;
		memcpy(node->ram + LIST + i * sizeof(page), &page, sizeof(page));
		if (i < 4 && !(flags & 0x60))
			mr.pbl.inline_pbl_array[i] = page;
	}
	if (flags & 0x40) {
		memcpy(node->ram + LIST + 8, &list, sizeof(list));
		memcpy(node->ram + LIST, &(u64){ RAM_BASE + LIST }, sizeof(u64));
	}
	command(world, node, EFA_ADMIN_REG_MR, flags >> 4 & 6, &mr, sizeof(mr));
}

static void fuzz_state(struct world *world, struct node *node, struct input *in)
{
	struct efa_admin_modify_qp_cmd modify = {
		.modify_mask = take8(in) & 0x3d,
		.qp_handle = choose(in, &node->dev->qps),
		.qp_state = take8(in) % 8,
		.rnr_retry = take8(in) & 8 ? 7 : 0,
	};

	command(world, node, EFA_ADMIN_MODIFY_QP, 0, &modify, sizeof(modify));
}

static struct efa_io_tx_buf_desc descriptor(struct segment range)
{
	return (struct efa_io_tx_buf_desc){ .length = range.len, .lkey = range.key,
					    .buf_addr_lo = range.addr };
}

static void fuzz_send(struct world *world, struct node *node, struct node *peer,
		      struct input *in)
{
	u32 index = take8(in) & take8(in) & 3, at;
	u8 op = take8(in), flags = take8(in);
	struct qp *qp = table_at(&node->dev->qps, index);
	struct efa_io_tx_wqe wqe = {
		.meta.ctrl1 = op % 3 | (op & 0x30) | EFA_IO_TX_META_DESC_META_DESC_MASK,
		.meta.ctrl2 = EFA_IO_TX_META_DESC_FIRST_MASK | EFA_IO_TX_META_DESC_LAST_MASK |
			      (flags & EFA_IO_TX_META_DESC_COMP_REQ_MASK),
		.meta.dest_qp_num = choose(in, &peer->dev->qps),
		.meta.ah = choose(in, &node->dev->ahs),
		.meta.length = flags & 1 ? 1 : flags >> 1,
		.data.sgl[0] = descriptor(choose_range(in, &peer->dev->mrs)),
		.data.sgl[1] = descriptor(choose_range(in, &node->dev->mrs)),
	};

	if (!qp || !qp->sq.entries)
		return;
	if (op % 3 == EFA_IO_SEND && flags & 2)
		wqe.data.sgl[0] = wqe.data.sgl[1];
	else if (flags & 4) /* lengths that agree */
		wqe.data.sgl[1].length = wqe.data.sgl[0].length;
	if (op > 240) /* a field that is anything */
		take(in, (u8 *)&wqe + take8(in) % 60, 4);
	at = qp->sq.offset + (qp->sq.producer & (qp->sq.entries - 1)) * qp->sq.size;
	memcpy(node->dev->llq + at, &wqe, sizeof(wqe));
	write32(node, EFA_BAR_DB, 2 * index * EFA_DB_PAGE_SIZE, (u16)(qp->sq.producer + 1));
	work(world);
}

static void fuzz_receive(struct world *world, struct node *node, struct input *in)
{
	u32 index = take8(in) & take8(in) & 3, flags = take8(in), slot;
	struct qp *qp = table_at(&node->dev->qps, index);
	struct segment range = choose_range(in, &node->dev->mrs);
	struct efa_io_rx_desc desc = {
		.buf_addr_lo = range.addr,
		.req_id = flags >> 2,
		.length = range.len,
		.lkey_ctrl = range.key | (~flags & 3) << 30,
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

static void plug_in(struct world *world, struct node *node)
{
	const struct efa_host host = { node, host_read, host_write, host_store64, host_irq,
				       host_wake, host_event };

	node->dev = efa_device_new(world->fabric, "fuzz", &host, llq[node - world->node]);
}

/* Its peer sees the device vanish; the one that comes has another address. */
static void replace(struct world *world, struct node *node)
{
	efa_device_free(node->dev);
	plug_in(world, node);
	admin_init(world, node);
	connect(world, node, node, 0);
}

static void operate(struct world *world, struct input *in)
{
	u8 op = take8(in);
	struct node *node = &world->node[op & 1], *peer = &world->node[take8(in) & 1];
	u32 at;

	switch (op >> 1 & 15) {
	case 0:
		fuzz_command(world, node, in);
		break;
	case 1:
		fuzz_state(world, node, in);
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
		if (take8(in) > 250)
			replace(world, node);
		efa_device_keep_alive(node->dev);
		work(world);
		break;
	case 15:
		if (take8(in) & 1)
			efa_device_reset(node->dev);
		admin_init(world, node);
		connect(world, node, peer, op >> 5);
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
		memset(llq[i], 0, 4 * EFA_LLQ_SIZE);
		plug_in(world, &world->node[i]);
	}
	for (int i = 0; i < NODES; i++) {
		admin_init(world, &world->node[i]);
		connect(world, &world->node[i], &world->node[!i], first);
	}
	while (in.len)
		operate(world, &in);
	efa_fabric_free(world->fabric);
	free(world);
	return 0;
}
