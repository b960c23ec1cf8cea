// SPDX-License-Identifier: GPL-2.0-only
/* The admin queue, its commands, and asynchronous events. */
#include <errno.h>

#include "fixture.h"
#include "mr.h"

static const struct endpoint_options srd;

static struct node *first(void **state)
{
	return &((struct world *)*state)->node[0];
}

static int get_feature(void **state, u8 feature, struct efa_admin_get_feature_resp *resp)
{
	struct efa_admin_get_feature_cmd cmd = { .feature_common.feature_id = feature };

	return command(*state, first(state), EFA_ADMIN_GET_FEATURE, &cmd, resp);
}

static void features_are_what_the_driver_needs(void **state)
{
	struct efa_admin_get_feature_resp resp;

	assert_int_equal(get_feature(state, EFA_ADMIN_DEVICE_ATTR, &resp), 0);
	assert_int_equal(resp.u.device_attr.db_bar, 4);
	assert_true(resp.u.device_attr.supported_features & 1 << EFA_ADMIN_EVENT_QUEUE_ATTR);
	assert_int_equal(get_feature(state, EFA_ADMIN_AENQ_CONFIG, &resp), 0);
	assert_int_equal(resp.u.aenq.supported_groups, 0x1e);
	assert_int_equal(get_feature(state, EFA_ADMIN_NETWORK_ATTR, &resp), 0);
	assert_int_equal(resp.u.network_attr.mtu, 8928);
	assert_int_equal(resp.u.network_attr.addr[0], 0xfe);
	assert_int_equal(get_feature(state, EFA_ADMIN_QUEUE_ATTR_1, &resp), 0);
	assert_int_equal(resp.u.queue_attr_1.sub_cqs_per_cq, EFA_SUB_CQS);
	assert_int_equal(get_feature(state, EFA_ADMIN_HW_HINTS, &resp), 0);
	assert_int_equal(resp.u.hw_hints.admin_completion_timeout, 0);
	assert_int_equal(get_feature(state, EFA_ADMIN_EVENT_QUEUE_ATTR, &resp), 0);
	assert_int_equal(resp.u.event_queue_attr.max_eq, 4);
	assert_int_equal(get_feature(state, EFA_ADMIN_QUEUE_ATTR_2, &resp),
			 EFA_ADMIN_UNSUPPORTED_OPCODE);
}

static int set_feature(void **state, u8 flags, const struct efa_admin_set_feature_cmd *cmd)
{
	struct efa_admin_set_feature_resp resp;

	return command_flags(*state, first(state), EFA_ADMIN_SET_FEATURE, flags, cmd,
			     sizeof(*cmd), &resp, sizeof(resp));
}

static void host_information_is_read_with_care(void **state)
{
	const u8 ctrl = EFA_ADMIN_AQ_COMMON_DESC_CTRL_DATA_MASK;
	struct efa_admin_set_feature_cmd cmd = {
		.feature_common.feature_id = EFA_ADMIN_HOST_INFO,
		.control_buffer.length = sizeof(struct efa_admin_host_info),
	};
	struct node *node = first(state);
	unsigned int events = node->events;
	u64 info = ram_alloc(node, sizeof(struct efa_admin_host_info), 64);

	memset(ram_at(node, info), 0x1b, sizeof(struct efa_admin_host_info));
	cmd.control_buffer.address.mem_addr_low = info;
	assert_int_equal(set_feature(state, ctrl, &cmd), 0);
	assert_int_equal(node->events, events + 1);
	assert_int_equal(set_feature(state, 0, &cmd), EFA_ADMIN_ILLEGAL_PARAMETER);
	cmd.control_buffer.length--;
	assert_int_equal(set_feature(state, ctrl, &cmd), EFA_ADMIN_ILLEGAL_PARAMETER);
	cmd.feature_common.feature_id = EFA_ADMIN_HW_HINTS;
	assert_int_equal(set_feature(state, ctrl, &cmd), EFA_ADMIN_UNSUPPORTED_OPCODE);
}

static void keep_alives_come_when_wanted_and_while_there_is_room(void **state)
{
	struct efa_admin_set_feature_cmd cmd = {
		.feature_common.feature_id = EFA_ADMIN_AENQ_CONFIG,
		.u.aenq.enabled_groups = 1 << EFA_ADMIN_KEEP_ALIVE,
	};
	struct node *node = first(state);
	struct efa_admin_aenq_entry *entries = ram_at(node, node->aenq);

	efa_device_keep_alive(node->dev);
	work(*state);
	assert_int_equal(entries[0].aenq_common_desc.flags, 0);

	assert_int_equal(set_feature(state, 0, &cmd), 0);
	for (u32 i = 0; i < AENQ_DEPTH + 5; i++) {
		efa_device_keep_alive(node->dev);
		work(*state);
	}
	for (u32 i = 0; i < AENQ_DEPTH; i++) {
		assert_int_equal(entries[i].aenq_common_desc.group, EFA_ADMIN_KEEP_ALIVE);
		assert_int_equal(entries[i].aenq_common_desc.flags, 1);
	}
	write32(node, EFA_BAR_REGS, EFA_REGS_AENQ_CONS_DB_OFF, AENQ_DEPTH);
	efa_device_keep_alive(node->dev);
	work(*state);
	assert_int_equal(entries[0].aenq_common_desc.flags, 0);
	node->write_fault = (struct fault){ node->aenq, 4096, -EIO };
	efa_device_keep_alive(node->dev);
	work(*state);
	cmd.u.aenq.enabled_groups = 1;
	assert_int_equal(set_feature(state, 0, &cmd), EFA_ADMIN_ILLEGAL_PARAMETER);
}

static void completions_interrupt_unless_the_driver_polls(void **state)
{
	struct node *node = first(state);
	unsigned int before = node->irqs[0];

	pd_alloc(*state, node);
	assert_int_equal(node->irqs[0], before + 1);
	write32(node, EFA_BAR_REGS, EFA_REGS_INTR_MASK_OFF, 1);
	pd_alloc(*state, node);
	assert_int_equal(node->irqs[0], before + 1);
}

static void unknown_commands_are_answered(void **state)
{
	u8 resp[64];

	assert_int_equal(command_flags(*state, first(state), 0, 0, "", 0, resp, 64),
			 EFA_ADMIN_BAD_OPCODE);
	assert_int_equal(command_flags(*state, first(state), 200, 0, "", 0, resp, 64),
			 EFA_ADMIN_BAD_OPCODE);
	assert_int_equal(command_flags(*state, first(state), EFA_ADMIN_ALLOC_MR, 0, "", 0, resp,
				       64), EFA_ADMIN_UNSUPPORTED_OPCODE);
	assert_int_equal(command_flags(*state, first(state), EFA_ADMIN_MAX_OPCODE, 0, "", 0,
				       resp, 64), EFA_ADMIN_UNSUPPORTED_OPCODE);
}

static void the_ring_wraps_around(void **state)
{
	for (int i = 0; i < 200; i++)
		pd_alloc(*state, first(state));
}

/* A dead admin queue: the guest sees it in DEV_STS, and a reset cures it. */
static void assert_failed(void **state)
{
	struct world *world = *state;
	struct node *node = first(state);

	work(world);
	assert_true(read_register(node, EFA_REGS_DEV_STS_OFF) &
		    EFA_REGS_DEV_STS_FATAL_ERROR_MASK);
	node->read_fault.err = node->write_fault.err = 0;
	node_reset(world, node);
	node_admin_init(node);
	pd_alloc(world, node);
}

static void a_broken_queue_stops_until_a_reset(void **state)
{
	struct node *node = first(state);

	write32(node, EFA_BAR_REGS, EFA_REGS_AQ_PROD_DB_OFF, 1); /* no command there */
	assert_failed(state);
	write32(node, EFA_BAR_REGS, EFA_REGS_AQ_PROD_DB_OFF, 1000); /* beyond the ring */
	assert_failed(state);
	node->read_fault = (struct fault){ node->aq, 4096, -EIO };
	write32(node, EFA_BAR_REGS, EFA_REGS_AQ_PROD_DB_OFF, 2);
	assert_failed(state);
	node->write_fault = (struct fault){ node->acq, 4096, -EIO };
	((struct efa_admin_aq_entry *)ram_at(node, node->aq))[1].aq_common_descriptor.flags = 1;
	write32(node, EFA_BAR_REGS, EFA_REGS_AQ_PROD_DB_OFF, 2);
	assert_failed(state);
}

static void queues_that_make_no_sense_are_not_set_up(void **state)
{
	struct world *world = *state;
	struct node *node = first(state);

	node_reset(world, node);
	write32(node, EFA_BAR_REGS, EFA_REGS_AQ_CAPS_OFF, 33 | 64 << 16);
	write32(node, EFA_BAR_REGS, EFA_REGS_ACQ_CAPS_OFF, 32 | 65 << 16);
	write32(node, EFA_BAR_REGS, EFA_REGS_AQ_PROD_DB_OFF, 1);
	work(world);
	assert_int_equal(node->dev->admin.aq.entries, 0);
	assert_int_equal(node->dev->admin.acq.entries, 0);
}

static void many_commands_take_turns(void **state)
{
	struct world *world = *state;
	struct node *node = first(state);
	struct efa_admin_aq_entry *aq = ram_at(node, node->aq);

	for (u32 i = 0; i < AQ_DEPTH; i++) {
		aq[i].aq_common_descriptor.opcode = EFA_ADMIN_ALLOC_UAR;
		aq[i].aq_common_descriptor.flags = 1;
	}
	write32(node, EFA_BAR_REGS, EFA_REGS_AQ_PROD_DB_OFF, AQ_DEPTH);
	assert_true(efa_fabric_work(world->fabric));
	assert_true(node->dev->uars.used < AQ_DEPTH);
	work(world);
	assert_int_equal(node->dev->uars.used, AQ_DEPTH);
}

static void objects_are_limited(void **state)
{
	struct efa_admin_create_ah_cmd ah = { .pd = pd_alloc(*state, first(state)) };
	struct node *node = first(state);
	u8 resp[64];

	for (int i = 1; i < 1 << EFA_PD_BITS; i++)
		pd_alloc(*state, node);
	assert_int_equal(command_flags(*state, node, EFA_ADMIN_ALLOC_PD, 0, "", 0, resp, 64),
			 EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE);
	for (int i = 0; i < 1 << EFA_UAR_BITS; i++)
		uar_alloc(*state, node);
	assert_int_equal(command_flags(*state, node, EFA_ADMIN_ALLOC_UAR, 0, "", 0, resp, 64),
			 EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE);
	for (int i = 0; i < 1 << EFA_AH_BITS; i++)
		ah_make(*state, node, ah.pd, node);
	assert_int_equal(command_flags(*state, node, EFA_ADMIN_CREATE_AH, 0, &ah, sizeof(ah), resp,
				       64), EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE);
}

static void objects_are_destroyed_once(void **state)
{
	static const u8 opcodes[] = { EFA_ADMIN_DEALLOC_PD, EFA_ADMIN_DEALLOC_UAR,
				      EFA_ADMIN_DESTROY_EQ, EFA_ADMIN_DESTROY_CQ };
	struct efa_admin_destroy_ah_cmd ah;
	struct world *world = *state;
	struct node *node = first(state);
	struct endpoint ep;
	u64 base;
	u16 handles[4];
	u8 resp[64];

	endpoint_open(&ep, world, node, &srd);
	handles[0] = ep.pd;
	handles[1] = ep.uar;
	handles[2] = eq_make(world, node, 1, &base);
	handles[3] = ep.cqn;
	ah.ah = ah_make(world, node, ep.pd, node);
	ah.pd = ep.pd + 1;
	assert_int_equal(command(world, node, EFA_ADMIN_DESTROY_AH, &ah, &resp),
			 EFA_ADMIN_ILLEGAL_PARAMETER);
	ah.pd = ep.pd;
	assert_int_equal(command(world, node, EFA_ADMIN_DESTROY_AH, &ah, &resp), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(command_flags(world, node, opcodes[i], 0, &handles[i], 2, resp,
					       64), 0);
		assert_int_equal(command_flags(world, node, opcodes[i], 0, &handles[i], 2, resp,
					       64), EFA_ADMIN_ILLEGAL_PARAMETER);
	}
	assert_int_equal(command(world, node, EFA_ADMIN_CREATE_AH,
				 &(struct efa_admin_create_ah_cmd){ .pd = ep.pd }, &resp),
			 EFA_ADMIN_ILLEGAL_PARAMETER);
}

static struct efa_admin_acq_get_stats_resp get_stats(struct world *world, struct node *node,
						     u8 type)
{
	struct efa_admin_aq_get_stats_cmd cmd = { .type = type };
	struct efa_admin_acq_get_stats_resp resp;

	assert_int_equal(command(world, node, EFA_ADMIN_GET_STATS, &cmd, &resp), 0);
	return resp;
}

static void counters_are_true(void **state)
{
	struct efa_admin_acq_get_stats_resp stats;
	struct world *world = *state;
	struct endpoint a, b;
	struct efa_io_tx_wqe wqe;

	connect_pair(world, &a, &b, &srd);
	post_recv(&b, b.buffer, 100, 1);
	wqe = message(&a, &b, a.buffer, 100);
	post_send(&a, &wqe, 1);
	wqe = rdma(&a, &b, EFA_IO_RDMA_WRITE, a.buffer, b.buffer, 10000);
	post_send(&a, &wqe, 2);
	wqe = rdma(&a, &b, EFA_IO_RDMA_READ, a.buffer, b.buffer, 20000);
	post_send(&a, &wqe, 3);
	wqe.data.rdma_req.remote_mem.rkey++;
	post_send(&a, &wqe, 4);

	stats = get_stats(world, a.node, EFA_ADMIN_GET_STATS_TYPE_BASIC);
	assert_int_equal(stats.u.basic_stats.tx_bytes, 10100);
	assert_int_equal(stats.u.basic_stats.tx_pkts, 3);
	assert_int_equal(stats.u.basic_stats.rx_bytes, 20000);
	stats = get_stats(world, a.node, EFA_ADMIN_GET_STATS_TYPE_MESSAGES);
	assert_int_equal(stats.u.messages_stats.send_bytes, 100);
	assert_int_equal(stats.u.messages_stats.send_wrs, 1);
	stats = get_stats(world, b.node, EFA_ADMIN_GET_STATS_TYPE_MESSAGES);
	assert_int_equal(stats.u.messages_stats.recv_bytes, 100);
	stats = get_stats(world, a.node, EFA_ADMIN_GET_STATS_TYPE_RDMA_READ);
	assert_int_equal(stats.u.rdma_read_stats.read_wrs, 2);
	assert_int_equal(stats.u.rdma_read_stats.read_wr_err, 1);
	assert_int_equal(stats.u.rdma_read_stats.read_bytes, 20000);
	stats = get_stats(world, b.node, EFA_ADMIN_GET_STATS_TYPE_RDMA_READ);
	assert_int_equal(stats.u.rdma_read_stats.read_resp_bytes, 20000);
	stats = get_stats(world, b.node, EFA_ADMIN_GET_STATS_TYPE_RDMA_WRITE);
	assert_int_equal(stats.u.rdma_write_stats.write_recv_bytes, 10000);
	stats = get_stats(world, b.node, EFA_ADMIN_GET_STATS_TYPE_NETWORK);
	assert_int_equal(stats.u.network_stats.retrans_pkts, 0);
}

static void unknown_counters_are_refused(void **state)
{
	struct efa_admin_aq_get_stats_cmd cmd = { .type = 5 };
	struct efa_admin_acq_get_stats_resp resp;

	assert_int_equal(command(*state, first(state), EFA_ADMIN_GET_STATS, &cmd, &resp),
			 EFA_ADMIN_ILLEGAL_PARAMETER);
	cmd.type = 0;
	cmd.scope = EFA_ADMIN_GET_STATS_SCOPE_QUEUE;
	assert_int_equal(command(*state, first(state), EFA_ADMIN_GET_STATS, &cmd, &resp),
			 EFA_ADMIN_ILLEGAL_PARAMETER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(features_are_what_the_driver_needs),
		TEST(host_information_is_read_with_care),
		TEST(keep_alives_come_when_wanted_and_while_there_is_room),
		TEST(completions_interrupt_unless_the_driver_polls),
		TEST(unknown_commands_are_answered),
		TEST(the_ring_wraps_around),
		TEST(a_broken_queue_stops_until_a_reset),
		TEST(queues_that_make_no_sense_are_not_set_up),
		TEST(many_commands_take_turns),
		TEST(objects_are_limited),
		TEST(objects_are_destroyed_once),
		TEST(counters_are_true),
		TEST(unknown_counters_are_refused),
	};

	return cmocka_run_group_tests_name("admin", tests, NULL, NULL);
}
