// SPDX-License-Identifier: GPL-2.0-only
/*
 * The peer does nothing with RDMA but lend its memory: the client reads and writes it. Over the
 * control connection the client asks for three things: new bytes, a look at the bytes, the end.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control.h"
#include "drive.h"
#include "pattern.h"
#include "rdma.h"
#include "report.h"
#include "server.h"

#define MAX_LENGTH (4ull << 30) /* what a client may ask for */

struct server {
	struct rdma rdma;
	struct ibv_mr *mr;
	void *memory;
	uint64_t length;
	int control;
};

/* Memory of the length that the client names, registered for its reads and writes. */
static int lend_memory(struct server *server)
{
	char line[CONTROL_LINE];

	if (control_hear(server->control, line))
		return -1;
	if (sscanf(line, "cmb-rdma 1 length %" SCNu64, &server->length) != 1)
		return fail("the client does not speak this protocol: '%s'", line);
	if (!server->length || server->length > MAX_LENGTH || server->length % DRIVE_ALIGN)
		return fail("the client asked for %" PRIu64 " bytes", server->length);
	server->memory = host_map(server->length);
	if (!server->memory)
		return -1;
	server->mr = ibv_reg_mr(server->rdma.pd, server->memory, server->length,
				IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ |
				IBV_ACCESS_REMOTE_WRITE);
	if (!server->mr)
		return fail_errno(errno, "cannot register %" PRIu64 " bytes (ulimit -l?)",
				  server->length);
	server->rdma.local.addr = (uintptr_t)server->memory;
	server->rdma.local.rkey = server->mr->rkey;
	return 0;
}

static int connect_client(struct server *server)
{
	if (rdma_create_qp(&server->rdma, 1) ||
	    rdma_endpoint_hear(server->control, &server->rdma.remote) ||
	    rdma_connect(&server->rdma))
		return -1;
	return rdma_endpoint_say(server->control, &server->rdma.local);
}

static int serve(struct server *server)
{
	char line[CONTROL_LINE];
	uint64_t seed;

	while (!control_hear(server->control, line)) {
		int err = 0;

		if (sscanf(line, "fill %" SCNu64, &seed) == 1) {
			pattern_fill(server->memory, server->length, seed, 0);
			err = control_say(server->control, "filled");
		} else if (!strcmp(line, "dump")) {
			/*
			 * The CPU reads what RDMA wrote only from here on: the client says this
			 * line when its writes are known to be in this memory (see settle_writes()
			 * there). Watching the memory change would prove nothing about the rest.
			 */
			err = control_send(server->control, server->memory, server->length);
		} else if (!strcmp(line, "bye")) {
			return 0;
		} else if (strcmp(line, "alive")) {
			err = fail("the client said '%s'", line);
		}
		if (err)
			return -1;
	}
	return -1;
}

enum status server_run(const struct options *options)
{
	struct server server = { .control = -1 };
	int err;

	err = rdma_open(&server.rdma, options->device, options->gid_index);
	if (!err) {
		server.control = control_accept(options->port, options->timeout);
		err = server.control < 0 || lend_memory(&server) || connect_client(&server) ||
		      serve(&server);
	}
	if (!err)
		printf("lent %" PRIu64 " bytes of host memory; the client is done\n",
		       server.length);
	if (server.mr)
		ibv_dereg_mr(server.mr);
	rdma_close(&server.rdma);
	if (server.memory)
		munmap(server.memory, server.length);
	if (server.control >= 0)
		close(server.control);
	return err ? STATUS_ERROR : STATUS_VERIFIED;
}
