#include "model/detect.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "model/gguf.h"
#include "model/huggingface.h"
#include "model/safetensors.h"
#include "model/shards.h"
#include "model/tensorrt_llm.h"
#include "model/tree.h"
#include "model/triton.h"

#define LFS_TEXT "version https://git-lfs.github.com/spec/"
#define LFS_BYTES_MAX 1024

static const struct {
	const char *pattern, *format;
} formats[] = {
	{"*.safetensors", "safetensors"},
	{"*.gguf", "gguf"},
	{"*.onnx", "onnx"},
	{"*.onnx_data*", "onnx"},
	{"*.onnx.data", "onnx"},
	{"*.plan", "tensorrt"},
	{"*.engine", "tensorrt"},
	{"*.trt", "tensorrt"},
	{"*.pt", "pytorch"},
	{"*.pt2", "pytorch"},
	{"*.pth", "pytorch"},
	{"*.ckpt", "pytorch"},
	{"pytorch_model*.bin", "pytorch"},
	{"openvino_*.bin", "openvino"},
	{"*.bin", "pytorch"},
	{"*.h5", "keras"},
	{"*.keras", "keras"},
	{"*.pb", "tensorflow"},
	{"*.graphdef", "tensorflow"},
	{"*.tflite", "tflite"},
	{"*.mlmodel", "coreml"},
	{"*.msgpack", "flax"},
	{"*.npz", "numpy"},
	{"*.nemo", "nemo"},
};
#define FORMATS (sizeof formats / sizeof *formats)

/* A row of GGUF files: one quantization of the model. */
struct gguf_row {
	const char *path;
	size_t len;
	uint64_t parameters;
	const char *file_type;
};

struct inspection {
	const struct oci_model_tree *tree;
	struct oci_model_info info;
	struct oci_huggingface config;
	bool *named; /* by an index, of each file */
	bool has_named_safetensors;
	struct oci_safetensors safetensors;
	struct gguf_row row, best_row;
	uint64_t format_bytes[FORMATS];
};

static void inspection_clear(struct inspection *in)
{
	oci_model_info_clear(&in->info);
	oci_huggingface_clear(&in->config);
	free(in->named);
}

/* "Q4_K_M" stays as it is known; "BF16" is a precision, no quantization. */
static bool is_quantized(const char *file_type)
{
	return strcmp(file_type, "F32") != 0 && strcmp(file_type, "F16") != 0 &&
	       strcmp(file_type, "BF16") != 0;
}

static int inspect_safetensors(struct inspection *in, size_t i, struct oci_error *err)
{
	struct oci_safetensors found;
	struct oci_error cause = {0};

	if (oci_safetensors_inspect(in->tree, i, &found, &cause) < 0)
		return oci_info_find_cause(&in->info, in->tree->files[i].path, &cause, err);
	/* Beside shards that an index names, a file is the same weights once more. */
	if (!in->has_named_safetensors || in->named[i])
		oci_safetensors_add(&in->safetensors, &found);
	return 0;
}

/* Files of one row are neighbours in the sorted tree. */
static void count_gguf(struct inspection *in, const char *path, const struct oci_gguf *found)
{
	size_t len = oci_shards_row_len(path);

	if (!in->row.path || in->row.len != len || strncmp(in->row.path, path, len) != 0)
		in->row = (struct gguf_row){.path = path, .len = len, .file_type = found->file_type};
	in->row.parameters += found->parameters;
	if (in->row.parameters > in->best_row.parameters)
		in->best_row = in->row;
}

static int inspect_gguf(struct inspection *in, size_t i, struct oci_error *err)
{
	OCI_CLEANUP(oci_gguf_clear) struct oci_gguf found = {0};
	const char *path = in->tree->files[i].path;
	struct oci_error cause = {0};

	if (oci_gguf_inspect(in->tree, i, &found, &cause) < 0)
		return oci_info_find_cause(&in->info, path, &cause, err);
	count_gguf(in, path, &found);
	const char *name = found.name ? oci_tree_base(found.name) : NULL;
	if (oci_info_set(&in->info.name, name, err) < 0 ||
		oci_info_set(&in->info.family, found.architecture, err) < 0 ||
		oci_info_set(&in->info.architecture, found.architecture, err) < 0 ||
		oci_info_set(&in->info.license, found.license, err) < 0 ||
		oci_info_set(&in->info.source_url, found.source_url, err) < 0)
		return -1;
	return 0;
}

/* A clone without git-lfs holds small texts in place of large files. */
static int is_lfs_pointer(const struct oci_model_tree *tree, size_t i, bool *ret, struct oci_error *err)
{
	char text[sizeof LFS_TEXT - 1];

	*ret = false;
	if (tree->files[i].size_bytes > LFS_BYTES_MAX || tree->files[i].size_bytes < sizeof text)
		return 0;
	ssize_t n = tree->read(tree->ctx, i, 0, text, sizeof text, err);
	if (n < 0)
		return -1;
	*ret = (size_t)n == sizeof text && !memcmp(text, LFS_TEXT, sizeof text);
	return 0;
}

static void count_format(struct inspection *in, size_t i)
{
	for (size_t f = 0; f < FORMATS; f++) {
		if (oci_str_glob(formats[f].pattern, in->tree->files[i].path)) {
			in->format_bytes[f] += in->tree->files[i].size_bytes;
			return;
		}
	}
}

static int inspect_weights(struct inspection *in, size_t i, struct oci_error *err)
{
	const char *path = in->tree->files[i].path;

	count_format(in, i);
	if (!in->named[i] && oci_shards_check_row(in->tree, i, &in->info, err) < 0)
		return -1;
	if (oci_str_ends(path, ".safetensors"))
		return inspect_safetensors(in, i, err);
	if (oci_str_ends(path, ".gguf"))
		return inspect_gguf(in, i, err);
	return 0;
}

static int inspect_file(struct inspection *in, size_t i, struct oci_error *err)
{
	const char *path = in->tree->files[i].path;
	bool is_pointer;

	if (is_lfs_pointer(in->tree, i, &is_pointer, err) < 0)
		return -1;
	if (is_pointer) /* a large tokenizer may be one, too */
		return oci_info_find(&in->info, OCI_FINDING_ERROR, path, err,
			"is a git-lfs pointer, not the file; run 'git lfs pull'");
	return oci_file_kind_of(path) == OCI_KIND_WEIGHTS ? inspect_weights(in, i, err) : 0;
}

static int inspect_files(struct inspection *in, struct oci_error *err)
{
	const struct oci_model_tree *tree = in->tree;

	in->named = calloc(tree->count + 1, sizeof *in->named);
	if (!in->named)
		return oci_fail_nomem(err);
	if (oci_shards_check_indexes(tree, in->named, &in->info, err) < 0)
		return -1;
	for (size_t i = 0; i < tree->count; i++)
		in->has_named_safetensors |=
			in->named[i] && oci_str_ends(tree->files[i].path, ".safetensors");
	for (size_t i = 0; i < tree->count; i++) {
		char safe[OCI_STR_ESCAPE_MAX];
		if (tree->files[i].elsewhere)
			continue;
		if (inspect_file(in, i, err) < 0)
			return oci_wrap(err, "'%s'", oci_str_escape(tree->files[i].path, safe));
	}
	return 0;
}

/* The patterns of one format need not stand together. */
static const char *largest_format(const struct inspection *in)
{
	const char *best = NULL;
	uint64_t best_bytes = 0;

	for (size_t f = 0; f < FORMATS; f++) {
		uint64_t bytes = 0;
		for (size_t g = 0; g < FORMATS; g++)
			bytes += strcmp(formats[g].format, formats[f].format) ? 0 : in->format_bytes[g];
		if (bytes > best_bytes) {
			best = formats[f].format;
			best_bytes = bytes;
		}
	}
	return best;
}

/* "BF16" is "bf16", as elsewhere; the names of quantizations stay. */
static int set_gguf_precision(struct oci_model_info *info, const char *file_type, struct oci_error *err)
{
	char lower[16];

	if (!file_type)
		return 0;
	if (is_quantized(file_type))
		return oci_info_set(&info->precision, file_type, err) < 0
			       ? -1
			       : oci_info_set(&info->quantization, file_type, err);
	size_t len = strlen(file_type);
	for (size_t i = 0; i <= len; i++)
		lower[i] = (char)tolower((unsigned char)file_type[i]);
	return oci_info_set(&info->precision, lower, err);
}

static int summarize(struct inspection *in, struct oci_error *err)
{
	struct oci_model_info *info = &in->info;
	const char *format = largest_format(in);

	if (oci_info_set(&info->format, format, err) < 0)
		return -1;
	if (format && !strcmp(format, "gguf")) {
		info->parameters = in->best_row.parameters;
		return set_gguf_precision(info, in->best_row.file_type, err);
	}
	info->parameters = in->safetensors.parameters;
	return oci_info_set(&info->precision, oci_safetensors_precision(&in->safetensors), err);
}

static bool is_gguf(const struct oci_model_tree *tree)
{
	bool found = false;

	for (size_t i = 0; i < tree->count; i++) {
		const char *path = tree->files[i].path;
		if (oci_str_ends(path, ".gguf"))
			found = true;
		else if (oci_file_kind_of(path) == OCI_KIND_WEIGHTS)
			return false;
	}
	return found;
}

static enum oci_model_layout detect(const struct inspection *in)
{
	if (oci_tree_has(in->tree, "config.pbtxt"))
		return OCI_MODEL_TRITON_MODEL;
	if (oci_tensorrt_llm_is(in->tree))
		return OCI_MODEL_TENSORRT_LLM;
	if (oci_huggingface_is(in->tree, &in->config))
		return OCI_MODEL_HUGGINGFACE;
	if (oci_triton_is_model(in->tree, ""))
		return OCI_MODEL_TRITON_MODEL;
	if (oci_triton_is_repository(in->tree))
		return OCI_MODEL_TRITON_REPOSITORY;
	return is_gguf(in->tree) ? OCI_MODEL_GGUF : OCI_MODEL_PLAIN;
}

static int inspect_layout(struct inspection *in, struct oci_error *err)
{
	switch (in->info.layout) {
	case OCI_MODEL_HUGGINGFACE:
		return oci_huggingface_inspect(in->tree, &in->config, &in->info, err);
	case OCI_MODEL_TRITON_MODEL:
		return oci_triton_inspect_model(in->tree, "", &in->info, err);
	case OCI_MODEL_TRITON_REPOSITORY:
		return oci_triton_inspect_repository(in->tree, &in->info, err);
	case OCI_MODEL_TENSORRT_LLM:
		/* That it does not parse is known already. */
		return in->config.has_config ? oci_tensorrt_llm_inspect(in->tree, &in->info, err) : 0;
	default:
		return oci_huggingface_check_cache(in->tree, &in->info, err);
	}
}

int oci_model_inspect(const struct oci_model_tree *tree, struct oci_model_info *ret, struct oci_error *err)
{
	OCI_CLEANUP(inspection_clear) struct inspection in = {.tree = tree};

	if (oci_huggingface_read(tree, &in.config, &in.info, err) < 0)
		return -1;
	in.info.layout = detect(&in);
	/* Headers before config.json: they say what is stored, it says what was meant. */
	if (inspect_files(&in, err) < 0 || summarize(&in, err) < 0 || inspect_layout(&in, err) < 0 ||
		oci_huggingface_license(tree, &in.info, err) < 0)
		return -1;
	*ret = in.info;
	in.info = (struct oci_model_info){0};
	return 0;
}

const char *oci_model_param_text(uint64_t parameters, char out[16])
{
	static const struct {
		uint64_t unit;
		char letter;
	} units[] = {{UINT64_C(1000000000000), 'T'}, {1000000000, 'B'}, {1000000, 'M'}, {1000, 'K'}};

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		uint64_t unit = units[i].unit;
		if (parameters < unit)
			continue;
		unsigned tenths = (unsigned)((parameters / (unit / 20) + 1) / 2);
		unsigned whole = (unsigned)((parameters / (unit / 2) + 1) / 2);
		if (tenths >= 1000 || tenths % 10 == 0)
			snprintf(out, 16, "%u%c", whole, units[i].letter);
		else
			snprintf(out, 16, "%u.%u%c", tenths / 10, tenths % 10, units[i].letter);
		return out;
	}
	snprintf(out, 16, "%llu", (unsigned long long)parameters);
	return out;
}

void oci_model_info_clear(struct oci_model_info *info)
{
	free(info->name);
	free(info->family);
	free(info->architecture);
	free(info->format);
	free(info->precision);
	free(info->quantization);
	free(info->license);
	free(info->source_url);
	for (size_t i = 0; i < info->finding_count; i++) {
		free(info->findings[i].path);
		free(info->findings[i].text);
	}
	free(info->findings);
	*info = (struct oci_model_info){0};
}
