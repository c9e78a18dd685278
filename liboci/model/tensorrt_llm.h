/* tensorrt_llm.h - a TensorRT-LLM engine: config.json and a rank*.engine for each GPU
 *
 * Private to model/. The engines themselves are opaque; what is known of the
 * model stands in config.json:
 *
 *     {"pretrained_config": {"architecture": "LlamaForCausalLM", "dtype": "float16",
 *       "quantization": {"quant_algo": "FP8"}, "mapping": {"world_size": 2}}, ...}
 */
#pragma once

#include <stdbool.h>

#include "model/detect.h"

bool oci_tensorrt_llm_is(const struct oci_model_tree *tree);
/* Fill in what config.json knows; find the ranks that are missing. */
int oci_tensorrt_llm_inspect(
	const struct oci_model_tree *tree, struct oci_model_info *info, struct oci_error *err);
