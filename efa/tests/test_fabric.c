// SPDX-License-Identifier: GPL-2.0-only
/* Several devices, devices that vanish, and handles. */
#include "fixture.h"
#include "mr.h"

static const struct endpoint_options srd;

static void three_devices_reach_each_other(void **state)
{
	struct world *world = *state;
	struct endpoint ep[3];

	for (int i = 0; i < 3; i++)
		endpoint_open(&ep[i], world, &world->node[i], &srd);
	for (int from = 0; from < 3; from++) {
		for (int to = 0; to < 3; to++) {
			struct efa_io_tx_wqe wqe;

			ep[from].ah = ah_make(world, ep[from].node, ep[from].pd, ep[to].node);
			fill(ep[from].node, ep[from].buffer, 5000, from * 3 + to);
			wqe = rdma(&ep[from], &ep[to], EFA_IO_RDMA_WRITE, ep[from].buffer,
				   ep[to].buffer + 8192, 5000);
			post_send(&ep[from], &wqe, 1);
			expect(&ep[from], EFA_IO_SEND_QUEUE, 1, EFA_IO_COMP_STATUS_OK);
			assert_filled(ep[to].node, ep[to].buffer + 8192, 5000, from * 3 + to);
		}
	}
}

static void large_transfers_of_two_devices_take_turns(void **state)
{
	struct world *world = *state;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(world, &a, &b, &srd);
	a.key = mr_make(world, a.node, a.pd, PEER_BASE, PEER_SIZE, ALL_ACCESS);
	b.key = mr_make(world, b.node, b.pd, PEER_BASE, PEER_SIZE, ALL_ACCESS);
	fill(a.node, PEER_BASE, PEER_SIZE / 2, 1);
	fill(b.node, PEER_BASE, PEER_SIZE / 2, 2);
	wqe = rdma(&a, &b, EFA_IO_RDMA_WRITE, PEER_BASE, PEER_BASE + PEER_SIZE / 2, PEER_SIZE / 2);
	memcpy(a.node->llq + a.llq, &wqe, sizeof(wqe));
	wqe = rdma(&b, &a, EFA_IO_RDMA_WRITE, PEER_BASE, PEER_BASE + PEER_SIZE / 2, PEER_SIZE / 2);
	memcpy(b.node->llq + b.llq, &wqe, sizeof(wqe));
	write32(a.node, EFA_BAR_DB, a.sq_db, 1);
	write32(b.node, EFA_BAR_DB, b.sq_db, 1);
	assert_true(efa_fabric_work(world->fabric));
	assert_true(a.node->writes > 0 && b.node->writes > 0);
	work(world);
	expect(&a, EFA_IO_SEND_QUEUE, 0, EFA_IO_COMP_STATUS_OK);
	expect(&b, EFA_IO_SEND_QUEUE, 0, EFA_IO_COMP_STATUS_OK);
	assert_filled(b.node, PEER_BASE + PEER_SIZE / 2, PEER_SIZE / 2, 1);
	assert_filled(a.node, PEER_BASE + PEER_SIZE / 2, PEER_SIZE / 2, 2);
}

static void a_peer_that_vanishes_is_told_from_one_never_reached(void **state)
{
	struct efa_admin_create_ah_resp resp;
	struct efa_admin_create_ah_cmd cmd;
	struct world *world = *state;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(world, &a, &b, &srd);
	wqe = message(&a, &b, a.buffer, 10);
	post_send(&a, &wqe, 1); /* waits */
	efa_device_free(b.node->dev);
	work(world);
	expect(&a, EFA_IO_SEND_QUEUE, 1, EFA_IO_COMP_STATUS_LOCAL_ERROR_UNRESP_REMOTE);

	memset(&cmd, 0x77, sizeof(cmd));
	cmd.pd = a.pd;
	assert_int_equal(command(world, a.node, EFA_ADMIN_CREATE_AH, &cmd, &resp), 0);
	wqe.meta.ah = resp.ah;
	post_send(&a, &wqe, 2);
	expect(&a, EFA_IO_SEND_QUEUE, 2, EFA_IO_COMP_STATUS_LOCAL_ERROR_UNREACH_REMOTE);
}

static void a_peer_that_is_reset_knows_the_queue_pair_no_more(void **state)
{
	struct world *world = *state;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(world, &a, &b, &srd);
	wqe = message(&a, &b, a.buffer, 10);
	post_send(&a, &wqe, 1);
	expect_nothing(&a);
	node_reset(world, b.node);
	expect(&a, EFA_IO_SEND_QUEUE, 1, EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_DEST_QPN);
}

static void work_that_waits_leaves_the_worker_idle(void **state)
{
	struct world *world = *state;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(world, &a, &b, &srd);
	wqe = message(&a, &b, a.buffer, 10);
	post_send(&a, &wqe, 1);
	assert_false(efa_fabric_work(world->fabric));
}

static void handles_name_one_object_only(void **state)
{
	struct table table;
	u32 handle, seen[40];
	int object;

	(void)state;
	assert_int_equal(table_init(&table, 2, 6), 0);
	assert_int_equal(table_add(&table, &table, &handle), 0); /* stays for a while */
	for (int i = 0; i < 40; i++) {
		assert_int_equal(table_add(&table, &object, &handle), 0);
		assert_true(handle && handle != 63);
		assert_ptr_equal(table_get(&table, handle), &object);
		assert_ptr_equal(table_at(&table, table_index(&table, handle)), &object);
		assert_ptr_equal(table_remove(&table, handle), &object);
		assert_null(table_get(&table, handle));
		assert_null(table_remove(&table, handle));
		seen[i] = handle;
	}
	for (int i = 0; i < 40; i++)
		for (int j = i + 1; j < 40; j++)
			assert_int_not_equal(seen[i], seen[j]);
	for (int i = 0; i < 3; i++)
		assert_int_equal(table_add(&table, &object, &handle), 0);
	assert_int_not_equal(table_add(&table, &object, &handle), 0);
	assert_null(table_at(&table, 4));
	assert_null(table_get(&table, ~0u));
	table_fini(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(three_devices_reach_each_other),
		TEST(large_transfers_of_two_devices_take_turns),
		TEST(a_peer_that_vanishes_is_told_from_one_never_reached),
		TEST(a_peer_that_is_reset_knows_the_queue_pair_no_more),
		TEST(work_that_waits_leaves_the_worker_idle),
		cmocka_unit_test(handles_name_one_object_only),
	};

	return cmocka_run_group_tests_name("fabric", tests, NULL, NULL);
}
