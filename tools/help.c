#include "help.h"

#include <ctype.h>
#include <string.h>

#include "base/error.h"
#include "describe.h"
#include "exits.h"

#define MEANING_COLUMN 28

/* Print words from `column` on; further lines begin at `indent`. A word that
 * is longer than a line stays whole. */
static void print_wrapped(FILE *out, size_t column, size_t indent, const char *text, size_t len)
{
	const char *end = text + len;
	bool first = true;

	while (text < end) {
		size_t word = strcspn(text, " \n");
		if (word > (size_t)(end - text))
			word = (size_t)(end - text);
		if (!first && column + 1 + word >= HELP_COLUMNS) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (!first) {
			fputc(' ', out);
			column++;
		}
		fprintf(out, "%.*s", (int)word, text);
		column += word;
		first = false;
		text += word;
		while (text < end && isspace((unsigned char)*text))
			text++;
	}
	fputc('\n', out);
}

/* "  NAME      meaning", the meaning below when the name is long. */
static void print_entry(FILE *out, const char *name, const char *meaning)
{
	size_t column = 2 + strlen(name);

	fprintf(out, "  %s", name);
	if (column + 2 > MEANING_COLUMN) {
		fputc('\n', out);
		column = 0;
	}
	fprintf(out, "%*s", (int)(MEANING_COLUMN - column), "");
	print_wrapped(out, MEANING_COLUMN, MEANING_COLUMN, meaning, strlen(meaning));
}

static void print_paragraphs(FILE *out, const char *text)
{
	while (text && *text) {
		const char *end = strstr(text, "\n\n");
		size_t len = end ? (size_t)(end - text) : strlen(text);
		fputc('\n', out);
		print_wrapped(out, 0, 0, text, len);
		text += end ? len + 2 : len;
	}
}

static void print_operands(FILE *out, const struct command *command)
{
	char meaning[DESCRIBE_MAX];

	if (!command->operands)
		return;
	fputs("\nOperands:\n", out);
	for (const struct opt_operand *o = command->operands; o->name; o++)
		print_entry(out, o->name, describe_operand(o, meaning));
}

static void print_options(FILE *out, const struct command *command)
{
	char words[DESCRIBE_MAX], name[DESCRIBE_MAX + 8], meaning[DESCRIBE_MAX];
	const struct opt_group *group = NULL;

	for (struct opt_iter i = opt_begin(command->groups); i.opt; opt_next(&i)) {
		if (i.group != group)
			fprintf(out, "\n%s:\n", i.group->title);
		group = i.group;
		snprintf(name, sizeof name, "%s%s", i.letter ? "" : "    ", describe_option(&i, words));
		print_entry(out, name, describe_meaning(&i, meaning));
	}
	if (!group)
		fputs("\nOptions:\n", out);
	print_entry(out, "-h, --help", "print this text");
}

static void print_examples(FILE *out, const struct command *command)
{
	if (!command->examples)
		return;
	fputs("\nExamples:\n", out);
	for (const struct example *e = command->examples; e->text; e++)
		fprintf(out, "  # %s\n  modelcar %s\n", e->text, e->command);
}

static void print_exits(FILE *out, const struct command *command)
{
	char name[DESCRIBE_MAX];
	size_t at = 0;
	int code;

	fputs("\nExit codes:\n", out);
	while ((code = describe_next_exit(command, &at)) >= 0)
		fprintf(out, "  %-7s%s\n", describe_exit(code, name), exit_code_find(code)->text);
}

static void print_environment(FILE *out, const struct command *command)
{
	struct opt_iter first = opt_begin(command->groups);
	char variable[OPT_ENV_MAX], text[DESCRIBE_MAX];

	if (!first.opt)
		return;
	snprintf(text, sizeof text, "Each option has a variable of the environment: --%s is %s.", first.name,
		opt_env_name(first.name, variable));
	fputc('\n', out);
	print_wrapped(out, 0, 0, text, strlen(text));
}

void help_print_command(FILE *out, const struct command *command)
{
	char text[DESCRIBE_MAX];

	fputs("Usage: ", out);
	describe_usage(command, text);
	print_wrapped(out, 7, 7, text, strlen(text));
	if (command->alias)
		fprintf(out, "Alias: modelcar %s\n", command->alias);
	print_paragraphs(out, describe_summary(command, text));
	print_paragraphs(out, command->about);
	print_operands(out, command);
	print_options(out, command);
	print_environment(out, command);
	print_examples(out, command);
	print_exits(out, command);
}

void help_print_overview(FILE *out)
{
	fputs("Usage: modelcar COMMAND [OPTION]... [OPERAND]...\n\n"
	      "Pack machine-learning models as OCI images, and land them whole.\n\n"
	      "Commands:\n", out);
	for (const struct command *const *c = commands; *c; c++)
		print_entry(out, (*c)->name, (*c)->summary);
	fputs("\nOptions:\n", out);
	print_entry(out, "-h, --help", "print this text");
	print_entry(out, "    --version", "print the version");
	fputs("\n'modelcar help COMMAND' has the options, examples and exit codes of each.\n", out);
}
