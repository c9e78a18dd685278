/* main.c - from argv to a command, from its failure to an exit code */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "command.h"
#include "common.h"
#include "config_build.h"
#include "failure.h"
#include "help.h"
#include "http/rate.h"
#include "metrics.h"
#include "ui.h"

/* A signal handler has nowhere else to write to. */
static atomic_int cancelled;

static void on_signal(int number)
{
	atomic_store(&cancelled, number);
}

/* The first signal asks for an orderly end; a second interrupt is obeyed at
 * once. What the parent ignores (nohup, background jobs) stays ignored. */
static void catch_signals(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction old, ask = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		sigaction(numbers[i], NULL, &old);
		if (old.sa_handler == SIG_IGN)
			continue;
		ask.sa_flags = numbers[i] == SIGINT ? SA_RESTART | (int)SA_RESETHAND : SA_RESTART;
		sigaction(numbers[i], &ask, NULL);
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is a full disk to us */
}

/* A standard descriptor that is closed would become a file of ours. In the
 * wrong direction, so that its use still fails. */
static void occupy_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
	}
}

/* What is known at the end of a run. */
struct ending {
	const struct command *command; /* NULL: none was found */
	char done[UI_NOTE_MAX];        /* the last note */
};

static int run_command(struct ending *ending, char **operands, size_t count, const void *flags, struct oci_error *err)
{
	static const struct output_flags unset = {.progress = UI_PROGRESS_AUTO};
	const struct command *command = ending->command;
	const struct output_flags *output = common_output(command, flags);
	struct metrics metrics;
	struct oci_rate rate;
	struct ui ui;

	output = output ? output : &unset;
	oci_rate_init(&rate);
	ui_init(&ui, stderr, ui_mode_for(stderr, output->progress, output->json, output->quiet));
	ui.trace = output->trace;
	metrics_init(&metrics, &ui.observer);
	struct invocation inv = {
		.command = command,
		.flags = flags,
		.operands = (const char *const *)operands,
		.operand_count = count,
		.observer = &metrics.observer,
		.cancel = &cancelled,
		.rate = &rate,
	};
	int rc = command->run(&inv, err);
	if (output->metrics_file)
		metrics_write(&metrics, output->metrics_file, command->name,
			rc < 0 ? failure_exit_code(err, atomic_load(&cancelled)) : OCI_OK);
	memcpy(ending->done, ui.last_note, sizeof ending->done);
	metrics_clear(&metrics);
	ui_finish(&ui);
	oci_rate_clear(&rate);
	return rc;
}

static int parse_and_run(struct ending *ending, char **args, struct oci_error *err)
{
	const struct command *command = ending->command;
	size_t count = 0;
	void *flags = calloc(1, command->flags_size + 1);

	if (!flags)
		return oci_fail_nomem(err);
	int rc = opt_parse(command, args, flags, &count, err);
	if (rc == 0)
		rc = run_command(ending, args, count, flags, err);
	else if (rc > 0)
		help_print_command(stdout, command);
	opt_clear(command, flags);
	free(flags);
	return rc < 0 ? -1 : 0;
}

static int dispatch(char **args, struct ending *ending, struct oci_error *err)
{
	const char *word = args[0];
	char shown[OCI_STR_ESCAPE_MAX];

	if (!word)
		return oci_fail(err, OCI_E_USAGE, "no command given; see 'modelcar help'");
	if (strcmp(word, "--version") == 0) {
		puts("modelcar " MODELCAR_VERSION);
		return 0;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		help_print_overview(stdout);
		return 0;
	}
	if (word[0] == '-')
		return oci_fail(err, OCI_E_USAGE,
			"option '%s' stands before the command; see 'modelcar help'",
			oci_str_escape(word, shown));
	ending->command = command_find(word, err);
	return ending->command ? parse_and_run(ending, args + 1, err) : -1;
}

/* Under the names that KServe starts it by, with operands alone. */
static const struct command *named_after(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;

	if (strcmp(name, cmd_storage_initializer.name) == 0 || strcmp(name, "initializer-entrypoint") == 0)
		return &cmd_storage_initializer;
	return NULL;
}

static int start(char **argv, struct ending *ending, struct oci_error *err)
{
	if (!argv[0])
		return oci_fail(err, OCI_E_USAGE, "no arguments at all");
	ending->command = named_after(argv[0]);
	return ending->command ? parse_and_run(ending, argv + 1, err) : dispatch(argv + 1, ending, err);
}

/* A result that was not written whole is no result. */
static int finish_stdout(struct oci_error *err)
{
	errno = 0;
	bool failed = ferror(stdout) != 0;
	if (fclose(stdout) == 0 && !failed)
		return 0;
	return oci_fail(err, OCI_E_IO, "the result could not be written to standard output%s%s",
		errno ? ": " : "", errno ? strerror(errno) : "");
}

int main(int argc, char **argv)
{
	struct ending ending = {.command = NULL};
	struct oci_error err = {0};
	int code;

	occupy_standard_descriptors();
	catch_signals();
	if (start(argv, &ending, &err) == 0 && finish_stdout(&err) == 0) {
		failure_none(ending.done);
		return 0;
	}
	code = failure_report(&err, atomic_load(&cancelled));
	return ending.command && ending.command->plain_exit && code < OCI_E_CANCELLED ? OCI_E_BUG : code;
}
