/* SPDX-License-Identifier: GPL-2.0-only */
/* One queue pair and what it takes: SRD on an EFA device, RC on any other. */
#ifndef RDMA_H
#define RDMA_H

#include <infiniband/verbs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control.h"
#include "topology.h"

/* What one side tells the other: how to reach its queue pair and its memory. */
struct rdma_endpoint {
	bool srd;
	uint32_t qpn, psn, qkey, lid, mtu;
	union ibv_gid gid;
	uint64_t addr; /* the memory that the other side may read and write */
	uint32_t rkey; /* and its key */
};

struct rdma {
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct ibv_ah *ah; /* of the remote side; SRD only */
	uint8_t gid_index;
	bool grh;	      /* RC: RoCE, which routes by GID and not by LID */
	uint32_t max_message; /* bytes in one RDMA read or write */
	struct rdma_endpoint local, remote;
};

/*
 * Opens the device @name (NULL: the only one); @gid_index is -1 for a choice of ours. These return
 * 0, or -1 after an error message; rdma_close() is right after any of them.
 */
int rdma_open(struct rdma *rdma, const char *name, int gid_index);
int rdma_create_qp(struct rdma *rdma, unsigned int depth);
void rdma_close(struct rdma *rdma);

/* Endpoints as a line of text, both ways. Return 0, or -1 after an error message. */
int rdma_endpoint_say(int control, const struct rdma_endpoint *endpoint);
int rdma_endpoint_hear(int control, struct rdma_endpoint *endpoint);

/* Brings the queue pair up towards rdma->remote. Returns 0, or -1 after an error message. */
int rdma_connect(struct rdma *rdma);

/* A transfer between registered local memory and the remote memory, @len <= max_message bytes. */
struct rdma_transfer {
	enum ibv_wr_opcode opcode; /* IBV_WR_RDMA_READ or IBV_WR_RDMA_WRITE */
	uint64_t id;		   /* comes back with the completion */
	void *local;
	uint32_t lkey;
	uint32_t len;
	uint64_t remote;
};

/* Starts it. Returns 0, or -1 after an error message. */
int rdma_post(struct rdma *rdma, const struct rdma_transfer *transfer);

/*
 * Waits at most @timeout seconds for any one transfer to end and gives its completion; SRD finishes
 * them in any order. Returns 0 however the transfer went, or -1 after an error message.
 */
int rdma_completion(struct rdma *rdma, unsigned int timeout, struct ibv_wc *wc);

/*
 * Likewise for one to end well, and gives its @id. Returns 0, or -1 after an error message.
 */
int rdma_wait(struct rdma *rdma, unsigned int timeout, uint64_t *id);

/* The PCI device behind an RDMA device. Returns 0, or -1 (silently) without one, as for rxe. */
int rdma_pci_path(const char *name, struct pci_path *pci);

#endif
