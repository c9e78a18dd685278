/* url.h - http and https URLs: parse, resolve a Location, compare origins
 *
 * A zeroed struct is empty; oci_url_clear() frees what a value owns. Refused
 * (OCI_E_FORMAT): other schemes, user names in the URL, control characters and
 * spaces, more than 16 KiB. Texts of errors never show a query: it may be a
 * signature.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

#define OCI_URL_MAX (16 * OCI_KIB)

struct oci_url {
	char *text;   /* the whole URL without fragment */
	char *host;   /* lower case, IPv6 in brackets */
	char *origin; /* "https://host:port", lower case: what credentials belong to */
	bool tls;
};

int oci_url_parse(const char *text, struct oci_url *ret, struct oci_error *err);
/* `location` as a server that was asked for `base` means it: absolute or relative. */
int oci_url_join(const struct oci_url *base, const char *location, struct oci_url *ret,
	struct oci_error *err);
bool oci_url_same_origin(const struct oci_url *a, const struct oci_url *b);
/* localhost, 127.0.0.0/8 and ::1. */
bool oci_url_is_loopback(const struct oci_url *url);

/* Append text with everything but unreserved characters as %XX. */
int oci_url_escape(const char *text, struct oci_buf *out, struct oci_error *err);
/* Append ?key=value or &key=value to a URL's text; the value is escaped. */
int oci_url_add_query(struct oci_buf *url, const char *key, const char *value, struct oci_error *err);

void oci_url_clear(struct oci_url *url);
