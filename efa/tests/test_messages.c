// SPDX-License-Identifier: GPL-2.0-only
/* Sends and receives, reliable (SRD) and not (UD). */
#include "fixture.h"
#include "mr.h"

static const struct endpoint_options srd, ud = { .type = EFA_ADMIN_QP_TYPE_UD };
static const struct endpoint_options wide = { .wide = true };

static void a_message_arrives_with_its_bytes(void **state)
{
	const struct efa_io_rx_cdesc_ex *cqe;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	fill(a.node, a.buffer + 3, EFA_MTU, 1);
	post_recv(&b, b.buffer + 5, EFA_MTU, 7);
	wqe = message(&a, &b, a.buffer + 3, EFA_MTU);
	post_send(&a, &wqe, 9);

	expect(&a, EFA_IO_SEND_QUEUE, 9, EFA_IO_COMP_STATUS_OK);
	cqe = expect(&b, EFA_IO_RECV_QUEUE, 7, EFA_IO_COMP_STATUS_OK);
	assert_int_equal(cqe->base.length, EFA_MTU);
	assert_int_equal(cqe->base.src_qp_num, a.qpn);
	assert_int_equal(cqe->base.ah, b.ah);
	assert_int_equal(EFA_GET(&cqe->base.common.flags, EFA_IO_CDESC_COMMON_HAS_IMM), 0);
	assert_filled(b.node, b.buffer + 5, EFA_MTU, 1);
	expect_nothing(&a);
	expect_nothing(&b);
}

static void immediate_data_arrives(void **state)
{
	const struct efa_io_rx_cdesc_ex *cqe;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	post_recv(&b, b.buffer, 64, 1);
	wqe = message(&a, &b, a.buffer, 0);
	set_imm(&wqe, 0xdeadbeef);
	post_send(&a, &wqe, 2);
	cqe = expect(&b, EFA_IO_RECV_QUEUE, 1, EFA_IO_COMP_STATUS_OK);
	assert_int_equal(EFA_GET(&cqe->base.common.flags, EFA_IO_CDESC_COMMON_HAS_IMM), 1);
	assert_int_equal(cqe->base.imm, 0xdeadbeef);
	assert_int_equal(cqe->base.length, 0);
}

static void several_segments_are_gathered_and_scattered(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	fill(a.node, a.buffer, 100, 3);
	memcpy(ram_at(a.node, a.buffer + 1000), ram_at(a.node, a.buffer + 60), 40);
	post_recv_descriptor(&b, b.buffer, 10, 1, true, false);
	post_recv_descriptor(&b, b.buffer + 10, 0, 1, false, false);
	post_recv_descriptor(&b, b.buffer + 10, 200, 1, false, true);
	ring_recv(&b);
	wqe = message(&a, &b, a.buffer, 60);
	wqe.meta.length = 2;
	wqe.data.sgl[1] = wqe.data.sgl[0];
	wqe.data.sgl[1].length = 40;
	wqe.data.sgl[1].buf_addr_lo += 1000;
	post_send(&a, &wqe, 2);
	expect(&a, EFA_IO_SEND_QUEUE, 2, EFA_IO_COMP_STATUS_OK);
	assert_int_equal(expect(&b, EFA_IO_RECV_QUEUE, 1, 0)->base.length, 100);
	assert_filled(b.node, b.buffer, 100, 3);
}

static void send_inline(struct endpoint *a, struct endpoint *b, u16 len, u8 status)
{
	u8 entry[EFA_SQ_WIDE_ENTRY_SIZE] = { 0 };
	struct efa_io_tx_wqe wqe = message(a, b, 0, 0);

	wqe.meta.ctrl1 |= EFA_IO_TX_META_DESC_INLINE_MSG_MASK;
	wqe.meta.length = len;
	memcpy(entry, &wqe, sizeof(wqe.meta));
	fill(a->node, a->buffer, 96, 5);
	memcpy(entry + sizeof(wqe.meta), ram_at(a->node, a->buffer), 96);
	post_recv(b, b->buffer, 200, 1);
	post_send(a, entry, 2);
	expect(a, EFA_IO_SEND_QUEUE, 2, status);
	if (status)
		return;
	assert_int_equal(expect(b, EFA_IO_RECV_QUEUE, 1, 0)->base.length, len);
	assert_filled(b->node, b->buffer, len, 5);
}

static void inline_data_needs_no_region(void **state)
{
	struct endpoint a, b;

	connect_pair(*state, &a, &b, &srd);
	send_inline(&a, &b, 32, EFA_IO_COMP_STATUS_OK);
	send_inline(&a, &b, 33, EFA_IO_COMP_STATUS_LOCAL_ERROR_BAD_LENGTH);
}

static void a_wide_entry_holds_more_inline_data(void **state)
{
	struct endpoint a, b;

	connect_pair(*state, &a, &b, &wide);
	send_inline(&a, &b, 80, EFA_IO_COMP_STATUS_OK);
	send_inline(&a, &b, 81, EFA_IO_COMP_STATUS_LOCAL_ERROR_BAD_LENGTH);
}

static void a_send_waits_until_a_receive_is_posted(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	fill(a.node, a.buffer, 100, 9);
	wqe = message(&a, &b, a.buffer, 100);
	post_send(&a, &wqe, 1);
	work(*state);
	expect_nothing(&a);
	post_recv(&b, b.buffer, 100, 2);
	expect(&a, EFA_IO_SEND_QUEUE, 1, EFA_IO_COMP_STATUS_OK);
	expect(&b, EFA_IO_RECV_QUEUE, 2, EFA_IO_COMP_STATUS_OK);
	assert_filled(b.node, b.buffer, 100, 9);
}

static void a_send_without_retries_tells_that_the_receiver_is_not_ready(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	assert_int_equal(qp_modify_to(&a, EFA_ADMIN_MODIFY_QP_CMD_RNR_RETRY_MASK, 0, 3), 0);
	wqe = message(&a, &b, a.buffer, 100);
	post_send(&a, &wqe, 1);
	expect(&a, EFA_IO_SEND_QUEUE, 1, EFA_IO_COMP_STATUS_REMOTE_ERROR_RNR);
}

static void a_waiting_send_fails_when_its_receiver_goes(void **state)
{
	struct efa_admin_destroy_qp_cmd cmd;
	struct efa_admin_destroy_qp_resp resp;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	wqe = message(&a, &b, a.buffer, 100);
	post_send(&a, &wqe, 1);
	cmd.qp_handle = b.qpn;
	assert_int_equal(command(*state, b.node, EFA_ADMIN_DESTROY_QP, &cmd, &resp), 0);
	expect(&a, EFA_IO_SEND_QUEUE, 1, EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_DEST_QPN);
}

static void a_receive_that_is_too_short_fails_on_both_sides(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	post_recv(&b, b.buffer, 99, 1);
	wqe = message(&a, &b, a.buffer, 100);
	post_send(&a, &wqe, 2);
	expect(&a, EFA_IO_SEND_QUEUE, 2, EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_LENGTH);
	expect(&b, EFA_IO_RECV_QUEUE, 1, EFA_IO_COMP_STATUS_LOCAL_ERROR_BAD_LENGTH);
}

static void a_receive_with_a_bad_key_fails_on_both_sides(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	post_recv(&b, b.buffer + BUFFER_SIZE - 10, 100, 1);
	wqe = message(&a, &b, a.buffer, 100);
	post_send(&a, &wqe, 2);
	expect(&a, EFA_IO_SEND_QUEUE, 2, EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_STATUS);
	expect(&b, EFA_IO_RECV_QUEUE, 1, EFA_IO_COMP_STATUS_LOCAL_ERROR_INVALID_LKEY);
}

static void a_receive_needs_write_access(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	b.key = mr_make(*state, b.node, b.pd, b.buffer, 4096, MR_REMOTE_WRITE);
	post_recv(&b, b.buffer, 100, 1);
	wqe = message(&a, &b, a.buffer, 100);
	post_send(&a, &wqe, 2);
	expect(&b, EFA_IO_RECV_QUEUE, 1, EFA_IO_COMP_STATUS_LOCAL_ERROR_INVALID_LKEY);
}

static void descriptors_that_make_no_request_fail_on_both_sides(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	wqe = message(&a, &b, a.buffer, 10);
	post_recv_descriptor(&b, b.buffer, 100, 1, false, true); /* has no beginning */
	post_recv_descriptor(&b, b.buffer, 100, 2, true, false); /* has no end */
	ring_recv(&b);
	post_send(&a, &wqe, 3);
	post_send(&a, &wqe, 4);
	expect(&a, EFA_IO_SEND_QUEUE, 3, EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_STATUS);
	expect(&a, EFA_IO_SEND_QUEUE, 4, EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_STATUS);
	expect(&b, EFA_IO_RECV_QUEUE, 1, EFA_IO_COMP_STATUS_LOCAL_ERROR_QP_INTERNAL_ERROR);
	expect(&b, EFA_IO_RECV_QUEUE, 2, EFA_IO_COMP_STATUS_LOCAL_ERROR_QP_INTERNAL_ERROR);
}

static void expect_send_error(struct endpoint *a, struct efa_io_tx_wqe wqe, u8 status)
{
	post_send(a, &wqe, 77);
	expect(a, EFA_IO_SEND_QUEUE, 77, status);
}

static void requests_that_make_no_sense_fail(void **state)
{
	struct efa_io_tx_wqe good, wqe;
	struct endpoint a, b;

	connect_pair(*state, &a, &b, &srd);
	post_recv(&b, b.buffer, 100, 1);
	good = message(&a, &b, a.buffer, 100);

	wqe = good;
	wqe.meta.length = 3;
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_LOCAL_ERROR_BAD_LENGTH);
	wqe = good;
	wqe.meta.length = 2;
	wqe.data.sgl[0].length = wqe.data.sgl[1].length = ~0u;
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_LOCAL_ERROR_BAD_LENGTH);
	wqe = message(&a, &b, a.buffer, EFA_MTU + 1);
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_LOCAL_ERROR_BAD_LENGTH);
	wqe = good;
	wqe.meta.ctrl1 |= EFA_IO_TX_META_DESC_META_EXTENSION_MASK;
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_LOCAL_ERROR_UNSUPPORTED_OP);
	wqe = good;
	wqe.meta.ctrl1 |= EFA_IO_FAST_REG;
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_LOCAL_ERROR_UNSUPPORTED_OP);
	wqe = good;
	wqe.meta.ah++;
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_LOCAL_ERROR_INVALID_AH);
	wqe = good;
	wqe.data.sgl[0].lkey++;
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_LOCAL_ERROR_INVALID_LKEY);
	wqe = good;
	wqe.meta.dest_qp_num++;
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_DEST_QPN);
	wqe = good;
	wqe.meta.qkey++;
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_STATUS);
	assert_null(poll_cq(&b, 1));
}

static void an_unsignalled_send_is_silent_unless_it_fails(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	post_recv(&b, b.buffer, 100, 1);
	wqe = message(&a, &b, a.buffer, 100);
	wqe.meta.ctrl2 &= ~EFA_IO_TX_META_DESC_COMP_REQ_MASK;
	post_send(&a, &wqe, 2);
	expect_nothing(&a);
	expect(&b, EFA_IO_RECV_QUEUE, 1, EFA_IO_COMP_STATUS_OK);
	wqe.meta.dest_qp_num++;
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_DEST_QPN);
}

static void dma_errors_are_told_to_the_side_they_are_not_of(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &srd);
	wqe = message(&a, &b, a.buffer, 100);
	post_recv(&b, b.buffer, 100, 1);
	a.node->read_fault = (struct fault){ a.buffer, 1, -5 };
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_LOCAL_ERROR_QP_INTERNAL_ERROR);
	expect_nothing(&b);

	a.node->read_fault.err = 0;
	b.node->write_fault = (struct fault){ b.buffer + 99, 1, -5 };
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_REMOTE_ERROR_ABORT);
	expect(&b, EFA_IO_RECV_QUEUE, 1, EFA_IO_COMP_STATUS_LOCAL_ERROR_QP_INTERNAL_ERROR);

	b.node->read_fault = (struct fault){ b.rq_base, 4096, -5 };
	post_recv(&b, b.buffer, 100, 2);
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_REMOTE_ERROR_ABORT);
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_DEST_QPN);
}

static void a_datagram_arrives_or_is_lost_but_never_fails(void **state)
{
	const struct efa_io_rx_cdesc_ex *cqe;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &ud);
	fill(a.node, a.buffer, 100, 2);
	wqe = message(&a, &b, a.buffer, 100);
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_OK); /* nothing posted */
	assert_int_equal(b.node->dev->stats.basic.rx_drops, 1);
	post_recv(&b, b.buffer, EFA_GRH_SIZE + 99, 1);
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_OK); /* too short */
	assert_int_equal(b.node->dev->stats.basic.rx_drops, 2);
	wqe.meta.qkey++;
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_OK);
	assert_int_equal(b.node->dev->stats.basic.qkey_viol, 1);
	expect_nothing(&b);

	wqe = message(&a, &b, a.buffer, 99);
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_OK);
	cqe = expect(&b, EFA_IO_RECV_QUEUE, 1, EFA_IO_COMP_STATUS_OK);
	assert_int_equal(cqe->base.length, EFA_GRH_SIZE + 99);
	assert_filled(b.node, b.buffer + EFA_GRH_SIZE, 99, 2);
}

static void a_datagram_queue_pair_knows_no_rdma(void **state)
{
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(*state, &a, &b, &ud);
	wqe = rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 10);
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_LOCAL_ERROR_UNSUPPORTED_OP);
	a.node->read_fault = (struct fault){ a.buffer, 1, -5 };
	post_recv(&b, b.buffer, 100, 1);
	wqe = message(&a, &b, a.buffer, 10);
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_LOCAL_ERROR_QP_INTERNAL_ERROR);
}

static void kinds_of_queue_pairs_do_not_hear_each_other(void **state)
{
	struct world *world = *state;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	endpoint_open(&a, world, &world->node[0], &srd);
	endpoint_open(&b, world, &world->node[1], &ud);
	endpoints_connect(&a, &b);
	wqe = message(&a, &b, a.buffer, 10);
	expect_send_error(&a, wqe, EFA_IO_COMP_STATUS_REMOTE_ERROR_BAD_DEST_QPN);
}

static void an_unknown_sender_tells_its_address(void **state)
{
	const struct endpoint_options with_address = { .sets_src_addr = true };
	const struct efa_io_rx_cdesc_ex *cqe;
	struct world *world = *state;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	endpoint_open(&a, world, &world->node[0], &srd);
	endpoint_open(&b, world, &world->node[1], &with_address);
	ah_make(world, b.node, b.pd, &world->node[2]);
	a.ah = ah_make(world, a.node, a.pd, b.node);
	post_recv(&b, b.buffer, 100, 1);
	wqe = message(&a, &b, a.buffer, 10);
	post_send(&a, &wqe, 2);
	cqe = expect(&b, EFA_IO_RECV_QUEUE, 1, EFA_IO_COMP_STATUS_OK);
	assert_int_equal(cqe->base.ah, 0xffff);
	assert_memory_equal(cqe->u.src_addr, a.node->dev->gid, EFA_GID_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_message_arrives_with_its_bytes),
		TEST(immediate_data_arrives),
		TEST(several_segments_are_gathered_and_scattered),
		TEST(inline_data_needs_no_region),
		TEST(a_wide_entry_holds_more_inline_data),
		TEST(a_send_waits_until_a_receive_is_posted),
		TEST(a_send_without_retries_tells_that_the_receiver_is_not_ready),
		TEST(a_waiting_send_fails_when_its_receiver_goes),
		TEST(a_receive_that_is_too_short_fails_on_both_sides),
		TEST(a_receive_with_a_bad_key_fails_on_both_sides),
		TEST(a_receive_needs_write_access),
		TEST(descriptors_that_make_no_request_fail_on_both_sides),
		TEST(requests_that_make_no_sense_fail),
		TEST(an_unsignalled_send_is_silent_unless_it_fails),
		TEST(dma_errors_are_told_to_the_side_they_are_not_of),
		TEST(a_datagram_arrives_or_is_lost_but_never_fails),
		TEST(a_datagram_queue_pair_knows_no_rdma),
		TEST(kinds_of_queue_pairs_do_not_hear_each_other),
		TEST(an_unknown_sender_tells_its_address),
	};

	return cmocka_run_group_tests_name("messages", tests, NULL, NULL);
}
