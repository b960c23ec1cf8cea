/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the Linux EFA driver's headers (efa_*_defs.h) need of the kernel, for a
 * program: they are included from the kernel tree as they are.
 */
#ifndef EFA_LINUX_BITFIELD_H
#define EFA_LINUX_BITFIELD_H

#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define BIT(n)		(1ull << (n))
#define GENMASK(hi, lo) ((~0ull >> (63 - (hi))) & (~0ull << (lo)))

#define FIELD_GET(mask, value)	(((value) & (mask)) >> __builtin_ctzll(mask))
#define FIELD_PREP(mask, value) (((u64)(value) << __builtin_ctzll(mask)) & (mask))

#ifndef __packed
#define __packed __attribute__((packed))
#endif

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "descriptors are little-endian");

#endif
