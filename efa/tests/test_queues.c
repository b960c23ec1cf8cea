// SPDX-License-Identifier: GPL-2.0-only
/* Queue pairs' states and rings, completion queues and their events. */
#include <errno.h>

#include "fixture.h"

static const struct endpoint_options srd;

static void requests_survive_every_wrap_of_the_rings(void **state)
{
	static const struct endpoint_options sizes[] = {
		{ .sq_entries = 8 },
		{ .wide = true, .sq_entries = 4, .rq_entries = 2, .cq_entries = 2 },
		{ .sq_entries = 1, .rq_entries = 16, .cq_entries = 8 },
	};

	for (size_t i = 0; i < 3; i++) {
		u8 entry[EFA_SQ_WIDE_ENTRY_SIZE] = { 0 };
		struct endpoint a, b;
		struct efa_io_tx_wqe wqe;

		connect_pair(*state, &a, &b, &sizes[i]);
		wqe = message(&a, &b, a.buffer, 300);
		memcpy(entry, &wqe, sizeof(wqe));
		for (u32 n = 0; n < 100; n++) {
			fill(a.node, a.buffer, 300, n);
			post_recv(&b, b.buffer, 300, n % 7);
			post_send(&a, entry, n % 5);
			expect(&a, EFA_IO_SEND_QUEUE, n % 5, EFA_IO_COMP_STATUS_OK);
			expect(&b, EFA_IO_RECV_QUEUE, n % 7, EFA_IO_COMP_STATUS_OK);
			assert_filled(b.node, b.buffer, 300, n);
		}
	}
}

static void doorbell_counters_wrap_at_16_bits(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	wqe = rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 0);
	for (u32 n = 0; n < 65536 + 10; n++) {
		post_send(&a, &wqe, 1);
		expect(&a, EFA_IO_SEND_QUEUE, 1, EFA_IO_COMP_STATUS_OK);
	}
}

static void receives_of_several_descriptors_wrap_around(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	wqe = message(&a, &b, a.buffer, 30);
	for (int i = 0; i < 20; i++) {
		fill(a.node, a.buffer, 30, i);
		for (int j = 0; j < 3; j++)
			post_recv_descriptor(&b, b.buffer + 10 * j, 10, i, j == 0, j == 2);
		ring_recv(&b);
		post_send(&a, &wqe, i);
		expect(&a, EFA_IO_SEND_QUEUE, i, EFA_IO_COMP_STATUS_OK);
		expect(&b, EFA_IO_RECV_QUEUE, i, EFA_IO_COMP_STATUS_OK);
		assert_filled(b.node, b.buffer, 30, i);
	}
	b.node->read_fault = (struct fault){ b.rq_base, 16, -EIO };
	for (int i = 0; i < 6; i++)
		post_recv_descriptor(&b, b.buffer, 10, i, i % 3 == 0, i % 3 == 2);
	ring_recv(&b);
	post_send(&a, &wqe, 1);
	post_send(&a, &wqe, 2);
	expect(&a, EFA_IO_SEND_QUEUE, 1, EFA_IO_COMP_STATUS_OK);
	expect(&a, EFA_IO_SEND_QUEUE, 2, EFA_IO_COMP_STATUS_REMOTE_ERROR_ABORT);
}

static void doorbells_never_overrun_a_ring(void **state)
{
	static const u32 bad[] = { 9, 0xffff, 0x10001, ~0u };
	struct endpoint a, b;
	unsigned int events;

	connect_pair(*state, &a, &b, &srd);
	events = a.node->events;
	for (int i = 0; i < 4; i++) {
		write32(a.node, EFA_BAR_DB, a.sq_db, bad[i]);
		write32(a.node, EFA_BAR_DB, a.rq_db, bad[i]);
		work(*state);
	}
	assert_int_equal(a.node->events, events + 8);
	expect_nothing(&a);
}

static int query(struct endpoint *ep, struct efa_admin_query_qp_resp *resp)
{
	struct efa_admin_query_qp_cmd cmd = { .qp_handle = ep->qpn };

	return command(ep->world, ep->node, EFA_ADMIN_QUERY_QP, &cmd, resp);
}

static void states_change_as_the_driver_allows(void **state)
{
	enum { R, I, RTR, RTS, SQD, SQE, ERR, STATES };
	static const bool allowed[STATES][STATES] = {
		[R] = { [R] = 1, [I] = 1 },
		[I] = { [R] = 1, [I] = 1, [RTR] = 1, [ERR] = 1 },
		[RTR] = { [R] = 1, [RTS] = 1, [ERR] = 1 },
		[RTS] = { [R] = 1, [RTS] = 1, [SQD] = 1, [ERR] = 1 },
		[SQD] = { [R] = 1, [RTS] = 1, [SQD] = 1, [ERR] = 1 },
		[ERR] = { [R] = 1, [ERR] = 1 },
	};
	static const u8 way[STATES][5] = { [I] = { I }, [RTR] = { I, RTR }, [RTS] = { I, RTR, RTS },
					   [SQD] = { I, RTR, RTS, SQD }, [ERR] = { I, ERR } };
	struct efa_admin_query_qp_resp resp;
	struct world *world = *state;
	struct endpoint a;

	endpoint_open(&a, world, &world->node[0], &srd);
	for (int from = R; from < STATES; from++) {
		for (int to = R; from != SQE && to < STATES; to++) {
			assert_int_equal(qp_to(&a, R), 0);
			for (int i = 0; way[from][i]; i++)
				assert_int_equal(qp_to(&a, way[from][i]), 0);
			assert_int_equal(!qp_to(&a, to), allowed[from][to]);
			assert_int_equal(query(&a, &resp), 0);
			assert_int_equal(resp.qp_state, allowed[from][to] ? to : from);
		}
	}
	assert_int_not_equal(qp_to(&a, 7), 0);
}

static void attributes_are_kept(void **state)
{
	struct efa_admin_modify_qp_cmd cmd = { .modify_mask = 0x3c, .qkey = 5, .sq_psn = 6,
					       .rnr_retry = 4 };
	struct efa_admin_modify_qp_resp modified;
	struct efa_admin_query_qp_resp resp;
	struct world *world = *state;
	struct endpoint a;

	endpoint_open(&a, world, &world->node[0], &srd);
	assert_int_equal(query(&a, &resp), 0);
	assert_int_equal(resp.rnr_retry, 7);
	cmd.qp_handle = a.qpn;
	assert_int_equal(command(world, a.node, EFA_ADMIN_MODIFY_QP, &cmd, &modified), 0);
	assert_int_equal(query(&a, &resp), 0);
	assert_int_equal(resp.qkey, 5);
	assert_int_equal(resp.sq_psn, 6);
	assert_int_equal(resp.rnr_retry, 4);
	assert_int_equal(resp.sq_draining, 0);
	cmd.rnr_retry = 8;
	assert_int_not_equal(command(world, a.node, EFA_ADMIN_MODIFY_QP, &cmd, &modified), 0);
	cmd.modify_mask = 3; /* from a state that it is not in */
	cmd.cur_qp_state = EFA_ADMIN_QP_STATE_RTR;
	cmd.qp_state = EFA_ADMIN_QP_STATE_ERR;
	assert_int_not_equal(command(world, a.node, EFA_ADMIN_MODIFY_QP, &cmd, &modified), 0);
	a.qpn ^= 0x100;
	assert_int_equal(query(&a, &resp), EFA_ADMIN_ILLEGAL_PARAMETER);
	assert_int_equal(qp_to(&a, EFA_ADMIN_QP_STATE_RESET), EFA_ADMIN_ILLEGAL_PARAMETER);
}

static void an_error_flushes_both_queues(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	wqe = message(&a, &b, a.buffer, 10);
	post_send(&a, &wqe, 1); /* waits for a receive */
	post_send(&a, &wqe, 2);
	post_recv(&a, a.buffer, 10, 3);
	post_recv(&a, a.buffer, 10, 4);
	assert_int_equal(qp_to(&a, EFA_ADMIN_QP_STATE_ERR), 0);
	expect(&a, EFA_IO_SEND_QUEUE, 1, EFA_IO_COMP_STATUS_FLUSHED);
	expect(&a, EFA_IO_SEND_QUEUE, 2, EFA_IO_COMP_STATUS_FLUSHED);
	expect(&a, EFA_IO_RECV_QUEUE, 3, EFA_IO_COMP_STATUS_FLUSHED);
	expect(&a, EFA_IO_RECV_QUEUE, 4, EFA_IO_COMP_STATUS_FLUSHED);
	post_send(&a, &wqe, 5);
	expect(&a, EFA_IO_SEND_QUEUE, 5, EFA_IO_COMP_STATUS_FLUSHED);
	a.node->read_fault = (struct fault){ a.rq_base, 4096, -EIO };
	post_recv(&a, a.buffer, 10, 6); /* cannot be read: is lost */
	expect_nothing(&a);
}

static void a_reset_forgets_both_queues(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	wqe = message(&a, &b, a.buffer, 10);
	post_send(&a, &wqe, 1);
	post_recv(&a, a.buffer, 10, 3);
	assert_int_equal(qp_to(&a, EFA_ADMIN_QP_STATE_RESET), 0);
	a.sq_producer = a.rq_producer = 0;
	for (u32 s = EFA_ADMIN_QP_STATE_INIT; s <= EFA_ADMIN_QP_STATE_RTS; s++)
		assert_int_equal(qp_to(&a, s), 0);
	expect_nothing(&a);
	post_recv(&b, b.buffer, 10, 9);
	post_send(&a, &wqe, 2);
	expect(&a, EFA_IO_SEND_QUEUE, 2, EFA_IO_COMP_STATUS_OK);
	expect_nothing(&a);
}

static void a_queue_that_drains_ends_what_is_under_way(void **state)
{
	struct efa_admin_query_qp_resp resp;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	wqe = message(&a, &b, a.buffer, 10);
	post_send(&a, &wqe, 1);
	assert_int_equal(qp_to(&a, EFA_ADMIN_QP_STATE_SQD), 0);
	post_send(&a, &wqe, 2);
	assert_int_equal(query(&a, &resp), 0);
	assert_int_equal(resp.sq_draining, 1);
	post_recv(&b, b.buffer, 10, 3);
	post_recv(&b, b.buffer, 10, 4);
	expect(&a, EFA_IO_SEND_QUEUE, 1, EFA_IO_COMP_STATUS_OK);
	expect_nothing(&a);
	assert_int_equal(qp_to(&a, EFA_ADMIN_QP_STATE_RTS), 0);
	expect(&a, EFA_IO_SEND_QUEUE, 2, EFA_IO_COMP_STATUS_OK);
}

static void a_queue_pair_hears_only_when_ready(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	wqe = message(&a, &b, a.buffer, 10);
	assert_int_equal(qp_to(&b, EFA_ADMIN_QP_STATE_RESET), 0);
	assert_int_equal(qp_to(&b, EFA_ADMIN_QP_STATE_INIT), 0);
	post_recv(&b, b.buffer, 10, 3);
	post_send(&a, &wqe, 1);
	expect(&a, EFA_IO_SEND_QUEUE, 1, EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_DEST_QPN);
	assert_int_equal(qp_to(&b, EFA_ADMIN_QP_STATE_RTR), 0);
	post_send(&a, &wqe, 2);
	expect(&a, EFA_IO_SEND_QUEUE, 2, EFA_IO_COMP_STATUS_OK);
}

static struct efa_admin_create_qp_cmd qp_command(const struct endpoint *ep)
{
	return (struct efa_admin_create_qp_cmd){
		.pd = ep->pd,
		.qp_type = EFA_ADMIN_QP_TYPE_SRD,
		.send_cq_idx = ep->cqn,
		.recv_cq_idx = ep->cqn,
		.uar = ep->uar,
		.qp_alloc_size = { 512, 8, 128, 8 },
	};
}

static void queue_pairs_that_make_no_sense_are_refused(void **state)
{
	struct efa_admin_create_qp_resp resp;
	struct efa_admin_create_qp_cmd cmd;
	struct world *world = *state;
	struct endpoint a;

	endpoint_open(&a, world, &world->node[0], &srd);
#define REFUSED(field, value)                                                               \
	do {                                                                                \
		cmd = qp_command(&a);                                                       \
		cmd.field = value;                                                          \
		assert_int_equal(command(world, a.node, EFA_ADMIN_CREATE_QP, &cmd, &resp),  \
				 EFA_ADMIN_ILLEGAL_PARAMETER);                              \
	} while (0)
	REFUSED(qp_type, 3);
	REFUSED(flags, 1);
	REFUSED(pd, 0);
	REFUSED(uar, 0);
	REFUSED(send_cq_idx, 0x10000 + a.cqn);
	REFUSED(recv_cq_idx, 0);
	REFUSED(qp_alloc_size.send_queue_depth, 7);
	REFUSED(qp_alloc_size.send_queue_depth, 0);
	REFUSED(qp_alloc_size.send_queue_ring_size, 513);
	REFUSED(qp_alloc_size.send_queue_ring_size, 1 << 17);
	REFUSED(qp_alloc_size.recv_queue_ring_size, 100);
	REFUSED(qp_alloc_size.recv_queue_ring_size, 48);
	REFUSED(qp_alloc_size.recv_queue_ring_size, 1u << 31);
	cmd = qp_command(&a);
	for (int i = 1; i < 1 << EFA_QP_BITS; i++)
		assert_int_equal(command(world, a.node, EFA_ADMIN_CREATE_QP, &cmd, &resp), 0);
	assert_int_equal(command(world, a.node, EFA_ADMIN_CREATE_QP, &cmd, &resp),
			 EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE);
#undef REFUSED
}

static void a_queue_pair_may_lack_a_queue(void **state)
{
	struct efa_admin_create_qp_resp resp;
	struct efa_admin_create_qp_cmd cmd;
	struct world *world = *state;
	struct endpoint a;

	endpoint_open(&a, world, &world->node[0], &srd);
	cmd = qp_command(&a);
	memset(&cmd.qp_alloc_size, 0, sizeof(cmd.qp_alloc_size));
	assert_int_equal(command(world, a.node, EFA_ADMIN_CREATE_QP, &cmd, &resp), 0);
	write32(a.node, EFA_BAR_DB, resp.sq_db_offset, 1);
	write32(a.node, EFA_BAR_DB, resp.rq_db_offset, 1);
	work(world);
}

static void completion_queues_that_make_no_sense_are_refused(void **state)
{
	struct efa_admin_create_cq_cmd good = { .cq_caps_2 = 8, .sub_cq_depth = 16,
						.num_sub_cqs = EFA_SUB_CQS };
	struct efa_admin_create_cq_resp resp;
	struct efa_admin_create_cq_cmd cmd;
	struct world *world = *state;
	struct node *node = &world->node[0];

	good.uar = uar_alloc(world, node);
#define REFUSED(field, value)                                                               \
	do {                                                                                \
		cmd = good;                                                                 \
		cmd.field = value;                                                          \
		assert_int_equal(command(world, node, EFA_ADMIN_CREATE_CQ, &cmd, &resp),    \
				 EFA_ADMIN_ILLEGAL_PARAMETER);                              \
	} while (0)
	REFUSED(cq_caps_1, 1 << 6); /* virtual ring */
	REFUSED(cq_caps_1, 1 << 5); /* interrupts, but no such event queue */
	REFUSED(cq_caps_2, 8 | 1 << 6); /* 64-bit request ids */
	REFUSED(cq_caps_2, 4 | 1 << 5); /* no room for an address */
	REFUSED(cq_caps_2, 5);
	REFUSED(sub_cq_depth, 15);
	REFUSED(sub_cq_depth, 0);
	REFUSED(num_sub_cqs, 1);
	REFUSED(uar, 0);
	good.cq_caps_2 = 4;
	for (int i = 0; i < 1 << EFA_CQ_BITS; i++)
		assert_int_equal(command(world, node, EFA_ADMIN_CREATE_CQ, &good, &resp), 0);
	assert_int_equal(command(world, node, EFA_ADMIN_CREATE_CQ, &good, &resp),
			 EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE);
#undef REFUSED
}

static void event_queues_that_make_no_sense_are_refused(void **state)
{
	struct efa_admin_create_eq_cmd cmd = { .depth = 16, .msix_vec = 5, .caps = 4 };
	struct efa_admin_create_eq_resp resp;
	struct world *world = *state;
	struct node *node = &world->node[0];
	u64 base;

	assert_int_equal(command(world, node, EFA_ADMIN_CREATE_EQ, &cmd, &resp),
			 EFA_ADMIN_ILLEGAL_PARAMETER);
	for (int i = 1; i <= 4; i++)
		eq_make(world, node, i, &base);
	cmd.msix_vec = 1;
	assert_int_equal(command(world, node, EFA_ADMIN_CREATE_EQ, &cmd, &resp),
			 EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE);
}

static void arm(struct endpoint *ep, u32 consumed)
{
	write32(ep->node, EFA_BAR_DB, ep->cq_db, consumed | 1u << 31);
	work(ep->world);
}

static void arm_eq(struct endpoint *ep, u16 eqn)
{
	write32(ep->node, EFA_BAR_REGS, EFA_REGS_EQ_DB_OFF, eqn | 1u << 31);
	work(ep->world);
}

static void a_completion_interrupts_once_for_each_arming(void **state)
{
	struct endpoint_options options = { .has_eq = true };
	const struct efa_admin_eqe *eqes;
	struct world *world = *state;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;
	u64 base;

	options.eqn = eq_make(world, &world->node[0], 3, &base);
	endpoint_open(&a, world, &world->node[0], &options);
	endpoint_open(&b, world, &world->node[1], &srd);
	endpoints_connect(&a, &b);
	eqes = ram_at(a.node, base);
	wqe = rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 10);

	post_send(&a, &wqe, 1);
	assert_int_equal(a.node->irqs[3], 0); /* nothing is armed */
	arm_eq(&a, options.eqn);
	arm(&a, 1); /* the guest has seen that completion */
	assert_int_equal(a.node->irqs[3], 0);
	post_send(&a, &wqe, 2);
	post_send(&a, &wqe, 3);
	assert_int_equal(a.node->irqs[3], 1);
	assert_int_equal(eqes[0].common, 1);
	assert_int_equal(eqes[0].u.comp_event.cqn, a.cqn);
	assert_int_equal(eqes[1].common, 0);

	arm_eq(&a, options.eqn);
	arm(&a, 2); /* the guest has not seen the last one */
	assert_int_equal(a.node->irqs[3], 2);
	assert_int_equal(eqes[1].common, 1);

	arm(&a, 2); /* an event, while the event queue is not armed */
	assert_int_equal(a.node->irqs[3], 2);
	arm_eq(&a, options.eqn);
	assert_int_equal(a.node->irqs[3], 3);
}

static void a_doorbell_that_only_counts_does_not_disarm(void **state)
{
	struct endpoint_options options = { .has_eq = true };
	struct world *world = *state;
	struct endpoint a;
	struct efa_io_tx_wqe wqe;
	u64 base;

	options.eqn = eq_make(world, &world->node[0], 1, &base);
	endpoint_open(&a, world, &world->node[0], &options);
	a.ah = ah_make(world, a.node, a.pd, a.node);
	arm_eq(&a, options.eqn);
	write32(a.node, EFA_BAR_DB, a.cq_db, 1u << 31);
	write32(a.node, EFA_BAR_DB, a.cq_db, 0);
	work(world);
	write32(a.node, EFA_BAR_DB, a.cq_db, 0);
	wqe = rdma(&a, &a, EFA_IO_RDMA_WRITE, a.buffer, a.buffer, 0);
	post_send(&a, &wqe, 1);
	assert_int_equal(a.node->irqs[1], 1);
}

static void a_completion_ends_with_its_phase(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	wqe = rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 0);
	post_send(&a, &wqe, 1);
	assert_int_equal(a.node->last_write, a.cq_base);
	assert_int_equal(a.node->last_write_len, 8);
}

static void what_cannot_be_written_is_told_to_the_person(void **state)
{
	struct endpoint_options options = { .has_eq = true };
	struct world *world = *state;
	struct endpoint a;
	unsigned int events;
	struct efa_io_tx_wqe wqe;
	u64 base;

	options.eqn = eq_make(world, &world->node[0], 1, &base);
	endpoint_open(&a, world, &world->node[0], &options);
	a.ah = ah_make(world, a.node, a.pd, a.node);
	wqe = rdma(&a, &a, EFA_IO_RDMA_WRITE, a.buffer, a.buffer, 0);
	events = a.node->events;
	a.node->write_fault = (struct fault){ a.cq_base, 4096, -EIO };
	post_send(&a, &wqe, 1);
	assert_int_equal(a.node->events, events + 1);
	a.node->write_fault = (struct fault){ base, 4096, -EIO };
	arm(&a, 0);
	assert_int_equal(a.node->events, events + 2);
}

static void completions_of_a_destroyed_queue_are_lost(void **state)
{
	struct efa_admin_destroy_cq_resp resp;
	struct efa_admin_destroy_cq_cmd cmd;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	cmd.cq_idx = a.cqn;
	assert_int_equal(command(*state, a.node, EFA_ADMIN_DESTROY_CQ, &cmd, &resp), 0);
	wqe = rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 0);
	post_send(&a, &wqe, 1);
	expect_nothing(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_survive_every_wrap_of_the_rings),
		TEST(doorbell_counters_wrap_at_16_bits),
		TEST(receives_of_several_descriptors_wrap_around),
		TEST(doorbells_never_overrun_a_ring),
		TEST(states_change_as_the_driver_allows),
		TEST(attributes_are_kept),
		TEST(an_error_flushes_both_queues),
		TEST(a_reset_forgets_both_queues),
		TEST(a_queue_that_drains_ends_what_is_under_way),
		TEST(a_queue_pair_hears_only_when_ready),
		TEST(queue_pairs_that_make_no_sense_are_refused),
		TEST(a_queue_pair_may_lack_a_queue),
		TEST(completion_queues_that_make_no_sense_are_refused),
		TEST(event_queues_that_make_no_sense_are_refused),
		TEST(a_completion_interrupts_once_for_each_arming),
		TEST(a_doorbell_that_only_counts_does_not_disarm),
		TEST(a_completion_ends_with_its_phase),
		TEST(what_cannot_be_written_is_told_to_the_person),
		TEST(completions_of_a_destroyed_queue_are_lost),
	};

	return cmocka_run_group_tests_name("queues", tests, NULL, NULL);
}
