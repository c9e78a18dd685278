/* bundle_target.h - where the images of a bundle go
 *
 *     HOST                     each under its own path, on this host
 *     HOST/REPO[:TAG]          all of one name, into this repository
 *     oci:DIR[:TAG]            likewise, into a layout
 *
 * Rules "a/=b/" change the beginning of a path, or of HOST/PATH, before the
 * host is replaced; the first that fits counts. A repository is one target.
 *
 * For Zarf's registry each tag comes with the one that its agent looks for
 * (zarf.h), made of the name that the bundle gives: rules change the path alone.
 *
 * OCI_E_USAGE: images of several names for one repository, several images for
 * one tag, an image without a name for a host alone or for Zarf.
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
	char *tag;      /* NULL: none */
	char *zarf_tag; /* besides; NULL: none */
};

struct oci_bundle_targets {
	struct oci_bundle_target *items;
	size_t count;
	struct oci_bundle_placing *placings; /* one each image */
	size_t placing_count;
};

struct oci_bundle_wish {
	const char *to;
	const struct oci_strings *maps;
	bool via_zarf;
	bool dry_run; /* nothing is made */
	const struct oci_store_options *store;
};

/* *ret is zeroed before, and cleared after, also on failure. */
int oci_bundle_targets_open(const struct oci_bundle_images *images, const struct oci_bundle_wish *wish,
	struct oci_bundle_targets *ret, struct oci_error *err);
void oci_bundle_targets_clear(struct oci_bundle_targets *targets);
