/* huggingface.h - config.json and the model card of a Hugging Face model
 *
 * Private to model/. config.json is scanned for the few members below; Python's
 * NaN and Infinity are let through, as the loaders do.
 */
#pragma once

#include <stdbool.h>

#include "model/detect.h"

struct oci_huggingface {
	bool has_config; /* config.json or model_index.json is there and parses */
	char *model_type, *architecture, *name, *dtype, *quantization; /* NULL: absent */
};

/* A file that does not parse becomes a finding. */
int oci_huggingface_read(const struct oci_model_tree *tree, struct oci_huggingface *ret,
	struct oci_model_info *info, struct oci_error *err);
bool oci_huggingface_is(const struct oci_model_tree *tree, const struct oci_huggingface *config);
/* Fill in what config.json knows; find a missing tokenizer. */
int oci_huggingface_inspect(const struct oci_model_tree *tree, const struct oci_huggingface *config,
	struct oci_model_info *info, struct oci_error *err);
/* `license:` of the front matter of README.md, looked for in its first 64 KiB. */
int oci_huggingface_license(
	const struct oci_model_tree *tree, struct oci_model_info *info, struct oci_error *err);
/* Warn of a cache that was taken for a model: it has snapshots/<revision> below it. */
int oci_huggingface_check_cache(
	const struct oci_model_tree *tree, struct oci_model_info *info, struct oci_error *err);
/* "bf16" for "bfloat16"; NULL when the name is none of a precision. */
const char *oci_huggingface_precision(const char *dtype);
void oci_huggingface_clear(struct oci_huggingface *config);
