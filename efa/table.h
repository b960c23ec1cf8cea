/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tables of objects that the guest names by handle.  A handle is an index and
 * the generation of its slot, so that the handle of a destroyed object finds
 * nothing, also when its slot has a new owner.  Slots are given out in turn: a
 * handle comes back only after every other one was used.  A table that reuses
 * its handles does the opposite: it gives out the first free slot, and always
 * with the same handle.
 */
#ifndef EFA_TABLE_H
#define EFA_TABLE_H

#include <stdbool.h>
#include <stdint.h>

struct table_slot {
	void *object; /* NULL when free */
	uint32_t generation;
};

struct table {
	struct table_slot *slots;
	unsigned int index_bits, handle_bits;
	uint32_t next, used;
	bool reuse; /* the owner's to set, after table_init() */
};

/* Handles have @handle_bits bits, of which @index_bits choose the slot. -ENOMEM. */
int table_init(struct table *table, unsigned int index_bits, unsigned int handle_bits);
void table_fini(struct table *table);

/* Takes @object, which is not NULL, in; its handle is never 0 nor all ones. -ENOSPC when full. */
int table_add(struct table *table, void *object, uint32_t *handle);
/* The object, or NULL when there is none with this handle. */
void *table_get(const struct table *table, uint32_t handle);
/* Takes the object out and returns it, or NULL. */
void *table_remove(struct table *table, uint32_t handle);

static inline uint32_t table_size(const struct table *table)
{
	return 1u << table->index_bits;
}

static inline uint32_t table_index(const struct table *table, uint32_t handle)
{
	return handle & (table_size(table) - 1);
}

/* The object in slot @index, or NULL; @index may be out of range. */
static inline void *table_at(const struct table *table, uint32_t index)
{
	return index < table_size(table) ? table->slots[index].object : NULL;
}

/* The handle of the object in slot @index, which is in use. */
static inline uint32_t table_handle(const struct table *table, uint32_t index)
{
	return table->slots[index].generation << table->index_bits | index;
}

#endif
