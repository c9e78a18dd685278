#include "http/helper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "core/json.h"

#define HELPER_MS 30000
#define HELPER_SLICE_MS 20
#define INPUT_MAX (32 * OCI_KIB) /* fits a socket's buffer */
#define TOKEN_USER "<token>"

extern char **environ;

static bool name_ok(const char *name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t len = strlen(name);
	return len > 0 && len <= 64 && name[0] != '.' && name[0] != '-' && strspn(name, plain) == len;
}

/* Its stdin and stdout are one end of a socket pair: written once, then read to the end. */
static int spawn(const char *program, const char *verb, int theirs, pid_t *ret, struct oci_error *err)
{
	char *argv[] = {(char *)program, (char *)verb, NULL};
	posix_spawn_file_actions_t actions;

	if (posix_spawn_file_actions_init(&actions) != 0)
		return oci_fail_nomem(err);
	posix_spawn_file_actions_adddup2(&actions, theirs, 0);
	posix_spawn_file_actions_adddup2(&actions, theirs, 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	int sys = posix_spawnp(ret, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (sys != 0)
		return oci_fail(err, OCI_E_AUTH, "%s; install it, or take it out of the credentials file",
			sys == ENOENT ? "there is no such program" : "it cannot be run");
	return 0;
}

static int read_answer(int fd, struct oci_buf *out, uint64_t until, struct oci_error *err)
{
	char chunk[4096];

	for (;;) {
		uint64_t now = oci_clock_ms();
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		if (now >= until)
			return oci_fail(err, OCI_E_AUTH, "no answer for %d s", HELPER_MS / 1000);
		int ready = poll(&wait, 1, (int)(until - now));
		if (ready < 0 && errno != EINTR)
			return oci_fail_sys(err, errno, OCI_E_AUTH, "poll");
		if (ready <= 0)
			continue;
		ssize_t n = read(fd, chunk, sizeof chunk);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return 0;
		if (n < 0)
			return oci_fail_sys(err, errno, OCI_E_AUTH, "read");
		if (oci_buf_append(out, chunk, (size_t)n, err) < 0)
			return -1;
	}
}

/* The exit status, or -1 for a program that had to be killed. */
static int reap(pid_t pid, uint64_t until)
{
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (oci_clock_ms() >= until) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -1;
		}
		oci_clock_sleep_ms(HELPER_SLICE_MS);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Its answer is garbage, or it never comes: that is the helper's fault. */
static int talk(int fd, const struct oci_buf *input, struct oci_buf *out, uint64_t until, struct oci_error *err)
{
	struct oci_error why = {0};

	/* it fits the socket's buffer: this cannot block */
	if (send(fd, input->data, input->len, MSG_NOSIGNAL) < 0 && errno != EPIPE)
		return oci_fail_sys(err, errno, OCI_E_AUTH, "write");
	shutdown(fd, SHUT_WR);
	if (read_answer(fd, out, until, &why) == 0)
		return 0;
	if (why.code == OCI_E_FORMAT)
		return oci_fail(err, OCI_E_AUTH, "it prints more than 1 MiB");
	if (err && !err->code)
		*err = why;
	return -1;
}

static int run(const char *program, const char *verb, const struct oci_buf *input, struct oci_buf *out, int *ret,
	struct oci_error *err)
{
	oci_autoclose int ours = -1;
	oci_autoclose int theirs = -1;
	uint64_t until = oci_clock_ms() + HELPER_MS;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return oci_fail_sys(err, errno, OCI_E_AUTH, "socketpair");
	ours = pair[0];
	theirs = pair[1];
	if (spawn(program, verb, theirs, &pid, err) < 0)
		return -1;
	close(oci_steal_fd(&theirs));
	int rc = talk(ours, input, out, until, err);
	if (rc < 0)
		kill(pid, SIGKILL);
	*ret = reap(pid, until);
	return rc;
}

static void wipe(struct oci_buf *buf)
{
	if (buf->data)
		explicit_bzero(buf->data, buf->len);
	oci_buf_clear(buf);
}

/* One request to docker-credential-<name>; 1: it knows nothing of the server. */
static int ask(const char *name, const char *verb, const struct oci_buf *input, struct oci_buf *out,
	struct oci_error *err)
{
	char program[96], safe[OCI_STR_ESCAPE_MAX];
	int status = -1;

	if (!name_ok(name))
		return oci_fail(err, OCI_E_USAGE, "credential helper '%s' has no usable name",
			oci_str_escape(name, safe));
	snprintf(program, sizeof program, "docker-credential-%s", name);
	if (run(program, verb, input, out, &status, err) < 0)
		return oci_wrap(err, "credential helper '%s'", program);
	if (status == 0)
		return 0;
	if (strstr(oci_buf_text(out), "credentials not found"))
		return 1;
	oci_fail(err, OCI_E_AUTH, "'%s' ended with status %d; run it by hand to see why", verb, status);
	return oci_wrap(err, "credential helper '%s'", program);
}

static int read_credentials(const struct oci_buf *text, struct oci_credentials *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;

	doc = oci_json_parse(oci_buf_text(text), text->len, &OCI_JSON_SMALL, NULL);
	const char *user = oci_json_text(doc, "Username");
	const char *secret = oci_json_text(doc, "Secret");
	if (!user || !secret)
		return oci_fail(err, OCI_E_AUTH, "its answer is not JSON with Username and Secret; run it by hand to see why");
	if (strcmp(user, TOKEN_USER) == 0)
		return oci_str_set(&ret->identity_token, secret, err);
	if (oci_str_set(&ret->username, user, err) < 0)
		return -1;
	return oci_str_set(&ret->password, secret, err);
}

int oci_helper_get(const char *name, const char *server, struct oci_credentials *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf input;
	OCI_CLEANUP(wipe) struct oci_buf out;

	oci_buf_init(&input, INPUT_MAX);
	oci_buf_init(&out, OCI_MIB);
	if (oci_buf_puts(&input, server, err) < 0)
		return -1;
	int rc = ask(name, "get", &input, &out, err);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (read_credentials(&out, ret, err) < 0)
		return oci_wrap(err, "credential helper 'docker-credential-%s'", name);
	return 0;
}

int oci_helper_store(const char *name, const char *server, const struct oci_credentials *c,
	struct oci_error *err)
{
	OCI_CLEANUP(wipe) struct oci_buf input;
	OCI_CLEANUP(wipe) struct oci_buf out;
	struct oci_json_writer w;

	oci_buf_init(&input, INPUT_MAX);
	oci_buf_init(&out, OCI_MIB);
	oci_json_begin(&w, &input);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "ServerURL", server);
	oci_json_put_text(&w, "Username", c->identity_token ? TOKEN_USER : c->username);
	oci_json_put_text(&w, "Secret", c->identity_token ? c->identity_token : c->password);
	oci_json_close(&w);
	if (oci_json_end(&w, err) < 0)
		return oci_wrap(err, "credentials for a helper");
	int rc = ask(name, "store", &input, &out, err);
	return rc == 1 ? oci_fail(err, OCI_E_AUTH, "credential helper '%s' keeps nothing", name) : rc;
}

int oci_helper_erase(const char *name, const char *server, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf input;
	OCI_CLEANUP(wipe) struct oci_buf out;

	oci_buf_init(&input, INPUT_MAX);
	oci_buf_init(&out, OCI_MIB);
	if (oci_buf_puts(&input, server, err) < 0)
		return -1;
	return ask(name, "erase", &input, &out, err) < 0 ? -1 : 0;
}
