// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fixture.h"
#include "mr.h"

void *ram_at(struct node *node, u64 addr)
{
	return addr >= PEER_BASE ? node->peer + (addr - PEER_BASE) : node->ram + (addr - RAM_BASE);
}

static bool is_memory(u64 addr, size_t len)
{
	return (addr >= RAM_BASE && addr + len <= RAM_BASE + RAM_SIZE) ||
	       (addr >= PEER_BASE && addr + len <= PEER_BASE + PEER_SIZE);
}

static int check_dma(const struct fault *fault, u64 addr, size_t len)
{
	if (fault->err && addr < fault->addr + fault->len && fault->addr < addr + len)
		return fault->err;
	return is_memory(addr, len) ? 0 : -ENODEV;
}

static int host_read(void *ctx, enum efa_dma_kind kind, uint64_t addr, void *buf, size_t len)
{
	struct node *node = ctx;
	int err = check_dma(&node->read_fault, addr, len);

	if (kind == EFA_DMA_PAYLOAD)
		node->reads++;
	if (len > node->longest)
		node->longest = len;
	if (!err)
		memcpy(buf, ram_at(node, addr), len);
	return err;
}

static int host_write(void *ctx, enum efa_dma_kind kind, uint64_t addr, const void *buf,
		      size_t len)
{
	struct node *node = ctx;
	int err = check_dma(&node->write_fault, addr, len);

	if (kind == EFA_DMA_PAYLOAD)
		node->writes++;
	if (len > node->longest)
		node->longest = len;
	node->last_write = addr;
	node->last_write_len = len;
	if (!err)
		memcpy(ram_at(node, addr), buf, len);
	return err;
}

static int host_store64(void *ctx, uint64_t addr, uint64_t value)
{
	struct node *node = ctx;

	if (node->store_is_late || !is_memory(addr, sizeof(value)))
		return -EAGAIN;
	memcpy(ram_at(node, addr), &value, sizeof(value));
	return 0;
}

static void host_irq(void *ctx, unsigned int vector)
{
	struct node *node = ctx;

	assert_in_range(vector, 0, EFA_MSIX_VECTORS - 1);
	node->irqs[vector]++;
}

static void host_wake(void *ctx)
{
	struct node *node = ctx;

	node->wakes++;
}

static void host_event(void *ctx, const char *line)
{
	struct node *node = ctx;

	assert_non_null(strchr(line, ':'));
	node->events++;
}

static void *map(size_t len)
{
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

static void node_open(struct world *world, struct node *node, const char *name)
{
	const struct efa_host host = {
		.ctx = node,
		.dma_read = host_read,
		.dma_write = host_write,
		.store64 = host_store64,
		.irq = host_irq,
		.wake = host_wake,
		.event = host_event,
	};

	node->ram = map(RAM_SIZE);
	node->peer = map(PEER_SIZE);
	node->llq = map(EFA_BAR_LLQ_SIZE);
	node->dev = efa_device_new(world->fabric, name, &host, node->llq);
	assert_non_null(node->dev);
	node->mmio_resp = ram_alloc(node, 8, 8);
	node->aq = ram_alloc(node, AQ_DEPTH * sizeof(struct efa_admin_aq_entry), 4096);
	node->acq = ram_alloc(node, AQ_DEPTH * sizeof(struct efa_admin_acq_entry), 4096);
	node->aenq = ram_alloc(node, AENQ_DEPTH * sizeof(struct efa_admin_aenq_entry), 4096);
	node_reset(world, node);
	node_admin_init(node);
}

int world_setup(void **state)
{
	static const char *const names[] = { "one", "two", "three" };
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	world->fabric = efa_fabric_new();
	assert_non_null(world->fabric);
	for (int i = 0; i < 3; i++)
		node_open(world, &world->node[i], names[i]);
	*state = world;
	return 0;
}

int world_teardown(void **state)
{
	struct world *world = *state;

	efa_fabric_free(world->fabric);
	for (int i = 0; i < 3; i++) {
		munmap(world->node[i].ram, RAM_SIZE);
		munmap(world->node[i].peer, PEER_SIZE);
		munmap(world->node[i].llq, EFA_BAR_LLQ_SIZE);
	}
	free(world);
	return 0;
}

void work(struct world *world)
{
	for (int i = 0; efa_fabric_work(world->fabric); i++)
		assert_true(i < 10000);
}

u64 ram_alloc(struct node *node, size_t len, size_t align)
{
	u64 at = (node->allocated + align - 1) / align * align;

	assert_true(at + len <= RAM_SIZE);
	node->allocated = at + len;
	return RAM_BASE + at;
}

static u8 pattern(size_t i, u8 seed)
{
	return seed + i * 7 + (i >> 8) * 13;
}

void fill(struct node *node, u64 addr, size_t len, u8 seed)
{
	u8 *bytes = ram_at(node, addr);

	for (size_t i = 0; i < len; i++)
		bytes[i] = pattern(i, seed);
}

void assert_filled(struct node *node, u64 addr, size_t len, u8 seed)
{
	const u8 *bytes = ram_at(node, addr);

	for (size_t i = 0; i < len; i++)
		if (bytes[i] != pattern(i, seed))
			fail_msg("byte %zu of %zu is %#x", i, len, bytes[i]);
}

void write32(struct node *node, unsigned int bar, u64 off, u32 value)
{
	assert_int_equal(efa_mmio_write(node->dev, bar, off, &value, sizeof(value)), 0);
}

u32 read_register(struct node *node, u16 off)
{
	static u16 req_id;
	struct efa_admin_mmio_req_read_less_resp *resp = ram_at(node, node->mmio_resp);

	write32(node, EFA_BAR_REGS, EFA_REGS_MMIO_REG_READ_OFF, (u32)off << 16 | ++req_id);
	assert_int_equal(resp->req_id, req_id);
	assert_int_equal(resp->reg_off, off);
	return resp->reg_val;
}

/* As efa_com_dev_reset() of the driver. */
void node_reset(struct world *world, struct node *node)
{
	u32 status;

	write32(node, EFA_BAR_REGS, EFA_REGS_DEV_CTL_OFF, 1);
	write32(node, EFA_BAR_REGS, EFA_REGS_MMIO_RESP_HI_OFF, node->mmio_resp >> 32);
	write32(node, EFA_BAR_REGS, EFA_REGS_MMIO_RESP_LO_OFF, node->mmio_resp);
	status = read_register(node, EFA_REGS_DEV_STS_OFF);
	assert_true(status & EFA_REGS_DEV_STS_RESET_IN_PROGRESS_MASK);
	write32(node, EFA_BAR_REGS, EFA_REGS_DEV_CTL_OFF, 0);
	work(world);
	status = read_register(node, EFA_REGS_DEV_STS_OFF);
	assert_int_equal(status, EFA_REGS_DEV_STS_READY_MASK |
				 EFA_REGS_DEV_STS_RESET_FINISHED_MASK);
}

/* As efa_com_admin_init(); interrupts come on vector 0. */
void node_admin_init(struct node *node)
{
	memset(ram_at(node, node->acq), 0, AQ_DEPTH * sizeof(struct efa_admin_acq_entry));
	memset(ram_at(node, node->aenq), 0, AENQ_DEPTH * sizeof(struct efa_admin_aenq_entry));
	node->aq_producer = 0;
	node->acq_consumer = 0;
	write32(node, EFA_BAR_REGS, EFA_REGS_AQ_BASE_LO_OFF, node->aq);
	write32(node, EFA_BAR_REGS, EFA_REGS_AQ_BASE_HI_OFF, node->aq >> 32);
	write32(node, EFA_BAR_REGS, EFA_REGS_AQ_CAPS_OFF,
		AQ_DEPTH | sizeof(struct efa_admin_aq_entry) << 16);
	write32(node, EFA_BAR_REGS, EFA_REGS_ACQ_BASE_LO_OFF, node->acq);
	write32(node, EFA_BAR_REGS, EFA_REGS_ACQ_BASE_HI_OFF, node->acq >> 32);
	write32(node, EFA_BAR_REGS, EFA_REGS_ACQ_CAPS_OFF,
		AQ_DEPTH | sizeof(struct efa_admin_acq_entry) << 16);
	write32(node, EFA_BAR_REGS, EFA_REGS_AENQ_BASE_LO_OFF, node->aenq);
	write32(node, EFA_BAR_REGS, EFA_REGS_AENQ_BASE_HI_OFF, node->aenq >> 32);
	write32(node, EFA_BAR_REGS, EFA_REGS_AENQ_CAPS_OFF,
		AENQ_DEPTH | sizeof(struct efa_admin_aenq_entry) << 16);
	write32(node, EFA_BAR_REGS, EFA_REGS_AENQ_CONS_DB_OFF, 0);
}

int command_flags(struct world *world, struct node *node, u8 opcode, u8 flags,
		  const void *payload, size_t len, void *resp, size_t resp_len)
{
	struct efa_admin_aq_entry *cmd = ram_at(node, node->aq);
	struct efa_admin_acq_entry *done = ram_at(node, node->acq);
	u16 id = node->aq_producer;

	assert_true(len <= sizeof(cmd->request_payload) && resp_len <= sizeof(*done));
	cmd += node->aq_producer % AQ_DEPTH;
	memset(cmd, 0, sizeof(*cmd));
	cmd->aq_common_descriptor.command_id = id & 0xfff;
	cmd->aq_common_descriptor.opcode = opcode;
	cmd->aq_common_descriptor.flags = flags | !(node->aq_producer & AQ_DEPTH);
	memcpy(cmd->request_payload, payload, len);
	write32(node, EFA_BAR_REGS, EFA_REGS_AQ_PROD_DB_OFF, ++node->aq_producer);
	work(world);

	done += node->acq_consumer % AQ_DEPTH;
	assert_int_equal(done->acq_common_descriptor.flags, !(node->acq_consumer & AQ_DEPTH));
	assert_int_equal(done->acq_common_descriptor.command, id & 0xfff);
	node->acq_consumer++;
	memcpy(resp, done, resp_len);
	return done->acq_common_descriptor.status;
}

u16 pd_alloc(struct world *world, struct node *node)
{
	struct efa_admin_alloc_pd_resp resp;

	assert_int_equal(command_flags(world, node, EFA_ADMIN_ALLOC_PD, 0, "", 0, &resp,
				       sizeof(resp)), 0);
	return resp.pd;
}

u16 uar_alloc(struct world *world, struct node *node)
{
	struct efa_admin_alloc_uar_resp resp;

	assert_int_equal(command_flags(world, node, EFA_ADMIN_ALLOC_UAR, 0, "", 0, &resp,
				       sizeof(resp)), 0);
	return resp.uar;
}

u16 eq_make(struct world *world, struct node *node, u8 vector, u64 *base)
{
	struct efa_admin_create_eq_cmd cmd = {
		.depth = 16,
		.msix_vec = vector,
		.caps = sizeof(struct efa_admin_eqe) / 4,
		.event_bitmask = 1,
	};
	struct efa_admin_create_eq_resp resp;

	*base = ram_alloc(node, 16 * sizeof(struct efa_admin_eqe), 4096);
	cmd.ba.mem_addr_low = *base;
	cmd.ba.mem_addr_high = *base >> 32;
	assert_int_equal(command(world, node, EFA_ADMIN_CREATE_EQ, &cmd, &resp), 0);
	return resp.eqn;
}

u16 ah_make(struct world *world, struct node *node, u16 pd, const struct node *to)
{
	struct efa_admin_create_ah_cmd cmd = { .pd = pd };
	struct efa_admin_create_ah_resp resp;

	memcpy(cmd.dest_addr, to->dev->gid, sizeof(cmd.dest_addr));
	assert_int_equal(command(world, node, EFA_ADMIN_CREATE_AH, &cmd, &resp), 0);
	return resp.ah;
}

u32 mr_make(struct world *world, struct node *node, u16 pd, u64 addr, u64 len, u8 access)
{
	u64 first = addr & ~4095ull, pages = (addr + len - first + 4095) / 4096;
	u64 bytes = pages * sizeof(u64), list = ram_alloc(node, bytes, 4096);
	struct efa_admin_reg_mr_cmd cmd = {
		.pd = pd,
		.mr_length = len,
		.flags = 12,
		.permissions = access,
		.iova = addr,
		.pbl.pbl = { .length = bytes,
			     .address = { .mem_addr_low = list, .mem_addr_high = list >> 32 } },
	};
	struct efa_admin_reg_mr_resp resp;

	for (u64 i = 0; i < pages; i++)
		((u64 *)ram_at(node, list))[i] = first + i * 4096;
	assert_int_equal(command_flags(world, node, EFA_ADMIN_REG_MR,
				       EFA_ADMIN_AQ_COMMON_DESC_CTRL_DATA_MASK, &cmd, sizeof(cmd),
				       &resp, sizeof(resp)), 0);
	return resp.l_key;
}

static void make_cq(struct endpoint *ep, const struct endpoint_options *options)
{
	struct efa_admin_create_cq_cmd cmd = {
		.cq_caps_1 = options->has_eq << 5,
		.cq_caps_2 = sizeof(struct efa_io_rx_cdesc_ex) / 4 | options->sets_src_addr << 5,
		.sub_cq_depth = ep->cq_entries,
		.eqn = options->eqn,
		.num_sub_cqs = EFA_SUB_CQS,
		.uar = ep->uar,
	};
	struct efa_admin_create_cq_resp resp;

	ep->cq_base = ram_alloc(ep->node, EFA_SUB_CQS * ep->cq_entries * WIRE_CQE_SIZE, 4096);
	cmd.cq_ba.mem_addr_low = ep->cq_base;
	cmd.cq_ba.mem_addr_high = ep->cq_base >> 32;
	assert_int_equal(command(ep->world, ep->node, EFA_ADMIN_CREATE_CQ, &cmd, &resp), 0);
	ep->cqn = resp.cq_idx;
	ep->cq_db = resp.db_offset;
}

static void make_qp(struct endpoint *ep, const struct endpoint_options *options)
{
	struct efa_admin_create_qp_cmd cmd = {
		.pd = ep->pd,
		.qp_type = options->type ? options->type : EFA_ADMIN_QP_TYPE_SRD,
		.flags = options->unsolicited_write_recv << 2,
		.send_cq_idx = ep->cqn,
		.recv_cq_idx = ep->cqn,
		.qp_alloc_size = {
			.send_queue_ring_size = ep->sq_entries * ep->sq_size,
			.send_queue_depth = ep->sq_entries,
			.recv_queue_ring_size = ep->rq_entries * sizeof(struct efa_io_rx_desc),
			.recv_queue_depth = ep->rq_entries,
		},
		.uar = ep->uar,
	};
	struct efa_admin_create_qp_resp resp;

	ep->rq_base = ram_alloc(ep->node, ep->rq_entries * sizeof(struct efa_io_rx_desc), 4096);
	cmd.rq_base_addr = ep->rq_base;
	assert_int_equal(command(ep->world, ep->node, EFA_ADMIN_CREATE_QP, &cmd, &resp), 0);
	ep->qpn = resp.qp_num;
	ep->sq_db = resp.sq_db_offset;
	ep->rq_db = resp.rq_db_offset;
	ep->llq = resp.llq_descriptors_offset;
}

int qp_modify_to(struct endpoint *ep, u32 mask, u32 state, u8 rnr_retry)
{
	struct efa_admin_modify_qp_cmd cmd = {
		.modify_mask = mask,
		.qp_handle = ep->qpn,
		.qp_state = state,
		.qkey = QKEY,
		.rnr_retry = rnr_retry,
	};
	struct efa_admin_modify_qp_resp resp;

	return command(ep->world, ep->node, EFA_ADMIN_MODIFY_QP, &cmd, &resp);
}

int qp_to(struct endpoint *ep, u32 state)
{
	return qp_modify_to(ep, EFA_ADMIN_MODIFY_QP_CMD_QP_STATE_MASK |
			    EFA_ADMIN_MODIFY_QP_CMD_QKEY_MASK, state, 0);
}

void endpoint_open(struct endpoint *ep, struct world *world, struct node *node,
		   const struct endpoint_options *options)
{
	*ep = (struct endpoint){
		.world = world,
		.node = node,
		.pd = pd_alloc(world, node),
		.uar = uar_alloc(world, node),
		.sq_entries = options->sq_entries ? options->sq_entries : 8,
		.sq_size = options->wide ? EFA_SQ_WIDE_ENTRY_SIZE : EFA_SQ_ENTRY_SIZE,
		.rq_entries = options->rq_entries ? options->rq_entries : 8,
		.cq_entries = options->cq_entries ? options->cq_entries : 16,
	};
	make_cq(ep, options);
	make_qp(ep, options);
	ep->buffer = ram_alloc(node, BUFFER_SIZE, 4096);
	ep->key = mr_make(world, node, ep->pd, ep->buffer, BUFFER_SIZE, ALL_ACCESS);
	for (u32 state = EFA_ADMIN_QP_STATE_INIT; state <= EFA_ADMIN_QP_STATE_RTS; state++)
		assert_int_equal(qp_to(ep, state), 0);
}

void endpoints_connect(struct endpoint *a, struct endpoint *b)
{
	a->ah = ah_make(a->world, a->node, a->pd, b->node);
	b->ah = ah_make(b->world, b->node, b->pd, a->node);
}

void connect_pair(struct world *world, struct endpoint *a, struct endpoint *b,
		  const struct endpoint_options *options)
{
	endpoint_open(a, world, &world->node[0], options);
	endpoint_open(b, world, &world->node[1], options);
	endpoints_connect(a, b);
}

static struct efa_io_tx_meta_desc meta(const struct endpoint *from, const struct endpoint *to,
				       u8 op)
{
	return (struct efa_io_tx_meta_desc){
		.ctrl1 = op | EFA_IO_TX_META_DESC_META_DESC_MASK,
		.ctrl2 = EFA_IO_TX_META_DESC_FIRST_MASK | EFA_IO_TX_META_DESC_LAST_MASK |
			 EFA_IO_TX_META_DESC_COMP_REQ_MASK,
		.dest_qp_num = to->qpn,
		.length = 1,
		.ah = from->ah,
		.qkey = QKEY,
	};
}

static struct efa_io_tx_buf_desc buffer(const struct endpoint *ep, u64 addr, u32 len)
{
	return (struct efa_io_tx_buf_desc){
		.length = len,
		.lkey = ep->key,
		.buf_addr_lo = addr,
		.buf_addr_hi = addr >> 32,
	};
}

struct efa_io_tx_wqe message(const struct endpoint *from, const struct endpoint *to, u64 addr,
			     u32 len)
{
	return (struct efa_io_tx_wqe){
		.meta = meta(from, to, EFA_IO_SEND),
		.data.sgl[0] = buffer(from, addr, len),
	};
}

struct efa_io_tx_wqe rdma(const struct endpoint *from, const struct endpoint *to, u8 op,
			  u64 local, u64 remote, u32 len)
{
	return (struct efa_io_tx_wqe){
		.meta = meta(from, to, op),
		.data.rdma_req = {
			.remote_mem = { .length = len, .rkey = to->key, .buf_addr_lo = remote,
					.buf_addr_hi = remote >> 32 },
			.local_mem[0] = buffer(from, local, len),
		},
	};
}

void set_imm(struct efa_io_tx_wqe *wqe, u32 imm)
{
	wqe->meta.ctrl1 |= EFA_IO_TX_META_DESC_HAS_IMM_MASK;
	wqe->meta.immediate_data = imm;
}

void ring_send(struct endpoint *ep)
{
	write32(ep->node, EFA_BAR_DB, ep->sq_db, ep->sq_producer);
	work(ep->world);
}

void ring_recv(struct endpoint *ep)
{
	write32(ep->node, EFA_BAR_DB, ep->rq_db, ep->rq_producer);
	work(ep->world);
}

/* The entry has the size that the send queue was made for. */
void post_send(struct endpoint *ep, const void *wqe, u16 req_id)
{
	u8 *slot = ep->node->llq + ep->llq + ep->sq_producer++ % ep->sq_entries * ep->sq_size;

	memcpy(slot, wqe, ep->sq_size);
	memcpy(slot, &req_id, sizeof(req_id));
	ring_send(ep);
}

void post_recv_descriptor(struct endpoint *ep, u64 addr, u16 len, u16 req_id, bool first,
			  bool last)
{
	struct efa_io_rx_desc *ring = ram_at(ep->node, ep->rq_base);

	ring[ep->rq_producer++ % ep->rq_entries] = (struct efa_io_rx_desc){
		.buf_addr_lo = addr,
		.buf_addr_hi = addr >> 32,
		.req_id = req_id,
		.length = len,
		.lkey_ctrl = ep->key | (u32)first << 30 | (u32)last << 31,
	};
}

void post_recv(struct endpoint *ep, u64 addr, u16 len, u16 req_id)
{
	post_recv_descriptor(ep, addr, len, req_id, true, true);
	ring_recv(ep);
}

const struct efa_io_rx_cdesc_ex *poll_cq(struct endpoint *ep, unsigned int sub)
{
	const struct efa_io_rx_cdesc_ex *ring = ram_at(ep->node, ep->cq_base);
	const struct efa_io_rx_cdesc_ex *cqe;
	bool phase = !(ep->consumed[sub] & ep->cq_entries);

	cqe = &ring[sub * ep->cq_entries + ep->consumed[sub] % ep->cq_entries];
	if ((cqe->base.common.flags & 1) != phase)
		return NULL;
	ep->consumed[sub]++;
	return cqe;
}

const struct efa_io_rx_cdesc_ex *expect(struct endpoint *ep, enum efa_io_queue_type queue,
					u16 req_id, u8 status)
{
	const struct efa_io_rx_cdesc_ex *cqe = poll_cq(ep, queue == EFA_IO_RECV_QUEUE);

	assert_non_null(cqe);
	assert_int_equal(cqe->base.common.status, status);
	assert_int_equal(cqe->base.common.req_id, req_id);
	assert_int_equal(cqe->base.common.qp_num, ep->qpn);
	assert_int_equal(EFA_GET(&cqe->base.common.flags, EFA_IO_CDESC_COMMON_Q_TYPE), queue);
	return cqe;
}

void expect_nothing(struct endpoint *ep)
{
	assert_null(poll_cq(ep, 0));
	assert_null(poll_cq(ep, 1));
}
