// SPDX-License-Identifier: GPL-2.0-only
/* What the guest sees from outside: configuration space, registers, reset. */
#include <errno.h>
#include <linux/pci_regs.h>

#include "fixture.h"

static u32 config_read32(struct node *node, u64 off)
{
	u32 value;

	assert_int_equal(efa_device_config_read(node->dev, off, &value, sizeof(value)), 0);
	return value;
}

static void config_write32(struct node *node, u64 off, u32 value)
{
	assert_int_equal(efa_device_config_write(node->dev, off, &value, sizeof(value)), 0);
}

static struct node *first(void **state)
{
	return &((struct world *)*state)->node[0];
}

static void configuration_space_names_the_device(void **state)
{
	struct node *node = first(state);

	assert_int_equal(config_read32(node, PCI_VENDOR_ID), 0xefa11d0f);
	assert_int_equal(config_read32(node, PCI_CLASS_REVISION) >> 8, 0x020000);
	config_write32(node, PCI_VENDOR_ID, 0);
	assert_int_equal(config_read32(node, PCI_VENDOR_ID), 0xefa11d0f);
}

static void bars_tell_their_sizes(void **state)
{
	static const struct {
		unsigned int bar;
		u32 size;
	} bars[] = { { 0, EFA_BAR_REGS_SIZE }, { 2, EFA_BAR_LLQ_SIZE }, { 4, EFA_BAR_DB_SIZE } };
	struct node *node = first(state);

	for (int i = 0; i < 3; i++) {
		u64 off = PCI_BASE_ADDRESS_0 + 4 * bars[i].bar;

		config_write32(node, off, ~0u);
		config_write32(node, off + 4, ~0u);
		assert_int_equal(config_read32(node, off) & ~0xfu, -bars[i].size);
		assert_int_equal(config_read32(node, off) & 0x7, PCI_BASE_ADDRESS_MEM_TYPE_64);
		assert_int_equal(config_read32(node, off + 4), ~0u);
	}
}

static void capabilities_are_pcie_and_msix(void **state)
{
	struct node *node = first(state);
	u8 cap = config_read32(node, PCI_CAPABILITY_LIST);

	assert_int_equal(config_read32(node, cap) & 0xff, PCI_CAP_ID_EXP);
	assert_int_equal(config_read32(node, cap) >> 16, 2);
	cap = config_read32(node, cap) >> 8;
	assert_int_equal(config_read32(node, cap) & 0xff, PCI_CAP_ID_MSIX);
	assert_int_equal((config_read32(node, cap) >> 16 & PCI_MSIX_FLAGS_QSIZE) + 1,
			 EFA_MSIX_VECTORS);
	assert_int_equal(config_read32(node, cap) >> 8 & 0xff, 0);
	config_write32(node, cap, ~0u);
	assert_true(config_read32(node, cap) >> 16 & PCI_MSIX_FLAGS_ENABLE);
}

static void accesses_outside_are_refused(void **state)
{
	struct node *node = first(state);
	u64 value = 0;

	assert_int_equal(efa_device_config_read(node->dev, 4093, &value, 4), -EINVAL);
	assert_int_equal(efa_device_config_write(node->dev, ~0ull, &value, 4), -EINVAL);
	assert_int_equal(efa_mmio_read(node->dev, 0, EFA_BAR_REGS_SIZE - 3, &value, 4), -EINVAL);
	assert_int_equal(efa_mmio_write(node->dev, 2, EFA_BAR_LLQ_SIZE, &value, 4), -EINVAL);
	assert_int_equal(efa_mmio_write(node->dev, 4, ~0ull, &value, 4), -EINVAL);
	assert_int_equal(efa_mmio_read(node->dev, 1, 0, &value, 4), -EINVAL);
}

static void writes_that_are_no_words_are_dropped(void **state)
{
	struct node *node = first(state);
	unsigned int events = node->events;
	u64 value = ~0ull;

	assert_int_equal(efa_mmio_write(node->dev, 0, EFA_REGS_DEV_CTL_OFF, &value, 2), 0);
	assert_int_equal(efa_mmio_write(node->dev, 0, EFA_REGS_DEV_CTL_OFF + 2, &value, 4), 0);
	assert_int_equal(efa_mmio_write(node->dev, 4, 4, &value, 8), 0);
	assert_int_equal(node->events, events + 3);
	/* Two words are fine, and what is no register holds nothing. */
	assert_int_equal(efa_mmio_write(node->dev, 0, EFA_REGS_ACQ_BASE_LO_OFF, &value, 8), 0);
	assert_int_equal(read_register(node, EFA_REGS_ACQ_BASE_HI_OFF), ~0u);
	write32(node, EFA_BAR_REGS, 0x2000, 1);
	assert_int_equal(read_register(node, 0x2000), ~0u);
	write32(node, EFA_BAR_DB, 8, 1); /* beside the doorbell */
	assert_int_equal(node->events, events + 3);
}

static void registers_can_also_be_read(void **state)
{
	struct node *node = first(state);
	u32 value = 1;

	assert_int_equal(efa_mmio_read(node->dev, 0, EFA_REGS_VERSION_OFF, &value, 4), 0);
	assert_int_equal(value, 1);
	assert_int_equal(read_register(node, EFA_REGS_VERSION_OFF), 1);
	assert_int_equal(read_register(node, EFA_REGS_CONTROLLER_VERSION_OFF), 1);
	value = read_register(node, EFA_REGS_CAPS_OFF);
	assert_int_equal(EFA_GET(&value, EFA_REGS_CAPS_DMA_ADDR_WIDTH), 48);
	assert_int_not_equal(EFA_GET(&value, EFA_REGS_CAPS_RESET_TIMEOUT), 0);
	assert_int_equal(efa_mmio_read(node->dev, 4, 0, &value, 4), 0);
	assert_int_equal(value, 0);
	value = 77;
	assert_int_equal(efa_mmio_write(node->dev, 2, 1001, &value, 4), 0);
	value = 0;
	assert_int_equal(efa_mmio_read(node->dev, 2, 1001, &value, 4), 0);
	assert_int_equal(value, 77);
}

static void a_response_that_cannot_be_stored_at_once_comes_later(void **state)
{
	struct node *node = first(state);
	u64 *response = ram_at(node, node->mmio_resp);
	unsigned int events;

	node->store_is_late = true;
	*response = 0;
	write32(node, EFA_BAR_REGS, EFA_REGS_MMIO_REG_READ_OFF, 5);
	assert_int_equal(*response, 0);
	work(*state);
	assert_int_equal(*response, 1ull << 32 | 5);

	events = node->events;
	node->write_fault = (struct fault){ node->mmio_resp, 8, -EIO };
	write32(node, EFA_BAR_REGS, EFA_REGS_MMIO_REG_READ_OFF, 6);
	work(*state);
	assert_int_equal(node->events, events + 1);
}

static void a_response_goes_to_whole_words_only(void **state)
{
	struct node *node = first(state);
	u64 *response = ram_at(node, node->mmio_resp);

	*response = 0;
	write32(node, EFA_BAR_REGS, EFA_REGS_MMIO_RESP_LO_OFF, node->mmio_resp + 4);
	write32(node, EFA_BAR_REGS, EFA_REGS_MMIO_REG_READ_OFF, 5);
	work(*state);
	assert_int_equal(*response, 0);
}

static void assert_forgotten(struct world *world, struct node *node)
{
	work(world);
	assert_int_equal(node->dev->pds.used, 0);
	assert_int_equal(node->dev->qps.used, 0);
	assert_int_equal(node->dev->mrs.used, 0);
	assert_int_equal(node->dev->admin.aq.entries, 0);
}

static void every_kind_of_reset_destroys_all_objects(void **state)
{
	const struct endpoint_options srd = { 0 };
	struct world *world = *state;
	struct node *node = first(state);
	u16 flr = PCI_EXP_DEVCTL_BCR_FLR;
	struct endpoint ep;
	u64 eq;

	endpoint_open(&ep, world, node, &srd);
	eq_make(world, node, 1, &eq);
	ah_make(world, node, ep.pd, node);
	node_reset(world, node);
	assert_forgotten(world, node);

	node_admin_init(node);
	endpoint_open(&ep, world, node, &srd);
	efa_device_reset(node->dev);
	assert_forgotten(world, node);

	node_reset(world, node);
	node_admin_init(node);
	endpoint_open(&ep, world, node, &srd);
	assert_int_equal(efa_device_config_write(node->dev, 0x40 + PCI_EXP_DEVCTL, &flr, 2), 0);
	assert_forgotten(world, node);
	assert_int_equal(config_read32(node, PCI_BASE_ADDRESS_2),
			 PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
}

static void handles_of_before_a_reset_find_nothing(void **state)
{
	struct efa_admin_dealloc_pd_resp resp;
	struct efa_admin_dealloc_pd_cmd cmd;
	struct world *world = *state;
	struct node *node = first(state);

	cmd.pd = pd_alloc(world, node);
	node_reset(world, node);
	node_admin_init(node);
	for (int i = 0; i < 256; i++)
		assert_int_not_equal(pd_alloc(world, node), cmd.pd);
	assert_int_equal(command(world, node, EFA_ADMIN_DEALLOC_PD, &cmd, &resp),
			 EFA_ADMIN_ILLEGAL_PARAMETER);
}

static void doorbells_of_queues_that_do_not_exist_do_nothing(void **state)
{
	struct node *node = first(state);

	for (u32 page = 0; page < EFA_BAR_DB_SIZE / EFA_DB_PAGE_SIZE; page++)
		write32(node, EFA_BAR_DB, page * EFA_DB_PAGE_SIZE, ~0u);
	for (u32 eqn = 0; eqn < 8; eqn++)
		write32(node, EFA_BAR_REGS, EFA_REGS_EQ_DB_OFF, 1u << 31 | eqn);
	work(*state);
	for (int i = 0; i < EFA_MSIX_VECTORS; i++)
		assert_int_equal(node->irqs[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(configuration_space_names_the_device),
		TEST(bars_tell_their_sizes),
		TEST(capabilities_are_pcie_and_msix),
		TEST(accesses_outside_are_refused),
		TEST(writes_that_are_no_words_are_dropped),
		TEST(registers_can_also_be_read),
		TEST(a_response_that_cannot_be_stored_at_once_comes_later),
		TEST(a_response_goes_to_whole_words_only),
		TEST(every_kind_of_reset_destroys_all_objects),
		TEST(handles_of_before_a_reset_find_nothing),
		TEST(doorbells_of_queues_that_do_not_exist_do_nothing),
	};

	return cmocka_run_group_tests_name("registers", tests, NULL, NULL);
}
