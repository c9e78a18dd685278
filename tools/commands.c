#include "command.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "suggest.h"

extern const struct command cmd_bundle;
extern const struct command cmd_check;
extern const struct command cmd_completion;
extern const struct command cmd_cp;
extern const struct command cmd_diff;
extern const struct command cmd_doctor;
extern const struct command cmd_gc;
extern const struct command cmd_help;
extern const struct command cmd_inspect;
extern const struct command cmd_job;
extern const struct command cmd_load;
extern const struct command cmd_login;
extern const struct command cmd_logout;
extern const struct command cmd_ls;
extern const struct command cmd_mirror;
extern const struct command cmd_pack;
extern const struct command cmd_prune;
extern const struct command cmd_pull;
extern const struct command cmd_repair;
extern const struct command cmd_rm;
extern const struct command cmd_storage_initializer;
extern const struct command cmd_tags;
extern const struct command cmd_verify;
extern const struct command cmd_wait;

const struct command *const commands[] = {
	&cmd_pack,
	&cmd_pull,
	&cmd_cp,
	&cmd_mirror,
	&cmd_bundle,
	&cmd_load,
	&cmd_check,
	&cmd_inspect,
	&cmd_ls,
	&cmd_verify,
	&cmd_diff,
	&cmd_repair,
	&cmd_wait,
	&cmd_doctor,
	&cmd_job,
	&cmd_gc,
	&cmd_storage_initializer,
	&cmd_tags,
	&cmd_rm,
	&cmd_prune,
	&cmd_login,
	&cmd_logout,
	&cmd_completion,
	&cmd_help,
	NULL,
};

const struct command *command_find(const char *name, struct oci_error *err)
{
	struct suggestion near = suggest_begin(name);
	char shown[OCI_STR_ESCAPE_MAX];

	for (const struct command *const *c = commands; *c; c++) {
		const char *alias = (*c)->alias;
		if (strcmp((*c)->name, name) == 0 || (alias && strcmp(alias, name) == 0))
			return *c;
		suggest_try(&near, (*c)->name);
		if (alias)
			suggest_try(&near, alias);
	}
	oci_str_escape(name, shown);
	if (near.nearest[0])
		oci_fail(err, OCI_E_USAGE, "unknown command '%s', did you mean '%s'; see 'modelcar help'",
			shown, near.nearest);
	else
		oci_fail(err, OCI_E_USAGE, "unknown command '%s'; see 'modelcar help'", shown);
	return NULL;
}

int command_misused(const struct command *command, struct oci_error *err, const char *format, ...)
{
	char what[400];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	return oci_fail(err, OCI_E_USAGE, "%s; see 'modelcar %s --help'", what, command->name);
}
