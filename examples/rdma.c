// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <infiniband/efadv.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "rdma.h"
#include "report.h"

#define PORT 1

static uint32_t random_number(uint32_t mask)
{
	uint32_t number = 0;

	/* A guess less well made does no harm: these keep strays of an earlier run away. */
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		number = time(NULL);
	return number & mask;
}

static struct ibv_context *open_device(const char *name)
{
	struct ibv_context *context = NULL;
	struct ibv_device **list;
	int count, i = 0;

	list = ibv_get_device_list(&count);
	if (!list) {
		fail_errno(errno, "cannot list the RDMA devices");
		return NULL;
	}
	while (name && i < count && strcmp(ibv_get_device_name(list[i]), name))
		i++;
	if (name && i == count)
		fail("there is no RDMA device %s; ibv_devices lists what there is", name);
	else if (!name && count != 1)
		fail("there are %d RDMA devices: choose one with --device=NAME", count);
	else if (!(context = ibv_open_device(list[i])))
		fail_errno(errno, "cannot open %s", ibv_get_device_name(list[i]));
	ibv_free_device_list(list);
	return context;
}

/* A GID that a peer on another machine can use: RoCE v2 with an IPv4 address if there is one. */
static int choose_gid(struct ibv_context *context, int table_len)
{
	struct ibv_gid_entry entry;
	int best = 0, best_rank = 0;

	for (int i = 0; i < table_len; i++) {
		int rank;

		if (ibv_query_gid_ex(context, PORT, i, &entry, 0))
			continue;
		if (entry.gid_type != IBV_GID_TYPE_ROCE_V2)
			rank = 1;
		else if (entry.gid.raw[0] == 0xfe) /* link local */
			rank = 2;
		else if (entry.gid.raw[10] != 0xff) /* an IPv6 address */
			rank = 3;
		else
			rank = 4;
		if (rank > best_rank) {
			best = i;
			best_rank = rank;
		}
	}
	return best;
}

/* SRD on an EFA device, which also limits the size of a transfer; RC on any other. */
static int choose_transport(struct rdma *rdma)
{
	const uint32_t needed = EFADV_DEVICE_ATTR_CAPS_RDMA_READ | EFADV_DEVICE_ATTR_CAPS_RDMA_WRITE;
	struct efadv_device_attr efa;

	rdma->local.srd = !efadv_query_device(rdma->context, &efa, sizeof(efa));
	if (!rdma->local.srd)
		return 0;
	if ((efa.device_caps & needed) != needed)
		return fail("this EFA device has no RDMA read and write");
	if (efa.max_rdma_size < rdma->max_message)
		rdma->max_message = efa.max_rdma_size;
	return 0;
}

int rdma_open(struct rdma *rdma, const char *name, int gid_index)
{
	struct ibv_port_attr port;
	int err;

	memset(rdma, 0, sizeof(*rdma));
	rdma->context = open_device(name);
	if (!rdma->context)
		return -1;
	err = ibv_query_port(rdma->context, PORT, &port);
	if (err)
		return fail_errno(err, "cannot query the RDMA port");
	if (port.state != IBV_PORT_ACTIVE)
		return fail("the RDMA port is not active: %s", ibv_port_state_str(port.state));
	rdma->grh = port.link_layer == IBV_LINK_LAYER_ETHERNET;
	rdma->max_message = port.max_msg_sz;
	rdma->gid_index = gid_index < 0 ? choose_gid(rdma->context, port.gid_tbl_len) : gid_index;
	rdma->local.lid = port.lid;
	rdma->local.mtu = port.active_mtu;
	rdma->local.psn = random_number(0xffffff);
	rdma->local.qkey = random_number(0x7fffffff); /* the top bit is for privileged keys */
	if (ibv_query_gid(rdma->context, PORT, rdma->gid_index, &rdma->local.gid))
		return fail("the device has no GID of index %u", rdma->gid_index);
	rdma->pd = ibv_alloc_pd(rdma->context);
	if (!rdma->pd)
		return fail_errno(errno, "cannot allocate a protection domain");
	return choose_transport(rdma);
}

int rdma_create_qp(struct rdma *rdma, unsigned int depth)
{
	struct efadv_qp_init_attr efa = { .driver_qp_type = EFADV_QP_DRIVER_TYPE_SRD };
	struct ibv_qp_init_attr_ex attr = {
		.qp_type = rdma->local.srd ? IBV_QPT_DRIVER : IBV_QPT_RC,
		.cap = { .max_send_wr = depth, .max_recv_wr = 1,
			 .max_send_sge = 1, .max_recv_sge = 1 },
		.comp_mask = IBV_QP_INIT_ATTR_PD,
		.pd = rdma->pd,
	};

	rdma->cq = ibv_create_cq(rdma->context, depth + 1, NULL, NULL, 0);
	if (!rdma->cq)
		return fail_errno(errno, "cannot create a completion queue");
	attr.send_cq = rdma->cq;
	attr.recv_cq = rdma->cq;
	if (rdma->local.srd) {
		attr.comp_mask |= IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
		attr.send_ops_flags = IBV_QP_EX_WITH_RDMA_READ | IBV_QP_EX_WITH_RDMA_WRITE;
		rdma->qp = efadv_create_qp_ex(rdma->context, &attr, &efa, sizeof(efa));
	} else {
		rdma->qp = ibv_create_qp_ex(rdma->context, &attr);
	}
	if (!rdma->qp)
		return fail_errno(errno, "cannot create a queue pair");
	rdma->local.qpn = rdma->qp->qp_num;
	return 0;
}

void rdma_close(struct rdma *rdma)
{
	if (rdma->ah)
		ibv_destroy_ah(rdma->ah);
	if (rdma->qp)
		ibv_destroy_qp(rdma->qp);
	if (rdma->cq)
		ibv_destroy_cq(rdma->cq);
	if (rdma->pd)
		ibv_dealloc_pd(rdma->pd);
	if (rdma->context)
		ibv_close_device(rdma->context);
	memset(rdma, 0, sizeof(*rdma));
}

int rdma_endpoint_say(int control, const struct rdma_endpoint *endpoint)
{
	char gid[33];

	for (int i = 0; i < 16; i++)
		sprintf(gid + 2 * i, "%02x", endpoint->gid.raw[i]);
	return control_say(control, "endpoint %s qpn %u psn %u qkey %u lid %u mtu %u gid %s"
			   " addr %" PRIx64 " rkey %x", endpoint->srd ? "SRD" : "RC",
			   endpoint->qpn, endpoint->psn, endpoint->qkey, endpoint->lid,
			   endpoint->mtu, gid, endpoint->addr, endpoint->rkey);
}

int rdma_endpoint_hear(int control, struct rdma_endpoint *endpoint)
{
	char line[CONTROL_LINE], transport[4], gid[33];
	int n;

	if (control_hear(control, line))
		return -1;
	memset(endpoint, 0, sizeof(*endpoint));
	n = sscanf(line, "endpoint %3s qpn %u psn %u qkey %u lid %u mtu %u gid %32s addr %" SCNx64
		   " rkey %x", transport, &endpoint->qpn, &endpoint->psn, &endpoint->qkey,
		   &endpoint->lid, &endpoint->mtu, gid, &endpoint->addr, &endpoint->rkey);
	if (n != 9 || strlen(gid) != 32)
		return fail("the other side said '%s' where its endpoint was due", line);
	for (int i = 0; i < 16; i++)
		if (sscanf(gid + 2 * i, "%2hhx", &endpoint->gid.raw[i]) != 1)
			return fail("the other side sent a bad GID: %s", gid);
	endpoint->srd = !strcmp(transport, "SRD");
	return 0;
}

static struct ibv_ah_attr address(const struct rdma *rdma)
{
	return (struct ibv_ah_attr){
		.dlid = rdma->remote.lid,
		.port_num = PORT,
		.is_global = rdma->grh || rdma->local.srd,
		.grh = { .dgid = rdma->remote.gid, .sgid_index = rdma->gid_index,
			 .hop_limit = 64 },
	};
}

/* SRD is a datagram service with reliability: the remote side is named in each work request. */
static int connect_srd(struct rdma *rdma)
{
	struct ibv_qp_attr init = { .qp_state = IBV_QPS_INIT, .port_num = PORT,
				    .qkey = rdma->local.qkey };
	struct ibv_qp_attr rtr = { .qp_state = IBV_QPS_RTR };
	struct ibv_qp_attr rts = { .qp_state = IBV_QPS_RTS, .sq_psn = rdma->local.psn };
	struct ibv_ah_attr to = address(rdma);
	int err;

	err = ibv_modify_qp(rdma->qp, &init,
			    IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_QKEY);
	if (!err)
		err = ibv_modify_qp(rdma->qp, &rtr, IBV_QP_STATE);
	if (!err)
		err = ibv_modify_qp(rdma->qp, &rts, IBV_QP_STATE | IBV_QP_SQ_PSN);
	if (err)
		return fail_errno(err, "cannot bring the queue pair up");
	rdma->ah = ibv_create_ah(rdma->pd, &to);
	return rdma->ah ? 0 : fail_errno(errno, "cannot create an address handle");
}

static int connect_rc(struct rdma *rdma)
{
	struct ibv_qp_attr init = {
		.qp_state = IBV_QPS_INIT, .port_num = PORT,
		.qp_access_flags = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE,
	};
	struct ibv_qp_attr rtr = {
		.qp_state = IBV_QPS_RTR, .ah_attr = address(rdma),
		.path_mtu = rdma->remote.mtu < rdma->local.mtu ? rdma->remote.mtu : rdma->local.mtu,
		.dest_qp_num = rdma->remote.qpn, .rq_psn = rdma->remote.psn,
		.max_dest_rd_atomic = 1, .min_rnr_timer = 12,
	};
	struct ibv_qp_attr rts = {
		.qp_state = IBV_QPS_RTS, .sq_psn = rdma->local.psn,
		.timeout = 14, /* 4.096 us << 14 = 67 ms */
		.retry_cnt = 7, .rnr_retry = 7, .max_rd_atomic = 1,
	};
	int err;

	err = ibv_modify_qp(rdma->qp, &init,
			    IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
	if (!err)
		err = ibv_modify_qp(rdma->qp, &rtr, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
				    IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
				    IBV_QP_MIN_RNR_TIMER);
	if (!err)
		err = ibv_modify_qp(rdma->qp, &rts, IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT |
				    IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC);
	return err ? fail_errno(err, "cannot bring the queue pair up (try another --gid-index?)")
		   : 0;
}

int rdma_connect(struct rdma *rdma)
{
	if (rdma->remote.srd != rdma->local.srd)
		return fail("one side is an EFA device (SRD) and the other is not (RC)");
	return rdma->local.srd ? connect_srd(rdma) : connect_rc(rdma);
}

/* Queue pairs with an address in each work request have only the newer interface. */
static int post_srd(struct rdma *rdma, const struct rdma_transfer *transfer)
{
	struct ibv_qp_ex *qp = ibv_qp_to_qp_ex(rdma->qp);

	ibv_wr_start(qp);
	qp->wr_id = transfer->id;
	qp->wr_flags = IBV_SEND_SIGNALED;
	if (transfer->opcode == IBV_WR_RDMA_READ)
		ibv_wr_rdma_read(qp, rdma->remote.rkey, transfer->remote);
	else
		ibv_wr_rdma_write(qp, rdma->remote.rkey, transfer->remote);
	ibv_wr_set_sge(qp, transfer->lkey, (uintptr_t)transfer->local, transfer->len);
	ibv_wr_set_ud_addr(qp, rdma->ah, rdma->remote.qpn, rdma->remote.qkey);
	return ibv_wr_complete(qp);
}

/* All other providers have the older one, and some have only that. */
static int post_rc(struct rdma *rdma, const struct rdma_transfer *transfer)
{
	struct ibv_sge sge = { .addr = (uintptr_t)transfer->local, .length = transfer->len,
			       .lkey = transfer->lkey };
	struct ibv_send_wr wr = {
		.wr_id = transfer->id, .opcode = transfer->opcode,
		.send_flags = IBV_SEND_SIGNALED, .sg_list = &sge, .num_sge = 1,
		.wr.rdma = { .remote_addr = transfer->remote, .rkey = rdma->remote.rkey },
	}, *bad;

	return ibv_post_send(rdma->qp, &wr, &bad);
}

int rdma_post(struct rdma *rdma, const struct rdma_transfer *transfer)
{
	int err = rdma->local.srd ? post_srd(rdma, transfer) : post_rc(rdma, transfer);

	return err ? fail_errno(err, "cannot post a work request") : 0;
}

int rdma_completion(struct rdma *rdma, unsigned int timeout, struct ibv_wc *wc)
{
	struct timespec now, pause = { .tv_nsec = 20 * 1000 };
	time_t deadline;
	int n;

	clock_gettime(CLOCK_MONOTONIC, &now);
	deadline = now.tv_sec + timeout;
	while (!(n = ibv_poll_cq(rdma->cq, 1, wc))) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > deadline)
			return fail("no completion came in %u s (--timeout)", timeout);
		nanosleep(&pause, NULL);
	}
	return n < 0 ? fail("cannot poll the completion queue") : 0;
}

int rdma_wait(struct rdma *rdma, unsigned int timeout, uint64_t *id)
{
	struct ibv_wc wc;

	if (rdma_completion(rdma, timeout, &wc))
		return -1;
	if (wc.status != IBV_WC_SUCCESS)
		return fail("a transfer failed: %s (vendor's code 0x%x)",
			    ibv_wc_status_str(wc.status), wc.vendor_err);
	*id = wc.wr_id;
	return 0;
}

int rdma_pci_path(const char *name, struct pci_path *pci)
{
	char link[PATH_MAX];

	snprintf(link, sizeof(link), "/sys/class/infiniband/%s/device", name);
	return pci_path_resolve(pci, link);
}
