/* bundle_base.h - which blobs the far side has already
 *
 *     oci_bundle_base_add(&base, "reg.example/team/m:v1", store, err);   an image, a layout, a bundle
 *     oci_bundle_base_read(&base, "have.txt", err);                      or a list
 *     oci_bundle_base_sort(&base);
 *     oci_bundle_base_has(&base, &digest)
 *
 * A list is lines of "<digest> <size>", what comes after the digest does not
 * matter; empty lines and those that begin with '#' are skipped.
 */
#pragma once

#include "store/store.h"

struct oci_bundle_base {
	struct oci_digest *digests;
	size_t count;
};

/* All that the reference leads to; one without a tag stands for all tags. */
int oci_bundle_base_add(struct oci_bundle_base *base, const char *reference, const struct oci_store_options *store,
	struct oci_error *err);
int oci_bundle_base_read(struct oci_bundle_base *base, const char *file, struct oci_error *err);
void oci_bundle_base_sort(struct oci_bundle_base *base);
bool oci_bundle_base_has(const struct oci_bundle_base *base, const struct oci_digest *digest);
void oci_bundle_base_clear(struct oci_bundle_base *base);

/* The list of what these references lead to, for the near side. */
int oci_bundle_base_list(const struct oci_strings *references, const struct oci_store_options *store,
	struct oci_buf *out, struct oci_error *err);
