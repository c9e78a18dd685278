#include "complete.h"

#include <string.h>

#include "command.h"

const char *const complete_shells[] = {"bash", "zsh", "fish", NULL};

enum fill { FILL_NOTHING, FILL_FILES, FILL_DIRS, FILL_COMMANDS };

/* What a metavar says about its value. */
static enum fill fill_of(const char *metavar)
{
	static const char *const dirs[] = {"DIR", "DEST", "ROOT", "SOURCE"};

	for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
		if (strcmp(metavar, dirs[i]) == 0)
			return FILL_DIRS;
	}
	if (strcmp(metavar, "FILE") == 0)
		return FILL_FILES;
	return strcmp(metavar, "COMMAND") == 0 ? FILL_COMMANDS : FILL_NOTHING;
}

/* bash and fish do not count operands: the first that can be completed stands
 * for all. NULL: none can. */
static const struct opt_operand *operand_of(const struct command *command)
{
	const struct opt_operand *o = command->operands;

	while (o && o->name && !o->choices && fill_of(o->name) == FILL_NOTHING)
		o++;
	return o && o->name ? o : NULL;
}

static void put_commands(FILE *out, const char *between)
{
	for (const struct command *const *c = commands; *c; c++)
		fprintf(out, "%s%s", c == commands ? "" : between, (*c)->name);
}

static void put_words(FILE *out, const char *const *words, const char *between)
{
	for (const char *const *w = words; w && *w; w++)
		fprintf(out, "%s%s", w == words ? "" : between, *w);
}

/* Text inside single quotes of a script; `special` characters get a '\'. */
static void put_quoted(FILE *out, const char *text, const char *special, const char *quote)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs(quote, out);
		else
			fprintf(out, "%s%c", strchr(special, *text) ? "\\" : "", *text);
	}
}

static void bash_fill(FILE *out, const char *metavar, const char *const *choices)
{
	enum fill fill = fill_of(metavar);

	if (choices) {
		fputs("_modelcar_words '", out);
		put_words(out, choices, " ");
		fputc('\'', out);
	} else if (fill == FILL_COMMANDS) {
		fputs("_modelcar_words \"$commands\"", out);
	} else if (fill == FILL_NOTHING) {
		fputc(':', out);
	} else {
		fprintf(out, "_modelcar_paths -%c", fill == FILL_DIRS ? 'd' : 'f');
	}
}

static void bash_command(FILE *out, const struct command *command)
{
	const struct opt_operand *operand = operand_of(command);

	fprintf(out, "\t%s%s%s)\n\t\tcase $prev in\n", command->name, command->alias ? "|" : "",
		command->alias ? command->alias : "");
	for (struct opt_iter i = opt_begin(command->groups); i.opt; opt_next(&i)) {
		if (!i.opt->metavar)
			continue;
		if (i.letter)
			fprintf(out, "\t\t-%c|--%s) ", i.letter, i.name);
		else
			fprintf(out, "\t\t--%s) ", i.name);
		bash_fill(out, i.opt->metavar, i.opt->choices);
		fputs("; return ;;\n", out);
	}
	fputs("\t\tesac\n\t\toptions='", out);
	for (struct opt_iter i = opt_begin(command->groups); i.opt; opt_next(&i))
		fprintf(out, "--%s ", i.name);
	fputs("--help'\n\t\t[[ $cur == -* ]] && { _modelcar_words \"$options\"; return; }\n\t\t", out);
	if (operand)
		bash_fill(out, operand->name, operand->choices);
	else
		fputc(':', out);
	fputs(" ;;\n", out);
}

/* The '=' of --name=value is a word of its own to bash. */
static void bash_print(FILE *out)
{
	fputs("# bash completion for modelcar; made by 'modelcar completion bash'\n\n"
	      "_modelcar_words()\n{\n\tmapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\")\n}\n\n"
	      "_modelcar_paths()\n{\n\tcompopt -o filenames 2>/dev/null\n"
	      "\tmapfile -t COMPREPLY < <(compgen \"$1\" -- \"$cur\")\n}\n\n"
	      "_modelcar()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	      "\tlocal options commands='", out);
	put_commands(out, " ");
	fputs("'\n\n\tCOMPREPLY=()\n\tif [[ $cur == = ]]; then\n\t\tcur=\n\telif [[ $prev == = ]]; then\n"
	      "\t\tprev=${COMP_WORDS[COMP_CWORD-2]}\n\tfi\n"
	      "\tif ((COMP_CWORD == 1)); then\n\t\t_modelcar_words \"$commands --help --version\"\n"
	      "\t\treturn\n\tfi\n\tcase ${COMP_WORDS[1]} in\n", out);
	for (const struct command *const *c = commands; *c; c++)
		bash_command(out, *c);
	fputs("\tesac\n}\n\ncomplete -F _modelcar modelcar\n", out);
}

static void zsh_quoted(FILE *out, const char *text)
{
	put_quoted(out, text, "[]\\", "'\\''");
}

/* ":METAVAR:action" */
static void zsh_fill(FILE *out, const char *metavar, const char *const *choices)
{
	static const char *const actions[] = {
		[FILL_NOTHING] = " ",
		[FILL_FILES] = "_files",
		[FILL_DIRS] = "_files -/",
		[FILL_COMMANDS] = "_modelcar_commands",
	};

	fprintf(out, ":%s:", metavar);
	if (!choices) {
		fputs(actions[fill_of(metavar)], out);
		return;
	}
	fputc('(', out);
	put_words(out, choices, " ");
	fputc(')', out);
}

static void zsh_option(FILE *out, const struct opt_iter *i)
{
	bool many = i->opt->type == OPT_TYPE_TEXTS;
	const char *value = i->opt->metavar ? "=" : "", *glued = i->opt->metavar ? "+" : "";

	fputs(" \\\n\t\t\t", out);
	if (i->letter && many)
		fprintf(out, "'*'{-%c%s,--%s%s}'", i->letter, glued, i->name, value);
	else if (i->letter)
		fprintf(out, "'(-%c --%s)'{-%c%s,--%s%s}'", i->letter, i->name, i->letter, glued, i->name,
			value);
	else
		fprintf(out, "'%s--%s%s", many ? "*" : "", i->name, value);
	fputc('[', out);
	zsh_quoted(out, i->opt->help);
	fputc(']', out);
	if (i->opt->metavar)
		zsh_fill(out, i->opt->metavar, i->opt->choices);
	fputc('\'', out);
}

static void zsh_command(FILE *out, const struct command *command)
{
	fprintf(out, "\t%s%s%s)\n\t\t_arguments -s", command->name, command->alias ? "|" : "",
		command->alias ? command->alias : "");
	for (struct opt_iter i = opt_begin(command->groups); i.opt; opt_next(&i))
		zsh_option(out, &i);
	fputs(" \\\n\t\t\t'(- *)'{-h,--help}'[print the help text]'", out);
	for (const struct opt_operand *o = command->operands; o && o->name; o++) {
		fprintf(out, " \\\n\t\t\t'%s", o->max > 1 ? "*" : o->min == 0 ? ":" : "");
		zsh_fill(out, o->name, o->choices);
		fputc('\'', out);
	}
	fputs(" ;;\n", out);
}

static void zsh_print(FILE *out)
{
	fputs("#compdef modelcar\n# zsh completion for modelcar; made by 'modelcar completion zsh'\n\n"
	      "_modelcar_commands()\n{\n\tlocal -a commands=(", out);
	for (const struct command *const *c = commands; *c; c++) {
		fprintf(out, "\n\t\t'%s:", (*c)->name);
		zsh_quoted(out, (*c)->summary);
		fputc('\'', out);
	}
	fputs("\n\t)\n\t_describe command commands\n}\n\n"
	      "_modelcar()\n{\n\tif ((CURRENT == 2)); then\n\t\t_modelcar_commands\n\t\treturn\n\tfi\n"
	      "\tshift words\n\t((CURRENT--))\n\tcase ${words[1]} in\n", out);
	for (const struct command *const *c = commands; *c; c++)
		zsh_command(out, *c);
	/* Autoloaded the file is the body of _modelcar; sourced it defines it. */
	fputs("\tesac\n}\n\nif [[ ${funcstack[1]} == _modelcar ]]; then\n\t_modelcar \"$@\"\nelse\n"
	      "\tcompdef _modelcar modelcar\nfi\n", out);
}

static void fish_fill(FILE *out, const char *metavar, const char *const *choices)
{
	enum fill fill = fill_of(metavar);

	if (choices || fill == FILL_COMMANDS) {
		fputs(" -x -a '", out);
		if (choices)
			put_words(out, choices, " ");
		else
			put_commands(out, " ");
		fputc('\'', out);
	} else if (fill == FILL_DIRS) {
		fputs(" -x -a '(__fish_complete_directories)'", out);
	} else {
		fputs(fill == FILL_FILES ? " -r -F" : " -x", out);
	}
}

static void fish_begin(FILE *out, const struct command *command)
{
	fprintf(out, "complete -c modelcar -n '__fish_seen_subcommand_from %s%s%s'", command->name,
		command->alias ? " " : "", command->alias ? command->alias : "");
}

static void fish_command(FILE *out, const struct command *command)
{
	const struct opt_operand *operand = operand_of(command);

	fprintf(out, "complete -c modelcar -n __fish_use_subcommand -a %s -d '", command->name);
	put_quoted(out, command->summary, "\\", "\\'");
	fputs("'\n", out);
	for (struct opt_iter i = opt_begin(command->groups); i.opt; opt_next(&i)) {
		fish_begin(out, command);
		fprintf(out, " -l %s", i.name);
		if (i.letter)
			fprintf(out, " -s %c", i.letter);
		if (i.opt->metavar)
			fish_fill(out, i.opt->metavar, i.opt->choices);
		fputs(" -d '", out);
		put_quoted(out, i.opt->help, "\\", "\\'");
		fputs("'\n", out);
	}
	if (operand) {
		fish_begin(out, command);
		fish_fill(out, operand->name, operand->choices);
		fputc('\n', out);
	}
}

static void fish_print(FILE *out)
{
	fputs("# fish completion for modelcar; made by 'modelcar completion fish'\n\n"
	      "complete -c modelcar -f\ncomplete -c modelcar -s h -l help -d 'print the help text'\n", out);
	for (const struct command *const *c = commands; *c; c++)
		fish_command(out, *c);
}

void complete_print(FILE *out, enum complete_shell shell)
{
	switch (shell) {
	case COMPLETE_BASH:
		bash_print(out);
		return;
	case COMPLETE_ZSH:
		zsh_print(out);
		return;
	case COMPLETE_FISH:
		fish_print(out);
		return;
	}
}
