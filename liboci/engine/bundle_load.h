/* bundle_load.h - the images of a bundle into registries or a layout
 *
 * spec: spec/bundle.md. First all that can be asked is asked: are the files of
 * one bundle, whole but for their blobs; are the tags free; has the
 * destination what a delta builds on. Then blobs go there in the order of the
 * stream, then manifests, then tags (copy.h). A name never stands for
 * something that is not whole.
 *
 * Files are parts in any order, or all of a bundle, or another archive of images
 * that stands alone; one file that is a pipe, or "-" for standard input, is read
 * once and in order. From parts that are not all of them everything is taken
 * that there is: what cannot go to the destination yet is kept
 * (bundle_kept.h), and the next call needs only the others.
 *
 * OCI_E_MORE: parts are missing, and which. OCI_E_DIGEST: a part is damaged,
 * and which; the others are taken. OCI_E_NOT_FOUND: the destination lacks blobs that a
 * delta needs, and which; nothing was written. OCI_E_FORMAT: no bundle. OCI_E_EXISTS: a tag
 * stands for something else, without `force`. The rest: copy.h.
 */
#pragma once

#include "engine/copy.h"

struct oci_bundle_load_options {
	const struct oci_strings *files;
	const char *to;                 /* bundle_target.h */
	const struct oci_strings *maps; /* likewise */
	bool via_zarf;                  /* likewise */
	bool force, dry_run;
	unsigned jobs;                  /* blobs at once; 0: 4 */
	const struct oci_store_options *store;
	const struct oci_observer *observer;
	const atomic_int *cancel;
};

struct oci_bundle_load_report {
	struct oci_strings images; /* "<place>:<tag>@<digest>" */
	struct oci_strings zarf_images; /* the same by the tags for Zarf's agent */
	uint64_t bytes[3];         /* by enum oci_copy_how */
	size_t objects;
};

/* *ret need not be initialised; it is to be cleared, also on failure. */
int oci_bundle_load(const struct oci_bundle_load_options *options, struct oci_bundle_load_report *ret,
	struct oci_error *err);
void oci_bundle_load_report_clear(struct oci_bundle_load_report *report);
