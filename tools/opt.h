/* opt.h - what a command line may say, as a table
 *
 * A table of options gives the parser, the environment defaults, --help, the
 * man page and shell completion; there is no second place to keep in step.
 * Values land in a struct of the command's own:
 *
 *     struct pack_flags {
 *             const char *tag;
 *             struct oci_strings exclude;
 *             struct registry_flags registry;      an included group
 *     };
 *     static const struct opt pack_opts[] = {
 *             { OPT_TEXT('t', "tag", struct pack_flags, tag), .metavar = "TAG",
 *               .help = "tag to write" },
 *             { OPT_TEXTS(0, "exclude", struct pack_flags, exclude), .metavar = "GLOB",
 *               .help = "leave out files that match" },
 *             { 0 },
 *     };
 *     static const struct opt_group pack_groups[] = {
 *             { .title = "Options", .opts = pack_opts },
 *             REGISTRY_GROUP(struct pack_flags, registry),
 *             { 0 },
 *     };
 *
 * On the command line: `--name=VALUE`, `--name VALUE`, `-nVALUE`, `-n VALUE`;
 * a flag is `--name`, `--name=false` or `-n`, and letters of flags may be
 * joined; `--` ends the options, which may stand among the operands. Names
 * are written out in full. Given twice, the last one counts; a repeatable
 * option collects.
 *
 * An option that is not on the command line takes its value from MODELCAR_
 * and its name in capitals with '_' for '-', unless that is empty: the
 * variable of a repeatable option holds one value a line. What is not there
 * either takes its preset, and without a preset it is zero.
 *
 * Metavars say what a shell completes: FILE files; DIR, DEST, ROOT and SOURCE
 * directories; COMMAND our commands. Choices complete themselves.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct command;

enum opt_type {
	OPT_TYPE_FLAG,     /* bool: true false yes no 1 0 */
	OPT_TYPE_TEXT,     /* const char *, borrowed from argv or the environment */
	OPT_TYPE_TEXTS,    /* struct oci_strings, repeatable */
	OPT_TYPE_NUMBER,   /* uint64_t */
	OPT_TYPE_SIZE,     /* uint64_t, bytes as a Kubernetes quantity: 4G 512Mi 1.5Gi */
	OPT_TYPE_DURATION, /* uint64_t, milliseconds: 500ms 30s 15m 2h 1d; a plain number is seconds */
	OPT_TYPE_CHOICE,   /* an enum: the index into choices */
};

struct opt {
	const char *name;           /* NULL ends a table */
	const char *metavar;        /* of the value; NULL for a flag */
	const char *help;           /* one phrase, lower case, no full stop; choices, preset and
	                             * "repeatable" are added to it */
	const char *preset;         /* as it would be typed; NULL: zero */
	const char *const *choices; /* ends with NULL */
	uint64_t min, max;          /* of numbers, sizes and durations; max 0: no maximum */
	size_t field;               /* offset in the struct of the group */
	enum opt_type type;
	char letter;                /* 0: none; -h is taken */
};

/* The beginning of a table entry; a field of another type does not compile. */
#define OPT_FLAG(letter, name, s, f) OPT_OF(letter, name, OPT_TYPE_FLAG, s, f, bool)
#define OPT_TEXT(letter, name, s, f) OPT_OF(letter, name, OPT_TYPE_TEXT, s, f, const char *)
#define OPT_TEXTS(letter, name, s, f) OPT_OF(letter, name, OPT_TYPE_TEXTS, s, f, struct oci_strings)
#define OPT_NUMBER(letter, name, s, f) OPT_OF(letter, name, OPT_TYPE_NUMBER, s, f, uint64_t)
#define OPT_SIZE(letter, name, s, f) OPT_OF(letter, name, OPT_TYPE_SIZE, s, f, uint64_t)
#define OPT_DURATION(letter, name, s, f) OPT_OF(letter, name, OPT_TYPE_DURATION, s, f, uint64_t)
#define OPT_CHOICE(letter, name, s, f) OPT_OF(letter, name, OPT_TYPE_CHOICE, s, f, __typeof__(((s *)0)->f))

#define OPT_OF(letter_, name_, type_, s, f, c_type)            \
	.name = (name_), .letter = (letter_), .type = (type_), \
	.field = offsetof(s, f) + OPT_MUST(__builtin_types_compatible_p(__typeof__(((s *)0)->f), c_type)) + \
		 OPT_MUST((type_) != OPT_TYPE_CHOICE || sizeof(((s *)0)->f) == sizeof(int))
/* 0, or a bit field of negative width. */
#define OPT_MUST(condition) (0 * sizeof(struct { int must : (condition) ? 1 : -1; }))

/* Options that stand together in --help. A group can be in several commands,
 * or twice in one with a prefix: "src-" makes --ca-file --src-ca-file.
 * Letters of a prefixed group do not count. */
struct opt_group {
	const char *title;      /* "Registry options" */
	const char *prefix;     /* NULL: none */
	const struct opt *opts; /* NULL ends a list of groups */
	size_t field;           /* offset of the group's struct in that of the command */
};

struct opt_operand {
	const char *name; /* "SOURCE"; NULL ends a list */
	const char *help;
	size_t min, max;            /* how many; only the last one may be optional or many */
	const char *const *choices; /* NULL: any text */
};
#define OPT_MANY SIZE_MAX

/* All options of all groups, in order:
 *     for (struct opt_iter i = opt_begin(groups); i.opt; opt_next(&i)) */
#define OPT_NAME_MAX 48
#define OPT_COUNT_MAX 96 /* options of one command */
struct opt_iter {
	const struct opt_group *group;
	const struct opt *opt; /* NULL: the end */
	size_t index;
	char name[OPT_NAME_MAX]; /* with the prefix */
	char letter;
};
struct opt_iter opt_begin(const struct opt_group *groups);
void opt_next(struct opt_iter *i);

/* "MODELCAR_CA_FILE"; returns out. */
#define OPT_ENV_MAX (OPT_NAME_MAX + 16)
const char *opt_env_name(const char *name, char out[OPT_ENV_MAX]);

/* Fill `flags`, which is zeroed and of command->flags_size. `args` ends with
 * NULL and is reordered: its first *operand_count entries are the operands.
 * Returns 0, 1 when help was asked for (nothing else is looked at), or -1
 * with OCI_E_USAGE. Free with opt_clear() in each case. */
int opt_parse(const struct command *command, char **args, void *flags, size_t *operand_count,
	struct oci_error *err);
void opt_clear(const struct command *command, void *flags);

/* One value into a field: what opt_parse() does with each. `said` is how the
 * user wrote the option, for the message. */
int opt_set(const struct opt *opt, const char *said, const char *value, void *field, struct oci_error *err);
