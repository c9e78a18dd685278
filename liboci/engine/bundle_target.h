/* bundle_target.h - where the images of a bundle go
 *
 *     HOST                     each under its own path, on this host
 *     HOST/REPO[:TAG]          all of one name, into this repository
 *     oci:DIR[:TAG]            likewise, into a layout
 *
 * Rules "a/=b/" change the beginning of a path, or of HOST/PATH, before the
 * host is replaced; the first that fits counts. A repository is one target.
 *
 * OCI_E_USAGE: images of several names for one repository, several images for
 * one tag, an image without a name for a host alone.
 */
#pragma once

#include "engine/bundle_images.h"

struct oci_bundle_target {
	struct oci_reference ref; /* without tag and digest */
	struct oci_store *store;
	struct oci_graph graph; /* of the images that go there */
};

struct oci_bundle_placing {
	size_t target;
	char *tag; /* NULL: none */
};

struct oci_bundle_targets {
	struct oci_bundle_target *items;
	size_t count;
	struct oci_bundle_placing *placings; /* one each image */
	size_t placing_count;
};

/* In a dry run nothing is made. *ret is zeroed before, and cleared after, also on failure. */
int oci_bundle_targets_open(const struct oci_bundle_images *images, const char *to, const struct oci_strings *maps,
	const struct oci_store_options *options, bool dry_run, struct oci_bundle_targets *ret, struct oci_error *err);
void oci_bundle_targets_clear(struct oci_bundle_targets *targets);
