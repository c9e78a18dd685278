#include <stdio.h>
#include <string.h>

#include "command.h"
#include "complete.h"

static int run(const struct invocation *inv, struct oci_error *err)
{
	int shell = 0;

	while (complete_shells[shell] && strcmp(complete_shells[shell], inv->operands[0]) != 0)
		shell++;
	complete_print(stdout, (enum complete_shell)shell);
	return 0;
}

static const struct opt_operand operands[] = {
	{.name = "SHELL", .help = "whose script", .min = 1, .max = 1, .choices = complete_shells},
	{0},
};

static const struct example examples[] = {
	{"complete in each bash", "completion bash >~/.local/share/bash-completion/completions/modelcar"},
	{"complete in each zsh", "completion zsh >~/.zsh/completions/_modelcar"},
	{"complete in each fish", "completion fish >~/.config/fish/completions/modelcar.fish"},
	{0},
};

const struct command cmd_completion = {
	.name = "completion",
	.summary = "print the completion script of a shell",
	.operands = operands,
	.examples = examples,
	.run = run,
};
