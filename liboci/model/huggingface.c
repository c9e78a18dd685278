#include "model/huggingface.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "model/scan.h"
#include "model/tree.h"

#define FRONT_MATTER_MAX (64 * OCI_KIB)

/* "architectures": the first of an array of strings. */
static int read_first(struct oci_scan *scan, char **field, struct oci_error *err)
{
	bool first = true;
	int more, c = oci_scan_peek(scan, err);

	if (c != '[')
		return c < 0 ? -1 : oci_scan_value(scan, err);
	while ((more = oci_scan_element(scan, &first, err)) > 0) {
		if (oci_scan_set(scan, field, err) < 0)
			return -1;
	}
	return more;
}

static int read_quantization(struct oci_scan *scan, char **field, struct oci_error *err)
{
	struct oci_scan_text key;
	bool first = true;
	int more, c = oci_scan_peek(scan, err);

	if (c != '{')
		return c < 0 ? -1 : oci_scan_value(scan, err);
	while ((more = oci_scan_member(scan, &first, &key, err)) > 0) {
		bool wanted = !strcmp(key.text, "quant_method");
		if ((wanted ? oci_scan_set(scan, field, err) : oci_scan_value(scan, err)) < 0)
			return -1;
	}
	return more;
}

static int read_member(
	struct oci_scan *scan, const char *key, struct oci_huggingface *config, struct oci_error *err)
{
	if (!strcmp(key, "model_type"))
		return oci_scan_set(scan, &config->model_type, err);
	if (!strcmp(key, "architectures"))
		return read_first(scan, &config->architecture, err);
	if (!strcmp(key, "_class_name"))
		return oci_scan_set(scan, &config->architecture, err);
	if (!strcmp(key, "_name_or_path"))
		return oci_scan_set(scan, &config->name, err);
	if (!strcmp(key, "torch_dtype") || !strcmp(key, "dtype"))
		return oci_scan_set(scan, &config->dtype, err);
	if (!strcmp(key, "quantization_config"))
		return read_quantization(scan, &config->quantization, err);
	return oci_scan_value(scan, err);
}

static int read_config(
	const struct oci_model_tree *tree, size_t i, struct oci_huggingface *config, struct oci_error *err)
{
	OCI_CLEANUP(oci_scan_close) struct oci_scan scan = {0};
	struct oci_scan_text key;
	bool first = true;
	int more;

	if (oci_scan_open(&scan, tree, i, 0, tree->files[i].size_bytes, err) < 0)
		return -1;
	while ((more = oci_scan_member(&scan, &first, &key, err)) > 0) {
		if (read_member(&scan, key.text, config, err) < 0)
			return -1;
	}
	return more < 0 ? -1 : oci_scan_end(&scan, err);
}

int oci_huggingface_read(const struct oci_model_tree *tree, struct oci_huggingface *ret,
	struct oci_model_info *info, struct oci_error *err)
{
	static const char *const names[] = {"config.json", "model_index.json"};
	OCI_CLEANUP(oci_huggingface_clear) struct oci_huggingface config = {0};

	for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
		struct oci_error cause = {0};
		size_t i;
		if (!oci_tree_find_readable(tree, names[n], &i))
			continue;
		if (read_config(tree, i, &config, &cause) == 0)
			config.has_config = true;
		else if (oci_info_find_cause(info, names[n], &cause, err) < 0)
			return -1;
	}
	*ret = config;
	config = (struct oci_huggingface){0};
	return 0;
}

bool oci_huggingface_is(const struct oci_model_tree *tree, const struct oci_huggingface *config)
{
	bool has_config = oci_tree_has(tree, "config.json");

	if (config->model_type || config->architecture)
		return true;
	for (size_t i = 0; i < tree->count; i++) {
		const char *path = tree->files[i].path;
		if (strchr(path, '/'))
			continue;
		if (oci_str_ends(path, ".safetensors.index.json"))
			return true;
		if (has_config && (oci_str_ends(path, ".safetensors") || oci_str_ends(path, ".gguf")))
			return true;
	}
	return false;
}

static bool is_text_model(const char *architecture)
{
	static const char *const suffixes[] = {"ForCausalLM", "LMHeadModel", "ForMaskedLM", "ForSeq2SeqLM",
		"ForConditionalGeneration", "ForSequenceClassification", "ForTokenClassification",
		"ForQuestionAnswering"};

	for (size_t i = 0; architecture && i < sizeof suffixes / sizeof *suffixes; i++) {
		if (oci_str_ends(architecture, suffixes[i]))
			return true;
	}
	return false;
}

/* A GGUF file brings its own. */
static bool has_tokenizer(const struct oci_model_tree *tree)
{
	static const char *const globs[] = {"tokenizer*", "vocab*", "*spiece*.model", "*sentencepiece*",
		"tekken.json", "*.tiktoken", "*.vocab", "*.gguf"};

	for (size_t i = 0; i < tree->count; i++) {
		for (size_t g = 0; g < sizeof globs / sizeof *globs; g++) {
			if (oci_str_glob(globs[g], tree->files[i].path) &&
				strcmp(tree->files[i].path, "tokenizer_config.json") != 0)
				return true;
		}
	}
	return false;
}

const char *oci_huggingface_precision(const char *dtype)
{
	static const char *const names[][2] = {{"bfloat16", "bf16"}, {"float16", "f16"}, {"float32", "f32"},
		{"float8_e4m3fn", "f8_e4m3"}, {"int8", "int8"}};

	for (size_t i = 0; dtype && i < sizeof names / sizeof *names; i++) {
		if (!strcmp(dtype, names[i][0]))
			return names[i][1];
	}
	return NULL;
}

int oci_huggingface_inspect(const struct oci_model_tree *tree, const struct oci_huggingface *config,
	struct oci_model_info *info, struct oci_error *err)
{
	const char *name = config->name ? oci_tree_base(config->name) : NULL;

	if (oci_info_set(&info->name, name, err) < 0 ||
		oci_info_set(&info->family, config->model_type, err) < 0 ||
		oci_info_set(&info->architecture, config->architecture, err) < 0 ||
		oci_info_set(&info->precision, oci_huggingface_precision(config->dtype), err) < 0 ||
		oci_info_set(&info->quantization, config->quantization, err) < 0)
		return -1;
	if (is_text_model(config->architecture) && !has_tokenizer(tree))
		return oci_info_find(info, OCI_FINDING_WARNING, "config.json", err,
			"a text model without a tokenizer beside it; add tokenizer.json");
	return 0;
}

/* The value of a "key: value" line, or of a "- value" one, without quotes.
 * `line` is cut in place. */
static char *value_in(char *line)
{
	char *value = line + strspn(line, " \t-\"'");
	value[strcspn(value, "\"'#\r")] = '\0';
	for (size_t len = strlen(value); len && (value[len - 1] == ' ' || value[len - 1] == '\t'); len--)
		value[len - 1] = '\0';
	return value;
}

/* The front matter lies between two lines of "---". */
static int read_front_matter(char *text, struct oci_model_info *info, struct oci_error *err)
{
	bool is_list = false;
	char *line = text;

	if (!oci_str_starts(text, "---"))
		return 0;
	for (char *end = strchr(line, '\n'); end; end = strchr(line, '\n')) {
		line = end + 1;
		size_t len = strcspn(line, "\n");
		if (oci_str_starts(line, "---") || !line[len])
			return 0;
		oci_autofree char *copy = strndup(line, len);
		if (!copy)
			return oci_fail_nomem(err);
		if (is_list)
			return strspn(copy, " \t-") ? oci_info_set(&info->license, value_in(copy), err) : 0;
		if (!oci_str_starts(copy, "license:"))
			continue;
		const char *value = value_in(copy + strlen("license:"));
		if (*value)
			return oci_info_set(&info->license, value, err);
		is_list = true;
	}
	return 0;
}

int oci_huggingface_license(
	const struct oci_model_tree *tree, struct oci_model_info *info, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	size_t i;

	oci_buf_init(&text, FRONT_MATTER_MAX);
	if (!oci_tree_find_readable(tree, "README.md", &i))
		return 0;
	if (oci_tree_read(tree, i, FRONT_MATTER_MAX, &text, err) < 0)
		return -1;
	return text.len ? read_front_matter(text.data, info, err) : 0;
}

/* Below what would be the root of a cache or of one of its repositories. */
static bool is_snapshot(const char *path)
{
	const char *slash = strchr(path, '/');

	if (oci_str_starts(path, "models--") && slash)
		path = slash + 1;
	return oci_str_starts(path, "snapshots/") && strchr(path + strlen("snapshots/"), '/');
}

int oci_huggingface_check_cache(
	const struct oci_model_tree *tree, struct oci_model_info *info, struct oci_error *err)
{
	for (size_t i = 0; i < tree->count; i++) {
		if (is_snapshot(tree->files[i].path))
			return oci_info_find(info, OCI_FINDING_WARNING, "", err,
				"a cache of the Hugging Face hub holds files more than once; pack the directory "
				"snapshots/<revision> in it");
	}
	return 0;
}

void oci_huggingface_clear(struct oci_huggingface *config)
{
	free(config->model_type);
	free(config->architecture);
	free(config->name);
	free(config->dtype);
	free(config->quantization);
	*config = (struct oci_huggingface){0};
}
