#include "opt.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "command.h"
#include "suggest.h"

/* What was found out so far about one command line. */
struct parse {
	const struct command *command;
	char *flags;
	bool given[OPT_COUNT_MAX];
	struct oci_error *err;
};

static void iter_settle(struct opt_iter *i)
{
	while (i->group && i->group->opts && !i->opt->name) {
		i->group++;
		i->opt = i->group->opts;
	}
	if (!i->group || !i->group->opts) {
		i->opt = NULL;
		return;
	}
	const char *prefix = i->group->prefix ? i->group->prefix : "";
	snprintf(i->name, sizeof i->name, "%s%s", prefix, i->opt->name);
	i->letter = *prefix ? 0 : i->opt->letter;
}

struct opt_iter opt_begin(const struct opt_group *groups)
{
	struct opt_iter i = {.group = groups, .opt = groups ? groups->opts : NULL};
	iter_settle(&i);
	return i;
}

void opt_next(struct opt_iter *i)
{
	i->opt++;
	i->index++;
	iter_settle(i);
}

const char *opt_env_name(const char *name, char out[OPT_ENV_MAX])
{
	snprintf(out, OPT_ENV_MAX, "MODELCAR_%s", name);
	for (char *p = out; *p; p++)
		*p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
	return out;
}

static int set(struct parse *p, const struct opt_iter *i, const char *said, const char *value)
{
	if (i->index >= OPT_COUNT_MAX)
		return oci_fail(p->err, OCI_E_BUG, "command '%s' has too many options", p->command->name);
	p->given[i->index] = true;
	struct oci_error why = {0};
	if (opt_set(i->opt, said, value, p->flags + i->group->field + i->opt->field, &why) == 0)
		return 0;
	if (why.code != OCI_E_USAGE)
		return oci_fail(p->err, why.code, "%s", why.text);
	return command_misused(p->command, p->err, "%s", why.text);
}

static int unknown_option(struct parse *p, const char *name)
{
	struct suggestion near = suggest_begin(name);
	char shown[OCI_STR_ESCAPE_MAX];

	for (struct opt_iter i = opt_begin(p->command->groups); i.opt; opt_next(&i))
		suggest_try(&near, i.name);
	oci_str_escape(name, shown);
	if (near.nearest[0])
		return command_misused(p->command, p->err, "unknown option '--%s', did you mean '--%s'",
			shown, near.nearest);
	return command_misused(p->command, p->err, "unknown option '--%s'", shown);
}

/* The value that follows an option as a word of its own. */
static const char *next_word(struct parse *p, char **args, size_t *at, const struct opt_iter *i)
{
	if (args[*at + 1])
		return args[++*at];
	command_misused(p->command, p->err, "option '--%s' needs a value, %s", i->name, i->opt->metavar);
	return NULL;
}

/* `--name`, `--name=value` or `--name value`; 1 for --help. */
static int parse_long(struct parse *p, char **args, size_t *at)
{
	oci_autofree char *name = strdup(args[*at] + 2);
	char said[OPT_NAME_MAX + 16];

	if (!name)
		return oci_fail_nomem(p->err);
	char *equals = strchr(name, '=');
	const char *value = equals ? strchr(args[*at], '=') + 1 : NULL;
	if (equals)
		*equals = '\0';
	if (strcmp(name, "help") == 0)
		return 1;
	struct opt_iter i = opt_begin(p->command->groups);
	while (i.opt && strcmp(i.name, name) != 0)
		opt_next(&i);
	if (!i.opt)
		return unknown_option(p, name);
	if (!value)
		value = i.opt->type == OPT_TYPE_FLAG ? "true" : next_word(p, args, at, &i);
	snprintf(said, sizeof said, "option '--%s'", i.name);
	return value ? set(p, &i, said, value) : -1;
}

/* `-q`, `-qv`, `-tvalue` or `-t value`; 1 for -h. */
static int parse_letters(struct parse *p, char **args, size_t *at)
{
	char said[16];

	for (const char *letter = args[*at] + 1; *letter; letter++) {
		if (*letter == 'h')
			return 1;
		struct opt_iter i = opt_begin(p->command->groups);
		while (i.opt && i.letter != *letter)
			opt_next(&i);
		snprintf(said, sizeof said, "option '-%c'", isprint((unsigned char)*letter) ? *letter : '?');
		if (!i.opt)
			return command_misused(p->command, p->err, "unknown %s", said);
		if (i.opt->type != OPT_TYPE_FLAG) {
			const char *value = letter[1] ? letter + 1 : next_word(p, args, at, &i);
			return value ? set(p, &i, said, value) : -1;
		}
		if (set(p, &i, said, "true") < 0)
			return -1;
	}
	return 0;
}

static int parse_args(struct parse *p, char **args, size_t *operand_count)
{
	bool options_ended = false;
	size_t operands = 0;

	for (size_t at = 0; args[at]; at++) {
		char *word = args[at];
		int rc = 0;
		if (options_ended || word[0] != '-' || word[1] == '\0')
			args[operands++] = word;
		else if (strcmp(word, "--") == 0)
			options_ended = true;
		else if (word[1] == '-')
			rc = parse_long(p, args, &at);
		else
			rc = parse_letters(p, args, &at);
		if (rc != 0)
			return rc;
	}
	*operand_count = operands;
	return 0;
}

/* What the environment or the table says; one value a line where several can be. */
static int set_lines(struct parse *p, const struct opt_iter *i, const char *said, const char *text)
{
	if (i->opt->type != OPT_TYPE_TEXTS)
		return set(p, i, said, text);
	while (*text) {
		size_t len = strcspn(text, "\n");
		oci_autofree char *line = strndup(text, len);
		if (!line)
			return oci_fail_nomem(p->err);
		if (len > 0 && set(p, i, said, line) < 0)
			return -1;
		text += text[len] ? len + 1 : len;
	}
	return 0;
}

static int set_defaults(struct parse *p)
{
	char variable[OPT_ENV_MAX], said[OPT_ENV_MAX + 16];

	for (struct opt_iter i = opt_begin(p->command->groups); i.opt; opt_next(&i)) {
		if (i.index < OPT_COUNT_MAX && p->given[i.index])
			continue;
		const char *text = getenv(opt_env_name(i.name, variable));
		snprintf(said, sizeof said, "variable '%s'", variable);
		if (!text || !*text)
			text = i.opt->preset;
		if (text && set_lines(p, &i, said, text) < 0)
			return -1;
	}
	return 0;
}

static bool is_choice(const char *const *choices, const char *text)
{
	while (*choices && strcmp(*choices, text) != 0)
		choices++;
	return *choices != NULL;
}

static int check_operands(struct parse *p, char **args, size_t count)
{
	size_t at = 0;
	char shown[OCI_STR_ESCAPE_MAX];

	for (const struct opt_operand *o = p->command->operands; o && o->name; o++) {
		size_t here = 0;
		for (; at < count && here < o->max; at++, here++) {
			if (o->choices && !is_choice(o->choices, args[at]))
				return command_misused(p->command, p->err, "%s cannot be '%s'", o->name,
					oci_str_escape(args[at], shown));
		}
		if (here < o->min)
			return command_misused(p->command, p->err, "%s is missing", o->name);
	}
	if (at < count)
		return command_misused(p->command, p->err, "'%s' is one operand too many",
			oci_str_escape(args[at], shown));
	return 0;
}

int opt_parse(const struct command *command, char **args, void *flags, size_t *operand_count,
	struct oci_error *err)
{
	struct parse p = {.command = command, .flags = flags, .err = err};

	int rc = parse_args(&p, args, operand_count);
	if (rc != 0)
		return rc;
	if (set_defaults(&p) < 0)
		return -1;
	return check_operands(&p, args, *operand_count);
}

void opt_clear(const struct command *command, void *flags)
{
	for (struct opt_iter i = opt_begin(command->groups); i.opt; opt_next(&i)) {
		char *field = (char *)flags + i.group->field + i.opt->field;
		if (i.opt->type == OPT_TYPE_TEXTS)
			oci_strings_clear((struct oci_strings *)field);
	}
}
