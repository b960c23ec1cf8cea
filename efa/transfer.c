// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>

#include "transfer.h"

static const struct mr *segment_region(const struct memory *memory, const struct segment *segment)
{
	return mr_find(memory->dev, segment->key, memory->pd, memory->access, segment->addr,
		       segment->len);
}

bool memory_is_valid(const struct memory *memory)
{
	/* As in InfiniBand, nothing is asked of a segment without bytes. */
	for (unsigned int i = 0; i < memory->count; i++)
		if (memory->segments[i].len && !segment_region(memory, &memory->segments[i]))
			return false;
	return true;
}

/* Reads into @in or writes from @out, whichever is not NULL, a part of one region. */
static int copy_region(struct efa_device *dev, const struct mr *mr, u64 addr, size_t len, u8 *in,
		       const u8 *out)
{
	for (size_t done = 0; done < len;) {
		size_t run = len - done;
		u64 bus = mr_translate(mr, addr + done, &run);
		int err;

		if (in)
			err = device_read(dev, EFA_DMA_PAYLOAD, bus, in + done, run);
		else
			err = device_write(dev, EFA_DMA_PAYLOAD, bus, out + done, run);
		if (err)
			return err;
		done += run;
	}
	return 0;
}

static int copy(const struct memory *memory, u64 offset, size_t len, u8 *in, const u8 *out)
{
	for (unsigned int i = 0; i < memory->count && len; i++) {
		const struct segment *segment = &memory->segments[i];
		const struct mr *mr;
		size_t part;
		int err;

		if (offset >= segment->len) {
			offset -= segment->len;
			continue;
		}
		part = segment->len - offset < len ? segment->len - offset : len;
		mr = segment_region(memory, segment);
		err = mr ? copy_region(memory->dev, mr, segment->addr + offset, part, in, out) :
			   -EFAULT;
		if (err)
			return err;
		in = in ? in + part : NULL;
		out = out ? out + part : NULL;
		len -= part;
		offset = 0;
	}
	return len ? -EFAULT : 0;
}

int memory_read(const struct memory *memory, u64 offset, void *buf, size_t len)
{
	if (memory->inline_data) {
		memcpy(buf, memory->inline_data + offset, len);
		return 0;
	}
	return copy(memory, offset, len, buf, NULL);
}

int memory_write(const struct memory *memory, u64 offset, const void *buf, size_t len)
{
	return copy(memory, offset, len, NULL, buf);
}
