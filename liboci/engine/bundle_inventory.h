/* bundle_inventory.h - what a transfer desk checks a bundle with, without this tool
 *
 * spec: spec/bundle.md. FILE.SHA256SUMS is for `sha256sum -c` in the directory
 * of the files; FILE.csv lists files, images and blobs with their sizes, sums
 * and the parts that hold them.
 */
#pragma once

#include "engine/bundle_images.h"
#include "engine/bundle_write.h"

/* After finish. Adds the files that it made, and the index of the parts, to `files`. */
int oci_bundle_inventory_write(const struct oci_bundle_writer *w, const struct oci_bundle_images *images,
	const char *file, struct oci_strings *files, struct oci_error *err);
