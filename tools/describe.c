#include "describe.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "exits.h"

static void add(char out[DESCRIBE_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(char out[DESCRIBE_MAX], const char *format, ...)
{
	size_t len = strlen(out);
	va_list args;

	va_start(args, format);
	vsnprintf(out + len, DESCRIBE_MAX - len, format, args);
	va_end(args);
}

/* Notes of the table after the help, in one pair of brackets: "(one of a, b; repeatable)". */
static void add_notes(char out[DESCRIBE_MAX], const char *const *choices, bool many, const char *preset)
{
	const char *before = " (";

	for (const char *const *c = choices; c && *c; c++) {
		add(out, "%s%s", c == choices ? " (one of " : ", ", *c);
		before = "; ";
	}
	if (many) {
		add(out, "%srepeatable", before);
		before = "; ";
	}
	if (preset)
		add(out, "%sdefault: %s", before, preset);
	if (choices || many || preset)
		add(out, ")");
}

const char *describe_option(const struct opt_iter *i, char out[DESCRIBE_MAX])
{
	bool off = i->opt->type == OPT_TYPE_FLAG && i->opt->preset;

	out[0] = '\0';
	if (i->letter)
		add(out, "-%c, ", i->letter);
	add(out, "--%s", i->name);
	if (i->opt->metavar || off)
		add(out, "=%s", i->opt->metavar ? i->opt->metavar : "BOOL");
	return out;
}

const char *describe_meaning(const struct opt_iter *i, char out[DESCRIBE_MAX])
{
	out[0] = '\0';
	add(out, "%s", i->opt->help);
	add_notes(out, i->opt->choices, i->opt->type == OPT_TYPE_TEXTS, i->opt->preset);
	return out;
}

const char *describe_usage(const struct command *command, char out[DESCRIBE_MAX])
{
	out[0] = '\0';
	add(out, "modelcar %s", command->name);
	if (command->groups)
		add(out, " [OPTION]...");
	for (const struct opt_operand *o = command->operands; o && o->name; o++) {
		const char *dots = o->max > 1 ? "..." : "";
		add(out, o->min == 0 ? " [%s]%s" : " %s%s", o->name, dots);
	}
	return out;
}

const char *describe_operand(const struct opt_operand *operand, char out[DESCRIBE_MAX])
{
	out[0] = '\0';
	add(out, "%s", operand->help);
	add_notes(out, operand->choices, false, NULL);
	return out;
}

const char *describe_summary(const struct command *command, char out[DESCRIBE_MAX])
{
	out[0] = '\0';
	add(out, "%s.", command->summary);
	out[0] = (char)toupper((unsigned char)out[0]);
	return out;
}

const char *describe_exit(int code, char out[DESCRIBE_MAX])
{
	out[0] = '\0';
	add(out, code == OCI_E_CANCELLED ? "128+n" : "%d", code);
	return out;
}

static bool has_exit(const struct command *command, int code)
{
	if (code == OCI_OK || code == OCI_E_USAGE || code == OCI_E_NOMEM || code == OCI_E_CANCELLED)
		return true;
	for (const int *exit = command->exits; exit && *exit; exit++) {
		if (*exit == code)
			return true;
	}
	return false;
}

int describe_next_exit(const struct command *command, size_t *at)
{
	while (exit_codes[*at].reason) {
		int code = exit_codes[(*at)++].code;
		if (has_exit(command, code))
			return code;
	}
	return -1;
}
