/* triton.h - Triton models: config.pbtxt and version directories
 *
 * A model is a directory:
 *
 *     config.pbtxt        protobuf text; Triton can do without for some back ends
 *     labels.txt ...      whatever config.pbtxt names
 *     <version>/          a decimal number that does not begin with 0
 *         model.plan, model.onnx, model.pt, model.py, model.savedmodel/ ...
 *
 * A repository is a directory of models. Triton loads a model only if it has a
 * version directory, the versions that version_policy asks for, and the name
 * that config.pbtxt gives it. An ensemble's version directory is empty, so a
 * list of files cannot show it: its absence is a warning.
 *
 * Of config.pbtxt only the fields below are kept; the rest is passed over,
 * whatever it is, as long as braces and quotes match. Bounds: OCI_TRITON_TEXT_MAX
 * bytes, 32 levels, values of 255 bytes.
 */
#pragma once

#include <stdbool.h>

#include "model/detect.h"

#define OCI_TRITON_TEXT_MAX (1 << 20)
#define OCI_TRITON_VERSIONS_MAX 64

enum oci_triton_policy { OCI_TRITON_LATEST, OCI_TRITON_ALL, OCI_TRITON_SPECIFIC };

struct oci_triton_config {
	char *name, *platform, *backend; /* NULL: absent */
	uint64_t max_batch_size;
	enum oci_triton_policy policy;
	uint64_t versions[OCI_TRITON_VERSIONS_MAX]; /* of OCI_TRITON_SPECIFIC */
	size_t version_count;
};

/* `text` ends with a zero byte. */
int oci_triton_config_parse(const char *text, struct oci_triton_config *ret, struct oci_error *err);
void oci_triton_config_clear(struct oci_triton_config *config);

/* `dir` is a path in the tree without a final slash, "" for its root. */
bool oci_triton_is_model(const struct oci_model_tree *tree, const char *dir);
bool oci_triton_is_repository(const struct oci_model_tree *tree);
/* Add the findings of a model, or of every model of a repository. */
int oci_triton_inspect_model(const struct oci_model_tree *tree, const char *dir, struct oci_model_info *info,
	struct oci_error *err);
int oci_triton_inspect_repository(
	const struct oci_model_tree *tree, struct oci_model_info *info, struct oci_error *err);
