/* diff.h - what differs between two lists of files */
#pragma once

#include "engine/listing.h"

enum oci_change { OCI_ADDED, OCI_REMOVED, OCI_CHANGED };
const char *oci_change_name(enum oci_change change); /* "added", ... */

struct oci_difference {
	enum oci_change change;
	char *path;
	uint64_t before_bytes, after_bytes;
};

struct oci_differences {
	struct oci_difference *items; /* by path */
	size_t count;
};

int oci_differences_add(struct oci_differences *d, enum oci_change change, const char *path,
	uint64_t before_bytes, uint64_t after_bytes, struct oci_error *err);
void oci_differences_sort(struct oci_differences *d);
void oci_differences_clear(struct oci_differences *d);

/* From `a` to `b`, both sorted. *undecided counts files of equal size of which
 * neither digests nor layers tell (they are not among the differences): list
 * both again with all digests. */
int oci_diff(const struct oci_listing *a, const struct oci_listing *b, struct oci_differences *ret,
	size_t *undecided, struct oci_error *err);
