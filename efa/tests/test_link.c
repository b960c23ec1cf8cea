// SPDX-License-Identifier: GPL-2.0-only
/* A connection with a client that does not answer, or not in time. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "vfio_link.h"

struct fixture {
	struct vfio_link link;
	int sock; /* the client's end */
	struct vfio_message msg;
};

static struct fixture fixture;

static int setup(void **state)
{
	int pair[2];

	*state = &fixture;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -1;
	vfio_link_init(&fixture.link);
	fixture.link.timeout_s = 1;
	vfio_link_attach(&fixture.link, pair[1]);
	fixture.sock = pair[0];
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	vfio_link_detach(&f->link);
	vfio_link_destroy(&f->link);
	close(f->sock);
	return 0;
}

static void send_header(struct fixture *f, struct vfio_user_header hdr)
{
	hdr.size = sizeof(hdr);
	assert_int_equal(send(f->sock, &hdr, sizeof(hdr), 0), sizeof(hdr));
}

static void a_dma_without_a_reply_times_out(void **state)
{
	struct fixture *f = *state;
	char buf[8];

	assert_int_equal(vfio_link_dma(&f->link, false, 0, buf, sizeof(buf)), -ETIMEDOUT);
}

static void a_reply_that_is_late_is_dropped(void **state)
{
	struct fixture *f = *state;
	char buf[8];

	assert_int_equal(vfio_link_dma(&f->link, false, 0, buf, sizeof(buf)), -ETIMEDOUT);
	send_header(f, (struct vfio_user_header){ .id = 0, .command = VFIO_USER_DMA_READ,
						  .flags = VFIO_USER_TYPE_REPLY });
	send_header(f, (struct vfio_user_header){ .id = 7, .command = VFIO_USER_DEVICE_RESET });
	assert_int_equal(vfio_link_receive(&f->link, &f->msg), 0);
	assert_int_equal(f->msg.hdr.id, 7);
	vfio_link_answer(&f->link, &f->msg, 0);
}

static void a_client_that_does_not_read_is_cut_off(void **state)
{
	static uint8_t buf[VFIO_USER_MAX_XFER];
	struct fixture *f = *state;
	int err;

	do
		err = vfio_link_dma(&f->link, true, 0, buf, sizeof(buf));
	while (err == -ETIMEDOUT); /* until the socket is full */
	assert_int_equal(err, -ENOTCONN);
	assert_int_equal(vfio_link_receive(&f->link, &f->msg), -ENOTCONN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_dma_without_a_reply_times_out, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reply_that_is_late_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(a_client_that_does_not_read_is_cut_off, setup,
						teardown),
	};

	return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
