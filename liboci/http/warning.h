/* warning.h - what a registry wants its users to read; private to http/
 *
 * spec: OCI distribution-spec, warnings: `Warning: 299 - "text"`.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

struct oci_http_exchange;

#define OCI_WARNING_MAX 4096

/* The text of one header into `out`; false when it is no warning of code 299. */
bool oci_warning_parse(const char *header, struct oci_buf *out);
/* Each text of an answer as a warn event, escaped, once a client; at most 64 in all. */
void oci_warning_show(struct oci_http_exchange *x);
