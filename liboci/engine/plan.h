/* plan.h - which file goes into which layer
 *
 * spec/layers.md. From bottom to top: weights, one file a layer, by path;
 * README* and LICENSE* each their own; other files of 1 MiB and more, one
 * each; smaller files by kind, in 2^n buckets by the SHA-256 of their path, so that one
 * more file moves one bucket. When that makes more than `max_layers`, first
 * the documents, then the other large files, then the weights go into
 * buckets as well. With `raw`, small files share a layer only when the cap
 * asks for it. The plan depends on nothing but names and sizes.
 */
#pragma once

#include "engine/layer.h"
#include "model/detect.h"
#include "source/dir.h"

#define OCI_PLAN_SMALL OCI_MIB /* files below this share layers */
#define OCI_PLAN_MAX_LAYERS 120

struct oci_plan_layer {
	enum oci_file_kind kind;
	char title[32];                /* "weights-3"; empty for a layer of one file */
	size_t *files;                 /* numbers in the directory's list */
	struct oci_layer_file *shape_files;
	struct oci_layer_shape shape;
	uint64_t size_bytes, start;
};

struct oci_plan {
	char *prefix;                  /* "" or "a/b/": put before every path */
	char **paths;                  /* prefix + path, one a file */
	size_t path_count;
	struct oci_plan_layer *layers;
	size_t count;
};

struct oci_plan_options {
	const char *prefix;            /* NULL: none */
	const char *root;              /* "models/", or "" */
	bool raw;                      /* a layer of one file is that file's bytes */
	size_t max_layers;
};

int oci_plan_make(const struct oci_dir *dir, const struct oci_plan_options *options, struct oci_plan *ret,
	struct oci_error *err);
void oci_plan_clear(struct oci_plan *plan);
