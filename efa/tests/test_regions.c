// SPDX-License-Identifier: GPL-2.0-only
/* Memory regions: page lists of each kind, page sizes, and limits. */
#include "fixture.h"
#include "mr.h"

#define DIRECT	 EFA_ADMIN_AQ_COMMON_DESC_CTRL_DATA_MASK
#define INDIRECT (DIRECT | EFA_ADMIN_AQ_COMMON_DESC_CTRL_DATA_INDIRECT_MASK)

static const struct endpoint_options srd;

static int register_region(struct endpoint *ep, u8 flags, struct efa_admin_reg_mr_cmd cmd,
			   u32 *key)
{
	struct efa_admin_reg_mr_resp resp;
	int status = command_flags(ep->world, ep->node, EFA_ADMIN_REG_MR, flags, &cmd,
				   sizeof(cmd), &resp, sizeof(resp));

	assert_int_equal(resp.l_key, resp.r_key);
	*key = resp.l_key;
	return status;
}

static struct efa_admin_ctrl_buff_info buffer_at(u64 addr, u32 len)
{
	return (struct efa_admin_ctrl_buff_info){
		.length = len,
		.address = { .mem_addr_low = addr, .mem_addr_high = addr >> 32 },
	};
}

static struct efa_admin_reg_mr_cmd region(struct endpoint *ep, u64 iova, u64 len, u8 shift)
{
	return (struct efa_admin_reg_mr_cmd){
		.pd = ep->pd,
		.mr_length = len,
		.flags = shift,
		.permissions = ALL_ACCESS,
		.iova = iova,
	};
}

/* Writes @len bytes to @iova of the region and looks for them at @where. */
static void assert_reaches(struct endpoint *a, struct endpoint *b, u32 key, u64 iova, u32 len,
			   u64 where)
{
	struct efa_io_tx_wqe wqe;

	b->key = key;
	fill(a->node, a->buffer, len, key);
	wqe = rdma(a, b, EFA_IO_RDMA_WRITE, a->buffer, iova, len);
	post_send(a, &wqe, 1);
	expect(a, EFA_IO_SEND_QUEUE, 1, EFA_IO_COMP_STATUS_OK);
	assert_filled(b->node, where, len, key);
}

static void an_inline_list_may_have_four_pages_of_any_size(void **state)
{
	static const u8 shifts[] = { 12, 13, 14, 21 };
	struct efa_admin_reg_mr_cmd cmd;
	struct endpoint a, b;
	u32 key;

	connect_pair(*state, &a, &b, &srd);
	for (size_t i = 0; i < sizeof(shifts); i++) {
		u64 size = 1ull << shifts[i], bus = PEER_BASE;

		cmd = region(&b, 0x7f0000000000 + 123, 2 * size - 123, shifts[i]);
		cmd.pbl.inline_pbl_array[0] = bus + size;
		cmd.pbl.inline_pbl_array[1] = bus;
		assert_int_equal(register_region(&b, 0, cmd, &key), 0);
		assert_reaches(&a, &b, key, 0x7f0000000000 + 200, 1000, bus + size + 200);
		assert_reaches(&a, &b, key, 0x7f0000000000 + size + 9, 1000, bus + 9);
	}
}

static void a_transfer_crosses_pages_that_lie_apart(void **state)
{
	struct efa_admin_reg_mr_cmd cmd;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;
	u8 *bytes;

	connect_pair(*state, &a, &b, &srd);
	cmd = region(&b, 4096 * 3, 4096 * 4, 12);
	for (int i = 0; i < 4; i++)
		cmd.pbl.inline_pbl_array[i] = b.buffer + 4096 * (6 - 2 * i);
	assert_int_equal(register_region(&b, 0, cmd, &b.key), 0);
	fill(a.node, a.buffer, 4096 * 4, 1);
	wqe = rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, 4096 * 3, 4096 * 4);
	post_send(&a, &wqe, 1);
	expect(&a, EFA_IO_SEND_QUEUE, 1, EFA_IO_COMP_STATUS_OK);
	bytes = ram_at(a.node, a.buffer);
	for (int i = 0; i < 4; i++)
		assert_memory_equal(ram_at(b.node, b.buffer + 4096 * (6 - 2 * i)),
				    bytes + 4096 * i, 4096);
}

static void the_number_of_pages_may_be_left_out_but_not_be_wrong(void **state)
{
	struct world *world = *state;
	struct efa_admin_reg_mr_cmd cmd;
	struct endpoint a;
	u32 key;

	endpoint_open(&a, world, &world->node[0], &srd);
	cmd = region(&a, 4095, 2, 12); /* one byte on each of two pages */
	cmd.page_num = 2;
	assert_int_equal(register_region(&a, 0, cmd, &key), 0);
	cmd.page_num = 1;
	assert_int_equal(register_region(&a, 0, cmd, &key), EFA_ADMIN_ILLEGAL_PARAMETER);
}

/* Long enough for two chunks: 510 blocks of 512 pages and some more. */
#define MANY_PAGES (510u * 512 + 700)

static u64 make_indirect_list(struct node *node, u64 *first_chunk_len)
{
	u64 chunks = ram_alloc(node, 2 * 4096, 4096);
	u32 blocks = (MANY_PAGES + 511) / 512;
	u64 list = ram_alloc(node, blocks * 4096ull, 4096);
	u64 *pages = ram_at(node, list);
	struct efa_admin_ctrl_buff_info next = buffer_at(chunks + 4096, (blocks - 510) * 8 + 12);

	for (u32 i = 0; i < MANY_PAGES; i++)
		pages[i] = PEER_BASE + i * 4096ull % PEER_SIZE;
	for (u32 i = 0; i < 510; i++)
		((u64 *)ram_at(node, chunks))[i] = list + i * 4096;
	for (u32 i = 510; i < blocks; i++)
		((u64 *)ram_at(node, chunks + 4096))[i - 510] = list + i * 4096;
	memcpy(ram_at(node, chunks + 510 * 8), &next, sizeof(next));
	*first_chunk_len = 510 * 8 + 12;
	return chunks;
}

static void an_indirect_list_is_a_chain_of_chunks(void **state)
{
	struct efa_admin_ctrl_buff_info bad;
	struct efa_admin_reg_mr_cmd cmd;
	struct endpoint a, b;
	u64 chunks, len;
	u32 key;

	connect_pair(*state, &a, &b, &srd);
	chunks = make_indirect_list(b.node, &len);
	cmd = region(&b, 0, MANY_PAGES * 4096ull, 12);
	cmd.pbl.pbl = buffer_at(chunks, len);
	assert_int_equal(register_region(&b, INDIRECT, cmd, &key), 0);
	assert_reaches(&a, &b, key, (MANY_PAGES - 1) * 4096ull, 4096,
		       PEER_BASE + (MANY_PAGES - 1) * 4096ull % PEER_SIZE);

	bad = buffer_at(chunks + 4096, 13); /* not whole addresses */
	memcpy(ram_at(b.node, chunks + 510 * 8), &bad, sizeof(bad));
	assert_int_equal(register_region(&b, INDIRECT, cmd, &key), EFA_ADMIN_ILLEGAL_PARAMETER);
	bad = buffer_at(0, 20); /* no memory there */
	memcpy(ram_at(b.node, chunks + 510 * 8), &bad, sizeof(bad));
	assert_int_equal(register_region(&b, INDIRECT, cmd, &key), EFA_ADMIN_ILLEGAL_PARAMETER);
	*(u64 *)ram_at(b.node, chunks) = 0;
	assert_int_equal(register_region(&b, INDIRECT, cmd, &key), EFA_ADMIN_ILLEGAL_PARAMETER);
	cmd.pbl.pbl.length = 12;
	assert_int_equal(register_region(&b, INDIRECT, cmd, &key), EFA_ADMIN_ILLEGAL_PARAMETER);
	cmd.pbl.pbl.length = 4100;
	assert_int_equal(register_region(&b, INDIRECT, cmd, &key), EFA_ADMIN_ILLEGAL_PARAMETER);
}

static void a_chain_that_never_ends_is_followed_only_so_far(void **state)
{
	struct efa_admin_ctrl_buff_info self;
	struct efa_admin_reg_mr_cmd cmd;
	struct world *world = *state;
	struct endpoint a;
	u64 chunk;
	u32 key;

	endpoint_open(&a, world, &world->node[0], &srd);
	chunk = ram_alloc(a.node, 4096, 4096);
	*(u64 *)ram_at(a.node, chunk) = ram_alloc(a.node, 4096, 4096);
	self = buffer_at(chunk, 20);
	memcpy(ram_at(a.node, chunk + 8), &self, sizeof(self));
	cmd = region(&a, 0, 4096ull * EFA_MAX_MR_PAGES, 12);
	cmd.pbl.pbl = self;
	assert_int_equal(register_region(&a, INDIRECT, cmd, &key), 0);
}

static void a_long_direct_list_is_read_in_parts(void **state)
{
	struct endpoint a, b;
	u32 pages = 10000;
	u64 list;
	struct efa_admin_reg_mr_cmd cmd;
	u32 key;

	connect_pair(*state, &a, &b, &srd);
	list = ram_alloc(b.node, pages * 8, 4096);
	for (u32 i = 0; i < pages; i++)
		((u64 *)ram_at(b.node, list))[i] = PEER_BASE + (i % 100) * 4096;
	cmd = region(&b, 0, pages * 4096ull, 12);
	cmd.pbl.pbl = buffer_at(list, pages * 8);
	assert_int_equal(register_region(&b, DIRECT, cmd, &key), 0);
	assert_int_equal(b.node->longest, EFA_DMA_SIZE);
	assert_reaches(&a, &b, key, 9999 * 4096, 4096, PEER_BASE + 99 * 4096);
	cmd.pbl.pbl.length--;
	assert_int_equal(register_region(&b, DIRECT, cmd, &key), EFA_ADMIN_ILLEGAL_PARAMETER);
	cmd.pbl.pbl = buffer_at(0, pages * 8);
	assert_int_equal(register_region(&b, DIRECT, cmd, &key), EFA_ADMIN_ILLEGAL_PARAMETER);
}

static void registrations_that_make_no_sense_are_refused(void **state)
{
	struct efa_admin_reg_mr_cmd good, cmd;
	struct world *world = *state;
	struct endpoint a;
	u32 key;

	endpoint_open(&a, world, &world->node[0], &srd);
	good = region(&a, 0, 4096, 12);
#define REFUSED(field, value)                                                               \
	do {                                                                                \
		cmd = good;                                                                 \
		cmd.field = value;                                                          \
		assert_int_equal(register_region(&a, 0, cmd, &key),                         \
				 EFA_ADMIN_ILLEGAL_PARAMETER);                              \
	} while (0)
	REFUSED(pd, a.pd + 256);
	REFUSED(flags, 11);
	REFUSED(flags, 31);
	REFUSED(flags, 12 | EFA_ADMIN_REG_MR_CMD_MEM_ADDR_PHY_MODE_EN_MASK);
	REFUSED(mr_length, 0);
	REFUSED(mr_length, 1ull << 48);
	REFUSED(mr_length, 4096 * 5); /* more than fits inline */
	REFUSED(iova, ~0ull);
	REFUSED(pbl.inline_pbl_array[0], 8);
	REFUSED(pbl.inline_pbl_array[0], 1ull << 48);
	assert_int_equal(register_region(&a, 0, good, &key), 0);
	cmd = region(&a, 0, 4096ull * (EFA_MAX_MR_PAGES + 1), 12);
	assert_int_equal(register_region(&a, 0, cmd, &key), EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE);
}

static void regions_and_their_pages_are_limited(void **state)
{
	struct efa_admin_reg_mr_cmd cmd;
	struct world *world = *state;
	struct endpoint a;
	u64 chunk, page;
	u32 key;

	endpoint_open(&a, world, &world->node[0], &srd);
	for (u32 i = 1; i < 1u << EFA_MR_BITS; i++)
		assert_int_equal(register_region(&a, 0, region(&a, 0, 4096, 12), &key), 0);
	assert_int_equal(register_region(&a, 0, region(&a, 0, 4096, 12), &key),
			 EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE);

	node_reset(world, a.node);
	assert_int_equal(a.node->dev->mr_pages, 0);
	node_admin_init(a.node);
	a.pd = pd_alloc(world, a.node);
	chunk = ram_alloc(a.node, 4096, 4096);
	page = ram_alloc(a.node, 4096, 4096);
	for (int i = 0; i < 510; i++)
		((u64 *)ram_at(a.node, chunk))[i] = page;
	cmd = region(&a, 0, 4096ull * EFA_MAX_MR_PAGES, 12);
	cmd.pbl.pbl = buffer_at(chunk, 4092);
	memcpy(ram_at(a.node, chunk + 4080), &cmd.pbl.pbl, sizeof(cmd.pbl.pbl));
	for (u32 i = 0; i < EFA_ALL_MR_PAGES / EFA_MAX_MR_PAGES; i++)
		assert_int_equal(register_region(&a, INDIRECT, cmd, &key), 0);
	assert_int_equal(register_region(&a, INDIRECT, cmd, &key),
			 EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_inline_list_may_have_four_pages_of_any_size),
		TEST(a_transfer_crosses_pages_that_lie_apart),
		TEST(the_number_of_pages_may_be_left_out_but_not_be_wrong),
		TEST(an_indirect_list_is_a_chain_of_chunks),
		TEST(a_chain_that_never_ends_is_followed_only_so_far),
		TEST(a_long_direct_list_is_read_in_parts),
		TEST(registrations_that_make_no_sense_are_refused),
		TEST(regions_and_their_pages_are_limited),
	};

	return cmocka_run_group_tests_name("regions", tests, NULL, NULL);
}
