/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vfio-user connection: whole messages over one stream socket, in both
 * directions at once.  One reader thread receives and answers the client's
 * commands; any other thread may send DMA commands of ours and wait for their
 * replies, which the reader thread delivers.
 *
 * Errors are negative errnos; -ENOTCONN means that there is no client (any more).
 */
#ifndef VFIO_LINK_H
#define VFIO_LINK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio_wire.h"

/*
 * A command of the client; its reply is made in place: payload, @len and
 * @reply_fd (-1 for none, not owned).
 */
struct vfio_message {
	struct vfio_user_header hdr;
	_Alignas(uint64_t) uint8_t payload[VFIO_USER_MAX_PAYLOAD];
	size_t len; /* bytes in payload */
	int fds[VFIO_USER_MAX_FDS]; /* owned by the message; -1 once taken from it */
	unsigned int nfds;
	int reply_fd;
};

struct vfio_call;

struct vfio_link {
	/* How long to wait for a reply, and for a client that does not read. */
	unsigned int timeout_s;
	pthread_mutex_t send; /* one message at a time on the way out; held before @lock */
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t answered;
	int sock; /* -1 without a client */
	bool closed;
	struct vfio_call *calls; /* commands of ours without a reply */
	uint16_t next_id;
};

/* The caller may change @timeout_s before there is a client. */
void vfio_link_init(struct vfio_link *link);
/* There must be no client and nobody in any other function. */
void vfio_link_destroy(struct vfio_link *link);

/* A client came on @sock, which the link now owns.  Reader thread only. */
void vfio_link_attach(struct vfio_link *link, int sock);
/* The client is gone: closes the socket; all that wait get -ENOTCONN.  Reader thread only. */
void vfio_link_detach(struct vfio_link *link);
/* Ends this connection and at once any that is attached later; from any thread. */
void vfio_link_close(struct vfio_link *link);

/*
 * The client's next command; delivers replies that arrive before it.  After 0
 * no DMA command of ours leaves before vfio_link_answer(): the client may be
 * unable to serve one until it has its reply.  Any error, -EPROTO for a
 * malformed message, is the end of the connection.  Reader thread only.
 */
int vfio_link_receive(struct vfio_link *link, struct vfio_message *msg);
/*
 * Answers with the payload in @msg, or with @err if that is not 0, unless the
 * client asked for no reply; closes the descriptors left in @msg.
 */
void vfio_link_answer(struct vfio_link *link, struct vfio_message *msg, int err);

/*
 * Reads or writes at most VFIO_USER_MAX_XFER bytes of the client's memory by
 * message and waits for the reply.  Returns 0, the client's error, -ENOTCONN,
 * -EPROTO for a reply that does not fit, or -ETIMEDOUT.
 */
int vfio_link_dma(struct vfio_link *link, bool write, uint64_t addr, void *buf, size_t len);

#endif
