#include "model/tensorrt_llm.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "model/huggingface.h"
#include "model/scan.h"
#include "model/tree.h"

#define RANKS_MAX 4096
#define CONFIG "config.json"

struct engine {
	char *architecture, *dtype, *quantization; /* NULL: absent */
	uint64_t world_size;                       /* 0: absent */
};

static void engine_clear(struct engine *engine)
{
	free(engine->architecture);
	free(engine->dtype);
	free(engine->quantization);
}

bool oci_tensorrt_llm_is(const struct oci_model_tree *tree)
{
	if (!oci_tree_has(tree, CONFIG))
		return false;
	for (size_t i = 0; i < tree->count; i++) {
		const char *path = tree->files[i].path;
		if (!strchr(path, '/') && oci_str_glob("rank*.engine", path))
			return true;
	}
	return false;
}

/* A member by its path from the top; objects that lead to one are entered. */
static int read_member(struct oci_scan *scan, const char *path, struct engine *engine, struct oci_error *err)
{
	if (!strcmp(path, ".pretrained_config.architecture"))
		return oci_scan_set(scan, &engine->architecture, err);
	if (!strcmp(path, ".pretrained_config.dtype"))
		return oci_scan_set(scan, &engine->dtype, err);
	if (!strcmp(path, ".pretrained_config.quantization.quant_algo"))
		return oci_scan_set(scan, &engine->quantization, err);
	if (!strcmp(path, ".pretrained_config.mapping.world_size"))
		return oci_scan_u64(scan, &engine->world_size, err);
	return oci_scan_value(scan, err);
}

static bool leads_on(const char *path)
{
	return !strcmp(path, ".pretrained_config") || !strcmp(path, ".pretrained_config.quantization") ||
		!strcmp(path, ".pretrained_config.mapping");
}

/* Nests as deep as leads_on() goes. */
static int read_object(struct oci_scan *scan, const char *at, struct engine *engine, struct oci_error *err)
{
	struct oci_scan_text key;
	bool first = true;
	int more;

	while ((more = oci_scan_member(scan, &first, &key, err)) > 0) {
		oci_autofree char *path = oci_str_printf("%s.%s", at, key.text);
		if (!path)
			return oci_fail_nomem(err);
		int c = oci_scan_peek(scan, err);
		if (c < 0)
			return -1;
		bool enter = c == '{' && leads_on(path);
		if ((enter ? read_object(scan, path, engine, err) : read_member(scan, path, engine, err)) < 0)
			return -1;
	}
	return more;
}

static int read_config(const struct oci_model_tree *tree, size_t i, struct engine *engine, struct oci_error *err)
{
	OCI_CLEANUP(oci_scan_close) struct oci_scan scan = {0};

	if (oci_scan_open(&scan, tree, i, 0, tree->files[i].size_bytes, err) < 0 ||
		read_object(&scan, "", engine, err) < 0)
		return -1;
	if (engine->world_size > RANKS_MAX)
		return oci_fail(err, OCI_E_FORMAT, "a world_size of more than %d", RANKS_MAX);
	return 0;
}

static int check_ranks(const struct oci_model_tree *tree, uint64_t world_size, struct oci_model_info *info,
	struct oci_error *err)
{
	for (uint64_t rank = 0; rank < world_size; rank++) {
		oci_autofree char *path = oci_str_printf("rank%llu.engine", (unsigned long long)rank);
		if (!path)
			return oci_fail_nomem(err);
		if (!oci_tree_has(tree, path) &&
			oci_info_find(info, OCI_FINDING_ERROR, path, err,
				"is missing: " CONFIG " says %llu ranks; fetch it",
				(unsigned long long)world_size) < 0)
			return -1;
	}
	return 0;
}

int oci_tensorrt_llm_inspect(
	const struct oci_model_tree *tree, struct oci_model_info *info, struct oci_error *err)
{
	OCI_CLEANUP(engine_clear) struct engine engine = {0};
	struct oci_error cause = {0};
	size_t i;

	if (!oci_tree_find_readable(tree, CONFIG, &i))
		return 0;
	if (read_config(tree, i, &engine, &cause) < 0)
		return oci_info_find_cause(info, CONFIG, &cause, err);
	if (oci_info_set(&info->architecture, engine.architecture, err) < 0 ||
		oci_info_set(&info->precision, oci_huggingface_precision(engine.dtype), err) < 0 ||
		oci_info_set(&info->quantization, engine.quantization, err) < 0)
		return -1;
	return check_ranks(tree, engine.world_size, info, err);
}
