/* login.h - does a registry take these credentials? */
#pragma once

#include "http/client.h"

/* Asks for /v2/, bare and then with options->credentials. OCI_E_AUTH when they
 * are refused. *ret is false where the registry lets anybody in: then nothing
 * is known about them. */
int oci_login_check(const struct oci_http_options *options, bool *ret, struct oci_error *err);
