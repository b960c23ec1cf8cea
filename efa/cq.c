// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>

#include "core.h"
#include "cq.h"
#include "ring.h"

struct eq {
	struct ring ring;
	u8 vector;
	bool armed;
	u32 told; /* events for which there was an interrupt */
};

struct cq {
	u16 cqn, eqn;
	bool has_eq, armed, sets_src_addr;
	struct ring sub[EFA_SUB_CQS];
	u16 produced, consumed; /* completions, of all sub-queues */
};

enum efa_admin_aq_completion_status eq_create(struct efa_device *dev,
					      const struct efa_admin_create_eq_cmd *cmd, u32 *eqn)
{
	u32 size = EFA_GET(&cmd->caps, EFA_ADMIN_CREATE_EQ_CMD_ENTRY_SIZE_WORDS) * 4;
	struct eq *eq;

	if (!is_power_of_two(cmd->depth) || cmd->depth > EFA_MAX_EQ_DEPTH ||
	    size != sizeof(struct efa_admin_eqe) || cmd->msix_vec >= EFA_MSIX_VECTORS)
		return EFA_ADMIN_ILLEGAL_PARAMETER;
	eq = malloc(sizeof(*eq));
	if (!eq || table_add(&dev->eqs, eq, eqn)) {
		free(eq);
		return EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE;
	}
	*eq = (struct eq){
		.ring = { .base = bus_address(cmd->ba), .entries = cmd->depth, .size = size },
		.vector = cmd->msix_vec,
	};
	return EFA_ADMIN_SUCCESS;
}

bool eq_destroy(struct efa_device *dev, u16 eqn)
{
	struct eq *eq = table_remove(&dev->eqs, eqn);

	free(eq);
	return eq;
}

static void eq_interrupt(struct efa_device *dev, struct eq *eq)
{
	eq->armed = false;
	eq->told = eq->ring.next;
	device_irq(dev, eq->vector);
}

void eq_arm(struct efa_device *dev, u16 eqn)
{
	struct eq *eq = table_get(&dev->eqs, eqn);

	if (!eq)
		return;
	eq->armed = true;
	if (eq->told != eq->ring.next)
		eq_interrupt(dev, eq);
}

static void eq_post(struct efa_device *dev, struct eq *eq, u16 cqn)
{
	struct efa_admin_eqe eqe = { .u.comp_event.cqn = cqn };

	EFA_SET(&eqe.common, EFA_ADMIN_EQE_PHASE, ring_phase(&eq->ring));
	EFA_SET(&eqe.common, EFA_ADMIN_EQE_EVENT_TYPE, EFA_ADMIN_EQE_EVENT_TYPE_COMPLETION);
	if (ring_push(dev, EFA_DMA_QUEUE, &eq->ring, &eqe))
		device_event(dev, "cannot write an event of completion queue %u", cqn);
	if (eq->armed)
		eq_interrupt(dev, eq);
}

static bool cq_is_valid(const struct efa_device *dev, const struct efa_admin_create_cq_cmd *cmd)
{
	u32 size = EFA_GET(&cmd->cq_caps_2, EFA_ADMIN_CREATE_CQ_CMD_CQ_ENTRY_SIZE_WORDS) * 4;

	if (EFA_GET(&cmd->cq_caps_1, EFA_ADMIN_CREATE_CQ_CMD_VIRT) ||
	    EFA_GET(&cmd->cq_caps_2, EFA_ADMIN_CREATE_CQ_CMD_SQ_COMP_64_BIT_REQ_ID))
		return false;
	if (EFA_GET(&cmd->cq_caps_1, EFA_ADMIN_CREATE_CQ_CMD_INTERRUPT_MODE_ENABLED) &&
	    !table_get(&dev->eqs, cmd->eqn))
		return false;
	if (size != sizeof(struct efa_io_rx_cdesc_ex) &&
	    (size != sizeof(struct efa_io_rx_cdesc) ||
	     EFA_GET(&cmd->cq_caps_2, EFA_ADMIN_CREATE_CQ_CMD_SET_SRC_ADDR)))
		return false;
	return is_power_of_two(cmd->sub_cq_depth) && cmd->sub_cq_depth <= EFA_MAX_CQ_DEPTH &&
	       cmd->num_sub_cqs == EFA_SUB_CQS && table_get(&dev->uars, cmd->uar);
}

enum efa_admin_aq_completion_status cq_create(struct efa_device *dev,
					      const struct efa_admin_create_cq_cmd *cmd, u32 *cqn)
{
	u32 size = EFA_GET(&cmd->cq_caps_2, EFA_ADMIN_CREATE_CQ_CMD_CQ_ENTRY_SIZE_WORDS) * 4;
	struct cq *cq;

	if (!cq_is_valid(dev, cmd))
		return EFA_ADMIN_ILLEGAL_PARAMETER;
	cq = malloc(sizeof(*cq));
	if (!cq || table_add(&dev->cqs, cq, cqn)) {
		free(cq);
		return EFA_ADMIN_RESOURCE_ALLOCATION_FAILURE;
	}
	*cq = (struct cq){
		.cqn = *cqn,
		.eqn = cmd->eqn,
		.has_eq = EFA_GET(&cmd->cq_caps_1,
				  EFA_ADMIN_CREATE_CQ_CMD_INTERRUPT_MODE_ENABLED),
		.sets_src_addr = EFA_GET(&cmd->cq_caps_2, EFA_ADMIN_CREATE_CQ_CMD_SET_SRC_ADDR),
	};
	for (u32 i = 0; i < EFA_SUB_CQS; i++)
		cq->sub[i] = (struct ring){
			.base = bus_address(cmd->cq_ba) + (u64)i * cmd->sub_cq_depth * size,
			.entries = cmd->sub_cq_depth,
			.size = size,
		};
	return EFA_ADMIN_SUCCESS;
}

bool cq_destroy(struct efa_device *dev, u16 cqn)
{
	struct cq *cq = table_remove(&dev->cqs, cqn);

	free(cq);
	return cq;
}

/* Whoever armed the queue hears of it once, then arms it again. */
static void cq_tell(struct efa_device *dev, struct cq *cq)
{
	struct eq *eq = cq->has_eq ? table_get(&dev->eqs, cq->eqn) : NULL;

	cq->armed = false;
	if (eq)
		eq_post(dev, eq, cq->cqn);
}

void cq_doorbell(struct efa_device *dev, u32 index, u32 value)
{
	struct cq *cq = table_at(&dev->cqs, index);

	if (!cq)
		return;
	cq->consumed = EFA_GET(&value, EFA_CQ_DB_CONSUMER_INDEX);
	if (!EFA_GET(&value, EFA_CQ_DB_ARM))
		return;
	cq->armed = true;
	if (cq->consumed != cq->produced)
		cq_tell(dev, cq);
}

void cq_post(struct efa_device *dev, u16 cqn, const struct completion *comp)
{
	struct cq *cq = table_get(&dev->cqs, cqn);
	struct completion known = *comp;
	u8 cqe[WIRE_CQE_SIZE];
	struct ring *ring;

	if (!cq)
		return;
	if (!cq->sets_src_addr)
		known.src_gid = NULL;
	ring = &cq->sub[comp->queue == EFA_IO_RECV_QUEUE];
	wire_encode_completion(&known, ring_phase(ring), cqe);
	if (ring_push(dev, EFA_DMA_QUEUE, ring, cqe))
		device_event(dev, "cannot write to completion queue %u", cqn);
	cq->produced++;
	if (cq->armed)
		cq_tell(dev, cq);
}
