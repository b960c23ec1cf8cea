/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What one worker owns: a stretch of its address space, page by page, and the pages of controller
 * memory that are mapped there, in a child or registered. A page is owned as long as any of these
 * holds. The model knows nothing of the kernel.
 */
#ifndef STRESS_MODEL_H
#define STRESS_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#define SLOTS	    1024 /* pages of address space */
#define MAX_RUN	    32	/* pages of most operations */
#define LONG_RUN    512 /* ... and of some: what one huge page maps, and begins where one can */
#define MAX_REGIONS 16

/* A huge page, which is owned as a whole as long as one of its pages is. */
struct folio {
	unsigned int pages;
};

/* Memory of the drive; what it holds is known by its tag. */
struct page {
	uint64_t tag;
	struct folio *folio; /* or NULL */
	bool in_child;
	unsigned int mappings; /* 0 or 1 */
	unsigned int regions;
};

/* A page of address space. */
struct slot {
	bool mapped;
	bool begins; /* a VMA */
	int prot;
	struct page *page; /* NULL: there is none (any more) */
};

struct region {
	void *handle; /* the caller's */
	bool writable;
	uint64_t addr; /* where it was when it was registered */
	unsigned int pages;
	struct page *page[LONG_RUN];
};

struct model {
	unsigned int owned; /* pages */
	struct slot slot[SLOTS];
	struct region region[MAX_REGIONS];
	unsigned int regions;
	struct page *in_child[SLOTS];
	unsigned int children; /* 0 or 1 */
};

/* Some slots one after the other. */
struct run {
	unsigned int first, n;
};

/* Ends what is in the run, and makes one new mapping with new pages, or one huge page, of it. */
void model_map(struct model *model, struct run run, bool huge);
void model_unmap(struct model *model, struct run run);
/* The address space stays, its pages are let go. */
void model_discard(struct model *model, struct run run);
void model_protect(struct model *model, struct run run, int prot);
/* @to has as many slots, none of them in @from. */
void model_move(struct model *model, struct run from, unsigned int to);

/* A child gets all that is mapped, and ends. */
void model_fork(struct model *model);
void model_reap(struct model *model);

/* The run's pages, which are all there. Returns the new region. */
struct region *model_register(struct model *model, struct run run, uint64_t addr, bool writable);
/* Another region may be at @region afterwards. */
void model_deregister(struct model *model, struct region *region);

/* The part of the run, from its first slot on, that is mapped; n may be 0. */
struct run model_mapped(const struct model *model, struct run run);
/* ... and is one VMA, as Linux before 6.17 wants it of what it moves. */
struct run model_vma(const struct model *model, struct run run);
/* The part in which every slot has a page and allows @prot. */
struct run model_usable(const struct model *model, struct run run, int prot);

#endif
