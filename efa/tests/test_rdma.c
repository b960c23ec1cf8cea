// SPDX-License-Identifier: GPL-2.0-only
/* RDMA write, write with immediate data, and read. */
#include "fixture.h"
#include "mr.h"

static const struct endpoint_options srd, wide = { .wide = true };

static void expect_status(struct endpoint *a, struct efa_io_tx_wqe wqe, u8 status)
{
	post_send(a, &wqe, 5);
	expect(a, EFA_IO_SEND_QUEUE, 5, status);
}

static void a_write_puts_all_bytes_and_no_more(void **state)
{
	static const u32 lengths[] = { 1, 7, 4096, 65536, 65537, 300001 };
	struct endpoint a, b;

	connect_pair(*state, &a, &b, &srd);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		u32 len = lengths[i];

		fill(a.node, a.buffer + 11, len, i);
		fill(b.node, b.buffer, BUFFER_SIZE, 99);
		expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer + 11, b.buffer, len),
			      EFA_IO_COMP_STATUS_OK);
		assert_filled(b.node, b.buffer, len, i);
		fill(a.node, a.buffer, BUFFER_SIZE, 99);
		assert_memory_equal(ram_at(b.node, b.buffer + len),
				    ram_at(a.node, a.buffer + len), 1000);
	}
	expect_nothing(&b);
}

static void a_read_gets_all_bytes(void **state)
{
	struct endpoint a, b;

	connect_pair(*state, &a, &b, &srd);
	fill(b.node, b.buffer + 1, 300001, 4);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_READ, a.buffer, b.buffer + 1, 300001),
		      EFA_IO_COMP_STATUS_OK);
	assert_filled(a.node, a.buffer, 300001, 4);
}

static void contiguous_pages_are_one_dma_of_64_kib(void **state)
{
	struct endpoint a, b;

	connect_pair(*state, &a, &b, &srd);
	a.node->reads = 0;
	b.node->writes = 0;
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 1 << 19),
		      EFA_IO_COMP_STATUS_OK);
	assert_int_equal(a.node->reads, 8);
	assert_int_equal(b.node->writes, 8);
	assert_int_equal(b.node->longest, 1 << 16);
}

static void memory_of_another_device_works_as_ram_does(void **state)
{
	struct endpoint a, b;

	connect_pair(*state, &a, &b, &srd);
	b.key = mr_make(*state, b.node, b.pd, PEER_BASE + 100, 100000, ALL_ACCESS);
	fill(a.node, a.buffer, 100000, 8);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, PEER_BASE + 100, 100000),
		      EFA_IO_COMP_STATUS_OK);
	assert_filled(b.node, PEER_BASE + 100, 100000, 8);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_READ, a.buffer + 200000, PEER_BASE + 100,
			       100000), EFA_IO_COMP_STATUS_OK);
	assert_filled(a.node, a.buffer + 200000, 100000, 8);
}

static void a_device_reaches_itself(void **state)
{
	struct world *world = *state;
	struct endpoint a;

	endpoint_open(&a, world, &world->node[0], &srd);
	a.ah = ah_make(world, a.node, a.pd, a.node);
	fill(a.node, a.buffer, 5000, 1);
	expect_status(&a, rdma(&a, &a, EFA_IO_RDMA_WRITE, a.buffer, a.buffer + 10000, 5000),
		      EFA_IO_COMP_STATUS_OK);
	assert_filled(a.node, a.buffer + 10000, 5000, 1);
}

static void a_write_with_immediate_data_uses_a_receive(void **state)
{
	const struct efa_io_rx_cdesc_ex *cqe;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	wqe = rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 100000);
	set_imm(&wqe, 42);
	fill(a.node, a.buffer, 100000, 6);
	post_send(&a, &wqe, 1);
	expect_nothing(&a); /* no receive: the sender waits */
	post_recv(&b, 0, 0, 2);
	expect(&a, EFA_IO_SEND_QUEUE, 1, EFA_IO_COMP_STATUS_OK);
	cqe = expect(&b, EFA_IO_RECV_QUEUE, 2, EFA_IO_COMP_STATUS_OK);
	assert_int_equal(EFA_GET(&cqe->base.common.flags, EFA_IO_CDESC_COMMON_OP_TYPE),
			 EFA_IO_RDMA_WRITE);
	assert_int_equal(cqe->base.imm, 42);
	assert_int_equal(cqe->base.length | (u32)cqe->u.rdma_write.length_hi << 16, 100000);
	assert_filled(b.node, b.buffer, 100000, 6);
}

static void an_unsolicited_write_uses_no_receive(void **state)
{
	const struct endpoint_options unsolicited = { .unsolicited_write_recv = true };
	const struct efa_io_rx_cdesc_ex *cqe;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &unsolicited);
	wqe = rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 10);
	set_imm(&wqe, 43);
	expect_status(&a, wqe, EFA_IO_COMP_STATUS_OK);
	cqe = expect(&b, EFA_IO_RECV_QUEUE, 0, EFA_IO_COMP_STATUS_OK);
	assert_int_equal(EFA_GET(&cqe->base.common.flags, EFA_IO_CDESC_COMMON_UNSOLICITED), 1);
	assert_int_equal(cqe->base.imm, 43);
}

static void immediate_data_without_a_receive_fails_when_there_are_no_retries(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	assert_int_equal(qp_modify_to(&a, EFA_ADMIN_MODIFY_QP_CMD_RNR_RETRY_MASK, 0, 0), 0);
	wqe = rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 10);
	set_imm(&wqe, 43);
	expect_status(&a, wqe, EFA_IO_COMP_STATUS_REMOTE_ERROR_RNR);
}

/* The wide entry's inline data follow the remote address. */
static void only_a_wide_entry_writes_inline(void **state)
{
	u8 entry[EFA_SQ_WIDE_ENTRY_SIZE] = { 0 };
	struct endpoint a, b, narrow;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &wide);
	wqe = rdma(&a, &b, EFA_IO_RDMA_WRITE, 0, b.buffer + 50, 80);
	wqe.meta.ctrl1 |= EFA_IO_TX_META_DESC_INLINE_MSG_MASK;
	wqe.meta.length = 80;
	memcpy(entry, &wqe, 48);
	fill(a.node, a.buffer, 80, 7);
	memcpy(entry + 48, ram_at(a.node, a.buffer), 80);
	post_send(&a, entry, 1);
	expect(&a, EFA_IO_SEND_QUEUE, 1, EFA_IO_COMP_STATUS_OK);
	assert_filled(b.node, b.buffer + 50, 80, 7);

	endpoint_open(&narrow, *state, a.node, &srd);
	narrow.ah = ah_make(*state, narrow.node, narrow.pd, b.node);
	expect_status(&narrow, wqe, EFA_IO_COMP_STATUS_LOCAL_ERROR_UNSUPPORTED_OP);
}

static void access_rights_are_kept(void **state)
{
	struct endpoint a, b;
	u32 readable, writable, all;

	connect_pair(*state, &a, &b, &srd);
	readable = mr_make(*state, b.node, b.pd, b.buffer, 4096, MR_REMOTE_READ);
	writable = mr_make(*state, b.node, b.pd, b.buffer, 4096, MR_REMOTE_WRITE);
	b.key = readable;
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_READ, a.buffer, b.buffer, 10),
		      EFA_IO_COMP_STATUS_OK);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 10),
		      EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_ADDRESS);
	b.key = writable;
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 10),
		      EFA_IO_COMP_STATUS_OK);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_READ, a.buffer, b.buffer, 10),
		      EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_ADDRESS);

	/* A read writes here, a write only reads here. */
	all = a.key;
	a.key = mr_make(*state, a.node, a.pd, a.buffer, 4096, 0);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 10),
		      EFA_IO_COMP_STATUS_OK);
	b.key = readable;
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_READ, a.buffer, b.buffer, 10),
		      EFA_IO_COMP_STATUS_LOCAL_ERROR_INVALID_LKEY);
	a.key = all;
}

static void a_stale_key_reaches_nothing(void **state)
{
	struct efa_admin_dereg_mr_resp resp;
	struct efa_admin_dereg_mr_cmd cmd;
	struct endpoint a, b;

	connect_pair(*state, &a, &b, &srd);
	cmd.l_key = b.key;
	assert_int_equal(command(*state, b.node, EFA_ADMIN_DEREG_MR, &cmd, &resp), 0);
	for (int i = 0; i < 20; i++)
		mr_make(*state, b.node, b.pd, b.buffer, 4096, ALL_ACCESS);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 10),
		      EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_ADDRESS);
	assert_int_equal(command(*state, b.node, EFA_ADMIN_DEREG_MR, &cmd, &resp),
			 EFA_ADMIN_ILLEGAL_PARAMETER);
}

static void deregister(struct world *world, struct node *node, u32 key)
{
	struct efa_admin_dereg_mr_cmd cmd = { .l_key = key };
	struct efa_admin_dereg_mr_resp resp;

	assert_int_equal(command(world, node, EFA_ADMIN_DEREG_MR, &cmd, &resp), 0);
}

static void a_reused_key_reaches_its_new_region_in_the_same_domain(void **state)
{
	struct endpoint a, b;
	u64 elsewhere;

	connect_pair(*state, &a, &b, &srd);
	efa_device_reuse_keys(b.node->dev);
	elsewhere = ram_alloc(b.node, 4096, 4096);
	deregister(*state, b.node, b.key);
	assert_int_equal(mr_make(*state, b.node, b.pd, elsewhere, 4096, ALL_ACCESS), b.key);
	fill(a.node, a.buffer, 4096, 1);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, elsewhere, 4096),
		      EFA_IO_COMP_STATUS_OK);
	assert_filled(b.node, elsewhere, 4096, 1);
	/* Where the old region was there is none. */
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 10),
		      EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_ADDRESS);

	deregister(*state, b.node, b.key);
	assert_int_equal(mr_make(*state, b.node, pd_alloc(*state, b.node), elsewhere, 4096,
				 ALL_ACCESS), b.key);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, elsewhere, 10),
		      EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_ADDRESS);
}

static void the_lowest_free_key_is_reused(void **state)
{
	struct world *world = *state;
	struct node *node = &world->node[0];
	u16 pd = pd_alloc(world, node);
	u64 addr = ram_alloc(node, 4096, 4096);
	u32 keys[4];

	efa_device_reuse_keys(node->dev);
	for (int i = 0; i < 4; i++)
		keys[i] = mr_make(world, node, pd, addr, 4096, ALL_ACCESS);
	assert_int_not_equal(keys[0], 0);
	deregister(world, node, keys[2]);
	deregister(world, node, keys[1]);
	assert_int_equal(mr_make(world, node, pd, addr, 4096, ALL_ACCESS), keys[1]);
	assert_int_equal(mr_make(world, node, pd, addr, 4096, ALL_ACCESS), keys[2]);
	assert_int_not_equal(mr_make(world, node, pd, addr, 4096, ALL_ACCESS), keys[3]);
}

static void regions_of_another_domain_are_out_of_reach(void **state)
{
	struct world *world = *state;
	struct endpoint a, b;

	connect_pair(world, &a, &b, &srd);
	b.key = mr_make(world, b.node, pd_alloc(world, b.node), b.buffer, 4096, ALL_ACCESS);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 10),
		      EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_ADDRESS);
	a.key = mr_make(world, a.node, pd_alloc(world, a.node), a.buffer, 4096, ALL_ACCESS);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 10),
		      EFA_IO_COMP_STATUS_LOCAL_ERROR_INVALID_LKEY);
}

static void bounds_are_kept_to_the_byte(void **state)
{
	u64 end;
	struct endpoint a, b;

	connect_pair(*state, &a, &b, &srd);
	end = b.buffer + BUFFER_SIZE;
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, end - 10, 10),
		      EFA_IO_COMP_STATUS_OK);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, end - 10, 11),
		      EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_ADDRESS);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer - 1, 1),
		      EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_ADDRESS);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, ~0ull, 1),
		      EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_ADDRESS);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer + BUFFER_SIZE, b.buffer, 1),
		      EFA_IO_COMP_STATUS_LOCAL_ERROR_INVALID_LKEY);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer,
			       EFA_MAX_RDMA_SIZE + 1), EFA_IO_COMP_STATUS_LOCAL_ERROR_BAD_LENGTH);
}

static void an_rdma_of_nothing_asks_for_no_rights(void **state)
{
	struct endpoint a, b;

	connect_pair(*state, &a, &b, &srd);
	a.key = b.key = 0;
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, 0, 0, 0), EFA_IO_COMP_STATUS_OK);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_READ, 0, 0, 0), EFA_IO_COMP_STATUS_OK);
}

static void lengths_and_counts_have_to_agree(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	wqe = rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 10);
	wqe.data.rdma_req.remote_mem.length = 11;
	expect_status(&a, wqe, EFA_IO_COMP_STATUS_LOCAL_ERROR_BAD_LENGTH);
	wqe.meta.length = 2;
	expect_status(&a, wqe, EFA_IO_COMP_STATUS_LOCAL_ERROR_BAD_LENGTH);
}

static void dma_errors_tell_whose_memory_failed(void **state)
{
	struct endpoint a, b;

	connect_pair(*state, &a, &b, &srd);
	b.node->write_fault = (struct fault){ b.buffer + 200000, 1, -5 };
	b.node->read_fault = b.node->write_fault;
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 300000),
		      EFA_IO_COMP_STATUS_REMOTE_ERROR_ABORT);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_READ, a.buffer, b.buffer, 300000),
		      EFA_IO_COMP_STATUS_REMOTE_ERROR_ABORT);
	b.node->read_fault.err = b.node->write_fault.err = 0;
	a.node->write_fault = (struct fault){ a.buffer + 200000, 1, -5 };
	a.node->read_fault = a.node->write_fault;
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 300000),
		      EFA_IO_COMP_STATUS_LOCAL_ERROR_QP_INTERNAL_ERROR);
	expect_status(&a, rdma(&a, &b, EFA_IO_RDMA_READ, a.buffer, b.buffer, 300000),
		      EFA_IO_COMP_STATUS_LOCAL_ERROR_QP_INTERNAL_ERROR);
}

static void a_region_that_goes_ends_the_transfer(void **state)
{
	struct efa_admin_dereg_mr_cmd cmd;
	struct efa_admin_dereg_mr_resp resp;
	struct world *world = *state;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(world, &a, &b, &srd);
	b.key = mr_make(world, b.node, b.pd, PEER_BASE, PEER_SIZE, ALL_ACCESS);
	a.key = mr_make(world, a.node, a.pd, PEER_BASE, PEER_SIZE, ALL_ACCESS);
	wqe = rdma(&a, &b, EFA_IO_RDMA_WRITE, PEER_BASE, PEER_BASE, PEER_SIZE);
	memcpy(a.node->llq + a.llq, &wqe, sizeof(wqe));
	write32(a.node, EFA_BAR_DB, a.sq_db, 1);
	assert_true(efa_fabric_work(world->fabric)); /* more than fits in one turn */
	expect_nothing(&a);
	cmd.l_key = b.key;
	assert_int_equal(command(world, b.node, EFA_ADMIN_DEREG_MR, &cmd, &resp), 0);
	expect(&a, EFA_IO_SEND_QUEUE, 0, EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_ADDRESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_write_puts_all_bytes_and_no_more),
		TEST(a_read_gets_all_bytes),
		TEST(contiguous_pages_are_one_dma_of_64_kib),
		TEST(memory_of_another_device_works_as_ram_does),
		TEST(a_device_reaches_itself),
		TEST(a_write_with_immediate_data_uses_a_receive),
		TEST(an_unsolicited_write_uses_no_receive),
		TEST(immediate_data_without_a_receive_fails_when_there_are_no_retries),
		TEST(only_a_wide_entry_writes_inline),
		TEST(access_rights_are_kept),
		TEST(a_stale_key_reaches_nothing),
		TEST(a_reused_key_reaches_its_new_region_in_the_same_domain),
		TEST(the_lowest_free_key_is_reused),
		TEST(regions_of_another_domain_are_out_of_reach),
		TEST(bounds_are_kept_to_the_byte),
		TEST(an_rdma_of_nothing_asks_for_no_rights),
		TEST(lengths_and_counts_have_to_agree),
		TEST(dma_errors_tell_whose_memory_failed),
		TEST(a_region_that_goes_ends_the_transfer),
	};

	return cmocka_run_group_tests_name("rdma", tests, NULL, NULL);
}
