/* command.h - a subcommand, and one run of it
 *
 * tools/cmd_<verb>.c holds one `const struct command cmd_<verb>` and stands in
 * the list of commands.c. README.md shows how to add one.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>

#include "base/error.h"
#include "base/event.h"
#include "opt.h"

struct example {
	const char *text;    /* what it does */
	const char *command; /* without the leading "modelcar" */
};

struct oci_rate;

struct invocation {
	const struct command *command;
	const void *flags;           /* the command's own struct, filled */
	const char *const *operands; /* as many as the command's operands allow */
	size_t operand_count;
	const struct oci_observer *observer;
	const atomic_int *cancel;    /* signal number, 0 while there is none */
	struct oci_rate *rate;       /* of all connections (http/rate.h) */
};

struct command {
	const char *name;
	const char *alias;                  /* NULL: none */
	const char *summary;                /* one phrase, lower case, no full stop */
	const char *about;                  /* paragraphs with an empty line between; NULL: none */
	const struct opt_operand *operands; /* NULL: takes none */
	const struct opt_group *groups;     /* NULL: takes no options but --help */
	const struct example *examples;     /* ends with text NULL; NULL: none */
	const int *exits;                   /* besides 0, 2, 71 and 128+n; ends with 0; NULL: none */
	bool plain_exit;                    /* every failure is exit 1: another program's contract */
	size_t flags_size;
	/* Prints its result to stdout, and nothing else. main() reports the
	 * failure and finds out whether stdout could be written. */
	int (*run)(const struct invocation *inv, struct oci_error *err);
};

#define COMMAND_EXITS(...) ((const int[]){__VA_ARGS__, 0})
/* Runs of them that come together, each in the order of the numbers. */
#define EXITS_CONTENT OCI_E_NOT_FOUND, OCI_E_AUTH, OCI_E_DIGEST, OCI_E_FORMAT, OCI_E_UNSUPPORTED
#define EXITS_NETWORK OCI_E_NETWORK, OCI_E_RATE, OCI_E_TLS
#define EXITS_WRITE OCI_E_NOSPACE, OCI_E_PERM, OCI_E_IO

/* It has a name of its own (main.c). */
extern const struct command cmd_storage_initializer;

/* All commands, in the order of the help; ends with NULL. */
extern const struct command *const commands[];

/* By name or alias; NULL with OCI_E_USAGE and the nearest name. */
const struct command *command_find(const char *name, struct oci_error *err);

/* Records OCI_E_USAGE with "; see 'modelcar <command> --help'" at its end;
 * returns -1. */
int command_misused(const struct command *command, struct oci_error *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
