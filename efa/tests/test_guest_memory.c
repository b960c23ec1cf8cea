// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory without a socket: a sealed memfd is the guest's RAM and a
 * recorder takes what would go by message.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest_memory.h"
#include "vfio_wire.h"

#define PAGE 4096ul
#define RAM_SIZE (64 * PAGE)
#define MAX (64ul << 10)

struct fixture {
	struct guest_memory *mem;
	int fd; /* RAM */
	uint8_t *ram;
	char calls[1024]; /* messages, as text */
	int peer_err;	  /* what the next message answers */
	bool remap;	  /* the peer maps and unmaps during a message */
};

/* Data from the peer is 0xee. */
static int peer_dma(void *ctx, bool write, uint64_t addr, void *buf, size_t len)
{
	struct fixture *f = ctx;
	size_t used = strlen(f->calls);

	snprintf(f->calls + used, sizeof(f->calls) - used, "%c%lx+%zu ", write ? 'w' : 'r', addr,
		 len);
	if (!write)
		memset(buf, 0xee, len);
	if (f->remap)
		return guest_memory_map(f->mem, 0x900000, PAGE, true, true, f->fd, 0) ?:
		       guest_memory_unmap(f->mem, 0x900000, PAGE);
	return f->peer_err;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct guest_memory_peer peer = { .ctx = f, .max = MAX, .dma = peer_dma };

	f->fd = memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (f->fd < 0 || ftruncate(f->fd, RAM_SIZE) || fcntl(f->fd, F_ADD_SEALS, F_SEAL_SHRINK))
		return -1;
	f->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	f->mem = guest_memory_new(&peer, NULL, "efa_0");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	guest_memory_free(f->mem);
	munmap(f->ram, RAM_SIZE);
	close(f->fd);
	free(f);
	return 0;
}

/* @pages of RAM from page @page on, at @addr. */
static int map(struct fixture *f, uint64_t addr, unsigned long page, unsigned long pages)
{
	return guest_memory_map(f->mem, addr, pages * PAGE, true, true, f->fd, page * PAGE);
}

static int read_mem(struct fixture *f, uint64_t addr, void *buf, size_t len)
{
	return guest_memory_read(f->mem, EFA_DMA_PAYLOAD, addr, buf, len);
}

static int write_mem(struct fixture *f, uint64_t addr, const void *buf, size_t len)
{
	return guest_memory_write(f->mem, EFA_DMA_PAYLOAD, addr, buf, len);
}

static void mapped_memory_is_accessed_in_place(void **state)
{
	struct fixture *f = *state;
	char buf[6] = "";

	assert_int_equal(map(f, 0x100000, 2, 4), 0);
	assert_int_equal(write_mem(f, 0x100ffd, "hello", 6), 0);
	assert_memory_equal(f->ram + 2 * PAGE + 0xffd, "hello", 6);
	assert_int_equal(read_mem(f, 0x100ffd, buf, 6), 0);
	assert_string_equal(buf, "hello");
	assert_string_equal(f->calls, "");
}

static void words_are_written_whole(void **state)
{
	struct fixture *f = *state;
	const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	assert_int_equal(map(f, 0, 0, 1), 0);
	for (int off = 0; off < 8; off++) {
		assert_int_equal(write_mem(f, 0x100 + 0x20 * off + off, bytes, 8), 0);
		assert_memory_equal(f->ram + 0x100 + 0x20 * off + off, bytes, 8);
		assert_int_equal(write_mem(f, 0x800 + 0x20 * off + off, bytes, 4), 0);
		assert_memory_equal(f->ram + 0x800 + 0x20 * off + off, bytes, 4);
	}
}

static void messages_are_split_at_their_limit(void **state)
{
	struct fixture *f = *state;
	uint8_t *buf = calloc(1, 3 * MAX);

	assert_int_equal(read_mem(f, 0x1003, buf, 2 * MAX + 1), 0);
	assert_string_equal(f->calls, "r1003+65536 r11003+65536 r21003+1 ");
	assert_int_equal(buf[0], 0xee);
	assert_int_equal(buf[2 * MAX], 0xee);
	assert_int_equal(buf[2 * MAX + 1], 0);
	f->calls[0] = '\0';
	assert_int_equal(write_mem(f, 0, buf, MAX), 0);
	assert_string_equal(f->calls, "w0+65536 ");
	free(buf);
}

static void an_access_crosses_ranges_that_touch(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[3 * PAGE];

	memset(f->ram, 1, PAGE);
	memset(f->ram + 9 * PAGE, 2, PAGE);
	assert_int_equal(map(f, 0x10000, 0, 1), 0);
	assert_int_equal(map(f, 0x11000, 9, 1), 0);
	assert_int_equal(read_mem(f, 0x10ff0, buf, 32), 0);
	assert_int_equal(buf[15], 1);
	assert_int_equal(buf[16], 2);
	assert_string_equal(f->calls, "");
}

static void an_access_crosses_gaps_and_ranges_without_a_file(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[5 * PAGE] = { };

	assert_int_equal(map(f, 0x11000, 0, 1), 0);
	assert_int_equal(guest_memory_map(f->mem, 0x12000, PAGE, true, true, -1, 0), 0);
	assert_int_equal(map(f, 0x13000, 1, 1), 0);
	assert_int_equal(read_mem(f, 0x10000, buf, sizeof(buf)), 0);
	assert_string_equal(f->calls, "r10000+4096 r12000+4096 r14000+4096 ");
	assert_int_equal(buf[PAGE], 0);
	assert_int_equal(buf[2 * PAGE], 0xee);
}

static void a_failed_message_ends_the_access(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[2 * PAGE];

	f->peer_err = -ENODEV;
	assert_int_equal(map(f, 0x11000, 0, 1), 0);
	f->ram[0] = 7;
	buf[PAGE] = 0;
	assert_int_equal(read_mem(f, 0x10000, buf, sizeof(buf)), -ENODEV);
	assert_int_equal(buf[PAGE], 0);
}

static void the_end_of_the_address_space_is_a_place_like_any(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[16] = { 1 };

	assert_int_equal(map(f, -PAGE, 0, 1), 0);
	assert_int_equal(write_mem(f, -16, buf, 16), 0);
	assert_int_equal(f->ram[PAGE - 16], 1);
	assert_int_equal(guest_memory_store64(f->mem, -8, 5), 0);
	assert_int_equal(write_mem(f, -8, buf, 16), -EINVAL);
	assert_int_equal(write_mem(f, -8, buf, 0), 0);
	assert_int_equal(guest_memory_unmap(f->mem, -PAGE, PAGE), 0);
	assert_string_equal(f->calls, "");
}

static void permissions_hold(void **state)
{
	struct fixture *f = *state;
	uint64_t v = 1;

	assert_int_equal(guest_memory_map(f->mem, 0, PAGE, true, false, f->fd, 0), 0);
	assert_int_equal(guest_memory_map(f->mem, PAGE, PAGE, false, true, f->fd, 0), 0);
	assert_int_equal(guest_memory_map(f->mem, 2 * PAGE, PAGE, true, false, -1, 0), 0);
	assert_int_equal(write_mem(f, 0, &v, 8), -EACCES);
	assert_int_equal(guest_memory_store64(f->mem, 0, 1), -EAGAIN);
	assert_int_equal(read_mem(f, 0, &v, 8), 0);
	assert_int_equal(read_mem(f, PAGE, &v, 8), -EACCES);
	assert_int_equal(write_mem(f, PAGE, &v, 8), 0);
	assert_int_equal(write_mem(f, 2 * PAGE, &v, 8), -EACCES);
	assert_string_equal(f->calls, "");
}

static void store64_needs_a_mapped_aligned_word(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(f, 0x10000, 0, 1), 0);
	assert_int_equal(guest_memory_map(f->mem, 0x11000, PAGE, true, true, -1, 0), 0);
	assert_int_equal(guest_memory_store64(f->mem, 0x10ff8, 0x0123456789abcdef), 0);
	assert_int_equal(*(uint64_t *)(void *)(f->ram + 0xff8), 0x0123456789abcdef);
	assert_int_equal(guest_memory_store64(f->mem, 0x10004, 1), -EAGAIN);
	assert_int_equal(guest_memory_store64(f->mem, 0x0fff8, 1), -EAGAIN);
	assert_int_equal(guest_memory_store64(f->mem, 0x11000, 1), -EAGAIN);
	assert_int_equal(guest_memory_store64(f->mem, 0x12000, 1), -EAGAIN);
}

static void ranges_do_not_overlap(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(f, 0x10000, 0, 4), 0);
	assert_int_equal(map(f, 0x13000, 0, 1), -EEXIST);
	assert_int_equal(map(f, 0x0f000, 0, 2), -EEXIST);
	assert_int_equal(map(f, 0x0f000, 0, 8), -EEXIST);
	assert_int_equal(map(f, 0x14000, 0, 1), 0);
	assert_int_equal(map(f, 0x0f000, 0, 1), 0);
}

static void only_whole_ranges_are_unmapped(void **state)
{
	struct fixture *f = *state;
	uint8_t b;

	assert_int_equal(map(f, 0x10000, 0, 4), 0);
	assert_int_equal(guest_memory_unmap(f->mem, 0x10000, PAGE), -ENOENT);
	assert_int_equal(guest_memory_unmap(f->mem, 0x11000, 3 * PAGE), -ENOENT);
	assert_int_equal(guest_memory_unmap(f->mem, 0x10000, 0), -ENOENT);
	assert_int_equal(guest_memory_unmap(f->mem, 0x10000, 4 * PAGE), 0);
	assert_int_equal(guest_memory_unmap(f->mem, 0x10000, 4 * PAGE), -ENOENT);
	assert_int_equal(read_mem(f, 0x10000, &b, 1), 0);
	assert_string_equal(f->calls, "r10000+1 ");
}

static void what_cannot_be_mapped_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(f, 0, 0, 0), -EINVAL);
	assert_int_equal(map(f, -PAGE, 0, 2), -EINVAL);
	assert_int_equal(map(f, 0, 63, 2), -EINVAL);
	assert_int_equal(map(f, 0, 65, 1), -EINVAL);
	assert_int_equal(guest_memory_map(f->mem, 0, PAGE, true, true, f->fd, 1), -EINVAL);
	assert_int_equal(guest_memory_map(f->mem, 0, PAGE, true, true, f->fd, -PAGE), -EINVAL);
}

static void the_number_of_ranges_has_a_limit(void **state)
{
	struct fixture *f = *state;

	for (uint64_t i = 0; i < VFIO_USER_MAX_DMA_MAPS; i++)
		assert_int_equal(guest_memory_map(f->mem, i * PAGE, PAGE, true, true, -1, 0), 0);
	assert_int_equal(guest_memory_map(f->mem, 1ul << 40, PAGE, true, true, -1, 0), -ENOSPC);
	guest_memory_unmap_all(f->mem);
	assert_int_equal(map(f, 0, 0, 1), 0);
}

static void a_file_that_may_shrink_is_reached_by_message(void **state)
{
	struct fixture *f = *state;
	int fd = memfd_create("loose", MFD_CLOEXEC);
	uint8_t b;

	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(guest_memory_map(f->mem, 0, PAGE, true, true, fd, 0), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(read_mem(f, 0, &b, 1), 0);
	assert_string_equal(f->calls, "r0+1 ");
	close(fd);
}

static void no_lock_is_held_during_a_message(void **state)
{
	struct fixture *f = *state;
	uint8_t b;

	f->remap = true;
	assert_int_equal(read_mem(f, 0, &b, 1), 0);
}

static void *remap_all_the_time(void *arg)
{
	struct fixture *f = arg;

	for (int i = 0; i < 2000; i++) {
		if (map(f, 0x10000, 0, 1) || guest_memory_unmap(f->mem, 0x10000, PAGE))
			return f;
	}
	return NULL;
}

static void an_unmap_may_come_during_an_access(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[PAGE] = { };
	pthread_t thread;
	void *failed;

	assert_int_equal(pthread_create(&thread, NULL, remap_all_the_time, f), 0);
	for (int i = 0; i < 2000; i++) {
		write_mem(f, 0x10000, buf, sizeof(buf));
		guest_memory_store64(f->mem, 0x10000, i);
		f->calls[0] = '\0';
	}
	pthread_join(thread, &failed);
	assert_null(failed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mapped_memory_is_accessed_in_place),
		TEST(words_are_written_whole),
		TEST(messages_are_split_at_their_limit),
		TEST(an_access_crosses_ranges_that_touch),
		TEST(an_access_crosses_gaps_and_ranges_without_a_file),
		TEST(a_failed_message_ends_the_access),
		TEST(the_end_of_the_address_space_is_a_place_like_any),
		TEST(permissions_hold),
		TEST(store64_needs_a_mapped_aligned_word),
		TEST(ranges_do_not_overlap),
		TEST(only_whole_ranges_are_unmapped),
		TEST(what_cannot_be_mapped_is_refused),
		TEST(the_number_of_ranges_has_a_limit),
		TEST(a_file_that_may_shrink_is_reached_by_message),
		TEST(no_lock_is_held_during_a_message),
		TEST(an_unmap_may_come_during_an_access),
	};

	return cmocka_run_group_tests_name("guest_memory", tests, NULL, NULL);
}
