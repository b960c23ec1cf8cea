// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dma_log.h"

static char path[] = "/tmp/dma-log-XXXXXX";

/* What the file holds after its first line, at most 1 KiB. */
static const char *lines(void)
{
	static char text[1024];
	FILE *f = fopen(path, "r");
	size_t len;

	assert_non_null(f);
	len = fread(text, 1, sizeof(text) - 1, f);
	text[len] = '\0';
	fclose(f);
	assert_int_equal(text[0], '#');
	return strchr(text, '\n') + 1;
}

static void each_access_is_a_line(void **state)
{
	struct dma_log *log = *state;

	dma_log_add(log, "efa_0", &(struct dma_access){
		.kind = EFA_DMA_PAYLOAD, .peer = true, .addr = 0xfe000000, .len = 65536 });
	dma_log_add(log, "efa_0", &(struct dma_access){
		.kind = EFA_DMA_QUEUE, .write = true, .addr = 0, .len = 8 });
	dma_log_add(log, "b", &(struct dma_access){
		.kind = EFA_DMA_ADMIN, .addr = UINT64_MAX, .len = 1 });
	assert_string_equal(lines(), "efa_0 payload read peer 0xfe000000 65536\n"
				     "efa_0 queue write ram 0x0 8\n"
				     "b admin read ram 0xffffffffffffffff 1\n");
}

static void errors_are_named(void **state)
{
	struct dma_log *log = *state;

	dma_log_add(log, "a", &(struct dma_access){ .peer = true, .len = 1, .err = -ENODEV });
	dma_log_add(log, "a", &(struct dma_access){ .peer = true, .len = 1, .err = -4000 });
	assert_string_equal(lines(), "a payload read peer 0x0 1 failed -ENODEV\n"
				     "a payload read peer 0x0 1 failed -4000\n");
}

static void no_log_is_fine(void **state)
{
	(void)state;
	dma_log_add(NULL, "a", &(struct dma_access){ .len = 1 });
	assert_int_equal(dma_log_close(NULL), 0);
}

static void a_file_that_cannot_be_made_is_an_error(void **state)
{
	(void)state;
	assert_null(dma_log_open("/nonexistent/log"));
	assert_int_equal(errno, ENOENT);
}

static void lost_lines_are_noticed(void **state)
{
	struct dma_log *log = dma_log_open("/dev/full");

	(void)state;
	assert_non_null(log);
	dma_log_add(log, "a", &(struct dma_access){ .len = 1 });
	assert_int_equal(dma_log_close(log), -EIO);
}

static int setup(void **state)
{
	int fd;

	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	*state = dma_log_open(path);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	unlink(path);
	return dma_log_close(*state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_access_is_a_line, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_are_named, setup, teardown),
		cmocka_unit_test(no_log_is_fine),
		cmocka_unit_test(a_file_that_cannot_be_made_is_an_error),
		cmocka_unit_test(lost_lines_are_noticed),
	};

	return cmocka_run_group_tests_name("dma_log", tests, NULL, NULL);
}
