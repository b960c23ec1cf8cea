// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>

#include "core.h"
#include "regs.h"

/*
 * Values of the read-only registers.  Below version 0.2 of the interface the
 * driver asks for no checksums and takes the short admin command entries.
 */
#define VERSION		   FIELD_PREP(EFA_REGS_VERSION_MINOR_VERSION_MASK, 1)
#define CONTROLLER_VERSION FIELD_PREP(EFA_REGS_CONTROLLER_VERSION_SUBMINOR_VERSION_MASK, 1)
#define CAPS                                                                          \
	(FIELD_PREP(EFA_REGS_CAPS_CONTIGUOUS_QUEUE_REQUIRED_MASK, 1) |                \
	 FIELD_PREP(EFA_REGS_CAPS_RESET_TIMEOUT_MASK, 31) | /* of 100 ms */           \
	 FIELD_PREP(EFA_REGS_CAPS_DMA_ADDR_WIDTH_MASK, EFA_ADDRESS_BITS))

#define DB_SHIFT 12

static_assert(sizeof(struct efa_admin_mmio_req_read_less_resp) == sizeof(u64),
	      "the response to a register read is one store");

void regs_init(struct regs *regs)
{
	memset(regs, 0, sizeof(*regs));
	pthread_mutex_init(&regs->lock, NULL);
}

void regs_fini(struct regs *regs)
{
	pthread_mutex_destroy(&regs->lock);
}

static u32 *reg(struct regs *regs, u32 off)
{
	return &regs->value[off / 4];
}

static u64 reg_address(struct regs *regs, u32 off)
{
	return (u64)*reg(regs, off + 4) << 32 | *reg(regs, off);
}

static void forget(struct regs *regs)
{
	memset(regs->value, 0, sizeof(regs->value));
	memset(regs->rung, 0, sizeof(regs->rung));
	memset(&regs->requests, 0, sizeof(regs->requests));
	regs->fatal = false;
	atomic_store(&regs->reset, true);
}

void regs_reset(struct efa_device *dev)
{
	pthread_mutex_lock(&dev->regs.lock);
	forget(&dev->regs);
	pthread_mutex_unlock(&dev->regs.lock);
	dev->host.wake(dev->host.ctx);
}

void regs_reset_done(struct efa_device *dev)
{
	atomic_store(&dev->regs.reset, false);
}

void regs_set_fatal(struct efa_device *dev)
{
	pthread_mutex_lock(&dev->regs.lock);
	dev->regs.fatal = !atomic_load(&dev->regs.reset);
	pthread_mutex_unlock(&dev->regs.lock);
}

u32 regs_get(struct efa_device *dev, u32 off)
{
	u32 value;

	pthread_mutex_lock(&dev->regs.lock);
	value = *reg(&dev->regs, off);
	pthread_mutex_unlock(&dev->regs.lock);
	return value;
}

u64 regs_get_address(struct efa_device *dev, u32 off)
{
	u64 addr;

	pthread_mutex_lock(&dev->regs.lock);
	addr = reg_address(&dev->regs, off);
	pthread_mutex_unlock(&dev->regs.lock);
	return addr;
}

void regs_collect(struct efa_device *dev, struct regs_requests *requests)
{
	pthread_mutex_lock(&dev->regs.lock);
	*requests = dev->regs.requests;
	memset(&dev->regs.requests, 0, sizeof(dev->regs.requests));
	pthread_mutex_unlock(&dev->regs.lock);
}

bool regs_next_doorbell(struct efa_device *dev, u32 *page, u32 *value)
{
	struct regs *regs = &dev->regs;
	bool found = false;

	pthread_mutex_lock(&regs->lock);
	for (u32 i = 0; i < REGS_DB_PAGES / 64 && !found; i++) {
		if (!regs->rung[i])
			continue;
		*page = i * 64 + __builtin_ctzll(regs->rung[i]);
		*value = regs->doorbell[*page];
		regs->rung[i] &= regs->rung[i] - 1;
		found = true;
	}
	pthread_mutex_unlock(&regs->lock);
	return found;
}

bool regs_are_pending(struct efa_device *dev)
{
	static const struct regs_requests none;
	struct regs *regs = &dev->regs;
	bool pending = atomic_load(&regs->reset);

	pthread_mutex_lock(&regs->lock);
	for (u32 i = 0; i < REGS_DB_PAGES / 64; i++)
		pending |= !!regs->rung[i];
	pending |= !!memcmp(&regs->requests, &none, sizeof(none));
	pthread_mutex_unlock(&regs->lock);
	return pending;
}

/*
 * The guest sees a reset until it took the bit back and the objects are gone.
 * The device is always ready, also for the driver of a guest that was killed
 * in between.
 */
static u32 device_status(struct regs *regs)
{
	bool resetting = atomic_load(&regs->reset) ||
			 EFA_GET(reg(regs, EFA_REGS_DEV_CTL_OFF), EFA_REGS_DEV_CTL_DEV_RESET);
	u32 status = 0;

	EFA_SET(&status, EFA_REGS_DEV_STS_READY, 1);
	EFA_SET(&status, EFA_REGS_DEV_STS_RESET_IN_PROGRESS, resetting);
	EFA_SET(&status, EFA_REGS_DEV_STS_RESET_FINISHED, !resetting);
	EFA_SET(&status, EFA_REGS_DEV_STS_FATAL_ERROR, regs->fatal);
	return status;
}

static u32 read_register(struct regs *regs, u64 off)
{
	switch (off) {
	case EFA_REGS_VERSION_OFF:
		return VERSION;
	case EFA_REGS_CONTROLLER_VERSION_OFF:
		return CONTROLLER_VERSION;
	case EFA_REGS_CAPS_OFF:
		return CAPS;
	case EFA_REGS_DEV_STS_OFF:
		return device_status(regs);
	default:
		return off % 4 == 0 && off / 4 < REGS_COUNT ? *reg(regs, off) : ~0u;
	}
}

/* A register is read by writing its offset: the answer goes to the guest's memory. */
static void answer_read(struct regs *regs, u32 request)
{
	struct efa_admin_mmio_req_read_less_resp resp = {
		.req_id = EFA_GET(&request, EFA_REGS_MMIO_REG_READ_REQ_ID),
		.reg_off = EFA_GET(&request, EFA_REGS_MMIO_REG_READ_REG_OFF),
	};

	resp.reg_val = read_register(regs, resp.reg_off);
	regs->requests.response = true;
	regs->requests.response_addr = reg_address(regs, EFA_REGS_MMIO_RESP_LO_OFF);
	memcpy(&regs->requests.response_value, &resp, sizeof(resp));
}

static void arm_eq(struct regs *regs, u32 value)
{
	u16 eqn = EFA_GET(&value, EFA_REGS_EQ_DB_EQN);

	if (!EFA_GET(&value, EFA_REGS_EQ_DB_ARM))
		return;
	regs->requests.eq_armed[eqn % REGS_EQS] = true;
	regs->requests.eqn[eqn % REGS_EQS] = eqn;
}

/* DEV_CTL: the guest sets the bit, waits for the reset to begin, and takes the bit back. */
static void control(struct regs *regs, u32 value)
{
	if (EFA_GET(&value, EFA_REGS_DEV_CTL_DEV_RESET))
		forget(regs);
	*reg(regs, EFA_REGS_DEV_CTL_OFF) = value;
}

/* Returns whether the working thread has something to do. */
static bool write_register(struct regs *regs, u64 off, u32 value)
{
	switch (off) {
	case EFA_REGS_DEV_CTL_OFF:
		control(regs, value);
		return true;
	case EFA_REGS_MMIO_REG_READ_OFF:
		answer_read(regs, value);
		return true;
	case EFA_REGS_EQ_DB_OFF:
		arm_eq(regs, value);
		return true;
	case EFA_REGS_AQ_CAPS_OFF:
		regs->requests.aq = true;
		break;
	case EFA_REGS_ACQ_CAPS_OFF:
		regs->requests.acq = true;
		break;
	case EFA_REGS_AENQ_CAPS_OFF:
		regs->requests.aenq = true;
		break;
	}
	*reg(regs, off) = value;
	return off == EFA_REGS_AQ_PROD_DB_OFF;
}

/*
 * Tries to store the answer to a register read at once, since the guest's
 * processor spins for it; otherwise leaves it for the working thread.
 */
static void store_response(struct efa_device *dev)
{
	struct regs_requests *requests = &dev->regs.requests;
	u64 addr, value;
	bool pending;

	pthread_mutex_lock(&dev->regs.lock);
	pending = requests->response;
	addr = requests->response_addr;
	value = requests->response_value;
	requests->response = false;
	pthread_mutex_unlock(&dev->regs.lock);
	if (!pending || addr % sizeof(u64) ||
	    dev->host.store64(dev->host.ctx, addr, value) != -EAGAIN)
		return;

	pthread_mutex_lock(&dev->regs.lock);
	requests->response = true;
	requests->response_addr = addr;
	requests->response_value = value;
	pthread_mutex_unlock(&dev->regs.lock);
}

static void write_regs(struct efa_device *dev, u64 off, u32 value)
{
	bool work;

	if (off / 4 >= REGS_COUNT)
		return;
	pthread_mutex_lock(&dev->regs.lock);
	work = write_register(&dev->regs, off, value);
	pthread_mutex_unlock(&dev->regs.lock);
	if (off == EFA_REGS_MMIO_REG_READ_OFF)
		store_response(dev);
	if (work)
		dev->host.wake(dev->host.ctx);
}

/* A later doorbell overtakes an earlier one, but a completion queue stays armed. */
static void ring_doorbell(struct efa_device *dev, u64 off, u32 value)
{
	struct regs *regs = &dev->regs;
	u32 page = off >> DB_SHIFT;
	u64 bit = BIT(page % 64);

	if (off & (BIT(DB_SHIFT) - 1))
		return;
	pthread_mutex_lock(&regs->lock);
	if (regs->rung[page / 64] & bit && page >= EFA_DB_CQ_PAGES)
		value |= regs->doorbell[page] & EFA_CQ_DB_ARM_MASK;
	regs->doorbell[page] = value;
	regs->rung[page / 64] |= bit;
	pthread_mutex_unlock(&regs->lock);
	dev->host.wake(dev->host.ctx);
}

static u64 bar_size(unsigned int bar)
{
	switch (bar) {
	case EFA_BAR_REGS:
		return EFA_BAR_REGS_SIZE;
	case EFA_BAR_LLQ:
		return EFA_BAR_LLQ_SIZE;
	case EFA_BAR_DB:
		return EFA_BAR_DB_SIZE;
	default:
		return 0;
	}
}

static bool is_inside(unsigned int bar, u64 off, size_t len)
{
	return off < bar_size(bar) && len <= bar_size(bar) - off;
}

int efa_mmio_read(struct efa_device *dev, unsigned int bar, uint64_t off, void *buf, size_t len)
{
	if (!is_inside(bar, off, len))
		return -EINVAL;
	if (bar == EFA_BAR_LLQ) {
		memcpy(buf, dev->llq + off, len);
		return 0;
	}
	memset(buf, 0, len);
	if (bar == EFA_BAR_REGS && len == sizeof(u32)) {
		u32 value;

		pthread_mutex_lock(&dev->regs.lock);
		value = read_register(&dev->regs, off);
		pthread_mutex_unlock(&dev->regs.lock);
		memcpy(buf, &value, sizeof(value));
	}
	return 0;
}

int efa_mmio_write(struct efa_device *dev, unsigned int bar, uint64_t off, const void *buf,
		   size_t len)
{
	if (!is_inside(bar, off, len))
		return -EINVAL;
	if (bar == EFA_BAR_LLQ) {
		memcpy(dev->llq + off, buf, len);
		return 0;
	}
	if ((len != 4 && len != 8) || off % len) {
		device_event(dev, "BAR %u: write of %zu bytes to %#lx dropped", bar, len, off);
		return 0;
	}
	for (size_t i = 0; i < len; i += 4) {
		u32 value;

		memcpy(&value, (const u8 *)buf + i, sizeof(value));
		if (bar == EFA_BAR_REGS)
			write_regs(dev, off + i, value);
		else
			ring_doorbell(dev, off + i, value);
	}
	return 0;
}
