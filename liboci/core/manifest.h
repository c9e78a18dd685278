/* manifest.h - an image manifest or an image index, parsed and written
 *
 * spec: OCI image-spec manifest.md and image-index.md; Docker schema 2 twins
 * are accepted on reading. Unknown fields are ignored. The bytes received
 * stay what is hashed and stored; a parsed manifest is for reading only.
 *
 * Refused (OCI_E_FORMAT): not JSON, above the limits of json.h, a document
 * that is both manifest and index, a body mediaType that contradicts the
 * content type, no schemaVersion 2, no array of layers or manifests, descriptors
 * without a media type, a valid digest or a size, sizes above 2^63-1. Docker's
 * schema 1, other media types and other digest algorithms are
 * OCI_E_UNSUPPORTED. An optional member that is null counts as absent.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "core/descriptor.h"

#define OCI_MANIFEST_MAX (4 * OCI_MIB)

struct oci_manifest {
	bool is_index;
	char *media_type;
	char *artifact_type;              /* NULL: absent */
	struct oci_descriptor config;     /* manifest only */
	struct oci_descriptor *layers;    /* manifest only */
	size_t layer_count;
	struct oci_descriptor *manifests; /* index only */
	size_t manifest_count;
	struct oci_descriptor subject;    /* digest.alg 0: absent */
	struct oci_annotations annotations;
};

/* `media_type`: the content type it came with, or NULL when unknown; parameters
 * behind ';' are ignored. What *ret held is not freed; it stays untouched on
 * failure. ret->media_type is always set. */
int oci_manifest_parse(const char *data, size_t len, const char *media_type,
	struct oci_manifest *ret, struct oci_error *err);
/* Appends an empty layer or child; the pointer is borrowed until the next add. */
struct oci_descriptor *oci_manifest_add_layer(struct oci_manifest *m, struct oci_error *err);
struct oci_descriptor *oci_manifest_add_manifest(struct oci_manifest *m, struct oci_error *err);
/* Compact JSON in a fixed member order; annotations in their own order. Without
 * a media type it is the OCI one. */
int oci_manifest_format(const struct oci_manifest *m, struct oci_buf *out, struct oci_error *err);
void oci_manifest_clear(struct oci_manifest *m);
