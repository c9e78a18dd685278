#include "help.h"

#include <ctype.h>
#include <string.h>

#include "base/error.h"
#include "config_build.h"
#include "describe.h"
#include "exits.h"

/* Text that roff takes as it stands: a minus that can be copied, no escapes,
 * no request at the beginning of a line. */
static void put_bytes(FILE *out, const char *text, size_t len)
{
	bool line_begins = true;

	for (const char *end = text + len; text < end; text++) {
		if (line_begins && (*text == '.' || *text == '\''))
			fputs("\\&", out);
		if (*text == '-')
			fputs("\\-", out);
		else if (*text == '\\')
			fputs("\\e", out);
		else
			fputc(*text, out);
		line_begins = *text == '\n';
	}
}

static void put(FILE *out, const char *text)
{
	put_bytes(out, text, strlen(text));
}

static void put_upper(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc(toupper((unsigned char)*text), out);
}

static void put_line(FILE *out, const char *text)
{
	put(out, text);
	fputc('\n', out);
}

static void put_entry(FILE *out, const char *name, const char *meaning)
{
	fputs(".TP\n\\fB", out);
	put(out, name);
	fputs("\\fR\n", out);
	put_line(out, meaning);
}

static void put_header(FILE *out, const char *command, const char *summary)
{
	fputs(".TH MODELCAR", out);
	if (command) {
		fputs("\\-", out);
		put_upper(out, command);
	}
	fprintf(out, " 1 \"\" \"modelcar %s\" \"User Commands\"\n.SH NAME\nmodelcar", MODELCAR_VERSION);
	if (command) {
		fputs("\\-", out);
		put(out, command);
	}
	fputs(" \\- ", out);
	put_line(out, summary);
	fputs(".SH SYNOPSIS\n", out);
}

static void put_description(FILE *out, const struct command *command)
{
	char text[DESCRIBE_MAX];
	const char *about = command->about;

	fputs(".SH DESCRIPTION\n", out);
	put_line(out, describe_summary(command, text));
	if (!about)
		return;
	fputs(".PP\n", out);
	for (const char *gap; (gap = strstr(about, "\n\n")); about = gap + 2) {
		put_bytes(out, about, (size_t)(gap - about));
		fputs("\n.PP\n", out);
	}
	put_line(out, about);
}

static void put_operands(FILE *out, const struct command *command)
{
	char meaning[DESCRIBE_MAX];

	if (!command->operands)
		return;
	fputs(".SH OPERANDS\n", out);
	for (const struct opt_operand *o = command->operands; o->name; o++)
		put_entry(out, o->name, describe_operand(o, meaning));
}

static void put_options(FILE *out, const struct command *command)
{
	char name[DESCRIBE_MAX], meaning[DESCRIBE_MAX];
	const struct opt_group *group = NULL;

	fputs(".SH OPTIONS\n", out);
	for (struct opt_iter i = opt_begin(command->groups); i.opt; opt_next(&i)) {
		if (i.group != group)
			fprintf(out, ".SS %s\n", i.group->title);
		group = i.group;
		put_entry(out, describe_option(&i, name), describe_meaning(&i, meaning));
	}
	put_entry(out, "-h, --help", "print the help text");
}

static void put_environment(FILE *out, const struct command *command)
{
	char variable[OPT_ENV_MAX], meaning[DESCRIBE_MAX];

	fputs(".SH ENVIRONMENT\nWhat is not on the command line is taken from here. An empty variable counts "
	      "as absent. The variable of a repeatable option holds one value a line.\n", out);
	for (struct opt_iter i = opt_begin(command->groups); i.opt; opt_next(&i)) {
		snprintf(meaning, sizeof meaning, "the value of --%s", i.name);
		put_entry(out, opt_env_name(i.name, variable), meaning);
	}
	put_entry(out, "MODELCAR_TERMINATION_LOG",
		"the file that takes the reason of a failure as JSON, when it exists "
		"(default: /dev/termination-log)");
}

static void put_exits(FILE *out, const struct command *command)
{
	char name[DESCRIBE_MAX];
	size_t at = 0;
	int code;

	fputs(".SH EXIT STATUS\n", out);
	while ((code = describe_next_exit(command, &at)) >= 0)
		put_entry(out, describe_exit(code, name), exit_code_find(code)->text);
}

static void put_examples(FILE *out, const struct command *command)
{
	if (!command->examples)
		return;
	fputs(".SH EXAMPLES\n", out);
	for (const struct example *e = command->examples; e->text; e++) {
		fputs(".PP\n", out);
		put_line(out, e->text);
		fputs(".PP\n.RS 4\n.nf\nmodelcar ", out);
		put_line(out, e->command);
		fputs(".fi\n.RE\n", out);
	}
}

void man_print_command(FILE *out, const struct command *command)
{
	char usage[DESCRIBE_MAX];

	put_header(out, command->name, command->summary);
	put_line(out, describe_usage(command, usage));
	put_description(out, command);
	put_operands(out, command);
	put_options(out, command);
	put_environment(out, command);
	put_exits(out, command);
	put_examples(out, command);
	fputs(".SH SEE ALSO\n\\fBmodelcar\\fR(1)\n", out);
}

void man_print_overview(FILE *out)
{
	char name[DESCRIBE_MAX];

	put_header(out, NULL, "pack machine-learning models as OCI images, and land them whole");
	put_line(out, "modelcar COMMAND [OPTION]... [OPERAND]...");
	fputs(".SH COMMANDS\n", out);
	for (const struct command *const *c = commands; *c; c++) {
		snprintf(name, sizeof name, "modelcar-%s(1)", (*c)->name);
		put_entry(out, name, (*c)->summary);
	}
	fputs(".SH EXIT STATUS\n", out);
	for (const struct exit_code *e = exit_codes; e->reason; e++)
		put_entry(out, describe_exit(e->code, name), e->text);
}
