/* login.h - what login and logout share */
#pragma once

#include "common.h"

/* The registry that an operand names, as credential files have it: host[:port],
 * or with a namespace behind it. Caller frees; OCI_E_USAGE. */
int login_registry(const char *text, char **ret, struct oci_error *err);

/* The one file that --authfile names, or NULL; OCI_E_USAGE when it names several. */
int login_authfile(const struct invocation *inv, const struct registry_flags *flags, const char **ret,
	struct oci_error *err);
