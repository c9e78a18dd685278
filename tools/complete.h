/* complete.h - completion scripts for shells, from the tables */
#pragma once

#include <stdio.h>

enum complete_shell { COMPLETE_BASH, COMPLETE_ZSH, COMPLETE_FISH };
/* "bash", "zsh", "fish"; ends with NULL. */
extern const char *const complete_shells[];

void complete_print(FILE *out, enum complete_shell shell);
