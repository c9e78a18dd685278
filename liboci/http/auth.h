/* auth.h - logging in to one registry; private to http/
 *
 * spec: distribution token authentication (token.md, oauth.md). Nothing is
 * sent before the registry asks: the first request goes out bare, its 401 says
 * what is wanted, and from then on oci_auth_header() has the answer ready. A
 * bearer token is kept per scope, fetched again when three quarters of its life
 * are over and when a 401 refuses it.
 *
 * A token service is asked by POST where there is an identity token, else by
 * GET, and by the other way where it knows the first one not (404, 405). An
 * identity token that it replaces is replaced here, not in the user's files.
 *
 * Rules for the token service, whose address the registry chooses:
 * - https, or plain http when the registry itself is plain http;
 * - redirects are not followed;
 * - not on a more private network than the registry (client.h).
 *
 * Used by several threads: one of them fetches, the others wait for it. A service
 * that fails is not asked again here: the request that wanted the token is what
 * is tried again.
 */
#pragma once

#include "base/str.h"

#define OCI_AUTH_HEADER_MAX (64 * OCI_KIB)

struct oci_auth;
struct oci_http;
struct oci_http_options;

/* Copies what the options say about credentials. */
struct oci_auth *oci_auth_new(struct oci_http *http, const struct oci_http_options *options,
	struct oci_error *err);
void oci_auth_free(struct oci_auth *auth);

/* Append the value of Authorization for a scope: nothing while the registry
 * has not asked. May fetch a token. Scopes of several repositories are
 * separated by a space. */
int oci_auth_header(struct oci_auth *auth, const char *scope, struct oci_buf *out, struct oci_error *err);

/* The registry answered 401 with these WWW-Authenticate headers to a request
 * with `sent` as Authorization. 0: ask oci_auth_header() and send again;
 * OCI_E_AUTH: there is nothing better to send, or two fresh tokens were refused,
 * one after the other. */
int oci_auth_answer(struct oci_auth *auth, const char *scope, const char *sent,
	const struct oci_strings *challenges, struct oci_error *err);
/* The registry took what was sent: a later 401 means that it has expired. */
void oci_auth_prove(struct oci_auth *auth, const char *scope, const char *sent);
