// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "mr.h"

/*
 * An indirect page list is a chain of chunks.  A chunk holds addresses of
 * 4 KiB blocks of page addresses, and ends with the next chunk's length and
 * address (pbl_chunk_list_create() in the driver's efa_verbs.c).
 */
#define CHUNK_SIZE  4096u
#define CHUNK_TAIL  ((u32)sizeof(struct efa_admin_ctrl_buff_info))
#define BLOCK_PAGES 512u

static bool read_direct(struct efa_device *dev, struct efa_admin_ctrl_buff_info list,
			struct mr *mr)
{
	u64 len = mr->pages * sizeof(u64);
	size_t part;

	if (list.length < len)
		return false;
	for (u64 done = 0; done < len; done += part) {
		part = len - done < EFA_DMA_SIZE ? len - done : EFA_DMA_SIZE;
		if (device_read(dev, EFA_DMA_ADMIN, bus_address(list.address) + done,
				(u8 *)mr->page + done, part))
			return false;
	}
	return true;
}

/* Reads the blocks of one chunk; @done counts pages. */
static bool read_blocks(struct efa_device *dev, const u64 *blocks, u32 count, struct mr *mr,
			u32 *done)
{
	for (u32 i = 0; i < count && *done < mr->pages; i++) {
		u32 left = mr->pages - *done;
		u32 pages = left < BLOCK_PAGES ? left : BLOCK_PAGES;

		if (device_read(dev, EFA_DMA_ADMIN, blocks[i], &mr->page[*done],
				pages * sizeof(u64)))
			return false;
		*done += pages;
	}
	return true;
}

/* Ends, since each chunk tells at least one more page. */
static bool read_indirect(struct efa_device *dev, struct efa_admin_ctrl_buff_info next,
			  struct mr *mr)
{
	u64 chunk[CHUNK_SIZE / sizeof(u64)];

	for (u32 done = 0; done < mr->pages;) {
		u32 len = next.length - CHUNK_TAIL;

		if (next.length <= CHUNK_TAIL || next.length > CHUNK_SIZE || len % sizeof(u64))
			return false;
		if (device_read(dev, EFA_DMA_ADMIN, bus_address(next.address), chunk, next.length))
			return false;
		if (!read_blocks(dev, chunk, len / sizeof(u64), mr, &done))
			return false;
		memcpy(&next, (u8 *)chunk + len, sizeof(next));
	}
	return true;
}

static bool read_pages(struct efa_device *dev, const struct efa_admin_reg_mr_cmd *cmd,
		       enum pbl pbl, struct mr *mr)
{
	switch (pbl) {
	case PBL_DIRECT:
		return read_direct(dev, cmd->pbl.pbl, mr);
	case PBL_INDIRECT:
		return read_indirect(dev, cmd->pbl.pbl, mr);
	default:
		if (mr->pages * sizeof(u64) > sizeof(cmd->pbl.inline_pbl_array))
			return false;
		memcpy(mr->page, cmd->pbl.inline_pbl_array, mr->pages * sizeof(u64));
		return true;
	}
}

static bool pages_are_aligned(const struct mr *mr)
{
	for (u32 i = 0; i < mr->pages; i++)
		if (mr->page[i] & GENMASK(mr->shift - 1, 0) || mr->page[i] >> EFA_ADDRESS_BITS)
			return false;
	return true;
}

/* The number of pages, which the driver leaves out; 0 when the command makes no sense. */
static u64 count_pages(const struct efa_admin_reg_mr_cmd *cmd)
{
	u8 shift = EFA_GET(&cmd->flags, EFA_ADMIN_REG_MR_CMD_PHYS_PAGE_SIZE_SHIFT);
	u64 pages;

	if (shift < EFA_PAGE_SHIFT_MIN || shift > EFA_PAGE_SHIFT_MAX ||
	    EFA_GET(&cmd->flags, EFA_ADMIN_REG_MR_CMD_MEM_ADDR_PHY_MODE_EN))
		return 0;
	if (!cmd->mr_length || cmd->mr_length >> EFA_ADDRESS_BITS ||
	    cmd->iova + cmd->mr_length < cmd->iova)
		return 0;

	pages = ((cmd->iova & GENMASK(shift - 1, 0)) + cmd->mr_length + BIT(shift) - 1) >> shift;
	return cmd->page_num && cmd->page_num != pages ? 0 : pages;
}

enum efa_admin_aq_completion_status mr_register(struct efa_device *dev,
						const struct efa_admin_reg_mr_cmd *cmd,
						enum pbl pbl, u32 *key)
{
	u64 pages = count_pages(cmd);
	struct mr *mr;

	if (!pages || !table_get(&dev->pds, cmd->pd))
		return EFA_ADMIN_ILLEGAL_PARAMETER;
	if (pages > EFA_MAX_MR_PAGES || dev->mr_pages + pages > EFA_ALL_MR_PAGES)
		return EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE;
	mr = malloc(sizeof(*mr) + pages * sizeof(u64));
	if (!mr)
		return EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE;
	*mr = (struct mr){
		.pd = cmd->pd,
		.access = cmd->permissions,
		.shift = EFA_GET(&cmd->flags, EFA_ADMIN_REG_MR_CMD_PHYS_PAGE_SIZE_SHIFT),
		.iova = cmd->iova,
		.len = cmd->mr_length,
		.pages = pages,
	};
	if (!read_pages(dev, cmd, pbl, mr) || !pages_are_aligned(mr)) {
		free(mr);
		return EFA_ADMIN_ILLEGAL_PARAMETER;
	}
	if (table_add(&dev->mrs, mr, key)) {
		free(mr);
		return EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE;
	}
	dev->mr_pages += pages;
	return EFA_ADMIN_SUCCESS;
}

bool mr_deregister(struct efa_device *dev, u32 key)
{
	struct mr *mr = table_remove(&dev->mrs, key);

	if (!mr)
		return false;
	dev->mr_pages -= mr->pages;
	free(mr);
	return true;
}

const struct mr *mr_find(const struct efa_device *dev, u32 key, u16 pd, u8 access, u64 addr,
			 u32 len)
{
	const struct mr *mr = table_get(&dev->mrs, key);
	u64 offset;

	if (!mr || mr->pd != pd || (mr->access & access) != access)
		return NULL;
	offset = addr - mr->iova;
	return offset <= mr->len && len <= mr->len - offset ? mr : NULL;
}

u64 mr_translate(const struct mr *mr, u64 addr, size_t *len)
{
	u64 size = BIT(mr->shift);
	u64 offset = addr - (mr->iova & ~(size - 1));
	u64 index = offset >> mr->shift;
	size_t contiguous = size - (offset & (size - 1));
	u64 bus = mr->page[index] + (offset & (size - 1));

	while (contiguous < *len && mr->page[index + 1] == mr->page[index] + size) {
		contiguous += size;
		index++;
	}
	if (contiguous < *len)
		*len = contiguous;
	return bus;
}
