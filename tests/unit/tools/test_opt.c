#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "command.h"

enum colour { RED, GREEN };

struct shared_flags {
	bool verify;
	const char *file;
};

struct flags {
	bool quiet, verbose;
	const char *tag;
	struct oci_strings exclude;
	uint64_t jobs, limit, wait_ms;
	enum colour colour;
	struct shared_flags shared, source;
};

static const char *const colours[] = {"red", "green", NULL};

static const struct opt opts[] = {
	{OPT_FLAG('q', "quiet", struct flags, quiet), .help = "say nothing"},
	{OPT_FLAG('v', "verbose", struct flags, verbose), .help = "say more"},
	{OPT_TEXT('t', "tag", struct flags, tag), .metavar = "TAG", .help = "tag"},
	{OPT_TEXTS('x', "exclude", struct flags, exclude), .metavar = "GLOB", .help = "leave out"},
	{OPT_NUMBER('j', "jobs", struct flags, jobs), .metavar = "N", .min = 1, .max = 64, .preset = "4",
		.help = "workers"},
	{OPT_SIZE(0, "limit-rate", struct flags, limit), .metavar = "SIZE", .help = "bytes a second"},
	{OPT_DURATION(0, "wait", struct flags, wait_ms), .metavar = "TIME", .help = "how long"},
	{OPT_CHOICE(0, "colour", struct flags, colour), .metavar = "COLOUR", .choices = colours,
		.help = "which"},
	{0},
};

static const struct opt shared_opts[] = {
	{OPT_FLAG(0, "tls-verify", struct shared_flags, verify), .preset = "true", .help = "check"},
	{OPT_TEXT('f', "ca-file", struct shared_flags, file), .metavar = "FILE", .help = "trust"},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	{.title = "Shared", .opts = shared_opts, .field = offsetof(struct flags, shared)},
	{.title = "Source", .prefix = "src-", .opts = shared_opts, .field = offsetof(struct flags, source)},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "REF", .help = "one", .min = 1, .max = 1},
	{.name = "DEST", .help = "perhaps", .max = 2},
	{0},
};

static const struct command command = {
	.name = "fetch",
	.summary = "fetch",
	.operands = operands,
	.groups = groups,
	.flags_size = sizeof(struct flags),
};

/* One parsed command line. */
struct line {
	struct flags flags;
	char *args[16];
	size_t count;
	struct oci_error err;
	int rc;
};

static void parse(struct line *line, ...)
{
	va_list words;
	size_t n = 0;

	*line = (struct line){.count = 0};
	va_start(words, line);
	while ((line->args[n] = va_arg(words, char *)) != NULL)
		assert_true(++n < 16);
	va_end(words);
	line->rc = opt_parse(&command, line->args, &line->flags, &line->count, &line->err);
}

static void clear(struct line *line)
{
	opt_clear(&command, &line->flags);
}

static void assert_misuse(struct line *line, const char *text)
{
	assert_int_equal(line->rc, -1);
	assert_int_equal(line->err.code, OCI_E_USAGE);
	if (!strstr(line->err.text, text))
		fail_msg("'%s' does not say '%s'", line->err.text, text);
	assert_non_null(strstr(line->err.text, "; see 'modelcar fetch --help'"));
	assert_null(strchr(line->err.text, '\n'));
	clear(line);
}

static void values_stand_after_an_equals_sign_or_in_the_next_word(void **state)
{
	struct line line;
	parse(&line, "--tag=a=b", "--jobs", "8", "ref", NULL);
	assert_int_equal(line.rc, 0);
	assert_string_equal(line.flags.tag, "a=b");
	assert_int_equal(line.flags.jobs, 8);
	clear(&line);
}

static void flags_are_switched_off_with_equals_false(void **state)
{
	struct line line;
	parse(&line, "--tls-verify=false", "--quiet=yes", "ref", NULL);
	assert_int_equal(line.rc, 0);
	assert_false(line.flags.shared.verify);
	assert_true(line.flags.quiet);
	clear(&line);
}

static void flags_take_no_value_from_the_next_word(void **state)
{
	struct line line;
	parse(&line, "--quiet", "false", NULL);
	assert_int_equal(line.rc, 0);
	assert_true(line.flags.quiet);
	assert_string_equal(line.args[0], "false");
	clear(&line);
}

static void letters_are_joined_and_take_glued_values(void **state)
{
	struct line line;
	parse(&line, "-qvtlatest", "-j", "2", "ref", NULL);
	assert_int_equal(line.rc, 0);
	assert_true(line.flags.quiet);
	assert_true(line.flags.verbose);
	assert_string_equal(line.flags.tag, "latest");
	assert_int_equal(line.flags.jobs, 2);
	clear(&line);
}

static void operands_come_to_the_front_in_their_order(void **state)
{
	struct line line;
	parse(&line, "ref", "-q", "d1", "--", "--quiet", NULL);
	assert_int_equal(line.rc, 0);
	assert_int_equal(line.count, 3);
	assert_string_equal(line.args[0], "ref");
	assert_string_equal(line.args[1], "d1");
	assert_string_equal(line.args[2], "--quiet");
	clear(&line);
}

static void a_dash_alone_is_an_operand(void **state)
{
	struct line line;
	parse(&line, "-", NULL);
	assert_int_equal(line.rc, 0);
	assert_int_equal(line.count, 1);
	clear(&line);
}

static void repeatable_options_collect(void **state)
{
	struct line line;
	parse(&line, "-x", "*.bin", "--exclude=*.pt", "ref", NULL);
	assert_int_equal(line.rc, 0);
	assert_int_equal(line.flags.exclude.count, 2);
	assert_string_equal(line.flags.exclude.items[1], "*.pt");
	clear(&line);
}

static void the_last_of_two_values_counts(void **state)
{
	struct line line;
	parse(&line, "--tag=a", "--tag=b", "ref", NULL);
	assert_string_equal(line.flags.tag, "b");
	clear(&line);
}

static void sizes_durations_and_choices_are_read(void **state)
{
	struct line line;
	parse(&line, "--limit-rate=1.5Gi", "--wait=15m", "--colour=green", "ref", NULL);
	assert_int_equal(line.rc, 0);
	assert_int_equal(line.flags.limit, 3 * 512 * 1024 * 1024);
	assert_int_equal(line.flags.wait_ms, 15 * 60 * 1000);
	assert_int_equal(line.flags.colour, GREEN);
	clear(&line);
	parse(&line, "--wait=90", "ref", NULL);
	assert_int_equal(line.flags.wait_ms, 90000);
	clear(&line);
	parse(&line, "--wait=250ms", "ref", NULL);
	assert_int_equal(line.flags.wait_ms, 250);
	clear(&line);
}

static void presets_hold_where_nothing_else_is_said(void **state)
{
	struct line line;
	parse(&line, "ref", NULL);
	assert_int_equal(line.rc, 0);
	assert_int_equal(line.flags.jobs, 4);
	assert_true(line.flags.shared.verify);
	assert_true(line.flags.source.verify);
	assert_null(line.flags.tag);
	clear(&line);
}

static void a_prefix_makes_a_second_set_of_options(void **state)
{
	struct line line;
	parse(&line, "--src-tls-verify=false", "--src-ca-file=s.pem", "--ca-file=b.pem", "ref", NULL);
	assert_int_equal(line.rc, 0);
	assert_true(line.flags.shared.verify);
	assert_false(line.flags.source.verify);
	assert_string_equal(line.flags.source.file, "s.pem");
	assert_string_equal(line.flags.shared.file, "b.pem");
	clear(&line);
	parse(&line, "-fone.pem", "ref", NULL);
	assert_string_equal(line.flags.shared.file, "one.pem");
	assert_null(line.flags.source.file);
	clear(&line);
}

static void the_environment_fills_in_and_the_command_line_wins(void **state)
{
	struct line line;
	setenv("MODELCAR_TAG", "env", 1);
	setenv("MODELCAR_JOBS", "7", 1);
	setenv("MODELCAR_EXCLUDE", "a*\n\nb*\n", 1);
	setenv("MODELCAR_SRC_CA_FILE", "e.pem", 1);
	setenv("MODELCAR_COLOUR", "", 1);
	parse(&line, "--jobs=3", "ref", NULL);
	assert_int_equal(line.rc, 0);
	assert_string_equal(line.flags.tag, "env");
	assert_int_equal(line.flags.jobs, 3);
	assert_int_equal(line.flags.exclude.count, 2);
	assert_string_equal(line.flags.exclude.items[1], "b*");
	assert_string_equal(line.flags.source.file, "e.pem");
	assert_int_equal(line.flags.colour, RED);
	clear(&line);
	parse(&line, "--exclude=c*", "ref", NULL);
	assert_int_equal(line.flags.exclude.count, 1);
	clear(&line);
}

static void a_wrong_variable_is_named(void **state)
{
	struct line line;
	setenv("MODELCAR_JOBS", "many", 1);
	parse(&line, "ref", NULL);
	assert_misuse(&line, "variable 'MODELCAR_JOBS': 'many' is not a number");
}

static void help_wins_over_what_is_missing(void **state)
{
	struct line line;
	parse(&line, "--help", NULL);
	assert_int_equal(line.rc, 1);
	clear(&line);
	parse(&line, "-qh", NULL);
	assert_int_equal(line.rc, 1);
	clear(&line);
}

static void misuse_names_the_option_and_the_next_step(void **state)
{
	struct line line;
	parse(&line, "--tls-verfy", "ref", NULL);
	assert_misuse(&line, "unknown option '--tls-verfy', did you mean '--tls-verify'");
	parse(&line, "--zzzzzzzz", "ref", NULL);
	assert_misuse(&line, "unknown option '--zzzzzzzz';");
	parse(&line, "-Z", "ref", NULL);
	assert_misuse(&line, "unknown option '-Z'");
	parse(&line, "ref", "--tag", NULL);
	assert_misuse(&line, "option '--tag' needs a value, TAG");
	parse(&line, "--tag=", "ref", NULL);
	assert_misuse(&line, "option '--tag': the value is empty");
	parse(&line, "--quiet=maybe", "ref", NULL);
	assert_misuse(&line, "option '--quiet': 'maybe' is not true or false");
	parse(&line, "--colour=blue", "ref", NULL);
	assert_misuse(&line, "option '--colour': 'blue' is not one of red, green");
}

static void numbers_out_of_bounds_are_refused(void **state)
{
	struct line line;
	parse(&line, "--jobs=0", "ref", NULL);
	assert_misuse(&line, "option '--jobs': '0' is below the least, 1");
	parse(&line, "-j65", "ref", NULL);
	assert_misuse(&line, "option '-j': '65' is above the most, 64");
	parse(&line, "--jobs=-1", "ref", NULL);
	assert_misuse(&line, "'-1' is not a number");
	parse(&line, "--wait=99999999999999999d", "ref", NULL);
	assert_misuse(&line, "is not a duration");
	parse(&line, "--wait=5x", "ref", NULL);
	assert_misuse(&line, "is not a duration");
}

static void operands_are_counted(void **state)
{
	struct line line;
	parse(&line, "-q", NULL);
	assert_misuse(&line, "REF is missing");
	parse(&line, "a", "b", "c", "d", NULL);
	assert_misuse(&line, "'d' is one operand too many");
}

static void foreign_bytes_do_not_reach_the_message(void **state)
{
	struct line line;
	parse(&line, "--jobs=\033[2J\n", "ref", NULL);
	assert_null(strchr(line.err.text, '\033'));
	assert_misuse(&line, "is not a number");
	parse(&line, "--\033\n", "ref", NULL);
	assert_null(strchr(line.err.text, '\033'));
	assert_misuse(&line, "unknown option");
}

static int forget_environment(void **state)
{
	for (struct opt_iter i = opt_begin(groups); i.opt; opt_next(&i)) {
		char variable[OPT_ENV_MAX];
		unsetenv(opt_env_name(i.name, variable));
	}
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, forget_environment, forget_environment)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(values_stand_after_an_equals_sign_or_in_the_next_word),
		T(flags_are_switched_off_with_equals_false),
		T(flags_take_no_value_from_the_next_word),
		T(letters_are_joined_and_take_glued_values),
		T(operands_come_to_the_front_in_their_order),
		T(a_dash_alone_is_an_operand),
		T(repeatable_options_collect),
		T(the_last_of_two_values_counts),
		T(sizes_durations_and_choices_are_read),
		T(presets_hold_where_nothing_else_is_said),
		T(a_prefix_makes_a_second_set_of_options),
		T(the_environment_fills_in_and_the_command_line_wins),
		T(a_wrong_variable_is_named),
		T(help_wins_over_what_is_missing),
		T(misuse_names_the_option_and_the_next_step),
		T(numbers_out_of_bounds_are_refused),
		T(operands_are_counted),
		T(foreign_bytes_do_not_reach_the_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
