/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest without a virtual machine: its memory, a peer device's memory, and a
 * driver just large enough to take a device from reset to RDMA.
 */
#ifndef EFA_TESTS_FIXTURE_H
#define EFA_TESTS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core.h"
#include "wire.h"

/* Where things are on the bus. */
#define RAM_BASE  0x100000ull
#define RAM_SIZE  (32u << 20)
#define PEER_BASE 0x4000000000ull /* another device's memory, for peer-to-peer DMA */
#define PEER_SIZE (8u << 20)

#define AQ_DEPTH   32u
#define AENQ_DEPTH 16u
#define QKEY	   0x11111111u

/* DMA that overlaps a range may be made to fail. */
struct fault {
	u64 addr, len;
	int err;
};

struct node {
	struct efa_device *dev;
	u8 *ram, *peer, *llq;
	u64 allocated; /* bytes of RAM in use */
	struct fault read_fault, write_fault;
	bool store_is_late; /* store64() wants to be asked again later */
	unsigned int irqs[EFA_MSIX_VECTORS];
	unsigned int wakes, events;
	size_t reads, writes, longest; /* payload DMAs and the longest one in bytes */
	u64 last_write; /* address of the last DMA write */
	size_t last_write_len;

	u64 mmio_resp, aq, acq, aenq, response;
	u16 aq_producer, acq_consumer;
};

struct world {
	struct efa_fabric *fabric;
	struct node node[3];
};

/* A queue pair with all that it needs, and a region of memory to send from and receive to. */
struct endpoint {
	struct world *world;
	struct node *node;
	u16 pd, uar, cqn, qpn, ah;
	u32 key;
	u64 buffer; /* of BUFFER_SIZE bytes; in the region @key its address is the same */
	u64 cq_base, rq_base;
	u32 cq_db, sq_db, rq_db, llq;
	u32 sq_entries, sq_size, rq_entries, cq_entries;
	u16 sq_producer, rq_producer, consumed[EFA_SUB_CQS];
};

#define BUFFER_SIZE (1u << 20)

/* What endpoint_open() makes; zeros mean the defaults. */
struct endpoint_options {
	u8 type; /* SRD unless told */
	bool unsolicited_write_recv, wide, sets_src_addr;
	bool has_eq;
	u16 eqn;
	u32 sq_entries, rq_entries, cq_entries;
};

/* cmocka set-up and tear-down: *state is a struct world with three devices, ready for commands. */
int world_setup(void **state);
int world_teardown(void **state);
/* Lets the devices work until there is nothing left to do. */
void work(struct world *world);

void *ram_at(struct node *node, u64 addr); /* RAM or peer memory */
u64 ram_alloc(struct node *node, size_t len, size_t align);
void fill(struct node *node, u64 addr, size_t len, u8 seed);
void assert_filled(struct node *node, u64 addr, size_t len, u8 seed);

void write32(struct node *node, unsigned int bar, u64 off, u32 value);
u32 read_register(struct node *node, u16 off);
void node_reset(struct world *world, struct node *node);
void node_admin_init(struct node *node);

/* Runs one admin command; returns its status. */
int command_flags(struct world *world, struct node *node, u8 opcode, u8 flags,
		  const void *payload, size_t len, void *resp, size_t resp_len);
#define command(world, node, opcode, payload, resp) \
	command_flags(world, node, opcode, 0, payload, sizeof(*(payload)), resp, sizeof(*(resp)))

u16 pd_alloc(struct world *world, struct node *node);
u16 uar_alloc(struct world *world, struct node *node);
u16 eq_make(struct world *world, struct node *node, u8 vector, u64 *base);
u16 ah_make(struct world *world, struct node *node, u16 pd, const struct node *to);
/* A region of contiguous memory with pages of 4 KiB, at an iova that equals its address. */
u32 mr_make(struct world *world, struct node *node, u16 pd, u64 addr, u64 len, u8 access);

#define ALL_ACCESS (MR_LOCAL_WRITE | MR_REMOTE_WRITE | MR_REMOTE_READ)

void endpoint_open(struct endpoint *ep, struct world *world, struct node *node,
		   const struct endpoint_options *options);
int qp_to(struct endpoint *ep, u32 state);
int qp_modify_to(struct endpoint *ep, u32 mask, u32 state, u8 rnr_retry);
/* Two endpoints on two nodes, each with an address handle of the other. */
void endpoints_connect(struct endpoint *a, struct endpoint *b);
void connect_pair(struct world *world, struct endpoint *a, struct endpoint *b,
		  const struct endpoint_options *options);

/* Work requests to be changed before they are posted. */
struct efa_io_tx_wqe message(const struct endpoint *from, const struct endpoint *to, u64 addr,
			     u32 len);
struct efa_io_tx_wqe rdma(const struct endpoint *from, const struct endpoint *to, u8 op,
			  u64 local, u64 remote, u32 len);
void set_imm(struct efa_io_tx_wqe *wqe, u32 imm);
void post_send(struct endpoint *ep, const void *wqe, u16 req_id);
void ring_send(struct endpoint *ep);
void post_recv(struct endpoint *ep, u64 addr, u16 len, u16 req_id);
void post_recv_descriptor(struct endpoint *ep, u64 addr, u16 len, u16 req_id, bool first,
			  bool last);
void ring_recv(struct endpoint *ep);

/* The next completion, NULL when there is none.  Valid until the ring wraps around. */
const struct efa_io_rx_cdesc_ex *poll_cq(struct endpoint *ep, unsigned int sub);
/* Asserts that the next completion of a queue has this status and request, and returns it. */
const struct efa_io_rx_cdesc_ex *expect(struct endpoint *ep, enum efa_io_queue_type queue,
					u16 req_id, u8 status);
void expect_nothing(struct endpoint *ep);

#define TEST(function) cmocka_unit_test_setup_teardown(function, world_setup, world_teardown)

#endif
