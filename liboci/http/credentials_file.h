/* credentials_file.h - credentials into the user's files, and out of them
 *
 * What a file holds besides stays, in its order; it is replaced as a whole, with
 * mode 0600, behind a link too. Where the file names a helper for the registry
 * (credHelpers, else credsStore), the secret goes there and not into the file.
 *
 * `registry` is host[:port], or host[:port]/namespace for what lies below. A
 * file in the form of .dockercfg, without `auths`, is read but not written
 * (OCI_E_USAGE).
 */
#pragma once

#include "http/credentials.h"

/* Where to save: `authfile`, or $REGISTRY_AUTH_FILE, or the first file of the
 * documented search that exists, so that what is saved is what is found; or
 * $DOCKER_CONFIG/config.json, or ~/.docker/config.json. */
int oci_credentials_target(const char *authfile, char **ret, struct oci_error *err);

/* The file need not exist; its directory neither, if that has a parent. *place
 * is set to what holds the secret now: the file or the helper's name. */
int oci_credentials_save(const char *path, const char *registry, const struct oci_credentials *c,
	char **place, struct oci_error *err);

/* *found: there was something, in the file or its helper. A file that does not
 * exist holds nothing. */
int oci_credentials_erase(const char *path, const char *registry, bool *found, struct oci_error *err);
