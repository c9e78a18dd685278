/* bundle.h - the images in a bundle as a store
 *
 * spec: spec/bundle.md. READ takes a whole bundle, one in parts (FILE.part001
 * and so on, named by FILE or by any part) and, as oci-archive: does, any
 * other archive of images. All parts must be there (OCI_E_MORE names those
 * that are not) and in order (OCI_E_DIGEST). Of a bundle that was made over a
 * base, a blob that only the base has is OCI_E_NOT_FOUND.
 *
 * WRITE makes an archive (store/archive.h), which is a bundle of one image
 * without a map; no reference leads there (store/open.c), for engine/bundle_create.h
 * makes what users call a bundle.
 */
#pragma once

#include "store/bundle_set.h"
#include "store/store.h"

/* Are these files no bundle of ours but one archive, whole or in parts? The first stands for it. */
bool oci_bundle_is_foreign(const struct oci_strings *files);
struct oci_store *oci_store_bundle(const char *path, enum oci_store_mode mode, struct oci_error *err);

/* Somebody who has bytes of parts that are not here. */
struct oci_bundle_fill {
	struct oci_reader *(*open)(void *ctx, const struct oci_bundle_blob *blob, uint64_t offset, uint64_t length,
		struct oci_error *err);
	void *ctx;
};
/* Over files that somebody else holds, some maybe missing: reading a blob that
 * lies in those is OCI_E_MORE, or `fill` (NULL: nobody) reads it. Both are borrowed. */
struct oci_store *oci_store_bundle_set(const struct oci_bundle_set *set, const struct oci_bundle_fill *fill,
	struct oci_error *err);
