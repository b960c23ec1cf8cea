// SPDX-License-Identifier: GPL-2.0-only
#include "vfio_link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* A DMA command that waits for its reply; lives on the stack of who waits. */
struct vfio_call {
	struct vfio_call *next;
	struct vfio_user_header hdr;
	struct vfio_user_dma_rw rw;
	void *data; /* where the reply's data goes; NULL for a write */
	int status; /* -EINPROGRESS until the reply is here */
};

void vfio_link_init(struct vfio_link *link)
{
	pthread_condattr_t attr;

	memset(link, 0, sizeof(*link));
	link->timeout_s = 10;
	link->sock = -1;
	pthread_mutex_init(&link->send, NULL);
	pthread_mutex_init(&link->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&link->answered, &attr);
	pthread_condattr_destroy(&attr);
}

void vfio_link_destroy(struct vfio_link *link)
{
	pthread_cond_destroy(&link->answered);
	pthread_mutex_destroy(&link->lock);
	pthread_mutex_destroy(&link->send);
}

void vfio_link_attach(struct vfio_link *link, int sock)
{
	struct timeval timeout = { .tv_sec = link->timeout_s };

	/* A client that does not read must not hold up the other devices' work for ever. */
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	pthread_mutex_lock(&link->lock);
	link->sock = sock;
	if (link->closed)
		shutdown(sock, SHUT_RDWR);
	pthread_mutex_unlock(&link->lock);
}

/* Ends the connection: the reader finds out and detaches. */
static void hang_up(struct vfio_link *link)
{
	pthread_mutex_lock(&link->lock);
	if (link->sock >= 0)
		shutdown(link->sock, SHUT_RDWR);
	pthread_mutex_unlock(&link->lock);
}

void vfio_link_close(struct vfio_link *link)
{
	pthread_mutex_lock(&link->lock);
	link->closed = true;
	pthread_mutex_unlock(&link->lock);
	hang_up(link);
}

void vfio_link_detach(struct vfio_link *link)
{
	struct vfio_call *call;
	int sock;

	/* Whoever sends now fails at once instead of after its timeout ... */
	hang_up(link);
	/* ... so that this waits for nobody. */
	pthread_mutex_lock(&link->send);
	pthread_mutex_lock(&link->lock);
	sock = link->sock;
	link->sock = -1;
	for (call = link->calls; call; call = call->next)
		if (call->status == -EINPROGRESS)
			call->status = -ENOTCONN;
	pthread_cond_broadcast(&link->answered);
	pthread_mutex_unlock(&link->lock);
	pthread_mutex_unlock(&link->send);
	close(sock);
}

/* Takes @done bytes off the front of what is still to be sent. */
static void advance(struct msghdr *out, size_t done)
{
	while (out->msg_iovlen && done >= out->msg_iov->iov_len) {
		done -= out->msg_iov->iov_len;
		out->msg_iov++;
		out->msg_iovlen--;
	}
	if (out->msg_iovlen) {
		out->msg_iov->iov_base = (char *)out->msg_iov->iov_base + done;
		out->msg_iov->iov_len -= done;
	}
}

/*
 * Sends all of @iov, with descriptor @fd unless it is -1.  The caller holds
 * @send, and so @sock stays what it is.  After an error the stream is in an
 * unknown place, so the connection ends.
 */
static int send_all(struct vfio_link *link, struct iovec *iov, size_t iovlen, int fd)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct msghdr out = { .msg_iov = iov, .msg_iovlen = iovlen };
	ssize_t done;

	if (fd >= 0) {
		out.msg_control = control.buf;
		out.msg_controllen = sizeof(control.buf);
		CMSG_FIRSTHDR(&out)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&out)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&out)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&out)), &fd, sizeof(int));
	}
	for (advance(&out, 0); out.msg_iovlen; advance(&out, done)) {
		done = sendmsg(link->sock, &out, MSG_NOSIGNAL);
		if (done < 0) {
			hang_up(link);
			return -ENOTCONN;
		}
		out.msg_control = NULL;
		out.msg_controllen = 0;
	}
	return 0;
}

static void close_fds(struct vfio_message *msg)
{
	for (unsigned int i = 0; i < msg->nfds; i++)
		if (msg->fds[i] >= 0)
			close(msg->fds[i]);
	msg->nfds = 0;
}

/* Moves the descriptors that came with @in to @msg; -EPROTO when those are too many. */
static int take_fds(struct vfio_message *msg, struct msghdr *in)
{
	int err = in->msg_flags & MSG_CTRUNC ? -EPROTO : 0;
	struct cmsghdr *c;
	size_t n;
	int fd;

	for (c = CMSG_FIRSTHDR(in); c; c = CMSG_NXTHDR(in, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (msg->nfds < VFIO_USER_MAX_FDS) {
				msg->fds[msg->nfds++] = fd;
			} else {
				close(fd);
				err = -EPROTO;
			}
		}
	}
	return err;
}

/* Receives exactly @len bytes; descriptors that come with any of them go to @msg. */
static int receive_all(struct vfio_link *link, struct vfio_message *msg, void *buf, size_t len)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(VFIO_USER_MAX_FDS * sizeof(int))];
	} control;
	size_t got = 0;

	while (got < len) {
		struct iovec iov = { .iov_base = (char *)buf + got, .iov_len = len - got };
		struct msghdr in = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.buf,
			.msg_controllen = sizeof(control.buf),
		};
		ssize_t n = recvmsg(link->sock, &in, MSG_WAITALL | MSG_CMSG_CLOEXEC);

		if (n < 0 || (n == 0 && got == 0))
			return -ENOTCONN;
		if (n == 0 || take_fds(msg, &in))
			return -EPROTO;
		got += n;
	}
	return 0;
}

static int receive_message(struct vfio_link *link, struct vfio_message *msg)
{
	int err;

	msg->nfds = 0;
	msg->reply_fd = -1;
	err = receive_all(link, msg, &msg->hdr, sizeof(msg->hdr));
	if (err)
		return err;
	if (msg->hdr.size < sizeof(msg->hdr) ||
	    msg->hdr.size - sizeof(msg->hdr) > sizeof(msg->payload))
		return -EPROTO;
	msg->len = msg->hdr.size - sizeof(msg->hdr);
	if (msg->len && receive_all(link, msg, msg->payload, msg->len))
		return -EPROTO;
	return 0;
}

/* What @msg, a reply to @call, says; copies the data of a read. */
static int call_status(struct vfio_call *call, const struct vfio_message *msg)
{
	const struct vfio_user_dma_rw *rw = (const void *)msg->payload;

	if (msg->hdr.command != call->hdr.command)
		return -EPROTO;
	if (msg->hdr.flags & VFIO_USER_FLAG_ERROR)
		return msg->hdr.error - 1 < 4095 ? -(int)msg->hdr.error : -EIO;
	/* The specification wants a payload after a write; QEMU sends none. */
	if (!call->data)
		return 0;
	if (msg->len != sizeof(*rw) + call->rw.count || rw->addr != call->rw.addr ||
	    rw->count != call->rw.count)
		return -EPROTO;
	memcpy(call->data, rw + 1, rw->count);
	return 0;
}

/* A reply that nobody waits for (any more) came after a timeout: it is dropped. */
static void deliver_reply(struct vfio_link *link, const struct vfio_message *msg)
{
	struct vfio_call *call;

	pthread_mutex_lock(&link->lock);
	for (call = link->calls; call; call = call->next)
		if (call->hdr.id == msg->hdr.id && call->status == -EINPROGRESS)
			break;
	if (call) {
		call->status = call_status(call, msg);
		pthread_cond_broadcast(&link->answered);
	}
	pthread_mutex_unlock(&link->lock);
}

int vfio_link_receive(struct vfio_link *link, struct vfio_message *msg)
{
	int err;

	for (;;) {
		err = receive_message(link, msg);
		if (err)
			break;
		switch (msg->hdr.flags & VFIO_USER_TYPE_MASK) {
		case VFIO_USER_TYPE_COMMAND:
			pthread_mutex_lock(&link->send);
			return 0;
		case VFIO_USER_TYPE_REPLY:
			deliver_reply(link, msg);
			close_fds(msg);
			continue;
		}
		err = -EPROTO;
		break;
	}
	close_fds(msg);
	return err;
}

void vfio_link_answer(struct vfio_link *link, struct vfio_message *msg, int err)
{
	size_t len = err ? 0 : msg->len;
	struct vfio_user_header hdr = {
		.id = msg->hdr.id,
		.command = msg->hdr.command,
		.size = sizeof(hdr) + len,
		.flags = VFIO_USER_TYPE_REPLY | (err ? VFIO_USER_FLAG_ERROR : 0),
		.error = -err,
	};
	struct iovec iov[] = {
		{ .iov_base = &hdr, .iov_len = sizeof(hdr) },
		{ .iov_base = msg->payload, .iov_len = len },
	};

	if (!(msg->hdr.flags & VFIO_USER_FLAG_NO_REPLY))
		send_all(link, iov, 2, err ? -1 : msg->reply_fd);
	pthread_mutex_unlock(&link->send);
	close_fds(msg);
}

/* Sends @call, which is on the list of calls from here on, and its @data if it is a write. */
static int send_call(struct vfio_link *link, struct vfio_call *call, void *data)
{
	const size_t head = sizeof(call->hdr) + sizeof(call->rw);
	struct iovec iov[] = {
		{ .iov_base = &call->hdr, .iov_len = sizeof(call->hdr) },
		{ .iov_base = &call->rw, .iov_len = sizeof(call->rw) },
		{ .iov_base = data, .iov_len = call->hdr.size - head },
	};
	int err = -ENOTCONN;

	pthread_mutex_lock(&link->send);
	pthread_mutex_lock(&link->lock);
	call->hdr.id = link->next_id++;
	call->next = link->calls;
	link->calls = call;
	if (link->sock >= 0)
		err = 0;
	pthread_mutex_unlock(&link->lock);
	if (!err)
		err = send_all(link, iov, 3, -1);
	pthread_mutex_unlock(&link->send);
	return err;
}

/* Waits for the reply to @call and takes it off the list. */
static int wait_for_call(struct vfio_link *link, struct vfio_call *call, int err)
{
	struct vfio_call **p;
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += link->timeout_s;
	pthread_mutex_lock(&link->lock);
	while (!err && call->status == -EINPROGRESS)
		err = -pthread_cond_timedwait(&link->answered, &link->lock, &end);
	if (call->status != -EINPROGRESS)
		err = call->status;
	for (p = &link->calls; *p != call; p = &(*p)->next)
		;
	*p = call->next;
	pthread_mutex_unlock(&link->lock);
	return err;
}

int vfio_link_dma(struct vfio_link *link, bool write, uint64_t addr, void *buf, size_t len)
{
	struct vfio_call call = {
		.hdr = {
			.command = write ? VFIO_USER_DMA_WRITE : VFIO_USER_DMA_READ,
			.size = sizeof(call.hdr) + sizeof(call.rw) + (write ? len : 0),
		},
		.rw = { .addr = addr, .count = len },
		.data = write ? NULL : buf,
		.status = -EINPROGRESS,
	};

	return wait_for_call(link, &call, send_call(link, &call, buf));
}
