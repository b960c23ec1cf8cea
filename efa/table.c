// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>

#include "table.h"

int table_init(struct table *table, unsigned int index_bits, unsigned int handle_bits)
{
	*table = (struct table){ .index_bits = index_bits, .handle_bits = handle_bits };
	table->slots = calloc(table_size(table), sizeof(*table->slots));
	return table->slots ? 0 : -ENOMEM;
}

void table_fini(struct table *table)
{
	free(table->slots);
	table->slots = NULL;
}

/* Generations run from 1 to one less than the largest, so that no handle is 0 or all ones. */
static uint32_t next_generation(const struct table *table, uint32_t generation)
{
	uint32_t largest = (1u << (table->handle_bits - table->index_bits)) - 1;

	return generation + 1 < largest ? generation + 1 : 1;
}

int table_add(struct table *table, void *object, uint32_t *handle)
{
	uint32_t index = table->reuse ? 0 : table->next;
	struct table_slot *slot;

	if (table->used == table_size(table))
		return -ENOSPC;
	while (table->slots[index].object)
		index = table_index(table, index + 1);

	slot = &table->slots[index];
	slot->object = object;
	if (!table->reuse || !slot->generation)
		slot->generation = next_generation(table, slot->generation);
	table->next = table_index(table, index + 1);
	table->used++;
	*handle = table_handle(table, index);
	return 0;
}

void *table_get(const struct table *table, uint32_t handle)
{
	const struct table_slot *slot = &table->slots[table_index(table, handle)];

	return slot->generation == handle >> table->index_bits ? slot->object : NULL;
}

void *table_remove(struct table *table, uint32_t handle)
{
	void *object = table_get(table, handle);

	if (object) {
		table->slots[table_index(table, handle)].object = NULL;
		table->used--;
	}
	return object;
}
