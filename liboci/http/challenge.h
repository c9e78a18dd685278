/* challenge.h - WWW-Authenticate: what a 401 asks for
 *
 * spec: RFC 9110 section 11; distribution token authentication. One header may
 * hold several challenges, and quoted values may hold commas. Schemes other
 * than Basic and Bearer are skipped.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct oci_challenge {
	bool basic, bearer;
	char *realm, *service, *scope; /* of Bearer; NULL: absent */
};

/* Adds what one header says; the first Bearer challenge counts. OCI_E_FORMAT
 * when it is not in the grammar or over 8 KiB. */
int oci_challenge_parse(const char *header, struct oci_challenge *ret, struct oci_error *err);
void oci_challenge_clear(struct oci_challenge *c);
