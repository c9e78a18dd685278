#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "http/credentials_file.h"
#include "http/login.h"
#include "login.h"

#define SECRET_MAX (16 * OCI_KIB)
#define SLICE_MS 200

struct login_flags {
	const char *username;
	bool password_stdin;
	struct registry_flags registry;
};

static void wipe(struct oci_buf *buf)
{
	if (buf->data)
		explicit_bzero(buf->data, buf->len);
	oci_buf_clear(buf);
}

/* asking */

/* To the end of the line, or of everything. A read would not end at a signal, a poll does. */
static int read_text(const struct invocation *inv, int fd, bool line, struct oci_buf *out, struct oci_error *err)
{
	char c;

	for (;;) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		int ready = poll(&wait, 1, SLICE_MS);
		if (atomic_load(inv->cancel))
			return oci_fail(err, OCI_E_CANCELLED, "cancelled");
		if (ready <= 0)
			continue;
		ssize_t n = read(fd, &c, 1);
		if (n < 0)
			return oci_fail_sys(err, errno, OCI_E_IO, "cannot read the password");
		if (n == 0 || (line && c == '\n'))
			return 0;
		if (oci_buf_append(out, &c, 1, err) < 0)
			return -1;
	}
}

/* A question on the terminal itself: stdin and stdout may be something else. */
static int ask(const struct invocation *inv, int tty, const char *question, bool secret, struct oci_buf *out,
	struct oci_error *err)
{
	struct termios old;
	bool hidden = secret && tcgetattr(tty, &old) == 0;

	if (oci_fs_write_all(tty, question, strlen(question), err) < 0)
		return -1;
	if (hidden) {
		struct termios quiet = old;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(tty, TCSAFLUSH, &quiet);
	}
	int rc = read_text(inv, tty, true, out, err);
	if (hidden) {
		tcsetattr(tty, TCSAFLUSH, &old);
		(void)!write(tty, "\n", 1);
	}
	return rc;
}

static int ask_both(const struct invocation *inv, struct oci_buf *user, struct oci_buf *word, struct oci_error *err)
{
	const struct login_flags *flags = inv->flags;
	oci_autoclose int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (tty < 0)
		return command_misused(inv->command, err,
			"no terminal to ask at; use --username and --password-stdin");
	if (!flags->username && ask(inv, tty, "User name: ", false, user, err) < 0)
		return -1;
	return ask(inv, tty, "Password: ", true, word, err);
}

static int read_stdin(const struct invocation *inv, struct oci_buf *word, struct oci_error *err)
{
	const struct login_flags *flags = inv->flags;

	if (!flags->username)
		return command_misused(inv->command, err, "option '--password-stdin' needs --username");
	if (read_text(inv, STDIN_FILENO, false, word, err) < 0)
		return oci_wrap(err, "standard input");
	/* the line end that echo adds is not part of it */
	if (word->len > 0 && word->data[word->len - 1] == '\n')
		word->data[--word->len] = '\0';
	if (word->len > 0 && word->data[word->len - 1] == '\r')
		word->data[--word->len] = '\0';
	return 0;
}

static int get_credentials(const struct invocation *inv, struct oci_credentials *ret, struct oci_error *err)
{
	const struct login_flags *flags = inv->flags;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf user;
	OCI_CLEANUP(wipe) struct oci_buf word;

	oci_buf_init(&user, SECRET_MAX);
	oci_buf_init(&word, SECRET_MAX);
	int rc = flags->password_stdin ? read_stdin(inv, &word, err) : ask_both(inv, &user, &word, err);
	if (rc < 0)
		return -1;
	const char *name = flags->username ? flags->username : oci_buf_text(&user);
	if (!*name || strchr(name, ':'))
		return oci_fail(err, OCI_E_USAGE, "a user name is not empty and holds no ':'");
	if (word.len == 0 || strlen(word.data) != word.len)
		return oci_fail(err, OCI_E_USAGE, "the password is empty, or no text");
	if (oci_str_set(&ret->username, name, err) < 0)
		return -1;
	return oci_str_set(&ret->password, word.data, err);
}

/* doing */

static int check(const struct invocation *inv, const char *registry, const struct oci_credentials *c,
	struct oci_error *err)
{
	const struct login_flags *flags = inv->flags;
	struct oci_store_options store;
	bool asked = false;

	if (common_store_options(inv, &flags->registry, &store, err) < 0)
		return -1;
	oci_autofree char *host = strndup(registry, strcspn(registry, "/"));
	if (!host)
		return oci_fail_nomem(err);
	struct oci_http_options options = {
		.host = oci_http_asked_at(host), .credentials_for = registry, .credentials = c,
		.plain_http = store.plain_http, .tls_insecure = store.tls_insecure, .ca_file = store.ca_file,
		.cert_file = store.cert_file, .key_file = store.key_file,
		.cancel = inv->cancel, .observer = inv->observer,
	};
	if (oci_login_check(&options, &asked, err) < 0)
		return -1;
	if (!asked)
		oci_event_warn(inv->observer, "'%s' lets anybody in: whether the password is right is not known", host);
	return 0;
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct login_flags *flags = inv->flags;
	OCI_CLEANUP(oci_credentials_clear) struct oci_credentials c = {0};
	oci_autofree char *registry = NULL, *path = NULL, *place = NULL;
	const char *authfile = NULL;

	if (login_registry(inv->operands[0], &registry, err) < 0 ||
		login_authfile(inv, &flags->registry, &authfile, err) < 0 ||
		oci_credentials_target(authfile, &path, err) < 0 || get_credentials(inv, &c, err) < 0 ||
		check(inv, registry, &c, err) < 0 || oci_credentials_save(path, registry, &c, &place, err) < 0)
		return -1;
	oci_event_note(inv->observer, "logged in to '%s'; the password is kept in '%s'", registry, place);
	return 0;
}

static const struct opt opts[] = {
	{OPT_TEXT('u', "username", struct login_flags, username), .metavar = "USER", .help = "who logs in"},
	{OPT_FLAG(0, "password-stdin", struct login_flags, password_stdin),
		.help = "read the password, or a token in its place, from standard input"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "HOST", .help = "the registry, or HOST/NAMESPACE for what is below it alone", .min = 1, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	LOGIN_GROUP(struct login_flags, registry),
	{0},
};

static const struct example examples[] = {
	{"asks for name and password", "login reg.example"},
	{"in a script", "login reg.example -u ci --password-stdin < secret"},
	{0},
};

const struct command cmd_login = {
	.name = "login",
	.summary = "keep credentials for a registry, once it takes them",
	.about = "They are kept in the file of --authfile or REGISTRY_AUTH_FILE, else in the first that exists of the "
		 "files that podman and docker share ($DOCKER_CONFIG/config.json, containers/auth.json, "
		 "~/.docker/config.json), else in a new ~/.docker/config.json; where that file names a credential "
		 "helper, in the helper. Nothing else in the file changes; it can be read by its owner alone.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(OCI_E_AUTH, OCI_E_FORMAT, OCI_E_NETWORK, OCI_E_TLS, OCI_E_PERM, OCI_E_IO),
	.flags_size = sizeof(struct login_flags),
	.run = run,
};
