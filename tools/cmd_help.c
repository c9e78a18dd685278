#include <stdio.h>

#include "command.h"
#include "help.h"

struct help_flags {
	bool man;
};

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct help_flags *flags = inv->flags;

	if (inv->operand_count == 0) {
		(flags->man ? man_print_overview : help_print_overview)(stdout);
		return 0;
	}
	const struct command *command = command_find(inv->operands[0], err);
	if (!command)
		return -1;
	(flags->man ? man_print_command : help_print_command)(stdout, command);
	return 0;
}

static const struct opt_operand operands[] = {
	{.name = "COMMAND", .help = "the command to explain; all of them in brief without it", .max = 1},
	{0},
};

static const struct opt opts[] = {
	{OPT_FLAG(0, "man", struct help_flags, man), .help = "print the source of the man page"},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	{0},
};

static const struct example examples[] = {
	{"read the man page of a command that is not installed", "help --man check | man -l -"},
	{0},
};

const struct command cmd_help = {
	.name = "help",
	.summary = "explain the commands",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.flags_size = sizeof(struct help_flags),
	.run = run,
};
