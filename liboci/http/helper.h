/* helper.h - docker-credential-<name>, a program that keeps secrets
 *
 * spec: docker-credential-helpers. "get" takes the server's name on its stdin
 * and prints {"Username","Secret"}, "store" takes these two and "ServerURL",
 * "erase" the server's name; the user name "<token>" marks an identity token.
 * It gets 30 seconds and may print 1 MiB; what it prints is never shown.
 *
 * A name that is not plain letters, digits, '.', '_' and '-' is OCI_E_USAGE, a
 * program that fails, hangs or makes no sense OCI_E_AUTH.
 */
#pragma once

#include "http/credentials.h"

/* Nothing is filled in when the helper knows no credentials for `server`. */
int oci_helper_get(const char *name, const char *server, struct oci_credentials *ret, struct oci_error *err);
int oci_helper_store(const char *name, const char *server, const struct oci_credentials *c,
	struct oci_error *err);
/* What is not there is erased already. */
int oci_helper_erase(const char *name, const char *server, struct oci_error *err);
