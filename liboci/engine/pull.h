/* pull.h - an image becomes a directory, whole or not at all
 *
 *     struct oci_pull_options options = {.from = &ref, .dest = "model", ...};
 *     struct oci_pull_report report = {0};
 *     oci_pull(&options, &report, err);
 *
 * The reference is resolved once; from then on only digests are asked for.
 * Layers are fetched by all workers, each verified to its end, into a private
 * staging directory beside `dest` on the same file system; merged by rename;
 * files, directories and the record made durable; then the tree appears
 * under `dest` by one rename that never replaces anything.
 *
 * What lands: of images the content of /models/ (or of `root`), of artifacts
 * all files. Errors: OCI_E_OCCUPIED when `dest` exists, OCI_E_UNSUPPORTED when
 * there is nothing to land, OCI_E_NOSPACE before the first byte where the file
 * system says that it is too small.
 */
#pragma once

#include "engine/listing.h"
#include "store/store.h"

struct oci_pull_options {
	const struct oci_reference *from;
	const char *dest;
	const struct oci_platform *platform; /* NULL: choose */
	const char *root;                    /* "models/" when NULL; "" for all */
	struct oci_filter filter;
	unsigned jobs;                       /* 0: as many as processors, at least 4 */
	const struct oci_store_options *store;
	const struct oci_observer *observer;
	const atomic_int *cancel;
};

struct oci_pull_report {
	struct oci_digest root, manifest;
	size_t file_count;
	uint64_t bytes_fetched; /* of layers */
	uint64_t bytes_files;
};

int oci_pull(const struct oci_pull_options *options, struct oci_pull_report *ret, struct oci_error *err);

/* The same without a directory: what would land. Layers that an index
 * describes, and raw ones, are not fetched; others are read through, so that
 * every file is known by its digest or by its layer; with `digests`, so are
 * layers that leave a file without a digest of its own. */
int oci_pull_list(struct oci_store *store, const struct oci_image *image, const char *root, bool digests,
	unsigned jobs, const atomic_int *cancel, struct oci_listing *ret, struct oci_error *err);

/* "models/" from what the user typed ("/models", "models/"), "" from "/"; NULL when
 * out of memory. The caller frees. */
char *oci_pull_root(const char *text);
