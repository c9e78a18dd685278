/* modelpack.h - the CNCF ModelPack reading of the same layers
 *
 * spec: modelpack/model-spec v0.0.7 (spec.md, config.md, annotations.md);
 * ours: spec/modelpack.md. Base and index layers are no part of it. The
 * config holds only fields that the specification names.
 */
#pragma once

#include "engine/compose.h"

int oci_modelpack_config(const struct oci_compose_layer *layers, size_t count,
	const struct oci_compose_options *options, struct oci_buf *out, struct oci_error *err);
/* At level 1 the layers have no file metadata, at OCI_MODELPACK_LEVELS no title
 * either: what is left out when a manifest grows too large. */
#define OCI_MODELPACK_LEVELS 2
int oci_modelpack_manifest(const struct oci_compose_layer *layers, size_t count,
	const struct oci_compose_options *options, const struct oci_descriptor *config, unsigned level,
	struct oci_buf *out, struct oci_error *err);
