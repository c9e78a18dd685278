/* credentials.h - what the user's files know about a registry
 *
 * spec: docker config.json, containers-auth.json(5). Looked for in this order,
 * and the first file that knows the registry is the one:
 *
 *     the given files, or else $REGISTRY_AUTH_FILE, or else
 *     $DOCKER_CONFIG/config.json
 *     $XDG_RUNTIME_DIR/containers/auth.json
 *     ${XDG_CONFIG_HOME:-~/.config}/containers/auth.json
 *     ~/.docker/config.json
 *     ~/.dockercfg
 *
 * A directory in the place of a file is a mounted Kubernetes secret:
 * .dockerconfigjson or .dockercfg in it, or config.json, or auth.json.
 *
 * In a file: credHelpers for the host, then `auths`, the longest namespace
 * first ("host/a/b", "host/a", "host"; "https://host", "host/v1/", "host/v2/"
 * and, for docker.io, "https://index.docker.io/v1/" are the host too), then
 * credsStore.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct oci_json;

struct oci_credentials {
	char *username, *password;
	char *identity_token; /* instead of a password */
};

/* `resource` is host[:port]/repository. Nothing is filled in when no file
 * knows it: anonymous. A named file (argument or environment) must exist
 * (OCI_E_USAGE). `authfiles` NULL or empty: the documented search. */
int oci_credentials_find(const struct oci_strings *authfiles, const char *resource,
	struct oci_credentials *ret, struct oci_error *err);

/* The same in one file's text. */
int oci_credentials_parse(const char *text, size_t len, const char *resource, struct oci_credentials *ret,
	struct oci_error *err);

/* The files of the documented search, in order, existing or not; .dockercfg last. */
int oci_credentials_search(struct oci_strings *ret, struct oci_error *err);

/* Is a key of `auths` another way to write this host, as above? */
bool oci_credentials_is_host(const char *key, const char *host);
/* What credential helpers call a host. */
const char *oci_credentials_server(const char *host);
/* The helper that a file has for a host, NULL: none. Borrowed from the document. */
const char *oci_credentials_helper(const struct oci_json *doc, const char *host);
const char *oci_credentials_store(const struct oci_json *doc);

int oci_credentials_copy(struct oci_credentials *to, const struct oci_credentials *from,
	struct oci_error *err); /* `to` is empty */
/* Zeroes the secrets and frees. */
void oci_credentials_clear(struct oci_credentials *c);
