/* describe.h - the words for a table entry that --help and man page share */
#pragma once

#include "command.h"

#define DESCRIBE_MAX 512

/* "--ca-file=FILE"; returns out. */
const char *describe_option(const struct opt_iter *i, char out[DESCRIBE_MAX]);
/* Its help with what the table knows: "… (one of a, b; repeatable; default: a)". */
const char *describe_meaning(const struct opt_iter *i, char out[DESCRIBE_MAX]);
/* "modelcar check [OPTION]... DIR" */
const char *describe_usage(const struct command *command, char out[DESCRIBE_MAX]);
/* The meaning of an operand, with its choices. */
const char *describe_operand(const struct opt_operand *operand, char out[DESCRIBE_MAX]);
/* The summary as a sentence: "Check a model directory." */
const char *describe_summary(const struct command *command, char out[DESCRIBE_MAX]);
/* "128+n", "10" */
const char *describe_exit(int code, char out[DESCRIBE_MAX]);
/* The codes of a command, smallest first; *at is 0 in the first call.
 * -1: no more. 0, usage, memory and signals are in every list. */
int describe_next_exit(const struct command *command, size_t *at);
