/* verify.h - a reader that lets no wrong byte count as success
 *
 * Counts and hashes what passes. Fails with OCI_E_DIGEST when the bytes end
 * before `size_bytes`, go beyond it (at once), or do not hash to `digest`
 * (checked before the end is reported). OCI_VERIFY_ANY_SIZE leaves the count out. What was handed out before the end is
 * unproven: a caller keeps it staged until read returned 0.
 */
#pragma once

#include "core/descriptor.h"
#include "stream/reader.h"

#define OCI_VERIFY_ANY_SIZE UINT64_MAX /* a digest alone, as of a layer uncompressed */

/* Takes `inner`. `want` is copied as far as needed; it has a digest
 * (OCI_E_BUG). */
struct oci_reader *oci_verify_reader_take(struct oci_reader *inner, const struct oci_descriptor *want,
	struct oci_error *err);
