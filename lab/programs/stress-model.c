// SPDX-License-Identifier: GPL-2.0-only
#include <err.h>
#include <stdlib.h>

#include "stress-model.h"

static void *new(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		err(1, NULL);
	return p;
}

/* After a reason to own @page has gone. */
static void page_check(struct model *model, struct page *page)
{
	struct folio *folio = page->folio;

	if (page->mappings || page->in_child || page->regions)
		return;
	free(page);
	if (!folio) {
		model->owned--;
	} else if (!--folio->pages) {
		model->owned -= LONG_RUN;
		free(folio);
	}
}

static void slot_discard(struct model *model, struct slot *slot)
{
	struct page *page = slot->page;

	if (!page)
		return;
	slot->page = NULL;
	page->mappings--;
	page_check(model, page);
}

static void slot_unmap(struct model *model, struct slot *slot)
{
	slot_discard(model, slot);
	*slot = (struct slot){};
}

/* VMAs of such memory are never merged. */
static void cut(struct model *model, unsigned int slot)
{
	if (slot < SLOTS)
		model->slot[slot].begins = true;
}

void model_map(struct model *model, struct run run, bool huge)
{
	struct folio *folio = huge ? new(sizeof(*folio)) : NULL;

	model_unmap(model, run);
	model->owned += run.n;
	if (huge)
		folio->pages = run.n;
	for (unsigned int i = 0; i < run.n; i++) {
		struct page *page = new(sizeof(*page));

		page->folio = folio;
		page->mappings = 1;
		model->slot[run.first + i] = (struct slot){
			.mapped = true,
			.prot = PROT_READ | PROT_WRITE,
			.page = page,
		};
	}
	cut(model, run.first);
	cut(model, run.first + run.n);
}

void model_unmap(struct model *model, struct run run)
{
	for (unsigned int i = 0; i < run.n; i++)
		slot_unmap(model, &model->slot[run.first + i]);
}

void model_discard(struct model *model, struct run run)
{
	for (unsigned int i = 0; i < run.n; i++)
		slot_discard(model, &model->slot[run.first + i]);
}

void model_protect(struct model *model, struct run run, int prot)
{
	const struct slot *slot = &model->slot[run.first];

	if (slot[0].prot != prot)
		cut(model, run.first);
	if (slot[run.n - 1].prot != prot)
		cut(model, run.first + run.n);
	for (unsigned int i = 0; i < run.n; i++)
		model->slot[run.first + i].prot = prot;
}

void model_move(struct model *model, struct run from, unsigned int to)
{
	model_unmap(model, (struct run){ to, from.n });
	for (unsigned int i = 0; i < from.n; i++) {
		model->slot[to + i] = model->slot[from.first + i];
		model->slot[from.first + i] = (struct slot){};
	}
	cut(model, to);
	cut(model, to + from.n);
}

void model_fork(struct model *model)
{
	for (unsigned int i = 0; i < SLOTS; i++) {
		struct page *page = model->slot[i].page;

		model->in_child[i] = page;
		if (page)
			page->in_child = true;
	}
	model->children = 1;
}

void model_reap(struct model *model)
{
	for (unsigned int i = 0; i < SLOTS; i++) {
		struct page *page = model->in_child[i];

		model->in_child[i] = NULL;
		if (!page)
			continue;
		page->in_child = false;
		page_check(model, page);
	}
	model->children = 0;
}

struct region *model_register(struct model *model, struct run run, uint64_t addr, bool writable)
{
	struct region *region = &model->region[model->regions++];

	*region = (struct region){ .writable = writable, .addr = addr, .pages = run.n };
	for (unsigned int i = 0; i < run.n; i++) {
		region->page[i] = model->slot[run.first + i].page;
		region->page[i]->regions++;
	}
	return region;
}

void model_deregister(struct model *model, struct region *region)
{
	for (unsigned int i = 0; i < region->pages; i++) {
		region->page[i]->regions--;
		page_check(model, region->page[i]);
	}
	*region = model->region[--model->regions];
}

struct run model_mapped(const struct model *model, struct run run)
{
	unsigned int n = 0;

	while (n < run.n && model->slot[run.first + n].mapped)
		n++;
	return (struct run){ run.first, n };
}

struct run model_vma(const struct model *model, struct run run)
{
	const struct slot *slot = &model->slot[run.first];
	unsigned int n = slot->mapped ? 1 : 0;

	while (n && n < run.n && slot[n].mapped && !slot[n].begins)
		n++;
	return (struct run){ run.first, n };
}

static bool allows(const struct slot *slot, int prot)
{
	return slot->page && (slot->prot & prot) == prot;
}

struct run model_usable(const struct model *model, struct run run, int prot)
{
	unsigned int n = 0;

	while (n < run.n && allows(&model->slot[run.first + n], prot))
		n++;
	return (struct run){ run.first, n };
}
