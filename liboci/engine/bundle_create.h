/* bundle_create.h - images into files that are carried to where no network is
 *
 * spec: spec/bundle.md. What the references lead to is listed first
 * (graph.h), less what the far side has; that gives the map, and the map
 * every place in the files. Then the blobs are copied, several at once, each
 * verified on its way, straight to their places; what a run that was ended has
 * written is hashed and kept (bundle_write.h).
 *
 * Same images, same options: same bytes.
 *
 * OCI_E_EXISTS: FILE is there and is not this bundle. OCI_E_USAGE: two images
 * of one name; parts that are too small. OCI_E_NOSPACE before a byte is written.
 */
#pragma once

#include "store/bundle_parts.h"
#include "store/store.h"

struct oci_bundle_create_options {
	const struct oci_strings *references;
	const char *file;
	uint64_t part_bytes; /* 0: one file */
	const struct oci_strings *base; /* references of what the far side has */
	const char *have;    /* a file with digests that the far side has; NULL: none */
	bool referrers, force, dry_run;
	unsigned jobs;
	const struct oci_store_options *store;
	const struct oci_observer *observer;
	const atomic_int *cancel;
};

struct oci_bundle_create_report {
	struct oci_digest id;   /* of the map */
	struct oci_strings files; /* as they must be carried: the bundle's; then index, inventory and sums */
	size_t carried;         /* how many of the files hold the bundle */
	struct oci_strings images; /* name@digest */
	uint64_t bundle_bytes;  /* of the files that are carried */
	uint64_t blob_bytes, kept_bytes; /* of them, what an earlier run had written */
	uint64_t needed_bytes;
	size_t blob_count, needed_count;
};

/* *ret need not be initialised; it is to be cleared, also on failure. */
int oci_bundle_create(const struct oci_bundle_create_options *options, struct oci_bundle_create_report *ret,
	struct oci_error *err);
void oci_bundle_create_report_clear(struct oci_bundle_create_report *report);

