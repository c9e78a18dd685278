/* verify.h - a reader that lets no wrong byte count as success
 *
 * Counts and hashes what passes. Fails with OCI_E_DIGEST when the bytes end
 * before `size_bytes`, go beyond it (at once), or do not hash to `digest`
 * (checked before the end is reported). OCI_VERIFY_ANY_SIZE leaves the count out. What was handed out before the end is
 * unproven: a caller keeps it staged until read returned 0.
 *
 * A trail says where the hash was on its way, so that another reader, of another
 * process perhaps, can go on from there with the rest of the bytes:
 *
 *     struct oci_verify_trail trail = {0};
 *     r = oci_verify_reader_along_take(inner, &d, &trail, err);
 *     ... trail.last.offset > 0: keep trail.last ...
 *     later = (struct oci_verify_trail){.from = kept};    inner begins at kept.offset
 */
#pragma once

#include "base/buf.h"
#include "core/descriptor.h"
#include "stream/reader.h"

#define OCI_VERIFY_ANY_SIZE UINT64_MAX /* a digest alone, as of a layer uncompressed */

/* Takes `inner`. `want` is copied as far as needed; it has a digest
 * (OCI_E_BUG). */
struct oci_reader *oci_verify_reader_take(struct oci_reader *inner, const struct oci_descriptor *want,
	struct oci_error *err);

#define OCI_VERIFY_STEP (8 * OCI_MIB)

struct oci_verify_point {
	uint64_t offset;
	unsigned char chain[OCI_CHAIN_BYTES]; /* the sha256 of what lies before it, a chaining value */
};

struct oci_verify_trail {
	struct oci_verify_point from; /* where the reader begins; offset 0: at the start */
	struct oci_verify_point last; /* the last multiple of OCI_VERIFY_STEP that passed since; offset 0: none */
};

/* The same from `trail->from` on (OCI_E_BUG for any digest but sha256, unless that is the
 * start). The trail is written to until close; NULL: none. */
struct oci_reader *oci_verify_reader_along_take(struct oci_reader *inner, const struct oci_descriptor *want,
	struct oci_verify_trail *trail, struct oci_error *err);
