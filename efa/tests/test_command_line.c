// SPDX-License-Identifier: GPL-2.0-only
/*
 * The program as a script sees it: it is the efa-emu in the same folder as
 * this test.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "vfio_wire.h"

extern char **environ;

static char program[PATH_MAX];

struct run {
	pid_t pid;
	int out; /* standard output and error */
	char text[4096]; /* what came out of it so far */
};

/* Runs the program with @args, words with single spaces between them. */
static void start(struct run *run, const char *args)
{
	char words[1024], *argv[16] = { "efa-emu" };
	posix_spawn_file_actions_t actions;
	int fds[2], n = 1;

	snprintf(words, sizeof(words), "%s", args);
	for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
		argv[n++] = word;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
	posix_spawn_file_actions_adddup2(&actions, fds[1], 2);
	assert_int_equal(posix_spawn(&run->pid, program, &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	run->out = fds[0];
	run->text[0] = '\0';
}

/* Reads on until @what has come out or, if it is NULL, the end. */
static void read_until(struct run *run, const char *what)
{
	size_t used = strlen(run->text);
	ssize_t n;

	while (!what || !strstr(run->text, what)) {
		n = read(run->out, run->text + used, sizeof(run->text) - 1 - used);
		if (n <= 0)
			break;
		used += n;
		run->text[used] = '\0';
	}
	if (what && !strstr(run->text, what))
		fail_msg("no '%s' in '%s'", what, run->text);
}

/* Waits for the program's end; its exit status. */
static int end(struct run *run)
{
	int status;

	read_until(run, NULL);
	close(run->out);
	assert_int_equal(waitpid(run->pid, &status, 0), run->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void assert_refused(const char *args, const char *why)
{
	struct run run;

	start(&run, args);
	assert_int_equal(end(&run), 2);
	if (!strstr(run.text, why))
		fail_msg("'%s': no '%s' in '%s'", args, why, run.text);
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* A client that has negotiated. */
static int connect_client(const char *path)
{
	const struct {
		struct vfio_user_header hdr;
		struct vfio_user_version version;
	} msg = { .hdr = { .command = VFIO_USER_VERSION, .size = sizeof(msg) } };
	char reply[256];
	int fd = connect_to(path);

	assert_int_equal(send(fd, &msg, sizeof(msg), MSG_NOSIGNAL), sizeof(msg));
	assert_true(recv(fd, reply, sizeof(reply), 0) > 0);
	return fd;
}

/* A socket at @path, listening or left over from a process that died. */
static int make_socket(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void nonsense_is_refused(void **state)
{
	char longest[200];

	(void)state;
	assert_refused("", "no device given");
	assert_refused("-v", "no device given");
	assert_refused("--nonsense a=s", "nonsense");
	assert_refused("-x a=s", "x");
	assert_refused("--dma-log", "requires an argument");
	assert_refused("a", "not NAME=SOCKET");
	assert_refused("a=", "not NAME=SOCKET");
	assert_refused("=s", "a name has");
	assert_refused("a/b=s", "a name has");
	assert_refused("a=s a=t", "two devices of this name");
	assert_refused("a=s b=s", "two devices on this socket");
	assert_refused("--wait=x a=s", "not a number of seconds");
	assert_refused("--wait=-1 a=s", "not a number of seconds");
	assert_refused("--wait=86401 a=s", "not a number of seconds");
	assert_refused("--dma-log=/nonexistent/log a=s", "/nonexistent/log: No such file");
	assert_refused("a=/nonexistent/s", "/nonexistent/s: No such file");
	assert_refused("a=/dev/null", "not a socket");
	snprintf(longest, sizeof(longest), "a=%0108d", 0);
	assert_refused(longest, "too long");
}

static void help_is_given(void **state)
{
	struct run run;

	(void)state;
	start(&run, "--help");
	assert_int_equal(end(&run), 0);
	read_until(&run, "usage: efa-emu");
}

static void a_socket_in_use_is_refused(void **state)
{
	int fd = make_socket("s");

	(void)state;
	assert_refused("a=t b=s", "somebody listens");
	assert_int_equal(access("t", F_OK), -1);
	assert_refused("a=s", "somebody listens");
	assert_refused("a=s", "somebody listens"); /* by now its queue is full */
	close(fd);
	unlink("s");
}

static void a_stale_socket_is_replaced(void **state)
{
	struct run run;

	(void)state;
	close(make_socket("s"));
	start(&run, "a=s");
	read_until(&run, "ready\n");
	close(connect_client("s"));
	assert_int_equal(end(&run), 0);
}

static void a_signal_ends_it_cleanly(void **state)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct run run;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		start(&run, "a=s b=t");
		read_until(&run, "ready\n");
		fd = connect_client("s");
		kill(run.pid, signals[i]);
		assert_int_equal(end(&run), 0);
		assert_int_equal(access("s", F_OK), -1);
		assert_int_equal(access("t", F_OK), -1);
		close(fd);
	}
}

static void it_ends_with_its_last_client(void **state)
{
	struct run run;
	int a, b;

	(void)state;
	start(&run, "-v --dma-log=log --reuse-keys a=s b=t c=u");
	read_until(&run, "ready\n");
	a = connect_client("s");
	b = connect_client("t");
	close(a);
	read_until(&run, "a: the client has gone\n");
	a = connect_client("s");
	close(b);
	read_until(&run, "b: the client has gone\n");
	close(a);
	assert_int_equal(end(&run), 0);
	assert_int_equal(access("log", F_OK), 0);
	unlink("log");
}

static void who_does_not_negotiate_is_no_client(void **state)
{
	struct run run;

	(void)state;
	start(&run, "-v a=s");
	read_until(&run, "ready\n");
	close(connect_to("s"));
	read_until(&run, "not a client");
	close(connect_client("s"));
	assert_int_equal(end(&run), 0);
}

static void it_does_not_wait_for_ever(void **state)
{
	struct run run;

	(void)state;
	start(&run, "--wait=1 a=s");
	assert_int_equal(end(&run), 1);
	read_until(&run, "no client came within 1 seconds");
}

static char folder[] = "/tmp/efa-emu-XXXXXX";

static int setup(void **state)
{
	ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);

	(void)state;
	if (len < 0)
		return -1;
	program[len] = '\0';
	strcpy(strrchr(program, '/'), "/efa-emu");
	return !mkdtemp(folder) || chdir(folder) ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(help_is_given),
		cmocka_unit_test(a_socket_in_use_is_refused),
		cmocka_unit_test(a_stale_socket_is_replaced),
		cmocka_unit_test(a_signal_ends_it_cleanly),
		cmocka_unit_test(it_ends_with_its_last_client),
		cmocka_unit_test(who_does_not_negotiate_is_no_client),
		cmocka_unit_test(it_does_not_wait_for_ever),
	};

	return cmocka_run_group_tests_name("command_line", tests, setup, teardown);
}
