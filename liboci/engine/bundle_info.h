/* bundle_info.h - what a bundle holds, of what is here of it */
#pragma once

#include <stdatomic.h>

#include "base/str.h"
#include "store/bundle_set.h"

struct oci_bundle_info {
	struct oci_digest id;
	struct oci_strings images; /* name@digest */
	size_t blob_count, needed_count, part_count;
	uint64_t blob_bytes, needed_bytes, bundle_bytes;
	uint64_t part_bytes; /* 0: one file */
	char missing[OCI_BUNDLE_RANGES_MAX];
	struct oci_strings damaged;
};

/* Any files of one bundle; a single one stands for all its parts. With `check`
 * all that is here is hashed. OCI_E_FORMAT: no bundle of ours. *ret need not
 * be initialised and is to be cleared, also on failure. */
int oci_bundle_info_read(const struct oci_strings *paths, bool check, unsigned jobs, const atomic_int *cancel,
	struct oci_bundle_info *ret, struct oci_error *err);
void oci_bundle_info_clear(struct oci_bundle_info *info);
