/* help.h - text for people, from the tables: --help, `modelcar help`, man pages */
#pragma once

#include <stdio.h>

#include "command.h"

#define HELP_COLUMNS 80

void help_print_command(FILE *out, const struct command *command);
/* All commands, one line each. */
void help_print_overview(FILE *out);

/* The roff source of modelcar-<command>.1, and of modelcar.1. No dates. */
void man_print_command(FILE *out, const struct command *command);
void man_print_overview(FILE *out);
