/* version.h - tags that are versions: their order, and ranges of them
 *
 * A version is v1, 1.2 or 1.2.3, then maybe -pre.release and +build, with or
 * without a v in front; what is left out is 0. The order is that of Semantic
 * Versioning 2.0.0, by which 1.0.0-rc.1 comes before 1.0.0 and a build counts
 * for nothing.
 *
 * A range is made of comparisons, all of which must hold, with "||" between
 * alternatives: ">=1.2 <2", "^1.4 || ~2.1.3", "1.x", "*". ^1.2.3 is up to 2,
 * ^0.2.3 up to 0.3, ~1.2.3 up to 1.3, 1.2 or 1.2.x all of 1.2. A pre-release
 * fits only where an alternative names one itself.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

bool oci_version_is(const char *text);
/* Versions by their order and above what is no version, which goes by name with
 * numbers in it as numbers; texts that differ never compare equal. */
int oci_version_compare(const char *a, const char *b);
/* Does the version fit the range? What is no version does not. OCI_E_USAGE: no range. */
int oci_version_match(const char *range, const char *version, bool *ret, struct oci_error *err);
