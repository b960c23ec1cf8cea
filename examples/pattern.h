/* SPDX-License-Identifier: GPL-2.0-only */
/* Seeded pseudo-random bytes that both sides can make: SplitMix64, words in little-endian order. */
#ifndef PATTERN_H
#define PATTERN_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>

static inline uint64_t pattern_word(uint64_t seed, uint64_t index)
{
	uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* The bytes at @offset of the stream that @seed names; @offset and @len are multiples of 8. */
static inline void pattern_fill(void *buf, size_t len, uint64_t seed, uint64_t offset)
{
	uint64_t *words = buf;

	for (size_t i = 0; i < len / 8; i++)
		words[i] = htole64(pattern_word(seed, offset / 8 + i));
}

#endif
