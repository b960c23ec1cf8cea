// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "core.h"
#include "cq.h"
#include "mr.h"
#include "qp.h"

#define AENQ_GROUPS                                                        \
	(BIT(EFA_ADMIN_FATAL_ERROR) | BIT(EFA_ADMIN_WARNING) |             \
	 BIT(EFA_ADMIN_NOTIFICATION) | BIT(EFA_ADMIN_KEEP_ALIVE))

#define FEATURES                                                           \
	(BIT(EFA_ADMIN_DEVICE_ATTR) | BIT(EFA_ADMIN_AENQ_CONFIG) |         \
	 BIT(EFA_ADMIN_NETWORK_ATTR) | BIT(EFA_ADMIN_QUEUE_ATTR_1) |       \
	 BIT(EFA_ADMIN_HW_HINTS) | BIT(EFA_ADMIN_HOST_INFO) |              \
	 BIT(EFA_ADMIN_EVENT_QUEUE_ATTR))

#define DEVICE_CAPS                                                        \
	(EFA_ADMIN_FEATURE_DEVICE_ATTR_DESC_RDMA_READ_MASK |               \
	 EFA_ADMIN_FEATURE_DEVICE_ATTR_DESC_RDMA_WRITE_MASK |              \
	 EFA_ADMIN_FEATURE_DEVICE_ATTR_DESC_RNR_RETRY_MASK |               \
	 EFA_ADMIN_FEATURE_DEVICE_ATTR_DESC_UNSOLICITED_WRITE_RECV_MASK)

#define LINK_SPEED	100 /* Gbit/s */
#define MMIO_TIMEOUT	500 /* ms: an emulated processor is slow */
#define POLL_INTERVAL	10  /* ms */

/* A command as its handler sees it, which returns an enum efa_admin_aq_completion_status. */
struct command {
	struct efa_device *dev;
	u8 flags;	     /* of the common descriptor */
	const void *payload; /* what follows it, aligned to 8 bytes */
	void *resp;	     /* the whole completion entry */
};

static u8 found(bool found)
{
	return found ? EFA_ADMIN_SUCCESS : EFA_ADMIN_ILLEGAL_PARAMETER;
}

static u8 alloc_pd(const struct command *c)
{
	struct efa_admin_alloc_pd_resp *resp = c->resp;
	u32 pd;

	if (table_add(&c->dev->pds, c->dev, &pd))
		return EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE;
	resp->pd = pd;
	return EFA_ADMIN_SUCCESS;
}

static u8 dealloc_pd(const struct command *c)
{
	const struct efa_admin_dealloc_pd_cmd *cmd = c->payload;

	return found(table_remove(&c->dev->pds, cmd->pd));
}

static u8 alloc_uar(const struct command *c)
{
	struct efa_admin_alloc_uar_resp *resp = c->resp;
	u32 uar;

	if (table_add(&c->dev->uars, c->dev, &uar))
		return EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE;
	resp->uar = uar;
	return EFA_ADMIN_SUCCESS;
}

static u8 dealloc_uar(const struct command *c)
{
	const struct efa_admin_dealloc_uar_cmd *cmd = c->payload;

	return found(table_remove(&c->dev->uars, cmd->uar));
}

static u8 create_eq(const struct command *c)
{
	struct efa_admin_create_eq_resp *resp = c->resp;
	u32 eqn = 0;
	u8 status = eq_create(c->dev, c->payload, &eqn);

	resp->eqn = eqn;
	return status;
}

static u8 destroy_eq(const struct command *c)
{
	const struct efa_admin_destroy_eq_cmd *cmd = c->payload;

	return found(eq_destroy(c->dev, cmd->eqn));
}

static u8 create_cq(const struct command *c)
{
	const struct efa_admin_create_cq_cmd *cmd = c->payload;
	struct efa_admin_create_cq_resp *resp = c->resp;
	u32 cqn = 0;
	u8 status = cq_create(c->dev, cmd, &cqn);

	resp->cq_idx = cqn;
	resp->sub_cq_actual_depth = cmd->sub_cq_depth;
	resp->db_offset = (EFA_DB_CQ_PAGES + table_index(&c->dev->cqs, cqn)) * EFA_DB_PAGE_SIZE;
	EFA_SET(&resp->flags, EFA_ADMIN_CREATE_CQ_RESP_DB_VALID, 1);
	return status;
}

static u8 destroy_cq(const struct command *c)
{
	const struct efa_admin_destroy_cq_cmd *cmd = c->payload;

	return found(cq_destroy(c->dev, cmd->cq_idx));
}

static u8 create_qp(const struct command *c)
{
	struct efa_admin_create_qp_resp *resp = c->resp;
	u32 qpn = 0, index;
	u8 status = qp_create(c->dev, c->payload, &qpn);

	index = table_index(&c->dev->qps, qpn);
	resp->qp_handle = qpn;
	resp->qp_num = qpn;
	resp->send_sub_cq_idx = 0;
	resp->recv_sub_cq_idx = 1;
	resp->sq_db_offset = 2 * index * EFA_DB_PAGE_SIZE;
	resp->rq_db_offset = (2 * index + 1) * EFA_DB_PAGE_SIZE;
	resp->llq_descriptors_offset = index * EFA_LLQ_SIZE;
	return status;
}

static u8 modify_qp(const struct command *c)
{
	return qp_modify(c->dev, c->payload);
}

static u8 query_qp(const struct command *c)
{
	const struct efa_admin_query_qp_cmd *cmd = c->payload;
	struct efa_admin_query_qp_resp *resp = c->resp;
	const struct qp *qp = table_get(&c->dev->qps, cmd->qp_handle);

	if (!qp)
		return EFA_ADMIN_ILLEGAL_PARAMETER;
	resp->qp_state = qp->state;
	resp->qkey = qp->qkey;
	resp->sq_psn = qp->psn;
	resp->sq_draining = qp->state == EFA_ADMIN_QP_STATE_SQD && qp->busy;
	resp->rnr_retry = qp->rnr_retry;
	return EFA_ADMIN_SUCCESS;
}

static u8 destroy_qp(const struct command *c)
{
	const struct efa_admin_destroy_qp_cmd *cmd = c->payload;

	return found(qp_destroy(c->dev, cmd->qp_handle));
}

static u8 create_ah(const struct command *c)
{
	const struct efa_admin_create_ah_cmd *cmd = c->payload;
	struct efa_admin_create_ah_resp *resp = c->resp;
	struct address_handle *ah;
	u32 handle;

	if (!table_get(&c->dev->pds, cmd->pd))
		return EFA_ADMIN_ILLEGAL_PARAMETER;
	ah = malloc(sizeof(*ah));
	if (!ah || table_add(&c->dev->ahs, ah, &handle)) {
		free(ah);
		return EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE;
	}
	*ah = (struct address_handle){ .pd = cmd->pd };
	memcpy(ah->gid, cmd->dest_addr, sizeof(ah->gid));
	resp->ah = handle;
	return EFA_ADMIN_SUCCESS;
}

static u8 destroy_ah(const struct command *c)
{
	const struct efa_admin_destroy_ah_cmd *cmd = c->payload;
	struct address_handle *ah = table_get(&c->dev->ahs, cmd->ah);

	if (!ah || ah->pd != cmd->pd)
		return EFA_ADMIN_ILLEGAL_PARAMETER;
	free(table_remove(&c->dev->ahs, cmd->ah));
	return EFA_ADMIN_SUCCESS;
}

static u8 reg_mr(const struct command *c)
{
	struct efa_admin_reg_mr_resp *resp = c->resp;
	enum pbl pbl = PBL_INLINE;
	u8 status;
	u32 key = 0;

	if (EFA_GET(&c->flags, EFA_ADMIN_AQ_COMMON_DESC_CTRL_DATA_INDIRECT))
		pbl = PBL_INDIRECT;
	else if (EFA_GET(&c->flags, EFA_ADMIN_AQ_COMMON_DESC_CTRL_DATA))
		pbl = PBL_DIRECT;
	status = mr_register(c->dev, c->payload, pbl, &key);
	resp->l_key = key;
	resp->r_key = key;
	return status;
}

static u8 dereg_mr(const struct command *c)
{
	const struct efa_admin_dereg_mr_cmd *cmd = c->payload;

	return found(mr_deregister(c->dev, cmd->l_key));
}

static void get_device_attr(const struct efa_device *dev,
			    struct efa_admin_feature_device_attr_desc *attr)
{
	attr->supported_features = FEATURES;
	attr->page_size_cap = GENMASK(EFA_PAGE_SHIFT_MAX, EFA_PAGE_SHIFT_MIN);
	attr->fw_version = 1;
	attr->admin_api_version = 1;
	attr->device_version = 1;
	attr->db_bar = EFA_BAR_DB;
	attr->phys_addr_width = EFA_ADDRESS_BITS;
	attr->virt_addr_width = EFA_ADDRESS_BITS;
	attr->device_caps = DEVICE_CAPS;
	attr->max_rdma_size = EFA_MAX_RDMA_SIZE;
	memcpy(&attr->guid, dev->guid, sizeof(attr->guid));
	attr->max_link_speed_gbps = LINK_SPEED;
}

static void get_queue_attr(struct efa_admin_feature_queue_attr_desc_1 *attr)
{
	*attr = (struct efa_admin_feature_queue_attr_desc_1){
		.max_qp = 1u << EFA_QP_BITS,
		.max_sq_depth = EFA_LLQ_SIZE / EFA_SQ_ENTRY_SIZE,
		.inline_buf_size = EFA_IO_TX_DESC_INLINE_MAX_SIZE,
		.max_rq_depth = EFA_MAX_RQ_DEPTH,
		.max_cq = 1u << EFA_CQ_BITS,
		.max_cq_depth = EFA_MAX_CQ_DEPTH,
		.sub_cqs_per_cq = EFA_SUB_CQS,
		.max_wr_send_sges = EFA_IO_TX_DESC_NUM_BUFS,
		.max_wr_recv_sges = EFA_MAX_RECV_SGES,
		.max_mr = 1u << EFA_MR_BITS,
		.max_mr_pages = EFA_MAX_MR_PAGES,
		.max_pd = 1u << EFA_PD_BITS,
		.max_ah = 1u << EFA_AH_BITS,
		.max_llq_size = EFA_LLQ_SIZE,
		.max_wr_rdma_sges = EFA_IO_TX_DESC_NUM_RDMA_BUFS,
	};
}

static void get_event_queue_attr(struct efa_admin_event_queue_attr_desc *attr)
{
	attr->max_eq = 1u << EFA_EQ_BITS;
	attr->max_eq_depth = EFA_MAX_EQ_DEPTH;
	attr->event_bitmask = EFA_ADMIN_CREATE_EQ_CMD_COMPLETION_EVENTS_MASK;
}

/*
 * The hint for the time of a command stays 0, which is to say the driver's own
 * value: the driver takes the hint's milliseconds for microseconds.
 */
static void get_hints(struct efa_admin_hw_hints *hints)
{
	hints->mmio_read_timeout = MMIO_TIMEOUT;
	hints->poll_interval = POLL_INTERVAL;
}

static u8 get_feature(const struct command *c)
{
	const struct efa_admin_get_feature_cmd *cmd = c->payload;
	struct efa_admin_get_feature_resp *resp = c->resp;

	switch (cmd->feature_common.feature_id) {
	case EFA_ADMIN_DEVICE_ATTR:
		get_device_attr(c->dev, &resp->u.device_attr);
		return EFA_ADMIN_SUCCESS;
	case EFA_ADMIN_AENQ_CONFIG:
		resp->u.aenq.supported_groups = AENQ_GROUPS;
		resp->u.aenq.enabled_groups = c->dev->admin.aenq_groups;
		return EFA_ADMIN_SUCCESS;
	case EFA_ADMIN_NETWORK_ATTR:
		memcpy(resp->u.network_attr.addr, c->dev->gid, EFA_GID_SIZE);
		resp->u.network_attr.mtu = EFA_MTU;
		return EFA_ADMIN_SUCCESS;
	case EFA_ADMIN_QUEUE_ATTR_1:
		get_queue_attr(&resp->u.queue_attr_1);
		return EFA_ADMIN_SUCCESS;
	case EFA_ADMIN_HW_HINTS:
		get_hints(&resp->u.hw_hints);
		return EFA_ADMIN_SUCCESS;
	case EFA_ADMIN_EVENT_QUEUE_ATTR:
		get_event_queue_attr(&resp->u.event_queue_attr);
		return EFA_ADMIN_SUCCESS;
	default:
		return EFA_ADMIN_UNSUPPORTED_OPCODE;
	}
}

/* The guest tells of itself, in text that is not to be trusted. */
static u8 set_host_info(const struct command *c,
			const struct efa_admin_set_feature_cmd *cmd)
{
	struct efa_admin_host_info info;
	char *release = (char *)info.os_dist_str;

	if (!EFA_GET(&c->flags, EFA_ADMIN_AQ_COMMON_DESC_CTRL_DATA) ||
	    cmd->control_buffer.length < sizeof(info) ||
	    device_read(c->dev, EFA_DMA_ADMIN, bus_address(cmd->control_buffer.address), &info,
			sizeof(info)))
		return EFA_ADMIN_ILLEGAL_PARAMETER;
	release[sizeof(info.os_dist_str) - 1] = '\0';
	for (char *p = release; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	device_event(c->dev, "the driver is that of %s", release);
	return EFA_ADMIN_SUCCESS;
}

static u8 set_feature(const struct command *c)
{
	const struct efa_admin_set_feature_cmd *cmd = c->payload;

	switch (cmd->feature_common.feature_id) {
	case EFA_ADMIN_AENQ_CONFIG:
		if (cmd->u.aenq.enabled_groups & ~AENQ_GROUPS)
			return EFA_ADMIN_ILLEGAL_PARAMETER;
		c->dev->admin.aenq_groups = cmd->u.aenq.enabled_groups;
		return EFA_ADMIN_SUCCESS;
	case EFA_ADMIN_HOST_INFO:
		return set_host_info(c, cmd);
	default:
		return EFA_ADMIN_UNSUPPORTED_OPCODE;
	}
}

static u8 get_stats(const struct command *c)
{
	const struct efa_admin_aq_get_stats_cmd *cmd = c->payload;
	struct efa_admin_acq_get_stats_resp *resp = c->resp;

	if (cmd->scope != EFA_ADMIN_GET_STATS_SCOPE_ALL)
		return EFA_ADMIN_ILLEGAL_PARAMETER;
	switch (cmd->type) {
	case EFA_ADMIN_GET_STATS_TYPE_BASIC:
		resp->u.basic_stats = c->dev->stats.basic;
		return EFA_ADMIN_SUCCESS;
	case EFA_ADMIN_GET_STATS_TYPE_MESSAGES:
		resp->u.messages_stats = c->dev->stats.messages;
		return EFA_ADMIN_SUCCESS;
	case EFA_ADMIN_GET_STATS_TYPE_RDMA_READ:
		resp->u.rdma_read_stats = c->dev->stats.reads;
		return EFA_ADMIN_SUCCESS;
	case EFA_ADMIN_GET_STATS_TYPE_RDMA_WRITE:
		resp->u.rdma_write_stats = c->dev->stats.writes;
		return EFA_ADMIN_SUCCESS;
	case EFA_ADMIN_GET_STATS_TYPE_NETWORK: /* nothing is ever sent again: zeros */
		return EFA_ADMIN_SUCCESS;
	default:
		return EFA_ADMIN_ILLEGAL_PARAMETER;
	}
}

static u8 (*const handlers[])(const struct command *c) = {
	[EFA_ADMIN_CREATE_QP] = create_qp,
	[EFA_ADMIN_MODIFY_QP] = modify_qp,
	[EFA_ADMIN_QUERY_QP] = query_qp,
	[EFA_ADMIN_DESTROY_QP] = destroy_qp,
	[EFA_ADMIN_CREATE_AH] = create_ah,
	[EFA_ADMIN_DESTROY_AH] = destroy_ah,
	[EFA_ADMIN_REG_MR] = reg_mr,
	[EFA_ADMIN_DEREG_MR] = dereg_mr,
	[EFA_ADMIN_CREATE_CQ] = create_cq,
	[EFA_ADMIN_DESTROY_CQ] = destroy_cq,
	[EFA_ADMIN_GET_FEATURE] = get_feature,
	[EFA_ADMIN_SET_FEATURE] = set_feature,
	[EFA_ADMIN_GET_STATS] = get_stats,
	[EFA_ADMIN_ALLOC_PD] = alloc_pd,
	[EFA_ADMIN_DEALLOC_PD] = dealloc_pd,
	[EFA_ADMIN_ALLOC_UAR] = alloc_uar,
	[EFA_ADMIN_DEALLOC_UAR] = dealloc_uar,
	[EFA_ADMIN_CREATE_EQ] = create_eq,
	[EFA_ADMIN_DESTROY_EQ] = destroy_eq,
};

#define HANDLERS (sizeof(handlers) / sizeof(*handlers))

/* The longest command and the longest response have to fit their entries. */
static_assert(sizeof(struct efa_admin_create_qp_cmd) <=
	      sizeof(((struct efa_admin_aq_entry *)0)->request_payload), "longest command");
static_assert(sizeof(struct efa_admin_get_feature_resp) == sizeof(struct efa_admin_acq_entry),
	      "longest response");

enum efa_admin_aq_completion_status command_run(struct efa_device *dev,
						const struct efa_admin_aq_entry *cmd,
						struct efa_admin_acq_entry *resp)
{
	u8 payload[sizeof(cmd->request_payload)] __attribute__((aligned(8)));
	u8 opcode = cmd->aq_common_descriptor.opcode;
	const struct command command = {
		.dev = dev,
		.flags = cmd->aq_common_descriptor.flags,
		.payload = payload,
		.resp = resp,
	};
	u8 status;

	memcpy(payload, cmd->request_payload, sizeof(payload));
	if (!opcode || opcode > EFA_ADMIN_MAX_OPCODE)
		return EFA_ADMIN_BAD_OPCODE;
	if (opcode >= HANDLERS || !handlers[opcode])
		return EFA_ADMIN_UNSUPPORTED_OPCODE;
	status = handlers[opcode](&command);
	if (status)
		device_event(dev, "admin command %u failed with status %u", opcode, status);
	return status;
}
