/* extents.h - the byte ranges of a file's tensors, and their names' hashes
 *
 * Private to model/. 24 bytes a tensor, and as many while they are sorted, so
 * that a header with OCI_EXTENTS_MAX of them is checked for overlaps and double
 * names in 10 MB.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define OCI_EXTENTS_MAX 200000

struct oci_extents {
	struct oci_extent {
		uint64_t begin, end; /* end == begin: no bytes */
		uint64_t name_hash;
	} * items;
	size_t count, cap;
};

/* Beyond OCI_EXTENTS_MAX fails with OCI_E_UNSUPPORTED. */
int oci_extents_add(
	struct oci_extents *extents, uint64_t begin, uint64_t end, uint64_t name_hash, struct oci_error *err);
/* Sorts. OCI_E_FORMAT: a name twice, two ranges overlap, or more than `gap_max`
 * bytes lie before, or between, ranges. `*end` is the end of the last. */
int oci_extents_check(struct oci_extents *extents, uint64_t gap_max, uint64_t *end, struct oci_error *err);
void oci_extents_clear(struct oci_extents *extents);
