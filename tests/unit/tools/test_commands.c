#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "complete.h"
#include "exits.h"
#include "help.h"

static char *text_of(void (*print)(FILE *, const struct command *), const struct command *command)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	print(out, command);
	fclose(out);
	return text;
}

static void print_overview(FILE *out, const struct command *unused)
{
	help_print_overview(out);
}

static void assert_fits(const char *name, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");
		if (len > HELP_COLUMNS)
			fail_msg("%s: %zu columns: %.*s", name, len, (int)len, text);
		if (len > 0 && text[len - 1] == ' ')
			fail_msg("%s: blank at the end: %.*s", name, (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static void every_help_fits_80_columns(void **state)
{
	for (const struct command *const *c = commands; *c; c++) {
		oci_autofree char *text = text_of(help_print_command, *c);
		assert_fits((*c)->name, text);
	}
	oci_autofree char *text = text_of(print_overview, NULL);
	assert_fits("modelcar", text);
}

static void every_help_names_every_option_and_operand(void **state)
{
	for (const struct command *const *c = commands; *c; c++) {
		oci_autofree char *text = text_of(help_print_command, *c);
		char wanted[OPT_NAME_MAX + 4];
		for (struct opt_iter i = opt_begin((*c)->groups); i.opt; opt_next(&i)) {
			snprintf(wanted, sizeof wanted, "--%s", i.name);
			assert_non_null(strstr(text, wanted));
		}
		for (const struct opt_operand *o = (*c)->operands; o && o->name; o++)
			assert_non_null(strstr(text, o->name));
		assert_non_null(strstr(text, "Exit codes:"));
	}
}

static void every_command_has_an_example_that_begins_with_its_name(void **state)
{
	for (const struct command *const *c = commands; *c; c++) {
		assert_non_null((*c)->examples);
		assert_non_null((*c)->examples[0].text);
		for (const struct example *e = (*c)->examples; e->text; e++)
			assert_int_equal(strncmp(e->command, (*c)->name, strlen((*c)->name)), 0);
	}
}

static void assert_table_is_sound(const struct command *command)
{
	bool letters[256] = {false};
	size_t count = 0;

	for (struct opt_iter i = opt_begin(command->groups); i.opt; opt_next(&i), count++) {
		if (letters[(unsigned char)i.letter] && i.letter)
			fail_msg("%s: letter -%c twice", command->name, i.letter);
		letters[(unsigned char)i.letter] = true;
		assert_true(i.letter != 'h');
		assert_non_null(i.opt->help);
		assert_int_equal(i.opt->metavar == NULL, i.opt->type == OPT_TYPE_FLAG);
		assert_int_equal(i.opt->choices != NULL, i.opt->type == OPT_TYPE_CHOICE);
		struct opt_iter other = i;
		for (opt_next(&other); other.opt; opt_next(&other)) {
			if (strcmp(i.name, other.name) == 0)
				fail_msg("%s: --%s twice", command->name, i.name);
		}
	}
	assert_true(count <= OPT_COUNT_MAX);
}

static void tables_are_sound(void **state)
{
	for (const struct command *const *c = commands; *c; c++)
		assert_table_is_sound(*c);
}

/* What one command takes once another may take several times. */
static enum opt_type meaning_of(const struct opt *opt)
{
	return opt->type == OPT_TYPE_TEXTS ? OPT_TYPE_TEXT : opt->type;
}

static void assert_same_meaning(const struct command *a, const struct command *b)
{
	for (struct opt_iter i = opt_begin(a->groups); i.opt; opt_next(&i)) {
		for (struct opt_iter j = opt_begin(b->groups); j.opt; opt_next(&j)) {
			bool same_name = strcmp(i.opt->name, j.opt->name) == 0;
			const char *x = i.opt->metavar ? i.opt->metavar : "";
			const char *y = j.opt->metavar ? j.opt->metavar : "";
			bool same = meaning_of(i.opt) == meaning_of(j.opt) &&
				    i.opt->letter == j.opt->letter && strcmp(x, y) == 0;
			if (same_name && !same)
				fail_msg("--%s differs between %s and %s", i.opt->name, a->name, b->name);
			if (!same_name && i.letter && i.letter == j.letter)
				fail_msg("-%c differs between %s and %s", i.letter, a->name, b->name);
		}
	}
}

static void one_flag_has_one_meaning_everywhere(void **state)
{
	for (const struct command *const *a = commands; *a; a++) {
		for (const struct command *const *b = a + 1; *b; b++)
			assert_same_meaning(*a, *b);
	}
}

static void only_the_last_operand_may_be_optional(void **state)
{
	for (const struct command *const *c = commands; *c; c++) {
		for (const struct opt_operand *o = (*c)->operands; o && o->name && o[1].name; o++)
			assert_int_equal(o->min, o->max);
	}
}

static void exit_codes_of_a_command_are_known(void **state)
{
	for (const struct command *const *c = commands; *c; c++) {
		for (const int *exit = (*c)->exits; exit && *exit; exit++)
			assert_int_equal(exit_code_find(*exit)->code, *exit);
	}
	assert_int_equal(exit_code_find(143)->code, OCI_E_CANCELLED);
	assert_int_equal(exit_code_find(99)->code, OCI_E_BUG);
}

static void commands_are_found_and_near_misses_named(void **state)
{
	struct oci_error err = {0};
	const struct command *check = command_find("check", &err);
	assert_non_null(check);
	assert_string_equal(check->name, "check");
	assert_null(command_find("chekc", &err));
	assert_int_equal(err.code, OCI_E_USAGE);
	assert_string_equal(err.text, "unknown command 'chekc', did you mean 'check'; see 'modelcar help'");
}

static void man_pages_begin_no_line_by_accident_with_a_request(void **state)
{
	for (const struct command *const *c = commands; *c; c++) {
		oci_autofree char *text = text_of(man_print_command, *c);
		assert_int_equal(strncmp(text, ".TH MODELCAR\\-", 14), 0);
		for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
			assert_true(line[0] != '\'');
		assert_non_null(strstr(text, ".SH EXIT STATUS\n"));
	}
}

static void completions_name_every_command_and_option(void **state)
{
	for (int shell = 0; complete_shells[shell]; shell++) {
		oci_autofree char *text = NULL;
		size_t len;
		FILE *out = open_memstream(&text, &len);
		complete_print(out, (enum complete_shell)shell);
		fclose(out);
		for (const struct command *const *c = commands; *c; c++) {
			assert_non_null(strstr(text, (*c)->name));
			for (struct opt_iter i = opt_begin((*c)->groups); i.opt; opt_next(&i))
				assert_non_null(strstr(text, i.name));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_help_fits_80_columns),
		cmocka_unit_test(every_help_names_every_option_and_operand),
		cmocka_unit_test(every_command_has_an_example_that_begins_with_its_name),
		cmocka_unit_test(tables_are_sound),
		cmocka_unit_test(one_flag_has_one_meaning_everywhere),
		cmocka_unit_test(only_the_last_operand_may_be_optional),
		cmocka_unit_test(exit_codes_of_a_command_are_known),
		cmocka_unit_test(commands_are_found_and_near_misses_named),
		cmocka_unit_test(man_pages_begin_no_line_by_accident_with_a_request),
		cmocka_unit_test(completions_name_every_command_and_option),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
