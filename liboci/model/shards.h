/* shards.h - models in several files: the index that names them, and their numbers
 *
 * Private to model/. `<any>.safetensors.index.json` and `<any>.bin.index.json`,
 * in any directory, have an object "weight_map" of tensor name to the shard
 * that holds it, a path relative to the index. They are scanned, not held.
 * Shards also count themselves: "model-00002-of-00005.gguf".
 */
#pragma once

#include <stdbool.h>

#include "model/detect.h"

/* Sets named[i] for each file that an index names; an index is named by
 * itself. Finds: a shard that is missing, an index that does not parse, a
 * numbered shard beside an index that does not name it. */
int oci_shards_check_indexes(
	const struct oci_model_tree *tree, bool *named, struct oci_model_info *info, struct oci_error *err);
/* Finds the neighbour of file `i` that is missing, if `i` is one of a row. */
int oci_shards_check_row(
	const struct oci_model_tree *tree, size_t i, struct oci_model_info *info, struct oci_error *err);
/* Length of what the paths of a row have in common: "model" above; of the
 * whole path when it has no number. */
size_t oci_shards_row_len(const char *path);
