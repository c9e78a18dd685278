/* detect.h - what kind of model a directory holds, and whether it is whole
 *
 * Works on a list of files and a read function, so that a directory, a bucket
 * or an image can be looked at alike. Nothing is executed; every header that
 * is read is bounded.
 *
 *     struct oci_model_info info = {0};
 *     oci_model_inspect(&tree, &info, err);
 *     for each info.findings: an error means "do not pack without --force"
 *     oci_model_info_clear(&info);
 *
 * Layouts, the first that fits: Triton model (config.pbtxt), TensorRT-LLM engine
 * (config.json + rank*.engine: not Hugging Face), Hugging Face (config.json with
 * model_type, architectures or _class_name, a diffusion pipeline's
 * model_index.json, a safetensors index, or *.safetensors / *.gguf beside a
 * config.json), Triton model without config.pbtxt (numeric version directories
 * with a model.* in them), Triton repository (a directory of Triton models),
 * GGUF (no weights but *.gguf), plain. Weights, indexes and their shards are
 * checked in every layout, in every directory.
 *
 * Errors found (OCI_FINDING_ERROR): a shard that *.safetensors.index.json or
 * *.bin.index.json names, or that is absent from a row -00001-of-0000N; a
 * safetensors or GGUF file shorter or longer than its header says, or whose
 * header does not parse; a git-lfs pointer in place of weights; a Triton model
 * without a version directory; a version_policy { specific { versions: [..] } }
 * that names an absent version; a config.pbtxt that names another model than
 * its directory; a rank*.engine that the world_size of TensorRT-LLM's
 * config.json asks for and that is absent; config.json, config.pbtxt or an index that does not parse.
 * Warnings: no tokenizer beside a Hugging Face text model, a numbered shard
 * beside an index that does not name it, an ensemble without a version
 * directory, a directory in a Triton repository that is no model, a whole
 * Hugging Face cache in place of a snapshot, a header that
 * could not be checked (unknown version, too many tensors).
 *
 * A file that cannot be read ends the inspection; one that is not what it should
 * be is a finding. Memory: a window of 64 KiB, 48 bytes for each tensor of one
 * file, and a byte for each file of the tree; the size of headers and indexes
 * does not matter.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum oci_model_layout {
	OCI_MODEL_PLAIN,
	OCI_MODEL_HUGGINGFACE,
	OCI_MODEL_GGUF,
	OCI_MODEL_TRITON_MODEL,
	OCI_MODEL_TRITON_REPOSITORY,
	OCI_MODEL_TENSORRT_LLM,
};
const char *oci_model_layout_name(enum oci_model_layout layout); /* "huggingface", "triton-repository", ... */

enum oci_file_kind { OCI_KIND_WEIGHTS, OCI_KIND_CONFIG, OCI_KIND_DOC, OCI_KIND_CODE, OCI_KIND_OTHER };
const char *oci_file_kind_name(enum oci_file_kind kind); /* "weights", "config", "doc", "code", "other" */
/* By name alone (research: ModelPack patterns, plus Triton's): weights
 * *.safetensors *.bin *.pt *.pth *.gguf *.onnx *.onnx_data* *.engine *.plan
 * *.h5 *.pb *.msgpack *.npz *.tflite *.mlmodel *.ckpt ...; config *.json *.yaml
 * *.toml *.pbtxt tokenizer files ...; doc *.md *.txt (but not merges.txt,
 * vocab.txt, labels: config) LICENSE* README* ...; code *.py *.sh *.ipynb ... */
enum oci_file_kind oci_file_kind_of(const char *path);

struct oci_model_file {
	const char *path; /* relative, '/' */
	uint64_t size_bytes;
	bool elsewhere; /* it counts as there, but cannot be read: a base image has it */
};

struct oci_model_tree {
	const struct oci_model_file *files; /* sorted by path */
	size_t count;
	/* Reads up to `len` bytes at `offset` of files[i]; the count, 0 at the
	 * end, -1 on failure. */
	ssize_t (*read)(void *ctx, size_t i, uint64_t offset, void *data, size_t len, struct oci_error *err);
	void *ctx;
};

enum oci_finding_level { OCI_FINDING_WARNING, OCI_FINDING_ERROR };
struct oci_finding {
	enum oci_finding_level level;
	char *path; /* the file or directory it is about; "." is the whole */
	char *text; /* one line, what and what to do */
};

/* NULL and 0: not known. */
struct oci_model_info {
	enum oci_model_layout layout;
	char *name;          /* _name_or_path's or general.name's last part, or Triton's model name */
	char *family;        /* model_type / general.architecture: "llama", "qwen2" */
	char *architecture;  /* architectures[0] / general.architecture / pretrained_config's */
	char *format;        /* "safetensors", "gguf", "onnx", "tensorrt", "pytorch", ... of the largest weights */
	char *precision;     /* "bf16", "f16", "f32", "int8", ...: by most bytes; GGUF: "Q4_K_M" */
	char *quantization;  /* quantization_config.quant_method; GGUF: "Q4_K_M" */
	char *license;       /* README front matter or GGUF general.license; SPDX as written */
	char *source_url;    /* GGUF general.source.url or repo url */
	/* Elements of all tensors in safetensors headers: of the shards that indexes
	 * name, or of all files where none does. GGUF: of the largest row of files,
	 * since each row is one quantization of the same model. */
	uint64_t parameters;
	struct oci_finding *findings;
	size_t finding_count;
};

int oci_model_inspect(const struct oci_model_tree *tree, struct oci_model_info *ret, struct oci_error *err);
/* "7.2B", "135M": as ModelPack's paramSize. `out` holds 16 bytes. */
const char *oci_model_param_text(uint64_t parameters, char out[16]);
void oci_model_info_clear(struct oci_model_info *info);
