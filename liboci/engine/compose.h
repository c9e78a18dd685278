/* compose.h - the documents of an image, from its layers
 *
 * spec/image.md. Configs, manifests and the index are made in memory, smallest
 * first, and stay there until their blobs are at the destination.
 */
#pragma once

#include "core/config.h"
#include "core/manifest.h"
#include "model/detect.h"

#define OCI_COMPOSE_MANIFEST_MAX (200 * OCI_KIB)

struct oci_compose_layer {
	struct oci_descriptor descriptor; /* with its annotations */
	struct oci_digest diff_id;
	const char *history;              /* "modelcar: weights model.safetensors"; borrowed */
	enum oci_file_kind kind;
	const char *path;                 /* of its only file, or NULL; borrowed */
	uint64_t file_size_bytes;
	bool base;                        /* of the base image */
	bool index;                       /* the index layer */
};

struct oci_document {
	struct oci_descriptor descriptor;
	struct oci_buf bytes;
};

struct oci_documents {
	struct oci_document *items; /* in the order to write them; the last is the root */
	size_t count;
	size_t modelpack;           /* number of the ModelPack manifest + 1; 0: none */
};

struct oci_compose_options {
	bool single;            /* one manifest, no index */
	bool modelpack;         /* a ModelPack manifest beside the images */
	bool modelpack_only;    /* raw layers, no image at all */
	const struct oci_platform *platforms;
	size_t platform_count;
	const struct oci_strings *env; /* of the base, a platform each; NULL: none */
	const struct oci_annotations *annotations;
	const struct oci_model_info *info;
	const char *created;
};

/* `layers` bottom to top; [p] for platform p, all of the same length (with a
 * base they differ, else the same array may stand for each). When a manifest
 * would exceed OCI_COMPOSE_MANIFEST_MAX, the layers' optional annotations are
 * left out, olot's first, then io.modelcar.file.*: the index layer has it all. */
int oci_compose(struct oci_compose_layer *const *layers, const size_t *layer_counts,
	const struct oci_compose_options *options, struct oci_documents *ret, struct oci_error *err);
void oci_documents_clear(struct oci_documents *documents);
